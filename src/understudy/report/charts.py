"""The charts of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from understudy.report.compare import largest_first, mean_finite, relative_ade, scales
from understudy.report.curves import Curves, means
from understudy.report.draw import ErrorStrip, SignalPlot, plain_numbers, style_axes
from understudy.report.names import shorten
from understudy.report.svg import LINES, METHODS, THEMED, Svgs, new_figure

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

_SIZE = 9.0
_BUCKETS = 240
_MOST_DOTS = 1500
_MOST_HISTORIES = 4


@dataclass(frozen=True)
class Chart:
    """A figure of the page; ``legend`` names the methods or curves in the order of their colours."""

    svg: Markup
    title: str
    caption: str = ""
    legend: tuple[str, ...] = ()


def signal_chart(svgs: Svgs, curves: Curves, i: int) -> Markup:
    """Truth and prediction of a signal above their difference."""
    figure = new_figure(4.9, 3.1)
    upper, lower = figure.subplots(2, 1, height_ratios=[3, 1])
    figure.subplots_adjust(left=0.155, right=0.985, top=0.97, bottom=0.15, hspace=0.14)
    plot = SignalPlot(upper, THEMED, size=_SIZE, buckets=_BUCKETS)
    strip = ErrorStrip(lower, THEMED, size=_SIZE, buckets=_BUCKETS)
    for ax, n_y in ((upper, 4), (lower, 2)):
        plain_numbers(ax, 5, n_y)
    strip.show(curves, i, plot.show(curves, i))
    upper.tick_params(labelbottom=False)
    unit = shorten(curves.units[i], 20)
    upper.set_ylabel(unit, size=_SIZE, color=THEMED.muted, parse_math=False)
    lower.set_ylabel("error", size=_SIZE, color=THEMED.muted)
    lower.set_xlabel(curves.time_label, size=_SIZE, color=THEMED.muted, parse_math=False)
    figure.align_ylabels()
    description = f"{curves.names[i]} of {curves.case} over time: prediction, truth and their difference"
    return svgs.render(figure, description)


def growth_chart(svgs: Svgs, methods: Sequence[Evaluation]) -> Chart | None:
    """How far predictions are off, the longer they run on their own; None where nothing is finite."""
    spec = methods[0].spec
    curves: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []
    for m, method in enumerate(methods[: len(METHODS)]):
        relative = method.growth[:, list(spec.target_columns)] / scales(method)[list(spec.target_columns)]
        rows, values = means(np.array([mean_finite(row) for row in relative]), _BUCKETS)
        kept = np.isfinite(values)
        if kept.any():
            curves.append((m, (rows[kept] + 1) * spec.step, values[kept]))
    if not curves:
        return None
    figure = new_figure(4.9, 3.1)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.155, right=0.985, top=0.97, bottom=0.15)
    style_axes(ax, THEMED, _SIZE)
    for m, x, y in curves:
        ax.plot(x, y, color=METHODS[m], ls=LINES[m], lw=1.6, marker="o" if len(x) < 3 else "")
    plain_numbers(ax, 5, 5)
    _error_axis(ax, np.concatenate([y for _, _, y in curves]), most=100.0)
    ax.set_xlabel(f"time since the prediction began [{spec.step_unit}]", size=_SIZE, color=THEMED.muted)
    ax.set_ylabel("error [deviations]", size=_SIZE, color=THEMED.muted)
    return Chart(
        svgs.render(figure, "Mean error over time since the start of the prediction, for each method"),
        "Error over time",
        "Mean absolute error of all targets, in deviations of the signal, over all cases that last so long; "
        "diverged ones count.",
        tuple(m.name for m in methods[: len(METHODS)]),
    )


def spread_chart(svgs: Svgs, methods: Sequence[Evaluation], most: int = 10) -> Chart | None:
    """ADE of every case, method and target on one scale; None where nothing is finite."""
    methods = methods[: len(METHODS)]
    spec = methods[0].spec
    relative = [relative_ade(m) for m in methods]
    typical = np.array([mean_finite(relative[0][:, i]) for i in range(len(spec.predicted))])
    columns = largest_first(typical, spec.target_columns, most)
    stable = [np.array([case.diverged_at is None for case in m.cases]) for m in methods]
    seen = np.concatenate([r[s][:, columns].ravel() for r, s in zip(relative, stable, strict=True)])
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if not len(seen):
        return None
    low, high = seen.min() / 1.3, seen.max() * 1.3
    height = 0.75 + len(columns) * (0.24 + 0.15 * len(methods))
    figure = new_figure(4.9, height)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.03, right=0.97, top=1 - 0.1 / height, bottom=0.5 / height)
    style_axes(ax, THEMED, _SIZE)
    ax.spines["left"].set_visible(False)
    ax.grid(False, axis="y")
    dots = sum(len(m.cases) for m in methods) * len(columns) <= _MOST_DOTS
    y = 0.0
    for i in columns:
        name = shorten(spec.predicted[i].name, 44)
        ax.text(low, y, name, size=_SIZE, color=THEMED.ink, va="center", parse_math=False)
        for m, values in enumerate(relative):
            y -= 0.15 if m else 0.17
            _strip(ax, y, values[:, i], stable[m], METHODS[m], (low, high), dots)
        y -= 0.22
    ax.set_ylim(y + 0.08, 0.14)
    ax.set_yticks([])
    ax.set_xlim(low, high)
    plain_numbers(ax, 5, 5)
    ax.set_yticks([])
    if high / low > 8:
        _log_axis(ax, "x")
    ax.set_xlabel("ADE [deviations]", size=_SIZE, color=THEMED.muted)
    less = f" The {most} targets of the largest error." if len(columns) < len(spec.target_columns) else ""
    each = "A dot is a case, a bar" if dots else "A bar is"
    return Chart(
        svgs.render(figure, "Spread of the mean absolute error over the cases, for each target and method"),
        "Spread over the cases",
        f"{each} the middle half of the cases that did not diverge, a tick their median, a cross a diverged "
        f"case (at the edge if beyond).{less}",
        tuple(m.name for m in methods),
    )


def _strip(
    ax: Axes,
    y: float,
    values: NDArray[np.float64],
    stable: NDArray[np.bool_],
    colour: str,
    edges: tuple[float, float],
    dots: bool,
) -> None:
    kept = values[stable & np.isfinite(values)]
    if len(kept):
        kept = np.clip(kept, *edges)
        quarter, half, three = np.percentile(kept, (25, 50, 75))
        ax.plot([quarter, three], [y, y], color=colour, lw=5, alpha=0.3, solid_capstyle="butt")
        ax.plot([half], [y], "|", color=colour, ms=9, mew=2)
        if dots:
            ax.plot(kept, np.full(len(kept), y), "o", color=colour, ms=3, alpha=0.75, mew=0)
    gone = values[~stable & ~np.isnan(values)]
    if len(gone) and dots:
        gone = np.clip(np.nan_to_num(gone, posinf=edges[1]), *edges)
        ax.plot(gone, np.full(len(gone), y), "x", color=THEMED.alarm, ms=5, mew=1.5, clip_on=False)


def history_charts(svgs: Svgs, history: Sequence[Mapping[str, float]]) -> list[Chart]:
    """A chart for each quantity that training logged; ``train/loss`` and ``val/loss`` share one."""
    panels: dict[str, list[str]] = {}
    for name in dict.fromkeys(key for row in history for key in row if key not in ("epoch", "step")):
        panels.setdefault(name.rpartition("/")[2], []).append(name)
    charts: list[Chart] = []
    for quantity, names in panels.items():
        curves = [_logged(history, name) for name in names[: len(METHODS)]]
        if not any(len(x) for x, _ in curves) or len(charts) == _MOST_HISTORIES:
            continue
        figure = new_figure(4.9, 2.7)
        ax = figure.add_subplot()
        figure.subplots_adjust(left=0.155, right=0.985, top=0.97, bottom=0.17)
        style_axes(ax, THEMED, _SIZE)
        for m, (x, y) in enumerate(curves):
            ax.plot(x, y, color=METHODS[m], ls=LINES[m], lw=1.6, marker="o" if len(x) < 20 else "", ms=3)
        plain_numbers(ax, 5, 5)
        _error_axis(ax, np.concatenate([y for _, y in curves]))
        ax.set_xlabel("epoch", size=_SIZE, color=THEMED.muted)
        description = f"{quantity} by epoch of training"
        legend = tuple(names[: len(METHODS)])
        charts.append(Chart(svgs.render(figure, description), f"Training: {quantity}", "", legend))
    return charts


def _logged(
    history: Sequence[Mapping[str, float]], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Epochs and values of ``name``, where it was logged and finite."""
    pairs = [(row.get("epoch", i), row[name]) for i, row in enumerate(history) if name in row]
    kept = np.array([p for p in pairs if np.isfinite(p[1])], np.float64).reshape(-1, 2)
    if len(kept) > 2 * _BUCKETS:
        rows, values = means(kept[:, 1], 2 * _BUCKETS)
        return np.interp(rows, np.arange(len(kept)), kept[:, 0]), values
    return kept[:, 0], kept[:, 1]


def _error_axis(ax: Axes, values: NDArray[np.float64], most: float = np.inf) -> None:
    """From zero where values are alike, logarithmic where they span more than a factor of thirty.

    What diverges may reach 1e30; the picture is about the rest and ends at ``most`` if the rest does.
    """
    typical = values[values > 0]
    if len(typical) < 1 or (values < 0).any():
        return
    low, high = np.percentile(typical, 2), typical.max()
    if high > 30 * low:
        _log_axis(ax, "y")
        middle = float(np.median(typical))
        ax.set_ylim(max(low / 2, typical.min() / 1.5), min(high * 1.5, 1e4 * middle, max(most, 10 * middle)))
    else:
        ax.set_ylim(0, high * 1.08)


def _log_axis(ax: Axes, which: str) -> None:
    axis = ax.yaxis if which == "y" else ax.xaxis
    formatter = axis.get_major_formatter()
    (ax.set_yscale if which == "y" else ax.set_xscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=8))
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())
