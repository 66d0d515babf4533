"""Callbacks: what happens around the steps of a training run."""

from __future__ import annotations

import io
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from understudy.core.files import atomic_path
from understudy.errors import UnderstudyError

OnEpoch = Callable[[int, dict[str, float]], None]
OnBatch = Callable[[int, int, int, int], None]  # epoch, epochs, batches done, batches


class StoppedByUser(UnderstudyError):
    """Ctrl-C or SIGTERM during training; the state is saved. ``resume_with`` is the command to go on."""

    resume_with = ""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are whole or not there: a kill while writing leaves the one before."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        # Through memory: torch's own writer turns a full disk into a RuntimeError without the reason.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with atomic_path(Path(path)) as temporary:
            temporary.write_bytes(buffer.getbuffer())


class KeepBest(ModelCheckpoint):
    """The best checkpoint, known again also where its folder was moved: Lightning forgets it then."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved = {
            key: here(state_dict[key])
            for key in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        models = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | moved | {"best_k_models": models, "dirpath": self.dirpath})


class SetEpoch(pl.Callback):
    """Tells the loader which epoch it is, so that its order depends on seed and epoch only."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.loader.epoch = trainer.current_epoch


class History(pl.Callback):
    """Keeps and passes on the metrics of every epoch; ends a training whose loss is no number any more."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch
        self.rows: list[dict[str, float]] = []
        self.diverged = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append({"epoch": trainer.current_epoch, **metrics})
        self.on_epoch(trainer.current_epoch, metrics)
        if not math.isfinite(metrics.get("train/loss", 0.0)):
            self.diverged = True
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


class ShowProgress(pl.Callback):
    """Passes on how far training is, and a line for every epoch with its error, ``monitor`` called ``name``."""

    def __init__(
        self,
        on_batch: OnBatch,
        say: Callable[[str], None],
        monitor: str = "val/rollout",
        name: str = "validation rollout",
    ) -> None:
        self.on_batch = on_batch
        self.say = say
        self.monitor, self.name = monitor, name
        self._best = math.inf

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.on_batch(
            trainer.current_epoch, trainer.max_epochs or 0, batch_idx + 1, int(trainer.num_training_batches)
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loss = float(trainer.callback_metrics.get("train/loss", math.nan))
        error = float(trainer.callback_metrics.get(self.monitor, math.nan))
        mark = "  best so far" if error < self._best else ""
        self._best = min(self._best, error)
        self.say(
            f"epoch {trainer.current_epoch + 1:4d}  train loss {loss:.4g}  {self.name} {error:.4g}{mark}"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]


class SaveLast(pl.Callback):
    """Writes ``last.ckpt`` at the end of every epoch, every few minutes within one, and on Ctrl-C or SIGTERM.

    The first signal is answered after the current batch: the state is saved and :class:`StoppedByUser`
    raised. A second one takes effect at once.
    """

    def __init__(self, path: Path, *, every_seconds: float = 300.0) -> None:
        self.path = path
        self.every_seconds = every_seconds
        self._saved_at = time.monotonic()
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        try:
            self._before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: signals are then somebody else's business
            self._before = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stop, due = self._signal is not None, time.monotonic() - self._saved_at > self.every_seconds
        if trainer.world_size > 1:  # saving needs all processes at once: the first one decides for all
            decision = torch.tensor([stop, due], dtype=torch.uint8, device=trainer.strategy.root_device)
            torch.distributed.broadcast(decision, src=0)
            stop, due = (bool(x) for x in decision.tolist())
        if stop or due:
            self._save(trainer)
        if stop:
            raise StoppedByUser("stopped; what was learnt so far is kept")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()
