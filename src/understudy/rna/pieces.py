"""Random pieces of molecules to train on: a network that sees every molecule whole can learn places by heart.

The molecules of a library are of one length and one design. How far a nucleotide is from the end then says what it
is, and a network that leans on it is wrong about the next library.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from understudy.core.batch import TokenBatch
from understudy.rna.batches import ReactivityBatch

LEAST = 1 / 3  # of the shortest molecule of a batch


def cut_out(batch: ReactivityBatch, first: Tensor, length: int) -> ReactivityBatch:
    """The nucleotides ``first`` (B,) to ``first + length`` of each molecule of a batch.

    The probability that a nucleotide pairs with one outside of its piece goes to the diagonal of the pairing
    probabilities, so that their sum stays what it was: the nucleotide was paired when it was measured.

    Raises:
        ValueError: a piece reaches over the end of its molecule.
    """
    if int((first + length - batch.inputs.mask.sum(1)).max()) > 0:
        raise ValueError("a piece reaches over the end of its molecule")
    place = first[:, None] + torch.arange(length)
    molecule = torch.arange(len(first))[:, None]
    old = batch.inputs
    pairs = None
    if old.pairs is not None:
        whole = old.pairs.sum(-1)[molecule, place]
        pairs = old.pairs[molecule[:, :, None], place[:, :, None], place[:, None, :]]
        torch.diagonal(pairs, dim1=1, dim2=2).add_((whole - pairs.sum(-1)).clamp(min=0))
    inputs = TokenBatch(old.tokens[molecule, place], old.mask[molecule, place], pairs, old.known)
    return ReactivityBatch(
        inputs, batch.reactivity[molecule, place], batch.error[molecule, place], batch.weight
    )


def random_pieces(batch: ReactivityBatch, share: float, rng: np.random.Generator) -> ReactivityBatch:
    """With probability ``share``: pieces of one length, at other places in each molecule; else the batch itself."""
    if rng.random() >= share:
        return batch
    lengths = batch.inputs.mask.sum(1).numpy()
    shortest = int(lengths.min())
    length = int(rng.integers(max(1, round(LEAST * shortest)), shortest + 1))
    return cut_out(batch, torch.from_numpy(rng.integers(0, lengths - length + 1)), length)
