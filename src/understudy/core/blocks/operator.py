"""The head that the three operator networks share: branch of the controls times trunk of the past.

Axes: B samples, O predicted rows, C controls, N predicted signals, W = ``width``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.core.blocks.mlp import mlp


class BranchHead(nn.Module):
    """Prediction ``y[n] = Σ_w trunk[n, w] · branch[n, w] + bias[n]`` (Lu et al. 2021, equation 2).

    The branch is an MLP on the controls of the predicted row. Against the literature the names are
    swapped, as in the system that this project takes them from: there the *trunk* reads the past states.
    """

    def __init__(
        self, n_controls: int, n_predicted: int, *, branch_depth: int, branch_dim: int, width: int
    ) -> None:
        super().__init__()
        self.width = width
        self.branch = mlp(n_controls, branch_dim, branch_depth, n_predicted * width)
        self.bias = nn.Parameter(torch.zeros(n_predicted))

    def forward(self, trunk: Tensor, branch: Tensor) -> Tensor:
        """``trunk`` and ``branch``, the branch of the controls, both (B, O, N·W), to (B, O, N)."""
        product = trunk * branch
        return product.reshape(*product.shape[:2], -1, self.width).sum(-1) + self.bias
