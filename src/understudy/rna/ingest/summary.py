"""What was read, counted, and in words for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from understudy.rna.table import CHEMICALS, Floats, Molecules

BIN, FIRST_BIN, BINS = 0.02, -1.0, 200  # of the histogram of reactivities; the outermost bins hold the rest
LARGEST = 1000.0  # reactivities are about 1 where the chemical reacts; real files hold -38 to 44
LISTED = 20  # bad rows whose lines are kept; the others are counted


def histogram_of(reactivity: Floats) -> NDArray[np.int64]:
    """(2, BINS) of values ``(N, 2)``; NaN is not counted."""
    k = np.floor((reactivity - FIRST_BIN) / BIN).clip(0, BINS - 1)
    return np.stack(
        [np.bincount(column[~np.isnan(column)].astype(np.int64), minlength=BINS) for column in k.T]
    )


@dataclass(frozen=True)
class Stock:
    """What is known of M molecules beside their values; the columns of pairs are the chemicals.

    ``sequence`` is equal for equal sequences, ``measured`` counts the positions with a reactivity.
    """

    lengths: NDArray[np.int64]  # (M,)
    sequence: NDArray[np.uint64]  # (M,)
    dataset: NDArray[np.int16]  # (M,)
    dataset_names: Sequence[str]
    present: NDArray[np.bool_]  # (M, 2)
    measured: NDArray[np.int64]  # (M, 2)
    signal_to_noise: Floats  # (M, 2)
    reads: Floats  # (M, 2)
    sn_filter: NDArray[np.bool_]  # (M, 2)


def stock_of(molecules: Molecules, present: NDArray[np.bool_]) -> Stock:
    """Of molecules in memory; ``present`` says which experiments there are."""
    n = len(molecules)
    measured = np.zeros((n, len(CHEMICALS)), np.int64)
    molecule = np.repeat(np.arange(n), molecules.lengths)
    np.add.at(measured, molecule, ~np.isnan(molecules.reactivity))
    sequence = np.array([hash(molecules.sequence(i)) for i in range(n)], np.int64).view(np.uint64)
    return Stock(
        molecules.lengths,
        sequence,
        molecules.dataset,
        molecules.dataset_names,
        present,
        measured,
        molecules.signal_to_noise,
        molecules.reads,
        molecules.sn_filter,
    )


@dataclass
class Summary:
    """Counts of what was read and of what was left out.

    ``histogram`` is ``(2, BINS)`` over all good rows, those included that contradict an earlier one.
    """

    stock: Stock | None = None
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CHEMICALS), BINS), np.int64))
    bad: int = 0  # rows left out because of themselves
    duplicates: int = 0  # rows left out because the experiment stands there already
    other_sequence: int = 0  # rows left out because their id has another sequence before
    listed: list[str] = field(default_factory=list)  # the first of those rows, with the reason
    notes: list[str] = field(default_factory=list)
    fingerprint: str = ""

    def leave_out(self, lines: Sequence[str]) -> None:
        """Bad rows."""
        self.bad += len(lines)
        self.name(lines)

    def name(self, lines: Sequence[str]) -> None:
        """Keep the first few lines for the terminal."""
        self.listed += lines[: max(0, LISTED - len(self.listed))]

    @property
    def left_out(self) -> int:
        return self.bad + self.duplicates + self.other_sequence

    @property
    def filter_differs(self) -> int:
        """Experiments whose SN_filter is not what signal_to_noise and reads give."""
        if self.stock is None:
            return 0
        s = self.stock
        by_definition = passes(s.signal_to_noise, s.reads)
        return int(((by_definition != s.sn_filter) & s.present).sum())

    def lines(self) -> list[str]:
        """The table for the terminal, a line a figure."""
        rows = [*self._rows(), ("left out", self._omissions())]
        wide = max(len(name) for name, _ in rows)
        told = [f"left out: {line}" for line in self.listed]
        if self.left_out > len(self.listed):
            told.append(f"left out: {self.left_out - len(self.listed):,} more")
        return [
            *told,
            *(f"{name:<{wide}}  {text}" for name, text in rows),
            *(f"note: {n}" for n in self.notes),
        ]

    def _rows(self) -> list[tuple[str, str]]:
        s = self.stock
        if s is None or not len(s.lengths):
            return [("molecules", "0")]
        m = len(s.lengths)
        counts = np.bincount(s.dataset, minlength=len(s.dataset_names))
        names = [f"{name} {n:,}" for name, n in zip(s.dataset_names, counts, strict=True) if n]
        shown = ", ".join(names[:8]) + (f", {len(names) - 8} more" if len(names) > 8 else "")
        distinct = len(np.unique(s.sequence))
        lengths, times = np.unique(s.lengths, return_counts=True)
        nucleotides = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        nucleotides += (
            f" nucleotides, most often {lengths[np.argmax(times)]}" if len(lengths) > 1 else " nucleotides"
        )
        rows = [
            ("molecules", f"{m:,}, {distinct:,} different sequences"),
            ("data sets", shown),
            ("lengths", nucleotides),
        ]
        if not s.present.any():
            return [*rows, ("experiments", "none: sequences only")]
        share = [*s.sn_filter.mean(axis=0), s.sn_filter.all(axis=1).mean()]
        labels = [*CHEMICALS, "both"]
        rows.append(("SN_filter", ", ".join(f"{n} {x:.1%}" for n, x in zip(labels, share, strict=True))))
        medians = [_median(column) for column in s.signal_to_noise.T]
        rows.append(
            (
                "signal_to_noise",
                ", ".join(f"{c} {x}" for c, x in zip(CHEMICALS, medians, strict=True)) + " (median)",
            )
        )
        rows.append(("values", f"{s.measured.sum():,} measured reactivities"))
        lone = (~s.present).sum(axis=0)
        unpaired = [f"{n:,} without {c}" for c, n in zip(CHEMICALS, lone, strict=True) if n]
        rows.append(("unpaired", ", ".join(unpaired) or "none"))
        rows.append(("nothing measured", f"{((s.measured == 0) & s.present).sum():,} experiments"))
        if self.filter_differs:
            rows.append(
                (
                    "SN_filter differs",
                    f"from signal_to_noise > 1 and reads > 100 in {self.filter_differs:,} experiments",
                )
            )
        return rows

    def _omissions(self) -> str:
        parts = [
            (self.bad, "bad"),
            (self.duplicates, "stand twice"),
            (self.other_sequence, "with another sequence for their id"),
        ]
        return ", ".join(f"{n:,} {what}" for n, what in parts if n) or "nothing"


def passes(signal_to_noise: Floats, reads: Floats) -> NDArray[np.bool_]:
    """The filter of quality by its definition: signal to noise above 1 and over 100 reads, if those are known."""
    passed: NDArray[np.bool_] = (signal_to_noise > 1) & (np.isnan(reads) | (reads > 100))
    return passed


def _median(values: Floats) -> str:
    known = values[~np.isnan(values)]
    return f"{np.median(known):.2f}" if len(known) else "unknown"
