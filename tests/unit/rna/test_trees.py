"""Trees see the neighbours of a nucleotide in its own molecule, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from rna_profiles import made_molecules, made_pairs
from understudy.errors import DataError, ModelError
from understudy.rna import trees as module
from understudy.rna.baselines import with_intervals
from understudy.rna.evaluate import evaluate_profiles
from understudy.rna.features import OUTSIDE, Windows, pairing_of_rows
from understudy.rna.medians import fit_medians
from understudy.rna.molecules import Molecules
from understudy.rna.predictor import TreePredictor
from understudy.rna.trees import Trees, TreeSettings, fit_trees

SMALL = TreeSettings(n_trees=40, width=3)


def learnable(n: int, *, by_pairing: bool = False) -> Molecules:
    """Reactive where the next nucleotide is an A (or where it is unpaired)."""
    lengths = [40 + i % 5 for i in range(n)]
    molecules = made_molecules(lengths, scored=[True] * n, missing=0.1)
    if by_pairing:
        pairing = pairing_of_rows(made_pairs(lengths), molecules, np.arange(n))
        signal = (pairing[:, 0] < 0.2).astype(np.float32)
    else:
        signal = (np.append(molecules.tokens[1:], 9) == 0).astype(np.float32)
        signal[molecules.offsets[1:] - 1] = 0.0
    gone = np.isnan(molecules.reactivity)
    noise = np.random.default_rng(5).normal(0.1, 0.01, gone.shape)
    values = 0.7 * signal[:, None] + noise
    return replace(molecules, reactivity=np.where(gone, np.nan, values).astype(np.float32))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_windows_end_with_the_molecule(lengths: list[int], width: int, paired: bool) -> None:
    molecules = made_molecules(lengths)
    pairing = pairing_of_rows(made_pairs(lengths), molecules, np.arange(len(lengths))) if paired else None
    windows = Windows(molecules.tokens, molecules.offsets, pairing, width)
    every = windows.rows(np.arange(len(molecules.tokens)))
    n, row = 2 * width + 1, 0
    for m, length in enumerate(lengths):
        start = int(molecules.offsets[m])
        for position in range(length):
            for column, shift in enumerate(range(-width, width + 1)):
                near = position + shift
                inside = 0 <= near < length
                assert every[row, column] == (molecules.tokens[start + near] if inside else OUTSIDE)
                if pairing is not None:
                    for k in range(2):
                        expected = pairing[start + near, k] if inside else 0.0
                        assert every[row, (k + 1) * n + column] == expected
            row += 1


def test_trees_learn_what_the_neighbours_say() -> None:
    molecules = learnable(30)
    train, test = np.arange(20), np.arange(20, 30)
    held = molecules.take(test)
    trees = fit_trees(molecules, train, settings=SMALL)
    found = trees.predict(held.tokens, held.offsets)
    error = evaluate_profiles(trees.name, molecules, test, found).mae
    median = fit_medians(molecules, train, "nucleotide").predict(held.tokens)
    assert error < 0.02 < 0.1 < evaluate_profiles("median", molecules, test, median).mae
    assert found.shape == (len(held.tokens), 4)
    assert np.isnan(found[:, 2:]).all()
    assert found[:, :2].min() >= 0
    assert found[:, :2].max() <= 1


def test_pairing_helps_where_it_decides() -> None:
    molecules = learnable(40, by_pairing=True)
    pairs = made_pairs(list(molecules.lengths))
    train, test = np.arange(30), np.arange(30, 40)
    held, pairing = molecules.take(test), pairing_of_rows(pairs, molecules, test)
    with_it = fit_trees(molecules, train, pairs=pairs, settings=SMALL)
    without = fit_trees(molecules, train, settings=SMALL)
    guess = with_it.predict(held.tokens, held.offsets, pairing)
    errors = [
        evaluate_profiles("trees", molecules, test, p).mae
        for p in (guess, without.predict(held.tokens, held.offsets))
    ]
    assert errors[0] < 0.02 < 0.2 < errors[1]
    assert with_it.name != without.name
    with pytest.raises(ValueError, match="pairing"):
        with_it.predict(held.tokens, held.offsets)
    with pytest.raises(ValueError, match="pairing"):
        without.predict(held.tokens, held.offsets, pairing)


def test_trees_predict_medians_as_the_official_figure_asks() -> None:
    molecules = learnable(10)
    rng = np.random.default_rng(1)
    noise = rng.normal(0.1, 0.01, molecules.reactivity.shape)
    skewed = np.where(rng.random(noise.shape) < 0.3, 1.0, noise)  # of mean 0.37 and median 0.1
    molecules = replace(molecules, reactivity=skewed.astype(np.float32))
    found = fit_trees(molecules, np.arange(10), settings=SMALL).predict(molecules.tokens, molecules.offsets)
    assert np.median(found[:, :2]) < 0.2


def test_batch_mates_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    molecules = learnable(12)
    trees = fit_trees(molecules, np.arange(12), settings=SMALL)
    together = trees.predict(molecules.tokens, molecules.offsets)
    one = molecules.take([3])
    a, b = molecules.offsets[3:5]
    np.testing.assert_array_equal(trees.predict(one.tokens, one.offsets)[:, :2], together[a:b, :2])
    monkeypatch.setattr(module, "CHUNK", 7)
    np.testing.assert_array_equal(trees.predict(molecules.tokens, molecules.offsets), together)


def test_only_scored_molecules_teach_and_so_many_as_may() -> None:
    molecules = learnable(20)
    molecules.sn_filter[10:] = False
    wild = molecules.reactivity.copy()
    wild[molecules.offsets[10] :] = 1.0
    noisy = replace(molecules, reactivity=wild)
    every = np.arange(20)
    first, second = fit_trees(molecules, every, settings=SMALL), fit_trees(noisy, every, settings=SMALL)
    assert first.n_molecules == second.n_molecules == 10
    np.testing.assert_array_equal(
        first.predict(molecules.tokens, molecules.offsets),
        second.predict(molecules.tokens, molecules.offsets),
    )
    few = replace(SMALL, max_molecules=4)
    drawn = [fit_trees(molecules, every, settings=replace(few, seed=s)) for s in (0, 0, 1)]
    assert [t.n_molecules for t in drawn] == [4, 4, 4]
    guesses = [t.predict(molecules.tokens, molecules.offsets)[:, :2] for t in drawn]
    np.testing.assert_array_equal(guesses[0], guesses[1])
    assert (guesses[0] != guesses[2]).any()


def test_a_value_that_is_missing_is_missed_by_its_chemical_alone() -> None:
    molecules = learnable(20)
    some = molecules.reactivity.copy()
    some[::3, 1] = np.nan
    gaps = replace(molecules, reactivity=some)
    whole, less = (
        fit_trees(m, np.arange(20), settings=SMALL).predict(molecules.tokens, molecules.offsets)
        for m in (molecules, gaps)
    )
    np.testing.assert_array_equal(less[:, 0], whole[:, 0])
    assert (less[:, 1] != whole[:, 1]).any()
    assert np.isfinite(less[:, :2]).all()


def test_without_a_scored_molecule_trees_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="SN_filter"):
        fit_trees(made_molecules([9, 9], scored=[False, False]), np.arange(2))


def test_a_file_of_trees_predicts_the_same(tmp_path: Path) -> None:
    molecules = learnable(40, by_pairing=True)
    pairs = made_pairs(list(molecules.lengths))
    pairing = pairing_of_rows(pairs, molecules, np.arange(40))
    trees = with_intervals(
        fit_trees(molecules, np.arange(30), pairs=pairs, settings=SMALL), molecules, np.arange(30, 40), pairs
    )
    trees.save(tmp_path / "trees.skops")
    again = Trees.load(tmp_path / "trees.skops")
    guess = trees.predict(molecules.tokens, molecules.offsets, pairing)
    np.testing.assert_array_equal(again.predict(molecules.tokens, molecules.offsets, pairing), guess)
    assert (again.settings, again.with_pairing, again.n_molecules) == (SMALL, True, 30)
    assert trees.intervals is not None
    assert again.intervals is not None
    half = [i.half_width(0.9, guess, molecules.tokens) for i in (trees.intervals, again.intervals)]
    np.testing.assert_allclose(half[0], half[1], atol=1e-6)
    held = slice(molecules.offsets[30], None)
    with np.errstate(invalid="ignore"):
        inside = np.abs(np.clip(molecules.reactivity, 0, 1) - guess[:, :2])[held] <= half[0][held] + 1e-6
    assert inside[np.isfinite(molecules.reactivity).all(1)[held]].mean() >= 0.89


@pytest.mark.parametrize("kind", ["another type", "cut off", "something else", "no trees"])
def test_a_file_that_holds_no_trees_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trees.skops"
    fit_trees(learnable(4), np.arange(4), settings=SMALL).save(path)
    whole = path.read_bytes()
    if kind == "another type":
        made = tmp_path / "made"
        skops.io.dump({"forests": [partial(os.mkdir, str(made))]}, path)
    else:
        content = {"cut off": whole[: len(whole) // 2], "something else": b"PK", "no trees": b""}
        path.write_bytes(content[kind])
    with pytest.raises(ModelError, match=r"trees\.skops: the boosted trees cannot be read"):
        Trees.load(path)
    assert not (tmp_path / "made").exists()


def test_trees_predict_sequences_with_pairs_and_without() -> None:
    molecules = learnable(30, by_pairing=True)
    pairs = made_pairs(list(molecules.lengths))
    every = np.arange(30)
    both = [fit_trees(molecules, every, pairs=p, settings=SMALL) for p in (None, pairs)]
    sequences = [molecules.sequence(i) for i in every]
    predictor = TreePredictor(both)
    assert predictor.uses_pairs
    pairing = pairing_of_rows(pairs, molecules, every)
    for known, trees, extra in ((None, both[0], ()), (pairs, both[1], (pairing,))):
        found = predictor(sequences, known)
        assert [len(y) for y in found] == [len(s) for s in sequences]
        expected = trees.predict(molecules.tokens, molecules.offsets, *extra)
        np.testing.assert_array_equal(np.concatenate(found), expected)
    with pytest.raises(ModelError, match="without pairing"):
        TreePredictor(both[1:])(sequences, None)
