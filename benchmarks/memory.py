"""Peak memory of loading, windowing and one epoch of batches, each in a process of its own.

``python -m benchmarks.memory {ours|theirs} FOLDER STEP`` is that process; it prints JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import made, reference_way
from benchmarks.measure import Ratio, Report, child, children, forget_peak, memory_kib
from understudy.cae.read import ReadOptions, Roles, read_cases
from understudy.core.nets import Sizes
from understudy.core.tasks import Rollout

TASK = Rollout(in_len=10, out_len=1)
SIZES = Sizes(TASK.in_len, TASK.out_len, *made.LARGE)
ROLES = Roles(num_control=made.LARGE[0], num_pred=made.LARGE[1], num_target=4)
BATCH = 1024
MIB = 2**20


def ours(folder: Path, step: float | None) -> int:
    """An epoch of batches our way; the number of rows."""
    table, _ = read_cases(folder, ROLES, ReadOptions(step=step))
    for _ in TASK.loader(table, range(len(table)), batch_size=BATCH, seed=1):
        pass
    return len(table.values)


def theirs(folder: Path, step: float | None) -> int:
    """An epoch of batches the reference way; the number of rows."""
    cases = reference_way.read_cases(folder, step)
    for _ in reference_way.store_windows(cases, SIZES).loader(BATCH):
        pass
    return sum(len(rows) for rows in cases)


def idle() -> float:
    """Resident memory (MiB) of an interpreter with the imports of a worker and nothing read."""
    code = (
        "import understudy.cae.read; from pathlib import Path; print(Path('/proc/self/status').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    return int(done.stdout.split("VmRSS:")[1].split()[0]) / 1024


def watched(work: Callable[[], Any]) -> dict[str, Any]:
    """Peak resident memory (MiB) while ``work`` runs, above what was there before; and its parts.

    ``peak`` is exact (``VmHWM``); ``anonymous`` and ``file`` are the largest of samples every 5 ms and tell
    memory of the process's own from pages of mapped files, which the system can drop at any time. ``workers``
    are the peaks of the processes that it started, as last seen, all of each.
    """
    with suppress(OSError):
        forget_peak()
    before = memory_kib("VmRSS", "RssAnon", "RssFile")
    parts = {"RssAnon": 0, "RssFile": 0}
    workers: dict[int, int] = {}
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.005):
            now = memory_kib(*parts)
            parts.update({key: max(parts[key], now[key]) for key in parts})
            for process in children():
                with suppress(OSError, KeyError):  # it may have ended
                    workers[process] = memory_kib("VmHWM", process=process)["VmHWM"]

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        result = work()
    finally:
        done.set()
        sampler.join()
    return {
        "result": result,
        "before": before["VmRSS"] / 1024,
        "peak": (memory_kib("VmHWM")["VmHWM"] - before["VmRSS"]) / 1024,
        "anonymous": (parts["RssAnon"] - before["RssAnon"]) / 1024,
        "file": (parts["RssFile"] - before["RssFile"]) / 1024,
        "maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "workers": [peak / 1024 for peak in workers.values()],
    }


def run(quick: bool) -> Report:
    """Peak memory over the size of the float32 series."""
    compared, larger = (10, 20) if quick else (100, 500)
    report = Report("Memory")
    report.head = [
        "cases",
        "way",
        "series, MiB",
        "peak, MiB",
        "of it anonymous",
        "mapped files",
        "workers",
        "peak / series",
        "with the workers' libraries",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = made.folder(root / "some", compared, 33_000)
        ratio = {way: _measure(report, way, folder, compared) for way in ("ours", "theirs")}
        more = made.folder(root / "many", larger, 33_000)
        at_500 = _measure(report, "ours", more, larger)
    report.ratios = [
        _ratio(f"peak memory over the series, {compared} cases", ratio["ours"], ratio["theirs"]),
        _ratio(f"peak memory over the series, {larger} cases of ours", at_500, ratio["theirs"]),
    ]
    report.text = (
        "Files of 33,000 rows x 63 columns thinned to 1 s (ten distinct, the others hard links to them),"
        f" windows of `in_len` 10 and `out_len` 1, one epoch of batches of {BATCH} without a network. Peak"
        " resident memory of a fresh process above that after its imports (`VmHWM`), plus the peak of every"
        " worker process above that of an interpreter with its imports alone, as if all came at one time."
        " The last column counts all of the workers, their libraries included, of which many pages are shared."
        " Pages of mapped files count; the anonymous and mapped parts are sampled, so that they need not add up."
    )
    return report


def _measure(report: Report, way: str, folder: Path, n_cases: int) -> float:
    found = child("benchmarks.memory", way, str(folder), "1.0")
    series = found["result"] * SIZES.n_signals * 4 / MIB
    bare = idle()
    workers = sum(max(0.0, peak - bare) for peak in found["workers"])
    own, whole = found["peak"] + workers, found["peak"] + sum(found["workers"])
    figures = [series, found["peak"], found["anonymous"], found["file"], workers]
    ratios = [f"{x / series:.2f}" for x in (own, whole)]
    report.rows.append([str(n_cases), way, *(f"{x:,.0f}" for x in figures), *ratios])
    return float(own / series)


def _ratio(what: str, mine: float, others: float) -> Ratio:
    reached = mine <= 1.5 and others >= 20
    return Ratio(
        what, f"{mine:.2f}x", f"{others:.0f}x", others / mine, "at most 1.5x; theirs 20x and more", reached
    )


def main() -> None:
    way, folder, step = sys.argv[1:]
    work = {"ours": ours, "theirs": theirs}[way]
    print(json.dumps(watched(lambda: work(Path(folder), float(step)))))


if __name__ == "__main__":
    main()
