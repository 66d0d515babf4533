"""What every network is compared with: medians and boosted trees, with and without pairing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from understudy.rna.evaluate import ProfileEvaluation, evaluate_profiles
from understudy.rna.features import Integers, rows_of
from understudy.rna.medians import Medians, fit_medians
from understudy.rna.pairing.pairs import offsets_of
from understudy.rna.trees import Trees, TreeSettings, fit_trees

if TYPE_CHECKING:
    from understudy.rna.molecules import Molecules
    from understudy.rna.pairing import Pairs

Baseline = Medians | Trees


def fit_baselines(
    molecules: Molecules,
    train: Integers,
    *,
    pairs: Pairs | None = None,
    trees: bool = True,
    settings: TreeSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Baseline]:
    """Fit all baselines on the molecules ``train``, from the simplest to the best.

    Without ``pairs`` of all ``molecules`` those that need them are left out, and without ``trees`` the boosted
    ones, which take a while. ``on_progress`` is told how many are fitted, and how many there will be.

    Raises:
        DataError: no training molecule has both chemicals measured with ``SN_filter = 1``.
    """
    work: list[Callable[[], Baseline]] = [
        partial(fit_medians, molecules, train, "chemical"),
        partial(fit_medians, molecules, train, "nucleotide"),
    ]
    known = [None] if pairs is None else [None, pairs]
    if pairs is not None:
        work.append(partial(fit_medians, molecules, train, "pairing", pairs=pairs))
    if trees:
        work += [partial(fit_trees, molecules, train, pairs=p, settings=settings) for p in known]
    fitted = []
    for done, fit in enumerate(work, start=1):
        fitted.append(fit())
        if on_progress is not None:
            on_progress(done, len(work))
    return fitted


def evaluate_baselines(
    baselines: Sequence[Baseline],
    molecules: Molecules,
    index: Integers,
    *,
    pairing: NDArray[np.float32] | None = None,
) -> list[ProfileEvaluation]:
    """Evaluate each baseline on the molecules ``index``; ``pairing`` (N, 2) of their nucleotides.

    Raises:
        ValueError: boosted trees that were fitted with pairing, and no ``pairing``.
    """
    tokens = molecules.tokens[rows_of(molecules.offsets, index)]
    offsets = offsets_of(molecules.lengths[index])
    found = []
    for baseline in baselines:
        started = time.perf_counter()
        if isinstance(baseline, Medians):
            guess = baseline.predict(tokens, pairing if baseline.kind == "pairing" else None)
        else:
            guess = baseline.predict(tokens, offsets, pairing if baseline.with_pairing else None)
        seconds = (time.perf_counter() - started) / max(len(index), 1)
        found.append(
            evaluate_profiles(
                baseline.name, molecules, index, guess, pairing=pairing, seconds_per_molecule=seconds
            )
        )
    return found
