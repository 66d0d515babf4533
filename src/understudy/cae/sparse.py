"""Only the rows that a coarser grid needs: the rest of the file is scanned, not converted.

Going from 0.1 s to 1 s uses one row in ten, and turning text into numbers is nearly all the work of reading.
One pass over the bytes finds the lines and makes sure that they hold nothing but cells filled with the
characters of numbers, as many in every line; the times and the rows needed are then converted alone. A file
that is not as plain as that is read whole by :mod:`understudy.cae.rows`.

Axes: T rows of the file, R rows that are needed, W bytes at the head of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.cae.header import Header
from understudy.cae.rows import Doubles, Integers, arrow_columns

Bytes = NDArray[np.uint8]
_CHUNK_BYTES = 1 << 18  # near the processor, and large enough that threads seldom wait for each other
_TIME_BYTES = 24  # a time stamp and its delimiter fit
_MARGIN = 3  # before a line: the end of the last cell of the line before, and up to two bytes of line end
_NEWLINE, _RETURN, _BLANK = 10, 13, 32
_PLUS, _SPAN = 43, 14  # "+" to "9", with the comma, minus, point and slash between them


@dataclass(frozen=True)
class SparseRows:
    """The lines of a plain file: ``edges[i]:edges[i + 1]`` are the bytes of row ``i``."""

    body: Any
    header: Header
    edges: Integers
    time_T: Doubles

    def take(self, rows_R: Integers, wanted: Sequence[int]) -> list[Doubles] | None:
        """The wanted columns at some rows, ``(R,)`` each; ``None`` if a cell is no number after all."""
        # Not with Arrow's take: that imports pandas, which takes a worker 0.3 s.
        body = memoryview(self.body)
        ends = zip(self.edges[rows_R].tolist(), self.edges[rows_R + 1].tolist(), strict=True)
        lines = pa.py_buffer(b"".join([body[start:end] for start, end in ends]))
        try:
            return arrow_columns(lines, self.header, wanted, plain=True)
        except pa.ArrowInvalid:
            return None


def open_sparse(data: Any, header: Header) -> SparseRows | None:
    """The lines and times of a file whose first column is the time; ``None`` if the file is not plain."""
    if header.width != len(header.names):
        return None
    body = data.slice(header.offset)
    text = np.frombuffer(body, np.uint8)
    if len(text) < _MARGIN + _TIME_BYTES:
        return None
    edges = _line_edges(text, ord(header.delimiter), header.width)
    time_T = None if edges is None else _times(text, edges[:-1], header)
    return None if edges is None or time_T is None else SparseRows(body, header, edges, time_T)


def _line_edges(text: Bytes, delimiter: int, width: int) -> Integers | None:
    """Where lines begin, and the end of the last; ``None`` unless they hold numbers, ``width`` a line on average.

    Empty cells within a line are seen here, those at its ends in :func:`_times`.
    """
    places, kinds, n_delimiters, last = [], [], 0, 0
    size = min(_CHUNK_BYTES, -(-len(text) // 8) * 8)
    moved, is_delimiter, flags = np.empty(size, np.uint8), np.empty(size, np.bool_), np.empty(size, np.bool_)
    for start in range(0, len(text), size):
        chunk = text[start : start + size]
        n = len(chunk)
        here = np.equal(chunk, delimiter, out=is_delimiter[:n])
        beside = np.greater(np.subtract(chunk, _PLUS, out=moved[:n]), _SPAN, out=flags[:n])
        if delimiter != ord(","):
            beside &= ~here
        flags[n:] = False
        found = _where_few(flags)
        places.append(found + start)
        kinds.append(chunk[found])
        n_delimiters += int(np.count_nonzero(here))
        twice = np.logical_and(here[1:], here[:-1], out=flags[: n - 1])
        if twice.any() or (here[0] and last == delimiter):  # an empty cell
            return None
        last = int(chunk[-1])
    place, kind = np.concatenate(places), np.concatenate(kinds)
    if not _are_numeric(text, place, kind):
        return None
    starts = np.concatenate(([0], place[kind == _NEWLINE] + 1))
    edges = starts if starts[-1] == len(text) else np.append(starts, len(text))
    return edges if n_delimiters == (len(edges) - 1) * (width - 1) else None


def _where_few(flags: NDArray[np.bool_]) -> Integers:
    """As ``np.flatnonzero``, quicker where few of many flags are set: eight are looked at together."""
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    within = np.flatnonzero(flags.reshape(-1, 8)[words])
    places: Integers = words[within >> 3] * 8 + (within & 7)
    return places


def _are_numeric(text: Bytes, place: Integers, kind: Bytes) -> bool:
    """Whether what is not a digit, sign, point or delimiter is an exponent or the end of a line."""
    known = (kind == _NEWLINE) | (kind == _RETURN) | (kind == ord("e")) | (kind == ord("E"))
    after_return = place[kind == _RETURN] + 1
    return bool(known.all() and (text[np.minimum(after_return, len(text) - 1)] == _NEWLINE).all())


def _times(text: Bytes, starts: Integers, header: Header) -> Doubles | None:
    """The first cell of every line; ``None`` if there is an empty cell at either end of a line."""
    delimiter = ord(header.delimiter)
    final = text[starts[-1] :][:_TIME_BYTES]
    width = int((final == delimiter).argmax()) + 1  # of the longest cell, if times are all alike
    for n_bytes in (width, _TIME_BYTES):
        window_WT = _line_heads(text, starts, n_bytes)
        head_WT = window_WT[_MARGIN:]
        past_WT = head_WT == delimiter
        for w in range(1, n_bytes):
            past_WT[w] |= past_WT[w - 1]
        if past_WT[-1].all():
            break
    else:
        return None
    if not _are_filled(text, window_WT[:, 1:], delimiter):
        return None
    np.putmask(head_WT, past_WT, _BLANK)
    head_WT[-1] = _NEWLINE
    alone = Header(("time",), ("",), header.delimiter, header.encoding, 1, 0, 1)
    try:
        return arrow_columns(pa.py_buffer(head_WT.T.tobytes()), alone, [0], plain=True)[0]
    except pa.ArrowInvalid:
        return None


def _line_heads(text: Bytes, starts: Integers, n_bytes: int) -> Bytes:
    """The margin before and the first bytes of every line, ``(W, T)``, in one pass over the text."""
    # At the ends of the text the window is moved inside, and its bytes back to where they belong.
    last = len(text) - n_bytes - _MARGIN
    at = starts - _MARGIN
    inside = np.clip(at, 0, last)
    window_TW = np.lib.stride_tricks.sliding_window_view(text, n_bytes + _MARGIN)[inside]
    for row in np.flatnonzero(at != inside):
        window_TW[row] = np.roll(window_TW[row], inside[row] - at[row])
    return np.ascontiguousarray(window_TW.T)


def _are_filled(text: Bytes, window_WT: Bytes, delimiter: int) -> bool:
    """Whether no line ends with an empty cell; ``window_WT`` begins with the end of the line before.

    An empty cell at the start of a line is no time, and a blank line has too few delimiters.
    """
    ends = np.where(window_WT[1] == _RETURN, window_WT[0], window_WT[1])
    return not (ends == delimiter).any() and text[-_MARGIN:].tobytes().rstrip(b"\r\n")[-1] != delimiter
