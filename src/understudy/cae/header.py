"""The head of a case file: delimiter, encoding, column names, units, and where the numbers begin.

Three layouts are told apart by their second line: names then units (the reference's), one line of
``Name [unit]``, and names alone.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from understudy.errors import ConfigError, DataError

DELIMITERS = (",", ";", "\t")
_HEAD_BYTES = 1 << 16
_GZIP = b"\x1f\x8b"
# A unit ends with a bracket; one data set in wide use closes it with a parenthesis.
_LABEL = re.compile(r"^(?P<name>.*\S)\s*\[(?P<unit>[^\[\]]*)[\])]$")


@dataclass(frozen=True)
class Header:
    """What the first lines of a case file say.

    ``width`` counts the cells of a row, the empty ones after the last name included. ``offset`` is the byte
    and ``line`` the 1-based line at which the numbers begin.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    delimiter: str
    encoding: str
    width: int
    offset: int
    line: int


@dataclass(frozen=True)
class Source:
    """A case file of which no more is kept in memory than what was asked for."""

    path: Path
    encoding: str | None

    @cached_property
    def whole(self) -> Any:
        """All bytes, unpacked, in an encoding that keeps ASCII as it is, as an Arrow buffer.

        Raises:
            DataError: the file cannot be read, unpacked or decoded, or is empty.
        """
        return _load(self.path, self.encoding)

    @cached_property
    def head(self) -> Any:
        """As many of these bytes as :func:`parse_header` needs, or more."""
        return self.whole if self._plain_head is None else self._plain_head

    def open(self) -> BinaryIO:
        """The bytes one after the other; from the disk, if they stand there as they are."""
        if self._plain_head is None:
            return cast(BinaryIO, pa.BufferReader(self.whole))
        return cast(BinaryIO, open(self.path, "rb", buffering=0))

    @cached_property
    def _plain_head(self) -> Any | None:
        """The first bytes of a file that is neither packed nor to be translated, with three line ends."""
        if self.encoding is not None and not _keeps_ascii(self.encoding):
            return None
        try:
            with open(self.path, "rb", buffering=0) as file:
                head = file.read(_HEAD_BYTES)
        except OSError:  # reading it whole says why
            return None
        packed = head.startswith((_GZIP, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return None if packed or head.count(b"\n") < 3 else pa.py_buffer(head)


def _load(path: Path, encoding: str | None) -> Any:
    try:
        with pa.OSFile(str(path)) as file:
            data = file.read_buffer()
        if data.slice(0, min(2, data.size)).to_pybytes() == _GZIP:
            data = pa.py_buffer(gzip.decompress(data))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: not a whole gzip file ({error}); copy or pack it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path.name}: cannot be read ({reason}); check the file and its rights") from error
    return _plain(path.name, data, encoding)


def _plain(file: str, data: Any, encoding: str | None) -> Any:
    """``data`` with a wide encoding turned into UTF-8 and lone carriage returns into line feeds."""
    head = data.slice(0, min(_HEAD_BYTES, data.size)).to_pybytes()
    if encoding is None and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding is not None and not _keeps_ascii(encoding):
        try:
            data = pa.py_buffer(data.to_pybytes().decode(encoding).encode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not {encoding} text ({error}); check dataset.encoding") from error
        head = data.slice(0, min(_HEAD_BYTES, data.size)).to_pybytes()
    if not head.strip():
        raise DataError(f"{file}: the file is empty")
    if b"\n" not in head and b"\r" in head:
        data = pa.py_buffer(data.to_pybytes().replace(b"\r", b"\n"))
    return data


def _keeps_ascii(encoding: str) -> bool:
    try:
        return "time 0.1\n".encode(encoding).endswith(b"time 0.1\n")
    except LookupError as error:
        raise ConfigError(f"dataset.encoding: {encoding!r} is no encoding; try utf-8 or latin-1") from error


def parse_header(file: str, data: Any, delimiter: str | None, encoding: str | None) -> Header:
    """Names, units and the place of the first number of the file called ``file``.

    Raises:
        DataError: no names, no numbers, or bytes that are not text in ``encoding``.
    """
    lines = list(_first_lines(data))
    encoding = _encoding_of(file, b"".join(raw for _, _, raw in lines[:2]), encoding)
    texts = [_decode(file, number, raw, encoding) for number, _, raw in lines]
    if delimiter is None:
        delimiter = _detect_delimiter(file, texts)
    rows = [_cells(text, delimiter) for text in texts]
    labels = _strip_tail(rows[0])
    if all(_is_number(cell) for cell in labels if cell):
        raise DataError(f"{file}, line {lines[0][0]}: no column names; they belong in the first line")
    body, names, units = 1, labels, [""] * len(labels)
    if len(rows) > 1 and _is_units(rows[1]):
        body, units = 2, _strip_tail(rows[1])
        if len(units) > len(labels):
            raise DataError(f"{file}, line {lines[1][0]}: {len(units)} units for {len(labels)} columns")
        units += [""] * (len(labels) - len(units))
    if not any(units):
        names, units = [list(part) for part in zip(*map(split_label, labels), strict=True)]
    if len(rows) <= body:
        raise DataError(f"{file}: column names but no row of numbers")
    first = rows[body]
    extra_is_empty = not any(first[len(labels) :])
    width = max(len(first), len(labels)) if extra_is_empty else len(labels)
    return Header(tuple(names), tuple(units), delimiter, encoding, width, lines[body][1], lines[body][0])


def split_label(label: str) -> tuple[str, str]:
    """``"SoC [%]"`` as name and unit; a bracket around a number is part of the name."""
    match = _LABEL.match(label.strip())
    if match is None or (_is_number(match["unit"]) and match["unit"].strip() != "1"):
        return label.strip(), ""
    return match["name"].strip(), match["unit"].strip()


def _first_lines(data: Any) -> Iterator[tuple[int, int, bytes]]:
    """Line number, byte offset and bytes of the first three lines that are not blank."""
    head = data.slice(0, min(_HEAD_BYTES, data.size)).to_pybytes()
    if head.count(b"\n") < 3 and data.size > len(head):
        head = data.to_pybytes()
    start, found = 0, 0
    for number, raw in enumerate(head.split(b"\n"), 1):
        if raw.strip():
            yield number, start, raw
            found += 1
        start += len(raw) + 1
        if found == 3:
            return


def _encoding_of(file: str, head: bytes, encoding: str | None) -> str:
    if encoding is not None:
        return "utf-8" if codecs.lookup(encoding).name in ("utf-8-sig", "utf-16", "utf-32") else encoding
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _decode(file: str, number: int, raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding).removeprefix("\ufeff").rstrip("\r")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}, line {number}: byte 0x{raw[error.start]:02x} is not {encoding} text;"
            " set dataset.encoding, for example to latin-1"
        ) from error


