"""``sweep.html``: one file about a whole sweep, with nothing to fetch from anywhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from understudy.core.files import write_text
from understudy.report.charts import Chart
from understudy.report.numbers import listing, number, seconds
from understudy.report.svg import Svgs
from understudy.report.template import render_page
from understudy.sweep.charts import (
    history_chart,
    importance_chart,
    learning_chart,
    parallel_chart,
    pareto_chart,
)
from understudy.sweep.study import DIED, ERROR, STARTED

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_MOST_ROWS = 1000
STATES = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True)
class Row:
    """A trial in the table."""

    number: int
    link: str
    state: str
    best: bool
    values: tuple[str, ...]
    params: tuple[str, ...]
    took: str
    remark: str


@dataclass(frozen=True)
class Wanted:
    """What the page is about.

    Args:
        names: of the objectives.
        best: numbers of the best trial, or of those on the Pareto front, the most balanced one first.
        rerun: the command that runs the best trial again; empty: there is none.
        settings: what was asked for, in words.
    """

    names: tuple[str, ...]
    best: tuple[int, ...]
    rerun: str
    settings: dict[str, str]


def write_sweep_page(path: Path, study: optuna.Study, wanted: Wanted) -> None:
    """Write the page of ``study`` to ``path``."""
    write_text(path, render(study, wanted, path.parent))


def render(study: optuna.Study, wanted: Wanted, folder: Path) -> str:
    """The page as text; links lead from ``folder`` to the folders of the runs."""
    return render_page("understudy.sweep", "sweep.html.j2", _content(study, wanted, folder))


def _content(study: optuna.Study, wanted: Wanted, folder: Path) -> dict[str, Any]:
    trials = study.get_trials(deepcopy=False)
    smaller = [d.name == "MINIMIZE" for d in study.directions]
    best = next((t for t in trials if wanted.best and t.number == wanted.best[0]), None)
    svgs = Svgs()
    charts: list[Chart | None] = []
    for k, name in enumerate(wanted.names):
        charts.append(history_chart(svgs, trials, k, name, smaller[k]))
    charts += pareto_chart(svgs, trials, wanted.names, wanted.best)
    if best is not None and len(wanted.names) == 1:
        charts.append(learning_chart(svgs, trials, best.number, wanted.names[0]))
    charts += [importance_chart(svgs, study, k, name) for k, name in enumerate(wanted.names)]
    keys = list(dict.fromkeys(key for t in trials for key in t.params))
    rows = [_row(t, keys, wanted, folder) for t in _ordered(trials, smaller[0])]
    return {
        "study": study.study_name,
        "verdict": _verdict(trials, best, wanted),
        "notes": _notes(trials),
        "tiles": _tiles(trials, best, wanted),
        "best": best,
        "best_params": [(k.lstrip("+"), _shown(v)) for k, v in best.params.items()] if best else [],
        "best_values": list(zip(wanted.names, map(_value, best.values), strict=True)) if best else [],
        "front": wanted.best if len(wanted.names) > 1 else (),
        "rerun": wanted.rerun,
        "charts": [c for c in charts if c is not None],
        "wide": parallel_chart(svgs, trials, wanted.names, wanted.best),
        "names": wanted.names,
        "keys": [k.lstrip("+") for k in keys],
        "rows": rows[:_MOST_ROWS],
        "n_rows": len(rows),
        "settings": wanted.settings,
    }


def _ordered(trials: Sequence[FrozenTrial], smaller: bool) -> list[FrozenTrial]:
    """The best first, then what was pruned, failed or still runs."""
    rank = {"COMPLETE": 0, "PRUNED": 1, "RUNNING": 2, "WAITING": 3, "FAIL": 4}
    sign = 1 if smaller else -1
    return sorted(
        trials, key=lambda t: (rank[t.state.name], sign * t.values[0] if t.values else 0.0, t.number)
    )


def _row(trial: FrozenTrial, keys: Sequence[str], wanted: Wanted, folder: Path) -> Row:
    where = trial.user_attrs.get(STARTED, "")
    pruned = trial.state.name == "PRUNED"
    last = trial.last_step
    remark = str(trial.user_attrs.get(ERROR, ""))
    if pruned and last is not None:
        remark = f"ended after epoch {last + 1}"
    page = Path(where) / "report.html"
    target = page if where and page.exists() else Path(where)
    link = quote(os.path.relpath(target, folder.resolve())) if where and target.exists() else ""
    values = [_value(v) for v in trial.values] if trial.values and not pruned else [""] * len(wanted.names)
    state = "died" if DIED in trial.user_attrs else STATES[trial.state.name]
    return Row(
        trial.number,
        link,
        state,
        trial.number in wanted.best,
        tuple(values),
        tuple(_shown(trial.params[k]) if k in trial.params else "" for k in keys),
        seconds(trial.duration.total_seconds()) if trial.duration else "",
        remark,
    )


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _verdict(trials: Sequence[FrozenTrial], best: FrozenTrial | None, wanted: Wanted) -> str:
    done = sum(t.state.name == "COMPLETE" for t in trials)
    if best is None:
        return f"None of {len(trials)} trials has ended with a value yet."
    if len(wanted.names) > 1:
        count = len(wanted.best)
        return f"{count} of {done} trials {'is' if count == 1 else 'are'} beaten by none in all objectives."
    parameters = listing([f"{k.lstrip('+')} = {_shown(v)}" for k, v in best.params.items()], 4)
    which = f"Best of {done} trials" if done > 1 else "The only trial that ended"
    return f"{which}: trial {best.number} with {wanted.names[0]} {number(best.values[0])}" + (
        f", at {parameters}." if parameters else "."
    )


def _notes(trials: Sequence[FrozenTrial]) -> list[str]:
    notes = []
    failed = [t.number for t in trials if t.state.name == "FAIL" and DIED not in t.user_attrs]
    died = [t.number for t in trials if DIED in t.user_attrs]
    running = sum(t.state.name == "RUNNING" for t in trials)
    if failed:
        notes.append(f"Failed: {listing(map(str, failed))}. The reasons stand in the table.")
    if died:
        notes.append(
            f"Ended from outside: {listing(map(str, died))}. They do not count as trials of the sweep."
        )
    if running:
        notes.append(
            f"{running} trial{'s' * (running != 1)} still run; the page is written again at the end."
        )
    return notes


def _tiles(
    trials: Sequence[FrozenTrial], best: FrozenTrial | None, wanted: Wanted
) -> list[tuple[str, str, str]]:
    count = {state: sum(t.state.name == state for t in trials) for state in STATES}
    spent = sum((t.duration for t in trials if t.duration), timedelta())
    epochs = sum(len(t.intermediate_values) for t in trials)
    tiles = []
    if best is not None and len(wanted.names) == 1:
        tiles.append(("Best value", number(best.values[0]), f"{wanted.names[0]}, trial {best.number}"))
    elif best is not None:
        tiles.append(("Pareto front", str(len(wanted.best)), f"trials, of {count['COMPLETE']} that ended"))
    others = [f"{n} {STATES[s]}" for s, n in count.items() if n and s != "COMPLETE"]
    tiles.append(("Trials", str(count["COMPLETE"]), "complete" + "".join(f", {o}" for o in others)))
    tiles.append(("Time", seconds(spent.total_seconds()), "of all trials together"))
    if epochs:
        tiles.append(("Epochs", str(epochs), "reported by all trials together"))
    return tiles


def _value(value: float) -> str:
    """Of an objective; counts, such as parameters, stay whole."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else number(value)
