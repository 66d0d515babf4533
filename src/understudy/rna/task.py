"""What counts as an error when reactivities are learnt: the RNA half of the training loop.

Axes: M molecules, B molecules of a batch, L nucleotides, 2 chemicals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.core.oneshot import OneShotModel, apply
from understudy.errors import ConfigError, did_you_mean
from understudy.rna.batches import Batching, Probed, ReactivityBatch
from understudy.rna.features import drawn
from understudy.rna.loader import MoleculeLoader
from understudy.rna.medians import Kind, Medians, fit_medians
from understudy.rna.molecules import CHEMICALS, Molecules

WEIGHTS = ("log_snr", "none")
_FOR_MEDIANS = 20_000  # molecules tell what is usual as well as all of a larger library, in far less memory
_LARGEST_ERROR = 2.0  # reported errors beyond it say no more than "very noisy"


@dataclass(frozen=True)
class Reactivities:
    """Predict the reactivity of every nucleotide, and with a network that has the outputs its reported error.

    Args:
        weighting: ``log_snr``: a molecule counts ``log(1 + signal_to_noise)``, noisy ones little; ``none``: all
            the same.
        noisy: whether molecules that fail ``SN_filter`` may train. They never validate.
        error_weight: what the predicted errors count beside the reactivities.
        flip: read half of the molecules backwards, another half in every epoch.
        pieces: share of the batches that show pieces of the molecules; see :mod:`understudy.rna.pieces`.
        ends: whether the ends of molecules, where nothing is measured, are taught what is usual for their letter
            and pairing; see :mod:`understudy.rna.usual`.
        bucket, positions: see :class:`understudy.rna.batches.Batching`.

    Raises:
        ConfigError: a value out of range.
    """

    monitor: ClassVar[str] = "val/mae"
    error_name: ClassVar[str] = "validation MAE"

    weighting: str = "log_snr"
    noisy: bool = True
    error_weight: float = 0.2
    flip: bool = False
    pieces: float = 0.0
    ends: bool = False
    bucket: int = 16
    positions: int | None = None

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTS:
            raise ConfigError(
                f"dataset.weighting {self.weighting!r} is not one of {', '.join(WEIGHTS)}"
                f"{did_you_mean(self.weighting, WEIGHTS)}"
            )
        if self.error_weight < 0:
            raise ConfigError(f"dataset.error_weight must not be negative, not {self.error_weight}")
        if not 0 <= self.pieces <= 1:
            raise ConfigError(f"dataset.pieces is a share from 0 to 1, not {self.pieces}")

    def weights(self, molecules: Molecules) -> NDArray[np.float32]:
        """(M, 2) what a measured value counts; zero where it must not be learnt from."""
        ratio = np.nan_to_num(molecules.signal_to_noise, nan=0.0)
        weight = np.clip(np.log1p(np.maximum(ratio, 0)), 0, 10)
        if self.weighting == "none":
            weight = (weight > 0).astype(weight.dtype)
        if not self.noisy:
            weight = weight * molecules.sn_filter
        return weight.astype(np.float32)

    def loader(
        self,
        table: Probed,
        cases: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        max_batches: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> MoleculeLoader:
        """Training batches of those of ``cases`` that have something to teach."""
        weight = self.weights(table.molecules)
        chosen = np.asarray(cases, np.int64)
        chosen = chosen[(weight[chosen] > 0).any(1)]
        batching = Batching(batch_size, self.bucket, self.positions)
        return MoleculeLoader(
            table,
            chosen,
            weight,
            batching,
            seed=seed,
            flip=self.flip,
            pieces=self.pieces,
            ends=self.ends,
            usual=self._usual(table, chosen),
            max_batches=max_batches,
            rank=rank,
            world_size=world_size,
        )

    def _usual(self, table: Probed, chosen: NDArray[np.int64]) -> Medians | None:
        if not self.ends and table.unknowable is None:
            return None
        kind: Kind = "nucleotide" if table.pairs is None else "pairing"
        some = drawn(table.molecules, chosen, _FOR_MEDIANS)
        return fit_medians(table.molecules, some, kind, pairs=table.pairs)

    def loss(self, model: OneShotModel, batch: ReactivityBatch, *, epoch: int = 0) -> Tensor:
        """Weighted mean absolute error against clipped reactivities, plus that of the predicted errors."""
        outputs = model(batch.inputs).float()
        n = len(CHEMICALS)
        loss = _weighted(outputs[..., :n], batch.reactivity.clamp(0, 1), batch.weight)
        if self.error_weight and outputs.shape[-1] > n:
            reported = batch.error.clamp(0, _LARGEST_ERROR)
            loss = loss + self.error_weight * _weighted(outputs[..., n:], reported, batch.weight)
        return loss

    def predict(self, model: OneShotModel, table: Probed, cases: Sequence[int]) -> list[NDArray[np.float32]]:
        """``(L, K)`` a molecule, reactivities clipped to [0, 1]."""
        outputs = apply(model, table.inputs, cases)
        for rows in outputs:
            np.clip(rows[:, : len(CHEMICALS)], 0, 1, out=rows[:, : len(CHEMICALS)])
        return outputs

    def validation_error(self, model: OneShotModel, table: Probed, cases: Sequence[int]) -> float:
        """The official figure over the molecules of ``cases`` that pass the filter."""
        scored = [int(i) for i in np.asarray(cases)[table.molecules.scored[np.asarray(cases)]]]
        if not scored:
            return float("nan")
        total, count = 0.0, 0
        for i, rows in zip(scored, self.predict(model, table, scored), strict=True):
            first, last = table.molecules.offsets[i], table.molecules.offsets[i + 1]
            truth = np.clip(table.molecules.reactivity[first:last], 0, 1)
            both = np.isfinite(truth).all(1)
            error = np.abs(rows[both, : len(CHEMICALS)].astype(np.float64) - truth[both])
            total, count = total + float(error.sum()), count + error.size
        return total / max(count, 1)


def _weighted(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error ``(B, L, 2)`` weighted by molecule and chemical ``(B, 2)``; NaN does not count."""
    measured = torch.isfinite(truth)
    counts = measured * weight.unsqueeze(1)
    error = (prediction - torch.where(measured, truth, 0.0)).abs()
    return (error * counts).sum() / counts.sum().clamp(min=1e-6)
