"""Training criteria in scaled units; what was not measured (NaN) does not count."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Criterion = Callable[[Tensor, Tensor], Tensor]


def _masked(pointwise: Callable[..., Tensor]) -> Criterion:
    def criterion(prediction: Tensor, truth: Tensor) -> Tensor:
        """Mean over the measured elements; zero, with a gradient, where nothing was measured."""
        measured = torch.isfinite(truth)
        errors = pointwise(prediction, torch.where(measured, truth, prediction.detach()), reduction="none")
        return errors.sum() / measured.sum().clamp(min=1)

    return criterion


CRITERIA: dict[str, Criterion] = {
    "mse": _masked(functional.mse_loss),
    "l1": _masked(functional.l1_loss),
    "smoothl1": _masked(functional.smooth_l1_loss),
}
