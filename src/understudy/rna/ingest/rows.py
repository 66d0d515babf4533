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
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray

from understudy.core.workers import n_cores
from understudy.errors import DataError, did_you_mean
from understudy.rna.ingest import kernel
from understudy.rna.ingest.summary import BINS
from understudy.rna.table import CHEMICALS, Floats

BLOCK_BYTES = 1 << 23
_MOST_THREADS = 8  # one thread that decompresses cannot feed more
_GZIP = b"\x1f\x8b"
_NEWLINE = 10
_NAMES = (
    "sequence_id",
    "sequence",
    "experiment_type",
    "dataset_name",
    "reads",
    "signal_to_noise",
    "SN_filter",
)

# Of the kernel's ROW, what is known of a row beside its texts.
_KEPT = (
    "sequence_hash", "at", "length", "measured", "signal_to_noise", "reads", "chemical", "sn_filter",
)  # fmt: skip

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

    ``rows`` are some fields of the kernel's ROW; ``lines`` their line numbers in the file, from 1. ``tokens``,
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
    wrong: tuple[tuple[int, str], ...]  # line and what is wrong with it
    end: int  # bytes of the file up to here, as it lies on disk
    n_lines: int
    bad: tuple[str, ...] = ()  # the same as text that names the file

    def from_line(self, path: Path, line: int) -> Part:
        """Line numbers of the file, where the block begins at ``line``."""
        bad = tuple(f"{path}: line {line + k}: {why}" for k, why in self.wrong)
        return replace(self, lines=self.lines + line, bad=bad)

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
    used = [*(places[name] for name in _NAMES), *kinds[0], *kinds[1]]
    twice = next((names[i] for i in used if names.count(names[i]) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: two columns are called {twice!r}")
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


class _Buffers:
    """Room for a block and what is read from it, used again and again.

    New room for every block would lie between what is kept of the blocks, and memory would grow with the file.
    """

    def __init__(self) -> None:
        self.text, self.rows = np.empty(0, np.uint8), np.empty(0, kernel.ROW)
        self.hold(BLOCK_BYTES + (1 << 16))

    def hold(self, n: int) -> None:
        """Room for ``n`` bytes; the text that is there stays."""
        if n > len(self.text):
            text = np.empty(n, np.uint8)
            text[: len(self.text)] = self.text
            # A nucleotide is at least a byte of the sequence; pages that are not written cost nothing.
            self.text, self.tokens = text, np.empty(n, np.uint8)
            self.reactivity, self.error = np.empty(n, np.float32), np.empty(n, np.float32)

    def no_rows(self, n: int) -> NDArray[Any]:
        """At least ``n`` rows, all zero."""
        if n > len(self.rows):
            self.rows = np.empty(n, kernel.ROW)
        self.rows[:] = 0
        return self.rows


def parts(path: Path) -> Iterator[Part]:
    """The file, read ahead by threads, in order; the values of a part are there until the next is asked for.

    Raises:
        DataError: it cannot be read, a gzip file ends too early, or columns are missing.
    """
    jobs = min(n_cores(), _MOST_THREADS)
    free = [_Buffers() for _ in range(jobs + 2)]  # that are read, one that waits, one that is looked at
    queue: deque[tuple[Future[Part], _Buffers]] = deque()
    line = 2
    with _opened(path) as (file, told), ThreadPoolExecutor(jobs) as pool:
        blocks = _blocks(path, file, told, free)
        header, first = next(blocks)
        columns = read_columns(path, header)
        for block in chain([first], (block for _, block in blocks), [None] * (jobs + 1)):
            if block is not None:
                queue.append((pool.submit(_part, columns, block), block.buffers))
            if queue and (block is None or len(queue) > jobs):
                future, buffers = queue.popleft()
                part = future.result()
                yield part.from_line(path, line)
                line += part.n_lines
                free.append(buffers)


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


@dataclass(frozen=True)
class _Block:
    """Whole lines; ``cut`` says that the last one has no end, ``end`` how far the file is read on disk."""

    text: NDArray[np.uint8]
    cut: bool
    end: int
    buffers: _Buffers


def _blocks(
    path: Path, file: BinaryIO, told: Callable[[], int], free: list[_Buffers]
) -> Iterator[tuple[bytes, _Block]]:
    """The header, and the lines after it block by block; at least one block, which may be empty."""
    header: bytes | None = None
    rest = np.empty(0, np.uint8)
    while True:
        buffers = free.pop()
        buffers.hold(len(rest) + BLOCK_BYTES)
        buffers.text[: len(rest)] = rest
        read = _filled(path, file, buffers.text[len(rest) : len(rest) + BLOCK_BYTES])
        text = buffers.text[: len(rest) + read]
        cut = _after_last_newline(text) if read else len(text)
        rest, text = text[cut:].copy(), text[:cut]
        if header is None and (len(text) or not read):
            stop = int(np.argmax(text == _NEWLINE)) + 1 if (text == _NEWLINE).any() else len(text)
            header, text = text[:stop].tobytes(), text[stop:]
        if header is not None:
            yield header, _Block(text, not read and len(text) > 0, told(), buffers)
        else:
            free.append(buffers)
        if not read:
            return


def _filled(path: Path, file: BinaryIO, buffer: NDArray[np.uint8]) -> int:
    """Bytes read; fewer than fit only at the end."""
    left = memoryview(buffer.data)
    try:
        while left and (n := file.readinto(left)):  # type: ignore[attr-defined]
            left = left[n:]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut off ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return len(buffer) - len(left)


def _after_last_newline(text: NDArray[np.uint8]) -> int:
    """0 if there is none."""
    stop = len(text)
    while stop > 0:
        start = max(0, stop - (1 << 16))
        found = text[start:stop].tobytes().rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0


def _part(columns: Columns, block: _Block) -> Part:
    data, into = block.text, block.buffers
    tokens, reactivity, error = into.tokens, into.reactivity, into.error
    n, room = -1, len(data) // len(columns.names) + 64
    while n < 0:
        rows = into.no_rows(room)
        histogram = np.zeros((len(CHEMICALS), BINS), np.int64)
        n, nucleotides, n_lines = kernel.parse(
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
        room = len(data) + 1  # lines so short that they cannot be right
    rows = rows[:n]
    wrong = rows[rows["status"] != kernel.GOOD]
    rows = rows[rows["status"] == kernel.GOOD]
    return Part(
        repack_fields(rows[list(_KEPT)]),
        rows["line"].copy(),
        _strings(data, rows["id_start"], rows["id_stop"]),
        _strings(data, rows["dataset_start"], rows["dataset_stop"]).dictionary_encode(),
        tokens[:nucleotides],
        reactivity[:nucleotides],
        error[:nucleotides],
        histogram,
        tuple((int(row["line"]), _reason(columns, block, row)) for row in wrong),
        block.end,
        n_lines,
    )


def _strings(data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> pa.StringArray:
    edges = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int32)
    text = np.empty(edges[-1], np.uint8)
    kernel.copy_cells(data, starts, edges, text)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(edges), pa.py_buffer(text))


def _reason(columns: Columns, block: _Block, row: Any) -> str:
    """What is wrong with a row, in words."""
    status, detail = int(row["status"]), int(row["detail"])
    line = block.text[row["start"] : row["stop"]].tobytes()
    cells = line.decode("utf-8", errors="replace").rstrip("\r").split(",")
    if status == kernel.COLUMNS:
        cut = ""
        if block.cut and row["stop"] == len(block.text):
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
