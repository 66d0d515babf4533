"""Random control trajectories: segments of holds, steps, ramps and sines inside limits, with a slew rate.

Such mixtures excite slow and fast dynamics at once, and hold long enough for steady states to be seen (Ljung,
"System Identification", 2nd ed., 1999, section 13.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError, did_you_mean

Floats = NDArray[np.float64]
KINDS = ("hold", "step", "ramp", "sine")


@dataclass(frozen=True)
class Channel:
    """How one control is drawn.

    Args:
        name, unit: as in the data specification.
        low, high: limits in ``unit``; every value lies within them.
        slew: largest change per second.
        kinds: segments to draw from. ``hold`` keeps the level, ``step`` jumps to a new one, ``ramp`` goes there
            in a straight line, ``sine`` swings about it.
        dwell: shortest and longest duration of a segment in s.
        period: shortest and longest period of a sine in s.
        constant: probability that a case keeps this control at one level.

    Raises:
        ConfigError: limits, rates or names that cannot be.
    """

    name: str
    unit: str
    low: float
    high: float
    slew: float = math.inf
    kinds: tuple[str, ...] = KINDS
    dwell: tuple[float, float] = (20.0, 180.0)
    period: tuple[float, float] = (20.0, 120.0)
    constant: float = 0.1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ConfigError(f"control {self.name!r}: no values lie between {self.low:g} and {self.high:g}")
        if not self.slew > 0:
            raise ConfigError(f"control {self.name!r}: the slew rate must be positive, not {self.slew:g}")
        for what, (first, last) in (("dwell", self.dwell), ("period", self.period)):
            if not (0 < first <= last < math.inf):
                raise ConfigError(f"control {self.name!r}: {what} is a pair of s, shortest and longest")
        if not self.kinds:
            raise ConfigError(f"control {self.name!r}: kinds is empty; known are {', '.join(KINDS)}")
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(f"control {self.name!r}: no kind {kind!r}{did_you_mean(kind, KINDS)}")
        if not 0 <= self.constant <= 1:
            raise ConfigError(f"control {self.name!r}: constant is a probability, not {self.constant:g}")

    def draw(self, rng: np.random.Generator, n_rows: int, step: float) -> Floats:
        """A trajectory ``(n_rows,)`` sampled every ``step`` s."""
        level = rng.uniform(self.low, self.high)
        if rng.random() < self.constant:
            return np.full(n_rows, level)
        wanted = np.empty(n_rows)
        at = 0
        while at < n_rows:
            n = max(1, round(rng.uniform(*self.dwell) / step))
            piece, level = self._segment(rng, n, step, level)
            wanted[at : at + n] = piece[: n_rows - at]
            at += n
        return slew_limited(wanted, self.slew * step)

    def _segment(self, rng: np.random.Generator, n: int, step: float, level: float) -> tuple[Floats, float]:
        """Wanted values of ``n`` rows, and the level at their end."""
        kind = self.kinds[rng.integers(len(self.kinds))]
        if kind == "hold":
            return np.full(n, level), level
        following = rng.uniform(self.low, self.high)
        if kind == "step":
            return np.full(n, following), following
        if kind == "ramp":
            return np.linspace(level, following, n), following
        room = min(following - self.low, self.high - following)
        amplitude = rng.uniform(0.2, 1.0) * room
        turns = np.arange(n) * step / rng.uniform(*self.period)
        return following + amplitude * np.sin(2 * np.pi * turns), following


def slew_limited(wanted: Floats, most: float) -> Floats:
    """The trajectory that follows ``wanted`` with changes of at most ``most`` from row to row."""
    if not math.isfinite(most):
        return wanted
    followed = np.empty_like(wanted)
    value = wanted[0]
    for k, goal in enumerate(wanted.tolist()):
        value += min(max(goal - value, -most), most)
        followed[k] = value
    return followed
