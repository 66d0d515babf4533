"""The inner loop of reading: bytes of a table of reactivities to numbers, every cell checked.

Compiled, and without Python's lock, so that blocks of a file are read by several threads. A general CSV reader
spends its time on finding out what every one of 419 columns holds; this one knows, and writes the values of a
molecule where the table wants them.

Axes: R rows of a block, C columns of the file, P positions that have a column, N nucleotides of all rows.
"""

from __future__ import annotations

import numpy as np

from understudy.rna.compiled import compiled
from understudy.rna.ingest.summary import BIN, BINS, FIRST_BIN, LARGEST

# What a column of the file holds; positions follow, reactivities first, then errors.
IGNORED, ID, SEQUENCE, EXPERIMENT, DATASET, READS, SIGNAL_TO_NOISE, FILTER, POSITIONS = range(-1, 8)

# What is wrong with a row.
GOOD, COLUMNS, NUMBER, LETTER, EMPTY, BEYOND, OUTSIDE, NEGATIVE, UNKNOWN_EXPERIMENT, NO_FLAG, NO_TEXT = range(
    11
)

LARGEST_ERROR = 1e9  # noise has no bound, but it is finite

ROW = np.dtype(
    [
        ("status", np.int32),
        ("detail", np.int32),  # column, position or number of columns that belong to the status
        ("line", np.int64),  # from 0 within the block
        ("start", np.int64),  # byte of the block
        ("stop", np.int64),
        ("id_start", np.int64),
        ("id_stop", np.int64),
        ("dataset_start", np.int64),
        ("dataset_stop", np.int64),
        ("sequence_hash", np.uint64),
        ("at", np.int64),  # first nucleotide
        ("length", np.int32),
        ("measured", np.int32),  # positions with a reactivity
        ("signal_to_noise", np.float32),
        ("reads", np.float32),
        ("chemical", np.int8),
        ("sn_filter", np.bool_),
    ]
)

_POWERS = 10.0 ** np.arange(23)
_COMMA, _NEWLINE, _RETURN, _BLANK, _QUOTE = 44, 10, 13, 32, 34
_MINUS, _PLUS, _POINT, _ZERO, _NINE, _E = 45, 43, 46, 48, 57, 101
_PRESENT, _MISSING, _BAD = 0, 1, 2
_HASH_START, _HASH_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a


@compiled
def _trimmed(block, a, b):  # type: ignore[no-untyped-def]
    """A cell without blanks and quotation marks around it."""
    while a < b and block[a] == _BLANK:
        a += 1
    while a < b and block[b - 1] == _BLANK:
        b -= 1
    if b - a >= 2 and block[a] == _QUOTE and block[b - 1] == _QUOTE:
        a += 1
        b -= 1
    return a, b


@compiled
def _exponent(block, a, b):  # type: ignore[no-untyped-def]
    """Of ``e-05``, without the letter; 1000 if it is none."""
    sign = 1
    if a < b and (block[a] == _MINUS or block[a] == _PLUS):
        sign = -1 if block[a] == _MINUS else 1
        a += 1
    if a >= b or b - a > 3:
        return 1000
    value = 0
    for i in range(a, b):
        if block[i] < _ZERO or block[i] > _NINE:
            return 1000
        value = value * 10 + (block[i] - _ZERO)
    return sign * value


@compiled
def _missing(block, a, b):  # type: ignore[no-untyped-def]
    """Whether a cell says NaN, NA or null in whatever case."""
    n = b - a
    if n == 0:
        return True
    first, second = block[a] | 32, block[a + 1] | 32 if n > 1 else 0
    if n == 2:
        return first == 110 and second == 97
    if n == 3:
        return first == 110 and second == 97 and block[a + 2] | 32 == 110
    return n == 4 and first == 110 and second == 117 and block[a + 2] | 32 == 108 and block[a + 3] | 32 == 108


