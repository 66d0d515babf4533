"""What figures need of one case, as plain arrays, and the arithmetic of drawing them.

Worker processes import this module: it must stay free of torch.

Axes: T predicted rows of a case, N signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from understudy.core.intervals import DEFAULT

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

Floats = NDArray[np.floating[Any]]

# The prediction may leave the range of the truth by so many times that range before it is cut off.
_ROOM = 6.0
_ROOM_DIVERGED = 1.5


@dataclass(frozen=True)
class Curves:
    """Some signals of one case. ``scale`` is what counts as a visible change of a signal, its deviation."""

    case: str
    time: NDArray[np.float64]  # (T,)
    time_unit: str
    names: tuple[str, ...]  # (N,)
    units: tuple[str, ...]
    prediction: NDArray[np.float32]  # (T, N)
    truth: NDArray[np.float32]
    scale: NDArray[np.float64]  # (N,)
    ade: NDArray[np.float64]
    fde: NDArray[np.float64]
    diverged_at: int | None
    half: NDArray[np.float32] | None = None  # (T, N) half the width of the interval that is drawn

    @property
    def time_label(self) -> str:
        return f"time [{self.time_unit}]" if self.time_unit else "time"

    @property
    def diverged_time(self) -> float | None:
        return None if self.diverged_at is None else float(self.time[self.diverged_at])

    @property
    def divergence(self) -> str:
        """When the rollout diverged, with its unit; empty where it did not."""
        return (
            "" if self.diverged_at is None else f"{self.time[self.diverged_at]:.6g} {self.time_unit}".rstrip()
        )

    def part(self, first: int, last: int) -> Curves:
        """Signals ``first`` to ``last`` (not included), without a copy."""
        cut = slice(first, last)
        return Curves(
            self.case,
            self.time,
            self.time_unit,
            self.names[cut],
            self.units[cut],
            self.prediction[:, cut],
            self.truth[:, cut],
            self.scale[cut],
            self.ade[cut],
            self.fde[cut],
            self.diverged_at,
            None if self.half is None else self.half[:, cut],
        )


def curves_of(evaluation: Evaluation, k: int) -> Curves:
    """Case ``k`` as plain arrays, which workers can read without torch."""
    case = evaluation.cases[k]
    signals = evaluation.spec.predicted
    known = evaluation.intervals
    return Curves(
        case=case.id,
        time=np.asarray(case.time, np.float64),
        time_unit=evaluation.spec.step_unit,
        names=tuple(s.name for s in signals),
        units=tuple(s.unit for s in signals),
        prediction=case.prediction,
        truth=case.truth,
        scale=evaluation.std,
        ade=evaluation.errors["ADE"][k],
        fde=evaluation.errors["FDE"][k],
        diverged_at=case.diverged_at,
        half=None if known is None else known.half_width(DEFAULT, len(case.time)),
    )


@dataclass(frozen=True)
class Window:
    """The vertical range of an axis; ``cut`` tells that the prediction goes on beyond it."""

    low: float
    high: float
    cut: bool


def window(truth: Floats, prediction: Floats, scale: float, diverged: bool = False) -> Window:
    """A range that shows the truth whole, and the prediction as far as the truth stays readable."""
    truth = truth[np.isfinite(truth)].astype(np.float64)
    finite = prediction[np.isfinite(prediction)].astype(np.float64)
    if not len(truth):  # never measured: what is usual of the prediction decides
        truth = np.percentile(finite, (1, 99)) if len(finite) else np.zeros(1)
    low, high = float(truth.min()), float(truth.max())
    span = max(high - low, scale if np.isfinite(scale) else 0.0)
    span = span or abs(high) * 0.05 or 1.0
    room = (_ROOM_DIVERGED if diverged else _ROOM) * span
    floor, ceiling = low - room, high + room
    cut = len(finite) < len(prediction)
    if len(finite):
        cut = cut or bool(finite.min() < floor or finite.max() > ceiling)
        low = min(low, max(float(finite.min()), floor))
        high = max(high, min(float(finite.max()), ceiling))
    room = 0.06 * max(high - low, 0.3 * span)
    return Window(low - room, high + room, cut)


def clipped(values: Floats, seen: Window) -> NDArray[np.float64]:
    """``values`` kept near the window, so that no renderer meets 1e30; what is not finite leaves a gap."""
    room = seen.high - seen.low
    near = np.clip(values.astype(np.float64), seen.low - room, seen.high + room)
    return np.where(np.isfinite(values), near, np.nan)


def thin(x: Floats, y: Floats, buckets: int) -> tuple[Floats, Floats]:
    """At most two points a bucket, its lowest and its highest: the same picture from far fewer points."""
    if len(x) <= 2 * buckets:
        return x, y
    size = -(-len(x) // buckets)
    full = -(-len(x) // size)
    padded = np.full(full * size, np.nan)
    padded[: len(y)] = y
    rows = padded.reshape(full, size)
    start = np.arange(full) * size
    lowest = start + np.argmin(np.where(np.isnan(rows), np.inf, rows), axis=1)
    highest = start + np.argmax(np.where(np.isnan(rows), -np.inf, rows), axis=1)
    chosen = np.unique(np.concatenate([lowest, highest, [0, len(x) - 1]]))
    chosen = chosen[chosen < len(x)]
    return x[chosen], y[chosen]


def means(values: NDArray[np.float64], buckets: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row numbers and means of ``buckets`` stretches of ``values``: a long noisy curve made readable."""
    edges = np.linspace(0, len(values), min(buckets, len(values)) + 1).astype(int)
    pairs = list(pairwise(edges.tolist()))
    rows = np.array([(a + b - 1) / 2 for a, b in pairs])
    with np.errstate(invalid="ignore"):
        return rows, np.array([values[a:b].mean() for a, b in pairs])
