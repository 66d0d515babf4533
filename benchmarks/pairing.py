"""Base-pairing probabilities: ``python -m benchmarks.pairing``.

Sequences a second by length on one and on two processes, what the cache takes a sequence, and how long and in how
much memory a filled cache is read. Sequences are random; the cache that is read is made, with as many pairs a
sequence as ViennaRNA gives for 170 nucleotides of a real library.

    python -m benchmarks.pairing                            about five minutes
    python -m benchmarks.pairing --sequences 800000         a cache of that size as well: 7 GB of disk; ten minutes
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import RESULTS, child, forget_peak, memory_kib, surroundings, table
from understudy.rna.pairing import complete, pairing_of
from understudy.rna.pairing.pairs import offsets_of
from understudy.rna.pairing.store import bytes_in, keys_of, write_part
from understudy.rna.vienna import engine_name

LENGTHS = (115, 170, 207, 307, 457)
SECONDS = 8.0  # about so much work of one process for each length
PAIRS, LENGTH = 583, 170  # of the made cache: means of a library of 15,000 molecules
A_PART = 500


def sequences(n: int, length: int) -> list[str]:
    letters = np.frombuffer(b"ACGU", np.uint8)[np.random.default_rng(length).integers(0, 4, n * length)]
    text = letters.tobytes().decode()
    return [text[k : k + length] for k in range(0, n * length, length)]


def by_length(work: Path) -> list[list[str]]:
    rows = []
    for length in LENGTHS:
        some = sequences(max(16, int(SECONDS / (0.035 * (length / 170) ** 2.5))), length)
        rates = []
        start = time.process_time()
        for jobs in (1, 2):
            done = complete(some, folder=work / f"{length}-{jobs}", jobs=jobs)
            rates.append(len(some) / done.tally.seconds)
            if jobs == 1:
                processor = (time.process_time() - start) / len(some)
        pairs = pairing_of(some, folder=work / f"{length}-2")
        size = bytes_in(work / f"{length}-2" / engine_name()) / len(some)
        rows.append(
            [
                str(length),
                str(len(some)),
                f"{1000 * processor:.1f}",
                *(f"{rate:.1f}" for rate in rates),
                f"{800_000 * processor / 3600:.1f}",
                f"{len(pairs.p) / len(some):.0f}",
                f"{size / 1000:.1f}",
            ]
        )
        print(*rows[-1], flush=True)
    return rows


def fill(folder: Path, n: int) -> None:
    """A cache of n random sequences whose pairs are made up."""
    every = sequences(n, LENGTH)
    rng = np.random.default_rng(0)
    for first in range(0, n, A_PART):
        some = every[first : first + A_PART]
        counts = rng.poisson(PAIRS, len(some))
        k = int(counts.sum())
        i = rng.integers(0, LENGTH - 5, k).astype(np.uint16)
        j = (i + rng.integers(4, LENGTH - i)).astype(np.uint16)
        p = (1e-4 ** rng.random(k)).astype(np.float32)
        lengths = np.full(len(some), LENGTH, np.uint16)
        write_part(folder / engine_name(), keys_of(some), lengths, (offsets_of(counts), i, j, p))


def read(folder: Path, n: int) -> dict[str, Any]:
    """In a process of its own."""
    some = sequences(n, LENGTH)
    forget_peak()
    before = memory_kib("VmHWM")["VmHWM"]
    start, processor = time.perf_counter(), time.process_time()
    pairs = pairing_of(some, folder=folder)
    assert len(pairs) == n
    return {
        "seconds": time.perf_counter() - start,
        "processor": time.process_time() - processor,
        "before": before,
        "peak": memory_kib("VmHWM")["VmHWM"],
        "pairs": len(pairs.p),
    }


def reading(work: Path, sizes: list[int]) -> list[list[str]]:
    rows = []
    for n in sizes:
        folder = work / f"made-{n}"
        if len(list(folder.rglob("*.parquet"))) < n / A_PART:
            fill(folder, n)
        found = child("benchmarks.pairing", "--read", str(folder), str(n))
        files = list((folder / engine_name()).glob("*.parquet"))
        rows.append(
            [
                f"{n:,}",
                str(len(files)),
                f"{sum(f.stat().st_size for f in files) / 1e6:,.0f}",
                f"{found['pairs'] / 1e6:,.0f}",
                f"{found['seconds']:.1f}",
                f"{found['processor']:.1f}",
                f"{found['before'] / 2**20:.2f}",
                f"{found['peak'] / 2**20:.2f}",
            ]
        )
        print(*rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, action="append", default=[], metavar="N")
    parser.add_argument("--work", type=Path, help="keeps the made caches here, for the next time")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(Path(options.read[0]), int(options.read[1]))))
        return
    around = surroundings()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        rates = by_length(Path(work))
        reads = reading(options.work or Path(work), [15_000, *options.sequences])
    page = [
        "# Base-pairing probabilities",
        "",
        "Written by `python -m benchmarks.pairing --sequences 800000`.",
        "{date}, commit {commit}; {hardware} ({load}); {versions}.".format(**around) + f" {engine_name()}.",
        "",
        "## Computing",
        "",
        "Random sequences. Time of a processor hardly depends on what else the machine does; rates do.",
        "",
        *table(
            [
                "nucleotides",
                "sequences",
                "ms of a processor each",
                "a second, 1 process",
                "2 processes",
                "processor hours for 800,000",
                "pairs each",
                "kB each",
            ],
            rates,
        ),
        "",
        "## Reading a filled cache",
        "",
        f"Made caches of sequences of {LENGTH} nucleotides with about {PAIRS} pairs each, {A_PART} to a part.",
        "Memory is the most that the process had resident, before (the sequences themselves) and with the pairs.",
        "",
        *table(
            [
                "sequences",
                "files",
                "MB on disk",
                "million pairs",
                "seconds",
                "of a processor",
                "GiB before",
                "GiB peak",
            ],
            reads,
        ),
        "",
    ]
    (RESULTS / "pairing.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
