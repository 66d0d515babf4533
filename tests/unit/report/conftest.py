"""Evaluations made of arrays, without a network."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from understudy.core.evaluate import DIVERGED_AT, CaseResult, Evaluation
from understudy.core.metrics import METRICS, case_errors
from understudy.core.spec import DataSpec, Role, Signal

Floats = NDArray[np.float32]
MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture(scope="session")
def spec() -> DataSpec:
    return DataSpec(
        (
            Signal("valve", "%", Role.CONTROL),
            Signal("shell", "°C", Role.BYPRODUCT),
            Signal("level/upper", "m", Role.TARGET),
            Signal("power", "m/s^2", Role.TARGET),
        ),
        step=0.5,
    )


@pytest.fixture
def truths(spec: DataSpec) -> list[Floats]:
    """Three cases of different lengths, a test's own to change."""
    return some_truths(spec)


@pytest.fixture(scope="session")
def lasting_truths(spec: DataSpec) -> list[Floats]:
    """The same three cases, for results that several tests read."""
    return some_truths(spec)


def some_truths(spec: DataSpec) -> list[Floats]:
    rng = np.random.default_rng(0)
    n = len(spec.predicted)
    return [rng.standard_normal((rows, n)).cumsum(0).astype(np.float32) for rows in (40, 60, 50)]


@pytest.fixture(scope="session")
def make_evaluation() -> MakeEvaluation:
    """``make(name, spec, truths, predictions, ids=None)``."""

    def make(
        name: str,
        spec: DataSpec,
        truths: Sequence[Floats],
        predictions: Sequence[Floats],
        ids: Sequence[str] | None = None,
    ) -> Evaluation:
        std = np.full(truths[0].shape[1], 2.0)
        cases = []
        for k, (truth, prediction) in enumerate(zip(truths, predictions, strict=True)):
            with np.errstate(invalid="ignore", over="ignore"):
                away = np.abs(prediction.astype(np.float64) - truth) > DIVERGED_AT * std
            gone = (away | ~np.isfinite(prediction)).any(1)
            first = int(np.argmax(gone)) if gone.any() else None
            time = 5.0 + spec.step * np.arange(len(truth))
            cases.append(CaseResult(ids[k] if ids else f"case{k:04d}", time, prediction, truth, first))
        errors = [case_errors(c.prediction, c.truth) for c in cases]
        columns = [(e.ade, e.fde, e.rmse, e.max_error) for e in errors]
        stacked = [np.stack(values) for values in zip(*columns, strict=True)]
        growth = np.full((max(map(len, truths)), len(std)), np.nan)
        for row in range(len(growth)):
            errors_here = [np.abs(c.prediction[row] - c.truth[row]) for c in cases if row < len(c.truth)]
            growth[row] = np.mean(errors_here, axis=0)
        return Evaluation(
            name, spec, tuple(cases), dict(zip(METRICS, stacked, strict=True)), growth, std, 0.01
        )

    return make


def off_by(truths: Sequence[Floats], error: float | Sequence[float]) -> list[Floats]:
    """Predictions that are wrong by ``error`` everywhere, one value or one a signal."""
    return [truth + np.asarray(error, np.float32) for truth in truths]


@pytest.fixture(scope="session")
def shifted() -> Callable[..., list[Floats]]:
    return off_by
