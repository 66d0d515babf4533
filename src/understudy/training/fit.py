"""From a model and its cases to the weights with the best free rollouts on the validation cases."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, Timer
from torch import nn

from understudy.core.files import write_text
from understudy.core.tasks import ERROR_CEILING, Task
from understudy.errors import ConfigError, ModelError
from understudy.progress import Pruned, Watcher
from understudy.ranks import Followed, rank
from understudy.training.callbacks import AtomicCheckpointIO, History, KeepBest, OnEpoch, SaveLast, SetEpoch
from understudy.training.module import SurrogateTraining
from understudy.training.optimizer import MovingAverage, OptimizerOptions
from understudy.training.watched import Watched

log = logging.getLogger(__name__)

BEST, LAST, RESULT = "best.ckpt", "last.ckpt", "result.json"


@dataclass(frozen=True)
class FitOptions:
    """How to train.

    Args:
        epochs: at most so many.
        max_minutes: ends training in time and keeps the best; None: no limit.
        patience: epochs without a better validation rollout until training stops; None: never.
        grad_clip: largest norm of the gradient; None: not clipped.
        precision: of Lightning (``32-true``, ``bf16-mixed``, …); ``auto`` is :func:`automatic_precision`.
        max_batches: batches an epoch at most, for a quick look; None: all.
        weight_decay, schedule, pct_start, layer_decay: see :class:`understudy.training.optimizer.OptimizerOptions`.
        ema: decay of the moving average of the weights that is validated and kept; None: the weights themselves.

    Raises:
        ConfigError: a value out of range.
    """

    epochs: int
    batch_size: int
    lr: float
    seed: int
    max_minutes: float | None = None
    patience: int | None = 50
    grad_clip: float | None = 1.0
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    max_batches: int | None = None
    weight_decay: float = 0.0
    schedule: str = "constant"
    pct_start: float = 0.02
    layer_decay: float = 1.0
    ema: float | None = None

    def __post_init__(self) -> None:
        self.optimizer  # noqa: B018 - its own checks
        if self.ema is not None and not 0 < self.ema < 1:
            raise ConfigError(f"settings.ema is a decay between 0 and 1, not {self.ema}")
        for key in (
            "epochs",
            "batch_size",
            "lr",
            "max_minutes",
            "patience",
            "grad_clip",
            "devices",
            "num_nodes",
        ):
            value = getattr(self, key)
            if value is not None and not value > 0:
                where = "trainer" if key in ("devices", "num_nodes") else "settings"
                raise ConfigError(f"{where}.{key} must be above 0, not {value}")
        if self.seed < 0:
            raise ConfigError(f"settings.seed must not be negative, not {self.seed}")
        if self.batch_size % self.world:
            raise ConfigError(
                f"settings.batch_size {self.batch_size} is shared by {self.world} processes and must be a "
                "multiple of their number"
            )

    @property
    def world(self) -> int:
        """Processes that train together; each takes its share of every batch."""
        return self.devices * self.num_nodes

    @property
    def optimizer(self) -> OptimizerOptions:
        return OptimizerOptions(self.lr, self.weight_decay, self.schedule, self.pct_start, self.layer_decay)


@dataclass(frozen=True)
class FitResult:
    """How training went; the model holds the best weights."""

    best_epoch: int
    best_error: float
    stopped_by: str
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        return len(self.history)


def fit(
    model: nn.Module,
    task: Task,
    table: Any,
    train: Sequence[int],
    val: Sequence[int],
    options: FitOptions,
    folder: Path,
    *,
    on_epoch: OnEpoch = lambda epoch, metrics: None,
    callbacks: Callable[[], list[pl.Callback]] = list,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> FitResult:
    """Train ``model`` in place.

    ``folder`` gets ``last.ckpt`` (to resume from) and ``best.ckpt``. With ``resume`` training goes on from
    ``last.ckpt`` where there is one, to the same weights as if it had never stopped. A ``watcher`` hears of every
    validation and may end the training.

    Raises:
        Followed: this is not the first of the processes that train together.
        StoppedByUser: Ctrl-C or SIGTERM; ``last.ckpt`` holds the state.
        Pruned: the watcher ended it.
        ModelError: the loss became NaN before there was anything to keep, or the checkpoint does not fit.
    """
    if resume and (finished := _finished(folder, options)) is not None:
        if options.world > 1 and rank() > 0:
            raise Followed
        load_weights(model, folder / BEST)
        return finished
    (folder / RESULT).unlink(missing_ok=True)
    loader = _share(task, table, train, options)
    module = SurrogateTraining(
        model,
        task,
        lambda trained: task.validation_error(trained, table, val),
        optimizer=options.optimizer,
        n_steps=len(loader) * options.epochs,
        seed=options.seed,
    )
    watch = _Watch(options, folder, on_epoch, task.monitor, task.error_name)
    watched = Watched(watcher, task.monitor)
    last = folder / LAST
    checkpoint = last if resume and last.exists() else None
    with _quiet():
        # The order matters: last.ckpt must hold what the callbacks before it know of this epoch.
        trainer = _trainer(
            options, folder, [SetEpoch(loader), watched, *watch.callbacks, *callbacks(), SaveLast(last)]
        )
        _learn(trainer, module, loader, checkpoint)
    if options.world > 1 and rank() > 0:
        raise Followed
    if watched.ended_at is not None:
        raise Pruned(f"pruned after epoch {watched.ended_at + 1}: others were better there")
    result = watch.result(options)
    load_weights(model, folder / BEST)
    # Not strict JSON: the loss of a training that diverged may be NaN, and only this module reads the file.
    write_text(folder / RESULT, json.dumps({"options": asdict(options), "result": asdict(result)}))
    return result


def _share(task: Task, table: Any, train: Sequence[int], options: FitOptions) -> Any:
    """The batches of this process: all of each, or its share where several processes train together."""
    loader = task.loader(
        table,
        train,
        batch_size=options.batch_size // options.world,
        seed=options.seed,
        max_batches=options.max_batches,
    )
    if options.world > 1:
        loader.rank, loader.world_size = rank(), options.world
    return loader


def _learn(trainer: pl.Trainer, module: pl.LightningModule, loader: Any, checkpoint: Path | None) -> None:
    """
    Raises:
        ModelError: the checkpoint is of another network.
    """
    try:
        trainer.fit(module, loader, val_dataloaders=[[0]], ckpt_path=checkpoint, weights_only=True)
    except RuntimeError as error:
        if checkpoint and "state_dict" in str(error):
            raise ModelError(
                f"{checkpoint} was made by another network; resume with the settings of that run"
            ) from error
        raise
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # the next training of this process has other partners


class _Watch:
    """The callbacks that know how training goes, and what they have to say in the end."""

    def __init__(
        self, options: FitOptions, folder: Path, on_epoch: OnEpoch, monitor: str, error_name: str
    ) -> None:
        self.monitor, self.error_name = monitor, error_name
        self.history = History(on_epoch)
        self.best = KeepBest(
            dirpath=folder,
            filename=BEST.removesuffix(".ckpt"),
            monitor=monitor,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,  # right after validation, so that last.ckpt, written later, knows of it
        )
        self.stopping = EarlyStopping(monitor, patience=options.patience or 10**9, check_finite=False)
        limit = timedelta(minutes=options.max_minutes) if options.max_minutes else None
        self.timer = Timer(limit, verbose=False)
        # Before the others: what they see and save is then the average.
        self.average = [MovingAverage(options.ema)] if options.ema else []

    @property
    def callbacks(self) -> list[pl.Callback]:
        return [*self.average, self.stopping, self.timer, self.history, self.best]

    def result(self, options: FitOptions) -> FitResult:
        """
        Raises:
            ModelError: the loss became NaN before there was anything to keep.
        """
        score = self.best.best_model_score
        if score is None or (self.history.diverged and not score < ERROR_CEILING):
            raise ModelError(
                "training diverged: the loss is not a number; lower settings.lr or settings.unroll"
            )
        rows = self.history.rows
        best = min(rows, key=lambda row: row.get(self.monitor, float("inf")))
        return FitResult(
            best_epoch=int(best["epoch"]),
            best_error=float(score),
            stopped_by=self._reason(options),
            seconds=self.timer.time_elapsed(),
            history=rows,
        )

    def _reason(self, options: FitOptions) -> str:
        if self.history.diverged:
            return "the loss became NaN; the best epoch before is kept"
        if options.max_minutes and (self.timer.time_remaining() or 0.0) <= 0:
            return f"settings.max_minutes ({options.max_minutes:g})"
        if self.stopping.stopped_epoch:
            return f"no better {self.error_name} in {options.patience} epochs"
        return f"settings.epochs ({options.epochs})"


def _finished(folder: Path, options: FitOptions) -> FitResult | None:
    """The result of a training that ended under the same options: a run killed after it need not train again."""
    try:
        recorded = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return FitResult(**recorded["result"]) if recorded["options"] == asdict(options) else None


def load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Put the weights of a checkpoint into ``model``; nothing in the file is executed."""
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("model."): v for k, v in state.items()})
    model.eval()


def automatic_precision(accelerator: str) -> str:
    """``bf16-mixed`` where the hardware multiplies bfloat16 faster, ``32-true`` elsewhere.

    That is a GPU with bfloat16, or a processor with AMX (Intel since 2023) or AVX-512 BF16 (AMD since 2022): a
    training step of our networks takes there 40 to 60 % of the time, and validation and everything after it stay in
    full precision.
    """
    if accelerator == "gpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not tell
    faster = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return "bf16-mixed" if accelerator == "cpu" and faster else "32-true"


def _trainer(options: FitOptions, folder: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    accelerator = options.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    precision = options.precision
    if precision == "auto":
        precision = automatic_precision(accelerator)
    return pl.Trainer(
        default_root_dir=folder,
        accelerator=accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy="ddp" if options.strategy == "auto" and options.world > 1 else options.strategy,
        use_distributed_sampler=False,  # the loader shares the windows itself
        precision=precision,  # type: ignore[arg-type]
        max_epochs=options.epochs,
        gradient_clip_val=options.grad_clip,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=False,  # the callbacks bring one
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's hardware lines, advertisements and internal deprecations off the terminal."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
