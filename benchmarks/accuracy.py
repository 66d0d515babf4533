"""Our networks beside published figures, on data that others made: ``python -m benchmarks.accuracy``.

``UNDERSTUDY_DATA`` names the folder of the data; without it the benchmark says so and ends. Every row is one
documented command, run with three seeds in processes of their own; the figure is their median. Test cases choose
nothing: the epoch is chosen on validation cases, the settings are those of the experiment files.

    python -m benchmarks.accuracy                      everything
    python -m benchmarks.accuracy silverbox            one data set; the others keep what they had
    python -m benchmarks.accuracy --seeds 42           fewer seeds

What has been trained before in ``--work`` is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, surroundings, table
from benchmarks.real_data import prepare_tanks

SEEDS = (42, 1, 2)
STORE = RESULTS / "accuracy.json"
# Rows of SNLS80mV.csv: the multisine, three quarters of it to train and validate, and the arrow that grows.
MULTISINE, ARROW, ARROW_WITHIN = (40_650, 127_400), (100, 40_575), (100, 32_100)
TRAINS, VALIDATES = 0.65, 0.75


@dataclass(frozen=True)
class Figure:
    """One line of the page: the RMSE of a test case of a run, what was published, and what we aim at."""

    name: str
    case: str
    unit: str
    published: str
    goal: float


@dataclass(frozen=True)
class Section:
    """A data set: how its cases are made, the command, and what is read from the run."""

    title: str
    text: str
    prepare: Callable[[Path, Path], Path]
    command: tuple[str, ...]
    figures: tuple[Figure, ...]


def prepare_silverbox(source: Path, folder: Path) -> Path:
    """``SNLS80mV.csv`` as cases in millivolts; a row is a step of the recording, 1 / 610.35 s."""
    with source.open(encoding="utf-8") as file:
        rows = [(float(r["V1"]) * 1e3, float(r["V2"]) * 1e3) for r in csv.DictReader(file)]
    first, last = MULTISINE
    edges = [first, *(first + int(share * (last - first)) for share in (TRAINS, VALIDATES)), last]
    parts = dict(zip(("est_a", "est_b", "multisine"), pairwise(edges), strict=True))
    parts |= {"arrow": ARROW, "arrow_within": ARROW_WITHIN}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (a, b) in parts.items():
        lines = [f"{k},{u:.9g},{y:.9g}" for k, (u, y) in enumerate(rows[a:b])]
        (folder / f"{name}.csv").write_text(
            "\n".join(["time,u,y", "s,mV,mV", *lines]) + "\n", encoding="utf-8"
        )
    return folder


PUBLISHED = "Champneys et al. 2024, arXiv 2405.10779"
SECTIONS = {
    "cascaded_tanks": Section(
        "Cascaded tanks",
        "Official split; the last quarter of the estimation data validates. Free run over the test data; the first "
        "five rows start it and are not scored. SUBNET: 0.37 V in discrete, 0.22 V in continuous time (arXiv "
        "2204.09405).",
        lambda data, folder: prepare_tanks(data / "cascaded_tanks" / "dataBenchmark.csv", folder),
        ("experiment=cascaded_tanks_subnet",),
        (Figure("test", "val", "V", "GRU 0.396, LSTM 0.490, ARX 0.685", 0.30),),
    ),
    "silverbox": Section(
        "Silverbox",
        "The first 65 % of the multisine train, 10 % validate, the last 25 % test. The other test is the arrow, "
        "whole and up to where its amplitude leaves that of the training data (its first 32,000 rows). Free run; "
        "the first 50 rows start it and are not scored.",
        lambda data, folder: prepare_silverbox(data / "silverbox" / "SNLS80mV.csv", folder),
        ("experiment=silverbox",),
        (
            Figure("multisine", "multisine", "mV", "GRU 1.49, LSTM 1.50", 1.2),
            Figure("arrow, whole", "arrow", "mV", "GRU 2.80, LSTM 2.68", 2.4),
            Figure("arrow, no extrapolation", "arrow_within", "mV", "GRU 0.947, LSTM 0.960", 0.9),
        ),
    ),
}


def train(section: Section, name: str, seed: int, data: Path, work: Path) -> dict[str, Any]:
    """One run: RMSE by test case, and how the training went."""
    folder = section.prepare(data, work / f"{name}_cases")
    run = work / f"{name}-{seed}"
    if not (run / "metrics.json").exists():
        command = [
            sys.executable, "-m", "understudy", "train", *section.command, f"dataset.path={folder}",
            f"settings.seed={seed}", f"hydra.run.dir={run}", "report.figures=false", "tracking=none",
        ]  # fmt: skip
        subprocess.run(command, check=True, cwd=work)
    facts = json.loads((run / "bundle" / "bundle.json").read_text(encoding="utf-8"))["facts"]
    return {"rmse": _rmse(run), "facts": facts}


def _rmse(run: Path) -> dict[str, float]:
    """By test case, from the rows of prediction and truth that the run wrote."""
    errors = {}
    for path in (run / "csv").glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if r["y_truth"] not in ("", "V", "mV")]
        squares = [(float(r["y"]) - float(r["y_truth"])) ** 2 for r in rows]
        errors[path.stem] = statistics.fmean(squares) ** 0.5
    return errors


def measure(name: str, seeds: list[int], data: Path, work: Path) -> dict[str, Any]:
    section = SECTIONS[name]
    runs = {str(seed): train(section, name, seed, data, work) for seed in seeds}
    return {"surroundings": surroundings(), "runs": runs}


def page(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "# Accuracy",
        "",
        "Made by `python -m benchmarks.accuracy`: free runs on data that others made, medians over the seeds. "
        f"Published figures: {PUBLISHED}.",
        "",
    ]
    for name, found in results.items():
        section, runs = SECTIONS[name], found["runs"]
        rows = []
        for figure in section.figures:
            values = [run["rmse"][figure.case] for run in runs.values()]
            ours = statistics.median(values)
            rows.append(
                [
                    figure.name,
                    f"**{ours:.3g}** ({', '.join(f'{v:.3g}' for v in values)})",
                    figure.published,
                    f"at most {figure.goal:g}",
                    "yes" if ours <= figure.goal else "**no**",
                ]
            )
        head = [
            "test",
            f"RMSE, {section.figures[0].unit}, seeds {', '.join(runs)}",
            "published",
            "goal",
            "reached",
        ]
        first = next(iter(runs.values()))["facts"]
        times = ", ".join(run["facts"]["training time"] for run in runs.values())
        lines += [f"## {section.title}", "", section.text, "", *table(head, rows), ""]
        lines += [f"- `understudy train {' '.join(section.command)} dataset.path=FOLDER`: `{first['network']}`, "
                  f"{first['parameters']} parameters, trained for {times}"]  # fmt: skip
        lines += [*(f"- {k}: {v}" for k, v in found["surroundings"].items()), ""]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", default=list(SECTIONS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--work", type=Path, default=Path("runs") / "accuracy", help="where the runs go")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section is called {sorted(unknown)[0]!r}; there are {', '.join(SECTIONS)}")
    source = os.environ.get("UNDERSTUDY_DATA")
    if not source:
        print("skipped: UNDERSTUDY_DATA is not set; it names the folder of the real data")
        return
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    for name in options.sections:
        results[name] = measure(name, options.seeds, Path(source).resolve(), work)
        STORE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(page(results))
    (RESULTS / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
