"""Intervals around predicted reactivities that hold a measurement with a stated probability.

Split conformal prediction as for rollouts (:mod:`understudy.core.intervals`), here by chemical, nucleotide and
predicted level: a paired G is predicted near zero and nearly always is, an unpaired A may be anything. Reactivities
are clipped to [0, 1] as for the official figure. They hold on average over nucleotides of molecules like those that
validated.

Axes: N nucleotides, 2 chemicals, 4 nucleotides of the alphabet, K bins of the predicted level, Q coverages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.core.intervals import COVERAGES, fitted, quantile
from understudy.errors import ModelError
from understudy.rna.table import ALPHABET, CHEMICALS

BINS = 8
_FEWEST = 200  # errors of a bin; fewer do not tell their 95th percentile

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ProfileIntervals:
    """Half-widths by what is predicted.

    Args:
        coverages: (Q,) ascending.
        edges: (2, 4, K - 1) ascending; the predicted levels at which the next bin begins, infinite where none does.
        half_widths: (Q, 2, 4, K); NaN where nothing was measured.
    """

    coverages: tuple[float, ...]
    edges: Floats
    half_widths: Floats

    def half_width(self, coverage: float, prediction: Floats, tokens: NDArray[np.uint8]) -> Floats:
        """``(N, 2)`` around ``prediction`` (N, 2 or more columns) of the nucleotides ``tokens`` (N,).

        Raises:
            ConfigError: a coverage that was not fitted.
        """
        widths = self.half_widths[fitted(self.coverages, coverage)]
        found = np.empty((len(tokens), len(CHEMICALS)), np.float32)
        for c in range(len(CHEMICALS)):
            for t in range(len(ALPHABET)):
                where = tokens == t
                level = np.clip(prediction[where, c], 0, 1)
                found[where, c] = widths[c, t][np.searchsorted(self.edges[c, t], level, side="right")]
        return found

    def to_json(self) -> dict[str, Any]:
        def plain(values: Floats) -> Any:
            # JSON has neither infinity nor NaN.
            rounded = np.round(values.astype(np.float64), 6).astype(object)
            rounded[~np.isfinite(values)] = None
            return rounded.tolist()

        return {
            "coverages": list(self.coverages),
            "edges": plain(self.edges),
            "half_widths": plain(self.half_widths),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProfileIntervals:
        """
        Raises:
            ModelError: these are no intervals of reactivities.
        """
        try:
            coverages = tuple(float(c) for c in data["coverages"])
            edges, widths = (np.array(data[k], dtype=np.float32) for k in ("edges", "half_widths"))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"damaged intervals: {error}") from error
        by = (len(CHEMICALS), len(ALPHABET))
        fits = edges.ndim == 3 and edges.shape[:2] == by
        if not fits or widths.shape != (len(coverages), *by, edges.shape[2] + 1):
            raise ModelError("damaged intervals: their shapes do not fit reactivities")
        edges[np.isnan(edges)] = np.inf
        if (edges[..., 1:] < edges[..., :-1]).any():
            raise ModelError("damaged intervals: their bins are not in order")
        return cls(coverages, edges, widths)


class MeanIntervals:
    """Around the mean of several networks: the mean of their half-widths.

    A mean errs no more than its parts do on average, so these are rather too wide than too narrow.
    """

    def __init__(self, parts: Sequence[ProfileIntervals]) -> None:
        self.parts = tuple(parts)
        self.coverages = tuple(c for c in parts[0].coverages if all(c in p.coverages for p in parts))

    def half_width(self, coverage: float, values: Floats, tokens: NDArray[np.uint8]) -> Floats:
        """As :meth:`ProfileIntervals.half_width`."""
        widths = [part.half_width(coverage, values, tokens) for part in self.parts]
        mean: Floats = np.mean(widths, axis=0, dtype=np.float32)
        return mean


def fit_profile_intervals(
    prediction: Floats, truth: Floats, tokens: NDArray[np.uint8], coverages: Sequence[float] = COVERAGES
) -> ProfileIntervals:
    """From nucleotides of molecules that did not train.

    Args:
        prediction: (N, 2) or more columns.
        truth: (N, 2) measured; rows with a NaN are not used.
        tokens: (N,).
    """
    used = np.isfinite(truth).all(1)
    guess, real, tokens = np.clip(prediction[used, :2], 0, 1), np.clip(truth[used], 0, 1), tokens[used]
    shape = (len(CHEMICALS), len(ALPHABET))
    edges = np.full((*shape, BINS - 1), np.inf, np.float32)
    widths = np.full((len(coverages), *shape, BINS), np.nan, np.float32)
    for c, t in np.ndindex(*shape):
        level, error = guess[tokens == t, c], np.abs(guess - real)[tokens == t, c]
        n_bins = int(np.clip(len(level) // _FEWEST, 1, BINS))
        cuts = np.quantile(level, np.arange(1, n_bins) / n_bins) if len(level) else np.empty(0)
        edges[c, t, : n_bins - 1] = cuts
        place = np.searchsorted(edges[c, t], level, side="right")
        for k in range(n_bins):
            points = np.sort(error[place == k])
            # Where many predictions are equal a bin may stay empty: nothing will fall into it.
            widths[:, c, t, k] = [quantile(points if len(points) else np.sort(error), q) for q in coverages]
    return ProfileIntervals(tuple(coverages), edges, widths)


@dataclass(frozen=True, eq=False)
class HeldProfiles:
    """What intervals held: share of the nucleotides and mean width (after clipping to [0, 1]).

    ``coverage`` and ``width`` are (5, 2): A, C, G, U, all, by chemical; NaN where nothing was measured.
    """

    coverage: Doubles
    width: Doubles


class HeldTally:
    """Counts what the intervals of ``coverage`` hold of nucleotides that come in parts."""

    def __init__(self, intervals: ProfileIntervals | MeanIntervals, coverage: float) -> None:
        self._intervals, self._coverage = intervals, coverage
        shape = (len(ALPHABET), len(CHEMICALS))
        self._inside, self._width, self._count = (np.zeros(shape) for _ in range(3))

    def add(self, prediction: Floats, truth: Floats, tokens: NDArray[np.uint8]) -> None:
        """(N, 2 or more columns), (N, 2) and (N,); rows of ``truth`` with a NaN do not count."""
        used = np.isfinite(truth).all(1)
        guess, real, tokens = np.clip(prediction[used, :2], 0, 1), np.clip(truth[used], 0, 1), tokens[used]
        half = self._intervals.half_width(self._coverage, guess, tokens)
        low, high = bounds(guess, half)
        # Of numbers that are rounded to float32 an error may exceed its own quantile by a digit.
        inside = np.abs(guess - real) <= half + np.float32(1e-6)
        for t in range(len(ALPHABET)):
            where = tokens == t
            self._inside[t] += inside[where].sum(0)
            self._width[t] += (high - low)[where].sum(0, dtype=np.float64)
            self._count[t] += where.sum()

    def held(self) -> HeldProfiles:
        def with_all(sums: Doubles) -> Doubles:
            return np.concatenate([sums, sums.sum(0, keepdims=True)])

        with np.errstate(invalid="ignore"):
            count = with_all(self._count)
            return HeldProfiles(with_all(self._inside) / count, with_all(self._width) / count)


def bounds(prediction: Floats, half_width: Floats) -> tuple[Floats, Floats]:
    """The ends (N, 2) of intervals, no further than reactivities are told apart."""
    guess = prediction[:, : len(CHEMICALS)]
    return np.clip(guess - half_width, 0, 1), np.clip(guess + half_width, 0, 1)
