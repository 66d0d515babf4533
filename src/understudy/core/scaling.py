"""Scaling is part of the model: fitted on training cases, kept as buffers, undone inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from understudy.core.cases import CaseTable


class Scaler(nn.Module):
    """Standardises signals along the last axis: ``(x - mean) / std``.

    Buffers ``mean`` and ``std`` are ``(F,)``: controls, then predicted signals. They travel with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_signals: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_signals))
        self.register_buffer("std", torch.ones(n_signals))

    def fit(self, table: CaseTable, cases: Sequence[int]) -> None:
        """Mean and deviation over all rows of ``cases``; NaN (not measured) does not count.

        Every row counts once, unlike in statistics over overlapping windows. A constant signal keeps
        deviation 1, so that it scales to zero instead of NaN.
        """
        n_signals = table.values.shape[1]
        count, total = np.zeros(n_signals), np.zeros(n_signals)
        for i in cases:
            rows = table[i].values
            count += np.isfinite(rows).sum(0)
            total += np.nansum(rows, axis=0, dtype=np.float64)
        mean = total / np.maximum(count, 1)
        squares = np.zeros(n_signals)
        for i in cases:  # a second pass: the sum of squares alone loses small deviations on large means
            squares += np.nansum((table[i].values - mean) ** 2, axis=0)
        std = np.sqrt(squares / np.maximum(count, 1))
        constant = std <= 1e-6 * np.abs(mean) + 1e-12  # below what float32 can tell apart
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(np.where(constant, 1.0, std)))

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Physical to scaled units; ``x`` holds the signals from column ``first`` on."""
        last = first + x.shape[-1]
        return (x - self.mean[first:last]) / self.std[first:last]

    def undo(self, x: Tensor, first: int = 0) -> Tensor:
        """Scaled to physical units; ``x`` holds the signals from column ``first`` on."""
        last = first + x.shape[-1]
        return x * self.std[first:last] + self.mean[first:last]
