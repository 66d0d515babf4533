"""The official figure, against a computation that takes one nucleotide after the other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rna_profiles import made_molecules, made_pairs, made_prediction
from understudy.rna import evaluate as module
from understudy.rna.evaluate import ProfileEvaluation, evaluate_profiles, metrics_of, table_lines
from understudy.rna.features import pairing_of_rows
from understudy.rna.molecules import Molecules
from understudy.rna.tallies import length_groups

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def slow_errors(
    molecules: Molecules, index: list[int], prediction: np.ndarray
) -> list[tuple[int, int, int, float]]:
    """Molecule, position, chemical and error of every value that counts."""
    found, row = [], 0
    for m in index:
        for position in range(int(molecules.lengths[m])):
            truth = [float(v) for v in molecules.reactivity[molecules.offsets[m] + position]]
            fine = bool(molecules.sn_filter[m][0]) and bool(molecules.sn_filter[m][1])
            if fine and not math.isnan(truth[0]) and not math.isnan(truth[1]):
                for k in range(2):
                    guess = min(1.0, max(0.0, float(prediction[row][k])))
                    found.append((m, position, k, abs(guess - min(1.0, max(0.0, truth[k])))))
            row += 1
    return found


def mean(errors: list[float]) -> float:
    return math.fsum(errors) / len(errors) if errors else math.nan


def evaluated(molecules: Molecules, index: list[int], **options) -> ProfileEvaluation:
    n = int(molecules.lengths[index].sum())
    return evaluate_profiles("net", molecules, index, made_prediction(n), **options)


@given(LENGTHS, st.integers(0, 999), st.data())
@settings(max_examples=60, deadline=None)
def test_the_official_figure_and_all_its_parts(lengths: list[int], seed: int, data: st.DataObject) -> None:
    molecules = made_molecules(lengths, seed=seed)
    index = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True, min_size=1))
    pairs = made_pairs(lengths, seed=seed)
    e = evaluated(molecules, index, pairing=pairing_of_rows(pairs, molecules, np.array(index)))
    every = slow_errors(molecules, index, e.prediction)

    def same(value: float, of: list[tuple[int, int, int, float]]) -> None:
        assert value == pytest.approx(mean([x[3] for x in of]), abs=1e-12, nan_ok=True)

    same(e.mae, every)
    for k in range(2):
        same(e.overall.by_chemical[0, k], [x for x in every if x[2] == k])
    for row, m in enumerate(index):
        same(e.molecule.mae[row], [x for x in every if x[0] == m])
    token = {(m, p): int(molecules.tokens[molecules.offsets[m] + p]) for m, p, _, _ in every}
    for g in range(4):
        for k in range(2):
            of = [x for x in every if token[x[:2]] == g and x[2] == k]
            same(e.by["nucleotide"].by_chemical[g, k], of)
    for p, value in enumerate(e.by["position"].mae):
        same(value, [x for x in every if x[1] == p])
    for g in range(2):
        same(e.by["data set"].mae[g], [x for x in every if molecules.dataset[x[0]] == g])
    for label, value in zip(e.by["length"].labels, e.by["length"].mae, strict=True):
        same(value, [x for x in every if str(lengths[x[0]]) == label])
    paired = {m: pairs.per_nucleotide(m, lengths[m])[:, 0] >= 0.5 for m in index}
    for g in range(2):
        same(e.by["pairing"].mae[g], [x for x in every if paired[x[0]][x[1]] == g])
    assert e.density.sum() == len(every)


@given(LENGTHS, st.integers(0, 99), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_neither_the_order_nor_the_parts_matter(lengths: list[int], seed: int, random) -> None:
    molecules = made_molecules(lengths, seed=seed)
    index = list(range(len(lengths)))
    whole = evaluated(molecules, index)
    order = random.sample(index, len(index))
    cut = [whole.prediction[a:b] for a, b in zip(whole.offsets[:-1], whole.offsets[1:], strict=True)]
    shuffled = evaluate_profiles("net", molecules, order, np.concatenate([cut[i] for i in order]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", 5)
        parts = evaluated(molecules, index)
    for other in (shuffled, parts):
        for one, two in ((metrics_of(whole), metrics_of(other)),):
            assert one == pytest.approx(two, abs=1e-12)
    np.testing.assert_array_equal(parts.counted, whole.counted)
    np.testing.assert_allclose(parts.pearson, whole.pearson, atol=1e-12)


def test_what_is_not_scored_never_counts() -> None:
    molecules = made_molecules([20, 30, 25], scored=[True, False, True])
    e = evaluated(molecules, [0, 1, 2])
    wild = molecules.reactivity.copy()
    wild[20:50] = 40.0
    noisy = replace(molecules, reactivity=wild)
    guess = e.prediction.copy()
    guess[20:50] = np.nan
    other = evaluate_profiles("net", noisy, [0, 1, 2], guess)
    assert metrics_of(other) == metrics_of(e) == {**metrics_of(e), "test/molecules": 2.0}
    assert list(other.order()) == list(e.order())
    assert 1 not in other.order()
    assert not other.counted[20:50].any()
    alone = evaluate_profiles("net", molecules, [1], e.prediction[20:50])
    assert math.isnan(alone.mae)
    assert alone.n_scored == 0
    assert "test/mae" not in metrics_of(alone)


def test_a_nucleotide_without_one_chemical_counts_for_neither() -> None:
    molecules = made_molecules([4], scored=[True], missing=0.0)
    reactivity = molecules.reactivity.copy()
    reactivity[1, 0] = reactivity[2, 1] = np.nan
    prediction = np.where(np.isnan(reactivity), 5.0, np.clip(reactivity, 0, 1))
    prediction = np.concatenate([prediction, np.full((4, 2), np.nan)], axis=1).astype(np.float32)
    prediction[1:3] = 7.0
    e = evaluate_profiles("net", replace(molecules, reactivity=reactivity), [0], prediction)
    assert list(e.counted) == [True, False, False, True]
    assert e.mae == 0.0


def test_a_prediction_that_is_no_number_is_not_passed_over() -> None:
    molecules = made_molecules([6, 5], scored=[True, True], missing=0.0)
    prediction = made_prediction(11)
    prediction[3, 1] = np.nan
    e = evaluate_profiles("net", molecules, [0, 1], prediction)
    assert math.isnan(e.mae)
    assert math.isnan(e.molecule.mae[0])
    assert math.isfinite(e.molecule.mae[1])
    assert list(e.order()) == [1, 0]
    prediction[3, 1] = np.inf
    assert math.isfinite(evaluate_profiles("net", molecules, [0, 1], prediction).mae)


@given(LENGTHS, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_correlations_of_molecules(lengths: list[int], seed: int) -> None:
    molecules = made_molecules(lengths, seed=seed, missing=0.1)
    e = evaluated(molecules, list(range(len(lengths))))
    for m in range(len(lengths)):
        own = slice(int(e.offsets[m]), int(e.offsets[m + 1]))
        kept = e.counted[own]
        for k in range(2):
            x = np.clip(e.prediction[own, k][kept].astype(np.float64), 0, 1)
            y = np.clip(molecules.reactivity[own, k][kept].astype(np.float64), 0, 1)
            if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
                assert math.isnan(e.pearson[m, k])
            else:
                assert e.pearson[m, k] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)


def test_a_constant_prediction_has_no_correlation() -> None:
    molecules = made_molecules([37, 41], scored=[True, True])
    constant = np.full((78, 4), 0.1, np.float32)
    assert np.isnan(evaluate_profiles("median", molecules, [0, 1], constant).pearson).all()


def test_calibration_of_predicted_errors() -> None:
    molecules = made_molecules([400] * 6, scored=[True] * 6, missing=0.1)
    e = evaluated(molecules, list(range(6)))
    kept = e.counted
    for k in range(2):
        found = e.calibration[k]
        assert found is not None
        x = e.prediction[kept, 2 + k].astype(np.float64)
        reported = molecules.error[kept, k].astype(np.float64)
        clipped = [np.clip(v[kept, k].astype(np.float64), 0, 1) for v in (e.prediction, molecules.reactivity)]
        residual = np.abs(clipped[0] - clipped[1])
        assert found.count.sum() == kept.sum()
        assert found.count.min() > 0.8 * kept.sum() / 10  # bins of about equal size
        assert (np.diff(found.predicted) > 0).all()
        for bins, values in ((found.predicted, x), (found.reported, reported), (found.residual, residual)):
            assert bins @ found.count / found.count.sum() == pytest.approx(values.mean())
        assert found.within == pytest.approx((residual <= x).mean())
        assert found.correlation == pytest.approx(np.corrcoef(x, reported)[0, 1], abs=1e-9)
    # The largest predicted errors are in the last bin, whole.
    last = e.calibration[0].count[-1]  # type: ignore[union-attr]
    largest = np.sort(e.prediction[kept, 2].astype(np.float64))[-last:]
    assert e.calibration[0].predicted[-1] == pytest.approx(largest.mean())  # type: ignore[union-attr]


def test_without_predicted_errors_there_is_no_calibration() -> None:
    molecules = made_molecules([30, 40])
    e = evaluate_profiles("trees", molecules, [0, 1], made_prediction(70, errors=False))
    assert e.calibration == (None, None)
    assert not any("error_" in name for name in metrics_of(e))


def test_a_prediction_of_other_molecules_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        evaluate_profiles("net", made_molecules([5, 6]), [0], made_prediction(6))


def test_nothing_selected() -> None:
    e = evaluate_profiles("net", made_molecules([5]), [], made_prediction(0))
    assert math.isnan(e.mae)
    assert not len(e.order())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=200), st.integers(1, 8))
def test_groups_of_lengths_part_the_lengths(lengths: list[int], most: int) -> None:
    group, labels = length_groups(np.array(lengths), most)
    assert len(labels) <= max(most, 1)
    assert set(group) == set(range(len(labels)))
    for g, label in enumerate(labels):
        own = [n for n, which in zip(lengths, group, strict=True) if which == g]
        ends = [int(x) for x in label.split("-")]
        assert (min(own), max(own)) == (ends[0], ends[-1])
    firsts = [int(label.split("-")[0]) for label in labels]
    assert firsts == sorted(firsts)


@given(LENGTHS, st.integers(0, 99), st.data())
@settings(max_examples=30, deadline=None)
def test_pairing_of_nucleotides(lengths: list[int], seed: int, data: st.DataObject) -> None:
    molecules, pairs = made_molecules(lengths), made_pairs(lengths, seed=seed)
    index = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True, min_size=1))
    found = pairing_of_rows(pairs, molecules, np.array(index))
    each = [pairs.per_nucleotide(m, lengths[m]) for m in index]
    np.testing.assert_allclose(found, np.concatenate(each), atol=1e-6)


def test_names_of_metrics_and_lines_for_the_terminal() -> None:
    molecules = made_molecules([170, 170, 115], scored=[True] * 3)
    pairing = pairing_of_rows(made_pairs([170, 170, 115]), molecules, np.arange(3))
    e = evaluated(molecules, [0, 1, 2], pairing=pairing, seconds_per_molecule=0.5)
    named = metrics_of(e)
    for name in ("test/mae", "test/mae/2A3", "test/mae/DMS", "test/mae/length/170", "test/mae/dataset/PK50",
                 "test/mae/A", "test/mae/U/DMS", "test/mae/paired", "test/pearson/DMS"):  # fmt: skip
        assert math.isfinite(named[name]), name
    assert named["test/mae"] == e.mae
    assert named["test/seconds_per_molecule"] == 0.5
    assert all(name.startswith("val/") for name in metrics_of(e, "val"))
    other = evaluate_profiles("a baseline with a long name", molecules, [0, 1, 2], e.prediction * 0)
    lines = table_lines(e, [other])
    assert "3 molecules" in lines[0]
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[-3:] == [f"{v:.4f}" for v in [other.mae, *other.overall.by_chemical[0]]]
