"""Made RNA molecules, laid out as libraries for chemical probing are: flank, region of interest, barcode, tail."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.rna.structure import partners

# The constant ends of the libraries of the field; the flank has a hairpin of its own.
FLANK = "GGGAACGACUCGAGUAGAGUCGAAAA"
TAIL = "AAAGAAACAACAACAACAAC"
_FLANK_STRUCTURE = ".....((((((.....))))))...."
_BARCODE_STRUCTURE = ".((((((((....))))))))"
_BARCODE_LOOP = "UUCG"
SHORTEST, LONGEST = 80, 130  # nucleotides

_PAIRED = np.array(["GC", "CG", "AU", "UA", "GU", "UG"])
_PAIRED_SHARES = (0.32, 0.32, 0.15, 0.15, 0.03, 0.03)
_LETTERS = np.array(list("ACGU"))
_UNPAIRED_SHARES = (0.45, 0.15, 0.2, 0.2)
_LEAST_STEM, _LEAST_LOOP = 3, 4
_LEAST_HAIRPIN = 2 * _LEAST_STEM + _LEAST_LOOP
_LEAST_MULTILOOP = 2 * 4 + 2 * _LEAST_HAIRPIN + 3
_RANDOM_SHARE = 0.3


class Design(NamedTuple):
    """A sequence, and the structure it was made for: of random regions, that of flank and barcode only."""

    sequence: str
    structure: str


def design(rng: np.random.Generator, *, may_be_random: bool = True) -> Design:
    """A molecule of 80 to 130 nucleotides whose region is random, a hairpin or two, or a multiloop."""
    length = int(rng.integers(SHORTEST, LONGEST + 1))
    n = length - len(FLANK) - len(_BARCODE_STRUCTURE) - len(TAIL)
    random = may_be_random and rng.random() < _RANDOM_SHARE
    region = "." * n if random else _region(rng, n)
    inner = region + _BARCODE_STRUCTURE
    letters = _filled(rng, inner)
    if random:
        letters[:n] = rng.choice(_LETTERS, n)
    loop = inner.rindex("(") + 1
    letters[loop : loop + len(_BARCODE_LOOP)] = list(_BARCODE_LOOP)
    return Design(FLANK + "".join(letters) + TAIL, _FLANK_STRUCTURE + inner + "." * len(TAIL))


def _region(rng: np.random.Generator, n: int) -> str:
    """A structure of n nucleotides: one element, or two where there is room, with unpaired ends."""
    left = int(rng.integers(0, 3))
    room = n - left - int(rng.integers(0, 2))
    if room >= _LEAST_MULTILOOP and rng.random() < 0.5:
        elements = _multiloop(rng, room)
    elif room >= 2 * _LEAST_HAIRPIN + 2 and rng.random() < 0.5:
        elements = _row(rng, room, 2)
    else:
        elements = _hairpin(rng, room)
    return ("." * left + elements).ljust(n, ".")


def _row(rng: np.random.Generator, n: int, count: int) -> str:
    """``count`` hairpins one after the other in n nucleotides, one or more unpaired ones between them."""
    spare = n - count * _LEAST_HAIRPIN - (count - 1)
    cuts = np.sort(rng.integers(0, spare + 1, count - 1))
    extra = np.diff([0, *cuts.tolist(), spare])
    return ".".join(_hairpin(rng, _LEAST_HAIRPIN + int(more)) for more in extra)


def _multiloop(rng: np.random.Generator, n: int) -> str:
    """A stem that opens into two or three hairpins."""
    stem = 4 if n < _LEAST_MULTILOOP + 4 else int(rng.integers(4, 6))
    inside = n - 2 * stem - 2
    count = 3 if inside >= 3 * _LEAST_HAIRPIN + 2 and rng.random() < 0.5 else 2
    return "(" * stem + "." + _row(rng, inside, count) + "." + ")" * stem


def _hairpin(rng: np.random.Generator, n: int) -> str:
    """A stem with its loop; a long stem may have an internal loop or a bulge."""
    loop = min(_LEAST_LOOP + int(rng.integers(0, 4)), n - 2 * _LEAST_STEM)
    stem = (n - loop) // 2
    loop = n - 2 * stem
    left, right = ["("] * stem, [")"] * stem
    if stem >= 8:
        middle = int(rng.integers(3, stem - 4))
        kind = rng.random()
        if kind < 0.4:  # internal loop of two and two
            left[middle : middle + 2] = right[stem - middle - 2 : stem - middle] = [".", "."]
        elif kind < 0.7:  # a bulge: what it takes from one side goes to the loop of the other
            left[middle] = "."
            del right[stem - 1 - middle]
            loop += 1
    return "".join(left) + "." * loop + "".join(right)


def _filled(rng: np.random.Generator, structure: str) -> list[str]:
    """Letters that can form the structure."""
    letters = rng.choice(_LETTERS, len(structure), p=_UNPAIRED_SHARES)
    for at, partner in enumerate(partners(structure).tolist()):
        if partner > at:
            letters[[at, partner]] = list(str(rng.choice(_PAIRED, p=_PAIRED_SHARES)))
    return [str(letter) for letter in letters]
