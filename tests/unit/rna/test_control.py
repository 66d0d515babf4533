"""Counts are drawn with a control and without; the rates of both come back from reactivities and errors alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from understudy.rna.background import USUAL, without_background
from understudy.rna.control import MOST, fit_control, seem_poor, without_control
from understudy.rna.molecules import Molecules
from understudy.rna.pairing import Pairs

N, LENGTH, HELIX = 150, 80, 30  # the first nucleotides of a molecule pair with the last, a loop between
UNIT = 0.03  # mutations a read where the reactivity is 1
Floats = NDArray[np.float64]


def sparse(rng: np.random.Generator, shape: tuple[int, int], share: float = 0.2) -> Floats:
    """Rates of a control that mutates at a few places only, and there too much."""
    return np.where(rng.random(shape) < share, rng.uniform(0.05, 1.0, shape), 0.0)


def experiment(
    treated: Floats, control: Floats, rng: np.random.Generator, reads: Floats
) -> tuple[Floats, Floats, Floats]:
    """Reactivity, its error and what was subtracted, of counts with these rates; three decimals, as in files."""
    one, other = 1 / (UNIT * reads), 3 / (UNIT * reads)  # of a mutated read; a third of the reads are control
    counts, against = rng.poisson(treated / one), rng.poisson(control / other)
    error = np.sqrt(counts * one**2 + against * other**2)
    return np.round(counts * one - against * other, 3), np.round(error, 3), against * other


def library(control: Floats | None = None, more: Floats | float = 0.0) -> tuple[Molecules, Pairs, Floats]:
    """Molecules of which DMS has this control, their pairs, and what was subtracted (N, LENGTH)."""
    rng = np.random.default_rng(1)
    place = np.arange(LENGTH)
    paired = (place < HELIX) | (place >= LENGTH - HELIX)
    treated = np.broadcast_to(np.where(paired, 0.2, 0.9), (N, LENGTH)) + more
    reads = rng.uniform(3000, 30000, (N, 1)).round()
    made = experiment(treated, sparse(rng, treated.shape) if control is None else control, rng, reads)
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


def test_what_was_subtracted_comes_back_from_the_errors() -> None:
    molecules, pairs, subtracted = library()
    control = fit_control(molecules, np.arange(N), pairs, "DMS")
    assert control is not None
    found = control.rate.reshape(N, LENGTH)
    assert np.median(np.abs(found - subtracted)[subtracted > 0.1] / subtracted[subtracted > 0.1]) < 0.06
    assert np.abs(found[subtracted == 0]).max() < 0.05
    undone, little = dms(control.undone(molecules, "DMS")), found <= MOST
    np.testing.assert_array_equal(np.isfinite(undone), little)
    treated = dms(molecules) + subtracted
    assert np.abs(undone - treated)[little].mean() < 0.2 * np.abs(dms(molecules) - treated)[little].mean()


def test_only_the_chemical_that_is_named_changes_and_nothing_in_place() -> None:
    molecules, pairs, _ = library()
    before = molecules.reactivity.copy()
    undone, _, lines = without_control(molecules, np.arange(N), pairs, ["DMS"])
    np.testing.assert_array_equal(molecules.reactivity, before)
    np.testing.assert_array_equal(undone.reactivity[:, 0], before[:, 0])
    assert (dms(undone) > dms(molecules) + 0.1).mean() > 0.05
    assert "control of DMS" in lines[0]
    assert "left out" in lines[0]


def test_errors_of_another_kind_change_nothing() -> None:
    everywhere = np.full((N, LENGTH), 0.15)  # a good control: what it counts is everywhere
    molecules, pairs, _ = library(everywhere)
    undone, _, lines = without_control(molecules, np.arange(N), pairs, ["2A3", "DMS"])
    np.testing.assert_array_equal(undone.reactivity, molecules.reactivity)
    assert len(lines) == 2
    assert all("stays subtracted" in line for line in lines)


def test_molecules_without_reads_stay_and_others_do_not_depend_on_them() -> None:
    molecules, pairs, _ = library()
    reads, error = molecules.reads.copy(), molecules.error.copy()
    reads[100:, 1] = np.nan
    reads[140:, 1] = 0
    error[130 * LENGTH :] = 7
    odd = replace(molecules, reads=reads, error=error)
    found, alone = (fit_control(m, np.arange(100), pairs, "DMS") for m in (odd, molecules))
    assert found is not None
    assert alone is not None
    assert not found.rate[100 * LENGTH :].any()
    np.testing.assert_allclose(found.rate[: 100 * LENGTH], alone.rate[: 100 * LENGTH], atol=0.01)


def test_a_molecule_whose_errors_cannot_be_gets_what_is_usual() -> None:
    molecules, pairs, _ = library()
    error = molecules.error.copy()
    below = molecules.reactivity[:LENGTH, 1] < -0.1
    assert below.sum() > 3
    error[:LENGTH, 1][below] = 0.001  # less than treated reads alone have
    odd = replace(molecules, error=error)
    found, alone = (fit_control(m, np.arange(1, N), pairs, "DMS") for m in (odd, molecules))
    assert found is not None
    assert alone is not None
    others = ~below & (alone.rate[:LENGTH] > 0.03)
    np.testing.assert_allclose(found.rate[:LENGTH][others], alone.rate[:LENGTH][others], rtol=0.15)


def test_only_scored_training_molecules_say_what_holds_for_the_library() -> None:
    molecules, pairs, _ = library()
    error, passed = molecules.error.copy(), molecules.sn_filter.copy()
    error[75 * LENGTH :] *= 3
    passed[50:75] = False
    error[50 * LENGTH : 75 * LENGTH] *= 3
    odd = replace(molecules, error=error, sn_filter=passed)
    found, alone = (fit_control(m, np.arange(75), pairs, "DMS") for m in (odd, molecules))
    assert found is not None
    assert alone is not None
    np.testing.assert_allclose(found.rate[: 50 * LENGTH], alone.rate[: 50 * LENGTH], atol=0.02)


def test_where_reads_of_others_are_counted_stems_are_left_out_and_loops_stay_as_reported() -> None:
    end = np.arange(LENGTH) - (LENGTH - 10)  # the last zone: a loop of six and a stem of four
    loop, stem = (end >= 0) & (end < 6), end >= 6
    control = sparse(np.random.default_rng(2), (N, LENGTH))
    molecules, pairs, _ = library(np.where(stem, 0.3, control), np.where(stem, 0.5, 0.0))
    some = np.array(pairs.p)
    some.reshape(N, HELIX)[:, 4:10] = 0.1
    some.reshape(N, HELIX)[:75, 0] = 0.7  # of a stem, but not for certain
    pairs = replace(pairs, p=some)
    undone, reported, _ = without_control(molecules, np.arange(N), pairs, ["DMS"])
    found = dms(undone)
    assert np.isnan(found[:, stem]).all()
    moved = (found - dms(molecules))[:, loop]
    for token in range(4):
        here = molecules.tokens.reshape(N, LENGTH) == token
        shown = dms(molecules)[here & stem & ~((np.arange(N) < 75)[:, None] & (end == 9))]
        np.testing.assert_allclose(moved[here[:, loop]], 0.2 - np.median(shown), atol=0.02)
    elsewhere = ~(loop | stem)
    assert (np.isfinite(found[:, elsewhere]) == (control[:, elsewhere] < MOST)).mean() > 0.9
    assert np.isnan(dms(reported)[:, loop | stem]).all()
    np.testing.assert_array_equal(dms(reported)[:, elsewhere], dms(molecules)[:, elsewhere])
    np.testing.assert_array_equal(reported.reactivity[:, 0], molecules.reactivity[:, 0])


def test_where_no_pair_is_certain_nothing_can_be_told() -> None:
    molecules, pairs, _ = library()
    assert fit_control(molecules, np.arange(N), replace(pairs, p=0 * pairs.p), "DMS") is None


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
    control = sparse(np.random.default_rng(2), (N, LENGTH))
    molecules, pairs, _ = library(np.where(mixed, 0.3, control), np.where(mixed, 0.5, 0.0))
    learnt, lines = without_background(molecules, np.arange(N), pairs, ["DMS"])
    known = np.isfinite(dms(learnt)) & ~mixed
    paired = (np.arange(LENGTH) < HELIX) & known
    before, after = (np.quantile(dms(m)[known], 0.9) for m in (molecules, learnt))
    np.testing.assert_allclose(after, before, rtol=0.01)
    scale = learnt.error[:, 1].mean() / molecules.error[:, 1].mean()
    np.testing.assert_allclose(np.median(dms(learnt)[paired]), USUAL * scale, atol=0.01)
    assert np.abs(dms(learnt)[paired]).mean() < np.abs(dms(molecules)[paired] - 0.2).mean()
    assert len(lines) == 2
    assert "background taken" in lines[1]
