"""The typed half of the configuration: plain values that mean the same on both sides of Hydra."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Settings:
    """How to train; the names are those of the reference system."""

    is_debug: bool = False  # a few cases, a few batches, everything exercised
    use_decimate: bool = True  # interpolate the cases to a coarser grid
    decimate_range: float = 1.0  # step of that grid, s
    lowpass: float | None = None  # Hz; a zero-phase filter before the coarser grid
    in_len: int = 10  # rows of history that a prediction starts from
    out_len: int = 1  # rows of one prediction
    seed: int = 42
    split_seed: int | None = None  # who trains, validates and tests; null: seed
    epochs: int = 500
    batch_size: int = 1024
    lr: float = 0.001
    schedule: str = "constant"  # of the learning rate: constant or one_cycle
    pct_start: float = 0.02  # share of the steps in which one_cycle rises
    weight_decay: float = 0.0
    ema: float | None = None  # decay of the moving average of the weights that is validated and kept
    criterion: str = "mse"  # mse, l1 or smoothl1
    error_scale: str = (
        "deviation"  # of a signal; or change: of what is left of it when standing still is known
    )
    byproduct_weight: float = 1.0  # what an error of a byproduct counts beside one of a target
    weights: dict[str, float] = field(default_factory=dict)  # by name of a signal, on top of that
    unroll: int = 0  # predictions fed back within a training window
    unroll_epochs: int = 0  # epochs over which that number grows from 0, or a stretch from an eighth
    noise: float = 0.0  # on the predicted signals of the history, in deviations
    stretch: int = 256  # rows that a network with a state runs in training (ssm, gru, subnet)
    truncate: int | None = None  # rows after which the gradient is cut within a stretch; null: never
    passes: int = 1  # how often an epoch of stretches goes over the rows
    grad_clip: float | None = 1.0  # largest norm of the gradient
    patience: int | None = 50  # epochs without a better validation rollout until training stops
    max_minutes: float | None = None  # ends training in time and keeps the best
    refit: bool = False  # once judged by the validation cases, learn again from these too, to the best epoch
    nfolds: int = 4  # parts of a cross-validation (RNA)
    fold: int = 0  # which of them is held out
    layer_decay: float = (
        0.8  # init_from with transfer=full: learning rate of a layer, in that of the one above it
    )
    unfreeze_epochs: int = 2  # init_from with transfer=gradual: epochs until the next layer learns too
    is_save_model: bool = False  # also write lit_model.pth
    mlflow_exp_name: str = "pytorch_lightning_test"
    objective: Any = None  # what a sweep goes by: a logged metric or a list; null: the validation error

    @property
    def seed_of_split(self) -> int:
        """Runs of an ensemble differ in their seeds and must not test on what others were trained on."""
        return self.seed if self.split_seed is None else self.split_seed


@dataclass
class Trainer:
    """Where to train; see Lightning's Trainer for the values."""

    accelerator: str = "auto"
    precision: str = "auto"  # bf16-mixed where hardware is faster with it (GPU, AMX, AVX-512), else 32-true
    devices: int = 1  # processes of a machine that train together, each on a device of its own
    num_nodes: int = 1  # machines; each runs the command, started by srun or torchrun
    strategy: str = "auto"  # how they train together; auto: ddp


@dataclass
class Tracking:
    """Where runs are recorded."""

    name: str = "mlflow"  # mlflow or none
    uri: str | None = None  # null: MLFLOW_TRACKING_URI, or mlflow.db in the working folder


@dataclass
class Report:
    """What is drawn."""

    figures: bool = True  # a picture for every target signal and an overview of every case
    byproducts: bool = False  # pictures of the byproducts too
    jobs: int | None = None  # worker processes; null: the cores
