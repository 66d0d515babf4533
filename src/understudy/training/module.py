"""The one LightningModule: it hands batches to the task and knows nothing of what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from understudy.core.cases import CaseTable
from understudy.core.model import Model
from understudy.core.tasks import Task


class SurrogateTraining(pl.LightningModule):
    """Adam on the loss of the task; validation by the error of the task.

    Every step seeds the random numbers by (seed, step). Dropout and noise are then the same in a run that
    was interrupted and resumed as in one that went through.
    """

    def __init__(
        self, model: Model, task: Task, table: CaseTable, val: Sequence[int], *, lr: float, seed: int
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.table = table
        self.val = val
        self.lr = lr
        self.seed = seed

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.Adam(trained, lr=self.lr)

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        # Other processes of the same training have other windows, and other noise.
        torch.manual_seed(self.seed * 1_000_003 + self.global_step + self.global_rank * 1_000_000_000_039)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.task.loss(self.model, batch, epoch=self.current_epoch)
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(batch),
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        # Full precision whatever the training uses: rounding errors grow along a rollout.
        error = 0.0
        if self.trainer.is_global_zero:
            with torch.autocast(self.device.type, enabled=False):
                error = self.task.validation_error(self.model, self.table, self.val)
        # All processes hear the same number, so that they stop and keep checkpoints together.
        error = self.trainer.strategy.broadcast(error)
        self.log("val/rollout", error, prog_bar=True, batch_size=1)
