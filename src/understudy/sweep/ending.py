"""What a sweep leaves behind: the page, the winner, and the same in the tracker."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from understudy.core.files import write_text
from understudy.sweep.page import Wanted, write_sweep_page
from understudy.sweep.storage import redact
from understudy.sweep.winner import best_trials, write_winners
from understudy.tracking import Tracker

if TYPE_CHECKING:
    from understudy.sweep.study import Search

log = logging.getLogger(__name__)

Compose = Callable[[list[str]], DictConfig]
PAGE = "sweep.html"


def finish(
    search: Search, parent: Tracker, folder: Path, compose: Compose, say: Callable[[str], None]
) -> None:
    """Write what is known of the study by now; others that still work on it will write it again."""
    study, names = search.study, search.purpose.objectives or ("validation error",)
    best = best_trials(study)
    space = search.purpose.space
    winners = write_winners(folder, study, best, lambda p: compose(space.overrides(p)), names)
    rerun = ""
    if winners:
        here = os.path.relpath(folder)
        rerun = f"understudy train --config-dir {here} experiment={winners[0].stem}"
    wanted = Wanted(tuple(names), tuple(t.number for t in best), rerun, _settings(search))
    write_sweep_page(folder / PAGE, study, wanted)
    _record(search, parent, folder, winners)
    if best:
        values = ", ".join(f"{n} {v:.4g}" for n, v in zip(names, best[0].values, strict=True))
        say(f"best trial {best[0].number}: {values}; run it again: {rerun}")
    say(f"sweep: {os.path.relpath(folder / PAGE)}")


def _settings(search: Search) -> dict[str, str]:
    space, options = search.purpose.space, search.options
    return {
        **{f"searched: {p.key.lstrip('+')}": _words(p.distribution) for p in space.parameters},
        "fixed": " ".join(space.fixed) or "nothing",
        "direction": ", ".join(options.direction),
        "sampler": "grid, every combination once" if search.grid else search.sampler.replace("auto", "tpe"),
        "pruner": str(options.pruner.get("name", "none")),
        "trials asked for": str(search.n_trials),
        "storage": redact(search.url),
    }


def _words(distribution: Any) -> str:
    if hasattr(distribution, "choices"):
        return f"one of {', '.join(map(str, distribution.choices))}"
    step = f", every {distribution.step:g}" if getattr(distribution, "step", None) not in (None, 1) else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{', logarithmic' if distribution.log else ''}"


def _record(search: Search, parent: Tracker, folder: Path, winners: list[Path]) -> None:
    trials = search.study.get_trials(deepcopy=False)
    counts: Mapping[str, int] = {
        name: sum(t.state.name == state for t in trials)
        for name, state in (("complete", "COMPLETE"), ("pruned", "PRUNED"), ("failed", "FAIL"))
    }
    parent.metrics({f"trials/{name}": float(n) for name, n in counts.items()})
    best = best_trials(search.study)
    if best:
        parent.metrics(
            {f"best/{i}": v for i, v in enumerate(best[0].values)}
            if len(best[0].values) > 1
            else {"best": best[0].values[0]}
        )
        parent.tags(
            {
                "best trial": str(best[0].number),
                **{f"best.{k.lstrip('+')}": str(v) for k, v in best[0].params.items()},
            }
        )
    with tempfile.TemporaryDirectory() as place:
        # Only what belongs to the sweep: the folders of the trials are in their own runs.
        write_text(Path(place) / PAGE, (folder / PAGE).read_text(encoding="utf-8"))
        if winners:
            copytree(folder / "experiment", Path(place) / "experiment")
        parent.files(Path(place))
    if not any(t.state.name == "RUNNING" for t in trials):
        parent.close("FINISHED")
