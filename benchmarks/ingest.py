"""Reading a file of the Ribonanza competition's shape: speed against pandas, and memory at any size.

    python -m benchmarks.ingest                        two files of 120,000 and 60,000 rows, three minutes
    python -m benchmarks.ingest --rows 1643680 --part 1643680 --work DIR    the full size; 12 GB of disk in DIR
    python -m benchmarks.ingest --quick                small; prints, writes nothing

The files are made here: 419 columns, lengths as in the competition (177 nucleotides mostly), all 2A3 rows before
all DMS rows, so that partners are half a file apart. `python -m benchmarks.ingest ours FILE OUT` is one ingest in a
process of its own; it prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import RESULTS, Ratio, Report, alternate, child, memory_kib, show, surroundings
from benchmarks.memory import watched
from understudy.progress import Silent
from understudy.rna.groups import FLANKS
from understudy.rna.ingest.command import run as ingest
from understudy.rna.molecules import CHEMICALS, read_molecules

FULL = 1_643_680
POSITIONS = 206
LENGTHS = {177: 0.9728, 170: 0.0182, 206: 0.003, 155: 0.0027, 115: 0.0033}
UNMEASURED = len(FLANKS[0]), 41  # at the ends: the flank; tail and barcode
POOL = 2000  # rows of values that are made; longer files use them again
MIB = 2**20


def make(path: Path, rows: int, seed: int = 0) -> Path:
    """A file of so many rows; its values are noise of the assay's kind with three decimals."""
    generator = np.random.default_rng(seed)
    n = rows // 2
    lengths = generator.choice(list(LENGTHS), n, p=np.array(list(LENGTHS.values())) / sum(LENGTHS.values()))
    pools = {
        length: [_values(generator, int(length)) for _ in range(POOL // len(LENGTHS))] for length in LENGTHS
    }
    names = [f"{kind}_{p + 1:04d}" for kind in ("reactivity", "reactivity_error") for p in range(POSITIONS)]
    with path.open("w", encoding="ascii", newline="\n", buffering=1 << 20) as file:
        file.write("sequence_id,sequence,experiment_type,dataset_name,reads,signal_to_noise,SN_filter,")
        file.write(",".join(names) + "\n")
        for chemical in CHEMICALS:
            for i, (length, sequence) in enumerate(zip(lengths.tolist(), _sequences(lengths), strict=True)):
                reads, noise = 50 + i * 7 % 3000, i * 13 % 9000 / 1000
                passed = int(noise > 1 and reads > 100)
                values = pools[length][(i + len(chemical)) % len(pools[length])]
                file.write(
                    f"{i:012x},{sequence},{chemical}_MaP,made_{chemical},{reads},{noise:.3f},{passed},{values}\n"
                )
    return path


def _sequences(lengths: np.ndarray) -> Iterator[str]:
    """The same for both chemicals: made again, not kept."""
    generator = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGU", np.uint8)
    inner = int(lengths.max()) - sum(map(len, FLANKS))
    for first in range(0, len(lengths), 10_000):
        some = lengths[first : first + 10_000]
        designs = letters[generator.integers(0, 4, (len(some), inner), dtype=np.uint8)]
        for length, design in zip(some.tolist(), designs, strict=True):
            yield FLANKS[0] + design[: length - sum(map(len, FLANKS))].tobytes().decode() + FLANKS[1]


def _values(generator: np.random.Generator, length: int) -> str:
    """412 cells; the ends of the molecule and all beyond it are empty."""
    first, last = UNMEASURED[0], length - UNMEASURED[1]
    reactivity = generator.gamma(0.7, 0.6, last - first) + generator.normal(0, 0.1, last - first)
    error = generator.gamma(3.0, 0.05, last - first)
    cells = [""] * (2 * POSITIONS)
    cells[first:last] = [f"{x:.3f}" for x in reactivity]
    cells[POSITIONS + first : POSITIONS + last] = [f"{x:.3f}" for x in error]
    return ",".join(cells)


def ours(path: Path, out: Path) -> None:
    """The whole command: checks, Parquet, table and figure."""
    ingest("ribonanza", [str(path)], out, skip_bad=False, terminal=Silent())


def theirs(path: Path, out: Path) -> None:
    """What people do: no checks, a row an experiment, 419 columns."""
    pd.read_csv(path).to_parquet(out)


def compare(csv: Path, out: Path, others: Path) -> None:
    """Both must hold the same values."""
    molecules, table = read_molecules(out), pd.read_parquet(others)
    for k, chemical in enumerate(CHEMICALS):
        rows = (
            table[table["experiment_type"] == f"{chemical}_MaP"]
            .set_index("sequence_id")
            .loc[list(molecules.ids)]
        )
        for kind, flat in (("reactivity", molecules.reactivity), ("reactivity_error", molecules.error)):
            values = rows[[f"{kind}_{p + 1:04d}" for p in range(POSITIONS)]].to_numpy(np.float32)
            inside = np.arange(POSITIONS) < molecules.lengths[:, None]
            np.testing.assert_array_equal(values[inside], flat[:, k])


def measure(work: Path, part: int, rows: int, repeats: int) -> Report:
    """Speed on a file of ``part`` rows, memory on one of ``rows``."""
    report = Report("Ingest")
    small = make(work / "part.csv", part)
    ours(small, work / "ours.parquet")  # compiles, imports
    theirs(small, work / "theirs.parquet")
    compare(small, work / "ours.parquet", work / "theirs.parquet")
    taken = alternate(
        {
            "ours": lambda: ours(small, work / "ours.parquet"),
            "theirs": lambda: theirs(small, work / "theirs.parquet"),
        },
        repeats,
    )
    sizes = {name: (work / f"{name}.parquet").stat().st_size for name in taken}
    for what, mine, others in (
        (f"{part:,} rows, wall time", taken["ours"].wall, taken["theirs"].wall),
        ("the same, processor time", taken["ours"].processor, taken["theirs"].processor),
    ):
        goal = "at least 2.5x" if "wall" in what else ""
        ratio = others / mine
        report.ratios.append(Ratio(what, f"{mine:.2f} s", f"{others:.2f} s", ratio, goal, ratio >= 2.5))
    report.ratios.append(
        Ratio(
            "size of the Parquet file",
            f"{sizes['ours'] / 1e6:.1f} MB",
            f"{sizes['theirs'] / 1e6:.1f} MB",
            sizes["theirs"] / sizes["ours"],
            "",
            True,
        )
    )
    began = time.perf_counter()
    large = small if rows == part else make(work / "large.csv", rows)
    making = time.perf_counter() - began
    found = child("benchmarks.ingest", "ours", str(large), str(work / "large.parquet"))
    # KiB; ru_maxrss would count what the parent had
    peak = found["peak_now"] / MIB
    report.head = [
        "rows",
        "CSV",
        "seconds",
        "rows a second",
        "peak memory of the process",
        "below 3 GiB",
        "Parquet",
    ]
    report.rows.append(
        [
            f"{rows:,}",
            f"{large.stat().st_size / 1e9:.2f} GB",
            f"{found['result']:.1f}",
            f"{rows / found['result']:,.0f}",
            f"{peak:.2f} GiB",
            "yes" if peak < 3 else "**no**",
            f"{(work / 'large.parquet').stat().st_size / 1e9:.2f} GB",
        ]
    )
    report.text = (
        f"Speed: a file of {small.stat().st_size / 1e6:.0f} MB in the page cache, medians of {repeats} alternating"
        " runs after one of each; ours is the whole command with its checks, pairing, Parquet and figure, theirs is"
        " `pandas.read_csv` and `to_parquet`, without any. Both files hold the same float32 values; this is"
        " compared. Memory: the most that a fresh process ever had resident, interpreter and libraries included;"
        f" its start and compiled code count in the seconds. Making the file took {making:.0f} s."
    )
    return report


def one(path: Path, out: Path) -> dict[str, Any]:
    """Seconds and memory of an ingest in this process."""

    def work() -> float:
        began = time.perf_counter()
        ours(path, out)
        return time.perf_counter() - began

    found = watched(work)
    return found | {"peak_now": memory_kib("VmHWM")["VmHWM"]}  # KiB


def main() -> None:
    if sys.argv[1:2] == ["ours"]:
        print(json.dumps(one(Path(sys.argv[2]), Path(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=60_000, help=f"of the large file; the competition's has {FULL}"
    )
    parser.add_argument("--part", type=int, default=120_000, help="rows of the file that pandas reads too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--work", type=Path, help="folder for the files (default: a temporary one)")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.rows = options.part = 4000
        options.repeats = 1
    around = surroundings()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        report = measure(Path(folder), options.part, options.rows, options.repeats)
    when = "{date}, commit {commit}; {hardware} ({load}); {versions}.".format(**around)
    page = "\n".join(
        [
            "# Reading the competition's file",
            "",
            f"Written by `python -m benchmarks.ingest --rows {options.rows}`. {when}",
            "",
            show(report),
        ]
    )
    print(page)
    if not options.quick:
        (RESULTS / "ingest.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
