"""``understudy loop``: from the command line to the rounds, and from the rounds to the page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from understudy.cae.simulate.command import KINDS, experiment_of
from understudy.cae.tables import resample_table
from understudy.config import Plan, build, compose, quoted
from understudy.core.acquire import strategy_of
from understudy.core.bundle import load_bundle
from understudy.core.files import write_text
from understudy.core.parquet import read_parquet
from understudy.errors import ConfigError, DataError, ModelError
from understudy.loop.page import write_loop_page
from understudy.loop.rounds import Loop, Order, Round
from understudy.loop.sources import TEST, Replayed, Simulated, Source
from understudy.progress import Progress
from understudy.report.numbers import number
from understudy.run import STATE, execute
from understudy.training import StoppedByUser

PAGE = "loop.html"
_OURS = ("dataset", "settings.seed", "hydra", "resume", "init_from")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Go through the rounds that the command line asks for, and write the page.

    Raises:
        ConfigError: options that cannot be, before anything is simulated.
        DataError: cases that cannot be read or simulated.
        StoppedByUser: Ctrl-C; the same command goes on.
    """
    _check(options)
    folder = Path(options.out)
    plan = _plan(options.overrides, folder, folder, options.seed)
    order = Order(
        options.by,
        options.start,
        options.add,
        options.rounds,
        _runs(options, plan),
        options.seed,
        options.equal_steps,
        tuple(options.overrides),
    )
    source = _source(options, folder, plan)
    train = _Training(order, source.n_candidates, progress)
    loop = Loop(source, order, folder, train, progress)
    try:
        rounds = loop.run()
    except StoppedByUser as stopped:
        stopped.resume_with = "the same command"
        raise
    write_loop_page(folder / PAGE, loop, rounds)
    for line in _lines(order, rounds):
        progress.say(line)
    progress.say(f"page: {folder / PAGE}")


def _check(options: argparse.Namespace) -> None:
    strategy_of(options.by)
    counts = {"start": 4, "add": 1, "rounds": 1, "candidates": 4, "test": 1, "runs": 1, "seed": 0}
    for name, least in counts.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name} must be at least {least}, not {value}")
    for override in options.overrides:
        if override.lstrip("+~").startswith(_OURS):
            raise ConfigError(
                f"{override}: the loop decides this; it takes keys of the network and the training"
            )


def _runs(options: argparse.Namespace, plan: Plan) -> int:
    members = plan.arguments.get("members", 1)
    if options.runs is None:
        return 3 if options.by == "disagreement" and members == 1 else 1
    if options.by == "disagreement" and options.runs * members < 2:
        raise ConfigError("disagreement needs several networks: --runs 3, or model.members=3")
    return int(options.runs)


def _source(options: argparse.Namespace, folder: Path, plan: Plan) -> Source:
    wanted = options.experiment
    if any(kind.fits(wanted) for kind in KINDS) or not Path(wanted).exists():
        experiment, n_workers = experiment_of(options)
        return Simulated(
            experiment, folder, options.candidates, options.test, options.seed, plan.preprocess, n_workers
        )
    path = Path(wanted)
    if path.suffix != ".parquet":
        raise DataError(
            f"{wanted}: give a Parquet file, which `understudy ingest` makes of a folder of cases"
        )
    table = resample_table(read_parquet(path), plan.preprocess.step, plan.preprocess.lowpass)
    if taken := [name for name in table.ids if name.startswith(TEST)]:
        raise DataError(
            f"{wanted}: case {taken[0]!r} has a name that the loop gives to test cases; rename it"
        )
    return Replayed(table, options.test, options.seed)


def _plan(overrides: Sequence[str], cases: Path, folder: Path, seed: int) -> Plan:
    """A training on ``cases``; those of the test are known by their names."""
    more = [f"resume={quoted(folder.absolute())}"] if (folder / STATE).exists() else []
    given = [
        "dataset=csv", f"dataset.path={quoted(cases.absolute())}", f"dataset.test_cases=['{TEST}*']",
        "dataset.val_size=0.2", "report.figures=false", f"settings.seed={seed}", *overrides, *more,
    ]  # fmt: skip
    return build(compose(given), folder)


@dataclass(frozen=True)
class _Training:
    """Trains on the cases of a file, where that has not been done."""

    order: Order
    n_candidates: int
    progress: Progress

    def __call__(self, cases: Path, n_known: int, folder: Path, seed: int) -> None:
        try:
            load_bundle(folder)
        except ModelError:  # none yet, or half of one
            plan = _plan(self.order.overrides, cases, folder, seed)
            if self.order.equal_steps:
                epochs = round(plan.settings.epochs * self.n_candidates / n_known)
                plan = replace(plan, settings=replace(plan.settings, epochs=epochs))
            write_text(folder / ".hydra" / "config.yaml", plan.config)
            execute(plan, self.progress)


def _lines(order: Order, rounds: Sequence[Round]) -> list[str]:
    lines = [f"{'cases':>7}{'ADE in deviations, on the test cases':>40}"]
    known = 0
    for r in rounds:
        known += len(r.chosen)
        lines.append(f"{known:>7}{number(float('nan') if r.score is None else r.score):>40}")
    return lines
