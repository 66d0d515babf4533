"""Every network on real data, against both baselines: ``python -m benchmarks.real_data``.

``UNDERSTUDY_DATA`` names a folder with ``bmw_i3/TripA*.csv`` and ``cascaded_tanks/dataBenchmark.csv``; without it
the benchmark says so and ends. Each training is the documented command in a process of its own. Test cases choose
nothing: the epoch is chosen on validation cases, the settings are those of the experiment files.

    python -m benchmarks.real_data                            everything, about an hour on two cores
    python -m benchmarks.real_data --only cascaded_tanks      one data set
    python -m benchmarks.real_data prepare FOLDER             only cut the cascaded tanks into cases
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import surroundings

NETS = ("dot", "dol", "don", "bt", "lstm")
RESULTS = Path(__file__).parent / "results"
TANKS_SPLIT = 768  # rows of the estimation data that train; the other 256 validate
PUBLISHED = (
    "Published free-run RMSE on this test set: ARX 0.685 V, poly-NARX 0.413 V, GRU 0.396 V, LSTM 0.490 V "
    "(Champneys et al. 2024, arXiv 2405.10779)."
)


def prepare_tanks(source: Path, folder: Path) -> Path:
    """``dataBenchmark.csv`` as three cases: ``est_a`` trains, ``est_b`` validates, ``val`` is the official test."""
    with source.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    step = float(rows[0]["Ts"])
    series = {
        "est_a": [(r["uEst"], r["yEst"]) for r in rows[:TANKS_SPLIT]],
        "est_b": [(r["uEst"], r["yEst"]) for r in rows[TANKS_SPLIT:]],
        "val": [(r["uVal"], r["yVal"]) for r in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in series.items():
        lines = [f"{k * step:g},{u},{y}" for k, (u, y) in enumerate(values)]
        (folder / f"{name}.csv").write_text("\n".join(["time,u,y", "s,V,V", *lines]) + "\n", encoding="utf-8")
    return folder


def train(experiment: str, net: str, data: Path, work: Path, minutes: float | None) -> dict[str, Any]:
    """Run the documented command; returns ``metrics.json`` with the facts of the training."""
    out = work / f"{experiment}-{net}"
    command = [
        sys.executable, "-m", "understudy", "train", f"experiment={experiment}", f"dataset.path={data}",
        f"model={net}", f"hydra.run.dir={out}", "report.figures=false", "tracking=none",
    ]  # fmt: skip
    if minutes is not None:
        command.append(f"settings.max_minutes={minutes:g}")
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=work)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    description = json.loads((out / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    return metrics | {"facts": description["facts"], "minutes": (time.perf_counter() - started) / 60}


def table(results: dict[str, dict[str, Any]], error: str) -> list[str]:
    """One row a method, one column a target: the mean of ``error`` over the test cases; the best in bold."""
    first = next(iter(results.values()))
    targets = [s for s in first["signals"] if s["role"] == "target"]
    methods = {net: metrics["model"] for net, metrics in results.items()}
    methods |= {b["name"]: b for b in first["baselines"]}
    scores = {name: m["score"] for name, m in methods.items()}
    head = [f"{s['name']} [{s['unit']}]" if s["unit"] else s["name"] for s in targets]
    lines = ["| method | " + " | ".join(head) + " | score | diverged |", "|---|" + "---:|" * (len(head) + 2)]
    columns = {
        s["name"]: {n: m["errors"][s["name"]][error]["mean"] for n, m in methods.items()} for s in targets
    }
    for name, method in methods.items():
        cells = [_cell(columns[s["name"]], name) for s in targets]
        diverged = f"{method['diverged']['count']} of {method['cases']}"
        lines.append(f"| `{name}` | " + " | ".join([*cells, _cell(scores, name), diverged]) + " |")
    return lines


def _cell(values: dict[str, float | None], name: str) -> str:
    mine = values[name]
    if mine is None:
        return "–"
    best = min(v for v in values.values() if v is not None)
    return f"**{mine:.4g}**" if mine == best else f"{mine:.4g}"


def verdicts(results: dict[str, dict[str, Any]]) -> list[str]:
    """Where each network loses to a baseline, in words."""
    lines = []
    for net, metrics in results.items():
        lost = []
        for signal in (s["name"] for s in metrics["signals"] if s["role"] == "target"):
            mine = metrics["model"]["errors"][signal]["ADE"]["mean"]
            better = [
                b["name"]
                for b in metrics["baselines"]
                if mine is None or (b["errors"][signal]["ADE"]["mean"] or float("inf")) < mine
            ]
            if better:
                lost.append(f"{signal} ({', '.join(better)})")
        facts = metrics["facts"]
        words = (
            f"loses to a baseline on {'; '.join(lost)}" if lost else "beats both baselines on every target"
        )
        lines.append(
            f"- `{net}` {words}. Best epoch {facts['best epoch']}, {facts['training time']} of training."
        )
    return lines


def section(experiment: str, results: dict[str, dict[str, Any]]) -> list[str]:
    """The part of the page for one data set."""
    if experiment == "cascaded_tanks":
        about = [
            "Official split; `est_b` (the last quarter of the estimation data) validates. Five rows of the test",
            "set start the rollout and are not scored. The score is ADE in deviations.",
            PUBLISHED,
            "",
            "Free-run RMSE:",
        ]
        return [
            "## Cascaded tanks",
            "",
            *about,
            "",
            *table(results, "RMSE"),
            "",
            "By ADE:",
            "",
            *verdicts(results),
            "",
        ]
    about = [
        "32 drives at 0.1 s, interpolated to 1 s; every fifth trip tests, trips 4, 14 and 24 validate. A rollout",
        "starts from ten measured rows and then sees only the controls for the rest of the trip. Mean ADE over the",
        "test trips; the score is the mean over targets of ADE in deviations of the target.",
    ]
    return ["## BMW i3", "", *about, "", *table(results, "ADE"), "", *verdicts(results), ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepare", nargs="*", metavar="prepare FOLDER")
    parser.add_argument("--only", choices=["bmw_i3", "cascaded_tanks"])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    parser.add_argument(
        "--minutes", type=float, help="of each training, instead of the experiment's own limit"
    )
    parser.add_argument("--work", type=Path, default=Path("runs") / "real_data", help="where the runs go")
    options = parser.parse_args()
    source = os.environ.get("UNDERSTUDY_DATA")
    if not source:
        print("skipped: UNDERSTUDY_DATA is not set; it names the folder of the real data")
        return
    data = Path(source).resolve()
    if options.prepare:
        print(prepare_tanks(data / "cascaded_tanks" / "dataBenchmark.csv", Path(options.prepare[-1])))
        return
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    folders = {
        "cascaded_tanks": prepare_tanks(
            data / "cascaded_tanks" / "dataBenchmark.csv", work / "cascaded_tanks_cases"
        ),
        "bmw_i3": data / "bmw_i3",
    }
    store = work / "results.json"  # what was measured before stays in the page when only a part is run again
    everything: dict[str, dict[str, Any]] = json.loads(store.read_text()) if store.exists() else {}
    for experiment, folder in folders.items():
        if options.only in (None, experiment):
            for net in options.nets:
                everything.setdefault(experiment, {})[net] = train(
                    experiment, net, folder, work, options.minutes
                )
                store.write_text(json.dumps(everything), encoding="utf-8")
    page = [
        "# Real data",
        "",
        f"Made by `{' '.join(['python -m benchmarks.real_data', *sys.argv[1:]])}`.",
        "",
        *(f"- {k}: {v}" for k, v in surroundings().items()),
        "",
    ]
    for experiment, results in everything.items():
        page += section(experiment, results)
    (RESULTS / "real_data.md").write_text("\n".join(page), encoding="utf-8")
    print("\n".join(page))


if __name__ == "__main__":
    main()
