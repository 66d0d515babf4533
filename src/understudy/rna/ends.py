"""What is taught of the ends of molecules, where primers sit and nothing can be measured.

They are the same in all molecules of a library, so a network that is taught nothing there may say anything of them,
and of what stands beside them in a library that is measured a little further. They are taught what is usual for
their letter and pairing. Axes: B molecules of a batch, L nucleotides, 2 chemicals.
"""

from __future__ import annotations

import torch

from understudy.rna.batches import ReactivityBatch
from understudy.rna.medians import Medians


def with_ends(batch: ReactivityBatch, usual: Medians) -> ReactivityBatch:
    """The batch with ``usual`` reactivities before the first and behind the last measured nucleotide of a molecule.

    A chemical of which the molecule has no value at all stays unknown, and gaps between measured ones stay gaps.
    """
    measured = torch.isfinite(batch.reactivity)
    seen = measured.any(-1)
    begun, not_over = seen.cumsum(1) > 0, seen.flip(1).cumsum(1).flip(1) > 0
    outside = batch.inputs.mask & ~(begun & not_over)
    missing = outside[..., None] & measured.any(1, keepdim=True)
    tokens, pairs = batch.inputs.tokens, batch.inputs.pairs
    pairing = None if pairs is None else pairs.sum(-1).clamp(max=1).reshape(-1, 1).numpy()
    guess = torch.from_numpy(usual.predict(tokens.reshape(-1).numpy(), pairing)[:, :2])
    reactivity = torch.where(missing, guess.reshape(*tokens.shape, 2), batch.reactivity)
    return batch._replace(reactivity=reactivity)
