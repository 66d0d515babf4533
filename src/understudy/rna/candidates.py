"""Molecules that could be probed, as strategies of :mod:`understudy.core.acquire` see them.

Axes: K candidates, M molecules that were probed, L nucleotides of a molecule, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.core.features import LossHead, fit_loss_head, head_inputs, moments
from understudy.core.oneshot import OneShotModel, apply, on_device, similar_lengths
from understudy.errors import ConfigError
from understudy.rna.batches import Sequences
from understudy.rna.table import CHEMICALS, Molecules

Array = NDArray[np.float64]
OnProgress = Callable[[int, int], None]
_N = len(CHEMICALS)


@dataclass(frozen=True, eq=False)
class Probe:
    """What was probed: its sequences, and what was measured of them, which only learning-loss asks for."""

    sequences: Sequences
    measured: Molecules | None = None


class SequenceCandidates:
    """Candidates for one or several networks.

    Args:
        models: the first one gives features and errors, all of them disagreement.
        sequences: the candidates.
        known: what was probed.
    """

    def __init__(
        self,
        models: Sequence[OneShotModel],
        sequences: Sequences,
        known: Probe | None = None,
        on_progress: OnProgress = lambda done, total: None,
    ) -> None:
        self._models, self._sequences, self._known = models, sequences, known
        self._on_progress = on_progress

    def __len__(self) -> int:
        return len(self._sequences.lengths)

    def features(self) -> Array:
        """Mean and deviation over the nucleotides of what the first network makes of each before its head."""
        return self._run(self._sequences)[0]

    def known_features(self) -> Array:
        return np.empty((0, 0)) if self._known is None else self._run(self._known.sequences)[0]

    def expected_error(self) -> Array:
        head = self._loss_head
        with torch.inference_mode():
            return head(torch.from_numpy(self.features()).float()).double().numpy()  # type: ignore[no-any-return]

    def disagreement(self) -> Array:
        """Mean over nucleotides and chemicals of the deviation among the networks."""
        if len(self._models) < 2:
            raise ConfigError("disagreement needs several runs")
        everything = range(len(self))
        runs = []
        for k, model in enumerate(self._models):
            runs.append([y[:, :_N].clip(0, 1) for y in apply(model, self._sequences, everything)])
            self._on_progress(k + 1, len(self._models))
        return np.array([np.std(same, axis=0, dtype=np.float64).mean() for same in zip(*runs, strict=True)])

    @cached_property
    def _loss_head(self) -> LossHead:
        if self._known is None or self._known.measured is None:
            raise ConfigError(
                "learning-loss needs molecules that were probed, to learn errors from: give --known, a Parquet "
                "file of ingest"
            )
        measured = self._known.measured
        features, predictions = self._run(self._known.sequences)
        errors = []
        for i, y in enumerate(predictions):
            truth = measured.reactivity[measured.offsets[i] : measured.offsets[i + 1]]
            known = np.isfinite(truth)
            gap = np.abs(y[:, :_N].clip(0, 1) - truth.clip(0, 1))[known]
            errors.append(float(gap.mean()) if len(gap) else float("nan"))
        return fit_loss_head(torch.from_numpy(features), torch.tensor(errors))

    @torch.no_grad()
    def _run(self, sequences: Sequences) -> tuple[Array, list[NDArray[np.float32]]]:
        """Features (K, 2·D) and predictions (L, outputs) of every sequence."""
        model = self._models[0].eval()
        device = next(model.parameters()).device
        index = np.arange(len(sequences.lengths))
        features: list[Array] = [np.empty(0)] * len(index)
        outputs: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * len(index)
        done = 0
        with head_inputs(model.net.layers()) as seen:
            for places in similar_lengths(sequences.lengths, index):
                y: Tensor = model(on_device(sequences.batch(places), device)).float().cpu()
                for place, rows, predicted in zip(places, seen.pop(), y, strict=True):
                    length = int(sequences.lengths[place])
                    features[place] = moments(rows[:length])
                    outputs[place] = predicted[:length].numpy()
                done += len(places)
                self._on_progress(done, len(index))
        return np.stack(features), outputs
