"""``understudy evaluate`` for CAE: free rollouts of given cases, with the baselines of the run beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.cae.given import given_cases
from understudy.cae.study import table_lines
from understudy.core.evaluate import evaluate as evaluate_model
from understudy.core.facts import RunFacts
from understudy.core.surrogate import load
from understudy.progress import Progress
from understudy.report import write_report

if TYPE_CHECKING:
    from understudy.cae.domain import CAE


def evaluate(domain: CAE, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
    """Roll out cases and write a report.

    Args:
        paths: runs, of which the mean is evaluated, and the cases; the baselines are those of the first run.
        options: ``out``, the folder of the report; ``byproducts``, whether to draw them; ``skip_bad``.

    Raises:
        DataError: a case does not fit the model.
    """
    *runs, source = paths
    surrogate, path = load(*runs), Path(source)
    table = given_cases(domain, surrogate, path, options, progress, n_measured=None)
    everything = list(range(len(table)))
    bundle = surrogate.bundle
    with progress.bar("rolling out the cases") as on_progress:
        result = evaluate_model(
            surrogate.name,
            surrogate.model,
            surrogate.task,
            table,
            everything,
            intervals=surrogate.intervals,
            on_progress=on_progress,
        )
    baselines = []
    for folder in sorted((Path(runs[0]) / "baselines").glob("*")):
        other = load(folder)
        baselines.append(evaluate_model(folder.name, other.bundle.model, other.task, table, everything))
    out = Path(options.get("out") or f"evaluation-{path.name.split('.')[0]}")
    facts = RunFacts(
        title=f"{surrogate.name} on {path.name}",
        facts={**bundle.facts, "evaluated on": f"{path} ({len(table)} cases)"},
    )
    with progress.bar("drawing the figures") as on_progress:
        write_report(
            out,
            result,
            baselines,
            facts,
            byproducts=bool(options.get("byproducts")),
            on_progress=on_progress,
        )
    for line in table_lines(result, baselines):
        progress.say(line)
    progress.say(f"report: {out / 'report.html'}")
