"""Molecules as batches: similar lengths together, no Python loop over molecules.

Axes: M molecules, B molecules of a batch, L nucleotides of its longest, 2 chemicals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.core.batch import TokenBatch
from understudy.errors import ConfigError
from understudy.rna.molecules import Molecules
from understudy.rna.pairing import Pairs
from understudy.rna.pairing.pairs import ranges

Ints = NDArray[np.int64]


class ReactivityBatch(NamedTuple):
    """Inputs, and what was measured.

    Attributes:
        inputs: what the network sees.
        reactivity, error: ``(B, L, 2)`` float32, NaN where not measured or not to be learnt from.
        weight: ``(B, 2)`` float32, what a measured value of the molecule and chemical counts.
    """

    inputs: TokenBatch
    reactivity: Tensor
    error: Tensor
    weight: Tensor


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences as flat arrays, with what is known of their pairing; None: nothing.

    Args:
        tokens: (N,) of all sequences one after the other.
        offsets: (M + 1,) where each begins.
    """

    tokens: NDArray[np.uint8]
    offsets: Ints
    pairs: Pairs | None = None

    @cached_property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def batch(self, index: Ints, reverse: NDArray[np.bool_] | None = None) -> TokenBatch:
        """The sequences ``index``; ``reverse`` (B,) says which of them are to be read backwards."""
        rows, mask = self.rows(index, reverse)
        tokens = torch.from_numpy(self.tokens[rows].astype(np.int64))
        if self.pairs is None:
            return TokenBatch(tokens, torch.from_numpy(mask))
        pairs = dense(self.pairs, index, self.lengths[index], reverse)
        known = torch.ones(len(index), dtype=torch.bool)
        return TokenBatch(tokens, torch.from_numpy(mask), torch.from_numpy(pairs), known)

    def rows(self, index: Ints, reverse: NDArray[np.bool_] | None = None) -> tuple[Ints, NDArray[np.bool_]]:
        """Places ``(B, L)`` in the flat arrays, and which of them belong to the sequence."""
        lengths = self.lengths[index][:, None]
        place = np.arange(int(lengths.max()))
        mask = place < lengths
        inside = np.where(mask, place, 0)
        if reverse is not None:
            inside = np.where(reverse[:, None] & mask, lengths - 1 - inside, inside)
        rows: Ints = self.offsets[index][:, None] + inside
        return rows, mask


@dataclass(frozen=True, eq=False)
class Probed:
    """Molecules with what is known of their pairing; None: nothing.

    ``unknowable`` (N, 2) says of which nucleotides no molecule of the library tells anything; None: of none.
    """

    molecules: Molecules
    pairs: Pairs | None = None
    unknowable: NDArray[np.bool_] | None = None

    @cached_property
    def inputs(self) -> Sequences:
        return Sequences(self.molecules.tokens, self.molecules.offsets, self.pairs)

    def measured(
        self, index: Ints, weight: NDArray[np.float32], reverse: NDArray[np.bool_] | None = None
    ) -> ReactivityBatch:
        """Inputs and measurements of the molecules ``index``; ``weight`` is ``(M, 2)``."""
        rows, mask = self.inputs.rows(index, reverse)
        reactivity, error = self.molecules.reactivity[rows], self.molecules.error[rows]
        reactivity[~mask], error[~mask] = np.nan, np.nan
        return ReactivityBatch(
            self.inputs.batch(index, reverse),
            torch.from_numpy(reactivity),
            torch.from_numpy(error),
            torch.from_numpy(weight[index]),
        )

    def nowhere_known(self, index: Ints, reverse: NDArray[np.bool_] | None = None) -> Tensor:
        """``(B, L, 2)`` what ``unknowable`` says of the molecules ``index``."""
        rows, mask = self.inputs.rows(index, reverse)
        if self.unknowable is None:
            return torch.zeros((*rows.shape, 2), dtype=torch.bool)
        return torch.from_numpy(self.unknowable[rows] & mask[..., None])


def dense(
    pairs: Pairs, index: Ints, lengths: Ints, reverse: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Pairing probabilities of the sequences ``index`` as ``(B, L, L)``, zero behind their ends."""
    counts = np.diff(pairs.offsets)[index]
    rows = ranges(pairs.offsets[:-1][index], counts)
    owner = np.repeat(np.arange(len(index)), counts)
    i, j = pairs.i[rows].astype(np.int64), pairs.j[rows].astype(np.int64)
    if reverse is not None:
        turned, last = reverse[owner], lengths[owner] - 1
        i, j = np.where(turned, last - i, i), np.where(turned, last - j, j)
    length = int(lengths.max())
    matrices = np.zeros((len(index), length, length), np.float32)
    matrices[owner, i, j] = pairs.p[rows]
    matrices[owner, j, i] = pairs.p[rows]
    return matrices


@dataclass(frozen=True)
class Batching:
    """How molecules are put together.

    Args:
        molecules: of a batch at most.
        bucket: molecules whose lengths divided by this agree may meet in a batch.
        positions: of a batch at most, padding counted; None: bounded by the number of molecules only.

    Raises:
        ConfigError: a value out of range.
    """

    molecules: int
    bucket: int = 16
    positions: int | None = None

    def __post_init__(self) -> None:
        if self.bucket < 1:
            raise ConfigError(f"dataset.bucket must be at least 1, not {self.bucket}")
        if self.positions is not None and self.positions < 1:
            raise ConfigError(f"dataset.positions must be at least 1, not {self.positions}")

    def sizes(self, lengths: Ints) -> Ints:
        """(M,) how many molecules a batch may hold of which the longest has this length."""
        if self.positions is None:
            return np.full(len(lengths), self.molecules, np.int64)
        sizes: Ints = np.clip(self.positions // np.maximum(lengths, 1), 1, self.molecules)
        return sizes

    def cut(self, lengths: Ints, order: Ints) -> list[Ints]:
        """``order``, molecule numbers, as batches of one bucket each that keep the order within a bucket."""
        buckets = lengths[order] // self.bucket
        by_bucket = order[np.argsort(buckets, kind="stable")]
        edges = np.flatnonzero(np.diff(lengths[by_bucket] // self.bucket)) + 1
        batches: list[Ints] = []
        for part in np.split(by_bucket, edges):
            size = int(self.sizes(lengths[part]).min())
            batches += [part[first : first + size] for first in range(0, len(part), size)]
        return batches
