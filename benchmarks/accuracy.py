"""Our networks beside published figures, on data that others made: ``python -m benchmarks.accuracy``.

``UNDERSTUDY_DATA`` names the folder of the data; without it the benchmark says so and ends. Every row is one
documented command, run with three seeds in processes of their own; the figure is their median. Test cases choose
nothing: the epoch is chosen on validation cases, the settings are those of the experiment files.

    python -m benchmarks.accuracy                      everything
    python -m benchmarks.accuracy silverbox            one data set; the others keep what they had
    python -m benchmarks.accuracy --seeds 42           fewer seeds

What has been trained before in ``--work`` is not trained again. Where nobody has published figures, ``dot`` trained
as the reference does stands beside ours.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import rna_accuracy
from benchmarks.measure import RESULTS, surroundings, table
from benchmarks.real_data import prepare_tanks
from benchmarks.refrigerant_learn import cases
from understudy.core.bundle import load_bundle

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


def _tanks(data: Path, folder: Path) -> Path:
    return prepare_tanks(data / "cascaded_tanks" / "dataBenchmark.csv", folder)


TANKS = (
    "Official split; the last quarter of the estimation data validates. Free run over the test data; the first "
    "five rows start it and are not scored."
)
PUBLISHED = "Champneys et al. 2024, arXiv 2405.10779"
SECTIONS = {
    "cascaded_tanks": Section(
        "Cascaded tanks",
        f"{TANKS} Reservoirs in series, which is what tanks are; once judged, they learn from that quarter too.",
        _tanks,
        ("experiment=cascaded_tanks_reservoirs",),
        (Figure("test", "val", "V", "GRU 0.396, LSTM 0.490, ARX 0.685", 0.30),),
    ),
    "cascaded_tanks_subnet": Section(
        "Cascaded tanks by a free network",
        f"{TANKS} SUBNET: 0.37 V in discrete, 0.22 V in continuous time (arXiv 2204.09405).",
        _tanks,
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


@dataclass(frozen=True)
class Contest:
    """A data set on which ``dot`` is the rival.

    Args:
        rival, ours: the commands.
        groups: prefixes of the ids of test cases that are told apart; the empty one stands for all.
        goal: our score in that of ``dot``, at most.
        every_target: whether arx must be worse than ours on every target, too.
        rival_of: another contest, whose cases and whose rival these are.
    """

    title: str
    text: str
    prepare: Callable[[Path, Path], Path]
    rival: tuple[str, ...]
    ours: tuple[str, ...]
    groups: tuple[str, ...]
    goal: float
    every_target: bool = False
    rival_of: str = ""


# The refrigerant cases are one file, with the suites in their names.
SUITES = ("dataset=csv", "dataset.val_size=30", "dataset.test_cases=[swing-*,hot-*,long-*]")
REFRIGERANT = Contest(
    "Refrigerant circuit",
    "`step2`, R1234yf, 1,200 s a case at 1 s: 200 cases of the suite `train` train, 30 validate, 30 of each "
    "other suite test: `swing` moves one actuator at a time, `hot` has air above all temperatures of training, "
    "`long` moves as in training. Our own simulator, no measurement.",
    lambda data, folder: cases(folder, ("swing", "hot", "long")),
    ("model=dot", *SUITES, "settings.max_minutes=20"),
    ("experiment=refrigerant_ssm", *SUITES),
    ("swing", "hot", "long"),
    0.5,
)
CONTESTS = {
    "bmw_i3": Contest(
        "BMW i3",
        "32 drives at 1 s; every fifth trip tests, trips 4, 14 and 24 validate. A rollout starts from ten measured "
        "rows and then sees only the controls for the rest of the trip. The score is the mean over targets of ADE "
        "in deviations of the target in the training trips.",
        lambda data, folder: data / "bmw_i3",
        ("experiment=bmw_i3",),
        ("experiment=bmw_i3_ssm",),
        ("",),
        0.7,
        every_target=True,
    ),
    "refrigerant": REFRIGERANT,
    "refrigerant_humidity": replace(
        REFRIGERANT,
        title="Refrigerant circuit, told of the humidity",
        text="The same cases with their nine controls, and the same `dot`, but our network computes one more from "
        "them (`model.derived`): the water in the air before the evaporator, which follows from the temperature of "
        "that air and is limited in the simulation; in every case of `hot` it is at its limit "
        "(docs/decisions/0025).",
        ours=("experiment=refrigerant_humid", *SUITES),
        rival_of="refrigerant",
    ),
}


RNA = "rna"
RNA_BELOW, RNA_FOLDS = 0.10, 0.115
EVERYTHING = [*SECTIONS, *CONTESTS, RNA]


def train(command: Sequence[str], run: Path, folder: Path, seed: int) -> dict[str, Any]:
    """One run in the folder ``run``: how the training went."""
    if not (run / "metrics.json").exists():
        given = [
            sys.executable, "-m", "understudy", "train", *command, f"dataset.path={folder}",
            f"settings.seed={seed}", f"hydra.run.dir={run}", "report.figures=false", "tracking=none",
        ]  # fmt: skip
        subprocess.run(given, check=True, cwd=run.parent)
    facts: dict[str, Any] = json.loads((run / "bundle" / "bundle.json").read_text(encoding="utf-8"))["facts"]
    return facts


def _rmse(run: Path) -> dict[str, float]:
    """By test case, from the rows of prediction and truth that the run wrote."""
    errors = {}
    for path in (run / "csv").glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if r["y_truth"] not in ("", "V", "mV")]
        squares = [(float(r["y"]) - float(r["y_truth"])) ** 2 for r in rows]
        errors[path.stem] = statistics.fmean(squares) ** 0.5
    return errors


def _scores(run: Path, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """By method: the score of each group of test cases, and the mean ADE of each target under its label."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    targets = {s["name"]: f"{s['name']} [{s['unit']}]" for s in metrics["signals"] if s["role"] == "target"}
    found = {}
    for method in (metrics["model"], *metrics["baselines"]):
        by_case = method["score_of_case"]
        found[method["name"]] = {
            **{g: statistics.fmean(v for case, v in by_case.items() if case.startswith(g)) for g in groups},
            **{label: method["errors"][name]["ADE"]["mean"] for name, label in targets.items()},
        }
    return found


