"""Only the rows that a coarser grid needs: the rest of the file is scanned, not converted.

Going from 0.1 s to 1 s uses one row in ten, and turning text into numbers is nearly all the work of reading.
One pass over the bytes finds the lines and makes sure that they hold nothing but cells filled with the
characters of numbers, as many in every line; the times and the rows needed are then converted alone. A file
that is not as plain as that is read whole by :mod:`understudy.cae.rows`. The bytes come in small pieces, those
of the rows needed a second time: that costs less than room for the whole file, and keeps memory small.

Axes: T rows of the file, R rows that are needed, W bytes at the head of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.cae.header import Header
from understudy.cae.rows import Doubles, Integers, arrow_columns

Bytes = NDArray[np.uint8]
_CHUNK_BYTES = 1 << 18  # with what is worked out about them they stay near the processor
_TIME_BYTES = 24  # a time stamp and its delimiter fit
_MARGIN = 3  # before a line: the end of the last cell of the line before, and up to two bytes of line end
_HEAD = _MARGIN + _TIME_BYTES
_NEWLINE, _RETURN, _BLANK = 10, 13, 32
_PLUS, _SPAN = 43, 14  # "+" to "9", with the comma, minus, point and slash between them


@dataclass(frozen=True)
class SparseRows:
    """The lines of a plain file: ``edges[i]:edges[i + 1]`` are the bytes of row ``i`` after the header."""

    file: BinaryIO
    header: Header
    edges: Integers
    time_T: Doubles

    def take(self, rows_R: Integers, wanted: Sequence[int]) -> list[Doubles] | None:
        """The wanted columns at some rows, ``(R,)`` each; ``None`` if a cell is no number after all.

        Raises:
            OSError: the file cannot be read any more.
        """
        lines = self._lines(rows_R)
        try:
            return (
                None if lines is None else arrow_columns(pa.py_buffer(lines), self.header, wanted, plain=True)
            )
        except pa.ArrowInvalid:
            return None

    def _lines(self, rows_R: Integers) -> bytes | None:
        """The text of some rows, which ascend; ``None`` if the file has become shorter."""
        starts, ends = self.edges[rows_R], self.edges[rows_R + 1]
        parts, i = [], 0
        while i < len(rows_R):
            first = int(starts[i])
            j = max(i + 1, int(np.searchsorted(ends, first + _CHUNK_BYTES, side="right")))
            self.file.seek(self.header.offset + first)
            piece = memoryview(self.file.read(int(ends[j - 1]) - first))
            if len(piece) < ends[j - 1] - first:
                return None
            places = zip((starts[i:j] - first).tolist(), (ends[i:j] - first).tolist(), strict=True)
            parts.append(b"".join([piece[start:end] for start, end in places]))
            i = j
        return b"".join(parts)


def open_sparse(file: BinaryIO, header: Header) -> SparseRows | None:
    """The lines and times of a file whose first column is the time; ``None`` if the file is not plain.

    Raises:
        OSError: the file cannot be read.
    """
    if header.width != len(header.names):
        return None
    file.seek(header.offset)
    scanned = _scan(file, ord(header.delimiter), header.width)
    if scanned is None:
        return None
    edges, window_TW = scanned
    time_T = _times(window_TW, header)
    return None if time_T is None else SparseRows(file, header, edges, time_T)


class _Piece:
    """Some bytes of a file, with the last ones before them in front, and room to work on them."""

    def __init__(self, file: BinaryIO, delimiter: int) -> None:
        self._file, self._delimiter = file, delimiter
        self._bytes = np.zeros(_HEAD + _CHUNK_BYTES + _TIME_BYTES, np.uint8)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._bytes, _HEAD)
        self._moved = np.empty(_CHUNK_BYTES, np.uint8)
        self._is_delimiter, self._flags = np.empty((2, _CHUNK_BYTES), np.bool_)
        self._size = 0

    def advance(self) -> int:
        """Go on to the next bytes; how many there are."""
        self._bytes[:_HEAD] = self._bytes[self._size : self._size + _HEAD]
        self._size = self._file.readinto(self._bytes[_HEAD : _HEAD + _CHUNK_BYTES])  # type: ignore[attr-defined]
        self._bytes[_HEAD + self._size :][:_TIME_BYTES] = 0
        return self._size

    @property
    def before(self) -> Bytes:
        return self._bytes[:_HEAD]

    def scan(self) -> tuple[Integers, Bytes, int] | None:
        """Places and kinds of the bytes that numbers need not have, the number of delimiters; ``None``: an
        empty cell."""
        n = self._size
        chunk = self._bytes[_HEAD : _HEAD + n]
        flags = self._flags
        here = np.equal(chunk, self._delimiter, out=self._is_delimiter[:n])
        beside = np.greater(np.subtract(chunk, _PLUS, out=self._moved[:n]), _SPAN, out=flags[:n])
        if self._delimiter != ord(","):
            beside &= ~here
        flags[n:] = False
        places = _where_few(flags)
        kinds = chunk[places]
        count = int(np.count_nonzero(here))
        twice = np.logical_and(here[1:], here[:-1], out=flags[: n - 1])
        if twice.any() or (here[0] and self._bytes[_HEAD - 1] == self._delimiter):
            return None
        return places, kinds, count

    def heads(self, begins: Integers) -> Bytes:
        """The bytes around the beginnings of lines, ``(T, W)``; places count from the first byte."""
        heads: Bytes = self._windows[begins + (_HEAD - _MARGIN)]
        return heads


def _scan(file: BinaryIO, delimiter: int, width: int) -> tuple[Integers, Bytes] | None:
    """Where lines begin and the last one ends, and the bytes around every beginning, ``(T, W)``.

    ``None`` unless the lines hold numbers, ``width`` a line on average. Empty cells at either end of a line
    are not seen here but, the last cell of all excepted, in :func:`_times`.
    """
    piece = _Piece(file, delimiter)
    places, kinds, heads = [], [], []
    start, n_delimiters = 0, 0
    waiting: Integers = np.zeros(1, np.int64)  # lines of which too little is read
    while n := piece.advance():
        found = piece.scan()
        if found is None:
            return None
        places.append(found[0] + start)
        kinds.append(found[1])
        n_delimiters += found[2]
        begins = np.concatenate((waiting, places[-1][kinds[-1] == _NEWLINE] + 1))
        is_read = begins + _TIME_BYTES <= start + n
        heads.append(piece.heads(begins[is_read] - start))
        waiting = begins[~is_read]
        start += n
    heads.append(piece.heads(waiting[waiting < start] - start))
    last = piece.before.tobytes().rstrip(b"\r\n")[-1:]
    if not places or last == bytes([delimiter]):
        return None
    place, kind = np.concatenate(places), np.concatenate(kinds)
    if not _are_numeric(place, kind):
        return None
    begins = np.concatenate(([0], place[kind == _NEWLINE] + 1))
    edges = begins if begins[-1] == start else np.append(begins, start)
    if n_delimiters != (len(edges) - 1) * (width - 1):
        return None
    return edges, np.concatenate(heads)


def _where_few(flags: NDArray[np.bool_]) -> Integers:
    """As ``np.flatnonzero``, quicker where few of many flags are set: eight are looked at together."""
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    within = np.flatnonzero(flags.reshape(-1, 8)[words])
    places: Integers = words[within >> 3] * 8 + (within & 7)
    return places


def _are_numeric(place: Integers, kind: Bytes) -> bool:
    """Whether what is not a digit, sign, point or delimiter is an exponent or the end of a line."""
    known = (kind == _NEWLINE) | (kind == _RETURN) | (kind == ord("e")) | (kind == ord("E"))
    if not known.all() or kind[-1:] == _RETURN:
        return False
    returns = np.flatnonzero(kind == _RETURN)
    follows = (kind[returns + 1] == _NEWLINE) & (place[returns + 1] == place[returns] + 1)
    return bool(follows.all())


def _times(window_TW: Bytes, header: Header) -> Doubles | None:
    """The first cell of every line; ``None`` if there is an empty cell at either end of a line."""
    delimiter = ord(header.delimiter)
    width = int((window_TW[-1, _MARGIN:] == delimiter).argmax()) + 1  # of the longest, if times are alike
    for n_bytes in (width, _TIME_BYTES):
        window_WT = np.ascontiguousarray(window_TW[:, : _MARGIN + n_bytes].T)
        head_WT = window_WT[_MARGIN:]
        past_WT = head_WT == delimiter
        for w in range(1, n_bytes):
            past_WT[w] |= past_WT[w - 1]
        if past_WT[-1].all():
            break
    else:
        return None
    # What ends the line before. A blank line has too few delimiters; an empty cell at the start is no time.
    ends = np.where(window_WT[1, 1:] == _RETURN, window_WT[0, 1:], window_WT[1, 1:])
    if (ends == delimiter).any():
        return None
    np.putmask(head_WT, past_WT, _BLANK)
    head_WT[-1] = _NEWLINE
    alone = Header(("time",), ("",), header.delimiter, header.encoding, 1, 0, 1)
    try:
        return arrow_columns(pa.py_buffer(head_WT.T.tobytes()), alone, [0], plain=True)[0]
    except pa.ArrowInvalid:
        return None
