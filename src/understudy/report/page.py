"""``report.html``: one file that a person opens first, with nothing to fetch from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from understudy.core.facts import RunFacts
from understudy.core.files import write_text
from understudy.core.intervals import DEFAULT
from understudy.report.charts import growth_chart, history_charts, signal_chart, spread_chart
from understudy.report.compare import COLUMNS, blocks, largest_first, overall, scales
from understudy.report.curves import curves_of
from understudy.report.draw import caption, label
from understudy.report.numbers import listing, number, percent, seconds
from understudy.report.svg import Svgs
from understudy.report.template import render_page
from understudy.report.verdict import broken_promise, verdict

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

# The page stays small enough to be sent by mail, whatever the data set.
_MOST_SIGNALS = 8
_MOST_CASES = 300


@dataclass(frozen=True)
class Picture:
    svg: Markup
    title: str
    caption: str


@dataclass(frozen=True)
class CaseSection:
    """One case of the page: why it was chosen, and its signals."""

    title: str
    id: str
    note: str
    pictures: tuple[Picture, ...]
    link: str


@dataclass(frozen=True)
class CaseLine:
    id: str
    score: str
    diverged: str
    figures: str
    csv: str


def write_page(
    path: Path,
    evaluation: Evaluation,
    baselines: Sequence[Evaluation],
    run: RunFacts,
    cases: Mapping[str, str],
) -> Path:
    """Write the page to ``path``; ``cases`` maps case ids to the names of their files."""
    write_text(path, render(evaluation, baselines, run, cases))
    return path


def render(
    evaluation: Evaluation, baselines: Sequence[Evaluation], run: RunFacts, cases: Mapping[str, str]
) -> str:
    """The page as text."""
    return render_page("understudy.report", "report.html.j2", _content(evaluation, baselines, run, cases))


def _content(
    evaluation: Evaluation, baselines: Sequence[Evaluation], run: RunFacts, cases: Mapping[str, str]
) -> dict[str, Any]:
    from understudy.core.evaluate import DIVERGED_AT

    svgs = Svgs()
    methods = [evaluation, *baselines]
    targets = list(evaluation.spec.target_columns)
    byproducts = [i for i in range(len(evaluation.spec.predicted)) if i not in targets]
    spread = spread_chart(svgs, methods)
    growth = growth_chart(svgs, methods)
    rows = blocks(methods, targets)
    return {
        "run": run,
        "name": evaluation.name,
        "verdict": verdict(evaluation, baselines),
        "diverged": evaluation.diverged,
        "diverged_cases": listing(evaluation.diverged, 12),
        "diverged_at": f"{DIVERGED_AT:g}",
        "n_cases": len(evaluation.cases),
        "tiles": _tiles(evaluation, baselines),
        "columns": [head for _, _, head in COLUMNS],
        "overall": overall(methods) if len(targets) > 1 else None,
        "targets": rows,
        "broken": broken_promise(evaluation),
        "intervals": _intervals(evaluation, targets),
        "asked": percent(DEFAULT),
        "partial": any(row.partial for row in rows[0].rows),
        "byproducts": blocks(methods, byproducts),
        "sections": _sections(svgs, evaluation, cases),
        "charts": [chart for chart in (growth, spread) if chart is not None],
        "history": history_charts(svgs, run.history),
        "case_lines": _case_lines(evaluation, cases),
        "most_cases": _MOST_CASES,
    }


def _intervals(evaluation: Evaluation, columns: Sequence[int]) -> list[tuple[str, str, str, str, str]]:
    """Signal, unit, share of the points that the intervals hold, their width, and the same in deviations."""
    found = evaluation.held(DEFAULT)
    if found is None:
        return []
    relative = found.width / scales(evaluation)
    return [
        (
            evaluation.spec.predicted[i].name,
            evaluation.spec.predicted[i].unit,
            percent(float(found.coverage[i]), 1),
            number(float(found.width[i]), 3),
            number(float(relative[i]), 3),
        )
        for i in columns
    ]


def _tiles(evaluation: Evaluation, baselines: Sequence[Evaluation]) -> list[tuple[str, str, str]]:
    """Name, value and remark of the few numbers that stand on top."""
    measure = overall([evaluation, *baselines])
    own, *others = (row.cells[0].text for row in measure.rows)
    remark = f"{measure.unit} (ADE)" + "".join(
        f", {baseline.name} {text}" for baseline, text in zip(baselines, others, strict=True)
    )
    if evaluation.diverged:
        remark += "; without diverged cases"
    gone, n = len(evaluation.diverged), len(evaluation.cases)
    rows = sum(len(case.time) for case in evaluation.cases)
    return [
        ("Mean error", own, remark),
        ("Test cases", f"{n}", f"{rows:,} predicted row{'s' * (rows != 1)}".replace(",", " ")),
        ("Diverged", f"{gone}", f"of {n} rollout{'s' * (n != 1)}"),
        ("Time per case", seconds(evaluation.seconds_per_case), "prediction of a whole case"),
    ]


def _sections(svgs: Svgs, evaluation: Evaluation, cases: Mapping[str, str]) -> list[CaseSection]:
    targets = list(evaluation.spec.target_columns)
    ade = evaluation.errors["ADE"][:, targets]
    # A case without a measured target cannot be judged; its score puts it last, where the worst belongs.
    order = [k for k in evaluation.order() if not np.isnan(ade[k]).all()]
    if not order:
        return []
    chosen = [("Worst case", order[-1])]
    if len(order) > 2:
        chosen.append(("Median case", order[(len(order) - 1) // 2]))
    return [_section(svgs, evaluation, title, k, cases) for title, k in chosen]


def _section(svgs: Svgs, evaluation: Evaluation, title: str, k: int, cases: Mapping[str, str]) -> CaseSection:
    curves = curves_of(evaluation, k)
    targets = evaluation.spec.target_columns
    shown = largest_first(curves.ade / scales(evaluation), targets, _MOST_SIGNALS)
    pictures = tuple(
        Picture(signal_chart(svgs, curves, i), label(curves, i, 60), caption(curves, i)) for i in shown
    )
    score = evaluation.score(k)
    note = f"Mean error {number(score, 3)} deviations" if np.isfinite(score) else "The error is not finite"
    if curves.divergence:
        note += f"; the rollout diverged at {curves.divergence}"
    if len(shown) < len(targets):
        note += f"; the {len(shown)} of {len(targets)} targets with the largest error"
    link = _link("figure", cases[curves.case], "overview.png")
    return CaseSection(title, curves.case, note, pictures, link)


def _case_lines(evaluation: Evaluation, cases: Mapping[str, str]) -> list[CaseLine]:
    lines = []
    for k in reversed(evaluation.order()):
        case = evaluation.cases[k]
        at = curves_of(evaluation, k).divergence
        lines.append(
            CaseLine(
                case.id,
                number(evaluation.score(k), 3),
                at and f"at {at}",
                _link("figure", cases[case.id], "overview.png"),
                _link("csv", f"{cases[case.id]}.csv"),
            )
        )
    return lines[:_MOST_CASES]


def _link(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)
