"""Stand-ins for a trained RNA network: what they give is computed from the sequence, in a way that tests know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.rna.pairing import Pairs
from understudy.rna.sequences import encode

Floats = NDArray[np.float32]


class Local:
    """Sees ``reach`` nucleotides on each side, with other weights left and right; and the sum of each one's pairs.

    Args:
        bytes_a_pair: what it says to take of memory, times the square of the length.
        scale: all values times this, so that some leave [0, 1] from about 2 on.
    """

    def __init__(self, reach: int = 5, *, seed: int = 0, bytes_a_pair: int = 1, scale: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self._weights = rng.exponential(0.5 / (2 * reach + 1), (2 * reach + 1, 4, 4)) * scale
        self._reach = reach
        self._bytes_a_pair = bytes_a_pair
        self.batches: list[list[int]] = []  # the lengths of every batch that was asked for
        self.with_pairs: list[bool] = []

    def bytes_for(self, length: int, batch: int) -> int:
        return self._bytes_a_pair * batch * length**2

    def __call__(self, sequences: Sequence[str], pairs: Pairs | None) -> list[Floats]:
        self.batches.append([len(s) for s in sequences])
        self.with_pairs.append(pairs is not None)
        return [self._one(s, pairs, m) for m, s in enumerate(sequences)]

    def _one(self, sequence: str, pairs: Pairs | None, m: int) -> Floats:
        one_hot = np.eye(4)[encode(sequence, "test")]
        padded = np.pad(one_hot, ((self._reach, self._reach), (0, 0)))
        y = np.zeros((len(sequence), 4))
        for k, weights in enumerate(self._weights):
            y += padded[k : k + len(sequence)] @ weights
        if pairs is not None:
            y[:, 0] *= 1 - pairs.per_nucleotide(m, len(sequence))[:, 0]
        return y.astype(np.float32)


def random_sequence(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGU"), length))


def neighbours(lengths: Sequence[int], reach: int = 7) -> Pairs:
    """Pairs of nucleotides ``reach`` apart, with probabilities that differ from place to place."""
    i = np.concatenate([np.arange(max(0, n - reach)) for n in lengths]).astype(np.uint16)
    p = (0.1 + 0.3 * (i % 3) / 2).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum([max(0, n - reach) for n in lengths])]).astype(np.int64)
    return Pairs(offsets, i, (i + reach).astype(np.uint16), p)
