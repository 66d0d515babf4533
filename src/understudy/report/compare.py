"""The network beside its baselines: the rows of the tables on the page.

Axes: K cases, N predicted signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from understudy.core.metrics import summary
from understudy.report.numbers import column

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

# metric, statistic over cases, head of the column
COLUMNS = (
    ("ADE", "mean", "ADE, mean"),
    ("ADE", "median", "ADE, median"),
    ("FDE", "mean", "FDE, mean"),
    ("RMSE", "mean", "RMSE, mean"),
    ("MaxE", "max", "Largest error"),
)


@dataclass(frozen=True)
class Cell:
    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    """One method: its numbers, and in how many cases it diverged.

    ``partial`` marks numbers over fewer cases than those of the network.
    """

    method: int
    name: str
    cells: tuple[Cell, ...]
    diverged: int
    n_cases: int
    partial: bool


@dataclass(frozen=True)
class Block:
    """All methods on one signal."""

    name: str
    unit: str
    rows: tuple[Row, ...]
    measured: bool


def blocks(methods: Sequence[Evaluation], columns: Sequence[int]) -> list[Block]:
    """A block for each of the signals ``columns``; the network is the first of ``methods``."""
    found = []
    for i in columns:
        signal = methods[0].spec.predicted[i]
        values = [_statistics(m, kept, i) for m, kept in zip(methods, counted(methods), strict=True)]
        measured = any(np.isfinite(case.truth[:, i]).any() for case in methods[0].cases)
        found.append(Block(signal.name, signal.unit, _rows(methods, values), measured))
    return found


def overall(methods: Sequence[Evaluation]) -> Block:
    """The mean over the targets, each in deviations of its signal, so that they can be averaged at all."""
    values = []
    for m, kept in zip(methods, counted(methods), strict=True):
        chosen = m.spec.target_columns
        relative = np.array([_statistics(m, kept, i) for i in chosen]) / scales(m)[list(chosen), None]
        values.append([mean_finite(column_of) for column_of in relative.T])
    return Block("Mean over the targets", "deviations", _rows(methods, values), True)


def counted(methods: Sequence[Evaluation]) -> list[NDArray[np.bool_]]:
    """The cases (K,) that count for each method.

    Where the network, the first of them, diverged, no method counts: numbers beside each other should be
    over the same cases. A baseline that diverges elsewhere is left out there alone, or else one bad baseline
    could hide most of the picture. A network that diverged everywhere leaves the baselines as they are.
    """
    lost = set(methods[0].diverged)
    if len(lost) == len(methods[0].cases):
        lost = set()
    return [np.array([c.diverged_at is None and c.id not in lost for c in m.cases]) for m in methods]


def _statistics(method: Evaluation, kept: NDArray[np.bool_], i: int) -> list[float]:
    return [summary(method.errors[metric][kept, i])[stat] for metric, stat, _ in COLUMNS]


def scales(evaluation: Evaluation) -> NDArray[np.float64]:
    """The deviations (N,) that errors are compared on; 1 for a signal that never moved."""
    std = np.asarray(evaluation.std, np.float64)
    return np.where(np.isfinite(std) & (std > 0), std, 1.0)


def relative_ade(evaluation: Evaluation) -> NDArray[np.float64]:
    """ADE in deviations, (K, N)."""
    scaled: NDArray[np.float64] = evaluation.errors["ADE"] / scales(evaluation)
    return scaled


def mean_finite(values: Sequence[float] | NDArray[np.float64]) -> float:
    array = np.asarray(values, np.float64)
    finite = array[np.isfinite(array)]
    return float(finite.mean()) if len(finite) else float("nan")


def largest_first(errors: NDArray[np.float64], columns: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of ``columns``: those of the largest ``errors`` (N,), in their own order."""
    ranked = sorted(columns, key=lambda i: -np.nan_to_num(errors[i], nan=-1.0, posinf=np.inf))
    return sorted(ranked[:most])


def _rows(methods: Sequence[Evaluation], values: Sequence[Sequence[float]]) -> tuple[Row, ...]:
    table = np.array(values)  # (methods, columns)
    texts = [column(table[:, j].tolist()) for j in range(len(COLUMNS))]
    finite = np.where(np.isfinite(table), table, np.inf)
    best = np.isfinite(table) & (finite == finite.min(axis=0)) & (len(methods) > 1)
    return tuple(
        Row(
            m,
            e.name,
            tuple(Cell(texts[j][m], bool(best[m, j])) for j in range(len(COLUMNS))),
            len(e.diverged),
            len(e.cases),
            m > 0 and bool(set(e.diverged) - set(methods[0].diverged)),
        )
        for m, e in enumerate(methods)
    )
