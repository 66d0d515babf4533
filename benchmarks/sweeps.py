"""Sweeps: what two processes bring, what the sweeper costs, what pruning saves: ``python -m benchmarks.sweeps``.

Writes benchmarks/results/sweeps.md. Trainings are real ones, of a small network on the simulated tanks; what runs
against each other runs interleaved, because other work may share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna

from benchmarks.measure import RESULTS

ROOT = Path(__file__).parents[1]
JOB = (
    "dataset=tanks", "dataset.cases=16", "dataset.val_size=4", "dataset.test_size=4", "dataset.seconds=800",
    "settings.batch_size=32", "settings.max_minutes=null", "settings.patience=null", "report.figures=false",
    "report.jobs=1", "model=lstm", "model.dim=32",
)  # fmt: skip
LR = "settings.lr=tag(log,interval(1e-4,1e-1))"
PRUNED = ("settings.epochs=16", "model.dim=interval(4,32)", "hydra.sweeper.n_trials=20")


def sweep(folder: Path, *overrides: str, toy: bool = False) -> float:
    """Run a sweep in ``folder``; wall seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    program = [str(ROOT / "tests" / "sweep" / "toy.py")] if toy else ["-m", "understudy", "train"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *program, "-m", *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return time.perf_counter() - began


def study(folder: Path) -> optuna.Study:
    (database,) = (folder / "sweeps").glob("*.db")
    (name,) = optuna.get_all_study_names(f"sqlite:///{database}")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{database}")


def two_processes(place: Path, repeats: int, trials: int, epochs: int) -> list[str]:
    """The same trials on one process, by two of a launcher, and by the command given twice; in turns."""
    ways = {
        "one process": (1, ()),
        "two processes of `hydra/launcher=joblib`": (
            1,
            ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        ),
        "the same command, started twice, on one study": (2, ()),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    command = (
        *JOB,
        LR,
        f"settings.epochs={epochs}",
        f"hydra.sweeper.n_trials={trials}",
        "hydra/sweeper/sampler=random",
    )
    for i in range(repeats):
        for k, (name, (commands, more)) in enumerate(ways.items()):
            folder = place / f"{k}-{i}"
            begin = time.perf_counter()
            with ThreadPoolExecutor(commands) as pool:
                list(pool.map(lambda _, f=folder, m=more: sweep(f, *command, *m), range(commands)))
            times[name].append(time.perf_counter() - begin)
            done = sum(t.state == optuna.trial.TrialState.COMPLETE for t in study(folder).get_trials())
            if done != trials:
                raise RuntimeError(f"{name}: {done} trials instead of {trials}")
            shutil.rmtree(folder)
            print(f"{name}: {times[name][-1]:.1f} s", flush=True)
    alone, *others = times
    rows = []
    for name in others:
        ratios = [b / a for a, b in zip(times[alone], times[name], strict=True)]
        ratio = statistics.median(ratios)
        each = ", ".join(f"{r:.2f}" for r in ratios)
        rows.append(
            f"| {trials} trials of a tiny training: {name} | {statistics.median(times[name]):.0f} s against "
            f"{statistics.median(times[alone]):.0f} s | {ratio:.2f} (each: {each}) "
            f"| below 0.65 | {'yes' if ratio < 0.65 else '**no**'} |"
        )
    return rows


def overhead(place: Path, trials: int) -> list[str]:
    """Processor time a trial that does nothing costs: with 2 trials and with many, the difference counts."""
    command = (
        LR,
        "tracking=none",
        "settings.epochs=2",
        "hydra/sweeper/sampler=tpe",
        "hydra/sweeper/pruner=median",
    )
    spent, walls = [], []
    for n in (2, 2 + trials):
        before = os.times()
        wall = sweep(place / f"overhead-{n}", *command, f"hydra.sweeper.n_trials={n}", toy=True)
        after = os.times()
        spent.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
        walls.append(wall)
    each, wall = (spent[1] - spent[0]) / trials, (walls[1] - walls[0]) / trials
    return [
        f"| sweeper, launcher and Hydra around a trial that does nothing | {1000 * each:.0f} ms of processor time, "
        f"{1000 * wall:.0f} ms on the clock | | below 200 ms | {'yes' if each < 0.2 else '**no**'} |"
    ]


def pruning(place: Path) -> list[str]:
    """The documented example, once with the median pruner and once without: epochs, and the best trial."""
    found: dict[str, Any] = {}
    for pruner in ("none", "median"):
        sweep(
            place / pruner,
            *JOB,
            *PRUNED,
            LR,
            "hydra/sweeper/sampler=random",
            f"hydra/sweeper/pruner={pruner}",
        )
        trials = study(place / pruner).get_trials()
        best = study(place / pruner).best_trial
        found[pruner] = (sum(len(t.intermediate_values) for t in trials), best.number, best.value)
        print(pruner, found[pruner], flush=True)
    (whole, a, value), (less, b, _) = found["none"], found["median"]
    saved = 1 - less / whole
    same = "the same" if a == b else f"another one ({b}, not {a})"
    return [
        f"| epochs that the median pruner saves | {less} against {whole} | {100 * saved:.0f} % saved, the best "
        f"trial is {same} (number {a}, {value:.4g}) | at least 30 %, the same best | "
        f"{'yes' if saved >= 0.3 and a == b else '**no**'} |"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=["processes", "overhead", "pruning"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    kept = RESULTS / "sweeps.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    with tempfile.TemporaryDirectory() as place:
        for section in options.sections:
            load = os.getloadavg()[0]
            work = {
                "processes": lambda p: two_processes(p, options.repeats, options.trials, options.epochs),
                "overhead": lambda p: overhead(p, 20),
                "pruning": pruning,
            }[section]
            rows[section] = {"rows": work(Path(place) / section), "about": _about(load)}
            kept.write_text(json.dumps(rows, indent=1) + "\n")
            (RESULTS / "sweeps.md").write_text(page(rows))


def _about(load: float) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, {os.cpu_count()} cores of {model}, "
        f"load before it began {load:.1f}, optuna {optuna.__version__}"
    )


def page(rows: dict[str, Any]) -> str:
    lines = [
        "# Sweeps",
        "",
        "Written by `python -m benchmarks.sweeps`. The trainings: " + " ".join(f"`{o}`" for o in JOB) + ".",
        "The example of pruning adds " + " ".join(f"`{o}`" for o in (*PRUNED, LR)) + ", sampler `random`.",
        "",
        "| what | figures | ratio | goal | reached |",
        "| --- | --- | --- | --- | --- |",
        *(row for section in rows.values() for row in section["rows"]),
        "",
        *(f"- {name}: {section['about']}" for name, section in rows.items()),
        "",
        "Ratios are of runs that followed one another. What else the machine did meanwhile, the load says.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
