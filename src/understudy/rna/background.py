"""What a library shows where nothing can react: estimated from its paired nucleotides, and taken away.

A chemical does not reach a nucleotide that is paired all the time. What a library reports there is its background:
mutations of the untreated control that were not subtracted well. It differs between libraries, so a network that
has learnt it carries it to where it is not. It also differs along a molecule: reading starts at the 3' end, and the
hairpin there shows more of it than the middle. Axes: M molecules, N nucleotides, D places, 2 chemicals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError
from understudy.rna.control import MOST, SparseControl, fit_control, without_control
from understudy.rna.features import (
    CERTAIN,
    FEWEST,
    ZONE,
    Integers,
    counted_rows,
    drawn,
    pairing_of_rows,
    places_of,
    rows_of,
)
from understudy.rna.pairing import Pairs
from understudy.rna.table import ALPHABET, CHEMICALS, Molecules

USUAL = 0.02  # what paired nucleotides show where the control is good: helices breathe, and that is signal
_MANY = 2000  # of one place: those of the hairpin that every molecule has, not those of a few related designs
_LEARNT = 20_000  # molecules, from which a library tells what it holds for all of them
_LARGEST = 0.5  # of the scale; beyond it the data are not background plus signal


@dataclass(frozen=True, eq=False)
class Background:
    """Of one library: ``level`` (D, 4, 2) by distance from the 3' end, nucleotide and chemical, ``scale`` (2,).

    What is left is ``(reactivity - level) · scale``; the scale keeps the 90th percentile where it was, which is how
    reactivities of this field are normalised. The last level reaches to the 5' end.
    """

    level: NDArray[np.float32]
    scale: NDArray[np.float32]

    def without(self, molecules: Molecules) -> Molecules:
        """A copy of the molecules with the background taken from their reactivities, and errors scaled alike."""
        everything = np.arange(len(molecules))
        places = np.minimum(places_of(molecules, everything), len(self.level) - 1)
        level = self.level[places, molecules.tokens]
        reactivity = (molecules.reactivity - level) * self.scale
        return replace(molecules, reactivity=reactivity, error=molecules.error * self.scale)

    def lines(self) -> str:
        """The levels for a person, lowest and highest: ``DMS A 0.18-0.24 C 0.12-0.27 …``."""
        low, high = self.level.min(axis=0), self.level.max(axis=0)
        return "; ".join(
            f"{chemical} " + " ".join(f"{n} {low[i, k]:.2f}-{high[i, k]:.2f}" for i, n in enumerate(ALPHABET))
            for k, chemical in enumerate(CHEMICALS)
            if high[:, k].any()
        )


class Mended(NamedTuple):
    """A copy of molecules as they are learnt from, and ``lines`` that say what a person should know of it.

    ``unknowable`` (N, 2) says of which nucleotides no molecule tells anything; None: of none.
    """

    molecules: Molecules
    unknowable: NDArray[np.bool_] | None
    lines: list[str]


def without_background(
    molecules: Molecules, index: Integers, pairs: Pairs, chemicals: Sequence[str], *, part: int = _LEARNT
) -> Mended:
    """The molecules with neither a poor control nor background.

    The control of ``chemicals`` is undone where the errors tell it, then the background of the molecules ``index``
    is taken away from all. A library tells both from at most :data:`_LEARNT` molecules, and so many as ``part`` are
    mended at a time: there is no need for more memory than that of the copy.

    Raises:
        DataError: as :func:`fit_background`.
    """
    some = drawn(molecules, np.asarray(index), _LEARNT)
    learnt, pairs_of_learnt, everything = molecules.take(some), pairs.take(some), np.arange(len(some))
    found = {chemical: fit_control(learnt, pairs_of_learnt, chemical) for chemical in chemicals}
    controls = [control for control in found.values() if control is not None]
    treated, reported, _ = without_control(learnt, pairs_of_learnt, controls)
    lines = [_told(chemical, control, learnt, treated) for chemical, control in found.items()]
    background = fit_background(treated, everything, pairs_of_learnt, chemicals, reported)
    lines.append(f"background taken from the training reactivities: {background.lines()}")
    reactivity = np.empty_like(molecules.reactivity)
    unknowable = np.zeros(reactivity.shape, np.bool_)
    for first in range(0, len(molecules), part):
        here = np.arange(first, min(first + part, len(molecules)))
        undone = without_control(molecules.take(here), pairs.take(here), controls)
        rows = slice(molecules.offsets[here[0]], molecules.offsets[here[-1] + 1])
        reactivity[rows] = background.without(undone.treated).reactivity
        unknowable[rows] = undone.unknowable
    mended = replace(molecules, reactivity=reactivity, error=molecules.error * background.scale)
    return Mended(mended, unknowable if unknowable.any() else None, lines)


def _told(chemical: str, control: SparseControl | None, molecules: Molecules, treated: Molecules) -> str:
    if control is None:
        return f"the errors of {chemical} are not those of a sparse control: it stays subtracted"
    counted = counted_rows(molecules, np.arange(len(molecules)))
    lost = np.isnan(treated.reactivity[counted, CHEMICALS.index(chemical)]).mean()
    return (
        f"the control of {chemical} is told from the errors and added again; {100 * lost:.1f} % of the training "
        f"nucleotides, where it was more than {MOST:g} or reads are mixed, are left out"
    )


def fit_background(
    molecules: Molecules,
    index: Integers,
    pairs: Pairs,
    chemicals: Sequence[str] = CHEMICALS,
    reported: Molecules | None = None,
) -> Background:
    """The background of the molecules ``index``, those that pass the filter; ``pairs`` of all ``molecules``.

    The level of a nucleotide is the median of those that pair with a probability of at least :data:`CERTAIN`, less
    the :data:`USUAL`, and never below zero. It is that of its place where there are enough of them, else that of
    the :data:`ZONE`, else that of the whole molecule.

    Args:
        chemicals: those whose control was poor; the others are left as they are.
        reported: the molecules as they were reported, if that is not what they are here (see
            :mod:`understudy.rna.control`): the 90th percentile of those that are not NaN is kept.

    Raises:
        DataError: too few paired nucleotides to tell, or levels that cannot be background.
    """
    rows = rows_of(molecules.offsets, index)
    counted = counted_rows(molecules, index)
    values, tokens = molecules.reactivity[rows[counted]], molecules.tokens[rows[counted]]
    paired = pairing_of_rows(pairs, molecules, index)[counted, 0] >= CERTAIN
    places = places_of(molecules, index)[counted]
    level = np.zeros((int(places.max(initial=0)) + 1, len(ALPHABET), len(CHEMICALS)), np.float32)
    for token, letter in enumerate(ALPHABET):
        here = paired & (tokens == token)
        if here.sum() < FEWEST:
            raise DataError(
                f"dataset.background: only {here.sum()} certainly paired {letter} in the training "
                f"molecules, {FEWEST} are needed; use dataset.background=none"
            )
        level[:, token] = np.median(values[here], axis=0)
        for width, enough in ((ZONE, FEWEST), (1, _MANY)):
            for part, n in enumerate(np.bincount(places[here] // width)):
                if n >= enough:
                    shared = np.median(values[here & (places // width == part)], axis=0)
                    level[part * width : (part + 1) * width, token] = shared
    level = np.maximum(level - USUAL, 0)
    level[..., [chemical not in chemicals for chemical in CHEMICALS]] = 0
    usual = np.median(level[places, tokens], axis=0).max()
    if usual > _LARGEST:
        raise DataError(
            f"dataset.background: paired nucleotides react as much as {usual:.2f}: this is no background"
        )
    as_told = (reported or molecules).reactivity[rows[counted]]
    known = np.isfinite(as_told).all(axis=1)
    before = np.quantile(as_told[known], 0.9, axis=0)
    after = np.quantile((values - level[places, tokens])[known], 0.9, axis=0)
    return Background(level, (before / after).astype(np.float32))
