"""Transformer encoder that computes only the positions that are asked for.

Axes: B samples, T positions, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Position codes ``(length, dim)`` of Vaswani et al. 2017, section 3.5: sine and cosine interleaved."""
    position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, dim, 2, dtype=torch.float32) * (-math.log(10000.0) / dim))
    codes = torch.zeros(length, dim)
    codes[:, 0::2] = torch.sin(position * rate)
    codes[:, 1::2] = torch.cos(position * rate)[:, : dim // 2]
    return codes


class EncoderLayer(nn.Module):
    """One post-norm layer: self-attention, then a ReLU feed-forward block, each with residual and LayerNorm.

    Dropout acts where it does in ``nn.TransformerEncoderLayer``, but for the attention weights: there it
    would force the slow path of scaled-dot-product attention (measured: the whole step +65 % on CPU).
    """

    def __init__(self, dim: int, heads: int, fc_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, fc_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(fc_dim, dim),
            nn.Dropout(dropout),
        )
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, n_last: int) -> Tensor:
        """``x`` (B, T, D) to its last ``n_last`` positions (B, n_last, D); all T are attended to."""
        length, dim = x.shape[1:]
        asked = x[:, -n_last:]
        # Multiplications a sample: keys and values of all rows, or every head's query taken to the width of a row.
        few = n_last * (dim + self.heads * length) < length * dim
        mixed = self._attend_to_rows(asked, x) if few else self._attend(asked, x)
        y = self.norm1(asked + self.dropout(self.out(mixed)))
        result: Tensor = self.norm2(y + self.feed_forward(y))
        return result

    def _attend(self, asked: Tensor, x: Tensor) -> Tensor:
        """Attention of the rows ``asked`` (B, n, D) to ``x`` (B, T, D), heads side by side: (B, n, D)."""
        query = self._split(self.query(asked))
        key, value = (self._split(part) for part in self.key_value(x).chunk(2, dim=-1))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        # clone: without it the ONNX exporter cannot flatten the transposed result (pytorch #141107)
        return mixed.transpose(1, 2).clone(memory_format=torch.contiguous_format).flatten(-2)

    def _attend_to_rows(self, asked: Tensor, x: Tensor) -> Tensor:
        """The same numbers without keys and values: their matrices act on the few queries instead of on all rows.

        q·(K x + k) differs from (Kᵀq)·x by a constant of the query, which the softmax does not see, and the
        weighted mean of V x + v is V applied to that of x, plus v, because the weights sum to one.
        """
        n, dim = asked.shape[1:]
        per_head = dim // self.heads
        key, value = self.key_value.weight.view(2, self.heads, per_head, dim)
        query = self.query(asked).view(-1, self.heads, per_head).transpose(0, 1)  # (heads, B·n, d)
        query = torch.bmm(query, key).transpose(0, 1).reshape(-1, n * self.heads, dim)
        weights = torch.softmax(torch.bmm(query, x.transpose(1, 2)) / math.sqrt(per_head), dim=-1)
        seen = torch.bmm(weights, x).view(-1, self.heads, dim).transpose(0, 1)  # (heads, B·n, D)
        mixed = torch.bmm(seen, value.transpose(1, 2)).transpose(0, 1).reshape(-1, n, dim)
        return mixed + self.key_value.bias[dim:]

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, heads, T, D / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Encoder(nn.Module):
    """``depth`` layers and a final LayerNorm, without a mask.

    The result holds only the last ``n_last`` positions. Before the last layer every position is needed,
    in it only those: for ten past rows and one predicted row that saves nearly half of a two-layer encoder.
    """

    def __init__(self, dim: int, depth: int, heads: int, fc_dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, fc_dim, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, n_last: int) -> Tensor:
        """``x`` (B, T, D) to (B, n_last, D)."""
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x, n_last if i == last else x.shape[1])
        return self.norm(x)  # type: ignore[no-any-return]