def _mean_scores(runs: Sequence[Path], groups: Sequence[str]) -> dict[str, float]:
    """As :func:`_scores`, of the mean of what ``runs`` predicted for the same test cases: a deep ensemble."""
    bundle = load_bundle(runs[0])
    std = bundle.model.scaler.std[len(bundle.spec.controls) :]
    targets = [(bundle.spec.predicted[i], float(std[i])) for i in bundle.spec.target_columns]
    by_case = {}
    for path in sorted((runs[0] / "csv").glob("*.csv")):
        tables = [pd.read_csv(run / "csv" / path.name, skiprows=[1]) for run in runs]
        by_case[path.stem] = [
            float((sum(t[s.name] for t in tables) / len(runs) - tables[0][f"{s.name}_truth"]).abs().mean())
            for s, _ in targets
        ]
    relative = {
        c: statistics.fmean(e / d for e, (_, d) in zip(v, targets, strict=True)) for c, v in by_case.items()
    }
    return {
        **{g: statistics.fmean(v for case, v in relative.items() if case.startswith(g)) for g in groups},
        **{
            f"{s.name} [{s.unit}]": statistics.fmean(v[i] for v in by_case.values())
            for i, (s, _) in enumerate(targets)
        },
    }


def measure(name: str, seeds: list[int], data: Path, work: Path) -> dict[str, Any]:
    if name == RNA:
        return _reactivities(work)
    if name in CONTESTS:
        return _contest(name, seeds, data, work)
    section = SECTIONS[name]
    folder = section.prepare(data, work / f"{name}_cases")
    runs = {}
    for seed in seeds:
        run = work / f"{name}-{seed}"
        facts = train(section.command, run, folder, seed)
        runs[str(seed)] = {"rmse": _rmse(run), "facts": facts}
    return {"surroundings": surroundings(), "runs": runs}


