"""The pictures of ``sweep.html``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understudy.report.charts import Chart
from understudy.report.draw import plain_numbers, style_axes
from understudy.report.names import shorten
from understudy.report.numbers import number
from understudy.report.svg import METHODS, THEMED, Svgs, new_figure

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_SIZE = 9.0
_MOST_LINES = 300


def history_chart(
    svgs: Svgs, trials: Sequence[FrozenTrial], k: int, name: str, smaller: bool
) -> Chart | None:
    """Value of every trial in the order of their numbers, and the best so far."""
    done = [t for t in trials if t.state.name == "COMPLETE"]
    pruned = [t for t in trials if t.state.name == "PRUNED" and t.values and k == 0]
    if not done:
        return None
    figure, ax = _canvas(2.9)
    values = np.array([t.values[k] for t in done])
    best = (np.minimum if smaller else np.maximum).accumulate(values)
    numbers = [t.number for t in done]
    ax.step([*numbers, trials[-1].number], [*best, best[-1]], where="post", color=METHODS[1], lw=1.4, ls="--")
    ax.plot(numbers, values, "o", color=METHODS[0], ms=4.5, mew=0, alpha=0.9)
    if pruned:
        ax.plot(
            [t.number for t in pruned], [t.values[0] for t in pruned], "x", color=THEMED.truth, ms=5, mew=1.4
        )
    _value_axis(ax, np.concatenate([values, [t.values[0] for t in pruned]]), name)
    _whole(ax, max(len(trials) - 1, 1))
    ax.set_xlabel("trial", size=_SIZE, color=THEMED.muted)
    caption = "A dot is a trial, the dashed line the best one so far" + (
        ", a cross a pruned trial at the epoch it was ended in." if pruned else "."
    )
    return Chart(svgs.render(figure, f"{name} of every trial"), f"History: {name}", caption)


def learning_chart(svgs: Svgs, trials: Sequence[FrozenTrial], best: int, name: str) -> Chart | None:
    """What every trial reported after each epoch."""
    curves = [(t, sorted(t.intermediate_values.items())) for t in trials if t.intermediate_values]
    curves = [(t, [(s, v) for s, v in c if math.isfinite(v)]) for t, c in curves][-_MOST_LINES:]
    if max((len(c) for _, c in curves), default=0) < 2:
        return None
    figure, ax = _canvas(2.9)
    for trial, curve in sorted(curves, key=lambda c: c[0].number == best):
        own = trial.number == best
        steps, values = [s + 1 for s, _ in curve], [v for _, v in curve]
        colour = METHODS[0] if own else THEMED.truth
        ax.plot(steps, values, color=colour, lw=2.0 if own else 0.9, alpha=1.0 if own else 0.75)
        if trial.state.name == "PRUNED":
            ax.plot(steps[-1:], values[-1:], "x", color=THEMED.alarm, ms=5, mew=1.4)
    _value_axis(ax, np.array([v for _, c in curves for _, v in c]), name)
    _whole(ax, max(s + 1 for _, c in curves for s, _ in c))
    ax.set_xlabel("epoch", size=_SIZE, color=THEMED.muted)
    caption = "A line is a trial, the thick one the best; a cross is where a trial was pruned."
    return Chart(svgs.render(figure, f"{name} of every trial by epoch"), "Learning curves", caption)


def importance_chart(svgs: Svgs, study: optuna.Study, k: int, name: str) -> Chart | None:
    """How much of the spread of the values each parameter explains; None with too few trials to tell."""
    import optuna

    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(done) < 8 or len({t.values[k] for t in done}) < 3 or len(done[0].params) < 2:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda t: t.values[k]
            )
    except (ValueError, RuntimeError, ImportError, optuna.exceptions.OptunaError):
        return None
    shown = list(found.items())[:12][::-1]
    height = 0.75 + 0.32 * len(shown)
    figure = new_figure(4.9, height)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.3, right=0.93, top=1 - 0.1 / height, bottom=0.5 / height)
    style_axes(ax, THEMED, _SIZE)
    ax.barh(range(len(shown)), [v for _, v in shown], height=0.55, color=METHODS[0])
    for i, (_, value) in enumerate(shown):
        ax.text(value + 0.015, i, f"{100 * value:.0f} %", va="center", size=_SIZE, color=THEMED.ink)
    ax.set_xlim(0, 1.08)
    plain_numbers(ax, 5, 5)
    ax.set_yticks(range(len(shown)), [shorten(key.lstrip("+"), 24) for key, _ in shown])
    ax.grid(False, axis="y")
    ax.set_xlabel("share of the spread that it explains", size=_SIZE, color=THEMED.muted)
    caption = (
        "Functional ANOVA over the trials that ended (Hutter et al. 2014). Few trials make it a rough guess."
    )
    return Chart(
        svgs.render(figure, f"Importance of the parameters for {name}"), f"Importance for {name}", caption
    )


def parallel_chart(
    svgs: Svgs, trials: Sequence[FrozenTrial], names: Sequence[str], best: Sequence[int]
) -> Chart | None:
    """Every trial as a line through its parameters to its values."""
    done = [t for t in trials if t.state.name == "COMPLETE"][-_MOST_LINES:]
    if len(done) < 2:
        return None
    axes = [_param_axis(done, key) for key in done[0].params]
    axes += [_value_column(name, [t.values[k] for t in done]) for k, name in enumerate(names)]
    figure = new_figure(10.2, 3.3)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.06, right=0.94, top=0.93, bottom=0.1)
    ax.set_axis_off()
    ax.set_xlim(-0.02, len(axes) - 1 + 0.02)
    ax.set_ylim(-0.09, 1.12)
    order = sorted(range(len(done)), key=lambda i: done[i].number in best)
    for i in order:
        own = done[i].number in best
        ax.plot(
            range(len(axes)), [a.at[i] for a in axes], color=METHODS[0] if own else THEMED.truth,
            lw=2.2 if own else 0.9, alpha=1.0 if own else 0.6, solid_joinstyle="round",
        )  # fmt: skip
    for x, axis in enumerate(axes):
        ax.plot([x, x], [0, 1], color=THEMED.muted, lw=1)
        align = "left" if x == 0 else "right" if x == len(axes) - 1 else "center"
        ax.text(x, 1.08, shorten(axis.name, 30), ha=align, size=_SIZE, color=THEMED.ink, parse_math=False)
        for text, y in axis.ticks:
            side = "right" if x == len(axes) - 1 else "left"
            shift = -0.012 if side == "right" else 0.012
            ax.text(
                x + shift * (len(axes) - 1), y, text, ha=side, va="center", size=_SIZE - 1, color=THEMED.muted,
                parse_math=False, bbox={"facecolor": "none", "edgecolor": "none"},
            )  # fmt: skip
    which = "the thick one is the best" if len(best) == 1 else "the thick ones nothing beats"
    return Chart(svgs.render(figure, "All trials as parallel coordinates"), "Parallel coordinates",
                 f"A line is a trial; {which}.")  # fmt: skip


class _Axis:
    """A column of numbers or names between 0 and 1, and what to write beside it."""

    def __init__(
        self, name: str, values: Sequence[float], *, log: bool = False, names: Sequence[str] = ()
    ) -> None:
        self.name = name
        data = np.log10(values) if log else np.asarray(values, np.float64)
        low, high = float(np.min(data)), float(np.max(data))
        if names:
            low, high = 0.0, float(len(names) - 1)
        if high == low:
            low, high = low - 1.0, high + 1.0
        self.at = (data - low) / (high - low)
        if names:
            self.ticks = [(shorten(n, 14), (i - low) / (high - low)) for i, n in enumerate(names)]
        else:
            grid = np.linspace(low, high, 5)
            self.ticks = [(number(float(10**g if log else g), 3), i / 4) for i, g in enumerate(grid)]


def _value_column(name: str, values: Sequence[float]) -> _Axis:
    return _Axis(name, values, log=min(values) > 0 and max(values) > 30 * min(values))


def _param_axis(trials: Sequence[FrozenTrial], key: str) -> _Axis:
    distribution = trials[0].distributions[key]
    values = [t.params[key] for t in trials]
    if hasattr(distribution, "choices"):
        names = [str(c) for c in distribution.choices]
        return _Axis(key.lstrip("+"), [distribution.choices.index(v) for v in values], names=names)
    return _Axis(key.lstrip("+"), values, log=bool(getattr(distribution, "log", False)))


def pareto_chart(
    svgs: Svgs, trials: Sequence[FrozenTrial], names: Sequence[str], best: Sequence[int]
) -> list[Chart]:
    """The first objective against each other one."""
    done = [t for t in trials if t.state.name == "COMPLETE"]
    charts: list[Chart] = []
    for k in range(1, len(names)):
        if not done:
            break
        figure, ax = _canvas(3.1)
        front = sorted((t.values[0], t.values[k], t.number) for t in done if t.number in best)
        ax.plot(
            [t.values[0] for t in done], [t.values[k] for t in done], "o", color=THEMED.truth, ms=4.5, mew=0
        )
        if len(names) == 2:
            ax.plot([p[0] for p in front], [p[1] for p in front], "-", color=METHODS[0], lw=1.2)
        ax.plot([p[0] for p in front], [p[1] for p in front], "o", color=METHODS[0], ms=6, mew=0)
        for x, y, n in front[:12]:
            ax.annotate(str(n), (x, y), (4, 4), textcoords="offset points", size=_SIZE - 1, color=THEMED.ink)
        _value_axis(ax, np.array([t.values[k] for t in done]), names[k])
        plain_numbers(ax, 5, 5)
        ax.set_xlabel(shorten(names[0], 50), size=_SIZE, color=THEMED.muted, parse_math=False)
        caption = (
            "A dot is a trial; those in colour, with their numbers, are beaten by none in all objectives."
        )
        charts.append(Chart(svgs.render(figure, f"{names[0]} against {names[k]}"), "Pareto front", caption))
    return charts


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = new_figure(4.9, height)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.155, right=0.97, top=0.97, bottom=0.48 / height)
    style_axes(ax, THEMED, _SIZE)
    plain_numbers(ax, 5, 5)
    return figure, ax


def _whole(ax: Axes, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.set_xlim(right=last * 1.03 + 0.2)


def _value_axis(ax: Axes, values: np.ndarray, name: str) -> None:
    """Logarithmic where values span more than a factor of thirty."""
    from matplotlib.ticker import LogLocator, NullFormatter

    positive = values[values > 0]
    if len(positive) == len(values) and len(values) and values.max() > 30 * values.min():
        formatter = ax.yaxis.get_major_formatter()
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=8))
        ax.yaxis.set_major_formatter(formatter)
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel(shorten(name, 34), size=_SIZE, color=THEMED.muted, parse_math=False)
