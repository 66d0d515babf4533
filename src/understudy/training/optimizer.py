"""The optimiser of a run, the schedule of its learning rate, and the average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from understudy.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class OptimizerOptions:
    """How weights move.

    Args:
        lr: learning rate; with ``one_cycle`` the largest.
        weight_decay: 0 is Adam, anything else AdamW (Loshchilov and Hutter 2019); norms, biases and embeddings are
            not decayed.
        schedule: ``constant``, or ``one_cycle`` (Smith and Topin 2019): up to ``lr`` in the share ``pct_start`` of
            all steps, then down to nothing along a cosine.
        layer_decay: with ``groups``, the learning rate of a layer is that of the one above it times this.

    Raises:
        ConfigError: a value out of range.
    """

    lr: float
    weight_decay: float = 0.0
    schedule: str = "constant"
    pct_start: float = 0.02
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ConfigError(f"settings.lr must be above 0, not {self.lr}")
        if self.weight_decay < 0:
            raise ConfigError(f"settings.weight_decay must not be negative, not {self.weight_decay}")
        if self.schedule not in SCHEDULES:
            raise ConfigError(
                f"settings.schedule {self.schedule!r} is not one of {', '.join(SCHEDULES)}"
                f"{did_you_mean(self.schedule, SCHEDULES)}"
            )
        if not 0 < self.pct_start < 1:
            raise ConfigError(f"settings.pct_start is a share between 0 and 1, not {self.pct_start}")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"settings.layer_decay must be above 0 and at most 1, not {self.layer_decay}")


def _constant(optimizer: torch.optim.Optimizer, options: OptimizerOptions, n_steps: int) -> dict[str, Any]:
    return {}


def _one_cycle(optimizer: torch.optim.Optimizer, options: OptimizerOptions, n_steps: int) -> dict[str, Any]:
    schedule = OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=max(n_steps, 2),
        pct_start=options.pct_start,
        cycle_momentum=False,
    )
    return {"lr_scheduler": {"scheduler": schedule, "interval": "step"}}


SCHEDULES: dict[str, Callable[[torch.optim.Optimizer, OptimizerOptions, int], dict[str, Any]]] = {
    "constant": _constant,
    "one_cycle": _one_cycle,
}


def configure(model: nn.Module, options: OptimizerOptions, n_steps: int) -> dict[str, Any]:
    """Optimiser and schedule as Lightning takes them; ``n_steps`` is how many there will be in all."""
    groups = parameter_groups(layers_of(model), options)
    optimizer: torch.optim.Optimizer
    if options.weight_decay:
        optimizer = torch.optim.AdamW(groups, lr=options.lr)
    else:
        optimizer = torch.optim.Adam(groups, lr=options.lr)
    return {"optimizer": optimizer, **SCHEDULES[options.schedule](optimizer, options, n_steps)}


def layers_of(model: nn.Module) -> Sequence[nn.Module]:
    """The parts of a model from input to head, as its network names them; or the model as one part."""
    layers: Any = getattr(getattr(model, "net", None), "layers", None)
    return layers() if callable(layers) else [model]


def parameter_groups(layers: Sequence[nn.Module], options: OptimizerOptions) -> list[dict[str, Any]]:
    """Trainable parameters by layer, those that are decayed apart from those that are not."""
    groups = []
    for depth, layer in enumerate(layers):
        lr = options.lr * options.layer_decay ** (len(layers) - 1 - depth)
        embeddings = {id(m.weight) for m in layer.modules() if isinstance(m, nn.Embedding)}
        trained = [p for p in layer.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1 and id(p) not in embeddings]
        others = [p for p in trained if not (p.ndim > 1 and id(p) not in embeddings)]
        groups += [
            {"params": part, "lr": lr, "weight_decay": decay}
            for part, decay in ((decayed, options.weight_decay), (others, 0.0))
            if part
        ]
    return groups


class MovingAverage(WeightAveraging):
    """Validates and keeps an exponential moving average of the weights (Polyak and Juditsky 1992).

    Early steps are forgotten faster, as in the averages of TensorFlow: after n steps the decay is at most
    (1 + n) / (10 + n), so that short trainings are not held back by their first weights.
    """

    def __init__(self, decay: float) -> None:
        def average(kept: Tensor, now: Tensor, n: Tensor | int) -> Tensor:
            share = 1 - min(decay, (1 + int(n)) / (10 + int(n)))
            return torch.lerp(kept, now, share)

        super().__init__(avg_fn=average)
