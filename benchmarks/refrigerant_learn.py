"""Whether networks learn the refrigerant circuit: ``python -m benchmarks.refrigerant_learn``.

200 cases of the suite ``train`` train and 30 validate, 1,200 s each; the test is the suite ``swing``, in which only
the compressor's speed or one valve moves. Every network is trained by the command that a user would give, in a
process of its own, for the same time; persistence and arx are evaluated beside it. Test cases choose nothing.

    python -m benchmarks.refrigerant_learn                        dot and lstm, 25 minutes each
    python -m benchmarks.refrigerant_learn --nets lstm --minutes 5
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from benchmarks.measure import RESULTS, surroundings
from benchmarks.real_data import table, verdicts
from understudy.cae.simulate.campaign import run_campaign
from understudy.cae.simulate.refrigerant.experiment import RefrigerantCircuit
from understudy.cae.tables import resample_table
from understudy.core.cases import Case, table_from_cases
from understudy.core.parquet import read_parquet, write_parquet

N_TRAIN, N_VALIDATE, N_TEST = 200, 30, 30


def cases(work: Path, tests: Sequence[str] = ("swing",)) -> Path:
    """One Parquet file at 1 s, the cases named after their suites: ``train`` and those of ``tests``."""
    merged = work / "cases.parquet"
    if merged.exists():
        return merged
    found: list[Case] = []
    for seed, suite in enumerate(("train", *tests)):
        experiment = RefrigerantCircuit(suite=suite)
        n = N_TEST if seed else N_TRAIN + N_VALIDATE
        run_campaign(experiment, work / suite, n, seed=seed, file_format="parquet")
        table_1_s = resample_table(read_parquet(work / suite / "cases.parquet"), 1.0, None)
        found += [Case(f"{suite}-{case.id}", case.values, case.start, case.metadata) for case in table_1_s]
    spec = table_1_s.spec
    write_parquet(table_from_cases(spec, found), merged)
    return merged


def train(net: str, data: Path, work: Path, minutes: float, overrides: list[str]) -> dict[str, Any]:
    """The command of a user; returns ``metrics.json`` with the facts of the training."""
    out = work / f"{net}-{time.strftime('%H%M%S')}"
    command = [
        sys.executable, "-m", "understudy", "train", "dataset=csv", f"dataset.path={data}", f"model={net}",
        f"dataset.val_size={N_VALIDATE}", "dataset.test_cases=[swing-*]", f"settings.max_minutes={minutes:g}",
        f"hydra.run.dir={out}", "tracking=none", "report.figures=false", *overrides,
    ]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=work)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    description = json.loads((out / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    return metrics | {"facts": description["facts"], "minutes": (time.perf_counter() - started) / 60}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", default=["dot", "lstm"])
    parser.add_argument("--minutes", type=float, default=25.0, help="of each training")
    parser.add_argument("--work", type=Path, default=Path("runs") / "refrigerant_learn")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for every training")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    data = cases(work)
    store = work / "results.json"  # what was measured before stays in the page when only a part is run again
    results: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    for net in options.nets:
        results[net] = train(net, data, work, options.minutes, options.overrides)
        store.write_text(json.dumps(results), encoding="utf-8")
    page = [
        "# Learning the refrigerant circuit",
        "",
        f"Made by `{' '.join(['python -m benchmarks.refrigerant_learn', *sys.argv[1:]])}`.",
        "",
        *(f"- {k}: {v}" for k, v in surroundings().items()),
        "",
        *wrap(
            f"`step2`, R1234yf; {N_TRAIN} cases of the suite `train` train, {N_VALIDATE} validate, {N_TEST} cases "
            "of the suite `swing` test. 1,200 s a case, interpolated to 1 s; a rollout starts from ten measured "
            "rows and then sees only the controls for 1,189 s. Mean ADE over the test cases; the score is the mean "
            "over targets of ADE in deviations of the target in the training cases.",
            width=110,
        ),
        "",
        *table(results, "ADE"),
        "",
        *verdicts(results),
        "",
    ]
    (RESULTS / "refrigerant_learn.md").write_text("\n".join(page), encoding="utf-8")
    print("\n".join(page))


if __name__ == "__main__":
    main()
