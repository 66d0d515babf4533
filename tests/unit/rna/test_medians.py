"""Medians are the best predictions that know no more than nucleotide and pairing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rna_profiles import made_molecules, made_pairs
from understudy.errors import DataError, ModelError
from understudy.rna.evaluate import evaluate_profiles
from understudy.rna.features import pairing_of_rows
from understudy.rna.medians import BINS, Medians, fit_medians

LENGTHS = [40, 60, 50, 30]


@given(st.sampled_from(["chemical", "nucleotide", "pairing"]), st.integers(0, 99), st.data())
@settings(max_examples=40, deadline=None)
def test_no_other_table_has_a_lower_error_on_the_training_molecules(kind, seed, data) -> None:
    molecules, pairs = made_molecules(LENGTHS, seed=seed), made_pairs(LENGTHS, seed=seed)
    molecules.sn_filter[0] = True
    index = np.arange(4)
    pairing = pairing_of_rows(pairs, molecules, index) if kind == "pairing" else None
    fitted = fit_medians(molecules, index, kind, pairs=pairs)

    def error(medians: Medians) -> float:
        return evaluate_profiles("m", molecules, index, medians.predict(molecules.tokens, pairing)).mae

    best = error(fitted)
    token = data.draw(st.integers(0, 3))
    other = fitted.table.copy()
    moved = slice(None) if kind == "chemical" else token
    other[moved, ..., data.draw(st.integers(0, 1))] += data.draw(st.floats(-0.5, 0.5))
    assert error(Medians(kind, other)) >= best - 1e-7


def test_each_kind_knows_more_than_the_one_before() -> None:
    molecules, pairs = made_molecules(LENGTHS, scored=[True] * 4), made_pairs(LENGTHS)
    index = np.arange(4)
    pairing = pairing_of_rows(pairs, molecules, index)
    errors = []
    for kind in ("chemical", "nucleotide", "pairing"):
        fitted = fit_medians(molecules, index, kind, pairs=pairs)
        found = fitted.predict(molecules.tokens, pairing if kind == "pairing" else None)
        errors.append(evaluate_profiles(fitted.name, molecules, index, found).mae)
    assert errors[0] > errors[1] > errors[2]


def test_the_medians_are_those_of_clipped_scored_values() -> None:
    molecules = made_molecules([30, 30], scored=[True, False], missing=0.3)
    fitted = fit_medians(molecules, np.arange(2), "nucleotide")
    kept = np.isfinite(molecules.reactivity[:30]).all(1)
    for token in range(4):
        own = kept & (molecules.tokens[:30] == token)
        expected = np.median(np.clip(molecules.reactivity[:30][own], 0, 1), axis=0)
        np.testing.assert_array_equal(fitted.table[token], np.tile(expected, (BINS + 1, 1)))


def test_without_pairing_the_median_of_the_nucleotide_is_predicted() -> None:
    molecules, pairs = made_molecules(LENGTHS, scored=[True] * 4), made_pairs(LENGTHS)
    index = np.arange(4)
    by_pairing = fit_medians(molecules, index, "pairing", pairs=pairs).predict(molecules.tokens)
    by_nucleotide = fit_medians(molecules, index, "nucleotide").predict(molecules.tokens)
    np.testing.assert_array_equal(by_pairing, by_nucleotide)
    assert np.isnan(by_pairing[:, 2:]).all()


def test_through_json_and_back() -> None:
    molecules, pairs = made_molecules(LENGTHS, scored=[True] * 4), made_pairs(LENGTHS)
    fitted = fit_medians(molecules, np.arange(4), "pairing", pairs=pairs)
    again = Medians.from_json(json.loads(json.dumps(fitted.to_json(), allow_nan=False)))
    assert again.kind == fitted.kind
    np.testing.assert_array_equal(again.table, fitted.table)
    assert again.table.dtype == np.float32


@pytest.mark.parametrize(
    "broken", [{}, {"kind": "mean"}, {"table": [[1.0]]}, {"table": "x"}, {"table": [[[None] * 2] * 11] * 4}]
)
def test_a_damaged_table_is_one_line(broken: dict[str, object]) -> None:
    molecules = made_molecules(LENGTHS, scored=[True] * 4)
    content = {**fit_medians(molecules, np.arange(4)).to_json(), **broken} if broken else {}
    with pytest.raises(ModelError, match="damaged"):
        Medians.from_json(content)


def test_without_a_scored_molecule_there_is_no_baseline() -> None:
    with pytest.raises(DataError, match="SN_filter"):
        fit_medians(made_molecules([9], scored=[False]), np.arange(1))
