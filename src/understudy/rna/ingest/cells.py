"""One cell of a table of text: a number, nothing, or neither; and the plain ones at one look. Compiled."""

from __future__ import annotations

import numpy as np

from understudy.rna.compiled import compiled

COMMA, NEWLINE, RETURN, _BLANK, _QUOTE = 44, 10, 13, 32, 34
MINUS, _PLUS, POINT, ZERO, NINE, _E = 45, 43, 46, 48, 57, 101
PRESENT, MISSING, BAD = 0, 1, 2
_POWERS = 10.0 ** np.arange(23)

# Eight bytes at once, the first one lowest. The upper halves of ``d.ddd`` (the point whole), and what they are.
BYTE, COMMAS = np.uint64(0xFF), np.uint64(0x2C2C2C2C2C2C2C2C)
_UPPER, _D_DDD = np.uint64(0xF0F0F0FFF0), np.uint64(0x3030302E30)
_SIXES, _LOWER = np.uint64(0x0606060006), np.uint64(0x0F0F0F000F)


@compiled
def trimmed(block, a, b):  # type: ignore[no-untyped-def]
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
    if a < b and (block[a] == MINUS or block[a] == _PLUS):
        sign = -1 if block[a] == MINUS else 1
        a += 1
    if a >= b or b - a > 3:
        return 1000
    value = 0
    for i in range(a, b):
        if block[i] < ZERO or block[i] > NINE:
            return 1000
        value = value * 10 + (block[i] - ZERO)
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
        a, b = trimmed(block, a, b)
    if a == b:
        return MISSING, np.nan
    i = a
    negative = block[i] == MINUS
    if negative or block[i] == _PLUS:
        i += 1
    mantissa, scale, digits = np.int64(0), 0, 0
    seen_point = False
    while i < b:
        c = block[i]
        if ZERO <= c <= NINE:
            if mantissa < 100_000_000_000_000:  # 15 digits are exact in float64, the others no matter
                mantissa = mantissa * 10 + (c - ZERO)
                if seen_point:
                    scale -= 1
            elif not seen_point:
                scale += 1
            digits += 1
        elif c == POINT and not seen_point:
            seen_point = True
        elif c | 32 == _E and digits > 0:
            scale += _exponent(block, i + 1, b)
            break
        else:
            digits = 0
            break
        i += 1
    if digits == 0:
        return (MISSING, np.nan) if _missing(block, a, b) else (BAD, np.nan)
    if scale > 500:
        return BAD, np.nan
    value = np.float64(mantissa)
    while scale < 0 and value != 0.0:
        step = min(-scale, 22)
        value /= _POWERS[step]
        scale += step
    while scale > 0 and value != 0.0 and value < 1e300:
        step = min(scale, 22)
        value *= _POWERS[step]
        scale -= step
    return PRESENT, -value if negative else value


@compiled
def word_at(block, i):  # type: ignore[no-untyped-def]
    """Eight bytes from ``i`` on as one number, the first one lowest; the compiler makes one load of it."""
    j, word = np.uint64(i), np.uint64(0)
    for k in range(8):
        word |= np.uint64(block[j + np.uint64(k)]) << np.uint64(8 * k)
    return word


@compiled
def thousandths(word):  # type: ignore[no-untyped-def]
    """1234 of the bytes ``1.234`` and the end of the cell, -1 of other ones.

    Most values look like this, and to know it at once is twice as fast as to go from byte to byte.
    """
    # A digit is 0x30 to 0x39: its upper half is 3, also after 6 has been added.
    if word & _UPPER != _D_DDD or (word + _SIXES) & _UPPER != _D_DDD:
        return -1
    if word >> np.uint64(40) & BYTE >= ZERO:  # more digits
        return -1
    digits = word & _LOWER
    ones, tenths = np.int64(digits & np.uint64(15)), np.int64(digits >> np.uint64(16) & np.uint64(15))
    return (
        1000 * ones
        + 100 * tenths
        + 10 * np.int64(digits >> np.uint64(24) & np.uint64(15))
        + np.int64(digits >> np.uint64(32))
    )


@compiled
def plain_number(block, i):  # type: ignore[no-untyped-def]
    """``(mantissa, places, where it ends)`` of ``0.5`` or ``12``; it ends at -1 if this is no plain number."""
    end, first, mantissa, places = len(block), i, np.int64(0), 0
    while i < end and ZERO <= block[i] <= NINE:
        mantissa = mantissa * 10 + (np.int64(block[i]) - ZERO)
        i += 1
    digits = i - first
    if i < end and block[i] == POINT:
        i += 1
        first = i
        while i < end and ZERO <= block[i] <= NINE:
            mantissa = mantissa * 10 + (np.int64(block[i]) - ZERO)
            i += 1
        places = i - first
        digits += places
    return mantissa, places, -1 if i >= end or digits == 0 or digits > 9 or places > 6 else i
