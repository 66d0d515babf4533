"""The inner loop of reading: bytes of a table of reactivities to numbers, every cell checked.

Compiled, and without Python's lock, so that blocks of a file are read by several threads. A general CSV reader
spends its time on finding out what every one of 419 columns holds; this one knows, and writes the values of a
molecule where the table wants them.

Axes: R rows of a block, C columns of the file, P positions that have a column, N nucleotides of all rows.
"""

from __future__ import annotations

import numpy as np

from understudy.rna.compiled import compiled
from understudy.rna.ingest.cells import (
    BAD,
    BYTE,
    COMMA,
    COMMAS,
    MINUS,
    NEWLINE,
    PRESENT,
    RETURN,
    number,
    plain_number,
    thousandths,
    trimmed,
    word_at,
)
from understudy.rna.ingest.summary import BIN, BINS, EDGE, FIRST_BIN, LARGEST

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

_TENTHS = 1.0 / 10.0 ** np.arange(10)
_HASH_PRIME = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits as mixed as can be: 2^64 by the golden ratio


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
def _mixed(value, word):  # type: ignore[no-untyped-def]
    value = (value ^ word) * _HASH_PRIME
    return value ^ (value >> np.uint64(32))


@compiled
def _sequence(block, a, b, letters, tokens):  # type: ignore[no-untyped-def]
    """``(position of a bad letter or -1, hash)``; tokens are written."""
    value, word = np.uint64(b - a), np.uint64(0)
    for i in range(b - a):
        token = letters[block[a + i]]
        if token > 3:
            return i, value
        tokens[i] = token
        # Two bits a nucleotide; what fills a word is mixed in, as in FNV-1a.
        word = word << np.uint64(2) | np.uint64(token)
        if i % 32 == 31:
            value = _mixed(value, word)
            word = np.uint64(0)
    return np.int64(-1), _mixed(value, word)


@compiled
def _metadata(block, starts, stops, where, letters, tokens, row):  # type: ignore[no-untyped-def]
    """Everything of a row but its values; ``where[role]`` is the column. Returns status and detail."""
    c = where[ID]
    a, b = trimmed(block, starts[c], stops[c])
    row.id_start, row.id_stop = a, b
    if not _text(block, a, b):
        return NO_TEXT, c
    c = where[DATASET]
    a, b = trimmed(block, starts[c], stops[c])
    row.dataset_start, row.dataset_stop = a, b
    if not _text(block, a, b):
        return NO_TEXT, c
    c = where[EXPERIMENT]
    a, b = trimmed(block, starts[c], stops[c])
    row.chemical = _chemical(block, a, b)
    if row.chemical < 0:
        return UNKNOWN_EXPERIMENT, c
    c = where[SEQUENCE]
    a, b = trimmed(block, starts[c], stops[c])
    if a == b:
        return EMPTY, c
    bad, row.sequence_hash = _sequence(block, a, b, letters, tokens)
    if bad >= 0:
        return LETTER, bad
    row.length = b - a
    c = where[READS]
    kind, value = number(block, starts[c], stops[c])
    row.reads = value
    if kind == BAD:
        return NUMBER, c
    if value < 0.0 or value > 1e30:
        return OUTSIDE, c
    c = where[SIGNAL_TO_NOISE]
    kind, value = number(block, starts[c], stops[c])
    row.signal_to_noise = value
    if kind == BAD:
        return NUMBER, c
    if abs(value) > 1e30:
        return OUTSIDE, c
    c = where[FILTER]
    kind, value = number(block, starts[c], stops[c])
    row.sn_filter = value == 1.0
    if kind == BAD or (value != 0.0 and value != 1.0):
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
        if kind == BAD:
            return NUMBER, c, 0
        if kind == PRESENT:
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
        at_end = i >= end or block[i] == NEWLINE
        if at_end or block[i] == COMMA:
            if c < len(starts):
                starts[c] = a
                stops[c] = i
            c += 1
            a = i + 1
            if at_end:
                break
        i += 1
    if 0 < c <= len(stops) and stops[c - 1] > starts[c - 1] and block[stops[c - 1] - 1] == RETURN:
        stops[c - 1] -= 1
    return c, i + 1


@compiled
def _head(block, i, n, starts, stops):  # type: ignore[no-untyped-def]
    """Edges of the first ``n`` cells of a line; returns where the next cell begins, -1 where the line is over."""
    end, a = len(block), i
    for c in range(n):
        while i < end and block[i] != COMMA:
            if block[i] == NEWLINE:
                return -1
            i += 1
        if i >= end:
            return -1
        starts[c], stops[c] = a, i
        i += 1
        a = i
    return i


