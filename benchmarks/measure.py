"""Measuring on a machine that other work may share, and writing down what came out."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
SECTIONS = ("read", "memory", "rollout", "train", "scale")


@dataclass
class Ratio:
    """One figure that is compared: ours, the reference way's, and how much better ours must be."""

    what: str
    ours: str
    theirs: str
    ratio: float
    goal: str
    reached: bool


@dataclass
class Report:
    """What one section found."""

    title: str
    ratios: list[Ratio] = field(default_factory=list)
    text: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


class Seconds(NamedTuple):
    """Median seconds of a piece of work: on the clock, and of processors."""

    wall: float
    processor: float


def alternate(work: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Seconds]:
    """How long each piece of work takes; they take turns, so that a busy minute hits all of them."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            taken[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {
        name: Seconds(*(statistics.median(column) for column in zip(*rows, strict=True)))
        for name, rows in taken.items()
    }


def memory_kib(*keys: str, process: int | str = "self") -> dict[str, int]:
    """Entries of ``/proc/<process>/status`` in KiB (``VmHWM``: most resident memory ever; Linux only)."""
    text = Path(f"/proc/{process}/status").read_text()
    status = dict(line.split(":", 1) for line in text.splitlines())
    return {key: int(status[key].split()[0]) for key in keys}


def children() -> list[int]:
    """The processes that this one has started and that still run."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended
            found += map(int, (task / "children").read_text().split())
    return found


def forget_peak() -> None:
    """Start ``VmHWM`` again from the present size, so that imports do not count."""
    Path("/proc/self/clear_refs").write_text("5")


def child(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module in a process of its own; its last line of output is JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=RESULTS, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "../../src")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes in src" if changed else "")


def surroundings() -> dict[str, str]:
    """Date, commit, hardware and versions: what a figure is worth nothing without."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "numpy", "pandas", "pyarrow", "lightning")
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "hardware": f"{_cpu_name()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB",
        "versions": f"Python {platform.python_version()}, {versions}",
        "load": f"load average {os.getloadavg()[0]:.1f} at the start",
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    bar = "|" + "|".join(" --- " for _ in head) + "|"
    return ["| " + " | ".join(head) + " |", bar, *("| " + " | ".join(row) + " |" for row in rows)]


def _ratio_rows(ratios: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[r["what"], r["ours"], r["theirs"], f"{r['ratio']:.1f}", r["goal"], _verdict(r)] for r in ratios]


def _verdict(ratio: dict[str, Any]) -> str:
    if not ratio["goal"]:
        return ""
    return "yes" if ratio["reached"] else "**no**"


_RATIO_HEAD = ("figure", "ours", "reference way", "ratio", "goal", "reached")


def show(report: Report) -> str:
    """The report as Markdown."""
    parts = [f"## {report.title}", ""]
    parts += [*table(_RATIO_HEAD, _ratio_rows([asdict(r) for r in report.ratios])), ""]
    if report.rows:
        parts += [*table(report.head, report.rows), ""]
    return "\n".join([*parts, textwrap.fill(report.text, 116, break_on_hyphens=False)]) + "\n"


def save(name: str, report: Report, around: dict[str, str]) -> None:
    """Keep one section's findings and write ``speed.md`` anew from all that are kept."""
    store = RESULTS / "speed.json"
    kept = json.loads(store.read_text()) if store.exists() else {}
    kept[name] = {"around": around, "report": asdict(report)}
    RESULTS.mkdir(exist_ok=True)
    store.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    (RESULTS / "speed.md").write_text(_page({k: kept[k] for k in SECTIONS if k in kept}))


def _page(kept: dict[str, Any]) -> str:
    parts = [
        "# Speed and memory",
        "",
        "Written by `python -m benchmarks.speed`; [the page above](../README.md) says what each figure means.",
        "Ratios are against [a plain implementation](../reference_way.py) of the reference system's way.",
        "",
    ]
    everything = [r for section in kept.values() for r in section["report"]["ratios"]]
    parts += [*table(_RATIO_HEAD, _ratio_rows(everything)), ""]
    for section in kept.values():
        around = section["around"]
        report = Report(**{k: v for k, v in section["report"].items() if k != "ratios"})
        report.ratios = [Ratio(**r) for r in section["report"]["ratios"]]
        when = "{date}, commit {commit}; {hardware} ({load}); {versions}.".format(**around)
        text = show(report).split("\n")
        parts += [text[0], "", when, *text[1:]]
    return "\n".join(parts).rstrip() + "\n"
