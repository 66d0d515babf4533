"""How many cases of the refrigerant circuit are enough, and which: ``python -m benchmarks.active_learning``.

200 cases of the suite `train` (`step2`, R1234yf, 1,200 s at 1 s) are the pool, 60 others test. Strategies begin
with the same 20 cases at random and add 20 a round until half of the pool has been looked at; a surrogate of the
whole pool stands beside. Every training takes the same number of steps, and a fifth of the cases that are known
validates. The system that this project follows had a study of this kind, with box plots of the ADE of `ACDS_kW`.

    python -m benchmarks.active_learning --jobs 2            everything, three seeds: some 90 minutes of a core
    python -m benchmarks.active_learning --strategies random k-center --seeds 0
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure import RESULTS, surroundings
from understudy.cae.simulate.campaign import run_campaign
from understudy.cae.simulate.refrigerant.experiment import RefrigerantCircuit
from understudy.cae.tables import resample_table
from understudy.core.parquet import read_parquet, write_parquet

POOL, TESTS, START, ADD, ROUNDS = 200, 60, 20, 20, 5
STRATEGIES = ("random", "k-center", "learning-loss", "disagreement")
SEEDS = (0, 1, 2)
WITHIN = 1.05  # of the ADE of the whole pool
# A small network with three members, so that every strategy has what it goes by from the same training.
KEYS = (
    "model=ssm", "model.dim=48", "model.depth=3", "model.n_modes=32", "model.members=3", "settings.epochs=12",
    "settings.criterion=l1", "settings.byproduct_weight=0.2", "settings.batch_size=16", "settings.lr=3e-3",
    "settings.schedule=one_cycle", "settings.pct_start=0.1", "settings.patience=null", "trainer.precision=32-true",
    "tracking=none",
)  # fmt: skip
STORE = RESULTS / "active_learning.json"
FULL = "whole pool"


def cases(work: Path) -> Path:
    """One Parquet file of the pool and the tests at 1 s."""
    path = work / "cases.parquet"
    if not path.exists():
        run_campaign(RefrigerantCircuit(), work / "campaign", POOL + TESTS, seed=11, file_format="parquet")
        write_parquet(resample_table(read_parquet(work / "campaign" / "cases.parquet"), 1.0, None), path)
    return path


def loop(data: Path, work: Path, strategy: str, seed: int) -> list[dict[str, Any]]:
    """The rounds of one strategy, by the command that a user would give."""
    out = work / f"{strategy.replace(' ', '-')}-{seed}"
    sizes = (POOL, 1, 1) if strategy == FULL else (START, ADD, ROUNDS)
    first = work / f"random-{seed}" / "round01"
    if strategy != FULL and strategy != "random" and first.exists():  # the same training for all of them
        shutil.copytree(first, out / "round01", dirs_exist_ok=True)
    by = "random" if strategy == FULL else strategy
    command = [
        sys.executable, "-m", "understudy", "loop", str(data), *KEYS, "--out", str(out), "--by", by,
        "--equal-steps", "--seed", str(seed), "--test", str(TESTS), "--runs", "1",
        *itertools.chain(*zip(("--start", "--add", "--rounds"), map(str, sizes), strict=True)),
    ]  # fmt: skip
    with (work / f"{out.name}.log").open("w", encoding="utf-8") as log:
        subprocess.run(
            command, check=True, cwd=work, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    rounds: list[dict[str, Any]] = json.loads((out / "loop.json").read_text(encoding="utf-8"))["rounds"]
    return rounds


def study(data: Path, work: Path, strategies: Sequence[str], seeds: Sequence[int], jobs: int) -> Any:
    """By strategy and seed, the rounds."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def one(strategy: str, seed: int) -> None:
        found.setdefault(strategy, {})[str(seed)] = loop(data, work, strategy, seed)

    first = ["random"] if "random" in strategies else []
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, *zip(*itertools.product(first, seeds), strict=True)) if first else ())
        rest = [s for s in strategies if s != "random"]
        list(pool.map(one, *zip(*itertools.product([*rest, FULL], seeds), strict=True)))
    return found


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row is the head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "|---|" + "---:|" * (len(rows[0]) - 1), *body]


def _ade(rounds: Sequence[dict[str, Any]], k: int, signal: str) -> float:
    return statistics.fmean(rounds[k]["ade"][signal])


