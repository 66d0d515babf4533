"""What a library shows where nothing can react: estimated from its paired nucleotides, and taken away.

A chemical does not reach a nucleotide that is paired all the time. What a library reports there is its background:
mutations of the untreated control that were not subtracted well. It differs between libraries, so a network that
has learnt it carries it to where it is not. Axes: M molecules, N nucleotides, 2 chemicals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError
from understudy.rna.features import Integers, counted_rows, pairing_of_rows, rows_of
from understudy.rna.pairing import Pairs
from understudy.rna.table import ALPHABET, CHEMICALS, Molecules

CERTAIN = 0.95  # of being paired, from where on a nucleotide shows the background
_FEWEST = 200  # nucleotides that make a median worth believing
_LARGEST = 0.5  # of the scale; beyond it the data are not background plus signal


@dataclass(frozen=True, eq=False)
class Background:
    """Of one library: ``level`` (4, 2) by nucleotide and chemical, ``scale`` (2,) by chemical.

    What is left is ``(reactivity - level) · scale``; the scale keeps the 90th percentile where it was, which is how
    reactivities of this field are normalised.
    """

    level: NDArray[np.float32]
    scale: NDArray[np.float32]

    def without(self, molecules: Molecules) -> Molecules:
        """A copy of the molecules with the background taken from their reactivities, and errors scaled alike."""
        reactivity = (molecules.reactivity - self.level[molecules.tokens]) * self.scale
        return replace(molecules, reactivity=reactivity, error=molecules.error * self.scale)

    def lines(self) -> str:
        """The levels for a person: ``DMS A 0.22 C 0.16 …``."""
        return "; ".join(
            f"{chemical} " + " ".join(f"{n} {self.level[i, k]:.2f}" for i, n in enumerate(ALPHABET))
            for k, chemical in enumerate(CHEMICALS)
        )


def fit_background(molecules: Molecules, index: Integers, pairs: Pairs) -> Background:
    """The background of the molecules ``index``, those that pass the filter; ``pairs`` of all ``molecules``.

    The level of a nucleotide is the median of those that pair with a probability of at least :data:`CERTAIN`, and
    never below zero.

    Raises:
        DataError: too few paired nucleotides to tell, or levels that cannot be background.
    """
    rows = rows_of(molecules.offsets, index)
    counted = counted_rows(molecules, index)
    values, tokens = molecules.reactivity[rows[counted]], molecules.tokens[rows[counted]]
    paired = pairing_of_rows(pairs, molecules, index)[counted, 0] >= CERTAIN
    level = np.zeros((len(ALPHABET), len(CHEMICALS)), np.float32)
    for token, letter in enumerate(ALPHABET):
        here = paired & (tokens == token)
        if here.sum() < _FEWEST:
            raise DataError(
                f"dataset.background=paired: only {here.sum()} certainly paired {letter} in the training "
                f"molecules, {_FEWEST} are needed; use dataset.background=none"
            )
        level[token] = np.maximum(np.median(values[here], axis=0), 0)
    if level.max() > _LARGEST:
        raise DataError(
            f"dataset.background=paired: paired nucleotides react as much as {level.max():.2f}: "
            "this is no background"
        )
    before = np.quantile(values, 0.9, axis=0)
    after = np.quantile(values - level[tokens], 0.9, axis=0)
    return Background(level, (before / after).astype(np.float32))
