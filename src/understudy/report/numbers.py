"""Numbers as people read them: three to four significant digits, one number of decimals in a column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

MISSING = "–"
INFINITE = "∞"


def number(value: float, digits: int = 4) -> str:
    """``0.01235``, ``1235``, ``1.235e-05``; a dash for NaN."""
    if not math.isfinite(value):
        return _special(value)
    if value == 0:
        return "0"
    magnitude = int(f"{value:.{digits - 1}e}".split("e")[1])
    if not -4 <= magnitude < 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def column(values: Sequence[float], digits: int = 3) -> list[str]:
    """``values`` of one quantity below one another, so that decimal points meet.

    The smallest one decides the decimals; values of different magnitude keep their own.
    """
    finite = [abs(v) for v in values if math.isfinite(v) and v != 0]
    if not finite:
        return [number(v) for v in values]
    low, high = (math.floor(math.log10(v)) for v in (min(finite), max(finite)))
    if low < -4 or high > 5 or high - low > 1:
        return [number(v, digits) for v in values]
    decimals = max(0, digits - 1 - low)
    return [f"{v:.{decimals}f}" if math.isfinite(v) else _special(v) for v in values]


def percent(share: float, decimals: int | None = None) -> str:
    """``7.0 %`` or ``12 %``, never broken at the end of a line; a dash for NaN."""
    if not math.isfinite(share):
        return MISSING
    if decimals is None:
        decimals = 1 if share < 0.0995 else 0
    return f"{100 * share:.{decimals}f}\u00a0%"


def seconds(value: float) -> str:
    """A duration with the unit that suits it: ``12 ms``, ``3.4 s``, ``2 min 5 s``."""
    if not math.isfinite(value):
        return MISSING
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def finite_or_none(value: float) -> float | None:
    """For strict JSON, which has neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None


def listing(items: Iterable[str], most: int = 10) -> str:
    """``a, b and c``; beyond ``most``: ``a, b, c and 9 more``."""
    every = list(items)
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return " and ".join(filter(None, [", ".join(every[:-1]), *every[-1:]]))


def _special(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return INFINITE if value > 0 else f"−{INFINITE}"
