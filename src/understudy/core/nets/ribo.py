"""The network to choose for nucleotides: convolutions, attention by distance and pairing, no absolute position."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.core.batch import TokenBatch
from understudy.core.blocks.biased_attention import BiasedAttention, DistanceBias
from understudy.core.blocks.conv import GatedConv, masked
from understudy.core.nets.tokens import TokenNet, TokenSizes

N_PAIR_FEATURES = 4
_SMALL = 1e-3  # pairing probabilities below this are as good as none


def pair_features(pairs: Tensor) -> Tensor:
    """What attention is told of two positions: ``(B, L, L)`` to ``(B, 4, L, L)``.

    The probability that they pair, on a logarithmic and on the linear scale, and the same of the pairs that would
    stack on it: (i - 1, j + 1) and (i + 1, j - 1). All are zero where the probabilities are.
    """
    stacked = functional.pad(pairs, (1, 1, 1, 1))
    stacked = (stacked[:, :-2, 2:] + stacked[:, 2:, :-2]) / 2
    scale = math.log1p(1 / _SMALL)
    both = (pairs, stacked)
    return torch.stack([f for p in both for f in (torch.log1p(p / _SMALL) / scale, p)], dim=1)


class RiboLayer(nn.Module):
    """Attention, then the gated convolution, each on a normalised input and added to it."""

    def __init__(self, dim: int, heads: int, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = BiasedAttention(dim, heads, N_PAIR_FEATURES)
        self.conv = GatedConv(dim, width, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, bias: Tensor, features: Tensor | None) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), bias, features))
        return x + self.dropout(self.conv(self.norm2(x), mask))  # type: ignore[no-any-return]


class Ribo(TokenNet):
    """Convolution front end, then layers of biased attention and gated depthwise convolution.

    Pairing probabilities enter twice: as features of a nucleotide (their sum and maximum) and as a bias of the
    attention. In training they are hidden from a share ``pair_dropout`` of the cases, whole, so that one network
    serves with and without them. A share ``letter_dropout`` of the letters is hidden, too: a network that may miss
    any of them cannot tell a family of molecules by its words. Nothing depends on the absolute position, on padding
    or on the batch.

    Args:
        dim, depth, heads: width, layers and heads of the attention.
        width: channels inside the gated convolution.
        kernel: nucleotides that a convolution sees; odd.
        dropout: of the two parts of a layer.
        pair_dropout: share of the training cases that do not see their pairing probabilities.
        letter_dropout: share of the letters that are not seen in training.
    """

    uses_pairs = True

    def __init__(
        self,
        sizes: TokenSizes,
        *,
        dim: int = 128,
        depth: int = 6,
        heads: int = 4,
        width: int = 256,
        kernel: int = 7,
        dropout: float = 0.1,
        pair_dropout: float = 0.1,
        letter_dropout: float = 0.0,
    ) -> None:
        super().__init__(sizes)
        self.pair_dropout, self.letter_dropout = pair_dropout, letter_dropout
        self.embedding = nn.Embedding(sizes.n_tokens, dim)
        self.pairing = nn.Linear(3, dim)
        self.front = nn.Conv1d(dim, dim, kernel, padding="same")
        self.distance = DistanceBias(heads, depth)
        self.encoder = nn.ModuleList(RiboLayer(dim, heads, width, kernel, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, sizes.n_outputs)

    def forward(self, batch: TokenBatch) -> Tensor:
        mask = batch.mask
        pairs, known = self._known(batch)
        x = masked(self.embedding(batch.tokens), self._shown(mask))
        if pairs is not None and known is not None:
            seen = known.to(x.dtype).view(-1, 1).expand(mask.shape)
            x = x + self.pairing(torch.stack([pairs.sum(-1), pairs.amax(-1), seen], dim=-1))
        x = masked(x, mask)
        x = masked(x + functional.gelu(self.front(x.transpose(1, 2)).transpose(1, 2)), mask)
        features = None if pairs is None else self._features(pairs)
        behind = None  # no bias where nothing is padded: one of all cases costs less than one a case
        if not bool(mask.all()):
            behind = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))[
                :, None, None, :
            ]
        for layer, bias in zip(self.encoder, self.distance(mask.shape[1], mask.device), strict=True):
            x = layer(x, mask.unsqueeze(-1), bias if behind is None else bias + behind, features)
        y = self.head(self.norm(x))
        n = self.sizes.n_targets
        return torch.cat([y[..., :n], functional.softplus(y[..., n:])], dim=-1)

    def _shown(self, mask: Tensor) -> Tensor:
        """The positions (B, L) whose letters this pass may see."""
        if not (self.training and self.letter_dropout):
            return mask
        return mask & (torch.rand(mask.shape, device=mask.device) >= self.letter_dropout)

    def _known(self, batch: TokenBatch) -> tuple[Tensor | None, Tensor | None]:
        """The pairing probabilities that this pass may see, and of which cases."""
        if batch.pairs is None or batch.known is None:
            return None, None
        known = batch.known
        if self.training and self.pair_dropout:
            known = known & (torch.rand(known.shape, device=known.device) >= self.pair_dropout)
        return batch.pairs * known.view(-1, 1, 1), known

    def _features(self, pairs: Tensor) -> Tensor:
        features = pair_features(pairs).flatten(2)
        mixed = torch.is_autocast_enabled(pairs.device.type)
        return features.to(torch.get_autocast_dtype(pairs.device.type)) if mixed else features

    def bytes_for(self, length: int, batch: int) -> int:
        width = self.embedding.embedding_dim
        depth, heads = len(self.encoder), self.distance.heads
        maps = batch * (4 * heads + N_PAIR_FEATURES + 4) + 2 * depth * heads
        return 4 * (length * length * maps + 16 * batch * length * width)

    def layers(self) -> list[nn.Module]:
        start = nn.ModuleList([self.embedding, self.pairing, self.front, self.distance])
        return [start, *self.encoder, nn.ModuleList([self.norm, self.head])]
