"""``understudy runs``: tables of what has been run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from understudy.errors import ConfigError
from understudy.runs import Known, differing, find, known_runs, remove
from understudy.tracking import default_uri

_SHOWN = ("val/rollout", "test/score", "best")


def runs(options: argparse.Namespace) -> None:
    """``list``, ``show``, ``compare`` or ``rm``."""
    uri = None if options.no_tracker else _store(options.uri)
    every = known_runs(Path(options.folder), uri)
    if options.action == "list":
        _list(every, as_json=options.json)
        return
    if not options.runs:
        raise ConfigError(f"understudy runs {options.action}: name a run; `understudy runs list` shows them")
    chosen = [find(every, name) for name in options.runs]
    if options.action == "show":
        _show(chosen, as_json=options.json)
    elif options.action == "compare":
        _compare(chosen, as_json=options.json)
    else:
        _remove(chosen, uri, options)


def _store(uri: str | None) -> str | None:
    """The tracker's store; none where a file of this folder would first have to be made."""
    chosen = uri or default_uri()
    missing = chosen.startswith("sqlite:///") and not Path(chosen.removeprefix("sqlite:///")).exists()
    if missing and uri:
        raise ConfigError(f"--uri {uri}: there is no such file")
    return None if missing else chosen


def _list(runs: Sequence[Known], *, as_json: bool) -> None:
    if as_json:
        _print_json([r.to_json() for r in runs])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("run", "started", "status", "model", "data set"):
        table.add_column(head, overflow="fold")
    for head in _SHOWN[:2]:
        table.add_column(head, justify="right")
    table.add_column("where")
    for run in runs:
        values = [f"{run.metrics[m]:.4g}" if m in run.metrics else "" for m in _SHOWN[:2]]
        name = run.name if run.folder else f"{run.name} ({run.record[:8]})"
        table.add_row(name, run.started, run.status, run.model, run.dataset, *values, run.place)
    _console().print(table if runs else "no runs")


def _show(runs: Sequence[Known], *, as_json: bool) -> None:
    if as_json:
        _print_json([r.to_json() for r in runs])
        return
    for run in runs:
        table = Table(box=None, pad_edge=False, show_header=False, title=run.name, title_justify="left")
        facts = {
            "status": run.status, "reason": run.reason, "started": run.started, "folder": run.folder or "",
            "record": run.record, "sweep": run.sweep,
        }  # fmt: skip
        metrics = {k: f"{v:.6g}" for k, v in sorted(run.metrics.items()) if k.count("/") < 2}
        for key, value in {**facts, **run.parameters, **metrics}.items():
            if value not in ("", "None"):
                table.add_row(key, value)
        _console().print(table)


def _compare(runs: Sequence[Known], *, as_json: bool) -> None:
    parameters = differing(runs)
    metrics = list(dict.fromkeys(m for r in runs for m in sorted(r.metrics) if m.count("/") < 2))
    if as_json:
        _print_json(
            {
                "runs": [r.name for r in runs],
                "parameters": {k: [r.parameters.get(k) for r in runs] for k in parameters},
                "metrics": {k: [r.metrics.get(k) for r in runs] for k in metrics},
            }
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", *(r.name for r in runs)):
        table.add_column(head, justify="left" if not head else "right", overflow="fold")
    table.add_row("status", *(r.status for r in runs))
    for key in parameters:
        table.add_row(key, *(r.parameters.get(key, "–") for r in runs))
    for key in metrics:
        table.add_row(key, *(f"{r.metrics[key]:.4g}" if key in r.metrics else "–" for r in runs))
    _console().print(table)


def _remove(runs: Sequence[Known], uri: str | None, options: argparse.Namespace) -> None:
    what = ", ".join(r.name for r in runs)
    if not options.yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"understudy runs rm deletes {what}; say --yes where nobody can be asked")
        if input(f"delete {what} for good? [y/N] ").strip().lower() not in ("y", "yes"):
            return
    for run in runs:
        remove(run, uri, keep_record=options.keep_record)
    if options.json:
        _print_json([r.name for r in runs])
    else:
        _console().print(f"deleted: {what}", markup=False)


def _print_json(data: object) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def _console() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)
