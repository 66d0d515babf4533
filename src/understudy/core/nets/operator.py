"""DeepONet, DeepOLSTM and DeepOTransformer: three trunks under one branch.

The trunk yields features of each of the last O past rows; where fewer than O rows are known (``in_len`` <
``out_len``) the last one stands for the rows that are missing. Axes as in :mod:`understudy.core.nets.base`,
W = ``width``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.core.blocks import BranchHead, Encoder, mlp, sinusoidal_positions
from understudy.core.nets.base import Sizes, WindowNet


def _last(features: Tensor, n: int) -> Tensor:
    """The last ``n`` positions of (B, T, D); the last one is repeated where T < n."""
    missing = n - features.shape[1]
    if missing > 0:
        return torch.cat([features, features[:, -1:].expand(-1, missing, -1)], dim=1)
    return features[:, -n:]


class DeepONet(WindowNet):
    """``don``: the trunk is an MLP on each past row by itself, so only the last O rows matter."""

    def __init__(
        self,
        sizes: Sizes,
        *,
        trunk_depth: int,
        trunk_dim: int,
        branch_depth: int,
        branch_dim: int,
        width: int,
    ) -> None:
        super().__init__(sizes)
        n_features = sizes.n_predicted * width
        self.trunk = mlp(sizes.n_signals, trunk_dim, trunk_depth, n_features, end_activation=True)
        self.head = BranchHead(
            sizes.n_controls, sizes.n_predicted, branch_depth=branch_depth, branch_dim=branch_dim, width=width
        )

    def begin(self, past: Tensor) -> Tensor:
        """Only the last O rows are ever looked at: the others need not be embedded."""
        return self.embed(past[:, -self.sizes.out_len :])

    def embed(self, rows: Tensor) -> Tensor:
        return self.trunk(rows)  # type: ignore[no-any-return]

    def embed_control(self, control: Tensor) -> Tensor:
        return self.head.branch(control)  # type: ignore[no-any-return]

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        return self.head(_last(state, self.sizes.out_len), control)  # type: ignore[no-any-return]


class DeepOLSTM(WindowNet):
    """``dol``: the trunk is an LSTM over the past rows."""

    def __init__(
        self,
        sizes: Sizes,
        *,
        trunk_depth: int,
        trunk_dim: int,
        branch_depth: int,
        branch_dim: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__(sizes)
        between = dropout if trunk_depth > 1 else 0.0  # one layer has nothing in between
        self.lstm = nn.LSTM(sizes.n_signals, trunk_dim, trunk_depth, dropout=between, batch_first=True)
        self.trunk_out = nn.Sequential(nn.Linear(trunk_dim, sizes.n_predicted * width), nn.ReLU())
        self.head = BranchHead(
            sizes.n_controls, sizes.n_predicted, branch_depth=branch_depth, branch_dim=branch_dim, width=width
        )

    def embed_control(self, control: Tensor) -> Tensor:
        return self.head.branch(control)  # type: ignore[no-any-return]

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        hidden, _ = self.lstm(state)
        trunk = self.trunk_out(hidden[:, -self.sizes.out_len :])
        return self.head(_last(trunk, self.sizes.out_len), control)  # type: ignore[no-any-return]


class DeepOTransformer(WindowNet):
    """``dot``: the trunk is a Transformer encoder over the past rows."""

    positions: Tensor

    def __init__(
        self,
        sizes: Sizes,
        *,
        trunk_depth: int,
        trunk_dim: int,
        heads: int,
        fc_dim: int,
        branch_depth: int,
        branch_dim: int,
        width: int,
        dropout: float,
        emb_dropout: float,
    ) -> None:
        super().__init__(sizes)
        self.embedding = nn.Linear(sizes.n_signals, trunk_dim)
        self.register_buffer("positions", sinusoidal_positions(sizes.in_len, trunk_dim), persistent=False)
        self.emb_dropout = nn.Dropout(emb_dropout)
        self.encoder = Encoder(trunk_dim, trunk_depth, heads, fc_dim, dropout)
        self.trunk_out = nn.Sequential(
            nn.LayerNorm(trunk_dim), nn.Linear(trunk_dim, sizes.n_predicted * width), nn.ReLU()
        )
        self.head = BranchHead(
            sizes.n_controls, sizes.n_predicted, branch_depth=branch_depth, branch_dim=branch_dim, width=width
        )

    def embed(self, rows: Tensor) -> Tensor:
        return self.embedding(rows)  # type: ignore[no-any-return]

    def embed_control(self, control: Tensor) -> Tensor:
        return self.head.branch(control)  # type: ignore[no-any-return]

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        tokens = self.emb_dropout(state + self.positions)
        trunk = self.trunk_out(self.encoder(tokens, min(self.sizes.out_len, self.sizes.in_len)))
        return self.head(_last(trunk, self.sizes.out_len), control)  # type: ignore[no-any-return]
