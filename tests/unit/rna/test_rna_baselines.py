"""All baselines together: which there are, and that each is the one of its name."""

from __future__ import annotations

import numpy as np

from rna_profiles import made_molecules, made_pairs
from understudy.rna.baselines import evaluate_baselines, fit_baselines
from understudy.rna.evaluate import evaluate_profiles
from understudy.rna.features import pairing_of_rows
from understudy.rna.medians import fit_medians
from understudy.rna.trees import TreeSettings, fit_trees

LENGTHS = [40, 50, 45, 60, 55, 42]
SMALL = TreeSettings(n_trees=3, width=2)


def test_every_baseline_is_fitted_on_the_training_molecules_and_evaluated_on_the_others() -> None:
    molecules, pairs = made_molecules(LENGTHS, scored=[True] * 6), made_pairs(LENGTHS)
    train, test = np.array([0, 1, 3]), np.array([5, 2])
    pairing = pairing_of_rows(pairs, molecules, test)
    told: list[tuple[int, int]] = []
    fitted = fit_baselines(
        molecules, train, pairs=pairs, settings=SMALL, on_progress=lambda *a: told.append(a)
    )
    assert told == [(n, 5) for n in range(1, 6)]
    found = evaluate_baselines(fitted, molecules, test, pairing=pairing)
    assert [e.name for e in found] == [
        "median",
        "median per nucleotide",
        "median per nucleotide and pairing",
        "boosted trees",
        "boosted trees with pairing",
    ]
    held = molecules.take(test)
    by_pairing = fit_medians(molecules, train, "pairing", pairs=pairs)
    expected = {
        "median": fit_medians(molecules, train, "chemical").predict(held.tokens),
        "median per nucleotide": fit_medians(molecules, train, "nucleotide").predict(held.tokens),
        "median per nucleotide and pairing": by_pairing.predict(held.tokens, pairing),
        "boosted trees": fit_trees(molecules, train, settings=SMALL).predict(held.tokens, held.offsets),
        "boosted trees with pairing": fit_trees(molecules, train, pairs=pairs, settings=SMALL).predict(
            held.tokens, held.offsets, pairing
        ),
    }
    for e in found:
        np.testing.assert_array_equal(e.prediction, expected[e.name])
        assert e.mae == evaluate_profiles(e.name, molecules, test, expected[e.name]).mae
        assert "pairing" in e.by


def test_without_pairing_there_are_three() -> None:
    molecules = made_molecules(LENGTHS, scored=[True] * 6)
    fitted = fit_baselines(molecules, np.arange(4), settings=SMALL)
    found = evaluate_baselines(fitted, molecules, np.array([4, 5]))
    assert [e.name for e in found] == ["median", "median per nucleotide", "boosted trees"]
    assert "pairing" not in found[0].by
