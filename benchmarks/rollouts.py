"""Free rollouts: all cases in one batch against one case at a time."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from benchmarks import made, reference_way
from benchmarks.measure import Ratio, Report, alternate
from understudy.core.baselines import fit_scaler
from understudy.core.cases import CaseTable
from understudy.core.model import Model
from understudy.core.nets import Sizes, build_net
from understudy.core.tasks import Rollout

NETS = ("dot", "bt", "don", "dol", "lstm")
TASK = Rollout(in_len=10, out_len=1)
SIZES = Sizes(TASK.in_len, TASK.out_len, *made.STEP2)
GOAL = 30


def default_arguments(name: str) -> dict[str, Any]:
    """The arguments in ``conf/model/<name>.yaml``."""
    text = (files("understudy") / "conf" / "model" / f"{name}.yaml").read_text()
    return {key: value for key, value in yaml.safe_load(text).items() if key != "name"}


def build(name: str, table: CaseTable) -> Model:
    """An untrained network at its default size, with the scales of the table."""
    torch.manual_seed(1)
    net = build_net(name, SIZES, default_arguments(name))
    return Model(net, fit_scaler(table, range(min(10, len(table)))))


def one_by_one(net: nn.Module, model: Model, table: CaseTable, cases: range) -> list[Tensor]:
    """The reference way over ``cases``."""
    mean, std = model.scaler.mean.numpy(), model.scaler.std.numpy()
    results = []
    for i in cases:
        rows, n = table[i].values, TASK.in_len
        controls = rows[n:, : model.n_controls]
        predicted = reference_way.rollout_case(net, rows[:n], controls, mean, std, TASK.out_len)
        results.append(torch.from_numpy(predicted))
    return results


def run(quick: bool) -> Report:
    """100 cases x 1,200 predicted steps; the reference way on a few of them, scaled linearly."""
    n_cases, n_steps, n_theirs, repeats = (20, 100, 1, 1) if quick else (100, 1200, 2, 3)
    n_short = n_steps // 10
    table = made.table(n_cases, TASK.in_len + n_steps, *made.STEP2)
    short = made.table(n_cases, TASK.in_len + n_short, *made.STEP2)
    report = Report("Rollout")
    report.head = ["network", "threads", "ours, steps/s", "reference way, steps/s", "ratio"]
    report.head += ["largest difference"]
    threads = torch.get_num_threads()
    for name in NETS:
        model = build(name, table).eval()
        plain = reference_way.plain_network(model.net)
        difference = 0.0
        for n in sorted({threads, 1}, reverse=True):
            torch.set_num_threads(n)
            steps = n_steps if n > 1 else n_short
            rows = short if n == 1 else table
            ours, theirs, gap = _compare(model, plain, rows, n_theirs, repeats, cpu=n == 1)
            ours, theirs, difference = ours / n_cases / steps, theirs / n_theirs / steps, max(gap, difference)
            speeds = [f"{1 / ours:,.0f}", f"{1 / theirs:,.0f}", f"{theirs / ours:.1f}"]
            report.rows.append([name, str(n), *speeds, f"{difference:.1g}"])
            if n == threads:
                all_steps = n_cases * n_steps
                report.ratios.append(_ratio(name, ours * all_steps, theirs * all_steps, difference))
        torch.set_num_threads(threads)
    report.text = _explain(n_cases, n_steps, n_short, n_theirs, repeats)
    return report


def _compare(
    model: Model, plain: nn.Module, table: CaseTable, n_theirs: int, repeats: int, *, cpu: bool
) -> tuple[float, float, float]:
    """Median seconds of ours over all cases and of theirs over a few, and the largest difference.

    With one thread the processor's time is taken, which other work on the machine hardly changes. The
    difference is in deviations of the signals.
    """
    predictions: dict[str, list[Tensor]] = {}

    def ours() -> None:
        predictions["ours"] = TASK.free_run(model, table, range(len(table)))

    def theirs() -> None:
        predictions["theirs"] = one_by_one(plain, model, table, range(n_theirs))

    seconds = alternate({"ours": ours, "theirs": theirs}, repeats)
    std = model.scaler.std[model.n_controls :]
    pairs = zip(predictions["ours"][:n_theirs], predictions["theirs"], strict=True)
    difference = max(float(((mine - other) / std).abs().max()) for mine, other in pairs)
    return seconds["ours"][int(cpu)], seconds["theirs"][int(cpu)], difference


def _ratio(name: str, ours: float, theirs: float, difference: float) -> Ratio:
    ratio = theirs / ours
    reached = ratio >= GOAL and difference <= 1e-4
    return Ratio(f"rollout `{name}`", f"{ours:.1f} s", f"{theirs:.0f} s", ratio, f"at least {GOAL}x", reached)


def _explain(n_cases: int, n_steps: int, n_short: int, n_theirs: int, repeats: int) -> str:
    return (
        f"{n_cases} cases x {n_steps:,} steps, {made.STEP2[0]} controls, {made.STEP2[1]} outputs, `in_len` 10,"
        " `out_len` 1, networks at their default size, untrained. The reference way runs"
        f" {n_theirs} of the cases and is scaled up linearly. Medians of {repeats} alternating runs; with 1"
        f" thread, {n_short} steps and processor time instead of wall time. A step is one step of one case. The"
        " largest difference is that of the predictions of the two, in deviations of a signal."
    )
