"""Which rows are the two experiments on one molecule, wherever they stand in the files.

Axes: R rows of all files in the order they were read, M molecules, 2 chemicals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.rna.table import CHEMICALS


@dataclass(frozen=True)
class Rows:
    """What is known of every good row; its values lie in the spill."""

    ids: pa.StringArray  # (R,)
    dataset: NDArray[np.int16]
    chemical: NDArray[np.int8]
    sequence_hash: NDArray[np.uint64]
    file: NDArray[np.int16]
    line: NDArray[np.int64]
    at: NDArray[np.int64]  # first nucleotide in the spill
    length: NDArray[np.int32]
    measured: NDArray[np.int32]
    signal_to_noise: NDArray[np.float32]
    reads: NDArray[np.float32]
    sn_filter: NDArray[np.bool_]


@dataclass(frozen=True)
class Joined:
    """Molecules in the order in which the first of their rows stands.

    ``row`` is ``(M, 2)``, -1 where an experiment is absent. ``twice`` and ``other_sequence`` are pairs of rows:
    one that was left out, and the earlier one that it contradicts.
    """

    row: NDArray[np.int64]
    twice: NDArray[np.int64]
    other_sequence: NDArray[np.int64]

    @property
    def any_row(self) -> NDArray[np.int64]:
        """(M,) the row of one of the experiments."""
        return np.where(self.row[:, 0] >= 0, self.row[:, 0], self.row[:, 1])


def join(rows: Rows) -> Joined:
    """Rows pair by id and data set; of contradicting rows the first stays."""
    codes = _codes(rows.ids)
    everything = np.arange(len(codes))
    first = _first_of(codes)[codes]  # the row where this id stands first
    other = rows.sequence_hash != rows.sequence_hash[first]
    key = codes * (int(rows.dataset.max(initial=0)) + 1) + rows.dataset
    experiment = key * len(CHEMICALS) + rows.chemical
    kept = everything[~other]
    _, places, inverse = np.unique(experiment[kept], return_index=True, return_inverse=True)
    earliest = kept[places][inverse]
    again = earliest != kept
    used = kept[~again]
    _, places, inverse = np.unique(key[used], return_index=True, return_inverse=True)
    order = np.argsort(places)  # molecules by their first row, not by key
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    row = np.full((len(order), len(CHEMICALS)), -1, np.int64)
    row[rank[inverse], rows.chemical[used]] = used
    return Joined(
        row,
        np.stack([kept[again], earliest[again]], axis=1),
        np.stack([everything[other], first[other]], axis=1),
    )


def _codes(ids: pa.StringArray) -> NDArray[np.int64]:
    """(R,) a number for each distinct id, in order of appearance."""
    return ids.dictionary_encode().indices.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def _first_of(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every code the first row that has it."""
    first = np.empty(int(codes.max(initial=-1)) + 1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first
