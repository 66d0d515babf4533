"""A coarser grid: what is kept, what is interpolated, what is filtered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.cae.resample import plan, resample, sampling
from understudy.errors import ConfigError, DataError


def by_loop(time, values, step):
    """The same by hand: walk the grid, find the two neighbours, draw the line."""
    rows, k = [], 0
    while time[0] + k * step <= time[-1] + 1e-9:
        at = time[0] + k * step
        right = next((i for i in range(len(time)) if time[i] >= at - 1e-9), len(time) - 1)
        if abs(time[right] - at) <= 1e-9:
            rows.append(values[right])
        else:
            part = (at - time[right - 1]) / (time[right] - time[right - 1])
            rows.append(values[right - 1] + part * (values[right] - values[right - 1]))
        k += 1
    return np.array(rows)


@settings(deadline=None)
@given(
    n=st.integers(2, 60),
    ratio=st.floats(1.0, 12.0),
    start=st.sampled_from([0.0, 0.1, -3.0, 250.0]),
    seed=st.integers(0, 99),
    jitter=st.sampled_from([0.0, 0.3]),
)
def test_equals_the_plain_loop(n, ratio, start, seed, jitter):
    rng = np.random.default_rng(seed)
    time = start + 0.1 * (np.arange(n) + jitter * rng.uniform(-1, 1, n))
    values = rng.normal(size=(n, 3))
    step = 0.1 * round(ratio, 2)
    if time[-1] - time[0] < step - 1e-3:
        with pytest.raises(DataError, match="less than one step"):
            resample(time, values, step)
        return
    if time[-1] - time[0] < step:  # shorter by rounding alone
        return
    begin, out = resample(time, values, step)
    assert begin == time[0]
    expected = by_loop(time, values, step)
    assert len(out) in (len(expected), len(expected) + 1)  # the last point may pass the end by rounding
    np.testing.assert_allclose(out[: len(expected)], expected, rtol=1e-5, atol=1e-5)


def test_linear_signals_stay_exact_between_samples():
    time = np.arange(101) * 0.1
    _, out = resample(time, np.stack([2 * time - 3, -5 * time], 1), 0.37)
    grid = 0.37 * np.arange(len(out))
    assert len(out) == 28
    np.testing.assert_allclose(out, np.stack([2 * grid - 3, -5 * grid], 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("own", [0.1, 0.01, 1 / 3])
def test_grid_on_samples_takes_them_bit_for_bit(own):
    time = 0.7 + own * np.arange(33_000)
    values = np.random.default_rng(0).normal(size=(33_000, 2))
    _, out = resample(time, values, own * 10)
    np.testing.assert_array_equal(out, values[::10].astype(np.float32))


def test_first_and_last_sample_are_kept_despite_rounding():
    time = np.round(np.arange(0, 1200.05, 0.1), 1).astype(np.float32).astype(np.float64)
    values = np.arange(len(time), dtype=float)[:, None]
    start, out = resample(time, values, 1.0)
    assert (start, len(out), out[0, 0]) == (0.0, 1201, 0.0)
    np.testing.assert_allclose(out[-1, 0], 12_000, atol=0.01)


def test_missing_values_do_not_spread_to_grid_points_on_samples():
    values = np.arange(7.0)[:, None].repeat(2, 1)
    values[[1, 3], 0] = np.nan
    _, on = resample(np.arange(7.0), values, 2.0)
    np.testing.assert_array_equal(on[:, 0], [0, 2, 4, 6])
    _, between = resample(np.arange(7.0), values, 1.5)
    np.testing.assert_array_equal(np.isnan(between), [[False, False], [True, False], [True, False],
                                                     [False, False], [False, False]])  # fmt: skip


@settings(deadline=None)
@given(n=st.integers(2, 300), step=st.floats(0.15, 3.0))
def test_only_the_planned_rows_are_needed(n, step):
    time = 0.1 * np.arange(n)
    if time[-1] < step:
        return
    values = np.random.default_rng(n).normal(size=(n, 2))
    grid = plan(time, step)
    rows = grid.rows_R
    np.testing.assert_array_equal(
        grid.interpolate(values[rows], rows), grid.interpolate(values, np.arange(n))
    )


def test_lowpass_removes_what_the_coarser_grid_would_fold_back():
    time = 0.1 * np.arange(3000)
    slow, fast = np.sin(2 * np.pi * 0.02 * time), np.sin(2 * np.pi * 0.97 * time)
    _, plain = resample(time, (slow + fast)[:, None], 1.0)
    _, filtered = resample(time, (slow + fast)[:, None], 1.0, lowpass=0.3)
    inner = slice(20, -20)  # away from the ends
    assert np.abs(plain[inner, 0] - slow[::10][inner]).max() > 0.5
    assert np.abs(filtered[inner, 0] - slow[::10][inner]).max() < 0.01  # and no delay


def test_lowpass_keeps_missing_values_missing_and_others_finite():
    values = np.ones((200, 3))
    values[50:60, 1] = np.nan
    values[:, 2] = np.nan
    _, out = resample(0.1 * np.arange(200), values, 0.5, lowpass=0.4)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out[:, 1])), [10, 11])
    assert np.isnan(out[:, 2]).all()
    np.testing.assert_allclose(out[~np.isnan(out)], 1.0, atol=1e-5)


def test_lowpass_of_an_uneven_case_is_that_of_the_same_case_sampled_evenly():
    rng = np.random.default_rng(1)
    time = 0.1 * (np.arange(2000) + np.r_[0, 0.2 * rng.uniform(-1, 1, 1998), 0])
    _, out = resample(time, (0.5 * time)[:, None], 1.0, lowpass=0.3)
    np.testing.assert_allclose(out[20:-20, 0], 0.5 * np.arange(200)[20:-20], atol=1e-3)


@pytest.mark.parametrize("lowpass", [5.0, 0.0, -1.0])
def test_lowpass_at_half_the_sampling_rate_is_refused(lowpass):
    with pytest.raises(ConfigError, match="half the sampling rate, 5 Hz"):
        resample(0.1 * np.arange(100), np.zeros((100, 1)), 1.0, lowpass=lowpass)


def test_sampling_tells_rounding_from_jitter():
    assert sampling(0.1 * np.arange(33_000)).step == 0.1
    assert sampling(np.array([0.0, 0.1, 0.2001, 0.3])).is_even
    uneven = sampling(np.array([0.0, 0.1, 0.2, 0.35, 0.45]))
    assert (uneven.is_even, uneven.step) == (False, 0.1)
