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
    rows_of,
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
    where reads of other molecules are counted (``mixed``, (N,)).
    """

    rate: Floats
    treated: Floats
    mixed: NDArray[np.bool_]

    def undone(self, molecules: Molecules, chemical: str) -> Molecules:
        """A copy with treated rates for reactivities."""
        reactivity = molecules.reactivity.copy()
        reactivity[:, CHEMICALS.index(chemical)] = self.treated
        return replace(molecules, reactivity=reactivity)


def without_control(
    molecules: Molecules, index: Integers, pairs: Pairs, chemicals: Sequence[str]
) -> tuple[Molecules, Molecules, list[str]]:
    """The molecules with the control of ``chemicals`` undone, what was reported of them, and lines for a person.

    Returns:
        Two copies, and a line a chemical. In the second one is NaN where reads of other molecules are counted.
    """
    lines, reported = [], molecules
    rows = rows_of(molecules.offsets, index)
    for chemical in chemicals:
        control = fit_control(molecules, index, pairs, chemical)
        if control is None:
            lines.append(f"the errors of {chemical} are not those of a sparse control: it stays subtracted")
            continue
        lost = float(np.isnan(control.treated[rows])[counted_rows(molecules, index)].mean())
        lines.append(
            f"the control of {chemical} is told from the errors and added again; {100 * lost:.1f} % of the "
            f"training nucleotides, where it was more than {MOST:g} or reads are mixed, are left out"
        )
        molecules = control.undone(molecules, chemical)
        told = reported.reactivity.copy()
        told[control.mixed, CHEMICALS.index(chemical)] = np.nan
        reported = replace(reported, reactivity=told)
    return molecules, reported, lines


def seem_poor(molecules: Molecules, index: Integers) -> list[str]:
    """The chemicals whose errors are those of a sparse control, and whose reactivities show the harm it does."""
    some = molecules.take(np.asarray(index)[:: max(1, len(index) // _LOOKED_AT)])
    everything = np.arange(len(some))
    owner = np.repeat(everything, some.lengths)
    counted, found = counted_rows(some, everything), []
    for k, chemical in enumerate(CHEMICALS):
        reactivity, error = (a[:, k].astype(np.float64) for a in (some.reactivity, some.error))
        per_read = _per_read(some, k)[owner]
        learnt = counted & np.isfinite(per_read)
        pulled = learnt.any() and (reactivity[learnt] < _FAR_BELOW).mean() >= _SUSPECT
        if pulled and _unit(reactivity, error, per_read, learnt) is not None:
            found.append(chemical)
    return found


def fit_control(molecules: Molecules, index: Integers, pairs: Pairs, chemical: str) -> Control | None:
    """The control of ``chemical`` of all molecules; None where the errors are not those of a sparse control.

    Args:
        index: the molecules whose scored ones give what one number holds for the library.
        pairs: of all ``molecules``.
    """
    k = CHEMICALS.index(chemical)
    owner = np.repeat(np.arange(len(molecules)), molecules.lengths)
    reactivity, error = (a[:, k].astype(np.float64) for a in (molecules.reactivity, molecules.error))
    per_read = _per_read(molecules, k)
    learnt = np.zeros(len(owner), np.bool_)
    rows = rows_of(molecules.offsets, index)
    learnt[rows] = counted_rows(molecules, index) & np.isfinite(per_read)[owner[rows]]
    unit = _unit(reactivity, error, per_read[owner], learnt)
    if unit is None:
        return None
    worth = unit * per_read
    excess = np.maximum(np.nan_to_num(error**2 - worth[owner] * reactivity), 0)
    pairing = pairing_of_rows(pairs, molecules, np.arange(len(molecules)))[:, 0]
    certain = pairing >= CERTAIN
    below = (reactivity < _BELOW) & np.isfinite(worth)[owner]
    rate, level = np.zeros_like(excess), _FIRST
    for _ in range(_ROUNDS):
        both = _worth_of_both(excess[below] / (level - reactivity[below]), owner[below], worth)
        rate = np.nan_to_num(excess / both[owner])
        shown = (reactivity + rate)[learnt & certain & (rate < MOST)]
        if not len(shown):
            return None
        level = max(float(np.median(shown)), 0.0)
    treated = reactivity + rate
    treated[rate > MOST] = np.nan
    mixed = np.zeros(len(owner), np.bool_)
    zones = places_of(molecules, np.arange(len(molecules))) // ZONE
    others, usual = _mixed(zones, reactivity + rate, learnt & certain)
    for zone in others:
        within = zones == zone
        mixed |= within
        for token in range(len(ALPHABET)):
            here = within & (molecules.tokens == token)
            pairs_there = learnt & certain & here
            if pairs_there.sum() < FEWEST:
                pairs_there = learnt & certain & within
            treated[here] = reactivity[here] + usual - np.median(reactivity[pairs_there])
    treated[mixed & (pairing >= _PAIRED)] = np.nan
    return Control(rate.astype(np.float32), treated.astype(np.float32), mixed)


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


def _per_read(molecules: Molecules, k: int) -> Doubles:
    """(M,) one through the reads of chemical ``k``; NaN where they are not known."""
    with np.errstate(divide="ignore"):
        per_read = 1 / molecules.reads[:, k].astype(np.float64)
    per_read[~np.isfinite(per_read)] = np.nan
    return per_read


def _unit(reactivity: Doubles, error: Doubles, per_read: Doubles, learnt: NDArray[np.bool_]) -> float | None:
    """What one mutated read among one read is worth; None where hardly a nucleotide has no control."""
    high = learnt & (reactivity > _HIGH) & np.isfinite(error)
    if not high.any():
        return None
    found = error[high] ** 2 / (reactivity[high] * per_read[high])
    unit = float(np.quantile(found, _LOWEST))
    sparse = unit > 0 and float((found < _NEAR * unit).mean()) >= _SHARE
    return unit if sparse else None


def _worth_of_both(found: Doubles, owner: Integers, worth: Doubles) -> Doubles:
    """(M,) ``d + k``: the median of what the nucleotides of a molecule say, or the usual multiple of ``d``."""
    order = np.lexsort((found, owner))
    counts = np.bincount(owner, minlength=len(worth))
    enough = counts >= _FEWEST
    middle = (np.cumsum(counts) - counts + counts // 2)[enough]
    both = np.full(len(worth), np.nan)
    both[enough] = found[order][middle]
    sound = both > worth
    usual = float(np.median(both[sound] / worth[sound])) if sound.any() else np.nan
    return np.where(sound, both, usual * worth)
