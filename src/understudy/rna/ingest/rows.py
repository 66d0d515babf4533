"""Files of reactivities as the Ribonanza competition publishes them, block by block, every row checked.

A row is one experiment on one sequence: ``sequence_id`` (or ``id``), ``sequence``, ``experiment_type``,
``dataset_name``, ``reads``, ``signal_to_noise``, ``SN_filter``, ``reactivity_0001`` …, ``reactivity_error_0001`` ….
The columns may stand in any order and be followed by others, which are not read.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.core.workers import n_cores
from understudy.errors import DataError, did_you_mean
from understudy.rna.ingest.summary import BINS
from understudy.rna.table import CHEMICALS, Floats

BLOCK_BYTES = 1 << 23
_MOST_THREADS = 8  # one thread that decompresses cannot feed more
_GZIP = b"\x1f\x8b"
_NAMES = (
    "sequence_id",
    "sequence",
    "experiment_type",
    "dataset_name",
    "reads",
    "signal_to_noise",
    "SN_filter",
)

LETTERS = np.full(256, 255, np.uint8)  # token of a byte; T is how DNA spells U
for _token, _bytes in enumerate((b"Aa", b"Cc", b"Gg", b"UuTt")):
    LETTERS[list(_bytes)] = _token


@dataclass(frozen=True)
class Columns:
    """Which column holds what: ``where`` as the kernel wants it, then those of the positions, in order."""

    names: tuple[str, ...]
    where: NDArray[np.int64]
    reactivities: NDArray[np.int64]
    errors: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The good rows of a block, and what is wrong with the others.

    ``rows`` are of the kernel's ROW; ``lines`` their line numbers in the file, from 1. ``tokens``,
    ``reactivity`` and ``error`` are flat, in the order of the rows.
    """

    rows: NDArray[Any]
    lines: NDArray[np.int64]
    ids: pa.StringArray
    datasets: pa.DictionaryArray
    tokens: NDArray[np.uint8]
    reactivity: Floats
    error: Floats
    histogram: NDArray[np.int64]
    bad: tuple[str, ...]
    end: int  # bytes of the file up to here, as it lies on disk

    def without_values(self) -> Part:
        """Without the flat arrays."""
        nothing = np.empty(0, np.float32)
        return replace(self, tokens=np.empty(0, np.uint8), reactivity=nothing, error=nothing)


def read_columns(path: Path, header: bytes) -> Columns:
    """
    Raises:
        DataError: the file is empty, a column is missing or stands twice, or positions have gaps.
    """
    text = header.decode("utf-8-sig", errors="replace").strip()
    if not text:
        raise DataError(f"{path}: the file is empty")
    names = [cell.strip().strip('"') for cell in text.split(",")]
    places = {name: i for i, name in enumerate(names)}
    if len(places) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: two columns are called {twice!r}")
    if "sequence_id" not in places and "id" in places:
        places["sequence_id"] = places["id"]
    missing = [name for name in _NAMES if name not in places]
    kinds = [_positions(path, places, kind) for kind in ("reactivity", "reactivity_error")]
    missing += [
        f"{kind}_0001"
        for kind, found in zip(("reactivity", "reactivity_error"), kinds, strict=True)
        if not found
    ]
    if missing:
        hint = (
            did_you_mean(missing[0], names)
            if len(names) > 1
            else "; it does not look like comma-separated values"
        )
        raise DataError(
            f"{path}: column{'s' * (len(missing) > 1)} {', '.join(missing)} missing in line 1{hint}"
        )
    if len(kinds[0]) != len(kinds[1]):
        raise DataError(
            f"{path}: {len(kinds[0])} columns of reactivity, but {len(kinds[1])} of reactivity_error"
        )
    where = [places[name] for name in _NAMES]
    return Columns(tuple(names), np.array([*where, len(names)]), np.array(kinds[0]), np.array(kinds[1]))


def _positions(path: Path, places: dict[str, int], kind: str) -> list[int]:
    pattern = re.compile(rf"{kind}_(\d+)")
    found = {int(m[1]): i for name, i in places.items() if (m := pattern.fullmatch(name))}
    absent = next((p for p in range(1, len(found) + 1) if p not in found), None)
    if absent is not None:
        raise DataError(f"{path}: column {kind}_{absent:04d} missing in line 1, though later ones are there")
    return [found[p] for p in range(1, len(found) + 1)]


def parts(path: Path) -> Iterator[Part]:
    """The file, read ahead by threads, in order.

    Raises:
        DataError: it cannot be read, a gzip file ends too early, or columns are missing.
    """
    with _opened(path) as (file, told):
        blocks = _blocks(path, file, told)
        header, _, _ = first = next(blocks)
        columns = read_columns(path, header)
        jobs = min(n_cores(), _MOST_THREADS)
        queue: deque[Future[Part]] = deque()
        with ThreadPoolExecutor(jobs) as pool:
            line = 2
            for _, block, end in chain([first], blocks):
                queue.append(pool.submit(_part, path, columns, block, line, end))
                line += block.count(b"\n")
                if len(queue) > jobs:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()


