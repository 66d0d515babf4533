"""A linear model in free rollout, and a network with a state that adds what the linear model does not know.

Axes as in :mod:`understudy.core.nets.base`, T rows to predict (any number), S numbers of the network's state.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from understudy.core.nets.base import Sizes, WindowNet
from understudy.core.nets.linear import ARX
from understudy.core.nets.state import StateNet

_SLOW = 0.75  # of its value a slow signal keeps at least
_A_ROW = 0.01  # weight of a row in a sum: an hour of charge is some thousand rows


class Corrector(WindowNet):
    """``arx`` rolled out on its own predictions, plus the output of a network that sees that rollout.

    The linear model is fitted before and does not learn: it knows the levels and slow trends from few cases, and
    the network what bends them. For the network its rollout is ``n_predicted`` more controls. Nothing that the
    network adds is fed back to the linear model. Each row of the rollout is held within what the signals did in
    training, so that a linear model that is unstable elsewhere stays bounded.

    Slow signals are often what others add up to: a state of charge falls with the current. So what the network adds
    to all signals is summed from row to row, and slow ones get a learnt combination of the sums, none at first.

    The state is the window of the linear model (B, L · F), the sums (B, N), then the state of the network (B, S).

    Args:
        net: for :meth:`inner` sizes; a network with a state, a committee of them, or one that is told more.
    """

    has_state: ClassVar[bool] = True

    past_weight: Tensor
    control_weight: Tensor
    bias: Tensor
    low: Tensor
    high: Tensor
    slow: Tensor

    def __init__(self, sizes: Sizes, net: WindowNet) -> None:
        super().__init__(sizes)
        self.net = net
        n_rows, n_controls, n = sizes.in_len, sizes.n_controls, sizes.n_predicted
        self.register_buffer("past_weight", torch.zeros(n, n_rows * n))
        self.register_buffer("control_weight", torch.zeros(n, n_controls * (n_rows + 1)))
        self.register_buffer("bias", torch.zeros(n))
        self.register_buffer("low", torch.zeros(n))
        self.register_buffer("high", torch.zeros(n))
        self.register_buffer("slow", torch.zeros(n))
        self.integral = nn.Linear(n, n, bias=False)
        nn.init.zeros_(self.integral.weight)

    @staticmethod
    def inner(sizes: Sizes) -> Sizes:
        """The sizes of the network within: the linear prediction is among its controls."""
        return sizes._replace(n_controls=sizes.n_controls + sizes.n_predicted)

    @property
    def rows_at_once(self) -> int:
        return self.net.rows_at_once

    def layers(self) -> list[nn.Module]:
        """Those of the network, the integral before its head; the linear model has nothing to learn."""
        *before, head = self.net.layers()
        return [*before, self.integral, head]

    def averaged(self) -> list[WindowNet]:
        """The members of a committee, each on the linear model; or itself alone."""
        members = self.net.averaged()
        if len(members) == 1:
            return [self]
        parts = [Corrector(self.sizes, member) for member in members]
        linear = {key: value for key, value in self.state_dict().items() if not key.startswith("net.")}
        for part in parts:
            part.load_state_dict(linear, strict=False)
        return [*parts]

    def correct(self, arx: ARX, low: Tensor, high: Tensor, share: Tensor) -> None:
        """Begin training on this linear model of one row.

        Args:
            low, high: (N,) what its rollout is held within, scaled.
            share: (N,) of a signal, that it keeps from where a rollout begins.
        """
        for network in self.net.modules():
            if isinstance(network, StateNet):
                network.weaken()
        sizes = self.sizes
        weight = arx.linear.weight.detach()
        past = weight[:, : sizes.in_len * sizes.n_signals].reshape(-1, sizes.in_len, sizes.n_signals)
        controls, predicted = past[..., : sizes.n_controls], past[..., sizes.n_controls :]
        self.past_weight.copy_(predicted.flatten(1))
        now = weight[:, sizes.in_len * sizes.n_signals :]
        self.control_weight.copy_(torch.cat([controls.flatten(1), now], dim=1))
        self.bias.copy_(arx.linear.bias.detach())
        self.low.copy_(low)
        self.high.copy_(high)
        self.slow.copy_(share > _SLOW)

    def begin(self, past: Tensor) -> Tensor:
        measured = past[..., self.sizes.n_controls :]
        x = self.net.begin(torch.cat([past, measured], dim=-1))
        return torch.cat([past.flatten(1), torch.zeros_like(measured[:, 0]), x], dim=1)

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        window, sums, x = self._parts(state)
        linear = self._roll(window, control)
        y = self.net.predict(x, self.net.embed_control(torch.cat([control, linear], dim=-1)))
        return self._together(linear, y, self._added(sums, y))

    def advance(self, state: Tensor, control: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        window, sums, x = self._parts(state)
        linear = self._roll(window, control)
        seen = torch.cat([control, linear], dim=-1)
        y, x = self.net.advance(x, seen, self.net.embed_control(seen))
        added = self._added(sums, y)
        rows = torch.cat([window, seen], dim=1)[:, -self.sizes.in_len :]
        return self._together(linear, y, added), torch.cat([rows.flatten(1), added[:, -1], x], dim=1)

    def push(self, state: Tensor, rows: Tensor) -> Tensor:
        """As other networks with a state, it goes by the controls of ``rows`` alone."""
        control = rows[..., : self.sizes.n_controls]
        return self.advance(state, control, control)[1]

    def _parts(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The window (B, L, F) of the linear model, the sums (B, N) and the state (B, S) of the network."""
        size = self.sizes.in_len * self.sizes.n_signals
        window, sums, x = state.tensor_split([size, size + self.sizes.n_predicted], dim=1)
        return window.reshape(len(state), self.sizes.in_len, -1), sums, x

    def _added(self, sums: Tensor, y: Tensor) -> Tensor:
        """The sums (B, T, N) after each of the rows that the network added, from those before them (B, N)."""
        return sums.unsqueeze(1) + _A_ROW * torch.cumsum(y.float(), dim=1)

    def _together(self, linear: Tensor, y: Tensor, added: Tensor) -> Tensor:
        with torch.autocast(linear.device.type, enabled=False):
            return linear + y.float() + self.slow * self.integral(added)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _roll(self, window: Tensor, control: Tensor) -> Tensor:
        """The linear model on its own predictions: window (B, L, F) and controls (B, T, C) to (B, T, N)."""
        with torch.autocast(window.device.type, enabled=False):  # rounding would add up from row to row
            n_controls = self.sizes.n_controls
            controls = torch.cat([window[..., :n_controls].float(), control.float()], dim=1)
            # Everything that the controls do, for all rows at once; row by row only the feedback is left.
            spans = controls.unfold(1, self.sizes.in_len + 1, 1).transpose(2, 3).flatten(2)
            driven = nn.functional.linear(spans, self.control_weight, self.bias)
            past, rows = window[..., n_controls:].float().flatten(1), []
            feedback = self.past_weight.T.contiguous()
            for drive in driven.unbind(1):
                row = torch.addmm(drive, past, feedback).clamp(self.low, self.high)
                rows.append(row)
                past = torch.cat([past[:, self.sizes.n_predicted :], row], dim=1)
        return torch.stack(rows, dim=1)
