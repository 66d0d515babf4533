"""Loops over nucleotides and pairs of molecules that are compiled, kept from process to process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from understudy.compiled import cache_folder, njit

# Files with compiled functions, and with constants that these hold.
_SOURCES = ("compiled.py", "similar.py", "ingest/cells.py", "ingest/kernel.py", "ingest/summary.py")


def compiled(function: Callable[..., Any]) -> Any:
    """``numba.njit`` without Python's lock."""
    return njit(function, _folder(), nogil=True)


@cache
def _folder() -> str | None:
    return cache_folder((Path(__file__).parent / name for name in _SOURCES), "rna-")
