"""A training that somebody compares with others."""

from __future__ import annotations

import lightning.pytorch as pl

from understudy.progress import Watcher


class Watched(pl.Callback):
    """Passes the validation error of every epoch on, and ends the training when the watcher says so.

    All processes of a distributed training end in the same epoch: the first one asks for all.
    """

    def __init__(self, watcher: Watcher | None, monitor: str) -> None:
        self._watcher = watcher
        self._monitor = monitor
        self.ended_at: int | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._watcher is None:
            return
        stop = False
        if trainer.is_global_zero:
            stop = self._watcher.report(trainer.current_epoch, float(trainer.callback_metrics[self._monitor]))
        if trainer.strategy.broadcast(stop):
            self.ended_at = trainer.current_epoch
            trainer.should_stop = True
