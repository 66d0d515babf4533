"""Training windows, gathered by index from the flat array and never stored.

Axes: N rows of all cases, W windows, B windows of a batch, H rows of a window, F signals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.core.cases import CaseTable
from understudy.errors import DataError


class Windows:
    """All windows of ``history + horizon`` successive rows that lie within one case.

    A window whose history holds a value that was not measured is left out: a network cannot be fed NaN. In
    the horizon such values are allowed; the loss skips them.

    Raises:
        DataError: no case is as long as one window.
    """

    def __init__(self, table: CaseTable, cases: Sequence[int], *, history: int, horizon: int) -> None:
        self.values = torch.from_numpy(table.values)  # shares the memory of the table
        self.width = history + horizon
        starts = [self._starts(table, i, history) for i in cases]
        self.starts = torch.from_numpy(np.concatenate(starts))
        if not len(self.starts):
            raise DataError(
                f"no training case holds a window of in_len {history} measured rows and {horizon} further rows"
            )

    def _starts(self, table: CaseTable, i: int, history: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        first, last = int(table.offsets[i]), int(table.offsets[i + 1])
        starts = np.arange(first, last - self.width + 1, dtype=np.int64)
        gaps = ~np.isfinite(table.values[first:last]).all(1)
        if gaps.any() and len(starts):
            seen = np.concatenate([[0], np.cumsum(gaps)])
            local = starts - first
            starts = starts[seen[local + history] == seen[local]]
        return starts

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, index: Tensor) -> Tensor:
        """``index`` (B,) window numbers to rows (B, H, F), physical units: the one copy that is made."""
        rows = self.starts[index].unsqueeze(1) + torch.arange(self.width)
        return self.values[rows]


class WindowLoader:
    """Batches of windows in an order that depends on seed and epoch only.

    ``state_dict`` and ``load_state_dict`` let Lightning resume in the middle of an epoch with the batch that
    would have come next. Several ranks each take their share of every epoch.
    """

    def __init__(
        self,
        windows: Windows,
        *,
        batch_size: int,
        seed: int,
        max_batches: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.seed = seed
        self.max_batches = max_batches
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self._resume_at = self._done = 0

    def __len__(self) -> int:
        each = -(-self._n_drawn() // self.world_size)
        batches = -(-each // self.batch_size)
        return min(batches, self.max_batches) if self.max_batches else batches

    def __iter__(self) -> Iterator[Tensor]:
        order = self._order(torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch))
        # Every rank takes the same number of windows, or the last all-reduce would wait for ever.
        spare = -len(order) % self.world_size
        order = torch.cat([order, order[:spare]])[self.rank :: self.world_size]
        # A consumer that knows the length never asks for one batch too many, so nothing may be left to do
        # after the last one.
        first, self._resume_at = self._resume_at, 0
        for batch in range(first, len(self)):
            self._done = batch + 1
            yield self.windows.gather(order[batch * self.batch_size : (batch + 1) * self.batch_size])

    def _n_drawn(self) -> int:
        """Windows of an epoch."""
        return len(self.windows)

    def _order(self, generator: torch.Generator) -> Tensor:
        """Numbers of the windows of an epoch."""
        return torch.randperm(len(self.windows), generator=generator)

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "done": self._done % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self._resume_at = state["epoch"], state["done"]
