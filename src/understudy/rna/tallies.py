"""Sums of errors by group, and what predicted errors are worth.

Axes: G groups, C nucleotides that count, 2 chemicals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

BINS = 10  # of the calibration, with equally many nucleotides in each


@dataclass(frozen=True, eq=False)
class Breakdown:
    """Absolute errors of groups of nucleotides.

    ``total`` (G, 2) are sums by chemical in float64, ``count`` (G,) the nucleotides of which each chemical has
    one value. A mean is one division at the end, never a mean of means.
    """

    labels: tuple[str, ...]
    total: Doubles
    count: NDArray[np.int64]

    @property
    def mae(self) -> Doubles:
        """(G,) over both chemicals; NaN where nothing counts."""
        return _divide(self.total.sum(axis=1), 2 * self.count)

    @property
    def by_chemical(self) -> Doubles:
        """(G, 2) of each chemical."""
        return _divide(self.total, self.count[:, None])


class Tally:
    """A :class:`Breakdown` that grows part by part."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.total = np.zeros((len(labels), 2))
        self.count = np.zeros(len(labels), np.int64)

    def add(self, group: Integers, error: Doubles) -> None:
        """``error`` (C, 2) of nucleotides that belong to the groups ``group`` (C,)."""
        n = len(self.labels)
        self.count += np.bincount(group, minlength=n)
        for k in range(2):
            self.total[:, k] += np.bincount(group, error[:, k], n)

    def breakdown(self) -> Breakdown:
        return Breakdown(self.labels, self.total, self.count)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The predicted errors of one chemical, in bins with equally many nucleotides, from small to large.

    All are means over the nucleotides of a bin (B,): ``predicted`` error, ``reported`` error of the experiment,
    ``residual`` = absolute error of the prediction. ``within`` is the share of measured values that lie within
    one predicted error of the prediction, ``correlation`` that of predicted and reported errors.
    """

    predicted: Doubles
    reported: Doubles
    residual: Doubles
    count: NDArray[np.int64]
    within: float
    correlation: float


class CalibrationTally:
    """A :class:`Calibration` that grows part by part; ``sample`` of predicted errors decides the bins."""

    def __init__(self, sample: NDArray[np.floating[Any]]) -> None:
        self.edges = np.unique(np.quantile(sample, np.linspace(0, 1, BINS + 1)[1:-1]))
        n = len(self.edges) + 1
        self.sums = np.zeros((3, n))
        self.count = np.zeros(n, np.int64)
        self.inside = 0
        self.moments = np.zeros(5)

    def add(self, predicted: Doubles, reported: Doubles, residual: Doubles) -> None:
        """Predicted and reported error and absolute residual of nucleotides (C,)."""
        kept = np.isfinite(predicted) & np.isfinite(reported) & np.isfinite(residual)
        x, y, r = predicted[kept], reported[kept], residual[kept]
        at = np.searchsorted(self.edges, x, side="right")
        n = len(self.count)
        self.count += np.bincount(at, minlength=n)
        for row, values in enumerate((x, y, r)):
            self.sums[row] += np.bincount(at, values, n)
        self.inside += int((r <= x).sum())
        self.moments += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]

    def calibration(self) -> Calibration | None:
        """None where there was nothing to compare."""
        n = int(self.count.sum())
        if not n:
            return None
        kept = self.count > 0
        predicted, reported, residual = self.sums[:, kept] / self.count[kept]
        x, y, xx, yy, xy = self.moments / n
        spread = np.sqrt(max(xx - x * x, 0.0) * max(yy - y * y, 0.0))
        correlation = float((xy - x * y) / spread) if spread > 0 else float("nan")
        return Calibration(
            predicted, reported, residual, self.count[kept], self.inside / n, min(1.0, max(-1.0, correlation))
        )


def correlations(group: Integers, n: int, x: Doubles, y: Doubles) -> Doubles:
    """Pearson's correlation (n,) of ``x`` and ``y`` (C,) in each group; NaN where either does not vary."""
    count = np.bincount(group, minlength=n)
    x, y = (v - _divide(np.bincount(group, v, n), count)[group] for v in (x, y))
    xx, yy, xy = (np.bincount(group, v, n) for v in (x * x, y * y, x * y))
    # What is left of a constant is rounding.
    varies = (xx > 1e-12 * count) & (yy > 1e-12 * count)
    return np.clip(_divide(xy, np.where(varies, np.sqrt(xx * yy), 0.0)), -1.0, 1.0)


def length_groups(lengths: Integers, most: int = 8) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """A group for each of ``lengths``, and the names of the groups.

    Each length is a group of its own; more than ``most`` of them are put together into ranges with about
    equally many molecules.
    """
    distinct, inverse, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    if len(distinct) <= most:
        return inverse.astype(np.int64), tuple(str(n) for n in distinct)
    before = np.cumsum(counts) - counts
    part = before * most // len(lengths)
    _, part = np.unique(part, return_inverse=True)  # a frequent length may have skipped a part
    edges = [distinct[part == k] for k in range(part.max() + 1)]
    labels = tuple(str(e[0]) if len(e) == 1 else f"{e[0]}-{e[-1]}" for e in edges)
    return part[inverse].astype(np.int64), labels


def _divide(total: NDArray[Any], count: NDArray[Any]) -> Doubles:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Doubles = np.where(count > 0, total / count, np.nan)
    return found
