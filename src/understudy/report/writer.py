"""Writes all files of a report, what matters most first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.core.facts import RunFacts
from understudy.report.curves import Curves, curves_of
from understudy.report.names import slugs
from understudy.report.pool import Job, run_jobs
from understudy.report.tables import write_case_losses, write_loss_tables, write_metrics

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

# Figures of one job: enough to be worth sending a case, few enough to keep every worker busy to the end.
_FIGURES_A_JOB = 8


def write_report(
    folder: Path,
    evaluation: Evaluation,
    baselines: Sequence[Evaluation],
    run: RunFacts,
    *,
    figures: bool = True,
    byproducts: bool = False,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``report.html``, ``metrics.json``, ``loss/``, ``csv/`` and ``figure/`` into ``folder``.

    ``figures`` draws every case, ``byproducts`` draws the byproducts too; ``jobs`` bounds the worker
    processes (default: one a core); ``on_progress`` is told how many of the case files are written, and how
    many there will be.

    Raises:
        OSError: the folder cannot be written to, or is full.
    """
    from understudy.report.page import write_page

    cases = slugs(case.id for case in evaluation.cases)
    # "overview" is the name of the page of a whole case.
    signals = slugs((s.name for s in evaluation.spec.predicted), taken=("overview",))
    written = [write_metrics(folder / "metrics.json", evaluation, baselines)]
    written += write_loss_tables(folder / "loss", evaluation, signals)
    written.append(write_page(folder / "report.html", evaluation, baselines, run, cases))
    work: list[Job] = []
    for k, case in enumerate(evaluation.cases):
        own = folder / "figure" / cases[case.id]
        written.append(write_case_losses(own / "loss.txt", evaluation, k))
        names = list(signals.values())
        jobs_of_case = _case_jobs(
            curves_of(evaluation, k), evaluation, folder, cases[case.id], names, byproducts
        )
        work += jobs_of_case if figures else jobs_of_case[:1]  # the first one writes the numbers
    run_jobs(work, jobs, on_progress)
    return written + [path for job in work for path in job.paths]


def _case_jobs(
    curves: Curves, evaluation: Evaluation, folder: Path, case: str, names: Sequence[str], byproducts: bool
) -> list[Job]:
    from understudy.report.sheets import CaseCsv, Overview, SignalFigures

    own = folder / "figure" / case
    targets = evaluation.spec.target_columns  # without a gap: targets stand last
    first, last = targets[0], targets[-1] + 1
    jobs: list[Job] = [CaseCsv(curves, folder / "csv" / f"{case}.csv")]
    jobs.append(Overview(curves.part(first, last), own / "overview.png"))
    drawn = range(0 if byproducts else first, last)
    for start in drawn[::_FIGURES_A_JOB]:
        end = min(start + _FIGURES_A_JOB, last)
        jobs.append(
            SignalFigures(curves.part(start, end), tuple(own / f"{name}.png" for name in names[start:end]))
        )
    return jobs
