"""LSTM and Transformer over the past rows followed by the controls of the predicted rows.

Axes as in :mod:`understudy.core.nets.base`, D = ``dim``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.core.blocks import Encoder, sinusoidal_positions
from understudy.core.nets.base import Sizes, WindowNet


class LSTM(WindowNet):
    """``lstm``: encodes the past rows and then goes on over the controls of the predicted rows.

    The system this name comes from joins both only after the recurrence and then reads positions that have
    never seen the control; here the control is a step of the recurrence, so that the prediction depends on it.
    """

    def __init__(self, sizes: Sizes, *, dim: int, depth: int, dropout: float) -> None:
        super().__init__(sizes)
        between = dropout if depth > 1 else 0.0
        self.past_embedding = nn.Linear(sizes.n_signals, dim)
        self.control_embedding = nn.Linear(sizes.n_controls, dim)
        self.lstm = nn.LSTM(dim, dim, depth, dropout=between, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.LayerNorm(dim), nn.Linear(dim, sizes.n_predicted)
        )

    def embed(self, rows: Tensor) -> Tensor:
        return self.past_embedding(rows)  # type: ignore[no-any-return]

    def embed_control(self, control: Tensor) -> Tensor:
        return self.control_embedding(control)  # type: ignore[no-any-return]

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        hidden, _ = self.lstm(torch.cat([state, control], dim=1))
        return self.head(hidden[:, -control.shape[1] :])  # type: ignore[no-any-return]


class Transformer(WindowNet):
    """``bt``: a Transformer encoder over L past tokens and O control tokens; the latter are read out."""

    positions: Tensor

    def __init__(
        self,
        sizes: Sizes,
        *,
        dim: int,
        depth: int,
        heads: int,
        fc_dim: int,
        dropout: float,
        emb_dropout: float,
    ) -> None:
        super().__init__(sizes)
        self.past_embedding = nn.Linear(sizes.n_signals, dim)
        self.control_embedding = nn.Linear(sizes.n_controls, dim)
        length = sizes.in_len + sizes.out_len
        self.register_buffer("positions", sinusoidal_positions(length, dim), persistent=False)
        self.emb_dropout = nn.Dropout(emb_dropout)
        self.encoder = Encoder(dim, depth, heads, fc_dim, dropout)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, sizes.n_predicted))

    def embed(self, rows: Tensor) -> Tensor:
        return self.past_embedding(rows)  # type: ignore[no-any-return]

    def embed_control(self, control: Tensor) -> Tensor:
        return self.control_embedding(control)  # type: ignore[no-any-return]

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        tokens = torch.cat([state, control], dim=1) + self.positions
        return self.head(self.encoder(self.emb_dropout(tokens), self.sizes.out_len))  # type: ignore[no-any-return]
