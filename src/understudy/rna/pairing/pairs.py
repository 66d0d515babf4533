"""Sparse base-pairing probabilities of many sequences in four flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sparse base-pairing probabilities of M sequences, K pairs in all.

    Row k says that nucleotides ``i[k] < j[k]`` (counted from 0) pair with probability ``p[k]``. The rows of
    sequence m are ``offsets[m]`` to ``offsets[m + 1]``, sorted by i, then j.
    """

    offsets: Ints  # (M + 1,)
    i: NDArray[np.uint16]  # (K,)
    j: NDArray[np.uint16]  # (K,)
    p: NDArray[np.float32]  # (K,), in [0, 1]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, m: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]:
        """``i, j, p`` of one sequence, as views."""
        rows = slice(int(self.offsets[m]), int(self.offsets[m + 1]))
        return self.i[rows], self.j[rows], self.p[rows]

    def matrix(self, m: int, length: int) -> NDArray[np.float32]:
        """The pairing probabilities of sequence m, (length, length), symmetric, with a zero diagonal."""
        i, j, p = self.of(m)
        matrix = np.zeros((length, length), np.float32)
        matrix[i, j] = p
        matrix[j, i] = p
        return matrix

    def per_nucleotide(self, m: int, length: int) -> NDArray[np.float32]:
        """What each nucleotide of sequence m has: the sum over its partners and the largest, (length, 2)."""
        i, j, p = self.of(m)
        ends, both = np.concatenate([i, j]), np.concatenate([p, p])
        features = np.zeros((length, 2), np.float32)
        features[:, 0] = np.bincount(ends, both, length)
        np.maximum.at(features[:, 1], ends, both)
        return np.minimum(features, 1, out=features)  # the sum of the rounded may be a hair above

    def take(self, index: NDArray[Any] | list[int]) -> Pairs:
        """The sequences ``index`` (numbers or a mask), in that order, as a copy."""
        chosen = np.arange(len(self))[np.asarray(index)]
        counts = np.diff(self.offsets)[chosen]
        rows = ranges(self.offsets[:-1][chosen], counts)
        return Pairs(offsets_of(counts), self.i[rows], self.j[rows], self.p[rows])


def offsets_of(counts: NDArray[Any]) -> Ints:
    """Where each of consecutive runs of these lengths begins, and where the last ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def ranges(starts: NDArray[Any], counts: NDArray[Any]) -> Ints:
    """``starts[0], starts[0] + 1, …``, ``counts[0]`` of them, then those of ``starts[1]``, and so on."""
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    within: Ints = np.arange(total) + np.repeat(starts - (ends - counts), counts)
    return within
