"""Numbers of reactivity profiles as people read them."""

from __future__ import annotations

import math

from understudy.report.numbers import MISSING


def error(value: float, decimals: int = 3) -> str:
    """An error on the scale from 0 to 1, always with the same decimals, so that two of them compare at a glance."""
    return f"{value:.{decimals}f}" if math.isfinite(value) else MISSING


def count(value: int) -> str:
    """``14 493``, never broken at the end of a line."""
    return f"{value:,}".replace(",", "\u00a0")


def molecules(n: int) -> str:
    """``1 molecule``, ``521 molecules``."""
    return f"{count(n)} molecule{'s' * (n != 1)}"
