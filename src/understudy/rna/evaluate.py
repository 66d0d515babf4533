"""How well reactivity profiles are predicted: the official figure and where it comes from.

A nucleotide *counts* where both chemicals were measured, in a molecule of which both experiments have
``SN_filter = 1``. Its error is the absolute difference of the predicted and the measured reactivity, both clipped
to [0, 1]; the official figure is the mean over all that counts, both chemicals pooled.

Axes: S selected molecules, N nucleotides of them, one molecule after the other, 2 chemicals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from understudy.core.intervals import DEFAULT
from understudy.report.numbers import percent
from understudy.rna.features import Integers, rows_of
from understudy.rna.intervals import HeldProfiles, HeldTally, MeanIntervals, ProfileIntervals
from understudy.rna.molecules import ALPHABET, CHEMICALS, Molecules
from understudy.rna.pairing.pairs import offsets_of
from understudy.rna.tallies import (
    Breakdown,
    Calibration,
    CalibrationTally,
    Doubles,
    Tally,
    correlations,
    length_groups,
)

PAIRED_FROM = 0.5  # a nucleotide counts as paired from this probability on
DENSITY = 40  # squares along a side of the density of predicted and measured values

_CHUNK = 2_000_000  # nucleotides that are looked at together
_SAMPLE = 200_000  # predicted errors that decide the bins of the calibration


@dataclass(frozen=True, eq=False)
class ProfileEvaluation:
    """The errors of one method on the molecules ``index`` of ``molecules``.

    Args:
        prediction: (N, 4): 2A3, DMS, predicted errors of the two (NaN: none predicted).
        offsets: (S + 1,) where each molecule begins in ``prediction``.
        pairing: (N, 2) sum and maximum of pairing probabilities, or None where they were not given.
        counted: (N,) what counts.
        overall: one group: everything.
        by: ``nucleotide``, ``data set``, ``length``, ``position`` (from the 5' end, counted from 1) and, with
            pairing, ``pairing`` (unpaired, paired).
        molecule: a group for each of the selected molecules.
        pearson: (S, 2) correlation of clipped predicted and measured values; NaN where nothing counts.
        calibration: of the predicted errors of each chemical; None where none are predicted.
        density: (2, DENSITY, DENSITY) nucleotides by clipped measured (rows) and predicted (columns) value.
        seconds_per_molecule: what predicting took; NaN if unknown.
        intervals: what the network was calibrated with; None where it was not.
    """

    name: str
    molecules: Molecules
    index: Integers
    prediction: NDArray[np.float32]
    offsets: NDArray[np.int64]
    pairing: NDArray[np.float32] | None
    counted: NDArray[np.bool_]
    overall: Breakdown
    by: dict[str, Breakdown]
    molecule: Breakdown
    pearson: Doubles
    calibration: tuple[Calibration | None, ...]
    density: NDArray[np.int64]
    seconds_per_molecule: float = float("nan")
    intervals: ProfileIntervals | MeanIntervals | None = None

    def held(self, coverage: float) -> HeldProfiles | None:
        """What the intervals hold of the nucleotides that count."""
        return self._held.get(coverage)

    @cached_property
    def _held(self) -> dict[float, HeldProfiles]:
        """Of every coverage, in one pass."""
        if self.intervals is None or not self.n_scored:
            return {}
        tallies = {c: HeldTally(self.intervals, c) for c in self.intervals.coverages}
        for first, last in _chunks(self.offsets):
            a, b = self.offsets[first], self.offsets[last]
            counted = self.counted[a:b]
            rows = rows_of(self.molecules.offsets, self.index[first:last])[counted]
            measured, tokens = self.molecules.reactivity[rows], self.molecules.tokens[rows]
            for tally in tallies.values():
                tally.add(self.prediction[a:b][counted], measured, tokens)
        return {c: tally.held() for c, tally in tallies.items()}

    @property
    def mae(self) -> float:
        """The official figure; NaN where nothing counts, or a prediction that counts is not a number."""
        return float(self.overall.mae[0])

    @property
    def n_scored(self) -> int:
        """Molecules of which something counts."""
        return int((self.molecule.count > 0).sum())

    def order(self) -> NDArray[np.int64]:
        """The molecules of which something counts, as rows of ``index``, from the best to the worst."""
        score = self.molecule.mae
        kept = np.flatnonzero(self.molecule.count > 0)
        return kept[np.argsort(score[kept], kind="stable")]  # numpy sorts NaN to the end


def evaluate_profiles(
    name: str,
    molecules: Molecules,
    index: Integers | Sequence[int],
    prediction: NDArray[np.float32],
    *,
    pairing: NDArray[np.float32] | None = None,
    seconds_per_molecule: float = float("nan"),
) -> ProfileEvaluation:
    """Compare ``prediction`` (N, 4) with what was measured on the molecules ``index``.

    ``pairing`` (N, 2) is what :func:`~understudy.rna.features.pairing_of_rows` says of the same nucleotides.
    Memory beside the arguments is bounded, apart from a byte for each nucleotide.
    """
    chosen = np.asarray(index, np.int64)
    lengths = molecules.lengths[chosen]
    offsets = offsets_of(lengths)
    if prediction.shape != (offsets[-1], 4):
        raise ValueError(f"a prediction of shape {prediction.shape} instead of {(int(offsets[-1]), 4)}")
    counting = _Counting(molecules, chosen, offsets, prediction, pairing)
    for first, last in _chunks(offsets):
        counting.add(first, last)
    return ProfileEvaluation(
        name,
        molecules,
        chosen,
        prediction,
        offsets,
        pairing,
        counting.counted,
        counting.overall.breakdown(),
        {key: tally.breakdown() for key, tally in counting.by.items()},
        counting.molecule.breakdown(),
        counting.pearson,
        tuple(c.calibration() if c else None for c in counting.calibration),
        counting.density,
        seconds_per_molecule,
    )


class _Counting:
    """All sums of an evaluation, and the parts that have been added to them."""

    def __init__(
        self,
        molecules: Molecules,
        index: Integers,
        offsets: NDArray[np.int64],
        prediction: NDArray[np.float32],
        pairing: NDArray[np.float32] | None,
    ) -> None:
        self.molecules, self.index, self.offsets = molecules, index, offsets
        self.prediction, self.pairing = prediction, pairing
        lengths = np.diff(offsets)
        self.length_group, length_labels = length_groups(lengths)
        longest = int(lengths.max(initial=0))
        self.overall = Tally(("all",))
        self.by = {
            "nucleotide": Tally(tuple(ALPHABET)),
            "data set": Tally(molecules.dataset_names),
            "length": Tally(length_labels),
            "position": Tally(tuple(map(str, range(1, longest + 1)))),
        }
        if pairing is not None:
            self.by["pairing"] = Tally(("unpaired", "paired"))
        self.molecule = Tally(tuple(molecules.ids[i] for i in index))
        self.pearson = np.full((len(index), 2), np.nan)
        self.counted = np.zeros(len(prediction), np.bool_)
        self.density = np.zeros((2, DENSITY, DENSITY), np.int64)
        stride = max(1, len(prediction) // _SAMPLE)
        self.calibration: list[CalibrationTally | None] = []
        for k in range(2):
            sample = prediction[::stride, 2 + k]
            sample = sample[np.isfinite(sample)]
            self.calibration.append(CalibrationTally(sample) if len(sample) else None)

    def add(self, first: int, last: int) -> None:
        """The molecules ``first:last`` of the selected ones."""
        a, b = self.offsets[first], self.offsets[last]
        which = self.index[first:last]
        source = rows_of(self.molecules.offsets, which)
        lengths = np.diff(self.offsets[first : last + 1])
        measured = self.molecules.reactivity[source]
        scored = np.repeat(self.molecules.scored[which], lengths)
        counted = np.isfinite(measured).all(axis=1) & scored
        self.counted[a:b] = counted
        own = np.repeat(np.arange(last - first), lengths)[counted]
        source = source[counted]
        truth = np.clip(measured[counted].astype(np.float64), 0.0, 1.0)
        guess = np.clip(self.prediction[a:b, :2][counted].astype(np.float64), 0.0, 1.0)
        error = np.abs(guess - truth)

        self.overall.add(np.zeros(len(own), np.int64), error)
        self.molecule.add(own + first, error)
        self.by["nucleotide"].add(self.molecules.tokens[source], error)
        self.by["data set"].add(self.molecules.dataset[which][own], error)
        self.by["length"].add(self.length_group[first:last][own], error)
        self.by["position"].add(source - self.molecules.offsets[which][own], error)
        if self.pairing is not None:
            paired = self.pairing[a:b, 0][counted] >= PAIRED_FROM
            self.by["pairing"].add(paired.astype(np.int64), error)
        reported, predicted = self.molecules.error[source], self.prediction[a:b, 2:][counted]
        for k, calibration in enumerate(self.calibration):
            self.pearson[first:last, k] = correlations(own, last - first, guess[:, k], truth[:, k])
            self.density[k] += _density(truth[:, k], guess[:, k])
            if calibration is not None:
                calibration.add(
                    predicted[:, k].astype(np.float64), reported[:, k].astype(np.float64), error[:, k]
                )


def _density(truth: Doubles, guess: Doubles) -> NDArray[np.int64]:
    kept = ~np.isnan(guess)
    row, column = (np.minimum((v[kept] * DENSITY).astype(np.int64), DENSITY - 1) for v in (truth, guess))
    return np.bincount(row * DENSITY + column, minlength=DENSITY * DENSITY).reshape(DENSITY, DENSITY)


def _chunks(offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of whole molecules of about ``_CHUNK`` nucleotides."""
    runs, first = [], 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + _CHUNK, side="right")) - 1
        last = max(last, first + 1)
        runs.append((first, last))
        first = last
    return runs


