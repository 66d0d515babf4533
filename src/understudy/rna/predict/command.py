"""``understudy predict`` for RNA: runs and sequences in; tables, RNAfold's files or a submission out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from understudy.core.surrogate import load
from understudy.errors import ConfigError, ModelError
from understudy.progress import Progress
from understudy.rna.intervals import bounds
from understudy.rna.pairing import available, pairings_of
from understudy.rna.predict import write
from understudy.rna.predict.ensemble import GIB, MEMORY, Ensemble, Predictor
from understudy.rna.predict.kaggle import TestSequences, WriteBlock, submission
from understudy.rna.predict.pipeline import BLOCK, Block, predict_blocks
from understudy.rna.predictor import trees_of
from understudy.rna.sequences import STDIN, read_sequences
from understudy.rna.sources import count_records
from understudy.rna.surrogate import ReactivitySurrogate


@dataclass(frozen=True)
class Order:
    """What was asked for: where sequences come from, where predictions go, and how they are made."""

    runs: tuple[str, ...]
    source: str | None  # None: the Kaggle file
    out: str | None
    shape: str | None = None
    structure: str | None = None
    kaggle: str | None = None
    pairing: str = "auto"
    tta: bool = False
    memory: int = MEMORY  # bytes
    coverage: float | None = None  # of intervals that stand in the table; None: none
    with_trees: bool = False  # the boosted trees of every run belong to the mean

    @classmethod
    def of(cls, paths: Sequence[str], options: Mapping[str, Any]) -> Order:
        """
        Raises:
            ConfigError: paths and options do not go together.
        """
        chosen = dict(options)
        memory = float(chosen.pop("memory", MEMORY / GIB))
        if not memory > 0:
            raise ConfigError(f"--memory {memory:g}: give GiB, more than 0")
        no_table = "kaggle" in chosen or ("out" not in chosen and {"shape", "structure"} & set(chosen))
        if "coverage" in chosen and no_table:
            raise ConfigError("--coverage adds columns to a table: give --out, and no --kaggle")
        if "kaggle" in chosen:
            if "out" not in chosen:
                raise ConfigError("--kaggle needs --out: submission.csv, .csv.gz or .parquet")
            return cls(tuple(paths), None, memory=int(memory * GIB), **chosen)
        if len(paths) < 2:
            raise ConfigError("predict takes at least one RUN and the SOURCE of sequences after it")
        if not {"out", "shape", "structure"} & set(chosen):
            chosen["out"] = STDIN
        out = chosen.pop("out", None)
        return cls(tuple(paths[:-1]), paths[-1], out, memory=int(memory * GIB), **chosen)


def predict(paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
    """Predict the sequences of a source with one run or the mean of several, and write what was asked for.

    Args:
        paths: runs, and the source after them, which ``kaggle`` replaces.
        options: of :data:`understudy.rna.predict.OPTIONS`, those that were given.

    Raises:
        ConfigError: options that do not go together, ViennaRNA is needed and absent, or a run has kept no trees.
        DataError: the source, a sequence, or not enough memory.
        ModelError: a run that cannot be used, or not of RNA.
    """
    order = Order.of(paths, options)
    predictors = [_predictor(run) for run in order.runs]
    if order.with_trees:
        predictors += [trees_of(run) for run in order.runs]
    run_order(order, predictors, progress)


def _predictor(run: str) -> Predictor:
    surrogate: Any = load(run)
    if not isinstance(surrogate, ReactivitySurrogate):
        raise ModelError(f"{run} does not predict reactivities of RNA")
    return surrogate.predictor


def run_order(order: Order, predictors: Sequence[Predictor], progress: Progress) -> None:
    """As :func:`predict`, for networks that are loaded already."""
    ensemble = Ensemble(predictors, tta=order.tta, memory=order.memory, say=progress.say)
    if order.coverage is not None:  # before any work
        ensemble.half_width(order.coverage, np.zeros((0, 4), np.float32), np.zeros(0, np.uint8))
    if order.tta and ensemble.trained_with_flips is False:
        progress.say("--tta: the network has learnt sequences from one end only; the mean may be worse")
    records: Iterable[tuple[str, str]]
    with ExitStack() as files, progress.bar("predicting") as on_progress:
        writers: list[WriteBlock] = []
        if order.kaggle is not None:
            records = test = TestSequences(order.kaggle)
            writers.append(files.enter_context(submission(Path(str(order.out)), test)))
        else:
            records = read_sequences(str(order.source))
            if order.out is not None:
                writers.append(files.enter_context(write.table(order.out, ends=order.coverage is not None)))
        if order.shape is not None:
            writers.append(files.enter_context(write.shape_files(Path(order.shape))))
        if order.structure is not None:
            writers.append(files.enter_context(write.structures(Path(order.structure))))
        pairing = (
            partial(pairings_of, wanted=order.pairing) if _with_pairs(order, ensemble, progress) else None
        )
        molecules = nucleotides = 0
        expected = count_records(str(order.kaggle or order.source))
        for block in predict_blocks(records, ensemble, pairing, size=BLOCK):
            if order.coverage is not None:
                block = _with_ends(block, ensemble, order.coverage)
            for write_block in writers:
                write_block(block)
            molecules, nucleotides = molecules + len(block), nucleotides + len(block.values)
            on_progress(molecules, max(molecules, expected))
    places = [p for p in (order.out, order.shape, order.structure) if p is not None and p != STDIN]
    where = f" in {', '.join(places)}" if places else ""
    progress.say(f"{molecules:,} sequences, {nucleotides:,} nucleotides{where}")


def _with_ends(block: Block, ensemble: Ensemble, coverage: float) -> Block:
    low, high = bounds(block.values, ensemble.half_width(coverage, block.values, block.tokens))
    return replace(block, ends=np.stack([low, high], axis=2).reshape(len(low), -1))


def _with_pairs(order: Order, ensemble: Ensemble, progress: Progress) -> bool:
    """Whether to compute pairing probabilities; where it would be good and cannot be, a line says so."""
    if order.pairing == "none" or not ensemble.uses_pairs:
        return False
    problem = available()
    if problem is not None:
        progress.say(f"predicting without base-pairing probabilities: {problem}")
    return problem is None
