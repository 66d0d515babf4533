"""Which sequences resemble each other: shared words of six letters, found without comparing all with all.

The similarity of two sequences is the Jaccard index of their sets of 6-mers. Up to a few thousand sequences all
pairs are compared. Beyond, MinHash proposes pairs: sequences whose smallest hashes agree in one of 64 bands meet in
a bucket, which two of similarity s do with probability ``1 - (1 - s^h)^64``. The number h of hashes a band is the
largest for which a pair just similar enough is proposed with probability 0.98; those more similar are nearly
certain, and most have neighbours in common besides. Every proposed pair is then compared exactly.

Axes: S sequences, W distinct words of all of them one after the other, B bands, H hashes a band.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.rna.compiled import compiled

WORD = 6
_WORDS = 4**WORD
_BANDS, _CERTAINTY = 64, 0.98
_ALL_PAIRS_UP_TO = 4096
_ALL_IN_A_BUCKET = 64  # larger buckets compare each sequence with so many before it, those of other groups


@compiled
def words_of(tokens, starts, stops, words, edges):  # type: ignore[no-untyped-def]
    """Sorted distinct words of each sequence ``tokens[starts[s]:stops[s]]`` into ``words``, their edges too."""
    seen = np.full(_WORDS, -1, np.int64)
    at = 0
    for s in range(len(starts)):
        edges[s] = at
        word = 0
        for i in range(starts[s], stops[s]):
            word = (word * 4 + tokens[i]) % _WORDS
            if i - starts[s] >= WORD - 1 and seen[word] != s:
                seen[word] = s
                words[at] = word
                at += 1
        words[edges[s] : at].sort()
    edges[len(starts)] = at
    return at


@compiled
def _alike(words, edges, s, t, least):  # type: ignore[no-untyped-def]
    """Whether the Jaccard index of two sets of words is at least ``least``."""
    i, i_end, j, j_end = edges[s], edges[s + 1], edges[t], edges[t + 1]
    n, m = i_end - i, j_end - j
    if min(n, m) < least * max(n, m) or n == 0 or m == 0:
        return False
    needed = least * (n + m) / (1.0 + least)  # common words
    common = 0
    while i < i_end and j < j_end:
        if common + min(i_end - i, j_end - j) < needed:
            return False
        if words[i] == words[j]:
            common += 1
            i += 1
            j += 1
        elif words[i] < words[j]:
            i += 1
        else:
            j += 1
    return common >= least * (n + m - common)


@compiled
def _root(parent, s):  # type: ignore[no-untyped-def]
    while parent[s] != s:
        parent[s] = parent[parent[s]]
        s = parent[s]
    return s


@compiled
def _meet(words, edges, order, first, last, most, least, parent):  # type: ignore[no-untyped-def]
    """Unite those in ``order[first:last]`` that are alike; the root of a group is its smallest number."""
    for i in range(first + 1, last):
        s = order[i]
        compared = 0
        for j in range(i - 1, first - 1, -1):
            a, b = _root(parent, s), _root(parent, order[j])
            if a == b:
                continue
            if _alike(words, edges, s, order[j], least):
                parent[max(a, b)] = min(a, b)
            compared += 1
            if compared == most:
                break


@compiled
def _band(words, edges, ranks, keys):  # type: ignore[no-untyped-def]
    """(S,) one number of the smallest rank of each sequence's words under each of H orders of all words."""
    for s in range(len(edges) - 1):
        key = np.uint64(0)
        for h in range(len(ranks)):
            least = _WORDS
            for i in range(edges[s], edges[s + 1]):
                least = min(least, ranks[h, words[i]])
            key = key * np.uint64(_WORDS + 1) + np.uint64(least)
        keys[s] = key


@compiled
def _buckets(words, edges, order, keys, most, least, parent):  # type: ignore[no-untyped-def]
    """Unite within every run of equal keys."""
    first = 0
    for i in range(1, len(order) + 1):
        if i == len(order) or keys[order[i]] != keys[order[first]]:
            if i - first > 1:
                limit = i - first if i - first <= most else most
                _meet(words, edges, order, first, i, limit, least, parent)
            first = i


@compiled
def _roots(parent, roots):  # type: ignore[no-untyped-def]
    for s in range(len(parent)):
        roots[s] = _root(parent, s)


def linked(
    tokens: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    least: float,
    *,
    all_pairs: bool | None = None,
) -> NDArray[np.int64]:
    """(S,) group of each sequence ``tokens[start:stop]``: the number of the first sequence in it.

    Groups are chains: any two sequences of similarity ``least`` or more are in one, with their neighbours.
    Deterministic. Sequences shorter than a word stay alone.

    Args:
        all_pairs: compare all pairs, or only those that MinHash proposes; None: by how many there are.
    """
    n = len(starts)
    words = np.empty(int(np.minimum(stops - starts, _WORDS).clip(0).sum()), np.uint16)
    edges = np.empty(n + 1, np.int64)
    words = words[: words_of(tokens, starts, stops, words, edges)]
    parent = np.arange(n)
    if all_pairs if all_pairs is not None else n <= _ALL_PAIRS_UP_TO:
        _meet(words, edges, np.arange(n), 0, n, n, least, parent)
    else:
        _by_minhash(words, edges, least, parent)
    roots = np.empty(n, np.int64)
    _roots(parent, roots)
    return roots


def _hashes(least: float) -> int:
    """Hashes a band for pairs of similarity ``least``."""
    for_one = 1 - (1 - _CERTAINTY) ** (1 / _BANDS)  # how often all hashes of one band must agree
    return 1 if least == 0 else min(16, max(1, int(math.log(for_one) / min(math.log(least), -1e-9))))


def _by_minhash(
    words: NDArray[np.uint16], edges: NDArray[np.int64], least: float, parent: NDArray[np.int64]
) -> None:
    generator = np.random.default_rng(6)
    weights: NDArray[Any] = np.arange(_WORDS, dtype=np.uint16)
    keys = np.empty(len(parent), np.uint64)
    hashes = _hashes(least)
    for _ in range(_BANDS):
        ranks = np.stack([generator.permutation(weights) for _ in range(hashes)])
        _band(words, edges, ranks, keys)
        order = np.argsort(keys, kind="stable")
        _buckets(words, edges, order, keys, _ALL_IN_A_BUCKET, least, parent)
