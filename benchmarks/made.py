"""Made-up cases in the shape of the real ones: random controls, outputs that follow them with lags."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from understudy.cae.write import write_case_csv
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.spec import DataSpec, Role, Signal

# The data sets of the reference: "step2" and the largest, "refrig_only".
STEP2 = (9, 41)
LARGE = (15, 47)


def spec(n_controls: int, n_predicted: int, step: float) -> DataSpec:
    """Signals ``u…`` and ``y…`` of which the last four are targets."""
    controls = [Signal(f"u{i:02d}", "-", Role.CONTROL) for i in range(n_controls)]
    predicted = [
        Signal(f"y{i:02d}", "-", Role.TARGET if i >= n_predicted - 4 else Role.BYPRODUCT)
        for i in range(n_predicted)
    ]
    return DataSpec((*controls, *predicted), step)


def case_values(
    n_rows: int, n_controls: int, n_predicted: int, step: float, seed: int
) -> NDArray[np.float32]:
    """Rows (T, C + N): held random controls; outputs with time constants of 1 to 60 s and odd scales."""
    rng = np.random.default_rng(seed)
    dwell = max(1, round(60 / step))
    levels = rng.uniform(-1, 1, (n_rows // dwell + 1, n_controls))
    controls = np.repeat(levels, dwell, axis=0)[:n_rows]
    # The same system in every case; only controls and noise differ.
    system = np.random.default_rng(0)
    mixed = np.tanh(controls @ system.normal(0, 1, (n_controls, n_predicted)))
    outputs = np.empty((n_rows, n_predicted))
    for j, lag in enumerate(np.geomspace(1.0, 60.0, n_predicted)):
        keep = np.exp(-step / lag)
        outputs[:, j] = lfilter([1 - keep], [1, -keep], mixed[:, j])
    scales = 10 ** system.uniform(-1, 3, n_controls + n_predicted)
    noisy = np.hstack([controls, outputs]) + rng.normal(0, 1e-3, (n_rows, n_controls + n_predicted))
    return ((noisy + 3) * scales).astype(np.float32)


def table(n_cases: int, n_rows: int, n_controls: int, n_predicted: int) -> CaseTable:
    """``n_cases`` cases of ``n_rows`` rows at 1 s."""
    cases = [
        Case(f"case{i + 1:04d}", case_values(n_rows, n_controls, n_predicted, 1.0, seed=i + 1))
        for i in range(n_cases)
    ]
    return table_from_cases(spec(n_controls, n_predicted, 1.0), cases)


def folder(path: Path, n_cases: int, n_rows: int, *, distinct: int = 10) -> Path:
    """A folder of files in the reference's layout: time at 0.1 s and 62 columns, 6 significant digits.

    Only ``distinct`` files are written; the others are hard links to them, which readers cannot tell.
    """
    path.mkdir(parents=True, exist_ok=True)
    columns = spec(*LARGE, step=0.1)
    for i in range(n_cases):
        target = path / f"case{i + 1:04d}.csv"
        if i < distinct:
            write_case_csv(target, columns, case_values(n_rows, *LARGE, 0.1, seed=i + 1))
        else:
            os.link(path / f"case{i % distinct + 1:04d}.csv", target)
    return path
