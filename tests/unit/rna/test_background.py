"""A made background is found and taken away; what has none stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from understudy.errors import DataError
from understudy.rna.background import USUAL, fit_background
from understudy.rna.molecules import Molecules
from understudy.rna.pairing import Pairs

LEVEL = np.array([[0.0, 0.2], [0.05, 0.15], [0.1, 0.1], [0.0, 0.05]], np.float32)


def library(n: int = 60, length: int = 60) -> tuple[Molecules, Pairs]:
    """Molecules whose first half pairs with the second, but for a loop; what is paired reacts the usual little."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, n * length).astype(np.uint8)
    place = np.tile(np.arange(length), n)
    paired = (place < 20) | (place >= 40)
    true = np.where(paired, USUAL, 0.8)[:, None] + 0.02 * rng.normal(size=(n * length, 2))
    molecules = Molecules(
        ids=tuple(f"m{i}" for i in range(n)),
        offsets=np.arange(n + 1) * length,
        tokens=tokens,
        reactivity=(true + LEVEL[tokens]).astype(np.float32),
        error=np.full((n * length, 2), 0.1, np.float32),
        signal_to_noise=np.full((n, 2), 5, np.float32),
        reads=np.full((n, 2), 500, np.float32),
        sn_filter=np.ones((n, 2), bool),
        dataset=np.zeros(n, np.int16),
        dataset_names=("x",),
    )
    i = np.tile(np.arange(20, dtype=np.uint16), n)
    pairs = Pairs(
        np.arange(n + 1) * 20, i, (length - 1 - i).astype(np.uint16), np.full(20 * n, 0.99, np.float32)
    )
    return molecules, pairs


def test_the_background_is_found_by_letter_and_chemical_and_taken_away() -> None:
    molecules, pairs = library()
    background = fit_background(molecules, np.arange(60), pairs)
    np.testing.assert_allclose(background.level, np.broadcast_to(LEVEL, (60, 4, 2)), atol=0.02)
    clean = background.without(molecules)
    paired = pairs.per_nucleotide(0, 60)[:, 0] > 0.5
    assert abs(np.median(clean.reactivity[:60][paired]) - USUAL) < 0.02
    before, after = (np.quantile(m.reactivity, 0.9, axis=0) for m in (molecules, clean))
    np.testing.assert_allclose(after, before, rtol=1e-3)  # the normalisation of the field stays
    np.testing.assert_allclose(clean.error, 0.1 * background.scale + 0 * clean.error, rtol=1e-6)
    assert np.shares_memory(molecules.tokens, clean.tokens)
    np.testing.assert_allclose(molecules.reactivity[:5], library()[0].reactivity[:5])  # not changed in place


def test_only_training_molecules_that_pass_the_filter_are_looked_at() -> None:
    molecules, pairs = library(120)
    values, passed = molecules.reactivity.copy(), molecules.sn_filter.copy()
    values[40 * 60 :] += 7.0
    passed[40:60] = False
    background = fit_background(replace(molecules, reactivity=values, sn_filter=passed), np.arange(60), pairs)
    np.testing.assert_allclose(background.level, np.broadcast_to(LEVEL, (60, 4, 2)), atol=0.02)


def test_what_cannot_be_background_is_refused() -> None:
    molecules, pairs = library()
    with pytest.raises(DataError, match="are needed"):
        fit_background(molecules, np.arange(2), pairs)
    with pytest.raises(DataError, match="no background"):
        fit_background(replace(molecules, reactivity=molecules.reactivity + 1), np.arange(60), pairs)


def test_the_background_may_differ_along_the_molecule() -> None:
    molecules, pairs = library(150)
    values = molecules.reactivity.copy()
    near = np.tile(np.arange(60) >= 50, 150)  # the zone at the 3' end
    values[near] += 0.1
    background = fit_background(replace(molecules, reactivity=values), np.arange(150), pairs)
    np.testing.assert_allclose(background.level[:10], np.broadcast_to(LEVEL + 0.1, (10, 4, 2)), atol=0.02)
    np.testing.assert_allclose(background.level[-1], LEVEL, atol=0.02)
    clean = background.without(replace(molecules, reactivity=values))
    paired = np.tile(pairs.per_nucleotide(0, 60)[:, 0] > 0.5, 150)
    for part in (near & paired, ~near & paired):
        assert abs(np.median(clean.reactivity[part]) - USUAL) < 0.02


def test_a_chemical_with_a_good_control_is_left_alone() -> None:
    molecules, pairs = library()
    background = fit_background(molecules, np.arange(60), pairs, ["DMS"])
    clean = background.without(molecules)
    np.testing.assert_array_equal(clean.reactivity[:, 0], molecules.reactivity[:, 0])
    assert (clean.reactivity[:, 1] != molecules.reactivity[:, 1]).any()
    assert background.lines().startswith("DMS")


def test_a_place_that_every_molecule_pairs_has_a_level_of_its_own() -> None:
    molecules, pairs = library(9000)
    values = molecules.reactivity.copy()
    values[np.tile(np.arange(60) == 57, 9000)] += 0.2
    background = fit_background(replace(molecules, reactivity=values), np.arange(9000), pairs)
    np.testing.assert_allclose(background.level[2], LEVEL + 0.2, atol=0.01)
    np.testing.assert_allclose(background.level[3], LEVEL, atol=0.01)