@compiled
def _plain(block, i, n, length, least, values):  # type: ignore[no-untyped-def]
    """``n`` cells from byte ``i``, if they are as plain as nearly all are: ``0.123``, ``-1.5`` or nothing.

    Values for the first ``length`` positions go to ``values``. Returns where the next cell begins and how many
    values there are; -1 if a cell is not plain, wrong, below ``least``, or one too many: another way knows why.
    """
    measured, p = 0, 0
    while p < n:
        if i + 8 > len(block):  # the last line of a block, at most
            return -1, 0
        word = word_at(block, i)
        if word == COMMAS and p + 8 < n:
            for q in range(p, min(p + 8, length)):
                values[q] = np.nan
            p += 8
            i += 8
            continue
        if word & BYTE == COMMA or word & BYTE == NEWLINE:
            if p < length:
                values[p] = np.nan
        else:
            negative = word & BYTE == MINUS
            if negative:
                word >>= np.uint64(8)
                i += 1
            mantissa, places = thousandths(word), 3
            if mantissa >= 0:
                i += 5
            else:
                mantissa, places, i = plain_number(block, i)
                if i < 0:
                    return -1, 0
            # With so few digits the product, not quite the quotient, rounds to the same float32.
            value = mantissa * _TENTHS[places]
            if negative:
                value = -value
            if value > LARGEST or value < least or p >= length:
                return -1, 0
            values[p] = value
            measured += 1
        p += 1
        if i >= len(block) or block[i] != (NEWLINE if p == n and least == 0.0 else COMMA):
            return -1, 0
        i += 1
    for p in range(n, length):
        values[p] = np.nan
    return i, measured


@compiled
def _count(values, counts):  # type: ignore[no-untyped-def]
    for value in values:
        if value == value:
            x = (np.float64(value) - FIRST_BIN + EDGE) / BIN
            counts[int(min(max(x, 0.0), BINS - 1.0))] += 1


@compiled
def _any_row(block, begin, where, columns, letters, edges, row, out):  # type: ignore[no-untyped-def]
    """A row whatever it looks like; the status says what is wrong. Returns where the next line begins."""
    reactivities, errors = columns
    starts, stops = edges
    tokens, reactivity, error = out
    found, after = _cells(block, begin, starts, stops)
    row.stop = min(after - 1, len(block))
    if found != len(starts):
        row.status, row.detail = COLUMNS, found
        return after
    row.status, row.detail = _metadata(block, starts, stops, where, letters, tokens, row)
    if row.status != GOOD:
        return after
    row.status, row.detail, row.measured = _values(
        block, starts, stops, reactivities, row.length, LARGEST, reactivity
    )
    if row.status != GOOD:
        return after
    row.status, row.detail, _ = _values(block, starts, stops, errors, row.length, LARGEST_ERROR, error)
    if row.status != GOOD:
        return after
    for p in range(row.length):
        if error[p] < 0.0:
            row.status, row.detail = NEGATIVE, errors[p]
            break
    return after


@compiled
def copy_cells(block, starts, edges, out):  # type: ignore[no-untyped-def]
    """Bytes of the cells that begin at ``starts`` one after the other to ``out``; ``edges`` say how many."""
    for k in range(len(starts)):
        for i in range(edges[k + 1] - edges[k]):
            out[edges[k] + i] = block[starts[k] + i]


@compiled
def parse(block, where, reactivities, errors, letters, rows, tokens, reactivity, error, histogram):  # type: ignore[no-untyped-def]
    """Read a block of whole lines.

    Args:
        block: bytes.
        where: column of each role, ID to FILTER; then the number of columns of the file.
        reactivities, errors: (P,) columns of the positions.
        letters: (256,) token of each byte, above 3 if it is none.
        rows: of ROW, zero; written.
        tokens, reactivity, error: (N at most,) written; bad rows leave nothing.
        histogram: (2, BINS) of reactivities; added to.

    Returns:
        Rows, nucleotides and lines that there were; -1 rows if ``rows`` is too short for them.
    """
    n_columns, n_positions = where[len(where) - 1], len(reactivities)
    starts, stops = np.empty(n_columns, np.int64), np.empty(n_columns, np.int64)
    columns = reactivities, errors
    # As the competition has them: reactivities after everything else, then errors, then the line ends.
    usual = reactivities[0] + 2 * n_positions == n_columns
    for p in range(n_positions):
        usual &= reactivities[p] == reactivities[0] + p and errors[p] == reactivities[0] + n_positions + p
    i, n, at, line = 0, 0, 0, 0
    while i < len(block):
        begin = i
        line += 1
        if block[i] == NEWLINE or (block[i] == RETURN and (i + 1 == len(block) or block[i + 1] == NEWLINE)):
            i += 1 if block[i] == NEWLINE else 2
            continue
        if n == len(rows):
            return -1, 0, 0
        row = rows[n]
        n += 1
        row.line, row.start, row.at = line - 1, begin, at
        after = -1
        if usual:
            after = _head(block, begin, reactivities[0], starts, stops)
        if after >= 0:
            row.status, row.detail = _metadata(block, starts, stops, where, letters, tokens[at:], row)
            after = -1 if row.status != GOOD else after
        if after >= 0:
            after, row.measured = _plain(block, after, n_positions, row.length, -LARGEST, reactivity[at:])
        if after >= 0:
            after, _ = _plain(block, after, n_positions, row.length, 0.0, error[at:])
        if after >= 0:
            row.stop = after - 1
        else:
            out = tokens[at:], reactivity[at:], error[at:]
            after = _any_row(block, begin, where, columns, letters, (starts, stops), row, out)
        i = after
        if row.status == GOOD:
            _count(reactivity[at : at + row.length], histogram[row.chemical])
            at += row.length
    return n, at, line
