"""Loops over nucleotides and pairs of molecules that are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """``numba.njit`` without Python's lock, kept from process to process where that is possible."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to keep it: every process compiles anew, which takes seconds
        return numba.njit(nogil=True)(function)
