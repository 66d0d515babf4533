"""Training sequences for networks with a state: long pieces of cases, cut elsewhere in every epoch.

Axes: S possible starts, B stretches of a batch, H rows of a stretch, F signals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from understudy.core.cases import CaseTable
from understudy.core.windows import WindowLoader, Windows


class Stretches(Windows):
    """All places where ``history`` measured rows are followed by up to ``horizon`` rows of the same case.

    Where a case ends earlier, its last controls are held and the predicted signals are NaN, which no loss counts.

    Raises:
        DataError: no case has a place to start.
    """

    def __init__(self, table: CaseTable, cases: Sequence[int], *, history: int, horizon: int) -> None:
        full = history + horizon
        super().__init__(table, cases, history=history, horizon=1)
        self.width, self.n_controls = full, len(table.spec.controls)
        offsets = torch.from_numpy(np.asarray(table.offsets, np.int64))
        owner = torch.searchsorted(offsets, self.starts, right=True)
        # A start that would run past the end is only of use where the case has no other.
        first = torch.cat([torch.ones(1, dtype=torch.bool), owner[1:] != owner[:-1]])
        kept = first | (self.starts + full <= offsets[owner])
        self.starts, self.ends = self.starts[kept], offsets[owner[kept]]
        # Of every case: how many places there are, and how many stretches it takes to see all of its rows.
        changes = torch.nonzero(first[kept]).flatten()
        self.places = torch.diff(changes, append=torch.tensor([len(self.starts)]))
        rows = self.ends[changes] - self.starts[changes] - history
        self.pieces = -(-rows // horizon)

    def gather(self, index: Tensor) -> Tensor:
        starts, ends = self.starts[index].unsqueeze(1), self.ends[index].unsqueeze(1)
        rows = starts + torch.arange(self.width)
        values = self.values[torch.minimum(rows, ends - 1)]
        values[..., self.n_controls :].masked_fill_((rows >= ends).unsqueeze(-1), float("nan"))
        return values


class StretchLoader(WindowLoader):
    """Batches of stretches: in every epoch as many of a case as its rows fill, each from another part of it.

    ``passes`` is how often an epoch goes over the rows. Half of the time the first stretch of a case is that of its
    first row, where a rollout begins.
    """

    windows: Stretches

    def __init__(
        self,
        stretches: Stretches,
        *,
        batch_size: int,
        seed: int,
        max_batches: int | None = None,
        passes: int = 1,
    ) -> None:
        super().__init__(stretches, batch_size=batch_size, seed=seed, max_batches=max_batches)
        self.passes = passes

    def _n_drawn(self) -> int:
        return self.passes * int(self.windows.pieces.sum())

    def _order(self, generator: torch.Generator) -> Tensor:
        drawn = torch.cat([self._draw(generator) for _ in range(self.passes)])
        return drawn[torch.randperm(len(drawn), generator=generator)]

    def _draw(self, generator: torch.Generator) -> Tensor:
        """One place from each of ``pieces`` equal parts of the places of every case."""
        pieces, places = self.windows.pieces, self.windows.places
        case = torch.repeat_interleave(torch.arange(len(pieces)), pieces)
        first_piece, first_place = (torch.cumsum(n, 0) - n for n in (pieces, places))
        part = torch.arange(len(case)) - first_piece[case]
        inside = (part + torch.rand(len(case), generator=generator, dtype=torch.float64)) / pieces[case]
        at_the_start = (part == 0) & (torch.rand(len(case), generator=generator) < 0.5)
        place = torch.where(at_the_start, 0, (inside * places[case]).long())
        return first_place[case] + torch.minimum(place, places[case] - 1)
