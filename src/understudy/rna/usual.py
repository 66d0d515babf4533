"""What is taught where nobody can tell: the median of the nucleotides of the same letter and pairing.

Primers sit at both ends of a molecule, and nothing is measured there; nor can anything be told of the stem that
tells molecules apart where reads of others are counted (:mod:`understudy.rna.control`). Such places are the same in
all molecules of a library, so a network that is taught nothing there may say anything of them, and of the same
places in another library. Axes: B molecules of a batch, L nucleotides, 2 chemicals.
"""

from __future__ import annotations

import torch
from torch import Tensor

from understudy.rna.batches import ReactivityBatch
from understudy.rna.medians import Medians


def ends_of(batch: ReactivityBatch) -> Tensor:
    """``(B, L, 2)`` bool: before the first and behind the last measured nucleotide of a molecule, not the gaps."""
    seen = torch.isfinite(batch.reactivity).any(-1)
    begun, not_over = seen.cumsum(1) > 0, seen.flip(1).cumsum(1).flip(1) > 0
    return (batch.inputs.mask & ~(begun & not_over))[..., None].expand_as(batch.reactivity)


def with_usual(batch: ReactivityBatch, where: Tensor, usual: Medians) -> ReactivityBatch:
    """The batch with ``usual`` reactivities ``where`` (B, L, 2) nothing is known of a nucleotide.

    A chemical of which the molecule has no value at all stays unknown.
    """
    measured = torch.isfinite(batch.reactivity)
    missing = where & ~measured & measured.any(1, keepdim=True)
    tokens, pairs = batch.inputs.tokens, batch.inputs.pairs
    pairing = None if pairs is None else pairs.sum(-1).clamp(max=1).reshape(-1, 1).numpy()
    guess = torch.from_numpy(usual.predict(tokens.reshape(-1).numpy(), pairing)[:, :2])
    reactivity = torch.where(missing, guess.reshape(*tokens.shape, 2), batch.reactivity)
    return batch._replace(reactivity=reactivity)
