"""Loops over nucleotides and pairs of molecules that are compiled, kept from process to process.

Numba's own cache does not notice when a function or a constant of another file has changed. Here the folder of the
cache is named after all sources that compiled code may come from, so that no upgrade meets old code.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba

from understudy.core.files import user_cache

# Files with compiled functions, and with constants that these hold.
_SOURCES = ("compiled.py", "similar.py", "ingest/cells.py", "ingest/kernel.py", "ingest/summary.py")


def compiled(function: Callable[..., Any]) -> Any:
    """``numba.njit`` without Python's lock."""
    folder = _folder()
    if folder is None:
        return numba.njit(nogil=True)(function)
    settings = cast(Any, numba.config)
    before, settings.CACHE_DIR = settings.CACHE_DIR, folder
    try:
        return numba.njit(nogil=True, cache=True)(function)
    finally:
        settings.CACHE_DIR = before


@cache
def _folder() -> str | None:
    """None where nothing can be written: then every process compiles anew, which takes seconds."""
    sources = hashlib.sha256()
    for name in _SOURCES:
        sources.update((Path(__file__).parent / name).read_bytes())
    folder = user_cache() / "compiled" / f"rna-{sources.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return os.fspath(folder)
