"""The largest data set of the reference, at full size, within 8 GiB.

``python -m benchmarks.scale {thinned|ingest|mapped} WORK GIB`` is one step in a process of its own, whose
address space is limited to GIB; it prints JSON.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import made
from benchmarks.measure import Ratio, Report, child
from benchmarks.memory import BATCH, MIB, ROLES, SIZES, TASK, watched
from benchmarks.rollouts import default_arguments
from understudy.cae.read import ReadOptions, read_cases
from understudy.core.baselines import fit_scaler
from understudy.core.cases import CaseTable
from understudy.core.model import Model
from understudy.core.nets import build_net
from understudy.core.parquet import read_parquet, write_parquet
from understudy.training import FitOptions, fit

ROWS = 33_000
LIMIT_GIB = 8


def train(table: CaseTable, name: str, n_batches: int, folder: Path) -> dict[str, Any]:
    """One epoch of ``n_batches``, validated by the rollout of two cases."""
    torch.manual_seed(1)
    n = len(table) - 2
    model = Model(build_net(name, SIZES, default_arguments(name)), fit_scaler(table, range(n)))
    options = FitOptions(
        epochs=1, batch_size=BATCH, lr=1e-3, seed=1, max_batches=n_batches, accelerator="cpu"
    )
    done = fit(model, TASK, table, range(n), range(n, n + 2), options, folder)
    return {"cases": len(table), "rows": len(table.values), "error": done.best_error}


def thinned(work: Path) -> dict[str, Any]:
    """CSV folder at 1 s, `dot`."""
    table, _ = read_cases(work / "csv", ROLES, ReadOptions(step=1.0))
    return train(table, "dot", 50, work / "thinned")


def ingest(work: Path) -> dict[str, Any]:
    """CSV folder at full resolution to Parquet."""
    table, _ = read_cases(work / "csv", ROLES, ReadOptions())
    write_parquet(table, work / "cases.parquet")
    return {"cases": len(table), "rows": len(table.values)}


def mapped(work: Path) -> dict[str, Any]:
    """Parquet at full resolution, memory-mapped, `don`."""
    return train(read_parquet(work / "cases.parquet"), "don", 300, work / "mapped")


STEPS = {"thinned": thinned, "ingest": ingest, "mapped": mapped}


def run(quick: bool, work: Path | None = None) -> Report:
    """500 cases x 33,000 rows x 63 columns."""
    n_cases = 20 if quick else 500
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        root = Path(temporary)
        made.folder(root / "csv", n_cases, ROWS)
        report = Report("Scale")
        report.head = ["step", "series, MiB", "peak, MiB", "of it anonymous", "mapped files", "seconds"]
        for name, step in STEPS.items():
            start = time.perf_counter()
            found = child("benchmarks.scale", name, str(root), str(LIMIT_GIB))
            seconds = time.perf_counter() - start
            series = found["result"]["rows"] * SIZES.n_signals * 4 / MIB
            whole = found["peak"] + found["before"] + sum(found["workers"])
            what = (step.__doc__ or name).rstrip(".")
            parts = [whole, found["anonymous"], found["file"], seconds]
            report.rows.append([what, f"{series:,.0f}", *(f"{x:,.0f}" for x in parts)])
            report.ratios.append(_ratio(f"{n_cases} cases: {what}", whole))
    report.text = (
        f"{n_cases} files of {ROWS:,} rows x 63 columns (ten distinct, the others hard links). Every step is a"
        " process of its own whose whole address space, mapped files and libraries included, is limited to"
        f" {LIMIT_GIB} GiB (`RLIMIT_AS`). Peak is all resident memory, imports and workers included. `dot`"
        f" trains on 50 batches of {BATCH}, `don` on 300; then two cases are rolled out for validation."
    )
    return report


def _ratio(what: str, peak: float) -> Ratio:
    reached = peak <= LIMIT_GIB * 1024
    return Ratio(
        what, f"{peak / 1024:.1f} GiB", "not run", LIMIT_GIB * 1024 / peak, f"within {LIMIT_GIB} GiB", reached
    )


def main() -> None:
    name, work, gib = sys.argv[1:]
    logging.disable(logging.WARNING)
    limit = int(gib) * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps(watched(lambda: STEPS[name](Path(work)))))


if __name__ == "__main__":
    main()
