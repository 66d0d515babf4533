"""The submission of the Ribonanza competition: one row a nucleotide, DMS before 2A3, streamed.

The test file says which ids a sequence covers; the whole has 269,796,671 rows, of which memory holds one block.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from understudy.core.files import atomic_path
from understudy.errors import ConfigError, DataError
from understudy.rna.predict.ensemble import Floats
from understudy.rna.predict.pipeline import REACTIVITY_2A3, REACTIVITY_DMS, Block
from understudy.rna.sequences import unique
from understudy.rna.sources import Column, name_of, rows_of

COLUMNS = ("id", "reactivity_DMS_MaP", "reactivity_2A3_MaP")
# Four decimals round by 2.5e-5 a row and in both directions: the score of a thousand molecules keeps six digits.
DECIMALS = 4
_DIGITS = 4  # digits of an id that are written at once
_ROWS = 100_000  # rows formatted at once: what they take stays in the processor's cache
_GZIP_LEVEL = 1

WriteBlock = Callable[[Block], None]


class TestSequences:
    """``(sequence_id, sequence)`` of a test file, whose id ranges must follow one another without gaps.

    ``first_id`` is the id of the first nucleotide, known once the first record was read.
    """

    __test__ = False  # not a test of ours

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self.first_id = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """
        Raises:
            DataError: a column is missing, an id stands twice, ids are no numbers, a range does not fit the
                length of its sequence or the range before it.
        """
        yield from unique(self._records(), name_of(self._path))

    def _records(self) -> Iterator[tuple[str, str, str, bool]]:
        source = name_of(self._path)
        columns = [Column((name,)) for name in ("id_min", "id_max", "sequence_id", "sequence")]
        expected: int | None = None
        for row, (low, high, name, sequence) in rows_of(self._path, columns):
            where = f"{source}: line {row} ({name})"
            try:
                first, last = int(low), int(high)
            except ValueError:
                first = last = -1
            if first < 0:
                raise DataError(f"{where}: id_min {low!r} and id_max {high!r} must be whole numbers from 0")
            if last - first + 1 != len(sequence):
                raise DataError(
                    f"{where}: ids {first} to {last} are {last - first + 1} nucleotides; the sequence has "
                    f"{len(sequence)}"
                )
            if expected is None:
                self.first_id = first
            elif first != expected:
                what = "leaves a gap" if first > expected else "overlaps"
                raise DataError(f"{where}: id_min {first} {what}: the row before ends at {expected - 1}")
            expected = last + 1
            yield f"line {row}", name, sequence, False


@contextmanager
def submission(path: Path, test: TestSequences) -> Iterator[WriteBlock]:
    """Writes blocks of ``test`` to ``.csv``, ``.csv.gz`` or ``.parquet``; the file is there once all were written.

    Raises:
        ConfigError: another ending.
    """
    if path.name.endswith(".parquet"):
        with _parquet(path, test) as write:
            yield write
    elif path.name.endswith((".csv", ".csv.gz")):
        with _csv(path, test) as write:
            yield write
    else:
        raise ConfigError(f"--out {path}: a submission ends in .csv, .csv.gz or .parquet")


@contextmanager
def _csv(path: Path, test: TestSequences) -> Iterator[WriteBlock]:
    with atomic_path(path) as temporary, open_binary(temporary) as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        at: int | None = None

        def write(block: Block) -> None:
            nonlocal at
            first = test.first_id if at is None else at
            for a in range(0, len(block.values), _ROWS):
                file.write(_rows(first + a, block.values[a : a + _ROWS]))
            at = first + len(block.values)

        yield write


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, packed where its name ends in ``.gz`` (without a date, so that equal is equal)."""
    with path.open("wb") as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            yield cast(IO[bytes], packed)


def _rows(first: int, values: Floats) -> bytes:
    """Lines ``id,DMS,2A3`` of consecutive ids, made by look-up: a formatted number is a row of a table."""
    decimals = np.rint(values[:, :2] * np.float32(10**DECIMALS)).astype(np.int32)
    dms, shape = decimals[:, REACTIVITY_DMS], decimals[:, REACTIVITY_2A3]
    after = first + len(values)
    lines, a = [], first
    while a < after:  # ids of one number of digits at a time: then all lines have one length
        b = min(after, 10 ** len(str(a)))
        part = slice(a - first, b - first)
        lines.append(_lines(a, dms[part], shape[part]))
        a = b
    return b"".join(lines)


def _lines(first: int, dms: NDArray[np.int32], shape: NDArray[np.int32]) -> bytes:
    digits = len(str(first))
    lead = (digits - 1) % _DIGITS + 1
    widths = [lead] + [_DIGITS] * ((digits - lead) // _DIGITS)
    width = 3 + DECIMALS
    fields = [(f"id{k}", f"S{w}") for k, w in enumerate(widths)]
    lines = np.empty(len(dms), [*fields, ("dms", f"S{width}"), ("2a3", f"S{width + 1}")])
    rest = np.arange(first, first + len(dms))
    for k in range(len(widths) - 1, 0, -1):
        rest, group = np.divmod(rest, 10**_DIGITS)
        lines[f"id{k}"] = _whole_numbers(_DIGITS)[group]
    lines["id0"] = _whole_numbers(lead)[rest]
    lines["dms"] = _decimals("")[dms]
    lines["2a3"] = _decimals("\n")[shape]
    return lines.tobytes()


@cache
def _whole_numbers(digits: int) -> NDArray[np.bytes_]:
    return np.array([f"{k:0{digits}d}".encode() for k in range(10**digits)])


@cache
def _decimals(end: str) -> NDArray[np.bytes_]:
    """``,0.0000`` to ``,1.0000``."""
    return np.array([f",{k / 10**DECIMALS:.{DECIMALS}f}{end}".encode() for k in range(10**DECIMALS + 1)])


@contextmanager
def _parquet(path: Path, test: TestSequences) -> Iterator[WriteBlock]:
    schema = pa.schema([(COLUMNS[0], pa.int64()), (COLUMNS[1], pa.float32()), (COLUMNS[2], pa.float32())])
    encodings = {COLUMNS[0]: "DELTA_BINARY_PACKED", **dict.fromkeys(COLUMNS[1:], "BYTE_STREAM_SPLIT")}
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=False, column_encoding=encodings
        ) as writer,
    ):
        at: int | None = None

        def write(block: Block) -> None:
            nonlocal at
            first = test.first_id if at is None else at
            at = first + len(block.values)
            columns = [np.arange(first, at)]
            columns += [np.ascontiguousarray(block.values[:, c]) for c in (REACTIVITY_DMS, REACTIVITY_2A3)]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))

        yield write