def page(results: dict[str, Any]) -> str:
    """The results as Markdown; every cell is the median over seeds, and ratios are taken seed by seed."""
    found, full = results["found"], results["found"][FULL]
    signals = list(next(iter(full.values()))[0]["ade"])
    counts = [START + k * ADD for k in range(ROUNDS)]
    whole = [runs[0]["score"] for runs in full.values()]
    lines = [
        "# Active learning on the refrigerant circuit", "", *wrap(results["text"], 116), "",
        *(f"- {key}: {value}" for key, value in results["surroundings"].items()), "",
        *wrap(
            f"Medians of {len(full)} seeds, which draw other test cases, other first cases and other weights. The "
            f"surrogate of the whole pool ({POOL} cases) has a mean ADE of {statistics.median(whole):.4f} "
            f"deviations over the four targets ({', '.join(f'{s:.4f}' for s in whole)}). The same for what each "
            "strategy has chosen, and in brackets how much more it is than the whole pool's with the same seed:",
            116,
        ), "",
    ]  # fmt: skip
    rows = [["strategy", *(f"{n} cases" for n in counts), "within 5 % at half of the pool"]]
    for strategy in (s for s in STRATEGIES if s in found):
        cells, ratio = [], 0.0
        for k in range(ROUNDS):
            scores = {seed: runs[k]["score"] for seed, runs in found[strategy].items()}
            ratio = statistics.median(score / full[seed][0]["score"] for seed, score in scores.items())
            cells.append(f"{statistics.median(scores.values()):.4f} ({ratio - 1:+.0%})")
        rows.append([strategy, *cells, "yes" if ratio <= WITHIN else "**no**"])
    lines += [*_table(rows), "", "ADE of each target in kW with half of the pool, and with all of it:", ""]
    rows = [["strategy", *signals]]
    for strategy in (*(s for s in STRATEGIES if s in found), FULL):
        runs = list(found[strategy].values())
        rows.append(
            [strategy, *(f"{statistics.median(_ade(r, len(r) - 1, s) for r in runs):.4f}" for s in signals)]
        )
    lines += [*_table(rows), "", "![ADE of the test cases](active_learning.png)", ""]
    for remark in results.get("remarks", []):
        lines += [*wrap(remark, 116), ""]
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """A box a strategy and round: ADE of `ACDS_kW` of every test case, of all seeds together."""
    found, signal = results["found"], "ACDS_kW"
    strategies = [s for s in STRATEGIES if s in found]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    ax: Axes = figure.add_subplot()
    colours = ("#7a7a7a", "#2b6cb0", "#c05621", "#2f855a")
    for j, (strategy, colour) in enumerate(zip(strategies, colours, strict=False)):
        for k in range(ROUNDS):
            values = [x for r in found[strategy].values() for x in r[k]["ade"][signal]]
            place = k * (len(strategies) + 1) + j
            _box(ax, values, place, colour, strategy if k == 0 else None)
    values = [x for r in found[FULL].values() for x in r[0]["ade"][signal]]
    last = ROUNDS * (len(strategies) + 1)
    _box(ax, values, last + (len(strategies) - 1) / 2, "#1a202c", FULL)
    ax.axhline(statistics.median(values), color="#1a202c", lw=0.8, ls=":")
    middles = [k * (len(strategies) + 1) + (len(strategies) - 1) / 2 for k in range(ROUNDS + 1)]
    ax.set_xticks(middles, [*(str(START + k * ADD) for k in range(ROUNDS)), str(POOL)])
    ax.set_xlabel("cases that were simulated")
    ax.set_ylabel("ADE of ACDS_kW on a test case [kW]")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, ncols=len(strategies) + 1, loc="upper right")
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def _box(ax: Axes, values: Sequence[float], place: float, colour: str, label: str | None) -> None:
    line = {"color": colour, "lw": 1.2}
    ax.boxplot(
        [list(values)], positions=[place], widths=0.75, showfliers=False, boxprops=line, whiskerprops=line,
        capprops=line, medianprops={"color": colour, "lw": 2.4},
    )  # fmt: skip
    if label:
        ax.plot([], [], color=colour, lw=2.4, label=label)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--jobs", type=int, default=1, help="loops at the same time, on a core each")
    parser.add_argument("--work", type=Path, default=Path("runs") / "active_learning")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    found = study(cases(work), work, options.strategies, options.seeds, options.jobs)
    kept = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    results = {
        "text": " ".join((__doc__ or "").split("\n\n")[1].split()),
        "surroundings": surroundings(),
        "found": found,
        "remarks": kept.get("remarks", []),
    }
    STORE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, RESULTS / "active_learning.png")
    (RESULTS / "active_learning.md").write_text(page(results), encoding="utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
