"""``understudy predict`` for CAE: cases whose controls are known, in; the signals that follow, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.cae.given import given_cases
from understudy.core.cases import Case, table_from_cases
from understudy.core.parquet import write_parquet
from understudy.core.spec import DataSpec, Signal
from understudy.core.surrogate import load
from understudy.errors import ConfigError
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.cae.domain import CAE


def predict(domain: CAE, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
    """Write what the surrogate predicts for the rows after the first ``in_len`` of every case.

    Args:
        paths: runs, whose mean is predicted, and the cases.
        options: ``out``, a folder for CSV files or a Parquet file; ``skip_bad``; ``coverage`` of intervals.

    Raises:
        ConfigError: no run or no source, no ``out``, or a coverage that the run does not know.
        DataError: a case does not fit the model.
    """
    if len(paths) < 2:
        raise ConfigError("predict takes a RUN, or several, and the CASES after them")
    if "out" not in options:
        raise ConfigError("predict needs --out: a folder for CSV files, or FILE.parquet")
    surrogate = load(*paths[:-1])
    coverage = options.get("coverage")
    if coverage is not None:
        surrogate.half_width(0, coverage)  # before any work
    table = given_cases(domain, surrogate, Path(paths[-1]), options, progress, n_measured=surrogate.in_len)
    with progress.bar("predicting") as on_progress:
        predictions = surrogate.task.free_run(surrogate.model, table, range(len(table)), on_progress)
    spec = surrogate.spec
    signals = spec.predicted if coverage is None else tuple(chain(*map(_with_bounds, spec.predicted)))
    shown = DataSpec(signals, spec.step, spec.step_unit, spec.domain)
    cases = []
    for case, prediction in zip(table, predictions, strict=True):
        y = prediction.numpy()
        if coverage is not None:
            half = surrogate.half_width(len(y), coverage)
            y = np.stack([y, y - half, y + half], axis=-1).reshape(len(y), -1)
        cases.append(Case(case.id, y, case.start + surrogate.in_len * spec.step))
    out = Path(options["out"])
    if out.suffix == ".parquet":
        write_parquet(table_from_cases(shown, cases), out)
    else:
        for case in cases:
            domain.write_case(out, shown, case)
    progress.say(f"{len(cases)} predicted cases in {out}")


def _with_bounds(signal: Signal) -> tuple[Signal, Signal, Signal]:
    return signal, replace(signal, name=f"{signal.name}_low"), replace(signal, name=f"{signal.name}_high")
