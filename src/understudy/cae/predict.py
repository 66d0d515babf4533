"""``understudy predict`` for CAE: cases whose controls are known, in; the signals that follow, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.cae.given import given_cases
from understudy.core.cases import Case, table_from_cases
from understudy.core.parquet import write_parquet
from understudy.core.spec import DataSpec
from understudy.core.surrogate import load
from understudy.errors import ConfigError
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.cae.domain import CAE


def predict(domain: CAE, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
    """Write what the surrogate predicts for the rows after the first ``in_len`` of every case.

    Args:
        paths: a run and its cases.
        options: ``out``, a folder for CSV files or a Parquet file; ``skip_bad``.

    Raises:
        ConfigError: not one run and one source, or no ``out``.
        DataError: a case does not fit the model.
    """
    if len(paths) != 2:
        raise ConfigError(f"predict takes one RUN and its CASES; {len(paths)} paths were given")
    if "out" not in options:
        raise ConfigError("predict needs --out: a folder for CSV files, or FILE.parquet")
    surrogate = load(paths[0])
    table = given_cases(domain, surrogate, Path(paths[1]), options, progress, n_measured=surrogate.in_len)
    with progress.bar("predicting") as on_progress:
        predictions = surrogate.task.free_run(surrogate.bundle.model, table, range(len(table)), on_progress)
    spec = surrogate.spec
    shown = DataSpec(spec.predicted, spec.step, spec.step_unit, spec.domain)
    cases = [
        Case(case.id, y.numpy(), case.start + surrogate.in_len * spec.step)
        for case, y in zip(table, predictions, strict=True)
    ]
    out = Path(options["out"])
    if out.suffix == ".parquet":
        write_parquet(table_from_cases(shown, cases), out)
    else:
        for case in cases:
            domain.write_case(out, shown, case)
    progress.say(f"{len(cases)} predicted cases in {out}")