def _detect_delimiter(file: str, texts: list[str]) -> str:
    """The delimiter that gives names and the last of the first lines the same number of cells, and most."""

    def score(delimiter: str) -> tuple[bool, int]:
        names, last = (_strip_tail(_cells(text, delimiter)) for text in (texts[0], texts[-1]))
        return len(names) == len(last) > 1, len(names)

    best = max(DELIMITERS, key=score)
    if score(best)[1] < 2:
        raise DataError(
            f"{file}, line 1: no comma, semicolon or tab between column names; set dataset.delimiter"
        )
    return best


def _cells(text: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]


def _strip_tail(cells: list[str]) -> list[str]:
    """``cells`` without the empty ones at the end."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _is_units(cells: list[str]) -> bool:
    """Whether a line states units: more words than numbers, where ``1`` may be a unit, or nothing at all."""
    filled = [cell for cell in cells if cell]
    words = sum(not _is_number(cell) for cell in filled)
    numbers = sum(_is_number(cell) and cell != "1" for cell in filled)
    return not filled or words > numbers


def _is_number(cell: str) -> bool:
    try:
        to_number(cell)
    except ValueError:
        return False
    return bool(cell.strip())


def to_number(cell: str) -> float:
    """The value of a cell; NaN where it is empty or says so.

    Raises:
        ValueError: the text is no number.
    """
    text = cell.strip()
    if text in ("", "NA"):
        return float("nan")
    if "_" in text:  # Python reads 1_000, no other program does
        raise ValueError(text)
    return float(text)
