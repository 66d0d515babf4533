"""Understudy trains fast stand-ins for slow experiments whose inputs and outputs are sequences."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.core.surrogate import Surrogate, load

__all__ = ["Surrogate", "__version__", "load"]

__version__ = "0.1.0"

_LAZY = {"Surrogate": "understudy.core.surrogate", "load": "understudy.core.surrogate"}


def __getattr__(name: str) -> Any:
    """Public names on first use: ``import understudy`` costs no import of torch."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
