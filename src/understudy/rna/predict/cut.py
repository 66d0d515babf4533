"""Base-pairing probabilities of parts of molecules, and read from the other end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudy.rna.pairing.pairs import Pairs, offsets_of, ranges


class Part(NamedTuple):
    """Nucleotides ``begin`` to ``end`` (from 0, without ``end``) of molecule ``m``, of which some are kept."""

    m: int
    begin: int
    end: int
    keep_from: int
    keep_to: int

    @property
    def length(self) -> int:
        return self.end - self.begin


def cut_pairs(pairs: Pairs, parts: Sequence[Part]) -> Pairs:
    """The pairs of each part, counted from its first nucleotide; a pair that leaves the part is left out."""
    m, begin, end = (np.array([part[k] for part in parts], np.int64) for k in range(3))
    counts = np.diff(pairs.offsets)[m]
    owner = np.repeat(np.arange(len(parts)), counts)
    rows = ranges(pairs.offsets[:-1][m], counts)
    inside = (pairs.i[rows] >= begin[owner]) & (pairs.j[rows] < end[owner])
    owner, rows = owner[inside], rows[inside]
    return Pairs(
        offsets_of(np.bincount(owner, minlength=len(parts))),
        _indices(pairs.i[rows] - begin[owner]),
        _indices(pairs.j[rows] - begin[owner]),
        pairs.p[rows],
    )


def flip_pairs(pairs: Pairs, lengths: Sequence[int]) -> Pairs:
    """The pairs of the same molecules written from the other end."""
    counts = np.diff(pairs.offsets)
    last = np.repeat(np.array(lengths, np.int64) - 1, counts)
    return Pairs(pairs.offsets, _indices(last - pairs.j), _indices(last - pairs.i), pairs.p)


def _indices(values: NDArray[np.int64]) -> NDArray[np.uint16]:
    return values.astype(np.uint16)


__all__ = ["Part", "cut_pairs", "flip_pairs"]
