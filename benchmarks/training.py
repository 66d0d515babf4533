"""Training steps: windows gathered by index against a ``DataLoader`` over stored windows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import made, reference_way
from benchmarks.measure import Ratio, Report
from benchmarks.rollouts import NETS, SIZES, TASK, build
from understudy.core.cases import CaseTable
from understudy.core.model import Model
from understudy.training.fit import automatic_precision

BATCH = 1024
GOAL = 2

Batches = Iterator[Any]


def _endless(start: Callable[[], Batches]) -> Batches:
    while True:
        yield from start()


def _full(batches: Batches) -> Batches:
    return (batch for batch in batches if len(batch if isinstance(batch, Tensor) else batch[0]) == BATCH)


class Ours:
    """One training step as :mod:`understudy.training` does it, without Lightning around it."""

    def __init__(self, model: Model, table: CaseTable, precision: str) -> None:
        self.mixed = precision == "bf16-mixed"
        loader = TASK.loader(table, range(len(table)), batch_size=BATCH, seed=1)
        self.model = model.train()
        self.batches = _full(_endless(lambda: iter(loader)))
        self.adam = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(self, batch: Tensor) -> None:
        self.adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
            loss = TASK.loss(self.model, batch)
        loss.backward()
        self.adam.step()


class Theirs:
    """One training step of the reference way, with its own network or with ours."""

    def __init__(self, net: nn.Module, windows: reference_way.StoredWindows) -> None:
        loader = windows.loader(BATCH)
        self.net = net.train()
        self.batches = _full(_endless(lambda: iter(loader)))
        self.adam = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step(self, batch: list[Tensor]) -> None:
        past, control, truth = batch
        self.adam.zero_grad()
        functional.mse_loss(self.net(past, control), truth).backward()
        self.adam.step()


def run(quick: bool) -> Report:
    """Windows a second of a full step, and of its two parts alone."""
    n_cases, n_batches, rounds = (4, 1, 1) if quick else (20, 2, 7)
    table = made.table(n_cases, 1199, *made.STEP2)
    windows = reference_way.store_windows([case.values.astype("float64") for case in table], SIZES)
    report = Report("Train")
    report.head = ["network", "full step", "reference way", "ratio", "32-true", "ratio"]
    report.head += ["its loader, our network", "ratio"]
    report.head += ["network only", "reference way", "ratio"]
    loaders: list[tuple[float, float]] = []
    for name in NETS:
        model = build(name, table)
        plain = reference_way.plain_network(model.net)
        sides: dict[str, Ours | Theirs] = {
            "ours": Ours(model, table, automatic_precision("cpu")),
            "full precision": Ours(build(name, table), table, "32-true"),
            "theirs": Theirs(plain, windows),
            "mixed": Theirs(build(name, table).net, windows),
        }
        speed = {key: _measure(sides, n_batches, rounds, part=key) for key in ("full", "network", "loader")}
        full, network = speed["full"], speed["network"]
        report.rows.append(
            [
                name,
                *_pair(full["ours"], full["theirs"]),
                f"{full['full precision']:,.0f}",
                f"{full['full precision'] / full['theirs']:.2f}",
                *_pair(full["ours"], full["mixed"])[1:],
                *_pair(network["ours"], network["theirs"]),
            ]
        )
        report.ratios.append(_ratio(f"train `{name}`", full["ours"], full["theirs"], GOAL))
        loaders.append((speed["loader"]["ours"], speed["loader"]["theirs"]))
    ours, theirs = (statistics.median(part) for part in zip(*loaders, strict=True))
    report.ratios.append(_ratio("loader alone", ours, theirs, None))
    report.text = _explain(n_batches * rounds)
    return report


def _measure(sides: dict[str, Ours | Theirs], n_batches: int, rounds: int, *, part: str) -> dict[str, float]:
    """Windows a second of each side, which take turns; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    kept = {name: next(side.batches) for name, side in sides.items()}
    for _ in range(rounds + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            for _ in range(n_batches):
                batch = kept[name] if part == "network" else next(islice(side.batches, 1))
                if part != "loader":
                    side.step(batch)
            taken[name].append((time.perf_counter() - start) / n_batches)
    return {name: BATCH / statistics.median(values[1:]) for name, values in taken.items()}


def _pair(ours: float, theirs: float) -> list[str]:
    return [f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}"]


def _ratio(what: str, ours: float, theirs: float, goal: float | None) -> Ratio:
    ratio = ours / theirs
    text = f"at least {goal}x" if goal else ""
    return Ratio(
        what, f"{ours:,.0f} windows/s", f"{theirs:,.0f} windows/s", ratio, text, ratio >= (goal or 0)
    )


def _explain(n_batches: int) -> str:
    return (
        f"Windows a second, batches of {BATCH}, {made.STEP2[0]} controls, {made.STEP2[1]} outputs, `in_len` 10,"
        f" `out_len` 1, {torch.get_num_threads()} threads; medians over {n_batches} alternating batches a figure."
        " A full step is: take a batch, forward, mean squared error, backward, Adam, in the precision that `auto`"
        f" chooses here, {automatic_precision('cpu')}; *32-true* is ours in full precision. The reference way takes"
        " the"
        " batch from a `DataLoader` over stored, standardised windows and uses its own network, all positions"
        " computed; in *its loader, our network* only the loader is its own. *Loader alone* assembles batches"
        " and trains nothing."
    )
