"""Text and tables as they come: a file, a gzip of one, Parquet or standard input, one row at a time."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.errors import DataError, did_you_mean

STDIN = "-"
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_ROWS_A_BATCH = 4096

Row = tuple[int, tuple[str, ...]]


def name_of(path: Path | str) -> str:
    """What messages call ``path``."""
    return "standard input" if str(path) == STDIN else str(path)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Errors of reading as one line that names the file."""
    name = name_of(path)
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: the gzip file is truncated or damaged ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not text in UTF-8: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise DataError(f"{name}: not a table of text: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name} is a folder; give a file") from error
    except (PermissionError, pa.ArrowException) as error:
        raise DataError(f"{name}: cannot be read: {error}") from error


@contextmanager
def opened(path: Path | str) -> Iterator[io.BufferedReader]:
    """The bytes of ``path``, unpacked where they are a gzip, whatever its name says."""
    if str(path) == STDIN:
        with _unpacked(cast(io.BufferedReader, sys.stdin.buffer)) as stream:
            yield stream
        return
    with Path(path).open("rb") as file, _unpacked(file) as stream:
        yield stream


@contextmanager
def _unpacked(raw: io.BufferedReader) -> Iterator[io.BufferedReader]:
    if raw.peek(2)[:2] != _GZIP:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as unpacked:
        yield io.BufferedReader(cast(io.RawIOBase, unpacked), 1 << 20)


def is_parquet(stream: io.BufferedReader) -> bool:
    return stream.peek(4)[:4] == _PARQUET


@contextmanager
def lines_of(stream: io.BufferedReader) -> Iterator[Iterator[str]]:
    """Its lines with their ends; closing this leaves ``stream`` open, which may be standard input."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        yield iter(text)
    finally:
        with suppress(ValueError):
            text.detach()


def first_line(lines: Iterator[str]) -> tuple[int, str]:
    """The first line that is not blank, and its number; ``(0, "")`` where there is none."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            return number, line
    return 0, ""


@dataclass(frozen=True)
class Column:
    """A column that is wanted, under any of ``names``; what is not required may be absent (then ``""``)."""

    names: tuple[str, ...]
    required: bool = True

    def find(self, header: Sequence[str], source: str) -> int | None:
        """
        Raises:
            DataError: it is required and absent.
        """
        for name in self.names:
            if name in header:
                return header.index(name)
        if not self.required:
            return None
        wanted = " or ".join(f"`{name}`" for name in self.names)
        there = ", ".join(header[:8]) + (", …" if len(header) > 8 else "")
        raise DataError(
            f"{source}: there is no column {wanted}{did_you_mean(self.names[0], header)}; it has {there}"
        )


def rows_of_text(
    number: int, header: str, lines: Iterator[str], columns: Sequence[Column], source: str
) -> Iterator[Row]:
    """The wanted cells of a CSV or TSV table whose header stands on line ``number``; with line numbers.

    Raises:
        DataError: a column is missing, or a row is shorter than the header.
    """
    delimiter = next((d for d in "\t,;" if d in header), ",")
    reader = csv.reader(itertools.chain([header], lines), delimiter=delimiter)
    names = [name.strip() for name in next(reader)]
    found = [column.find(names, source) for column in columns]
    for cells in reader:
        if not cells:
            continue
        line = number - 1 + reader.line_num
        if len(cells) < len(names):
            raise DataError(f"{source}: line {line} has {len(cells)} cells; the header has {len(names)}")
        yield line, tuple("" if at is None else cells[at].strip() for at in found)


def rows_of_parquet(path: Path | str, columns: Sequence[Column]) -> Iterator[Row]:
    """The wanted cells of a Parquet file as text, with row numbers from 1, a few thousand rows at a time."""
    source = name_of(path)
    if str(path) == STDIN:
        raise DataError("standard input holds a Parquet file, which cannot be streamed; give its path")
    with pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        found = [column.find(header, source) for column in columns]
        wanted = sorted({header[at] for at in found if at is not None})
        row = 0
        for batch in file.iter_batches(batch_size=_ROWS_A_BATCH, columns=wanted):
            cells = [
                [""] * len(batch) if at is None else batch.column(header[at]).cast(pa.string()).to_pylist()
                for at in found
            ]
            for values in zip(*cells, strict=True):
                row += 1
                yield row, tuple("" if value is None else value for value in values)


def count_records(path: Path | str) -> int:
    """About how many records there are, for a bar that shows progress; 0 where that cannot be known in advance."""
    if str(path) == STDIN:
        return 0
    try:
        with reading(path), opened(path) as stream:
            if is_parquet(stream):
                return int(pq.read_metadata(path).num_rows)
            mark = b">" if stream.peek(1)[:1] in (b">", b";") else b"\n"
            return sum(piece.count(mark) for piece in iter(lambda: stream.read(1 << 20), b""))
    except DataError:  # it is said when it is read
        return 0


def rows_of(path: Path | str, columns: Sequence[Column]) -> Iterator[Row]:
    """The wanted cells of a table in any of these formats, with line numbers (Parquet: row numbers).

    Raises:
        DataError: nothing there, damaged, a column is missing, a row is too short.
    """
    with reading(path), opened(path) as stream:
        if is_parquet(stream):
            yield from rows_of_parquet(path, columns)
            return
        with lines_of(stream) as lines:
            number, header = first_line(lines)
            if not header:
                raise DataError(f"{name_of(path)} is empty")
            yield from rows_of_text(number, header, lines, columns, name_of(path))
