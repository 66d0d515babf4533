"""From the step of a file to a coarser one, by linear interpolation.

The first sample is kept, and the grid runs on from it: t0, t0 + step, … up to the last sample. A grid point
that coincides with a sample is that sample, bit for bit.

Axes: T rows of a case, K points of the grid, R rows that the grid needs, F signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError, DataError

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
_COINCIDE = 1e-6  # of a grid step: nearer than that is the same instant
_SLACK = 1e-3  # of the file's own step: by so much the last grid point may pass the last sample
_JITTER = 0.01
_ORDER = 4


@dataclass(frozen=True)
class Sampling:
    """How a file is sampled: its step, and whether every step is within 1 % of it."""

    step: float
    is_even: bool
    shortest: float
    longest: float


def sampling(time_T: Doubles) -> Sampling:
    """The step of a strictly increasing time axis of two rows or more."""
    steps = np.diff(time_T)
    mean = (time_T[-1] - time_T[0]) / (len(time_T) - 1)
    is_even = bool(np.abs(steps - mean).max() <= _JITTER * mean)
    step = float(mean if is_even else np.median(steps))
    # Nine digits drop the rounding of the subtraction: 0.1, not 0.09999999999999999.
    return Sampling(float(f"{step:.9g}"), is_even, float(steps.min()), float(steps.max()))


@dataclass(frozen=True)
class Grid:
    """Grid point ``k`` lies at ``weight_K[k]`` of the way from row ``left_K[k]`` to the next one."""

    start: float
    step: float
    left_K: Integers
    weight_K: Doubles

    @cached_property
    def rows_R(self) -> Integers:
        """The rows that the grid needs, sorted."""
        needed = np.zeros(int(self.left_K[-1]) + 2, np.bool_)
        needed[self.left_K] = True
        needed[self.left_K[self.weight_K > 0] + 1] = True
        return np.flatnonzero(needed)

    def interpolate(self, values_RF: Doubles, rows_R: Integers) -> Doubles:
        """``(K, F)``, from the values at ``rows_R``, which hold every row that the grid needs."""
        between = self.weight_K > 0
        if len(rows_R) == len(self.left_K) and not between.any():  # the rows given are those of the grid
            return values_RF
        left_K = np.searchsorted(rows_R, self.left_K)
        values_KF = values_RF[left_K]
        if between.any():
            step = values_RF[left_K[between] + 1] - values_KF[between]
            values_KF[between] += self.weight_K[between, None] * step
        return values_KF


def plan(time_T: Doubles, step: float) -> Grid:
    """The grid of ``step`` over a strictly increasing time axis.

    Raises:
        DataError: the time axis is shorter than one step.
    """
    start = float(time_T[0])
    slack = _SLACK * float(np.median(np.diff(time_T)))
    count = int((time_T[-1] - start + slack) / step) + 1
    if count < 2:
        raise DataError(
            f"lasts {time_T[-1] - start:g} s, less than one step of {step:g} s (settings.decimate_range)"
        )
    grid_K = start + step * np.arange(count)
    left_K = np.searchsorted(time_T, grid_K, side="right") - 1
    left_K = np.clip(left_K, 0, len(time_T) - 2)
    gap_K = time_T[left_K + 1] - time_T[left_K]
    past_K = grid_K - time_T[left_K]
    on_next = gap_K - past_K < _COINCIDE * step
    on_left = past_K < _COINCIDE * step
    weight_K = np.where(on_left | on_next, 0.0, past_K / gap_K)
    return Grid(start, step, left_K + on_next, weight_K)


def resample(
    time_T: Doubles, values_TF: NDArray[np.floating], step: float, lowpass: float | None = None
) -> tuple[float, NDArray[np.float32]]:
    """The start of the grid, and ``(K, F)`` float32 values on it.

    A point between a measured and a missing (NaN) value is missing. ``lowpass`` in Hz filters first,
    forwards and backwards, so that nothing is delayed.

    Raises:
        ConfigError: the filter's limit is not below half the sampling rate.
        DataError: the time axis is shorter than one step.
    """
    values: Doubles = np.asarray(values_TF, dtype=np.float64)
    if lowpass is not None:
        time_T, values = _filtered(time_T, values, lowpass)
    grid = plan(time_T, step)
    rows_R = grid.rows_R
    return grid.start, grid.interpolate(values[rows_R], rows_R).astype(np.float32)


def _filtered(time_T: Doubles, values_TF: Doubles, lowpass: float) -> tuple[Doubles, Doubles]:
    """An evenly sampled case without what is faster than ``lowpass`` Hz."""
    from scipy.signal import butter, sosfiltfilt

    own = sampling(time_T)
    if not 0 < lowpass < 0.5 / own.step:
        raise ConfigError(
            f"the low-pass limit of {lowpass:g} Hz must lie below half the sampling rate,"
            f" {0.5 / own.step:g} Hz"
        )
    if not own.is_even:
        grid = plan(time_T, own.step)
        values_TF = grid.interpolate(values_TF, np.arange(len(time_T)))
        time_T = grid.start + own.step * np.arange(len(values_TF), dtype=np.float64)
    sections = butter(_ORDER, lowpass, fs=1 / own.step, output="sos")
    padding = min(3 * (_ORDER + 1), len(values_TF) - 1)
    missing_TF = np.isnan(values_TF)
    smooth_TF = sosfiltfilt(sections, _bridged(values_TF, missing_TF), axis=0, padlen=padding)
    return time_T, np.where(missing_TF, np.nan, np.asarray(smooth_TF, np.float64))


def _bridged(values_TF: Doubles, missing_TF: NDArray[np.bool_]) -> Doubles:
    """Values with straight lines across what is missing, so that a filter can run; all missing: zeros."""
    if not missing_TF.any():
        return values_TF
    bridged_TF = values_TF.copy()
    rows_T = np.arange(len(values_TF))
    for j in np.flatnonzero(missing_TF.any(axis=0)):
        gone_T = missing_TF[:, j]
        known = rows_T[~gone_T]
        bridged_TF[gone_T, j] = np.interp(rows_T[gone_T], known, values_TF[known, j]) if len(known) else 0.0
    return bridged_TF
