"""Intervals hold what they promise of cases like those they were fitted on, at every horizon."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.intervals import COVERAGES, Intervals, fit_intervals, held
from understudy.errors import ConfigError, ModelError


def rollouts(seed: int, n: int, lengths: tuple[int, int] = (200, 400)) -> tuple[list, list]:
    """Errors grow with the row, and the second signal is ten times the first."""
    rng = np.random.default_rng(seed)
    predictions, truths = [], []
    for _ in range(n):
        rows = int(rng.integers(*lengths))
        spread = np.sqrt(1 + np.arange(rows))[:, None] * np.array([0.1, 1.0])
        truth = rng.normal(size=(rows, 2)).astype(np.float32)
        predictions.append(truth + (spread * rng.normal(size=(rows, 2))).astype(np.float32))
        truths.append(truth)
    return predictions, truths


@pytest.mark.parametrize("coverage", COVERAGES)
def test_they_hold_the_asked_share_of_other_cases_early_and_late(coverage: float) -> None:
    intervals = fit_intervals(*rollouts(0, 60))
    predictions, truths = rollouts(1, 60)
    np.testing.assert_allclose(held(intervals, coverage, predictions, truths).coverage, coverage, atol=0.015)
    early = held(intervals, coverage, [p[:20] for p in predictions], [t[:20] for t in truths])
    np.testing.assert_allclose(early.coverage, coverage, atol=0.05)
    half = intervals.half_width(coverage, 300)
    assert (half[250] > 3 * half[3]).all()
    np.testing.assert_allclose(half[:, 1] / half[:, 0], 10, rtol=0.3)


def test_the_width_is_that_of_the_whole_interval_over_measured_points() -> None:
    intervals = Intervals((0.9,), (0, 2), np.array([[[1.0, 4.0], [3.0, np.nan]]], np.float32))
    truth = np.array([[0, 0], [np.nan, 9], [2, 0]], np.float32)
    found = held(intervals, 0.9, [np.zeros((3, 2), np.float32)], [truth])
    np.testing.assert_allclose(found.width, [(2 * 1 + 2 * 3) / 2, 8])
    np.testing.assert_allclose(found.coverage, [1, 0.5])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=6), st.integers(0, 99))
def test_horizons_begin_at_the_first_row_and_hold_enough_points(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    truths = [rng.normal(size=(n, 1)).astype(np.float32) for n in lengths]
    intervals = fit_intervals([t + 1 for t in truths], truths)
    assert intervals.first_rows[0] == 0
    present = np.array([np.arange(max(lengths)) < n for n in lengths]).sum(0)
    if len(intervals.first_rows) > 1:
        assert min(part.sum() for part in np.split(present, intervals.first_rows[1:])) >= 200
    np.testing.assert_allclose(intervals.half_width(0.5, max(lengths) + 50), 1, rtol=1e-5)


def test_the_rank_is_that_of_the_finite_sample() -> None:
    """Nine errors, 90 percent of ten: the largest, not an interpolated one."""
    error = np.array([[5, 1, 2, 3, 4, 9, 6, 7, 8]], np.float32).T
    intervals = fit_intervals([error], [np.zeros_like(error)], (0.5, 0.8, 0.9))
    np.testing.assert_array_equal(intervals.half_widths[:, 0, 0], [5, 8, 9])


def test_what_was_not_measured_does_not_count_and_what_ran_away_counts_as_far() -> None:
    truth = np.zeros((10, 2), np.float32)
    truth[:5, 0], truth[:, 1] = np.nan, np.nan
    prediction = np.ones_like(truth)
    prediction[:5] = 100
    prediction[9, 0] = np.nan
    widths = fit_intervals([prediction], [truth], (0.5, 0.8)).half_widths
    assert widths[0, 0, 0] == 1
    assert np.isinf(widths[1, 0, 0])
    assert np.isnan(widths[:, :, 1]).all()


def test_they_survive_json_and_damage_is_found() -> None:
    intervals = fit_intervals(*rollouts(0, 5))
    text = json.dumps(intervals.to_json(), allow_nan=False)
    again = Intervals.from_json(json.loads(text), 2)
    assert again.first_rows == intervals.first_rows
    np.testing.assert_allclose(again.half_widths, intervals.half_widths, rtol=1e-5)
    for damage in (
        {},
        {"coverages": "x"},
        {"half_widths": [[1]]},
        {"first_rows": [1] * len(again.first_rows)},
        {"coverages": [0.9]},
    ):
        data = {**json.loads(text), **damage} if damage else {}
        with pytest.raises(ModelError, match="damaged intervals"):
            Intervals.from_json(data, 2)
    with pytest.raises(ModelError, match="do not fit"):
        Intervals.from_json(json.loads(text), 3)


def test_an_unknown_coverage_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"0\.5, 0\.8, 0\.9, 0\.95, not of 0\.99"):
        fit_intervals(*rollouts(0, 5)).half_width(0.99, 3)
