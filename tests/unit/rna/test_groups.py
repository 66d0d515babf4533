"""Folds keep equal and similar sequences together; groups are what comparing all pairs gives."""

from __future__ import annotations

import logging
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import ConfigError
from understudy.rna.groups import FLANKS, folds, groups, longest_held_out
from understudy.rna.molecules import ALPHABET, Molecules
from understudy.rna.similar import linked

sequences = st.lists(
    st.text("ACGU", min_size=1, max_size=40) | st.sampled_from(["ACGUACGGCA", "ACGUACGGCU"]),
    min_size=4,
    max_size=30,
)


def molecules(texts: list[str]) -> Molecules:
    """Molecules with nothing measured, each in a data set of its own."""
    n, m = sum(map(len, texts)), len(texts)
    return Molecules(
        ids=tuple(f"m{i}" for i in range(m)),
        offsets=np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64),
        tokens=np.array([ALPHABET.index(c) for t in texts for c in t], np.uint8),
        reactivity=np.full((n, 2), np.nan, np.float32),
        error=np.full((n, 2), np.nan, np.float32),
        signal_to_noise=np.full((m, 2), np.nan, np.float32),
        reads=np.full((m, 2), np.nan, np.float32),
        sn_filter=np.zeros((m, 2), bool),
        dataset=np.arange(m, dtype=np.int16),
        dataset_names=tuple(f"d{i}" for i in range(m)),
    )


def jaccard(a: str, b: str) -> float:
    words_a, words_b = ({t[i : i + 6] for i in range(len(t) - 5)} for t in (a, b))
    return len(words_a & words_b) / len(words_a | words_b) if words_a and words_b else float(a == b)


def family(rng: np.random.Generator, length: int, members: int, changes: int) -> list[str]:
    """A random design with its variants of so many substitutions."""
    first = rng.choice(list("ACGU"), length)
    found = ["".join(first)]
    for _ in range(members - 1):
        variant = first.copy()
        variant[rng.choice(length, changes, replace=False)] = rng.choice(list("ACGU"), changes)
        found.append("".join(variant))
    return found


@given(sequences, st.integers(2, 4), st.integers(0, 9), st.sampled_from([False, True, 0.2, 0.9]))
@settings(max_examples=60, deadline=None)
def test_similar_sequences_share_a_fold(
    texts: list[str], nfolds: int, seed: int, similar: bool | float
) -> None:
    table = molecules(texts)
    least = {False: None, True: 0.4}.get(similar, similar) if isinstance(similar, bool) else similar
    group = groups(table, least)
    if group.max() + 1 < nfolds:
        with pytest.raises(ConfigError, match=f"only {group.max() + 1}"):
            folds(table, nfolds, seed, similar=similar)
        return
    fold = folds(table, nfolds, seed, similar=similar)
    assert set(fold.tolist()) == set(range(nfolds))
    for i, j in combinations(range(len(texts)), 2):
        if texts[i] == texts[j] or (least is not None and jaccard(texts[i], texts[j]) >= least):
            assert fold[i] == fold[j]
            assert group[i] == group[j]
    # No fold could give its smallest group to another and both be nearer to each other.
    sizes, group_sizes = np.bincount(fold), np.bincount(group)
    smallest = [min(group_sizes[group[fold == k]]) for k in range(nfolds)]
    assert all(sizes[k] - smallest[k] <= sizes.min() for k in range(nfolds))


@given(sequences)
@settings(max_examples=40, deadline=None)
def test_groups_are_chains_and_no_more(texts: list[str]) -> None:
    group = groups(molecules(texts), 0.4)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        return i if parent[i] == i else root(parent[i])

    for i, j in combinations(range(len(texts)), 2):
        if texts[i] == texts[j] or jaccard(texts[i], texts[j]) >= 0.4:
            parent[max(root(i), root(j))] = min(root(i), root(j))
    expected = [root(i) for i in range(len(texts))]
    assert group.tolist() == [sorted(set(expected)).index(r) for r in expected]


@pytest.mark.parametrize("least", [0.4, 0.7])
def test_minhash_finds_what_all_pairs_do(least: float) -> None:
    rng = np.random.default_rng(3)
    texts = [t for _ in range(60) for t in family(rng, 130, 10, 3)]
    table = molecules(texts)
    edges = table.offsets[:-1], table.offsets[1:]
    exact = linked(table.tokens, *edges, least, all_pairs=True)
    found = linked(table.tokens, *edges, least, all_pairs=False)
    assert 60 <= len(set(exact.tolist())) < 200
    assert (exact == found).mean() > 0.99
    assert all(exact[i] == exact[r] for i, r in enumerate(found))  # what is proposed is compared exactly
    np.testing.assert_array_equal(found, linked(table.tokens, *edges, least, all_pairs=False))


def test_constant_flanks_do_not_make_sequences_similar() -> None:
    rng = np.random.default_rng(1)
    designs = ["".join(rng.choice(list("ACGU"), 40)) for _ in range(6)]
    texts = [FLANKS[0] + d + FLANKS[1] for d in designs]
    assert jaccard(texts[0], texts[1]) > 0.2
    assert len(set(groups(molecules(texts), 0.2).tolist())) == 6


def test_the_same_sequence_in_several_data_sets_is_in_one_fold() -> None:
    rng = np.random.default_rng(1)
    once = ["".join(rng.choice(list("ACGU"), 30)) for _ in range(50)]
    fold = folds(molecules(once * 3), 5, 7)
    np.testing.assert_array_equal(fold, np.tile(fold[:50], 3))
    np.testing.assert_array_equal(np.bincount(fold), [30] * 5)


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(1)
    table = molecules(["".join(rng.choice(list("ACGU"), 30)) for _ in range(50)])
    np.testing.assert_array_equal(folds(table, 5, 7), folds(table, 5, 7))
    assert not np.array_equal(folds(table, 5, 7), folds(table, 5, 8))


def test_a_chain_larger_than_a_fold_is_said(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(1)
    genome = "".join(rng.choice(list("ACGU"), 400))
    windows = [genome[i : i + 60] for i in range(0, 300, 5)]
    others = ["".join(rng.choice(list("ACGU"), 60)) for _ in range(40)]
    table = molecules(windows + others)
    assert len(set(groups(table)[: len(windows)].tolist())) == 1
    with caplog.at_level(logging.WARNING):
        folds(table, 4, 0, similar=0.95)
        assert not caplog.records
        assert np.bincount(folds(table, 4, 0, similar=True)).max() == len(windows)
    assert "60 of 100 molecules" in caplog.text


@pytest.mark.parametrize("similarity", [0.0, -1.0, 1.5])
def test_a_similarity_out_of_range(similarity: float) -> None:
    with pytest.raises(ConfigError, match="similarity"):
        groups(molecules(["ACGU"]), similarity)
    with pytest.raises(ConfigError, match="nfolds=1"):
        folds(molecules(["ACGU"]), 1, 0)


def test_hold_out_by_length() -> None:
    table = molecules(["A" * 3, "A" * 9, "A" * 5])
    assert longest_held_out(table, 4).tolist() == [False, True, True]
    for longer_than in (9, 2):
        with pytest.raises(ConfigError, match="3 to 9 nucleotides"):
            longest_held_out(table, longer_than)