def metrics_of(evaluation: ProfileEvaluation, prefix: str = "test") -> dict[str, float]:
    """Every figure by name: ``test/mae``, ``test/mae/2A3``, ``test/mae/length/170``, ``test/mae/A/DMS``, …

    What nothing counts for is left out.
    """
    named = {f"{prefix}/mae": evaluation.mae}
    for k, chemical in enumerate(CHEMICALS):
        named[f"{prefix}/mae/{chemical}"] = float(evaluation.overall.by_chemical[0, k])
        named[f"{prefix}/pearson/{chemical}"] = _mean(evaluation.pearson[:, k])
        calibration = evaluation.calibration[k]
        if calibration is not None:
            named[f"{prefix}/error_within/{chemical}"] = calibration.within
            named[f"{prefix}/error_correlation/{chemical}"] = calibration.correlation
    if (found := evaluation.held(DEFAULT)) is not None:
        for k, chemical in enumerate(CHEMICALS):
            named[f"{prefix}/coverage_{DEFAULT:g}/{chemical}"] = float(found.coverage[-1, k])
            named[f"{prefix}/width_{DEFAULT:g}/{chemical}"] = float(found.width[-1, k])
    for kind, path in (("data set", "dataset/"), ("length", "length/"), ("pairing", "")):
        if kind in evaluation.by:
            by = evaluation.by[kind]
            named |= {f"{prefix}/mae/{path}{g}": float(v) for g, v in zip(by.labels, by.mae, strict=True)}
    nucleotide = evaluation.by["nucleotide"]
    for letter, pooled, values in zip(nucleotide.labels, nucleotide.mae, nucleotide.by_chemical, strict=True):
        named[f"{prefix}/mae/{letter}"] = float(pooled)
        for k, chemical in enumerate(CHEMICALS):
            named[f"{prefix}/mae/{letter}/{chemical}"] = float(values[k])
    named[f"{prefix}/molecules"] = float(evaluation.n_scored)
    named[f"{prefix}/seconds_per_molecule"] = evaluation.seconds_per_molecule
    return {name: value for name, value in named.items() if np.isfinite(value)}


def table_lines(evaluation: ProfileEvaluation, others: Sequence[ProfileEvaluation]) -> list[str]:
    """The official figure of every method, and by chemical, for the terminal."""
    everyone = [evaluation, *others]
    n = evaluation.n_scored
    head = f"mean absolute error, {n:,} molecule{'s' * (n != 1)}"
    width = max(len(head), *(len(e.name) for e in everyone))
    lines = [f"{head:{width}}{'both':>10}" + "".join(f"{c:>10}" for c in CHEMICALS)]
    for e in everyone:
        values = [e.mae, *e.overall.by_chemical[0]]
        lines.append(f"{e.name:{width}}" + "".join(f"{v:>10.4f}" for v in values))
    if (found := evaluation.held(DEFAULT)) is not None:
        held = ", ".join(
            f"{c} {percent(float(x), 1)}" for c, x in zip(CHEMICALS, found.coverage[-1], strict=True)
        )
        lines.append(f"intervals of {percent(DEFAULT)} hold {held} of the nucleotides")
    return lines


def _mean(values: Doubles) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")
