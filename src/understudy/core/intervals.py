"""Intervals that hold what is measured with a stated probability, from the errors of free rollouts.

Split conformal prediction (Lei et al. 2018, "Distribution-free predictive inference for regression", algorithm 2):
the half-width is a quantile of the absolute errors on cases that the network was not trained on. It depends on the
signal and on the horizon, how many rows the rollout has run, since errors grow. It holds on average over points of
cases like the validation cases; of cases that are unlike them it says nothing.

Axes: K cases, T rows of a case, N signals, Q coverages, H horizons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError, ModelError

COVERAGES = (0.5, 0.8, 0.9, 0.95)
DEFAULT = 0.9
# Fewer errors than this do not tell their 95th percentile.
_FEWEST = 200

Floats = NDArray[np.float32]


def fitted(coverages: Sequence[float], coverage: float) -> int:
    """The place of ``coverage`` among those that intervals were fitted for.

    Raises:
        ConfigError: it is none of them.
    """
    if coverage not in coverages:
        known = ", ".join(f"{c:g}" for c in coverages)
        raise ConfigError(f"intervals are known for a coverage of {known}, not of {coverage:g}")
    return list(coverages).index(coverage)


@dataclass(frozen=True, eq=False)
class Intervals:
    """Half-widths in physical units.

    Args:
        coverages: (Q,) ascending.
        first_rows: (H,) the row of a rollout (from 0) with which each horizon begins; the last one has no end.
        half_widths: (Q, H, N); NaN where nothing was measured.
    """

    coverages: tuple[float, ...]
    first_rows: tuple[int, ...]
    half_widths: Floats

    def half_width(self, coverage: float, n_rows: int) -> Floats:
        """``(T, N)`` of the first ``n_rows`` rows of a rollout.

        Raises:
            ConfigError: a coverage that was not fitted.
        """
        widths = self.half_widths[fitted(self.coverages, coverage)]
        horizon = np.searchsorted(self.first_rows, np.arange(n_rows), side="right") - 1
        rows: Floats = widths[horizon]
        return rows

    def to_json(self) -> dict[str, Any]:
        widths = [[[_rounded(x) for x in row] for row in table] for table in self.half_widths.tolist()]
        return {
            "coverages": list(self.coverages),
            "first_rows": list(self.first_rows),
            "half_widths": widths,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], n_signals: int) -> Intervals:
        """
        Raises:
            ModelError: these are no intervals of so many signals.
        """
        try:
            coverages = tuple(float(c) for c in data["coverages"])
            first_rows = tuple(int(r) for r in data["first_rows"])
            widths = np.array(data["half_widths"], dtype=np.float32)  # null becomes NaN
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"damaged intervals: {error}") from error
        fits = widths.shape == (len(coverages), len(first_rows), n_signals)
        if not fits or not first_rows or first_rows[0] != 0 or list(first_rows) != sorted(set(first_rows)):
            raise ModelError("damaged intervals: their shapes do not fit the signals")
        return cls(coverages, first_rows, widths)


def mean_intervals(every: Sequence[Intervals]) -> Intervals:
    """Around the mean of several models: the mean of their half-widths.

    A mean errs no more than its parts do on average, so these are rather too wide than too narrow.

    Raises:
        ConfigError: they were fitted for different coverages.
    """
    coverages = every[0].coverages
    if any(other.coverages != coverages for other in every):
        raise ConfigError("the runs have intervals of different coverages, which cannot be averaged")
    first_rows = sorted({row for intervals in every for row in intervals.first_rows})
    widths = [
        [intervals.half_width(coverage, first_rows[-1] + 1)[first_rows] for coverage in coverages]
        for intervals in every
    ]
    return Intervals(coverages, tuple(first_rows), np.mean(widths, axis=0, dtype=np.float32))


def fit_intervals(
    predictions: Sequence[Floats], truths: Sequence[Floats], coverages: Sequence[float] = COVERAGES
) -> Intervals:
    """From rollouts of cases that did not train: ``(T, N)`` each, NaN in the truth where nothing was measured.

    Horizons begin at rows 0, 1, 2, 4, 8 …; those with fewer points than a quantile needs join the next.
    """
    longest = max(len(truth) for truth in truths)
    n_signals = truths[0].shape[1]
    errors = np.full((len(truths), longest, n_signals), np.nan, np.float32)
    for k, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.abs(prediction - truth)
        # What is no number, where something was measured, is an error beyond all others.
        errors[k, : len(truth)] = np.where(np.isfinite(truth) & ~np.isfinite(gap), np.inf, gap)
    present = np.array([(np.arange(longest) < len(truth)) for truth in truths]).sum(axis=0)
    first_rows = _horizons(present)
    widths = np.empty((len(coverages), len(first_rows), n_signals), np.float32)
    for h, (first, last) in enumerate(zip(first_rows, [*first_rows[1:], longest], strict=True)):
        for i in range(n_signals):
            points = np.sort(errors[:, first:last, i].ravel())
            points = points[~np.isnan(points)]
            widths[:, h, i] = [quantile(points, coverage) for coverage in coverages]
    return Intervals(tuple(coverages), first_rows, widths)


def _horizons(present: NDArray[np.int64]) -> tuple[int, ...]:
    """First rows of the horizons; ``present`` (T,) says how many cases reach each row."""
    kept = [0]
    for start in (2**i for i in range(len(present).bit_length()) if 2**i < len(present)):
        if present[kept[-1] : start].sum() >= _FEWEST:
            kept.append(start)
    while len(kept) > 1 and present[kept[-1] :].sum() < _FEWEST:
        kept.pop()
    return tuple(kept)


def quantile(points: NDArray[np.float32], coverage: float) -> float:
    """The smallest of ``points`` (sorted) that so many of n + 1 do not exceed; the largest where n is too small."""
    if not len(points):
        return float("nan")
    rank = int(np.ceil(coverage * (len(points) + 1)))
    return float(points[min(rank, len(points)) - 1])


def _rounded(x: float) -> float | None:
    return float(f"{x:.6g}") if np.isfinite(x) else None


@dataclass(frozen=True)
class Held:
    """What intervals held: ``coverage`` the share of the points, ``width`` their mean whole width, both (N,)."""

    coverage: NDArray[np.float64]
    width: NDArray[np.float64]


def held(
    intervals: Intervals, coverage: float, predictions: Sequence[Floats], truths: Sequence[Floats]
) -> Held:
    """How well the intervals of ``coverage`` do on other cases; signals that were never measured are NaN."""
    inside, count, width = (np.zeros(truths[0].shape[1]) for _ in range(3))
    for prediction, truth in zip(predictions, truths, strict=True):
        half = intervals.half_width(coverage, len(truth))
        measured = np.isfinite(truth) & np.isfinite(half)
        with np.errstate(invalid="ignore", over="ignore"):
            inside += ((np.abs(prediction - truth) <= half) & measured).sum(axis=0)
        count += measured.sum(axis=0)
        width += np.where(measured, 2 * half, 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Held(inside / count, width / count)
