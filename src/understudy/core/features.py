"""What a network makes of its inputs before its head: features of cases, and an error learnt from them.

Axes: B cases, T positions of a case, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from understudy.errors import ConfigError

Array = NDArray[np.float64]

_STEPS, _LR = 400, 1e-2


@contextmanager
def head_inputs(layers: list[nn.Module]) -> Iterator[list[Tensor]]:
    """While this is open, every input (B, T, D) of the head of a network with these layers is added to the list.

    Raises:
        ConfigError: there are no layers.
    """
    if not layers:
        raise ConfigError("this model has nothing that learns, and so no features to choose by")
    seen: list[Tensor] = []
    head = layers[-1]
    while isinstance(head, nn.ModuleList):
        head = head[-1]

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].detach()
        # Some heads look at all positions of a prediction at once.
        seen.append(rows if rows.dim() == 3 else rows.unsqueeze(1))

    hook = head.register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def moments(rows: Tensor) -> Array:
    """One row of features (2·D,) for a case ``(T, D)``: mean and deviation of each over its positions."""
    values = rows.double()
    found: Array = torch.cat([values.mean(0), values.std(0, correction=0)]).cpu().numpy()
    return found


class LossHead(nn.Module):
    """The head that learns the error of a network from its features: LayerNorm, a linear map, positive."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.linear = nn.Linear(n_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (…, D) to errors (…)."""
        return nn.functional.softplus(self.linear(self.norm(x))).squeeze(-1)


def fit_loss_head(features: Tensor, errors: Tensor, *, seed: int = 0) -> LossHead:
    """A head fitted on parts of experiments that were done, all at once, with the mean absolute gap as its loss.

    Args:
        features: (P, D) of P parts of cases.
        errors: (P,) the errors of the network there; parts where it is not finite are left out.
    """
    known = torch.isfinite(errors) & torch.isfinite(features).all(1)
    x, y = features[known].float(), errors[known].float()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = LossHead(x.shape[1])
    with torch.no_grad():  # softplus⁻¹ of the median: training begins at what is true of most
        level = y.median().clamp(min=1e-6)
        head.linear.bias.fill_(float(level + torch.log(-torch.expm1(-level))))
    optimizer = torch.optim.Adam(head.parameters(), lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = (head(x) - y).abs().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.eval()
