"""Attention without absolute positions: what two positions have to do with each other is a bias of the logits.

Axes: B cases, L positions, D width, H heads, P features of a pair of positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class DistanceBias(nn.Module):
    """A bias ``(H, L, L)`` for every layer from the signed distance i - j, by a small network.

    The network sees the distance on a logarithmic scale, so that it stays sensible beyond the longest case it
    was trained on (compare the log-spaced continuous position bias of Liu et al. 2022, Swin Transformer V2, 3.3).
    """

    def __init__(self, heads: int, depth: int, width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.net = nn.Sequential(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, depth * heads))

    def forward(self, length: int, device: torch.device) -> Tensor:
        """All layers at once: ``(depth, H, L, L)``."""
        signed = torch.arange(1 - length, length, device=device, dtype=torch.float32)
        size = signed.abs()
        features = torch.stack(
            [signed.sign() * torch.log1p(size) / 4, torch.log1p(size) / 4, 1 / (1 + size)], dim=-1
        )
        by_distance = self.net(features).T  # (depth · H, 2L - 1)
        here = torch.arange(length, device=device)
        index = here.unsqueeze(1) - here + length - 1
        return by_distance[:, index].view(-1, self.heads, length, length)  # type: ignore[no-any-return]


class BiasedAttention(nn.Module):
    """Self-attention whose logits get a bias by distance and one by the features of the pair."""

    def __init__(self, dim: int, heads: int, n_pair_features: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        # Half of the heads start by looking at likely partners; training decides what becomes of that.
        weight = torch.zeros(heads, n_pair_features)
        weight[::2, 0] = 4.0
        self.pair_weight = nn.Parameter(weight)

    def forward(self, x: Tensor, bias: Tensor, pair_features: Tensor | None) -> Tensor:
        """
        Args:
            x: ``(B, L, D)``.
            bias: ``(H, L, L)``, or ``(B, H, L, L)`` where positions behind the end of a case get ``-inf``.
            pair_features: ``(B, P, L · L)``, zero where nothing is known.
        """
        n, length, dim = x.shape
        query, key, value = (
            part.reshape(n, length, self.heads, -1).transpose(1, 2).reshape(n * self.heads, length, -1)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        if pair_features is not None:
            bias = bias + (self.pair_weight.to(pair_features.dtype) @ pair_features).view(
                n, -1, length, length
            )
        bias = bias.to(query.dtype).expand(n, -1, -1, -1).reshape(n * self.heads, length, length)
        logits = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=1 / math.sqrt(dim // self.heads))
        with torch.autocast(x.device.type, enabled=False):  # it would compute the softmax in full precision
            weights = logits.softmax(-1)
        mixed = (weights @ value).view(n, self.heads, length, -1).transpose(1, 2).reshape(n, length, dim)
        return self.out(mixed)  # type: ignore[no-any-return]
