"""Secondary structures: from the energy model alone or guided by a 2A3 profile, and the files that others read.

A 2A3 profile is SHAPE-like: it becomes a pseudo-energy of every nucleotide in a stack, ``m ln(r + 1) + b`` in
kcal/mol (Deigan et al., PNAS 106:97, 2009), with r in the normalisation of that paper. Ours is another one:
:data:`SHAPE_SCALE` leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from understudy.core.files import write_text
from understudy.errors import DataError
from understudy.rna.pool import chunks, in_order, spread, worth_workers
from understudy.rna.vienna import model, vienna

# kcal/mol, of the paper; RNAfold --shape has the same.
SLOPE, INTERCEPT = 1.8, -0.6
# In our data 1 is the 90th percentile of good values; in SHAPE work it is the mean of those between the 90th and
# the 98th percentile ("2-8 % normalisation"), which is 1.34 to 1.38 of our units in two libraries of 2A3 data.
SHAPE_SCALE = 1 / 1.35
_MISSING = -999.0


@dataclass(frozen=True)
class Fold:
    """A secondary structure in dot-bracket notation, and its free energy in kcal/mol without pseudo-energies."""

    structure: str
    energy: float


def fold(
    sequence: str,
    reactivity: ArrayLike | None = None,
    *,
    scale: float = SHAPE_SCALE,
    slope: float = SLOPE,
    intercept: float = INTERCEPT,
) -> Fold:
    """The structure of least free energy of a sequence (capital ACGU), guided by a profile where there is one.

    Args:
        reactivity: (L,) to 2A3, 1 for the 90th percentile, NaN where unknown; below 0 counts as 0.
        scale: factor from ``reactivity`` to normalised SHAPE values.
        slope, intercept: kcal/mol, of the pseudo-energy.

    Raises:
        ConfigError: ViennaRNA is absent.
        DataError: the profile is not as long as the sequence.
    """
    rna = vienna()
    plain = rna.fold_compound(sequence, model(rna))
    if reactivity is None:
        structure, energy = plain.mfe()
        return Fold(structure, round(energy, 2))
    guided = rna.fold_compound(sequence, model(rna))
    # From 1: the value at 0 is never used.
    guided.sc_add_SHAPE_deigan(
        [_MISSING, *_shape_values(sequence, reactivity, scale).tolist()], slope, intercept
    )
    structure, _ = guided.mfe()
    return Fold(structure, round(plain.eval_structure(structure), 2))


def fold_many(
    sequences: Sequence[str],
    reactivities: Sequence[ArrayLike] | None = None,
    *,
    scale: float = SHAPE_SCALE,
    jobs: int | None = None,
) -> list[Fold]:
    """:func:`fold` of each, in worker processes where there is enough to do (``jobs``: default one a core)."""
    lengths = [len(s) for s in sequences]
    tasks = (
        (sequences[c], reactivities[c] if reactivities is not None else None, scale) for c in chunks(lengths)
    )
    return in_order(spread(_fold_chunk, tasks, worth_workers(lengths, jobs)))


def _fold_chunk(task: tuple[Sequence[str], Sequence[ArrayLike] | None, float]) -> list[Fold]:
    sequences, profiles, scale = task
    return [
        fold(sequence, None if profiles is None else profiles[n], scale=scale)
        for n, sequence in enumerate(sequences)
    ]


def _shape_values(sequence: str, reactivity: ArrayLike, scale: float) -> NDArray[np.float64]:
    """(L,) normalised SHAPE values, ``_MISSING`` for NaN."""
    values = np.asarray(reactivity, np.float64)
    if values.shape != (len(sequence),):
        raise DataError(
            f"a profile of shape {values.shape} for {len(sequence)} nucleotides: one value a nucleotide is needed"
        )
    # A negative value is noise about 0, but ViennaRNA takes it for a missing one.
    return np.where(np.isnan(values), _MISSING, np.maximum(values, 0) * scale)


def partners(structure: str) -> NDArray[np.int64]:
    """(L,) the nucleotide that each is paired with, from 0; -1 for none.

    Raises:
        DataError: brackets that do not match, or other characters.
    """
    partner = np.full(len(structure), -1, np.int64)
    opened: list[int] = []
    for at, symbol in enumerate(structure):
        if symbol == "(":
            opened.append(at)
        elif symbol == ")" and opened:
            partner[at] = opened.pop()
            partner[partner[at]] = at
        elif symbol != ".":
            raise DataError(f"a structure has {symbol!r} at position {at + 1}, which nothing there explains")
    if opened:
        raise DataError(f"a structure opens a pair at position {opened[-1] + 1} and does not close it")
    return partner


def write_shape(path: Path, sequence: str, reactivity: ArrayLike, *, scale: float = SHAPE_SCALE) -> None:
    """A profile for ``RNAfold --shape``: position (from 1), nucleotide, normalised SHAPE value; none where NaN.

    With RNAfold's own slope and intercept it gives the structure that :func:`fold` gives. Atomic.
    """
    values = _shape_values(sequence, reactivity, scale)
    known = [(n + 1, sequence[n], v) for n, v in enumerate(values.tolist()) if v != _MISSING]
    write_text(path, "".join(f"{n} {letter} {value:.4f}\n" for n, letter, value in known))


def write_dbn(path: Path, molecules: Sequence[tuple[str, str, Fold]]) -> None:
    """Structures of ``(id, sequence, fold)`` in dot-bracket notation, three lines each. Atomic."""
    write_text(
        path, "".join(f">{name}\n{seq}\n{f.structure} ({f.energy:.2f})\n" for name, seq, f in molecules)
    )


def write_ct(path: Path, molecules: Sequence[tuple[str, str, Fold]]) -> None:
    """The same as connectivity tables, one after the other: number, letter, neighbours, partner, number. Atomic."""
    lines: list[str] = []
    for name, sequence, folded in molecules:
        n = len(sequence)
        lines.append(f"{n} ENERGY = {folded.energy:.2f} {name}")
        for at, partner in enumerate((partners(folded.structure) + 1).tolist(), 1):
            lines.append(f"{at} {sequence[at - 1]} {at - 1} {(at + 1) if at < n else 0} {partner} {at}")
    write_text(path, "\n".join(lines) + "\n" if lines else "")
