"""Several networks with a state as one: each learns from its own part of every batch, all of them predict.

A deep ensemble (Lakshminarayanan et al. 2017) in one training. Axes as in :mod:`understudy.core.nets.base`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from understudy.core.nets.base import WindowNet
from understudy.core.nets.state import StateNet


class Committee(WindowNet):
    """The mean of its members.

    In training the batch is dealt out: a member sees one part of it, so that members differ in what they begin
    with and in what they see, and the loss of the batch is the mean of theirs. The state of a rollout holds the
    states of all members, one after the other.
    """

    has_state: ClassVar[bool] = True

    def __init__(self, members: Sequence[StateNet]) -> None:
        super().__init__(members[0].sizes)
        self.members = nn.ModuleList(members)

    @property
    def rows_at_once(self) -> int:
        return self.networks[0].rows_at_once

    @property
    def networks(self) -> list[StateNet]:
        """The members."""
        return cast("list[StateNet]", list(self.members))

    def averaged(self) -> list[WindowNet]:
        return [*self.networks]

    def layers(self) -> list[nn.Module]:
        """Layer by layer those of all members."""
        return [nn.ModuleList(same) for same in zip(*(m.layers() for m in self.networks), strict=True)]

    def expect(self, share: Tensor) -> None:
        """See :meth:`StateNet.expect`."""
        for member in self.networks:
            member.expect(share)

    def embed_control(self, control: Tensor) -> Tensor:
        return self._each(lambda m, u: m.embed_control(u), control)

    def begin(self, past: Tensor) -> Tensor:
        return self._each(lambda m, rows: m.begin(rows), past)

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        parts = [
            m.predict(x, u) for m, x, u in zip(self.networks, *self._dealt(state, control), strict=False)
        ]
        return self._together(parts)

    def push(self, state: Tensor, rows: Tensor) -> Tensor:
        if self.training:
            return self._each(lambda m, x, r: m.push(x, r), state, rows)
        states = state.chunk(len(self.members), dim=-1)
        return torch.cat([m.push(x, rows) for m, x in zip(self.networks, states, strict=True)], dim=-1)

    def advance(self, state: Tensor, control: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        states, inputs = self._dealt(state, embedded)
        controls = control.chunk(len(self.members)) if self.training else [control] * len(self.members)
        pairs = [
            m.advance(x, u, g) for m, x, u, g in zip(self.networks, states, controls, inputs, strict=False)
        ]
        ends = torch.cat([x for _, x in pairs], dim=0 if self.training else -1)
        return self._together([y for y, _ in pairs]), ends

    def _each(self, call: Callable[..., Tensor], *values: Tensor) -> Tensor:
        """``call`` of every member: in training on its part of the batch, else on everything, side by side."""
        if not self.training:
            return torch.cat([call(m, *values) for m in self.networks], dim=-1)
        # A last batch of an epoch may have fewer cases than there are members.
        parts = zip(self.networks, *(v.chunk(len(self.members)) for v in values), strict=False)
        return torch.cat([call(m, *part) for m, *part in parts])

    def _dealt(self, state: Tensor, embedded: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """What belongs to each member: rows of the batch in training, else columns."""
        dim, n = (0 if self.training else -1), len(self.members)
        return state.chunk(n, dim=dim), embedded.chunk(n, dim=dim)

    def _together(self, predictions: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(predictions)) if self.training else torch.stack(list(predictions)).mean(0)
