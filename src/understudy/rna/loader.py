"""The order in which molecules are learnt from.

Axes: M molecules, B molecules of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.rna.batches import Batching, Probed, ReactivityBatch
from understudy.rna.medians import Medians
from understudy.rna.pieces import random_pieces
from understudy.rna.usual import ends_of, with_usual

Ints = NDArray[np.int64]


class MoleculeLoader:
    """Training batches in an order that depends on seed and epoch only.

    ``state_dict`` and ``load_state_dict`` let Lightning resume in the middle of an epoch with the batch that would
    have come next. Several ranks each take their share of the batches of an epoch. What is ``usual`` is taught
    where no molecule tells anything, with ``ends`` also beyond what was measured of a molecule.
    """

    def __init__(
        self,
        data: Probed,
        molecules: Sequence[int] | Ints,
        weight: NDArray[np.float32],
        batching: Batching,
        *,
        seed: int,
        flip: bool = False,
        pieces: float = 0.0,
        ends: bool = False,
        usual: Medians | None = None,
        max_batches: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.data = data
        self.molecules = np.asarray(molecules, np.int64)
        self.weight = weight
        self.batching = batching
        self.seed, self.max_batches = seed, max_batches
        self.flip, self.pieces = flip, pieces
        self.ends, self.usual = ends, usual
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self._resume_at = self._done = 0
        # Which molecules share a bucket never changes, so neither does the number of batches.
        self._n_batches = len(batching.cut(data.inputs.lengths, self.molecules))

    def __len__(self) -> int:
        each = -(-self._n_batches // self.world_size)
        return min(each, self.max_batches) if self.max_batches else each

    def batches(self) -> list[Ints]:
        """The molecules of every batch of this epoch and rank."""
        rng = np.random.default_rng((self.seed, self.epoch))
        cut = self.batching.cut(self.data.inputs.lengths, rng.permutation(self.molecules))
        order = rng.permutation(len(cut))
        # Every rank takes the same number, or one would wait for ever; some batches come twice.
        each = -(-len(order) // self.world_size)
        mine = np.resize(order, each * self.world_size)[self.rank :: self.world_size]
        return [cut[k] for k in mine[: len(self)]]

    def __iter__(self) -> Iterator[ReactivityBatch]:
        batches = self.batches()
        first, self._resume_at = self._resume_at, 0
        for k in range(first, len(batches)):
            self._done = k + 1
            yield self._batch(k, batches[k])

    def _batch(self, k: int, molecules: Ints) -> ReactivityBatch:
        rng = np.random.default_rng((self.seed, self.epoch, self.rank, k))
        reverse = rng.random(len(molecules)) < 0.5 if self.flip else None
        batch = self.data.measured(molecules, self.weight, reverse)
        if self.usual is not None:
            where = self.data.nowhere_known(molecules, reverse)
            batch = with_usual(batch, where | ends_of(batch) if self.ends else where, self.usual)
        return random_pieces(batch, self.pieces, rng) if self.pieces else batch

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "done": self._done % len(self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self._resume_at = state["epoch"], state["done"]
