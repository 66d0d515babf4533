"""Intervals around reactivities: what they promise of nucleotides like those they were fitted on, and no more."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import ConfigError, ModelError
from understudy.rna.intervals import (
    BINS,
    HeldProfiles,
    HeldTally,
    ProfileIntervals,
    bounds,
    fit_profile_intervals,
)


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors that grow with the level and differ by nucleotide and chemical."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 4, n).astype(np.uint8)
    prediction = rng.random((n, 4), np.float32)
    spread = (0.02 + 0.3 * prediction[:, :2]) * (1 + tokens[:, None]) / 4 * [1.0, 0.5]
    truth = (prediction[:, :2] + rng.normal(0, 1, (n, 2)) * spread).astype(np.float32)
    return prediction, truth, tokens


def held_profiles(
    intervals: ProfileIntervals,
    coverage: float,
    prediction: np.ndarray,
    truth: np.ndarray,
    tokens: np.ndarray,
) -> HeldProfiles:
    """In two parts of unequal size: how they come does not matter."""
    tally = HeldTally(intervals, coverage)
    for part in (slice(None, len(tokens) // 3), slice(len(tokens) // 3, None)):
        tally.add(prediction[part], truth[part], tokens[part])
    return tally.held()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_they_hold_what_they_promise_for_every_nucleotide_and_level(coverage: float) -> None:
    intervals = fit_profile_intervals(*draw(60_000, 0))
    prediction, truth, tokens = draw(60_000, 1)
    found = held_profiles(intervals, coverage, prediction, truth, tokens)
    np.testing.assert_allclose(found.coverage, coverage, atol=0.02)
    for low in (0.0, 0.5):
        some = (prediction[:, 0] >= low) & (prediction[:, 0] < low + 0.5)
        part = held_profiles(intervals, coverage, prediction[some], truth[some], tokens[some])
        np.testing.assert_allclose(part.coverage[-1, 0], coverage, atol=0.03)
    assert (np.diff(found.width[:4, 0]) > 0).all(), "U is noisier than A"
    assert (found.width[:, 1] < found.width[:, 0]).all(), "DMS is the quieter one"


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4000), st.integers(0, 100))
def test_of_its_own_nucleotides_an_interval_holds_at_least_its_share(n: int, seed: int) -> None:
    prediction, truth, tokens = draw(n, seed)
    intervals = fit_profile_intervals(prediction, truth, tokens)
    found = held_profiles(intervals, 0.9, prediction, truth, tokens)
    assert (found.coverage[np.isfinite(found.coverage)] >= 0.9).all()
    widths = [intervals.half_width(c, prediction, tokens) for c in intervals.coverages]
    assert (np.diff(widths, axis=0) >= 0).all(), "more coverage is wider"


def test_equal_predictions_and_few_nucleotides() -> None:
    prediction, truth, tokens = draw(5000, 0)
    prediction[:, 0] = 0.25  # all bins but one are empty
    tokens[tokens == 3] = 2
    tokens[:3] = 3  # three of them
    intervals = fit_profile_intervals(prediction, truth, tokens)
    assert np.isfinite(
        intervals.half_width(0.9, np.linspace(0, 1, 40).reshape(-1, 1).repeat(2, 1), tokens[:40])
    ).all()
    errors = np.abs(prediction[:3, 1] - np.clip(truth[:3, 1], 0, 1))
    assert intervals.half_width(0.9, prediction, tokens)[0, 1] == pytest.approx(errors.max(), rel=1e-6)


def test_what_was_not_measured_in_both_chemicals_is_not_used() -> None:
    prediction, truth, tokens = draw(6000, 0)
    gone = truth.copy()
    gone[::2, 0] = np.nan
    gone[::2, 1] += 100
    a = fit_profile_intervals(prediction, gone, tokens)
    b = fit_profile_intervals(prediction[1::2], truth[1::2], tokens[1::2])
    np.testing.assert_array_equal(a.half_widths, b.half_widths)
    held = [
        held_profiles(a, 0.9, p, t, k)
        for p, t, k in ((prediction, gone, tokens), (prediction[1::2], truth[1::2], tokens[1::2]))
    ]
    np.testing.assert_array_equal(held[0].coverage, held[1].coverage)


def test_ends_lie_within_0_and_1() -> None:
    low, high = bounds(np.array([[0.1, 0.9, 7.0, 7.0]], np.float32), np.array([[0.2, 0.3]], np.float32))
    np.testing.assert_allclose(low, [[0, 0.6]], atol=1e-6)
    np.testing.assert_allclose(high, [[0.3, 1]], atol=1e-6)


def test_json_and_back() -> None:
    prediction, truth, tokens = draw(3000, 0)
    tokens[tokens == 1] = 0  # no C at all
    intervals = fit_profile_intervals(prediction, truth, tokens)
    again = ProfileIntervals.from_json(json.loads(json.dumps(intervals.to_json(), allow_nan=False)))
    np.testing.assert_allclose(again.edges, intervals.edges, atol=1e-6)
    np.testing.assert_allclose(again.half_widths, intervals.half_widths, atol=1e-6)
    assert np.isnan(again.half_width(0.9, prediction[:1], np.array([1], np.uint8))).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("edges"),
        lambda d: d.update(edges=[[0.0]]),
        lambda d: d.update(coverages=[0.9]),
        lambda d: d["edges"][0][0].reverse(),
        lambda d: d.update(half_widths="no"),
    ],
)
def test_damaged_intervals(damage: object) -> None:
    data = fit_profile_intervals(*draw(20_000, 0)).to_json()
    damage(data)  # type: ignore[operator]
    with pytest.raises(ModelError, match="damaged intervals"):
        ProfileIntervals.from_json(data)


def test_a_coverage_that_was_not_fitted() -> None:
    intervals = fit_profile_intervals(*draw(3000, 0))
    assert intervals.edges.shape == (2, 4, BINS - 1)
    with pytest.raises(ConfigError, match=r"0\.5, 0\.8, 0\.9, 0\.95, not of 0\.7"):
        intervals.half_width(0.7, np.zeros((1, 2), np.float32), np.zeros(1, np.uint8))
