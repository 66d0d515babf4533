"""The tables of a report that programs read, and the text that stands beside the figures of a case."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.core.files import write_json, write_text
from understudy.core.metrics import METRICS
from understudy.report.numbers import finite_or_none, number

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

_RANKED = ("ADE", "FDE")


def write_loss_tables(folder: Path, evaluation: Evaluation, names: Mapping[str, str]) -> list[Path]:
    """``loss_<signal>_<metric>.csv``: cases and their errors, the best first, the never measured last."""
    written = []
    for i, signal in enumerate(evaluation.spec.predicted):
        for metric in _RANKED:
            values = evaluation.errors[metric][:, i]
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["case", "value"])
            for k in np.argsort(values, kind="stable"):  # numpy sorts NaN to the end
                value = values[k]
                writer.writerow([evaluation.cases[k].id, "" if np.isnan(value) else repr(float(value))])
            written.append(folder / f"loss_{names[signal.name]}_{metric}.csv")
            write_text(written[-1], text.getvalue())
    return written


def write_metrics(path: Path, evaluation: Evaluation, baselines: Sequence[Evaluation]) -> Path:
    """Every statistic of every metric and signal, for the network and its baselines, as strict JSON."""
    signals = [{"name": s.name, "unit": s.unit, "role": str(s.role)} for s in evaluation.spec.predicted]
    data = {
        "signals": signals,
        "model": _metrics(evaluation),
        "baselines": [_metrics(b) for b in baselines],
    }
    write_json(path, data)
    return path


def _metrics(e: Evaluation) -> dict[str, Any]:
    return {
        "name": e.name,
        "score": finite_or_none(e.score()),
        "seconds_per_case": finite_or_none(e.seconds_per_case),
        "cases": len(e.cases),
        "diverged": {"count": len(e.diverged), "cases": list(e.diverged)},
        "errors": {
            signal.name: {
                metric: {s: finite_or_none(v) for s, v in e.summary(metric, i).items()} for metric in METRICS
            }
            for i, signal in enumerate(e.spec.predicted)
        },
        "score_of_case": {case.id: finite_or_none(e.score(k)) for k, case in enumerate(e.cases)},
        "intervals": _intervals(e),
    }


def _intervals(e: Evaluation) -> dict[str, Any] | None:
    """By asked coverage and signal: the share of points that the intervals hold, and their mean width."""
    if e.intervals is None:
        return None
    table = {}
    for asked in e.intervals.coverages:
        found = e.held(asked)
        assert found is not None
        table[f"{asked:g}"] = {
            s.name: {"coverage": finite_or_none(found.coverage[i]), "width": finite_or_none(found.width[i])}
            for i, s in enumerate(e.spec.predicted)
        }
    return table


def write_case_losses(path: Path, evaluation: Evaluation, k: int) -> Path:
    """The errors of case ``k`` as a table for people: a line a signal, numbers below one another."""
    case = evaluation.cases[k]
    rows = [["signal", "unit", "ADE", "FDE", "RMSE", "max error"]]
    for i, signal in enumerate(evaluation.spec.predicted):
        errors = [number(float(evaluation.errors[m][k, i])) for m in METRICS]
        rows.append([" ".join(signal.name.split()), signal.unit or "-", *errors])
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = [f"{' '.join(case.id.split())}, {len(case.time)} predicted rows"]
    if case.diverged_at is not None:
        at = f"{case.time[case.diverged_at]:.6g}"
        lines.append(f"diverged at {at} {evaluation.spec.step_unit}".rstrip())
    lines.append("")
    for row in rows:
        text = [cell.ljust(w) for cell, w in zip(row[:2], widths[:2], strict=True)]
        figures = [cell.rjust(w) for cell, w in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(text + figures))
    lines.insert(-len(rows) + 1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    write_text(path, "\n".join(lines) + "\n")
    return path
