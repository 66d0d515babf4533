"""The two baselines that every trained network is reported beside.

Axes as in :mod:`understudy.core.nets.base`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from understudy.core.nets.base import Sizes, WindowNet


class Persistence(WindowNet):
    """``persistence``: everything stays as it was last seen. It has nothing to learn."""

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        last = state[:, -1:, self.sizes.n_controls :]
        return last.expand(-1, control.shape[1], -1)


class ARX(WindowNet):
    """``arx``: a linear model of all past rows and the controls (autoregressive with exogenous input).

    ``y = W · [past, control] + b`` for all O rows at once; fitted in closed form by
    :class:`ArxFit`, never by gradient.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        n_inputs = sizes.in_len * sizes.n_signals + sizes.out_len * sizes.n_controls
        self.linear = nn.Linear(n_inputs, sizes.out_len * sizes.n_predicted)

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        flat = torch.cat([state.flatten(1), control.flatten(1)], dim=1)
        return self.linear(flat).unflatten(-1, (self.sizes.out_len, self.sizes.n_predicted))  # type: ignore[no-any-return]


class ArxFit:
    """Least squares for :class:`ARX`, accumulated window batch by window batch in double precision.

    The normal matrix is kept, so that several ridge strengths cost one pass over the data.
    """

    def __init__(self, sizes: Sizes) -> None:
        n_inputs = sizes.in_len * sizes.n_signals + sizes.out_len * sizes.n_controls + 1
        self.sizes = sizes
        self._gram = torch.zeros(n_inputs, n_inputs, dtype=torch.float64)
        self._moment = torch.zeros(n_inputs, sizes.out_len * sizes.n_predicted, dtype=torch.float64)
        self._count = 0

    def add(self, batches: Iterable[Tensor]) -> None:
        """Take in scaled windows ``(B, L + O, F)``; windows with an unmeasured value are left out."""
        n_past, n_controls = self.sizes.in_len, self.sizes.n_controls
        for batch in batches:
            rows = batch[torch.isfinite(batch).flatten(1).all(1)].double()
            past, future = rows[:, :n_past], rows[:, n_past:]
            ones = torch.ones(len(rows), 1, dtype=torch.float64)
            x = torch.cat([past.flatten(1), future[..., :n_controls].flatten(1), ones], dim=1)
            self._gram += x.T @ x
            self._moment += x.T @ future[..., n_controls:].flatten(1)
            self._count += len(rows)

    def solve(self, ridge: float) -> ARX:
        """The network for one ridge strength, relative to the mean square of the inputs.

        Solved through the eigenvalues with tiny ones cut off: inputs of a window are often collinear.
        """
        gram = self._gram / max(self._count, 1)
        values, vectors = torch.linalg.eigh(gram)
        kept = values > values[-1] * 1e-13
        inverse = torch.where(kept, 1 / (values.clamp(min=0) + ridge), torch.zeros_like(values))
        weights = vectors @ (inverse[:, None] * (vectors.T @ (self._moment / max(self._count, 1))))
        net = ARX(self.sizes)
        with torch.no_grad():
            net.linear.weight.copy_(weights[:-1].T)
            net.linear.bias.copy_(weights[-1])
        return net
