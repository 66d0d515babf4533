"""Trained networks and trees as predictors of sequences: what :mod:`understudy.rna.predict` and users build on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.core.bundle import Bundle
from understudy.core.oneshot import OneShotModel, apply
from understudy.errors import ConfigError, ModelError
from understudy.rna.baselines import read_baselines
from understudy.rna.batches import Sequences
from understudy.rna.features import pairing_levels
from understudy.rna.intervals import ProfileIntervals
from understudy.rna.pairing import Pairs
from understudy.rna.sequences import encode_many
from understudy.rna.table import CHEMICALS
from understudy.rna.trees import CHUNK, Trees

FLIPS = "flip augmentation"  # the fact of a bundle that says whether it was trained with both ends first


class NetworkPredictor:
    """From sequences and their pairs to one array ``(L, 4)`` each: 2A3, DMS, error of 2A3, error of DMS.

    The errors are NaN for a network that does not predict them.

    Raises:
        ModelError: the bundle is of another kind.
    """

    def __init__(self, bundle: Bundle) -> None:
        if not isinstance(bundle.model, OneShotModel):
            raise ModelError(f"a network {bundle.network!r} does not predict reactivities of RNA")
        self._model = bundle.model
        self.uses_pairs = bundle.model.net.uses_pairs
        kept = bundle.intervals
        self.intervals = None if kept is None else ProfileIntervals.from_json(kept)
        self.trained_with_flips = bundle.facts.get(FLIPS) == "yes"

    def __call__(self, sequences: Sequence[str], pairs: Pairs | None) -> list[NDArray[np.float32]]:
        tokens, offsets = encode_many(
            list(sequences), [f"sequence {n}" for n in range(1, len(sequences) + 1)]
        )
        source = Sequences(tokens, offsets, pairs if self.uses_pairs else None)
        return [four(rows) for rows in apply(self._model, source, range(len(sequences)))]

    def bytes_for(self, length: int, batch: int) -> int:
        """An estimate of the memory of one pass over ``batch`` sequences of ``length`` nucleotides."""
        return self._model.net.bytes_for(length, batch)


class TreePredictor:
    """The boosted trees that a run has fitted beside its network, as a predictor like :class:`NetworkPredictor`.

    Those with pairing where pairing probabilities are given, else those without. On molecules
    unlike those of training their mean with a network was better than both (docs/decisions/0023).
    """

    def __init__(self, trees: Sequence[Trees]) -> None:
        self._by_pairing = {one.with_pairing: one for one in trees}
        self.uses_pairs = True in self._by_pairing
        self.intervals = self._by_pairing[self.uses_pairs].intervals

    def __call__(self, sequences: Sequence[str], pairs: Pairs | None) -> list[NDArray[np.float32]]:
        with_pairing = self.uses_pairs and pairs is not None
        if with_pairing not in self._by_pairing:
            raise ModelError("the run has kept no boosted trees that do without pairing probabilities")
        tokens, offsets = encode_many(list(sequences), [f"sequence {n + 1}" for n in range(len(sequences))])
        pairing = None
        if with_pairing and pairs is not None:
            pairing = pairing_levels(pairs, np.diff(offsets), np.arange(len(sequences)))
        found = self._by_pairing[with_pairing].predict(tokens, offsets, pairing)
        return np.split(found, offsets[1:-1])

    def bytes_for(self, length: int, batch: int) -> int:
        """As :meth:`NetworkPredictor.bytes_for`; the features of a bounded number of nucleotides lie in memory."""
        return 1024 * min(length * batch, CHUNK)


def trees_of(run: str | Path) -> TreePredictor:
    """The boosted trees in the folder of a run.

    Raises:
        ConfigError: it has kept none.
        ModelError: no run, or its trees are damaged.
    """
    trees = [b for b in read_baselines(Path(run), with_pairing=True) if isinstance(b, Trees)]
    if not trees:
        raise ConfigError(
            f"{run} holds no boosted trees: it was trained with dataset.trees=false, or by an earlier version"
        )
    return TreePredictor(trees)


def four(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs ``(L, 2)`` or ``(L, 4)`` with reactivities clipped to [0, 1] and errors, NaN where not predicted."""
    found = np.full((len(outputs), 2 * len(CHEMICALS)), np.nan, np.float32)
    found[:, : outputs.shape[1]] = outputs
    np.clip(found[:, : len(CHEMICALS)], 0, 1, out=found[:, : len(CHEMICALS)])
    return found
