"""What was read, in numbers for the terminal and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.rna.ingest import kernel
from understudy.rna.ingest.join import Joined, Rows
from understudy.rna.table import CHEMICALS

_LISTED = 20


def _no_histogram() -> NDArray[np.int64]:
    return np.zeros((len(CHEMICALS), kernel.BINS), np.int64)


@dataclass
class Summary:
    """Counts over molecules (M) and rows.

    ``histogram`` is ``(2, BINS)`` over reactivities, before rows that contradict others are left out.
    """

    histogram: NDArray[np.int64] = field(default_factory=_no_histogram)
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # (M,)
    signal_to_noise: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))  # (M, 2)
    passed: NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 2), bool))  # (M, 2) the filter
    datasets: dict[str, int] = field(default_factory=dict)  # molecules of each
    unpaired: list[int] = field(default_factory=lambda: [0, 0])  # molecules without each chemical
    measured: int = 0  # values, both chemicals
    hollow: int = 0  # rows in which nothing was measured
    filter_differs: int = 0  # rows whose SN_filter is not what its definition gives
    ids: int = 0  # distinct
    bad: int = 0  # rows left out because of themselves
    duplicates: int = 0  # rows left out because the experiment stands there already
    other_sequence: int = 0  # rows left out because their id has another sequence before
    listed: list[str] = field(default_factory=list)
    fingerprint: str = ""

    def leave_out(self, lines: Sequence[str]) -> None:
        self.bad += len(lines)
        self.listed += lines[: max(0, _LISTED - len(self.listed))]

    def count(self, rows: Rows, names: Sequence[str], joined: Joined) -> None:
        """Take stock of what will be written."""
        row, one = joined.row, joined.any_row
        used = row[row >= 0]
        self.lengths = rows.length[one].astype(np.int64)
        self.signal_to_noise = np.where(row >= 0, rows.signal_to_noise[row], np.float32(np.nan))
        self.passed = (row >= 0) & rows.sn_filter[row]
        counts = np.bincount(rows.dataset[one], minlength=len(names))
        self.datasets = {name: int(n) for name, n in zip(names, counts, strict=True) if n}
        self.unpaired = [int((row[:, k] < 0).sum()) for k in range(len(CHEMICALS))]
        self.measured = int(rows.measured[used].sum())
        self.hollow = int((rows.measured[used] == 0).sum())
        reads = rows.reads[used]
        by_definition = (rows.signal_to_noise[used] > 1) & (np.isnan(reads) | (reads > 100))
        self.filter_differs = int((by_definition != rows.sn_filter[used]).sum())
        self.ids = len(np.unique(rows.sequence_hash[used]))
