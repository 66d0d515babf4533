"""Networks with a state: the past rows start them, then they run on the controls alone.

Nothing that they predict is fed back, so that errors do not build up; a row costs the same however long the rollout
is. Axes as in :mod:`understudy.core.nets.base`, T rows to predict (any number), S numbers of state.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from understudy.core.blocks.recurrence import LinearRecurrence
from understudy.core.nets.base import Sizes, WindowNet

_ROWS_AT_ONCE = 256
_WEAK = 0.1


class Bent(nn.Module):
    """A linear map, plus a small network that is weak at first."""

    def __init__(self, n_inputs: int, dim: int, n_outputs: int, hidden: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs)
        widths = [n_inputs, *[dim] * hidden]
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.SiLU())]
        last = nn.Linear(dim, n_outputs, bias=False)
        with torch.no_grad():
            last.weight.mul_(_WEAK)
        self.network = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.network(x)  # type: ignore[no-any-return]


class Stay(nn.Module):
    """A share of each signal."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(n))

    def forward(self, x: Tensor) -> Tensor:
        return self.share * x


class StateNet(WindowNet):
    """A state-space network: ``x[k], y[k] = f(x[k-1], u[k])``.

    Each prediction is the output of the network plus a learnt share of what the signal was last measured to be:
    slow signals stay where they were. A state begins with what was last measured (B, N).
    """

    has_state: ClassVar[bool] = True
    adds_to_linear: ClassVar[bool] = True  # whether it may correct a linear model
    is_fitted: ClassVar[bool] = (
        False  # whether its numbers are found before training, which is left with nothing
    )

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.stay = Stay(sizes.n_predicted)

    @abstractmethod
    def run(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """State (B, S) and embedded controls (B, T, G) to outputs (B, T, N) and the state after them."""

    @property
    def rows_at_once(self) -> int:
        return _ROWS_AT_ONCE

    def expect(self, share: Tensor) -> None:
        """Begin training with a network that keeps these shares (N,) of what was last measured."""
        with torch.no_grad():
            self.stay.share.copy_(share)

    def weaken(self) -> None:
        """Begin training with an output that is small beside what it is added to."""
        head = self.layers()[-1]
        assert isinstance(head, Bent)
        with torch.no_grad():
            head.linear.weight.mul_(_WEAK)
            head.linear.bias.mul_(_WEAK)

    def advance(self, state: Tensor, control: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        last, x = state[:, : self.sizes.n_predicted], state[:, self.sizes.n_predicted :]
        y, x = self.run(x, embedded)
        return y + self.stay(last).unsqueeze(1), torch.cat([last, x.to(last.dtype)], dim=1)

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        last, x = state[:, : self.sizes.n_predicted], state[:, self.sizes.n_predicted :]
        return self.run(x, control)[0] + self.stay(last).unsqueeze(1)  # type: ignore[no-any-return]

    def push(self, state: Tensor, rows: Tensor) -> Tensor:
        control = rows[..., : self.sizes.n_controls]
        return self.advance(state, control, self.embed_control(control))[1]


class EncodedNet(StateNet):
    """The first state is a function of the past rows, learnt with the rest.

    Beintema et al. 2021, "Nonlinear state-space identification using deep encoder networks", eq. 7.

    Args:
        n_state: numbers of state.
        encoder_dim: width of the encoder's hidden layer.
    """

    def __init__(self, sizes: Sizes, *, n_state: int, encoder_dim: int) -> None:
        super().__init__(sizes)
        self.encoder = Bent(sizes.in_len * sizes.n_signals, encoder_dim, n_state)

    def begin(self, past: Tensor) -> Tensor:
        return torch.cat([past[:, -1, self.sizes.n_controls :], self.encoder(past.flatten(1))], dim=1)


class GRU(EncodedNet):
    """``gru``: gated recurrent units over the controls."""

    def __init__(self, sizes: Sizes, *, dim: int, depth: int, dropout: float, encoder_dim: int) -> None:
        super().__init__(sizes, n_state=dim * depth, encoder_dim=encoder_dim)
        self.depth = depth
        between = dropout if depth > 1 else 0.0
        self.gru = nn.GRU(sizes.n_controls, dim, depth, batch_first=True, dropout=between)
        self.head = Bent(dim + sizes.n_controls, dim, sizes.n_predicted)

    def run(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        start = x.reshape(len(x), self.depth, -1).transpose(0, 1).contiguous()
        hidden, end = self.gru(control, start)
        y = self.head(torch.cat([hidden, control], dim=-1))
        return y, end.transpose(0, 1).flatten(1)


class Subnet(EncodedNet):
    """``subnet``: state transition and output are small networks beside linear maps (Beintema et al. 2021).

    ``x[k] = A x[k-1] + B u[k] + f(x[k-1], u[k])`` and ``y[k] = C x[k] + D u[k] + h(x[k], u[k])``.
    """

    def __init__(self, sizes: Sizes, *, n_state: int, dim: int, encoder_dim: int) -> None:
        super().__init__(sizes, n_state=n_state, encoder_dim=encoder_dim)
        n_inputs = n_state + sizes.n_controls
        self.transition = Bent(n_inputs, dim, n_state, hidden=2)
        self.output = Bent(n_inputs, dim, sizes.n_predicted, hidden=2)
        with torch.no_grad():  # a slow linear system to begin with: gradients neither vanish nor explode
            weight = self.transition.linear.weight.mul_(0.1)
            weight[:, :n_state] += 0.95 * torch.eye(n_state)

    def run(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        states = []
        for u in control.unbind(1):
            x = self.transition(torch.cat([x, u], dim=-1))
            states.append(x)
        return self.output(torch.cat([torch.stack(states, dim=1), control], dim=-1)), x


class SSM(EncodedNet):
    """``ssm``: a stack of linear recurrent units, each followed by a gated map of its output, beside a short cut.

    In training all rows are computed at once. There is no normalisation: how large a signal is matters in a
    physical system.
    """

    def __init__(
        self, sizes: Sizes, *, dim: int, depth: int, n_modes: int, dropout: float, encoder_dim: int
    ) -> None:
        super().__init__(sizes, n_state=2 * n_modes * depth, encoder_dim=encoder_dim)
        self.embedding = nn.Linear(sizes.n_controls, dim)
        self.recurrences = nn.ModuleList(LinearRecurrence(dim, n_modes) for _ in range(depth))
        self.maps = nn.ModuleList(
            nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, 2 * dim), nn.GLU())
            for _ in range(depth)
        )
        self.head = Bent(dim, dim, sizes.n_predicted)

    def embed_control(self, control: Tensor) -> Tensor:
        return self.embedding(control)  # type: ignore[no-any-return]

    def run(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        signal, ends = control, []
        states = x.chunk(len(self.recurrences), dim=1)
        for recurrence, mixed, state in zip(self.recurrences, self.maps, states, strict=True):
            y, end = recurrence(signal, state)
            ends.append(end)
            signal = signal + mixed(y)
        return self.head(signal), torch.cat(ends, dim=1)
