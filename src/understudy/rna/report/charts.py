"""Where errors lie: by position, by length, by value, and beside the errors that the network predicts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from understudy.report.curves import means
from understudy.report.draw import plain_numbers, style_axes
from understudy.report.numbers import percent
from understudy.report.svg import LINES, METHODS, new_figure
from understudy.rna.evaluate import DENSITY, ProfileEvaluation
from understudy.rna.molecules import CHEMICALS
from understudy.rna.report import texts
from understudy.rna.report.look import Look, Plot
from understudy.rna.tallies import Calibration

_MOST_POINTS = 240
_BLUE = (0.22, 0.54, 0.84)
Doubles = NDArray[np.float64]


def position_plot(methods: Sequence[ProfileEvaluation]) -> Plot | None:
    """Error along the molecule, of each method; None where nothing counts."""
    methods = methods[: len(METHODS)]
    curves = [m.by["position"].mae for m in methods]
    if not any(np.isfinite(c).any() for c in curves):
        return None
    return Plot(
        "position",
        "Error by position",
        "Mean absolute error by position from the 5' end, for each method",
        partial(_draw_position, curves),
        "Mean absolute error of both chemicals at each position from the 5' end.",
        tuple(m.name for m in methods),
    )


def _draw_position(curves: Sequence[Doubles], look: Look) -> Figure:
    figure, ax = _axes(look)
    for m, curve in enumerate(curves):
        rows, values = means(curve, _MOST_POINTS)
        kept = np.isfinite(values)
        single = "o" if kept.sum() < 3 else ""
        ax.plot(rows[kept] + 1, values[kept], color=look.methods[m], ls=LINES[m], lw=1.4, marker=single)
    ax.set_ylim(bottom=0)
    _labels(ax, look, "position from the 5' end", "mean absolute error")
    return figure


def length_plot(methods: Sequence[ProfileEvaluation]) -> Plot | None:
    """Error by length of the molecule; None where all that counts have one length."""
    methods = methods[: len(METHODS)]
    kept = np.flatnonzero(methods[0].by["length"].count > 0)
    if len(kept) < 2:
        return None
    labels = [methods[0].by["length"].labels[k] for k in kept]
    values = [m.by["length"].mae[kept] for m in methods]
    return Plot(
        "length",
        "Error by length",
        "Mean absolute error by length of the molecule, for each method",
        partial(_draw_length, labels, values),
        "Mean absolute error of both chemicals over molecules of the same length.",
        tuple(m.name for m in methods),
    )


def _draw_length(labels: Sequence[str], values: Sequence[Doubles], look: Look) -> Figure:
    figure, ax = _axes(look)
    x = np.arange(len(labels))
    for m, error in enumerate(values):
        ax.plot(x, error, color=look.methods[m], ls=LINES[m], lw=1.4, marker="o", ms=5)
    ax.set_ylim(bottom=0)
    ax.set_xlim(-0.4, len(labels) - 0.6)
    _labels(ax, look, "length [nucleotides]", "mean absolute error")
    ax.set_xticks(x, [name.replace("-", "–") for name in labels])
    return figure


def spread_plot(methods: Sequence[ProfileEvaluation]) -> Plot | None:
    """How the errors of single molecules are spread, for each method; None where nothing counts."""
    methods = methods[: len(METHODS)]
    errors = [np.sort(m.molecule.mae[np.isfinite(m.molecule.mae)]) for m in methods]
    if not any(map(len, errors)):
        return None
    return Plot(
        "spread",
        "Spread over the molecules",
        "Share of molecules whose mean absolute error is below a value, for each method",
        partial(_draw_spread, errors),
        "The share of molecules whose error is at most this large: the further left, the better.",
        tuple(m.name for m in methods),
    )


def _draw_spread(errors: Sequence[Doubles], look: Look) -> Figure:
    figure, ax = _axes(look)
    share = np.linspace(0, 1, _MOST_POINTS + 1)
    for m, values in enumerate(errors):
        if len(values):
            # At most so many points, and never fewer molecules than there are below an error.
            at = np.quantile(values, share, method="inverted_cdf")
            ax.step(at, share, color=look.methods[m], ls=LINES[m], lw=1.4, where="post")
    ax.set_ylim(0, 1)
    ax.set_xlim(left=0)
    _labels(ax, look, "mean absolute error of a molecule", "share of molecules")
    return figure


def density_plots(evaluation: ProfileEvaluation) -> list[Plot]:
    """Predicted against measured values, a figure for each chemical."""
    return [
        Plot(
            f"density_{chemical}",
            f"{chemical}: predicted and measured",
            f"How often predicted and measured reactivities to {chemical} occur together",
            partial(_draw_density, evaluation.density[k]),
            "The stronger the colour, the more nucleotides (logarithmic). A perfect prediction lies on the dashed "
            "line; the orange one is the mean of what was measured.",
        )
        for k, chemical in enumerate(CHEMICALS)
        if evaluation.density[k].any()
    ]


def _draw_density(counts: NDArray[np.int64], look: Look) -> Figure:
    figure = new_figure(4.9, 4.1)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.12, right=0.985, top=0.97, bottom=0.12)
    style_axes(ax, look.palette, look.size)
    ax.grid(False)
    image = np.zeros((DENSITY, DENSITY, 4))
    image[..., :3] = _BLUE
    strength = np.log1p(counts)
    image[..., 3] = strength / strength.max()
    ax.imshow(image, extent=(0, 1, 0, 1), origin="lower", interpolation="none", aspect="auto", zorder=2)
    ax.plot([0, 1], [0, 1], color=look.palette.muted, lw=1.2, ls=(0, (4, 3)), zorder=3)
    middle = (np.arange(DENSITY) + 0.5) / DENSITY
    here = counts.sum(0)
    enough = here >= max(10, counts.sum() // 5000)  # the mean of a few values says nothing
    ax.plot(middle[enough], (middle @ counts)[enough] / here[enough], color=look.methods[1], lw=1.8, zorder=4)
    _labels(ax, look, "predicted reactivity, clipped to 0 … 1", "measured, clipped to 0 … 1")
    return figure


def calibration_plots(evaluation: ProfileEvaluation) -> list[Plot]:
    """What the predicted errors are worth, a figure for each chemical that has them."""
    plots = []
    for k, chemical in enumerate(CHEMICALS):
        found = evaluation.calibration[k]
        if found is None:
            continue
        plots.append(
            Plot(
                f"calibration_{chemical}",
                f"{chemical}: predicted error",
                f"Actual and reported errors against the error predicted for {chemical}",
                partial(_draw_calibration, found),
                f"A dot is the mean of {texts.count(int(np.median(found.count)))} nucleotides of similar predicted "
                "error; on the dashed line the prediction of the error is right. "
                f"{percent(found.within)} of the measured values lie within one predicted error.",
                ("absolute error of the prediction", "reported by the experiment"),
            )
        )
    return plots


def _draw_calibration(found: Calibration, look: Look) -> Figure:
    figure, ax = _axes(look)
    top = 1.08 * max(found.predicted.max(), found.reported.max(), found.residual.max())
    ax.plot([0, top], [0, top], color=look.palette.muted, lw=1.2, ls=(0, (4, 3)))
    for m, values in enumerate((found.residual, found.reported)):
        ax.plot(found.predicted, values, color=look.methods[m], ls=LINES[m], lw=1.4, marker="o", ms=4)
    ax.set_ylim(0, top)
    ax.set_xlim(0, 1.08 * found.predicted.max())
    _labels(ax, look, "predicted error", "error")
    return figure


def _axes(look: Look) -> tuple[Figure, Axes]:
    figure = new_figure(4.9, 3.1)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.155, right=0.985, top=0.97, bottom=0.15)
    style_axes(ax, look.palette, look.size)
    return figure, ax


def _labels(ax: Axes, look: Look, x: str, y: str) -> None:
    plain_numbers(ax, 6, 5)
    ax.set_xlabel(x, size=look.size, color=look.palette.muted)
    ax.set_ylabel(y, size=look.size, color=look.palette.muted)