def _contest(name: str, seeds: list[int], data: Path, work: Path) -> dict[str, Any]:
    contest = CONTESTS[name]
    rival = contest.rival_of or name
    place = work / f"{rival}_cases"
    runs = {}
    for label, whose, command in (("dot", rival, contest.rival), ("ours", name, contest.ours)):
        folder = CONTESTS[whose].prepare(data, place)
        for seed in seeds:
            run = work / f"{whose}-{label}-{seed}"
            facts = train(command, run, folder, seed)
            runs[f"{label} {seed}"] = {"scores": _scores(run, contest.groups), "facts": facts}
    mean = _mean_scores([work / f"{name}-ours-{seed}" for seed in seeds], contest.groups)
    return {"surroundings": surroundings(), "runs": runs, "mean": mean}


def _reactivities(work: Path) -> dict[str, Any]:
    """What :mod:`benchmarks.rna_accuracy` measures, in its own folder."""
    place = rna_accuracy.Work(work / "rna", None)
    rna_accuracy.library(place, [*rna_accuracy.RIBOS, "ribo pieces"])
    rna_accuracy.trees(place, [])
    rna_accuracy.means(place, [])
    rna_accuracy.folds(place, ["from scratch", "full"])
    rna_accuracy.seeds(place, [])
    return {"surroundings": surroundings(), "figures": rna_accuracy.figures(place)}


def reactivities_page(found: dict[str, Any]) -> list[str]:
    library, folds = found["figures"]["library"], found["figures"]["folds"]
    rows = []
    singles = {name: library[name] for name in rna_accuracy.RIBOS if name in library}
    each = ", ".join(name.removeprefix("ribo").strip() or "seed 42" for name in singles)
    tried = {f"ribo, {each}": list(singles.values())} if singles else {}
    tried |= {label: [library[label]] for label in rna_accuracy.MIXED if label in library}
    rivals = {k: v for k, v in library.items() if k.startswith("trees") and k.endswith("all molecules")}
    for ours, values in tried.items():
        for name, value in rivals.items():
            below = 1 - statistics.median(values) / value
            verdict = f"at least {RNA_BELOW:.0%} below: {'yes' if below >= RNA_BELOW else '**no**'}"
            beside = f"{name} {value:.4f}"
            rows.append([f"15k library → PK50, {ours}", _official(values), beside, f"{below:.1%}", verdict])
    seeds = {k: v for k, v in folds.items() if k.startswith("seed")}
    trees = folds.get("boosted trees with pairing")
    beside = f"boosted trees with pairing {trees:.4f}" if trees else ""
    lots = [(", ".join(seeds), list(seeds.values()))] if seeds else []
    lots += [(k, [v]) for k, v in folds.items() if k.startswith("mean")]
    for label, values in lots:
        middle = statistics.median(values)
        below = f"{1 - middle / trees:.1%}" if trees else ""
        verdict = f"at most {RNA_FOLDS:g}: {'yes' if middle <= RNA_FOLDS else '**no**'}"
        rows.append(
            [f"PK50, five grouped folds, fine-tuned, {label}", _official(values), beside, below, verdict]
        )
    head = ["test", "official MAE", "trees of the same run", "ours below", "goal"]
    return [
        "## Reactivities",
        "",
        "The 15k library trains `experiment=ribonanza`, without the library's DMS background; all of PK50 tests "
        "(another library, another length). The same network, fine-tuned in five folds of PK50 grouped by "
        "similarity, each scored by a network that has seen none of it. The whole table, with every baseline, is "
        "[beside this page](rna_accuracy.md).",
        "",
        *table(head, rows),
        "",
        *_around(found),
    ]


