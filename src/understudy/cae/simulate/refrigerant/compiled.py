"""The functions of this package are compiled, which takes about 20 s, and kept from process to process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from understudy.compiled import cache_folder, njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` for the functions of this package."""
    return cast(F, njit(function, _folder(), error_model="numpy", fastmath={"contract", "nsz"}))


def is_compiled() -> bool:
    """Whether an earlier process has left compiled code, so that nothing will take long."""
    folder = _folder()
    return folder is not None and any(Path(folder).rglob("*.nbc"))


@cache
def _folder() -> str | None:
    return cache_folder(sorted(Path(__file__).parent.glob("*.py")))