@compiled
def number(block, a, b):  # type: ignore[no-untyped-def]
    """``(kind, value)`` of the cell ``block[a:b]``: present, missing (NaN) or bad; exact to float32."""
    if a < b and (block[a] <= _QUOTE or block[b - 1] <= _QUOTE):
        a, b = _trimmed(block, a, b)
    if a == b:
        return _MISSING, np.nan
    i = a
    negative = block[i] == _MINUS
    if negative or block[i] == _PLUS:
        i += 1
    mantissa, scale, digits = np.int64(0), 0, 0
    seen_point = False
    while i < b:
        c = block[i]
        if _ZERO <= c <= _NINE:
            if mantissa < 100_000_000_000_000:  # 15 digits are exact in float64, the others no matter
                mantissa = mantissa * 10 + (c - _ZERO)
                if seen_point:
                    scale -= 1
            elif not seen_point:
                scale += 1
            digits += 1
        elif c == _POINT and not seen_point:
            seen_point = True
        elif c | 32 == _E and digits > 0:
            scale += _exponent(block, i + 1, b)
            break
        else:
            digits = 0
            break
        i += 1
    if digits == 0:
        return (_MISSING, np.nan) if _missing(block, a, b) else (_BAD, np.nan)
    if scale > 500:
        return _BAD, np.nan
    value = np.float64(mantissa)
    while scale < 0 and value != 0.0:
        step = min(-scale, 22)
        value /= _POWERS[step]
        scale += step
    while scale > 0 and value != 0.0 and value < 1e300:
        step = min(scale, 22)
        value *= _POWERS[step]
        scale -= step
    return _PRESENT, -value if negative else value


@compiled
def _chemical(block, a, b):  # type: ignore[no-untyped-def]
    """0 for ``2A3`` or ``2A3_MaP``, 1 for ``DMS`` or ``DMS_MaP``, else -1."""
    if b - a != 3 and not (
        b - a == 7 and block[a + 3] == 95 and block[a + 4] == 77 and block[a + 5] == 97 and block[a + 6] == 80
    ):
        return -1
    if block[a] == 50 and block[a + 1] == 65 and block[a + 2] == 51:
        return 0
    if block[a] == 68 and block[a + 1] == 77 and block[a + 2] == 83:
        return 1
    return -1


@compiled
def _text(block, a, b):  # type: ignore[no-untyped-def]
    """Whether a cell is plain text and holds something."""
    for i in range(a, b):
        if block[i] < 32 or block[i] > 126:
            return False
    return b > a


@compiled
def _sequence(block, a, b, letters, tokens, at):  # type: ignore[no-untyped-def]
    """``(position of a bad letter or -1, hash)``; the tokens go to ``tokens[at:]``."""
    value = _HASH_START
    for i in range(a, b):
        token = letters[block[i]]
        if token > 3:
            return i - a, value
        tokens[at + i - a] = token
        value = (value ^ np.uint64(token + 1)) * _HASH_PRIME
    return np.int64(-1), value


@compiled
def _metadata(block, starts, stops, where, letters, tokens, at, row):  # type: ignore[no-untyped-def]
    """Everything of a row but its values; ``where[role]`` is the column. Returns status and detail."""
    c = where[ID]
    a, b = _trimmed(block, starts[c], stops[c])
    row.id_start, row.id_stop = a, b
    if not _text(block, a, b):
        return NO_TEXT, c
    c = where[DATASET]
    a, b = _trimmed(block, starts[c], stops[c])
    row.dataset_start, row.dataset_stop = a, b
    if not _text(block, a, b):
        return NO_TEXT, c
    c = where[EXPERIMENT]
    a, b = _trimmed(block, starts[c], stops[c])
    row.chemical = _chemical(block, a, b)
    if row.chemical < 0:
        return UNKNOWN_EXPERIMENT, c
    c = where[SEQUENCE]
    a, b = _trimmed(block, starts[c], stops[c])
    if a == b:
        return EMPTY, c
    bad, row.sequence_hash = _sequence(block, a, b, letters, tokens, at)
    if bad >= 0:
        return LETTER, bad
    row.length = b - a
    c = where[READS]
    kind, value = number(block, starts[c], stops[c])
    row.reads = value
    if kind == _BAD:
        return NUMBER, c
    if value < 0.0 or value > 1e30:
        return OUTSIDE, c
    c = where[SIGNAL_TO_NOISE]
    kind, value = number(block, starts[c], stops[c])
    row.signal_to_noise = value
    if kind == _BAD:
        return NUMBER, c
    if abs(value) > 1e30:
        return OUTSIDE, c
    c = where[FILTER]
    kind, value = number(block, starts[c], stops[c])
    row.sn_filter = value == 1.0
    if kind == _BAD or (value != 0.0 and value != 1.0):
        return NO_FLAG, c
    return GOOD, 0


