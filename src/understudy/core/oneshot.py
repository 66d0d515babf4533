"""One pass from all inputs of a case to all its outputs: the model, and how it is applied to many cases.

Axes: M cases, N positions of all cases one after the other, K outputs a position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from understudy.core.batch import TokenBatch
from understudy.core.nets.tokens import TokenNet

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Attention keeps maps of L x L: a batch holds at most so many of their elements a head, which is some hundred MB.
_MAP_ELEMENTS = 1_500_000


class OneShotModel(nn.Module):
    """What is trained, saved and used for prediction; its outputs are in physical units as they are."""

    def __init__(self, net: TokenNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: TokenBatch) -> Tensor:
        """Outputs ``(B, L, K)``; behind the end of a case they are not defined."""
        return self.net(batch)  # type: ignore[no-any-return]


class TokenSource(Protocol):
    """Cases that can be had as batches."""

    @property
    def lengths(self) -> Ints:
        """(M,) positions of each case."""

    def batch(self, index: Ints) -> TokenBatch:
        """The cases ``index`` as one batch."""


def similar_lengths(lengths: Ints, index: Ints, *, elements: int = _MAP_ELEMENTS) -> Iterator[Ints]:
    """``index`` cut into batches of similar lengths, whose attention maps stay below ``elements``.

    Yields places within ``index``, longest first: what does not fit into memory shows at once.
    """
    order = np.argsort(-lengths[index], kind="stable")
    first = 0
    while first < len(order):
        longest = max(1, int(lengths[index[order[first]]]))
        n = max(1, elements // longest**2)
        yield order[first : first + n]
        first += n


@torch.no_grad()
def apply(
    model: OneShotModel,
    source: TokenSource,
    index: Sequence[int] | Ints,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Floats]:
    """Outputs ``(L, K)`` of every case of ``index``, in that order; each is what the case would get alone."""
    chosen = np.asarray(index, np.int64)
    device = next(model.parameters()).device
    results: list[Floats] = [np.empty((0, 0), np.float32)] * len(chosen)
    was_training = model.training
    model.eval()
    done = 0
    for places in similar_lengths(source.lengths, chosen):
        batch = source.batch(chosen[places])
        outputs = model(on_device(batch, device)).float().cpu().numpy()
        for place, rows in zip(places, outputs, strict=True):
            results[place] = rows[: source.lengths[chosen[place]]].copy()
        done += len(places)
        on_progress(done, len(chosen))
    model.train(was_training)
    return results


def on_device(batch: TokenBatch, device: torch.device) -> TokenBatch:
    """The batch where the model is."""
    pairs = None if batch.pairs is None else batch.pairs.to(device)
    known = None if batch.known is None else batch.known.to(device)
    return TokenBatch(batch.tokens.to(device), batch.mask.to(device), pairs, known)
