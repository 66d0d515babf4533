"""What a nucleotide sees of its molecule, as rows of numbers: neighbours and pairing.

Axes: M molecules of a table, S of them selected, N nucleotides of the selected ones, one molecule after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from understudy.rna.pairing.pairs import offsets_of, ranges

if TYPE_CHECKING:
    from understudy.rna.molecules import Molecules
    from understudy.rna.pairing import Pairs

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]

CERTAIN = 0.95  # of being paired, from where on a nucleotide cannot react
ZONE = 10  # nucleotides, counted from the 3' end, that have a level in common
FEWEST = 200  # nucleotides that make a median worth believing
OUTSIDE = 4  # the token beyond the ends of a molecule, after those of A, C, G and U


def rows_of(offsets: Integers, index: Integers) -> NDArray[np.int64]:
    """The rows (N,) of the runs ``index``, one after the other, in a flat array cut by ``offsets``."""
    starts = np.asarray(offsets, np.int64)[index]
    return ranges(starts, np.asarray(offsets, np.int64)[np.asarray(index) + 1] - starts)


def places_of(molecules: Molecules, index: Integers) -> NDArray[np.int64]:
    """(N,) how far each nucleotide of the molecules ``index`` is from the 3' end."""
    lengths = molecules.lengths[index]
    ends = np.repeat(np.cumsum(lengths), lengths)
    places: NDArray[np.int64] = ends - 1 - np.arange(len(ends))
    return places


def counted_rows(molecules: Molecules, index: Integers) -> NDArray[np.bool_]:
    """Which of the nucleotides (N,) of the molecules ``index`` count for the official figure.

    A nucleotide counts where both chemicals were measured, in molecules of which both experiments have
    ``SN_filter = 1``.
    """
    rows = rows_of(molecules.offsets, index)
    measured = np.asarray(np.isfinite(molecules.reactivity[rows]).all(axis=1), np.bool_)
    return measured & np.repeat(molecules.scored[index], molecules.lengths[index])


def drawn(molecules: Molecules, index: Integers, most: int | None, seed: int = 0) -> Integers:
    """The scored ones of ``index``, or ``most`` of them drawn by ``seed``, in their order."""
    scored = index[molecules.scored[index]]
    if most is None or len(scored) <= most:
        return scored
    chosen = np.random.default_rng(seed).choice(len(scored), most, replace=False)
    return scored[np.sort(chosen)]


def pairing_of_rows(pairs: Pairs, molecules: Molecules, index: Integers) -> Floats:
    """Sum and maximum (N, 2) of the pairing probabilities of each nucleotide of the molecules ``index``.

    ``pairs`` belongs to all of ``molecules``, in their order.
    """
    return pairing_levels(pairs, molecules.lengths, index)


def pairing_levels(pairs: Pairs, lengths: Integers, index: Integers) -> Floats:
    """As :func:`pairing_of_rows`, of molecules of which only the ``lengths`` (M,) are known."""
    begins = offsets_of(lengths[index])
    rows = rows_of(pairs.offsets, index)
    counts = np.diff(pairs.offsets)[index]
    start = np.repeat(begins[:-1], counts)
    first, second = start + pairs.i[rows], start + pairs.j[rows]
    p = np.asarray(pairs.p[rows], np.float64)
    n = int(begins[-1])
    found = np.zeros((n, 2), np.float32)
    found[:, 0] = np.bincount(first, p, n) + np.bincount(second, p, n)
    largest = np.zeros(n)
    np.maximum.at(largest, first, p)
    np.maximum.at(largest, second, p)
    found[:, 1] = largest
    return np.minimum(found, 1.0, out=found)  # a sum of rounded probabilities may be a hair above


class Windows:
    """The neighbourhood of single nucleotides: tokens, and pairing where there is any, of ``width`` on each side.

    Nothing is stored for a nucleotide before it is asked for, so that memory is bounded by the rows of a call.
    """

    def __init__(
        self, tokens: NDArray[np.uint8], offsets: Integers, pairing: Floats | None, width: int
    ) -> None:
        self.tokens, self.pairing = tokens, pairing
        self.offsets = np.asarray(offsets, np.int64)
        self.shifts = np.arange(-width, width + 1)

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, rows: Integers) -> Floats:
        """Features of the nucleotides ``rows``: the tokens of the window, then its sums of p, then its maxima."""
        molecule = np.searchsorted(self.offsets, rows, side="right") - 1
        first, last = self.offsets[molecule], self.offsets[molecule + 1] - 1
        near = np.asarray(rows)[:, None] + self.shifts
        inside = (near >= first[:, None]) & (near <= last[:, None])
        near = np.where(inside, near, 0)
        n = len(self.shifts)
        found = np.empty((len(near), n if self.pairing is None else 3 * n), np.float32)
        found[:, :n] = np.where(inside, self.tokens[near], OUTSIDE)
        if self.pairing is not None:
            for k in range(2):
                found[:, (k + 1) * n : (k + 2) * n] = np.where(inside, self.pairing[near, k], 0.0)
        return found
