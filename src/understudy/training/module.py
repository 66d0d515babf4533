"""The one LightningModule: it hands batches to the task and knows nothing of what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from understudy.core.tasks import Task
from understudy.training.optimizer import OptimizerOptions, configure


class SurrogateTraining(pl.LightningModule):
    """The loss of the task, minimised; validation by the error of the task.

    Every step seeds the random numbers by (seed, step). Dropout and noise are then the same in a run that
    was interrupted and resumed as in one that went through.

    Args:
        validate: the validation error of a model. A function, not the data: weight averaging copies this module
            with all that it holds, and functions are not copied.
        n_steps: of the whole training. Lightning's own estimate sets up the data before a checkpoint is read, and
            forgets where in the epoch it stood.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        validate: Callable[[Any], float],
        *,
        optimizer: OptimizerOptions,
        n_steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.validate = validate
        self.optimizer = optimizer
        self.n_steps = n_steps
        self.seed = seed

    def configure_optimizers(self) -> Any:
        return configure(self.model, self.optimizer, self.n_steps)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # Other processes of the same training have other cases, and other noise.
        torch.manual_seed(self.seed * 1_000_003 + self.global_step + self.global_rank * 1_000_000_000_039)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.task.loss(self.model, batch, epoch=self.current_epoch)
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=_n_cases(batch),
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        # Full precision whatever the training uses: rounding errors grow along a rollout.
        error = 0.0
        if self.trainer.is_global_zero:
            with torch.autocast(self.device.type, enabled=False):
                error = self.validate(self.model)
        # All processes hear the same number, so that they stop and keep checkpoints together.
        error = self.trainer.strategy.broadcast(error)
        self.log(self.task.monitor, error, prog_bar=True, batch_size=1)


def _n_cases(batch: Any) -> int:
    """Cases of a batch: the length of its first tensor, however deep it lies in tuples."""
    while not isinstance(batch, Tensor):
        batch = batch[0]
    return len(batch)
