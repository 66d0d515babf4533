"""Numba with a cache that knows all sources that compiled code may come from.

Numba's own cache does not notice when a function or a constant of another file has changed. Here the folder of the
cache is named after the contents of those files, so that no change and no upgrade meets old code.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numba

from understudy.core.files import user_cache


def cache_folder(sources: Iterable[Path], prefix: str = "") -> str | None:
    """Where the code of ``sources`` is kept; None where nothing can be written: every process compiles anew."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    folder = user_cache() / "compiled" / f"{prefix}{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return os.fspath(folder)


def njit(function: Any, folder: str | None, **options: Any) -> Any:
    """``numba.njit``, kept from process to process in ``folder``."""
    if folder is None:
        return numba.njit(**options)(function)
    settings = cast(Any, numba.config)
    before, settings.CACHE_DIR = settings.CACHE_DIR, folder
    try:
        return numba.njit(cache=True, **options)(function)
    finally:
        settings.CACHE_DIR = before
