"""A submission of the competition's size, written in constant memory: rows a second and peak memory.

``python -m benchmarks.submission`` makes a test file with the lengths of the competition (1,343,823 sequences,
269,796,671 nucleotides), predicts it with a network that costs next to nothing, so that reading, batching and
writing are what is measured, checks what was written, and writes ``results/submission.md``.

``--sequences N`` takes a part of the same mixture; ``--formats`` which files; ``--keep FOLDER`` where they stay.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow.parquet as pq

from benchmarks.measure import RESULTS, child, memory_kib, surroundings, table
from understudy.rna.pairing import Pairs
from understudy.rna.predict.ensemble import Ensemble, Floats
from understudy.rna.predict.kaggle import COLUMNS, TestSequences, submission
from understudy.rna.predict.pipeline import predict_blocks
from understudy.rna.sequences import encode

# Sequences of each length in test_sequences.csv: the ranges of ids and the two totals leave one solution.
CENSUS = {177: 335_823, 207: 1_000_000, 307: 2_000, 457: 6_000}
FORMATS = ("csv", "csv.gz", "parquet")
GOAL_GIB = 3.0
HEAD = (
    "file",
    "rows/s",
    "rows/s, writing only",
    *("seconds", "reading", "network", "writing"),
    "GiB",
    "peak MiB",
    "MiB at the start",
    f"below {GOAL_GIB:g} GiB",
)
_LETTERS = np.frombuffer(b"ACGU", np.uint8)
_NOISE = np.random.default_rng(1).uniform(0, 1, (65_521, 4)).astype(np.float32)
T = TypeVar("T")


def make_test_file(path: Path, sequences: int, seed: int = 0) -> int:
    """Write a test file with the mixture of :data:`CENSUS`; the number of nucleotides."""
    rng = np.random.default_rng(seed)
    share = min(1.0, sequences / sum(CENSUS.values()))
    first = n = 0
    with path.open("w", encoding="ascii") as file:
        file.write("id_min,id_max,sequence_id,sequence,future\n")
        for length, count in CENSUS.items():
            left = max(1, round(count * share))
            while left:
                letters = _LETTERS[rng.integers(0, 4, (min(left, 10_000), length))]
                for row in letters:
                    file.write(f"{first},{first + length - 1},{n:012x},{row.tobytes().decode()},0\n")
                    first, n = first + length, n + 1
                left -= len(letters)
    return first


class Trivial:
    """Numbers that look like noise, so that no file packs better than it would; known for every sequence."""

    seconds = 0.0

    def bytes_for(self, length: int, batch: int) -> int:
        return 64 * length * batch

    def __call__(self, sequences: Sequence[str], pairs: Pairs | None) -> list[Floats]:
        began = time.perf_counter()
        ys = [self.one(sequence) for sequence in sequences]
        self.seconds += time.perf_counter() - began
        return ys

    def one(self, sequence: str) -> Floats:
        places = np.cumsum(encode(sequence, "made").astype(np.int64) + 1) * 40_503 % len(_NOISE)
        y: Floats = _NOISE[places]
        return y


def timed(items: Iterator[T], add: Callable[[float], None]) -> Iterator[T]:
    """The same items; the time that each took to come is given to ``add``."""
    while True:
        began = time.perf_counter()
        try:
            item = next(items)
        except StopIteration:
            return
        finally:
            add(time.perf_counter() - began)
        yield item


def write(test: Path, out: Path) -> dict[str, Any]:
    """Predict ``test`` into ``out``; seconds of the parts, and memory."""
    idle = memory_kib("VmRSS")["VmRSS"]
    spent = {"reading": 0.0, "writing": 0.0}

    def add(part: str) -> Callable[[float], None]:
        return lambda seconds: spent.__setitem__(part, spent[part] + seconds)

    network, records, rows = Trivial(), TestSequences(test), 0
    began = time.perf_counter()
    with submission(out, records) as write_block:
        for block in predict_blocks(timed(iter(records), add("reading")), Ensemble([network])):
            at = time.perf_counter()
            write_block(block)
            add("writing")(time.perf_counter() - at)
            rows += len(block.values)
        at = time.perf_counter()
    add("writing")(time.perf_counter() - at)  # what was buffered, and the sync
    seconds = time.perf_counter() - began
    return {
        "rows": rows,
        "seconds": seconds,
        **spent,
        "network": network.seconds,
        "peak": memory_kib("VmHWM")["VmHWM"],
        "idle": idle,
        "bytes": out.stat().st_size,
    }


def check(test: Path, out: Path) -> int:
    """Compare some lines with what the network says; the number of rows found, by their ids.

    Raises:
        AssertionError: the file is not what it should be.
    """
    records = list(_edges(test))
    if out.suffix == ".parquet":
        with pq.ParquetFile(out) as file:
            assert tuple(file.schema_arrow.names) == COLUMNS
            n = file.metadata.num_rows
            ends = (file.read_row_group(0), file.read_row_group(file.num_row_groups - 1))
        head, tail = (np.stack([part[c].to_numpy() for c in COLUMNS], axis=1) for part in ends)
    else:
        n = 0
        head_lines: list[bytes] = []
        last = b""
        opener: Any = gzip.open if out.suffix == ".gz" else open
        with opener(out, "rb") as file:
            assert file.readline().decode().strip() == ",".join(COLUMNS)
            head_lines = [file.readline() for _ in range(len(records[0][1]))]
            n = len(head_lines)
            while piece := file.read(1 << 24):
                n += piece.count(b"\n")
                last = (last + piece)[-100_000:]
        head = np.loadtxt(head_lines, delimiter=",", ndmin=2)
        tail = np.loadtxt(last.decode().splitlines()[1:], delimiter=",", ndmin=2)
    for (first, sequence), lines in zip(
        records, (head[: len(records[0][1])], tail[-len(records[1][1]) :]), strict=True
    ):
        y = Trivial().one(sequence)
        np.testing.assert_array_equal(lines[:, 0], np.arange(first, first + len(sequence)))
        np.testing.assert_allclose(lines[:, 1:], np.clip(y[:, [1, 0]], 0, 1), atol=5.1e-5)
    return n


def _edges(test: Path) -> Iterator[tuple[int, str]]:
    """First id and sequence of the first and the last record."""
    with test.open("rb") as file:
        file.readline()
        lines = [file.readline()]
        file.seek(-1000, 2)
        lines.append(file.read().splitlines()[-1])
    for line in lines:
        cells = line.decode().split(",")
        yield int(cells[0]), cells[3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=sum(CENSUS.values()))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--keep", type=Path, help="write here and leave the files")
    parser.add_argument("--child", nargs=2, metavar=("TEST", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(write(*map(Path, options.child))))
        return
    facts = surroundings()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(dir=options.keep) as temporary:
        folder = options.keep or Path(temporary)
        test = folder / "test_sequences.csv"
        expected = make_test_file(test, options.sequences)
        for kind in options.formats:
            out = folder / f"submission.{kind}"
            print(f"writing {out}", file=sys.stderr)
            found = child("benchmarks.submission", "--child", str(test), str(out))
            assert found["rows"] == check(test, out) == expected
            rows.append(_row(kind, found))
            if options.keep is None:
                out.unlink()
    full = options.sequences >= sum(CENSUS.values())
    lines = [
        "# A submission of the competition's size",
        "",
        *(f"- {key}: {value}" for key, value in facts.items()),
        f"- made by: `python -m benchmarks.submission{'' if full else f' --sequences {options.sequences}'}`",
        f"- {options.sequences:,} sequences, {expected:,} rows; a network that costs next to nothing, one process",
        "",
        *table(
            HEAD,
            rows,
        ),
        "",
        "Every file is checked: its header with DMS first, the number of its rows, and the ids and values of the",
        "first and the last molecule.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if full:
        (RESULTS / "submission.md").write_text(text, encoding="utf-8")


def _row(kind: str, found: dict[str, Any]) -> list[str]:
    return [
        kind,
        f"{found['rows'] / found['seconds']:,.0f}",
        f"{found['rows'] / found['writing']:,.0f}",
        *(f"{found[key]:.0f}" for key in ("seconds", "reading", "network", "writing")),
        f"{found['bytes'] / 2**30:.2f}",
        f"{found['peak'] / 1024:.0f}",
        f"{found['idle'] / 1024:.0f}",
        "yes" if found["peak"] / 2**20 < GOAL_GIB else "**no**",
    ]


if __name__ == "__main__":
    main()
