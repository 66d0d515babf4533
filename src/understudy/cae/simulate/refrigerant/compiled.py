"""Numba with a cache that knows all of this package.

Numba's own cache does not notice when a function that was inlined from another file has changed. Here the folder of
the cache is named after the sources of the whole package, so that no change and no upgrade meets old code.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from understudy.core.files import user_cache

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` for the functions of this package, kept from process to process."""
    folder = _folder()
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
    if folder is None:
        return numba.njit(**options)(function)
    settings = cast(Any, numba.config)
    before, settings.CACHE_DIR = settings.CACHE_DIR, folder
    try:
        return numba.njit(cache=True, **options)(function)
    finally:
        settings.CACHE_DIR = before


def is_compiled() -> bool:
    """Whether an earlier process has left compiled code, so that nothing will take long."""
    folder = _folder()
    return folder is not None and any(Path(folder).rglob("*.nbc"))


@cache
def _folder() -> str | None:
    """None where nothing can be written: then every process compiles anew, in about 20 s."""
    sources = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(file.read_bytes())
    folder = user_cache() / "compiled" / sources.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return os.fspath(folder)
