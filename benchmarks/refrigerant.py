"""The simulator of the refrigerant circuit: ``python -m benchmarks.refrigerant [SECTION ...]``.

    case        seconds of one core for a case of 1,200 s and of 3,300 s
    campaign    500 cases of 1,200 s with two workers: time, and memory of a worker
    reference   against the same circuit by SciPy's solve_ivp with CoolProp itself
    random      1,000 random cases: all finite and complete, mass and energy kept, within protection

Without names, all of them: about half an hour on two cores. Findings go to ``results/refrigerant.json``, and
``results/refrigerant.md`` is written anew from it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import RESULTS, children, memory_kib, surroundings, table
from benchmarks.refrigerant_reference import STEP, WARM_UP
from understudy.cae.simulate.campaign import run_campaign
from understudy.cae.simulate.refrigerant.case import Course, simulate
from understudy.cae.simulate.refrigerant.experiment import ATTEMPTS, RefrigerantCircuit
from understudy.cae.simulate.refrigerant.fluid import load_fluid
from understudy.cae.simulate.refrigerant.signals import circuit_of, spec_of
from understudy.cae.simulate.refrigerant.suites import suite_of
from understudy.core.parquet import read_parquet

Row = tuple[str, str, str, bool]  # figure, seen, goal, reached


def case(work: Path) -> list[Row]:
    """Processor time: what other work on the machine takes away does not count, what it slows down does."""
    rows = []
    for suite, seconds, n, goal in (("train", 1200.0, 40, 1.0), ("long", 3300.0, 15, 3.0)):
        experiment = RefrigerantCircuit(suite=suite, seconds=seconds)
        experiment.run(np.random.default_rng(0))
        taken = []
        for i in range(n):
            started = time.process_time()
            experiment.run(np.random.default_rng([1, i + 1, 0]))
            taken.append(time.process_time() - started)
        middle = statistics.median(taken)
        what = f"one core, a case of {seconds:,.0f} s: median of {n} (slowest)"
        rows.append((what, f"{middle:.2f} s ({max(taken):.2f} s)", f"below {goal:g} s", middle < goal))
    return rows


def campaign(work: Path) -> list[Row]:
    n, workers = 500, 2
    peaks: dict[int, int] = {}

    def look(done: int, total: int) -> None:
        for pid in children():
            try:
                peaks[pid] = max(peaks.get(pid, 0), memory_kib("VmHWM", process=pid)["VmHWM"])
            except OSError:  # it has ended
                continue

    started = time.perf_counter()
    run_campaign(RefrigerantCircuit(), work / "campaign", n, n_workers=workers, on_progress=look)
    minutes = (time.perf_counter() - started) / 60
    peak = max(peaks.values()) / 1024
    return [
        (f"{n} cases of 1,200 s as CSV files, {workers} workers", f"{minutes:.1f} min", "6 min", minutes < 6),
        ("peak memory of a worker", f"{peak:.0f} MiB", "below 1 GiB", peak < 1024),
    ]


def reference(work: Path) -> list[Row]:
    """The same requests, equations and controllers; only properties and time integration are exchanged."""
    seconds, seed = 60.0, 3
    out = work / "reference.npz"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.refrigerant_reference", str(seconds), str(seed), str(out)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
    theirs = np.load(out)
    course = suite_of("train")(np.random.default_rng(seed), "step2", round(seconds / STEP), STEP)
    course = Course(course.requests, course.manual, WARM_UP)
    fluid, parts = load_fluid("R1234yf"), circuit_of("step2")
    tolerance, longest = ATTEMPTS[0]
    taken = []
    for _ in range(6):  # the first one compiles
        started = time.perf_counter()
        ours = simulate(fluid, parts, course, STEP, tolerance=tolerance, longest=longest)
        taken.append(time.perf_counter() - started)
    assert ours is not None
    names = [s.name for s in spec_of("step2", STEP).predicted]
    off = max(
        float(np.abs(ours.outputs[:, j] / theirs["outputs"][:, j] - 1).max())
        for j, name in enumerate(names)
        if name in ("CompInP", "Comp_OutP", "EvaEVInP", "EvaOutP")
    )
    mine, his = statistics.median(taken[1:]), float(theirs["seconds"])
    about = f"{seconds:g} s after {WARM_UP:g} s from rest"
    return [
        (
            f"solve_ivp with CoolProp, {about}",
            f"{his:.1f} s against {1e3 * mine:.0f} ms: {his / mine:,.0f} times",
            "100 times",
            his > 100 * mine,
        ),
        ("largest difference of a pressure in it", f"{100 * off:.2f} %", "1 %", off < 0.01),
    ]


def random(work: Path) -> list[Row]:
    n = 1000
    done = run_campaign(RefrigerantCircuit(), work / "random", n, seed=7, file_format="parquet")
    cases = read_parquet(work / "random" / "cases.parquet")
    whole = sum(bool(np.isfinite(c.values).all()) and len(c.values) == 12_000 for c in cases)
    notes = [record.notes for record in done.manifest.cases]
    retried = sum(note["retries"] > 0 for note in notes)
    worst = {key: max(note[key] for note in notes) for key in notes[0]}
    lowest = min(note["lowest_MPa"] for note in notes)
    middle = {key: statistics.median(note[key] for note in notes) for key in notes[0]}
    drift, residual = worst["mass_drift"], worst["energy_residual"]
    return [
        (f"finite and complete of {n} random cases of 1,200 s", f"{whole}", f"{n}", whole == n),
        (
            "retried with smaller steps, resampled",
            f"{retried}, {len(done.manifest.resampled)}",
            "counted",
            True,
        ),
        (
            "drift of the refrigerant's mass: worst (median)",
            f"{100 * drift:.4f} % ({100 * middle['mass_drift']:.4f} %)",
            "1 %",
            drift < 0.01,
        ),
        (
            "energy in minus energy out: worst (median)",
            f"{100 * residual:.4f} % ({100 * middle['energy_residual']:.4f} %)",
            "1 %",
            residual < 0.01,
        ),
        (
            "pressures at the compressor, lowest and highest",
            f"{lowest:.3f} and {worst['highest_MPa']:.3f} MPa",
            "0.11 to 2.9 MPa",
            lowest > 0.11 and worst["highest_MPa"] < 2.9,
        ),
    ]


SECTIONS: dict[str, Callable[[Path], list[Row]]] = {
    "case": case,
    "campaign": campaign,
    "reference": reference,
    "random": random,
}


def page(kept: dict[str, Any]) -> str:
    """``refrigerant.md``, from everything that was measured."""
    lines = [
        "# The simulator of the refrigerant circuit",
        "",
        "Written by `python -m benchmarks.refrigerant`.",
        "",
    ]
    rows, when = [], []
    for name in SECTIONS:
        if name in kept:
            rows += [[w, s, g, "yes" if r else "**no**"] for w, s, g, r in kept[name]["rows"]]
            around = kept[name]["around"]
            when.append("- {name}: {date}, commit {commit}; {hardware} ({load}).".format(name=name, **around))
    lines += [*table(["figure", "seen", "goal", "reached"], rows), "", *when, ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--work", type=Path, help="folder for the cases, about 8 GB (default: temporary)")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {unknown.pop()!r}; there are {', '.join(SECTIONS)}")
    store = RESULTS / "refrigerant.json"
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for name in options.sections or SECTIONS:
            around = surroundings()
            rows = SECTIONS[name](work)
            print(
                "\n".join(table(["figure", "seen", "goal", "reached"], [[*r[:3], str(r[3])] for r in rows]))
            )
            kept = json.loads(store.read_text()) if store.exists() else {}
            kept[name] = {"around": around, "rows": rows}
            store.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            (RESULTS / "refrigerant.md").write_text(page(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