class _opened:
    """The file as text bytes, and a function that tells how far it is read on disk; gzip is known by content."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[BinaryIO, Callable[[], int]]:
        try:
            self._raw = self._path.open("rb")
            magic = self._raw.read(2)
            self._raw.seek(0)
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read: {error.strerror}") from error
        file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if magic == _GZIP else self._raw
        return file, self._raw.tell

    def __exit__(self, *_: object) -> None:
        self._raw.close()


def _blocks(path: Path, file: BinaryIO, told: Callable[[], int]) -> Iterator[tuple[bytes, bytes, int]]:
    """``(header, whole lines, bytes read on disk)``; the header comes with the first block."""
    header, rest, begun = b"", b"", False
    while True:
        try:
            read = file.read(BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{path}: the gzip file is damaged or cut off ({error}); fetch it again"
            ) from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        cut = read.rfind(b"\n") + 1
        if read and not cut:
            rest += read
            continue
        block, rest = rest + read[:cut], read[cut:]
        if not begun:
            header, _, block = block.partition(b"\n")
            begun = True
        yield header, block, told()
        if not read:
            return


def _part(path: Path, columns: Columns, block: bytes, line: int, end: int) -> Part:
    from understudy.rna.ingest import kernel

    data = np.frombuffer(block, np.uint8)
    rows = np.zeros(block.count(b"\n") + 1, kernel.ROW)
    # A nucleotide is at least a byte of the sequence; pages that are not written cost nothing.
    tokens = np.empty(len(block), np.uint8)
    reactivity, error = np.empty(len(block), np.float32), np.empty(len(block), np.float32)
    histogram = np.zeros((len(CHEMICALS), BINS), np.int64)
    n, nucleotides, _ = kernel.parse(
        data,
        columns.where,
        columns.reactivities,
        columns.errors,
        LETTERS,
        rows,
        tokens,
        reactivity,
        error,
        histogram,
    )
    rows = rows[:n]
    wrong = np.flatnonzero(rows["status"] != kernel.GOOD)
    bad = [f"{path}: line {line + rows['line'][i]}: {_reason(columns, block, rows[i])}" for i in wrong]
    rows = rows[rows["status"] == kernel.GOOD]
    return Part(
        rows,
        line + rows["line"],
        _strings(data, rows["id_start"], rows["id_stop"]),
        _strings(data, rows["dataset_start"], rows["dataset_stop"]).dictionary_encode(),
        tokens[:nucleotides],
        reactivity[:nucleotides],
        error[:nucleotides],
        histogram,
        tuple(bad),
        end,
    )


def _strings(data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> pa.StringArray:
    lengths = stops - starts
    ends = np.concatenate([[0], np.cumsum(lengths)])
    text = data[np.arange(ends[-1]) + np.repeat(starts - ends[:-1], lengths)]
    return pa.StringArray.from_buffers(
        len(starts), pa.py_buffer(ends.astype(np.int32).tobytes()), pa.py_buffer(text.tobytes())
    )


def _reason(columns: Columns, block: bytes, row: Any) -> str:
    """What is wrong with a row, in words."""
    from understudy.rna.ingest import kernel

    status, detail = int(row["status"]), int(row["detail"])
    cells = block[row["start"] : row["stop"]].decode("utf-8", errors="replace").rstrip("\r").split(",")
    if status == kernel.COLUMNS:
        cut = ""
        if row["stop"] == len(block):
            cut = " and no line end: the file is cut off"
        return f"{detail} columns instead of {len(columns.names)}{cut}"
    sequence = cells[columns.where[kernel.SEQUENCE]].strip(' "')
    if status == kernel.LETTER:
        return f"sequence has the letter {sequence[detail]!r} at position {detail + 1}; A, C, G, U and T are known"
    name, text = columns.names[detail], cells[detail]
    shown = repr(text if len(text) <= 30 else f"{text[:27]}...")
    return {
        kernel.NUMBER: f"{name} is {shown}, which is no number",
        kernel.EMPTY: "the sequence is empty",
        kernel.BEYOND: f"{name} is {shown}, but the sequence has {len(sequence)} nucleotides",
        kernel.OUTSIDE: f"{name} is {shown}, which the assay cannot give",
        kernel.NEGATIVE: f"{name} is {shown}, and an error cannot be negative",
        kernel.UNKNOWN_EXPERIMENT: f"{name} is {shown}; known: 2A3_MaP and DMS_MaP",
        kernel.NO_FLAG: f"{name} is {shown}, which is neither 0 nor 1",
        kernel.NO_TEXT: f"{name} is {shown}; a name in plain letters is needed",
    }[status]


def names_of(values: Sequence[str]) -> list[str]:
    """Names of data sets without the chemical they end in."""
    return [re.sub(r"[_-](2A3|DMS)(_MaP)?$", "", name) or name for name in values]