@compiled
def _values(block, starts, stops, first, length, largest, values):  # type: ignore[no-untyped-def]
    """A row's positions from column numbers ``first[p]``; returns status, column and how many are there."""
    measured = 0
    for p in range(len(first)):
        c = first[p]
        a, b = starts[c], stops[c]
        if a == b:
            if p < length:
                values[p] = np.nan
            continue
        kind, value = number(block, a, b)
        if kind == _BAD:
            return NUMBER, c, 0
        if kind == _PRESENT:
            if p >= length:
                return BEYOND, c, 0
            if not abs(value) <= largest:
                return OUTSIDE, c, 0
            measured += 1
        if p < length:
            values[p] = value
    for p in range(len(first), length):
        values[p] = np.nan
    return GOOD, 0, measured


@compiled
def _cells(block, i, starts, stops):  # type: ignore[no-untyped-def]
    """Edges of the cells of the line that starts at byte ``i``; returns their number and where the next begins."""
    end, c, a = len(block), 0, i
    while True:
        at_end = i >= end or block[i] == _NEWLINE
        if at_end or block[i] == _COMMA:
            if c < len(starts):
                starts[c] = a
                stops[c] = i
            c += 1
            a = i + 1
            if at_end:
                break
        i += 1
    if 0 < c <= len(stops) and stops[c - 1] > starts[c - 1] and block[stops[c - 1] - 1] == _RETURN:
        stops[c - 1] -= 1
    return c, i + 1


@compiled
def parse(block, where, reactivities, errors, letters, rows, tokens, reactivity, error, histogram):  # type: ignore[no-untyped-def]
    """Read a block of whole lines.

    Args:
        block: bytes.
        where: column of each role, ID to FILTER; then the number of columns of the file.
        reactivities, errors: (P,) columns of the positions.
        letters: (256,) token of each byte, above 3 if it is none.
        rows: (at least as many as lines) of ROW; written.
        tokens, reactivity, error: (N at most,) written; bad rows leave nothing.
        histogram: (2, BINS) of reactivities; added to.

    Returns:
        Rows, nucleotides and lines that there were.
    """
    n_columns = where[len(where) - 1]
    starts, stops = np.empty(n_columns, np.int64), np.empty(n_columns, np.int64)
    i, n, at, line = 0, 0, 0, 0
    while i < len(block):
        begin = i
        found, i = _cells(block, i, starts, stops)
        line += 1
        stop = min(i - 1, len(block))
        if stop - begin == 0 or (stop - begin == 1 and block[begin] == _RETURN):
            continue
        row = rows[n]
        n += 1
        row.line, row.start, row.stop, row.at = line - 1, begin, stop, at
        row.length, row.measured = 0, 0
        if found != n_columns:
            row.status, row.detail = COLUMNS, found
            continue
        row.status, row.detail = _metadata(block, starts, stops, where, letters, tokens, at, row)
        if row.status != GOOD:
            continue
        length = row.length
        row.status, row.detail, row.measured = _values(
            block, starts, stops, reactivities, length, LARGEST, reactivity[at:]
        )
        if row.status != GOOD:
            continue
        row.status, row.detail, _ = _values(block, starts, stops, errors, length, LARGEST_ERROR, error[at:])
        if row.status != GOOD:
            continue
        for p in range(length):
            if error[at + p] < 0.0:
                row.status, row.detail = NEGATIVE, errors[p]
                break
        if row.status != GOOD:
            continue
        for p in range(length):
            value = reactivity[at + p]
            if value == value:
                k = int(np.floor((value - FIRST_BIN) / BIN))
                histogram[row.chemical, min(max(k, 0), BINS - 1)] += 1
        at += length
    return n, at, line
