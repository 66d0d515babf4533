"""An honest picture of a model: free rollouts of whole cases, their errors, and where they break away.

Axes: K cases, T predicted rows of a case, N predicted signals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.core.cases import CaseTable
from understudy.core.intervals import Held, Intervals, held
from understudy.core.metrics import METRICS, Array, case_errors, summary
from understudy.core.model import Ensemble, Model
from understudy.core.spec import DataSpec
from understudy.core.tasks import Rollout

# A rollout has diverged when it leaves the range that a signal has in its case by this many deviations of the
# signal in training. The distance from the truth of the same row would not do: a signal may leap that far itself.
DIVERGED_AT = 20.0


@dataclass(frozen=True)
class CaseResult:
    """One test case: prediction and truth ``(T, N)`` from row ``first_row`` of the case on."""

    id: str
    time: NDArray[np.float64]  # (T,) the time axis of the predicted rows
    prediction: NDArray[np.float32]
    truth: NDArray[np.float32]
    diverged_at: int | None  # the first row (of T) that has left, or None


@dataclass(frozen=True)
class Evaluation:
    """The results of one model on a set of cases.

    ``errors`` maps ``ADE``, ``FDE``, ``RMSE`` and ``MaxE`` to ``(K, N)``; ``growth`` is ``(T_max, N)``: the
    mean absolute error over the cases that reach this row, physical units. ``std`` (N,) are the deviations
    of the training data, the scale on which errors of different signals compare. ``intervals`` are those that the
    model was calibrated with, None where it was not.
    """

    name: str
    spec: DataSpec
    cases: tuple[CaseResult, ...]
    errors: dict[str, Array]
    growth: Array
    std: Array
    seconds_per_case: float
    intervals: Intervals | None = None

    def held(self, coverage: float) -> Held | None:
        """What the intervals of the model hold of these cases."""
        if self.intervals is None:
            return None
        truths = [c.truth for c in self.cases]
        return held(self.intervals, coverage, [c.prediction for c in self.cases], truths)

    @property
    def diverged(self) -> tuple[str, ...]:
        """Ids of the cases whose rollout left the range of a signal by ``DIVERGED_AT`` deviations somewhere."""
        return tuple(c.id for c in self.cases if c.diverged_at is not None)

    def summary(self, metric: str, signal: int) -> dict[str, float]:
        """Mean, std, median, min, max over the cases that did not diverge."""
        kept = np.array([c.diverged_at is None for c in self.cases])
        return summary(self.errors[metric][kept, signal])

    def score(self, case: int | None = None) -> float:
        """Mean over the target signals of ADE in deviations of the signal, over all cases or for one.

        Diverged cases count in full here, so the number is infinite where a rollout is not finite.
        """
        columns = list(self.spec.target_columns)
        relative = self.errors["ADE"][:, columns] / self.std[columns]
        chosen = relative if case is None else relative[case : case + 1]
        return float(np.nanmean(chosen)) if np.isfinite(chosen).any() else float("inf")

    def order(self) -> list[int]:
        """Cases from the best to the worst by :meth:`score`."""
        return sorted(range(len(self.cases)), key=self.score)


def evaluate(
    name: str,
    model: Model | Ensemble,
    task: Rollout,
    table: CaseTable,
    cases: Sequence[int],
    *,
    intervals: Intervals | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Roll out ``cases`` in one batch, each from its first ``in_len`` rows, and compare with the truth."""
    model.eval()
    started = time.perf_counter()
    predictions = task.free_run(model, table, cases, on_progress)
    seconds = (time.perf_counter() - started) / max(len(cases), 1)
    std = model.scaler.std[model.n_controls :].double().cpu().numpy()
    results = [
        _result(table, i, prediction.numpy(), model.n_controls, task.in_len, std)
        for i, prediction in zip(cases, predictions, strict=True)
    ]
    errors = [case_errors(r.prediction, r.truth) for r in results]
    tables = (
        np.stack([e.ade for e in errors]),
        np.stack([e.fde for e in errors]),
        np.stack([e.rmse for e in errors]),
        np.stack([e.max_error for e in errors]),
    )
    return Evaluation(
        name=name,
        spec=table.spec,
        cases=tuple(results),
        errors=dict(zip(METRICS, tables, strict=True)),
        growth=_growth(results),
        std=std,
        seconds_per_case=seconds,
        intervals=intervals,
    )


def _result(
    table: CaseTable, i: int, prediction: NDArray[np.float32], n_controls: int, in_len: int, std: Array
) -> CaseResult:
    case = table[i]
    measured = case.values[:, n_controls:]
    truth = measured[in_len:]
    room = DIVERGED_AT * std
    seen = np.isfinite(measured)
    # A signal that was never measured has no range: inf and -inf leave room for everything.
    low = np.where(seen, measured, np.inf).min(0)
    high = np.where(seen, measured, -np.inf).max(0)
    low, high = np.where(seen.any(0), low - room, -np.inf), np.where(seen.any(0), high + room, np.inf)
    with np.errstate(invalid="ignore"):
        away = (prediction < low) | (prediction > high)
    gone = (away | ~np.isfinite(prediction)).any(1)
    rows = np.arange(in_len, len(case.values))
    return CaseResult(
        id=case.id,
        time=np.asarray(case.start + table.spec.step * rows, np.float64),
        prediction=prediction,
        truth=truth,
        diverged_at=int(np.argmax(gone)) if gone.any() else None,
    )


def _growth(results: Sequence[CaseResult]) -> Array:
    longest = max(len(r.time) for r in results)
    total = np.zeros((longest, results[0].truth.shape[1]))
    count = np.zeros_like(total)
    for r in results:
        error = np.abs(r.prediction.astype(np.float64) - r.truth)
        measured = np.isfinite(r.truth)
        total[: len(r.time)] += np.where(measured, error, 0.0)
        count[: len(r.time)] += measured
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)
