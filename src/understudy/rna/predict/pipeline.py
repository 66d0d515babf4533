"""Sequences from a reader, predicted block by block, in the order in which they came."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.rna.pairing import Pairs
from understudy.rna.predict.ensemble import Floats, Predictor, over_pairings
from understudy.rna.sequences import decode, encode_many

BLOCK = 1_000_000  # nucleotides that are read ahead, to put similar lengths into one batch
BLOCK_SEQUENCES = 20_000

REACTIVITY_2A3, REACTIVITY_DMS, ERROR_2A3, ERROR_DMS = range(4)  # the columns of a prediction


@dataclass(frozen=True)
class Block:
    """Consecutive molecules with what is predicted for them.

    Nucleotides of molecule m: rows ``offsets[m]`` to ``offsets[m + 1]`` of ``tokens`` (N,) and of ``values``
    (N, 4): 2A3, DMS, error of 2A3, error of DMS; the reactivities in [0, 1].
    """

    ids: tuple[str, ...]
    sequences: tuple[str, ...]  # capital letters, U for T
    offsets: NDArray[np.int64]
    tokens: NDArray[np.uint8]
    values: Floats
    ends: Floats | None = None  # (N, 4) of intervals: low and high of 2A3, low and high of DMS

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, m: int) -> Floats:
        """The prediction ``(L, 4)`` of one molecule."""
        return self.values[self.offsets[m] : self.offsets[m + 1]]


def predict_blocks(
    records: Iterable[tuple[str, str]],
    predictor: Predictor,
    pairing: Callable[[Sequence[str]], Sequence[Pairs]] | None = None,
    *,
    size: int = BLOCK,
) -> Iterator[Block]:
    """Predict records ``(id, sequence)``; memory holds one block of about ``size`` nucleotides, and no more.

    Args:
        records: read as far as one block needs.
        predictor: gets all sequences of a block at once.
        pairing: base-pairing probabilities of a block's sequences, of several of which the mean of the predictions
            is taken; None: the network works without.

    Raises:
        DataError: a sequence is empty or has an unknown letter.
    """
    for chunk in _chunks(records, size):
        ids, texts = zip(*chunk, strict=True)
        tokens, offsets = encode_many(texts, ids)
        letters = decode(tokens)
        ends = offsets.tolist()
        sequences = tuple(letters[a:b] for a, b in itertools.pairwise(ends))
        several = [None] if pairing is None else pairing(sequences)
        values = np.concatenate(over_pairings(predictor, sequences, several))
        np.clip(values[:, :2], 0, 1, out=values[:, :2])
        yield Block(ids, sequences, offsets, tokens, values)


def _chunks(records: Iterable[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    chunk: list[tuple[str, str]] = []
    held = 0
    for record in records:
        if chunk and (held + len(record[1]) > size or len(chunk) == BLOCK_SEQUENCES):
            yield chunk
            chunk, held = [], 0
        chunk.append(record)
        held += len(record[1])
    if chunk:
        yield chunk