def contest_page(contest: Contest, found: dict[str, Any]) -> list[str]:
    runs = found["runs"]
    ours = {k: r["scores"][r["facts"]["network"]] for k, r in runs.items() if k.startswith("ours")}
    rivals = [r["scores"] for k, r in runs.items() if k.startswith("dot")]
    dot, arx = (
        {key: statistics.median(scores[name][key] for scores in rivals) for key in rivals[0][name]}
        for name in ("dot", "arx")
    )
    rows = []
    for key, best in dot.items():
        is_group = key in contest.groups
        values = [v[key] for v in ours.values()]
        middle, must = statistics.median(values), ""
        if is_group:
            must = f"at most {contest.goal:g} of dot: {'yes' if middle <= contest.goal * best else '**no**'}"
        elif contest.every_target:
            must = f"below arx: {'yes' if middle < arx[key] else '**no**'}"
        name = f"score{f', `{key}`' if key else ''}" if is_group else f"ADE {key}"
        seen = _with_each(values, bold=True)
        rows.append(
            [
                name,
                seen,
                f"{found['mean'][key]:.3g}",
                _with_each([scores["dot"][key] for scores in rivals]),
                f"{middle / best:.2f}",
                f"{arx[key]:.3g}",
                must,
            ]
        )
    head = [
        "",
        f"ours, {', '.join(k.replace('ours', 'seed') for k in ours)}",
        "mean of these",
        "`dot`",
        "ratio",
        "`arx`",
        "goal",
    ]
    lines = [f"## {contest.title}", "", contest.text, "", *table(head, rows), ""]
    for label, command in (("dot", contest.rival), ("ours", contest.ours)):
        facts = [r["facts"] for k, r in runs.items() if k.startswith(label)]
        lines.append(
            f"- {label}: `understudy train {' '.join(command)} dataset.path=PATH`: `{facts[0]['network']}`, "
            f"{facts[0]['parameters']} parameters, trained for {', '.join(f['training time'] for f in facts)}"
        )
    return [*lines, *_around(found)]


def _official(values: Sequence[float]) -> str:
    each = f" ({', '.join(f'{v:.4f}' for v in values)})" if len(values) > 1 else ""
    return f"**{statistics.median(values):.4f}**{each}"


def _with_each(values: Sequence[float], *, bold: bool = False) -> str:
    """The median, and every seed after it."""
    middle = f"{statistics.median(values):.3g}"
    each = f" ({', '.join(f'{v:.3g}' for v in values)})" if len(values) > 1 else ""
    return f"{f'**{middle}**' if bold else middle}{each}"


def _around(found: dict[str, Any]) -> list[str]:
    """Where and when; and what a person has to say about it, who writes ``remark`` into the file of the results."""
    lines = [*(f"- {k}: {v}" for k, v in found["surroundings"].items()), ""]
    return [*lines, *([found["remark"], ""] if "remark" in found else [])]


def page(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "# Accuracy",
        "",
        "Made by `python -m benchmarks.accuracy`: free runs on data that others made, medians over the seeds. "
        f"Published figures: {PUBLISHED}.",
        "",
    ]
    for name, found in results.items():
        if name == RNA:
            lines += reactivities_page(found)
            continue
        if name in CONTESTS:
            lines += contest_page(CONTESTS[name], found)
            continue
        section, runs = SECTIONS[name], found["runs"]
        rows = []
        for figure in section.figures:
            values = [run["rmse"][figure.case] for run in runs.values()]
            ours = statistics.median(values)
            rows.append(
                [
                    figure.name,
                    _with_each(values, bold=True),
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
        lines += _around(found)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", default=EVERYTHING)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--work", type=Path, default=Path("runs") / "accuracy", help="where the runs go")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(EVERYTHING):
        parser.error(f"no section is called {sorted(unknown)[0]!r}; there are {', '.join(EVERYTHING)}")
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
