"""The numbers of a case file: a fast parse, and a slow one that knows the line and column of what is wrong.

Arrow converts the wanted columns of a whole file. Where it refuses, Python reads the file cell by cell and
either names the cell or returns what Arrow was too strict for (a blank cell, a plus sign).

Axes: T rows of the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from understudy.cae.header import Header, to_number
from understudy.errors import DataError

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
EMPTY = ("", "NA", "NaN", "nan")
# Larger blocks leave the processor's caches and cost half as much again.
_BLOCK_BYTES = 1 << 20


def parse(file: str, data: Any, header: Header, wanted: Sequence[int], threads: bool) -> list[Doubles]:
    """The wanted columns of a file, ``(T,)`` each; NaN where a cell is empty.

    Raises:
        DataError: text among the numbers, or a row of another width.
    """
    try:
        return arrow_columns(data.slice(header.offset), header, wanted, threads)
    except pa.ArrowInvalid:
        return _parse_slowly(file, data, header, wanted)


def arrow_columns(
    body: Any, header: Header, wanted: Sequence[int], threads: bool = False, *, plain: bool = False
) -> list[Doubles]:
    """The wanted columns of ``body``, which is rows without a header; ``plain``: no quotes, no empty cells.

    Raises:
        pyarrow.ArrowInvalid: a cell is no number, or a row has another width.
    """
    names = [str(i) for i in range(header.width)]
    unnamed = names[len(header.names) :]  # must be empty: the type null takes nothing else
    types = {names[i]: pa.float64() for i in wanted} | {name: pa.null() for name in unnamed}
    table = pa.csv.read_csv(
        pa.BufferReader(body),
        read_options=pa.csv.ReadOptions(use_threads=threads, block_size=_BLOCK_BYTES, column_names=names),
        parse_options=pa.csv.ParseOptions(
            delimiter=header.delimiter, quote_char=False if plain or not _has_quotes(body) else '"'
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[] if plain else list(EMPTY)
        ),
        # Arrow's own pool keeps what it was given: quicker for large arrays, but room lost to small ones.
        memory_pool=pa.system_memory_pool() if plain else None,
    )
    return [_doubles(table.column(names[i])) for i in wanted]


def _doubles(column: Any) -> Doubles:
    """A column with NaN for null. ``to_numpy`` would do, but it imports pandas, which takes a worker 0.3 s."""
    parts = [np.empty(0)]
    for chunk in column.chunks:
        valid, values = chunk.buffers()
        part = np.frombuffer(values, np.float64)[chunk.offset : chunk.offset + len(chunk)]
        if chunk.null_count:
            bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
            part = np.where(bits[chunk.offset : chunk.offset + len(chunk)], part, np.nan)
        parts.append(part)
    return np.concatenate(parts) if len(parts) > 2 else parts[-1]


def _has_quotes(body: Any) -> bool:
    """Whether a quotation mark stands anywhere; without one Arrow need not look for its partner."""
    text = np.frombuffer(body, np.uint8)
    return any(
        bool((text[start : start + _BLOCK_BYTES] == ord('"')).any())
        for start in range(0, len(text), _BLOCK_BYTES)
    )


def _parse_slowly(file: str, data: Any, header: Header, wanted: Sequence[int]) -> list[Doubles]:
    rows: list[list[float]] = []
    for line, cells in _rows(file, data, header):
        if len(cells) < len(header.names) or any(cell.strip() for cell in cells[len(header.names) :]):
            raise DataError(
                f"{file}, line {line}: {len(cells)} cells for {len(header.names)} columns;"
                " the row is cut short or holds a delimiter too many"
            )
        try:
            rows.append([to_number(cells[i]) for i in wanted])
        except ValueError:
            raise _bad_cell(file, line, cells, header, wanted) from None
    return list(np.asarray(rows, np.float64).reshape(len(rows), len(wanted)).T.copy())


def _bad_cell(file: str, line: int, cells: list[str], header: Header, wanted: Sequence[int]) -> DataError:
    for i in wanted:
        try:
            to_number(cells[i])
        except ValueError:
            return DataError(
                f"{file}, line {line}, column {header.names[i]!r}: {cells[i].strip()!r} is not a number;"
                " leave the cell empty where nothing was measured"
            )
    raise AssertionError("called for a row without a bad cell")


def _rows(file: str, data: Any, header: Header) -> Any:
    """Line number and cells of every row that is not blank."""
    text = data.slice(header.offset).to_pybytes().decode(header.encoding, errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=header.delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells[:1]) or len(cells) > 1:
                yield header.line + reader.line_num - 1, cells
    except csv.Error as error:
        raise DataError(f"{file}, line {header.line + reader.line_num}: cannot be read ({error})") from error


def line_of(file: str, data: Any, header: Header, row: int) -> int:
    """The 1-based line of the file on which row ``row`` of the numbers stands."""
    return next((line for i, (line, _) in enumerate(_rows(file, data, header)) if i == row), header.line)
