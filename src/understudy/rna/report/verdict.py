"""What a person wants to know first: the official figure, beside the best baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.core.intervals import DEFAULT
from understudy.report.numbers import listing, percent
from understudy.report.verdict import MAY_LACK
from understudy.rna.evaluate import ProfileEvaluation
from understudy.rna.molecules import CHEMICALS
from understudy.rna.report import texts
from understudy.rna.tallies import Doubles

_SURE = 2.0  # standard errors from which on a difference is more than chance


@dataclass(frozen=True)
class Difference:
    """How much larger the error of one method is than that of another, and the standard error of that.

    Molecules are taken as independent of one another; nucleotides of one molecule are not.
    """

    value: float
    error: float

    @property
    def sure(self) -> bool:
        """Whether it is more than chance would give."""
        return bool(abs(self.value) > _SURE * self.error)


def difference(one: ProfileEvaluation, other: ProfileEvaluation, chemical: int | None = None) -> Difference:
    """Of the official figure of two methods on the same molecules, or of that of one chemical."""
    mine, theirs = _sums(one, chemical), _sums(other, chemical)
    counts = one.molecule.count * (2 if chemical is None else 1)
    kept = counts > 0
    gap, counts = (mine - theirs)[kept], counts[kept]
    n = len(counts)
    value = float(gap.sum() / counts.sum())
    if n < 2:
        return Difference(value, float("inf"))
    spread = ((gap - value * counts) ** 2).sum() * n / (n - 1)
    return Difference(value, float(np.sqrt(spread) / counts.sum()))


def _sums(evaluation: ProfileEvaluation, chemical: int | None) -> Doubles:
    total = evaluation.molecule.total
    return total.sum(axis=1) if chemical is None else total[:, chemical]


def best_of(baselines: Sequence[ProfileEvaluation]) -> ProfileEvaluation | None:
    """The baseline with the lowest official figure."""
    usable = [b for b in baselines if np.isfinite(b.mae)]
    return min(usable, key=lambda b: b.mae) if usable else None


def broken_promise(evaluation: ProfileEvaluation) -> str:
    """The chemicals whose intervals hold far fewer nucleotides than was asked, in a sentence; else nothing."""
    found = evaluation.held(DEFAULT)
    if found is None:
        return ""
    shares = zip(CHEMICALS, found.coverage[-1].tolist(), strict=True)
    broken = [f"{c} ({percent(share, 0)})" for c, share in shares if share < DEFAULT - MAY_LACK]
    if not broken:
        return ""
    return (
        f"Intervals of {percent(DEFAULT)} hold too few nucleotides of {listing(broken)}: these molecules are not "
        "like those that validated, or those were too few. Do not rely on them."
    )


def verdict(evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation]) -> str:
    """How the network compares with the best baseline by the official figure."""
    name, n = evaluation.name, evaluation.n_scored
    if not n:
        total = len(evaluation.index)
        which = (
            f"none of the {texts.count(total)} molecules was" if total != 1 else "the only molecule was not"
        )
        return f"{name} cannot be judged: {which} measured well enough (SN_filter = 1) with both chemicals."
    if not np.isfinite(evaluation.mae):
        broken = int(np.isnan(evaluation.molecule.mae[evaluation.molecule.count > 0]).sum())
        where = f"{texts.count(broken)} of {texts.molecules(n)}"
        return f"{name} cannot be used as it is: it predicted what is not a number in {where}."
    molecules = texts.molecules(n)
    best = best_of(baselines)
    own = texts.error(evaluation.mae)
    if best is None:
        return f"{name} is off by {own} on average over {molecules}, without a baseline to compare it with."
    gap = difference(evaluation, best)
    theirs = texts.error(best.mae)
    if not gap.sure:
        own, theirs = texts.error(evaluation.mae, 4), texts.error(best.mae, 4)
        head = (
            f"{name} is as good as the best baseline, as far as {molecules} can tell: it is off by {own} on "
        )
        head += f"average, {best.name} by {theirs}."
    elif gap.value < 0:
        less = -gap.value / best.mae
        head = f"{name} beats every baseline: it is off by {own} on average, {percent(less)} less than "
        head += f"{best.name} ({theirs})."
    else:
        more = f", {percent(gap.value / best.mae)} more than" if best.mae > 0 else "; not so"
        head = (
            f"{name} does not beat the baselines: it is off by {own} on average{more} {best.name} ({theirs})."
        )
    return head + _exception(evaluation, baselines, gap)


def _exception(evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation], gap: Difference) -> str:
    """The chemical on which a network that wins in all is beaten."""
    if not (gap.sure and gap.value < 0):
        return ""
    for k, chemical in enumerate(CHEMICALS):
        usable = [b for b in baselines if np.isfinite(b.mae)]
        rival = min(usable, key=lambda b: float(b.overall.by_chemical[0, k]))
        against = difference(evaluation, rival, k)
        if against.sure and against.value > 0:
            ours, theirs = (texts.error(float(e.overall.by_chemical[0, k])) for e in (evaluation, rival))
            return f" On {chemical} alone it is beaten by {rival.name} ({theirs} against {ours})."
    return ""
