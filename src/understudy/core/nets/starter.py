"""The Transformer of the Ribonanza starter notebook: a plain encoder over the letters with absolute positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.core.batch import TokenBatch
from understudy.core.blocks import sinusoidal_positions
from understudy.core.nets.tokens import TokenNet, TokenSizes


class StarterLayer(nn.Module):
    """A pre-norm layer: self-attention, then a GELU feed-forward block."""

    def __init__(self, dim: int, heads: int, fc_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, fc_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(fc_dim, dim),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``x`` (B, L, D); ``mask`` (B, 1, 1, L) is false at positions that nobody may look at, None if all may."""
        n, length, dim = x.shape
        query, key, value = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(n, length, dim)))
        return x + self.feed_forward(self.norm2(x))  # type: ignore[no-any-return]


class Starter(TokenNet):
    """Embedding, sinusoidal positions, ``depth`` pre-norm layers, a linear head.

    The reference recipe has 12 layers of width 192 with 6 heads and 768 feed-forward units. It knows absolute
    positions and therefore degrades on sequences longer than those of training, and it does not look at pairing
    probabilities: a baseline, not the network to choose.
    """

    def __init__(
        self,
        sizes: TokenSizes,
        *,
        dim: int = 192,
        depth: int = 12,
        heads: int = 6,
        fc_dim: int = 768,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(sizes)
        self.heads = heads
        self.embedding = nn.Embedding(sizes.n_tokens, dim)
        self.encoder = nn.ModuleList(StarterLayer(dim, heads, fc_dim, dropout) for _ in range(depth))
        self.head = nn.Linear(dim, sizes.n_outputs)

    def forward(self, batch: TokenBatch) -> Tensor:
        x = self.embedding(batch.tokens)
        x = x + sinusoidal_positions(x.shape[1], x.shape[2]).to(x)
        # No mask where nothing is padded: attention without one has a faster path.
        mask = None if bool(batch.mask.all()) else batch.mask[:, None, None, :]
        for layer in self.encoder:
            x = layer(x, mask)
        y = self.head(x)
        n = self.sizes.n_targets
        return torch.cat([y[..., :n], functional.softplus(y[..., n:])], dim=-1)

    def bytes_for(self, length: int, batch: int) -> int:
        width = self.embedding.embedding_dim
        return 4 * batch * length * (12 * width + self.heads * length)

    def layers(self) -> list[nn.Module]:
        return [self.embedding, *self.encoder, self.head]
