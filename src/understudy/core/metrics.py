"""Errors of free rollouts, in physical units, over predicted rows only.

Axes: K cases, T predicted rows of a case, N predicted signals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

METRICS = ("ADE", "FDE", "RMSE", "MaxE")
STATISTICS = ("mean", "std", "median", "min", "max")


@dataclass(frozen=True)
class CaseErrors:
    """Errors of one case, each ``(N,)``; NaN where nothing of the signal was measured.

    ADE is the mean absolute error over time, FDE the absolute error at the last measured row, RMSE the root
    of the mean squared error, MaxE the largest absolute error.
    """

    ade: Array
    fde: Array
    rmse: Array
    max_error: Array


def case_errors(prediction: NDArray[np.float32], truth: NDArray[np.float32]) -> CaseErrors:
    """Errors of one rollout; both arguments ``(T, N)``. Rows without a measured value do not count."""
    error = np.abs(prediction.astype(np.float64) - truth)
    measured = np.isfinite(truth)
    error = np.where(measured, np.nan_to_num(error, nan=np.inf, posinf=np.inf), np.nan)
    n_measured = measured.sum(0)
    some = n_measured > 0
    last = len(truth) - 1 - np.argmax(measured[::-1], axis=0)
    columns = np.arange(truth.shape[1])
    with np.errstate(over="ignore"):
        square = np.nansum(error**2, axis=0)
    divisor = np.maximum(n_measured, 1)
    return CaseErrors(
        ade=np.where(some, np.nansum(error, axis=0) / divisor, np.nan),
        fde=np.where(some, error[last, columns], np.nan),
        rmse=np.where(some, np.sqrt(square / divisor), np.nan),
        max_error=np.where(some, np.max(np.where(measured, error, 0.0), axis=0), np.nan),
    )


def summary(values: Array) -> dict[str, float]:
    """The five statistics over cases; values that are not finite are left out, all NaN if none is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return dict.fromkeys(STATISTICS, float("nan"))
    return {
        "mean": float(finite.mean()),
        "std": float(finite.std()),
        "median": float(np.median(finite)),
        "min": float(finite.min()),
        "max": float(finite.max()),
    }
