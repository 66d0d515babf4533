"""What every network is compared with: medians and boosted trees, with and without pairing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from understudy.core.bundle import find_bundle
from understudy.core.files import write_json
from understudy.errors import ModelError
from understudy.rna.evaluate import ProfileEvaluation, evaluate_profiles
from understudy.rna.features import Integers, drawn, pairing_of_rows, rows_of
from understudy.rna.intervals import fit_profile_intervals
from understudy.rna.medians import Medians, fit_medians
from understudy.rna.pairing.pairs import offsets_of
from understudy.rna.trees import Trees, TreeSettings, fit_trees

if TYPE_CHECKING:
    from understudy.rna.molecules import Molecules
    from understudy.rna.pairing import Pairs

Baseline = Medians | Trees

MEDIANS = "medians.json"
TREES = {False: "trees.skops", True: "trees_with_pairing.skops"}


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


def with_intervals(trees: Trees, molecules: Molecules, index: Integers, pairs: Pairs | None) -> Trees:
    """``trees`` with intervals fitted on molecules of ``index``, which did not train: as many as may fit trees."""
    index = drawn(molecules, np.asarray(index), trees.settings.max_molecules, trees.settings.seed)
    rows = rows_of(molecules.offsets, index)
    pairing = pairing_of_rows(pairs, molecules, index) if trees.with_pairing and pairs is not None else None
    tokens = molecules.tokens[rows]
    prediction = trees.predict(tokens, offsets_of(molecules.lengths[index]), pairing)
    return replace(trees, intervals=fit_profile_intervals(prediction, molecules.reactivity[rows], tokens))


def write_baselines(folder: Path, baselines: Sequence[Baseline]) -> None:
    """Keep them in the folder of their run."""
    place = folder / "baselines"
    write_json(place / MEDIANS, [b.to_json() for b in baselines if isinstance(b, Medians)])
    for baseline in baselines:
        if isinstance(baseline, Trees):
            baseline.save(place / TREES[baseline.with_pairing])


def read_baselines(run: Path, *, with_pairing: bool) -> list[Baseline]:
    """Those that the folder of a run (or of its bundle) holds; without ``with_pairing`` those that need none.

    Raises:
        ModelError: no run, or its baselines are damaged.
    """
    place = find_bundle(run).parent / "baselines"
    found: list[Baseline] = []
    try:
        if (place / MEDIANS).is_file():
            found += [Medians.from_json(m) for m in json.loads((place / MEDIANS).read_text(encoding="utf-8"))]
    except ValueError as error:
        raise ModelError(f"{place / MEDIANS}: damaged: {error}") from error
    found += [Trees.load(place / name) for name in TREES.values() if (place / name).is_file()]
    return [b for b in found if with_pairing or not needs_pairing(b)]


def needs_pairing(baseline: Baseline) -> bool:
    """Whether it can only predict where pairing probabilities are known."""
    return baseline.with_pairing if isinstance(baseline, Trees) else baseline.kind == "pairing"


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
        known = pairing if needs_pairing(baseline) else None
        if isinstance(baseline, Medians):
            guess = baseline.predict(tokens, known)
        else:
            guess = baseline.predict(tokens, offsets, known)
        seconds = (time.perf_counter() - started) / max(len(index), 1)
        found.append(
            evaluate_profiles(
                baseline.name, molecules, index, guess, pairing=pairing, seconds_per_molecule=seconds
            )
        )
    return found
