"""An RNA training run: which molecules do what, which baselines stand beside, what the report shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from understudy.core.bundle import load_bundle, title_of
from understudy.core.facts import RunFacts
from understudy.core.nets import build_net
from understudy.core.nets.tokens import TokenSizes
from understudy.core.oneshot import OneShotModel
from understudy.core.spec import DataSpec, Role, Signal
from understudy.core.study import Outcome, Parts, Request
from understudy.errors import ConfigError, DataError, ModelError, did_you_mean
from understudy.progress import Progress
from understudy.rna.background import without_background
from understudy.rna.baselines import (
    Baseline,
    evaluate_baselines,
    fit_baselines,
    read_baselines,
    with_intervals,
    write_baselines,
)
from understudy.rna.batches import Probed
from understudy.rna.control import seem_poor
from understudy.rna.datasets import Probing, RnaDataset
from understudy.rna.evaluate import ProfileEvaluation, evaluate_profiles, metrics_of, table_lines
from understudy.rna.features import pairing_of_rows, rows_of
from understudy.rna.groups import folds, longest_held_out
from understudy.rna.intervals import ProfileIntervals, fit_profile_intervals
from understudy.rna.molecules import read_molecules
from understudy.rna.pairing import Pairs, available, pairing_of, pairings_of
from understudy.rna.predict.ensemble import Ensemble, Predictor, over_pairings
from understudy.rna.predictor import FLIPS, NetworkPredictor, four, trees_of
from understudy.rna.report import write_profile_report
from understudy.rna.report.verdict import broken_promise
from understudy.rna.table import ALPHABET, CHEMICALS, Molecules
from understudy.rna.task import Reactivities
from understudy.rna.trees import Trees, TreeSettings
from understudy.rna.vienna import ENERGIES

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
CHOICES = {"pairing": ("auto", "vienna", "none"), "background": ("none", *CHEMICALS, "both")}
_DEBUG_MOLECULES = 200


def spec_of(*, errors: bool) -> DataSpec:
    """What a reactivity network maps: letters to both chemicals, and to their errors where it predicts them."""
    predicted = [Signal(f"error_{c}", role=Role.BYPRODUCT) for c in CHEMICALS] if errors else []
    signals = [
        Signal("nucleotide", role=Role.CONTROL),
        *predicted,
        *(Signal(c, role=Role.TARGET) for c in CHEMICALS),
    ]
    return DataSpec(tuple(signals), step=1.0, step_unit="nt", domain="rna")


class ReactivityStudy:
    """Reactivities of the test molecules, with medians and boosted trees beside the network."""

    def __init__(self, request: Request) -> None:
        self._request = request
        d = self._probing = cast(Probing, request.dataset)
        self._dataset = cast(RnaDataset, request.dataset)
        for key, allowed in CHOICES.items():
            if (value := getattr(d, key)) not in allowed:
                raise ConfigError(
                    f"dataset.{key} {value!r} is not one of {', '.join(allowed)}{did_you_mean(value, allowed)}"
                )
        self._task = Reactivities(
            weighting=d.weighting,
            noisy=d.noisy,
            error_weight=d.error_weight,
            flip=d.flip,
            pieces=d.pieces,
            ends=d.ends,
            bucket=d.bucket,
            positions=d.positions,
        )
        s = request.settings
        if not 0 <= s.fold < s.nfolds:
            raise ConfigError(
                f"settings.fold {s.fold} must be from 0 to {s.nfolds - 1} (settings.nfolds {s.nfolds})"
            )
        self._baselines: list[Baseline] = []
        self._test: Probed
        self._intervals: ProfileIntervals | None = None

    @property
    def task(self) -> Reactivities:
        return self._task

    def load(self, progress: Progress) -> Parts:
        most = _DEBUG_MOLECULES if self._request.settings.is_debug else None
        with progress.bar("reading the molecules"):
            molecules = self._dataset.read(most)
            apart = self._dataset.read_test(most)
        notes: list[str] = []
        table = Probed(molecules, self._pairs(molecules, progress, notes))
        with progress.bar("parting the molecules"):
            parts = self._split(molecules, apart)
        train, val, test = parts
        self._test = table  # as measured, whatever is learnt
        table = self._learnt(table, train, notes)
        if apart is not None:
            self._test = Probed(apart, None if table.pairs is None else self._pairs(apart, progress, notes))
        for what, source, index in (("validation", molecules, val), ("test", self._test.molecules, test)):
            if not source.scored[index].any():
                raise DataError(
                    f"no {what} molecule has SN_filter = 1 for both chemicals: nothing can be scored"
                )
        counts = f"{len(train):,} train, {len(val):,} validate, {len(test):,} test"
        lengths = molecules.lengths
        return Parts(
            table=table,
            spec=spec_of(errors=self._probing.error_weight > 0),
            fingerprint=molecules.fingerprint,
            train=train.tolist(),
            val=val.tolist(),
            test=test.tolist(),
            split={
                "train": [molecules.ids[i] for i in train],
                "val": [molecules.ids[i] for i in val],
                "test": [self._test.molecules.ids[i] for i in test],
                "nfolds": self._request.settings.nfolds,
                "fold": self._request.settings.fold,
                "similar": self._probing.similar,
                "seed": self._request.settings.seed_of_split,
                "fingerprint": molecules.fingerprint,
            },
            summary=(
                f"{len(molecules):,} molecules ({counts}), {len(molecules.tokens):,} nucleotides, lengths "
                f"{lengths.min()} to {lengths.max()}, {'without' if table.pairs is None else 'with'} pairing "
                "probabilities"
            ),
            notes=notes,
            facts={
                "molecules": counts.replace("validate", "validation"),
                "fold": f"{self._request.settings.fold} of {self._request.settings.nfolds}",
                "pairing probabilities": "no" if table.pairs is None else "ViennaRNA",
                FLIPS: "yes" if self._probing.flip else "no",
            },
        )

    def _learnt(self, table: Probed, train: Ints, notes: list[str]) -> Probed:
        """The molecules as they are learnt from."""
        wanted = self._probing.background
        if wanted == "none":
            notes += [
                f"the control of {chemical} looks poor: many reactivities are far below zero, and the errors say "
                f"that it is sparse; dataset.background={chemical} undoes it"
                for chemical in seem_poor(table.molecules, train)
            ]
            return table
        if table.pairs is None:
            raise DataError(f"dataset.background={wanted} needs base-pairing probabilities")
        chemicals = CHEMICALS if wanted == "both" else (wanted,)
        mended = without_background(table.molecules, train, table.pairs, chemicals)
        notes += mended.lines
        return Probed(mended.molecules, table.pairs, mended.unknowable)

    def _pairs(self, molecules: Molecules, progress: Progress, notes: list[str]) -> Pairs | None:
        wanted = self._probing.pairing
        if wanted == "none":
            return None
        missing = available()
        if missing is not None:
            if wanted == "vienna":
                raise DataError(f"dataset.pairing=vienna: {missing}")
            notes.append(f"without base-pairing probabilities: {missing}")
            return None
        folder = self._probing.pairing_folder
        with progress.bar("base-pairing probabilities") as on_progress:
            return pairing_of(
                [molecules.sequence(i) for i in range(len(molecules))],
                folder=Path(folder).expanduser() if folder else None,
                on_progress=on_progress,
            )

    def _split(self, molecules: Molecules, apart: Molecules | None) -> tuple[Ints, Ints, Ints]:
        """Numbers of the molecules that train, validate and test; the last ones of ``apart`` where it is given."""
        s, d = self._request.settings, self._probing
        # The first molecules of a file may all resemble each other: a quick look does without groups.
        similar: bool | float = False if d.similar is None or s.is_debug else d.similar
        here = np.arange(len(molecules))
        if apart is not None:
            fold = folds(molecules, s.nfolds, s.seed_of_split, similar=similar)
            known = _equal_to_one_of(molecules, apart)
            held, test = fold == s.fold, np.arange(len(apart))
            return here[~held & ~known], here[held & ~known], test
        if d.test_longer_than is not None:
            long = longest_held_out(molecules, d.test_longer_than)
            short = here[~long]
            held = folds(molecules.take(short), s.nfolds, s.seed_of_split, similar=similar) == s.fold
            return short[~held], short[held], here[long]
        held = folds(molecules, s.nfolds, s.seed_of_split, similar=similar) == s.fold
        rest = here[~held]
        if not 0 < d.val_size < 1:
            raise ConfigError(f"dataset.val_size is a share between 0 and 1, not {d.val_size}")
        parts = max(2, round(1 / d.val_size))
        val = folds(molecules.take(rest), parts, s.seed_of_split, similar=similar) == 0
        return rest[~val], rest[val], here[held]

    def fit_baselines(self, parts: Parts, progress: Progress) -> None:
        table: Probed = parts.table
        most = 100 if self._request.settings.is_debug else self._probing.tree_molecules
        with progress.bar("fitting the baselines") as on_progress:
            fitted = fit_baselines(
                table.molecules,
                np.asarray(parts.train),
                pairs=table.pairs,
                trees=self._probing.trees,
                settings=TreeSettings(max_molecules=most, seed=self._request.settings.seed),
                on_progress=on_progress,
            )
        self._baselines = [
            with_intervals(b, table.molecules, np.asarray(parts.val), table.pairs)
            if isinstance(b, Trees)
            else b
            for b in fitted
        ]
        write_baselines(self._request.folder, self._baselines)

    def closed_form(self, network: str) -> nn.Module | None:
        return None

    def build(
        self, parts: Parts, network: str, arguments: Mapping[str, Any], progress: Progress
    ) -> OneShotModel:
        sizes = TokenSizes(len(ALPHABET), len(parts.spec.predicted), len(CHEMICALS))
        return OneShotModel(build_net(network, sizes, dict(arguments)))

    def calibrate(self, parts: Parts, model: nn.Module) -> dict[str, Any] | None:
        """Intervals from the validation molecules that are scored, as they are learnt."""
        table: Probed = parts.table
        molecules = table.molecules
        index = np.asarray(parts.val)
        index = index[molecules.scored[index]]
        prediction = np.concatenate(
            self._task.predict(cast(OneShotModel, model.eval()), table, index.tolist())
        )
        rows = rows_of(molecules.offsets, index)
        self._intervals = fit_profile_intervals(
            prediction, molecules.reactivity[rows], molecules.tokens[rows]
        )
        return self._intervals.to_json()

    def baselines(self) -> Mapping[str, nn.Module]:
        return {}

    def report(
        self,
        parts: Parts,
        network: str,
        model: nn.Module,
        others: Mapping[str, nn.Module],
        facts: RunFacts,
        progress: Progress,
    ) -> Outcome:
        index = np.asarray(parts.test)
        pairing = _pairing(self._test, index)
        networks = {network: model, **others}
        with progress.bar("predicting the test molecules"):
            evaluations = [self._evaluated(name, one, index, pairing) for name, one in networks.items()]
        evaluations[0] = replace(evaluations[0], intervals=self._intervals)
        beside = evaluate_baselines(self._baselines, self._test.molecules, index, pairing=pairing)
        return _written(
            self._request.folder,
            evaluations[0],
            [*evaluations[1:], *beside],
            facts,
            self._request.report.figures,
            progress,
        )

    def _evaluated(
        self, name: str, model: nn.Module, index: Ints, pairing: Floats | None
    ) -> ProfileEvaluation:
        one = cast(OneShotModel, model)
        predict = partial(self._task.predict, one, self._test, index.tolist())
        return _timed(name, self._test.molecules, index, pairing, predict)


def _pairing(data: Probed, index: Ints) -> Floats | None:
    """(N, 2) sum and maximum of the pairing probabilities of the nucleotides of the molecules ``index``."""
    return None if data.pairs is None else pairing_of_rows(data.pairs, data.molecules, index)


def _equal_to_one_of(molecules: Molecules, others: Molecules) -> NDArray[np.bool_]:
    """(M,) whether the very sequence stands in ``others`` too: it must not be learnt from."""
    theirs = {others.sequence(i) for i in range(len(others))}
    return np.fromiter((molecules.sequence(i) in theirs for i in range(len(molecules))), bool, len(molecules))


def _timed(
    name: str,
    molecules: Molecules,
    index: Ints,
    pairing: Floats | None,
    predict: Callable[[], Sequence[Floats]],
) -> ProfileEvaluation:
    begin = time.perf_counter()
    prediction = np.concatenate([four(rows) for rows in predict()])
    seconds = (time.perf_counter() - begin) / max(1, len(index))
    return evaluate_profiles(
        name, molecules, index, prediction, pairing=pairing, seconds_per_molecule=seconds
    )


def _written(
    folder: Path,
    evaluation: ProfileEvaluation,
    beside: Sequence[ProfileEvaluation],
    facts: RunFacts,
    figures: bool,
    progress: Progress,
) -> Outcome:
    with progress.bar("drawing the figures") as on_progress:
        write_profile_report(folder, evaluation, beside, facts, figures=figures, on_progress=on_progress)
    scores = {f"baseline/{other.name}/mae": other.mae for other in beside}
    lines = table_lines(evaluation, beside)
    if broken := broken_promise(evaluation):
        lines.append(f"WARNING: {broken}")
    return Outcome({**metrics_of(evaluation), **scores}, lines)


def evaluate_runs(paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
    """Compare runs with measured molecules and write a report.

    Args:
        paths: runs, of which the mean is evaluated, and a Parquet file of ingest; the baselines beside them are
            those of the first run.
        options: ``out``, the folder of the report; ``with_trees``, whether the boosted trees of every run belong to
            the mean; ``pairing``: ``auto``, ``all`` or ``none``, as for predictions.

    Raises:
        ConfigError: boosted trees are wanted, and a run has kept none.
        ModelError, DataError: a run or a file that cannot be read.
    """
    *runs, source = paths
    bundles = [load_bundle(Path(run)) for run in runs]
    parts: list[Predictor] = [NetworkPredictor(bundle) for bundle in bundles]
    name = title_of(bundles)
    if options.get("with_trees"):
        parts += [trees_of(run) for run in runs]
        name = f"{name if len(runs) > 1 else f'mean of {name}'} and boosted trees"
    predictor = Ensemble(parts)
    with progress.bar("reading the molecules"):
        molecules = read_molecules(Path(source))
    sequences = [molecules.sequence(i) for i in range(len(molecules))]
    several: list[Pairs | None] = [None]
    wanted = options.get("pairing") or "auto"
    if predictor.uses_pairs and wanted != "none" and available() is None:
        with progress.bar("base-pairing probabilities") as on_progress:
            several = [*pairings_of(sequences, wanted, on_progress=on_progress)]
    averaged = {"predicted under": f"{', '.join(ENERGIES)}, averaged"} if len(several) > 1 else {}
    index, pairs = np.arange(len(molecules)), several[0]
    pairing = _pairing(Probed(molecules, pairs), index)
    with progress.bar("predicting the molecules"):
        predict = partial(over_pairings, predictor, sequences, several)
        evaluation = _timed(name, molecules, index, pairing, predict)
    evaluation = replace(evaluation, intervals=predictor.intervals)
    try:
        usable = read_baselines(Path(runs[0]), with_pairing=pairs is not None)
    except ModelError as error:  # such as trees of another scikit-learn: the network does not depend on them
        progress.say(f"without the baselines of {runs[0]}: {error}")
        usable = []
    data = Path(source).name.split(".")[0]
    out = Path(options.get("out") or f"evaluation-{data}")
    facts = RunFacts(
        title=f"{name} on {data}",
        facts={**bundles[0].facts, "evaluated on": f"{source} ({len(molecules):,} molecules)", **averaged},
    )
    beside = evaluate_baselines(usable, molecules, index, pairing=pairing)
    outcome = _written(out, evaluation, beside, facts, True, progress)
    for line in outcome.lines:
        progress.say(line)
    progress.say(f"report: {out / 'report.html'}")


__all__ = ["ReactivityStudy", "evaluate_runs", "spec_of"]
