"""Writes all files of a report, what matters most first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from understudy.core.facts import RunFacts
from understudy.core.files import write_text
from understudy.report.names import slugs

if TYPE_CHECKING:
    from understudy.rna.evaluate import ProfileEvaluation
    from understudy.rna.report.look import Plot

_DRAWN = 12  # molecules with a figure of their own: half of them the worst, half spread over the others


def write_profile_report(
    folder: Path,
    evaluation: ProfileEvaluation,
    baselines: Sequence[ProfileEvaluation],
    run: RunFacts,
    *,
    figures: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``report.html``, ``metrics.json``, ``loss/``, ``profiles.parquet`` and ``figure/`` into ``folder``.

    The network and its baselines must have been evaluated on the same molecules. ``figures`` draws files
    beside those of the page; ``on_progress`` is told how many of them are drawn, and how many there will be.

    Raises:
        ValueError: a baseline was evaluated on other molecules.
        OSError: the folder cannot be written to, or is full.
    """
    from understudy.rna.report.files import write_losses, write_metrics, write_profiles
    from understudy.rna.report.page import render

    for other in baselines:
        if not np.array_equal(other.index, evaluation.index):
            raise ValueError(f"{other.name} was evaluated on other molecules than {evaluation.name}")
    written = [write_metrics(folder / "metrics.json", evaluation, baselines)]
    written += write_losses(folder / "loss", evaluation)
    write_text(folder / "report.html", render(evaluation, baselines, run))
    written.append(folder / "report.html")
    written.append(write_profiles(folder / "profiles.parquet", evaluation))
    plots = _plots(evaluation, baselines) if figures else []
    for done, plot in enumerate(plots, start=1):
        written.append(plot.save(folder / "figure" / f"{plot.file}.png"))
        if on_progress is not None:
            on_progress(done, len(plots))
    return written


def _plots(evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation]) -> list[Plot]:
    from understudy.rna.report.charts import (
        calibration_plots,
        density_plots,
        length_plot,
        position_plot,
        spread_plot,
    )
    from understudy.rna.report.heat import heat_of, heat_pairs
    from understudy.rna.report.profile import profile_of, profile_plot

    methods = [evaluation, *baselines]
    heat = heat_of(evaluation)
    found = [*(heat_pairs(heat) if heat else []), position_plot(methods), spread_plot(methods)]
    found.append(length_plot(methods))
    found += [*density_plots(evaluation), *calibration_plots(evaluation)]
    order = evaluation.order()
    worst, others = order[::-1][: _DRAWN // 2], order[::-1][_DRAWN // 2 :]
    spread = np.linspace(0, len(others) - 1, min(_DRAWN - _DRAWN // 2, len(others))).round().astype(int)
    drawn = [profile_of(evaluation, int(k)) for k in [*worst, *others[spread]]]
    names = [f"{rank + 1:02d}_{profile.id}" for rank, profile in enumerate(drawn)]
    files = slugs(names)
    found += [
        profile_plot(profile, f"molecules/{files[name]}") for name, profile in zip(names, drawn, strict=True)
    ]
    return [plot for plot in found if plot is not None]
