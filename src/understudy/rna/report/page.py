"""``report.html`` of reactivity profiles: one file that a person opens first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from understudy.core.facts import RunFacts
from understudy.core.intervals import DEFAULT
from understudy.report.charts import history_charts
from understudy.report.numbers import percent, seconds
from understudy.report.svg import Svgs
from understudy.report.template import render_page
from understudy.rna.evaluate import ProfileEvaluation
from understudy.rna.molecules import ALPHABET, CHEMICALS
from understudy.rna.report import texts
from understudy.rna.report.charts import (
    calibration_plots,
    density_plots,
    length_plot,
    position_plot,
    spread_plot,
)
from understudy.rna.report.heat import gradient, heat_of, heat_plots
from understudy.rna.report.look import PAGE
from understudy.rna.report.profile import profile_of, profile_plot
from understudy.rna.report.table import blocks
from understudy.rna.report.verdict import best_of, broken_promise, verdict

# The page stays small enough to be sent by mail, whatever the data set.
_MOST_MOLECULES = 200


@dataclass(frozen=True)
class Section:
    """One molecule of the page."""

    title: str
    id: str
    dataset: str
    note: str
    svg: Markup
    width: int
    has_error: bool


def render(evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation], run: RunFacts) -> str:
    """The page as text."""
    svgs = Svgs()
    methods = [evaluation, *baselines]
    heat = heat_of(evaluation)
    along = [position_plot(methods), spread_plot(methods), length_plot(methods)]
    rows = [[plot for plot in along if plot], density_plots(evaluation), calibration_plots(evaluation)]
    content: dict[str, Any] = {
        "run": run,
        "name": evaluation.name,
        "verdict": verdict(evaluation, baselines),
        "tiles": _tiles(evaluation, baselines),
        "methods": [m.name for m in methods],
        "blocks": blocks(methods) if evaluation.n_scored else [],
        "intervals": _intervals(evaluation),
        "asked": percent(DEFAULT),
        "broken": broken_promise(evaluation),
        "sections": _sections(svgs, evaluation),
        "gradient": gradient(),
        "heat": [plot.chart(svgs) for plot in heat_plots(heat)] if heat else [],
        "heat_note": heat.caption if heat else "",
        "charts": [[plot.chart(svgs) for plot in row] for row in rows if row],
        "history": history_charts(svgs, run.history),
        "lines": _lines(evaluation),
        "n_unscored": len(evaluation.index) - evaluation.n_scored,
        "n_more": max(0, evaluation.n_scored - _MOST_MOLECULES),
        "nucleotides": [
            (letter, PAGE.methods.index(colour))
            for letter, colour in zip("ACGU", PAGE.nucleotides, strict=True)
        ],
    }
    return render_page("understudy.rna.report", "profiles.html.j2", content)


def _intervals(evaluation: ProfileEvaluation) -> list[tuple[str, list[str]]]:
    """By nucleotide: for each chemical the share of nucleotides that intervals hold, and their mean width."""
    found = evaluation.held(DEFAULT)
    if found is None:
        return []
    rows = []
    for name, coverage, width in zip([*ALPHABET, "all"], found.coverage, found.width, strict=True):
        cells = [
            text
            for share, wide in zip(coverage, width, strict=True)
            for text in (percent(float(share), 1), texts.error(float(wide)))
        ]
        rows.append((name, cells))
    return rows


def _tiles(
    evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation]
) -> list[tuple[str, str, str]]:
    """Name, value and remark of the few numbers that stand on top."""
    by = zip(CHEMICALS, evaluation.overall.by_chemical[0], strict=True)
    tiles = [
        (
            "Mean absolute error",
            texts.error(evaluation.mae),
            ", ".join(f"{c} {texts.error(v)}" for c, v in by),
        )
    ]
    best = best_of(baselines)
    if best is not None:
        tiles.append(("Best baseline", texts.error(best.mae), best.name))
    pearson = evaluation.pearson[np.isfinite(evaluation.pearson).all(axis=1)]
    if len(pearson):
        middle = np.median(pearson, axis=0)
        text = ", ".join(f"{c} {v:.2f}" for c, v in zip(CHEMICALS, middle, strict=True))
        tiles.append(("Correlation", f"{np.median(pearson.mean(axis=1)):.2f}", f"median molecule; {text}"))
    n, total = evaluation.n_scored, len(evaluation.index)
    values = f"{texts.count(2 * int(evaluation.overall.count[0]))} values"
    noisy = f"; {texts.count(total - n)} of {texts.count(total)} too noisy to be scored" if n < total else ""
    tiles.append(("Molecules scored", texts.count(n), values + noisy))
    if np.isfinite(evaluation.seconds_per_molecule):
        tiles.append(("Time per molecule", seconds(evaluation.seconds_per_molecule), "prediction"))
    return tiles


def _sections(svgs: Svgs, evaluation: ProfileEvaluation) -> list[Section]:
    order = evaluation.order()
    if not len(order):
        return []
    chosen = [("Worst molecule", order[-1])]
    if len(order) > 2:
        chosen.append(("Median molecule", order[(len(order) - 1) // 2]))
    if len(order) > 1:
        chosen.append(("Best molecule", order[0]))
    sections = []
    for title, k in chosen:
        profile = profile_of(evaluation, int(k))
        svg = profile_plot(profile, "").chart(svgs).svg
        has_error = bool(np.isfinite(profile.predicted[:, 2:]).any())
        sections.append(
            Section(title, profile.id, profile.dataset, profile.caption, svg, profile.width, has_error)
        )
    return sections


def _lines(evaluation: ProfileEvaluation) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Id, data set, length and numbers of the molecules, the worst first."""
    molecules = evaluation.molecules
    lines = []
    for k in evaluation.order()[::-1][:_MOST_MOLECULES]:
        m = int(evaluation.index[k])
        errors = [float(evaluation.molecule.mae[k]), *evaluation.molecule.by_chemical[k].tolist()]
        numbers = [texts.error(v) for v in errors]
        numbers += [texts.error(v, 2) for v in evaluation.pearson[k].tolist()]
        lines.append(
            (
                molecules.ids[m],
                molecules.dataset_names[molecules.dataset[m]],
                int(molecules.lengths[m]),
                tuple(numbers),
            )
        )
    return lines
