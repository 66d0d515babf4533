"""Counts are drawn with a control and without; the rates of both come back from reactivities and errors alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import counted_mutations, sparse_control
from understudy.rna import background
from understudy.rna.background import USUAL, fit_background, without_background
from understudy.rna.control import MOST, Control, SparseControl, fit_control, seem_poor, without_control
from understudy.rna.features import drawn
from understudy.rna.molecules import Molecules
from understudy.rna.pairing import Pairs

N, LENGTH, HELIX = 150, 80, 30  # the first nucleotides of a molecule pair with the last, a loop between
Floats = NDArray[np.float64]


def library(control: Floats | None = None, more: Floats | float = 0.0) -> tuple[Molecules, Pairs, Floats]:
    """Molecules of which DMS has this control, their pairs, and what was subtracted (N, LENGTH)."""
    rng = np.random.default_rng(1)
    place = np.arange(LENGTH)
    paired = (place < HELIX) | (place >= LENGTH - HELIX)
    treated = np.broadcast_to(np.where(paired, 0.2, 0.9), (N, LENGTH)) + more
    reads = rng.uniform(3000, 30000, (N, 1)).round()
    made = counted_mutations(
        treated, sparse_control(rng, treated.shape) if control is None else control, rng, reads
    )
    reactivity, error, subtracted = made
    good = rng.uniform(0, 1, (N * LENGTH))
    molecules = Molecules(
        ids=tuple(f"m{i}" for i in range(N)),
        offsets=np.arange(N + 1) * LENGTH,
        tokens=rng.integers(0, 4, N * LENGTH).astype(np.uint8),
        reactivity=np.stack([good, reactivity.ravel()], 1).astype(np.float32),
        error=np.stack([0.1 + 0 * good, error.ravel()], 1).astype(np.float32),
        signal_to_noise=np.full((N, 2), 5, np.float32),
        reads=np.repeat(reads, 2, 1).astype(np.float32),
        sn_filter=np.ones((N, 2), bool),
        dataset=np.zeros(N, np.int16),
        dataset_names=("x",),
    )
    i = np.tile(np.arange(HELIX, dtype=np.uint16), N)
    j = (LENGTH - 1 - i).astype(np.uint16)
    return molecules, Pairs(np.arange(N + 1) * HELIX, i, j, np.full(HELIX * N, 0.99, np.float32)), subtracted


def dms(molecules: Molecules) -> NDArray[np.float32]:
    return molecules.reactivity[:, 1].reshape(N, LENGTH)


def told(molecules: Molecules, pairs: Pairs) -> SparseControl:
    control = fit_control(molecules, pairs, "DMS")
    assert control is not None
    return control


def control_of(molecules: Molecules, pairs: Pairs, learnt_from: NDArray[np.int64]) -> Control:
    return told(molecules.take(learnt_from), pairs.take(learnt_from)).of(molecules, pairs)


def test_what_was_subtracted_comes_back_from_the_errors() -> None:
    molecules, pairs, subtracted = library()
    control = told(molecules, pairs)
    found = control.of(molecules, pairs).rate.reshape(N, LENGTH)
    assert np.median(np.abs(found - subtracted)[subtracted > 0.1] / subtracted[subtracted > 0.1]) < 0.06
    assert np.abs(found[subtracted == 0]).max() < 0.05
    undone, little = dms(without_control(molecules, pairs, [control]).treated), found <= MOST
    np.testing.assert_array_equal(np.isfinite(undone), little)
    treated = dms(molecules) + subtracted
    assert np.abs(undone - treated)[little].mean() < 0.2 * np.abs(dms(molecules) - treated)[little].mean()


def test_only_the_chemical_that_is_named_changes_and_nothing_in_place() -> None:
    molecules, pairs, _ = library()
    before = molecules.reactivity.copy()
    undone = without_control(molecules, pairs, [told(molecules, pairs)]).treated
    np.testing.assert_array_equal(molecules.reactivity, before)
    np.testing.assert_array_equal(undone.reactivity[:, 0], before[:, 0])
    assert (dms(undone) > dms(molecules) + 0.1).mean() > 0.05


def test_errors_of_another_kind_change_nothing_but_the_background() -> None:
    everywhere = np.full((N, LENGTH), 0.15)  # a good control: what it counts is everywhere
    molecules, pairs, _ = library(everywhere)
    assert fit_control(molecules, pairs, "2A3") is None
    assert fit_control(molecules, pairs, "DMS") is None
    learnt, _, lines = without_background(molecules, np.arange(N), pairs, ["DMS"])
    assert "stays subtracted" in lines[0]
    fitted = fit_background(molecules, np.arange(N), pairs, ["DMS"])
    clean = fitted.without(molecules)
    np.testing.assert_array_equal(learnt.reactivity, clean.reactivity)
    np.testing.assert_array_equal(learnt.error, clean.error)
    assert fitted.scale[1] != 1


def test_molecules_without_reads_stay_and_others_do_not_depend_on_them() -> None:
    molecules, pairs, _ = library()
    reads, error = molecules.reads.copy(), molecules.error.copy()
    reads[100:, 1] = np.nan
    reads[140:, 1] = 0
    error[130 * LENGTH :] = 7
    odd = replace(molecules, reads=reads, error=error)
    found, alone = (control_of(m, pairs, np.arange(N)) for m in (odd, molecules))
    assert not found.rate[100 * LENGTH :].any()
    np.testing.assert_allclose(found.rate[: 100 * LENGTH], alone.rate[: 100 * LENGTH], atol=0.01)


def test_a_molecule_whose_errors_cannot_be_gets_what_is_usual() -> None:
    molecules, pairs, _ = library()
    error = molecules.error.copy()
    below = molecules.reactivity[:LENGTH, 1] < -0.1
    assert below.sum() > 3
    error[:LENGTH, 1][below] = 0.001  # less than treated reads alone have
    odd = replace(molecules, error=error)
    found, alone = (control_of(m, pairs, np.arange(1, N)) for m in (odd, molecules))
    others = ~below & (alone.rate[:LENGTH] > 0.03)
    np.testing.assert_allclose(found.rate[:LENGTH][others], alone.rate[:LENGTH][others], rtol=0.15)


def test_only_scored_molecules_say_what_holds_for_the_library() -> None:
    molecules, pairs, _ = library()
    error, passed = molecules.error.copy(), molecules.sn_filter.copy()
    error[75 * LENGTH :] *= 3
    passed[50:75] = False
    error[50 * LENGTH : 75 * LENGTH] *= 3
    odd = replace(molecules, error=error, sn_filter=passed)
    found, alone = (control_of(m, pairs, np.arange(75)) for m in (odd, molecules))
    np.testing.assert_allclose(found.rate[: 50 * LENGTH], alone.rate[: 50 * LENGTH], atol=0.02)


def test_where_reads_of_others_are_counted_stems_are_left_out_and_loops_stay_as_reported() -> None:
    end = np.arange(LENGTH) - (LENGTH - 10)  # the last zone: a loop of six and a stem of four
    loop, stem = (end >= 0) & (end < 6), end >= 6
    control = sparse_control(np.random.default_rng(2), (N, LENGTH))
    molecules, pairs, _ = library(np.where(stem, 0.3, control), np.where(stem, 0.5, 0.0))
    values, tokens = molecules.reactivity.copy(), molecules.tokens.copy()
    tokens[np.tile(stem, N)] //= 2  # there are enough A and C
    values[:, 1] += np.where(np.tile(stem, N), 0.2 * tokens, 0)  # and they differ
    molecules = replace(molecules, tokens=tokens, reactivity=values)
    some = np.array(pairs.p)
    some.reshape(N, HELIX)[:, 4:10] = 0.1
    some.reshape(N, HELIX)[:75, 0] = 0.7  # of a stem, but not for certain
    pairs = replace(pairs, p=some)
    undone, reported, unknowable = without_control(molecules, pairs, [told(molecules, pairs)])
    found = dms(undone)
    assert np.isnan(found[:, stem]).all()
    np.testing.assert_array_equal(unknowable[:, 1].reshape(N, LENGTH), np.broadcast_to(stem, (N, LENGTH)))
    assert not unknowable[:, 0].any()
    moved = (found - dms(molecules))[:, loop]
    for token in range(4):
        here = tokens.reshape(N, LENGTH) == token
        alike = here if token < 2 else np.ones_like(here)
        shown = dms(molecules)[alike & stem & ~((np.arange(N) < 75)[:, None] & (end == 9))]
        np.testing.assert_allclose(moved[here[:, loop]], 0.2 - np.median(shown), atol=0.02)
    elsewhere = ~(loop | stem)
    assert (np.isfinite(found[:, elsewhere]) == (control[:, elsewhere] < MOST)).mean() > 0.9
    assert np.isnan(dms(reported)[:, loop | stem]).all()
    np.testing.assert_array_equal(dms(reported)[:, elsewhere], dms(molecules)[:, elsewhere])
    np.testing.assert_array_equal(reported.reactivity[:, 0], molecules.reactivity[:, 0])


def test_where_no_pair_is_certain_nothing_can_be_told() -> None:
    molecules, pairs, _ = library()
    assert fit_control(molecules, replace(pairs, p=0 * pairs.p), "DMS") is None


def test_a_poor_control_is_noticed_and_others_are_not() -> None:
    harmful, _, _ = library()
    everywhere, _, _ = library(np.full((N, LENGTH), 0.15))
    harmless, _, _ = library(np.zeros((N, LENGTH)))
    every = np.arange(N)
    assert [seem_poor(m, every) for m in (harmful, everywhere, harmless)] == [["DMS"], [], []]
    noisy = replace(harmful, sn_filter=np.zeros((N, 2), bool))
    unknown = replace(harmful, reads=np.full((N, 2), np.nan, np.float32))
    assert [seem_poor(m, every) for m in (noisy, unknown)] == [[], []]
    dense, _, _ = library(np.random.default_rng(3).uniform(0.2, 1.4, (N, LENGTH)))  # far too much everywhere
    assert (dms(dense) < -0.3).mean() > 0.2
    assert seem_poor(dense, every) == []


def test_what_is_learnt_has_neither_control_nor_background_and_the_scale_of_what_was_reported() -> None:
    mixed = np.arange(LENGTH) >= LENGTH - 10
    control = sparse_control(np.random.default_rng(2), (N, LENGTH))
    molecules, pairs, _ = library(np.where(mixed, 0.3, control), np.where(mixed, 0.5, 0.0))
    learnt, _, lines = without_background(molecules, np.arange(N), pairs, ["DMS"])
    known = np.isfinite(dms(learnt)) & ~mixed
    paired = (np.arange(LENGTH) < HELIX) & known
    before, after = (np.quantile(dms(m)[known], 0.9) for m in (molecules, learnt))
    np.testing.assert_allclose(after, before, rtol=0.01)
    scale = learnt.error[:, 1].mean() / molecules.error[:, 1].mean()
    np.testing.assert_allclose(np.median(dms(learnt)[paired]), USUAL * scale, atol=0.01)
    assert np.abs(dms(learnt)[paired]).mean() < np.abs(dms(molecules)[paired] - 0.2).mean()
    assert len(lines) == 2
    left_out = np.isnan(dms(learnt)).mean()
    assert f"control of DMS is told from the errors and added again; {100 * left_out:.1f} %" in lines[0]
    assert "background taken" in lines[1]


def test_mended_in_parts_it_is_the_same() -> None:
    end = np.arange(LENGTH) >= LENGTH - 10
    control = sparse_control(np.random.default_rng(2), (N, LENGTH))
    mixed = library(np.where(end, 0.3, control), np.where(end, 0.5, 0.0))
    for (molecules, pairs, _), has_a_stem in ((library(), False), (mixed, True)):
        whole = without_background(molecules, np.arange(0, N, 2), pairs, ["DMS"])
        for part in (1, 7, N - 1):
            found = without_background(molecules, np.arange(0, N, 2), pairs, ["DMS"], part=part)
            np.testing.assert_array_equal(found.molecules.reactivity, whole.molecules.reactivity)
            np.testing.assert_array_equal(found.molecules.error, whole.molecules.error)
            np.testing.assert_array_equal(found.unknowable, whole.unknowable)
            assert found.lines == whole.lines
        assert (whole.unknowable is not None) is has_a_stem
    np.testing.assert_array_equal(
        whole.unknowable[:, 1].reshape(N, LENGTH), np.broadcast_to(end, (N, LENGTH))
    )


def test_a_library_is_told_from_its_scored_training_molecules() -> None:
    molecules, pairs, _ = library()
    train = np.arange(0, N, 2)
    passed, values, error = molecules.sn_filter.copy(), molecules.reactivity.copy(), molecules.error.copy()
    odd = np.ones(N, bool)
    odd[train[10:]] = False  # the others are not of the training, or do not pass
    passed[train[:10], 1] = False
    values[np.repeat(odd, LENGTH)] += 3
    error[np.repeat(odd, LENGTH)] *= 2
    changed = replace(molecules, reactivity=values, error=error, sn_filter=passed)
    found = without_background(changed, train, pairs, ["DMS"]).molecules
    alone = without_background(molecules, train[10:], pairs, ["DMS"]).molecules
    np.testing.assert_array_equal(dms(found)[~odd], dms(alone)[~odd])


def test_a_large_library_is_told_from_some_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    molecules, pairs, _ = library()
    passed = molecules.sn_filter.copy()
    passed[::4] = False
    molecules, every = replace(molecules, sn_filter=passed), np.arange(N)
    whole = without_background(molecules, every, pairs, ["DMS"]).molecules
    some = drawn(molecules, every, 70)
    assert len(some) == 70
    assert (np.diff(some) > 0).all()
    assert molecules.scored[some].all()
    expected = without_background(molecules, some, pairs, ["DMS"]).molecules
    monkeypatch.setattr(background, "_LEARNT", 70)
    found = without_background(molecules, every, pairs, ["DMS"]).molecules
    np.testing.assert_array_equal(found.reactivity, expected.reactivity)
    assert (dms(found) != dms(whole)).any()
