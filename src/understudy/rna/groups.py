"""Who may learn from whom: molecules that resemble each other stay on one side of every fold.

Axes: M molecules, S distinct sequences.
"""

from __future__ import annotations

import heapq
import logging

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError
from understudy.rna.molecules import ALPHABET, Molecules
from understudy.rna.similar import WORD, linked

log = logging.getLogger(__name__)

SIMILARITY = 0.4  # Jaccard index of 6-mers from which two sequences count as similar
# What every sequence of the competition begins and ends with; it says nothing of how similar two are.
FLANKS = ("GGGAACGACUCGAGUAGAGUCGAAAA", "AAAGAAACAACAACAACAAC")


def groups(molecules: Molecules, similarity: float | None = SIMILARITY) -> NDArray[np.int64]:
    """(M,) number of the group of each molecule, counted in order of appearance.

    Equal sequences are in one group. With ``similarity``, so are any two whose sets of 6-mers, without the constant
    flanks, have a Jaccard index of at least that, and with them their neighbours: groups are chains. Windows that
    slide along a genome are one group, from its begin to its end. Above some thousand sequences a pair that is just
    similar enough can be missed (:mod:`understudy.rna.similar` says how rarely).

    Raises:
        ConfigError: ``similarity`` is not above 0 and at most 1.
    """
    if similarity is not None and not 0 < similarity <= 1:
        raise ConfigError(f"a similarity of {similarity:g} is not above 0 and at most 1")
    numbers: dict[bytes, int] = {}
    offsets = molecules.offsets
    sequence = np.empty(len(molecules), np.int64)  # (M,) which of the S
    firsts: list[int] = []
    for m in range(len(molecules)):
        text = molecules.tokens[offsets[m] : offsets[m + 1]].tobytes()
        sequence[m] = numbers.setdefault(text, len(numbers))
        if sequence[m] == len(firsts):
            firsts.append(m)
    del numbers
    if similarity is None:
        return sequence
    roots = linked(molecules.tokens, *_designs(molecules, np.array(firsts, np.int64)), similarity)
    # A root is the smallest number of its group: groups come out in order of appearance.
    _, numbered = np.unique(roots, return_inverse=True)
    found: NDArray[np.int64] = numbered[sequence]
    return found


def _designs(molecules: Molecules, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last nucleotide of the sequences without their flanks, where both are there and a word remains."""
    begin, end = (np.array([ALPHABET.index(c) for c in flank], np.uint8) for flank in FLANKS)
    starts, stops = molecules.offsets[which], molecules.offsets[which + 1]
    long = np.flatnonzero(stops - starts >= len(begin) + len(end) + WORD)
    both = np.ones(len(long), bool)
    for k, token in enumerate(begin):
        both &= molecules.tokens[starts[long] + k] == token
    for k, token in enumerate(end):
        both &= molecules.tokens[stops[long] - len(end) + k] == token
    starts[long[both]] += len(begin)
    stops[long[both]] -= len(end)
    return starts, stops


def folds(
    molecules: Molecules, nfolds: int, seed: int, *, similar: bool | float = False
) -> NDArray[np.int16]:
    """(M,) the fold of each molecule, from 0; folds are as equal in size as whole groups allow.

    Args:
        nfolds: at least 2.
        seed: decides which groups come together.
        similar: False: a group is one sequence, in however many data sets it stands. True: similar sequences
            (:data:`SIMILARITY`) too. A number: those of at least that similarity.

    Raises:
        ConfigError: fewer than 2 folds, fewer groups than folds, or a similarity out of range.
    """
    if nfolds < 2:
        raise ConfigError(f"nfolds={nfolds}: at least 2 folds are needed, one to train on and one to score")
    # True is 1.0 for Python, but not for us.
    similarity = (SIMILARITY if similar else None) if isinstance(similar, bool) else similar
    group = groups(molecules, similarity)
    sizes = np.bincount(group)
    if len(sizes) < nfolds:
        what = "groups of similar sequences" if similarity is not None else "different sequences"
        raise ConfigError(f"nfolds={nfolds}: there are only {len(sizes)} {what}")
    # Large groups first, each into the smallest fold; groups of one size in random order.
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    fill = [(0, k) for k in range(nfolds)]
    fold_of = np.empty(len(sizes), np.int16)
    for g, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        have, k = fill[0]
        fold_of[g] = k
        heapq.heapreplace(fill, (have + size, k))
    if sizes.max() > 1.5 * len(molecules) / nfolds:
        log.warning(
            "%d of %d molecules are one chain of similar sequences: one of %d folds is that large; "
            "a higher similarity makes shorter chains",
            sizes.max(),
            len(molecules),
            nfolds,
        )
    chosen: NDArray[np.int16] = fold_of[group]
    return chosen


def longest_held_out(molecules: Molecules, longer_than: int) -> NDArray[np.bool_]:
    """(M,) the molecules of more than ``longer_than`` nucleotides, to be scored by a model of the shorter ones.

    Raises:
        ConfigError: none is longer, or none is not.
    """
    held: NDArray[np.bool_] = molecules.lengths > longer_than
    if held.all() or not held.any():
        lengths = molecules.lengths
        raise ConfigError(
            f"no hold-out by length: of {len(held)} molecules of {lengths.min()} to {lengths.max()} nucleotides, "
            f"{held.sum()} are longer than {longer_than}"
        )
    return held
