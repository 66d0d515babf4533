"""Training criteria in scaled units; what was not measured (NaN) does not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Criterion(Protocol):
    """From prediction, truth and, where given, what each signal counts (N,): the mean loss, a scalar."""

    def __call__(self, prediction: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor: ...


def _masked(pointwise: Callable[..., Tensor]) -> Criterion:
    def criterion(prediction: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean over the measured elements; zero, with a gradient, where nothing was measured."""
        measured = torch.isfinite(truth)
        errors = pointwise(prediction, torch.where(measured, truth, prediction.detach()), reduction="none")
        if weight is None:
            return errors.sum() / measured.sum().clamp(min=1)
        counts = measured * weight
        return (errors * weight).sum() / counts.sum().clamp(min=torch.finfo(errors.dtype).tiny)

    return criterion


# The power of a large error in each.
POWERS = {"mse": 2, "l1": 1, "smoothl1": 1}

CRITERIA: dict[str, Criterion] = {
    "mse": _masked(functional.mse_loss),
    "l1": _masked(functional.l1_loss),
    "smoothl1": _masked(functional.smooth_l1_loss),
}
