"""The untreated control of an experiment, told from its errors, and undone where it was poor.

Mutations are counted with the chemical and without it; the rate without it, the control, is subtracted. A control
that mutates at a few places only, by few reads or by reads of other molecules, does harm: what is subtracted there
is noise, and what should be subtracted elsewhere stays. Both rates come back from what is reported. Counts have the
errors of Poisson, so with ``d`` and ``k`` for what one mutated read is worth in either experiment,

    reactivity = treated - control
    error²     = d · treated + k · control

and ``error² - d · reactivity = (d + k) · control``. ``d`` is a number of the library divided by the reads of the
molecule; ``d + k`` is found where the reactivity is far below zero, as the treated rate is small there.

Where reads of other molecules are counted in both experiments, most of all in the hairpin near the 3' end that
tells molecules apart, paired nucleotides seem to react with the chemical. What is reported of them says nothing but
this, a network could only learn it by heart, and they are left out. What is free there stays as it was reported,
but for what certain pairs of its letter show on average. Axes: M molecules, N nucleotides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudy.rna.features import (
    CERTAIN,
    FEWEST,
    ZONE,
    Floats,
    Integers,
    counted_rows,
    pairing_of_rows,
    places_of,
)
from understudy.rna.pairing import Pairs
from understudy.rna.table import ALPHABET, CHEMICALS, Molecules

MOST = (
    0.4  # of the control; the treated rates of a library do not depend on it up to here, and not far beyond
)
_HIGH = 0.5  # reactivities from where on errors are well above their rounding
_LOWEST = 0.02  # quantile: nearly the smallest error of counts, that without a control
_NEAR, _SHARE = 1.1, 0.3  # of the nucleotides of a sparse control so many have nearly the smallest error
_BELOW = -0.1  # reactivities from which what a read of the control is worth is told
_FEWEST = 3  # of them in a molecule; with fewer it has the worth that is usual in the library
_MUCH = 2.0  # times what treated pairs usually show: in a zone that shows more, reads of others are counted
_FAR_BELOW, _SUSPECT = -0.3, 0.05  # a share of the reactivities that no good control pulls below
_LOOKED_AT = 2000  # molecules; a library tells its control from far fewer than it has
_PAIRED = 0.5  # of pairing, from where on a nucleotide of a hairpin is of its stem
_ROUNDS = 5  # the level of treated paired nucleotides changes by less than a hundredth after four
_FIRST = 0.1  # of these levels

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Control:
    """Of one chemical and each nucleotide: ``rate`` (N,), what was subtracted, and ``treated`` (N,), from what.

    The rate is zero where nothing tells it. The treated rate is NaN where nothing is known of it, and less sure
    where reads of other molecules are counted (``mixed``, (N,)); of a ``stem`` (N,) there nothing is known at all.
    """

    rate: Floats
    treated: Floats
    mixed: NDArray[np.bool_]
    stem: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SparseControl:
    """What holds for all molecules of a library, of the control of one ``chemical``.

    Args:
        unit: what one mutated read among one read is worth, treated.
        level: what treated paired nucleotides show.
        worth: what a mutated read is worth in both experiments together, in multiples of the treated one; of a
            molecule that does not tell it itself.
        mixed: zones in which reads of other molecules are counted, and what is added there by letter, (4,), to
            reactivities as reported.
    """

    chemical: str
    unit: float
    level: float
    worth: float
    mixed: dict[int, Doubles]

    def of(self, molecules: Molecules, pairs: Pairs) -> Control:
        """The control of each nucleotide, of molecules of this library; ``pairs`` are theirs."""
        reads = _Reads(molecules, self.chemical)
        rate = reads.control(self.unit, self.level, self.worth)
        treated = reads.reactivity + rate
        treated[rate > MOST] = np.nan
        zones = places_of(molecules, np.arange(len(molecules))) // ZONE
        for zone, added in self.mixed.items():
            here = zones == zone
            treated[here] = reads.reactivity[here] + added[molecules.tokens[here]]
        mixed = np.isin(zones, list(self.mixed))
        stem = mixed & (_paired(molecules, pairs) >= _PAIRED)
        treated[stem] = np.nan
        return Control(rate.astype(np.float32), treated.astype(np.float32), mixed, stem)


class _Reads:
    """One chemical: ``reactivity`` and ``error`` (N,), and what is one through the reads of a molecule (M,)."""

    def __init__(self, molecules: Molecules, chemical: str) -> None:
        k = CHEMICALS.index(chemical)
        self.owner = np.repeat(np.arange(len(molecules)), molecules.lengths)
        self.reactivity, self.error = (
            a[:, k].astype(np.float64) for a in (molecules.reactivity, molecules.error)
        )
        with np.errstate(divide="ignore"):
            per_read = 1 / molecules.reads[:, k].astype(np.float64)
        self.per_read = np.where(
            np.isfinite(per_read), per_read, np.nan
        )  # (M,), NaN where they are not known
        self.counted = counted_rows(molecules, np.arange(len(molecules)))
        self.counted &= np.isfinite(self.per_read)[self.owner]

    def unit(self) -> float | None:
        """What one mutated read among one read is worth; None where hardly a nucleotide has no control."""
        high = self.counted & (self.reactivity > _HIGH) & np.isfinite(self.error)
        if not high.any():
            return None
        found = self.error[high] ** 2 / (self.reactivity[high] * self.per_read[self.owner[high]])
        unit = float(np.quantile(found, _LOWEST))
        sparse = unit > 0 and float((found < _NEAR * unit).mean()) >= _SHARE
        return unit if sparse else None

    def worth_of_both(self, unit: float, level: float) -> Doubles:
        """(M,) ``d + k`` in multiples of ``d``: the median of a molecule's nucleotides, NaN if they cannot tell."""
        below = np.flatnonzero((self.reactivity < _BELOW) & np.isfinite(self.per_read)[self.owner])
        owner, excess = self.owner[below], self._excess(unit)[below]
        found = excess / (level - self.reactivity[below])
        order = np.lexsort((found, owner))
        counts = np.bincount(owner, minlength=len(self.per_read))
        enough = counts >= _FEWEST
        middle = (np.cumsum(counts) - counts + counts // 2)[enough]
        both = np.full(len(self.per_read), np.nan)
        both[enough] = found[order][middle]
        worth = unit * self.per_read
        return np.where(both > worth, both / worth, np.nan)

    def control(self, unit: float, level: float, usual: float) -> Doubles:
        """(N,) what was subtracted."""
        both = self.worth_of_both(unit, level)
        both = np.where(np.isfinite(both), both, usual) * unit * self.per_read
        rate: Doubles = np.nan_to_num(self._excess(unit) / both[self.owner])
        return rate

    def _excess(self, unit: float) -> Doubles:
        """(N,) of the squared errors, over those of the treated experiment alone."""
        least = unit * self.per_read[self.owner] * self.reactivity
        excess: Doubles = np.maximum(np.nan_to_num(self.error**2 - least), 0)
        return excess


class Undone(NamedTuple):
    """Copies of molecules with their control undone, and of what was ``reported`` of them, NaN in mixed zones.

    ``unknowable`` (N, 2): a stem in a mixed zone.
    """

    treated: Molecules
    reported: Molecules
    unknowable: NDArray[np.bool_]


def without_control(molecules: Molecules, pairs: Pairs, controls: Sequence[SparseControl]) -> Undone:
    """The molecules with ``controls`` undone."""
    treated, reported = molecules.reactivity.copy(), molecules.reactivity.copy()
    unknowable = np.zeros(treated.shape, np.bool_)
    for one in controls:
        k, control = CHEMICALS.index(one.chemical), one.of(molecules, pairs)
        treated[:, k] = control.treated
        reported[control.mixed, k] = np.nan
        unknowable[:, k] = control.stem
    return Undone(replace(molecules, reactivity=treated), replace(molecules, reactivity=reported), unknowable)


def seem_poor(molecules: Molecules, index: Integers) -> list[str]:
    """The chemicals whose errors are those of a sparse control, and whose reactivities show the harm it does."""
    some = molecules.take(np.asarray(index)[:: max(1, len(index) // _LOOKED_AT)])
    found = []
    for chemical in CHEMICALS:
        reads = _Reads(some, chemical)
        pulled = reads.counted.any() and (reads.reactivity[reads.counted] < _FAR_BELOW).mean() >= _SUSPECT
        if pulled and reads.unit() is not None:
            found.append(chemical)
    return found


def fit_control(molecules: Molecules, pairs: Pairs, chemical: str) -> SparseControl | None:
    """What ``molecules`` tell of the control of ``chemical``; None where the errors are not those of a sparse one.

    Levels are those of molecules that pass the filter.
    """
    reads = _Reads(molecules, chemical)
    unit = reads.unit()
    if unit is None:
        return None
    certain = reads.counted & (_paired(molecules, pairs) >= CERTAIN)
    level = after = _FIRST
    for _ in range(_ROUNDS):
        level = after
        told = reads.worth_of_both(unit, level)
        usual = float(np.median(told[np.isfinite(told)])) if np.isfinite(told).any() else np.nan
        rate = reads.control(unit, level, usual)
        shown = (reads.reactivity + rate)[certain & (rate < MOST)]
        if not len(shown):
            return None
        after = max(float(np.median(shown)), 0.0)
    zones = places_of(molecules, np.arange(len(molecules))) // ZONE
    others, level_elsewhere = _mixed(zones, reads.reactivity + rate, certain)
    mixed = {}
    for zone in others:
        pairs_there = certain & (zones == zone)
        by_letter = [pairs_there & (molecules.tokens == token) for token in range(len(ALPHABET))]
        enough = [here if here.sum() >= FEWEST else pairs_there for here in by_letter]
        mixed[zone] = np.array([level_elsewhere - np.median(reads.reactivity[here]) for here in enough])
    return SparseControl(chemical, unit, level, usual, mixed)


def _paired(molecules: Molecules, pairs: Pairs) -> Floats:
    """(N,) the probability of being paired."""
    return pairing_of_rows(pairs, molecules, np.arange(len(molecules)))[:, 0]


def _mixed(zones: Integers, treated: Doubles, shown: NDArray[np.bool_]) -> tuple[list[int], float]:
    """The zones in which reads of other molecules are counted, and what ``shown`` nucleotides show in a usual one.

    They show much more in a mixed one.
    """
    levels = {}
    for zone in range(int(zones.max(initial=0)) + 1):
        here = treated[shown & (zones == zone)]
        if len(here) >= FEWEST:
            levels[zone] = float(np.median(here))
    usual = float(np.median(list(levels.values()))) if levels else np.nan
    return [zone for zone, level in levels.items() if level > _MUCH * usual], usual
