"""Starting from the weights of another run: what is taken over, and what of it learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn

from understudy.core.bundle import Bundle, load_bundle
from understudy.core.nets import informed_of
from understudy.core.spec import DataSpec
from understudy.errors import ConfigError, did_you_mean
from understudy.training.optimizer import layers_of


def start_from(model: nn.Module, path: Path, network: str, spec: DataSpec) -> str:
    """Take over what fits from the run or bundle at ``path``; returns one line that says what did not.

    A tensor fits where the other network has one of the same name and shape. Signals of the same name keep the
    scales that the weights were trained with; others, and a head for another number of targets, start anew.

    Raises:
        ConfigError: another network, or one of other sizes, or other controls by formulas.
        ModelError: no bundle there, or a damaged one.
    """
    source = load_bundle(path)
    if source.network != network:
        raise ConfigError(
            f"init_from={path} is a network {source.network!r}; model={network} cannot start from it"
        )
    if _formulas(model) != _formulas(source.model):
        raise ConfigError(
            f"init_from={path} was trained with other formulas; give the model.derived of that run"
        )
    theirs, mine = source.model.state_dict(), model.state_dict()
    weights = {key for key in mine if not key.startswith("scaler.")}
    fitting = {key for key in weights if key in theirs and theirs[key].shape == mine[key].shape}
    if 2 * len(fitting) < len(weights):
        raise ConfigError(
            f"init_from={path}: only {len(fitting)} of {len(weights)} tensors fit; use the model.* keys of that run"
        )
    taken = {key: theirs[key] for key in fitting}
    model.load_state_dict({**mine, **taken, **_scales(mine, theirs, source, spec)})
    new = sorted(weights - fitting)
    kept = f"; new: {', '.join(new)}" if new else ""
    return f"starting from {path}: {len(fitting)} of {len(weights)} tensors{kept}"


def _formulas(model: nn.Module) -> dict[str, str]:
    """Those by which a model derives controls: its weights and their scales mean nothing with others."""
    told = informed_of(model)
    return {} if told is None else told.derived


def _scales(
    mine: dict[str, Tensor], theirs: dict[str, Tensor], source: Bundle, spec: DataSpec
) -> dict[str, Tensor]:
    """The scaler's buffers with the values of the source for the signals that both know."""
    if "scaler.mean" not in mine:
        return {}
    columns = {name: k for k, name in enumerate(source.spec.names)}
    both = [(i, columns[name]) for i, name in enumerate(spec.names) if name in columns]
    scales = {}
    for key in ("scaler.mean", "scaler.std"):
        scales[key] = mine[key].clone()
        for i, k in both:
            scales[key][i] = theirs[key][k]
    return scales


class LearnFrom(pl.Callback):
    """Lets only the layers from ``first(epoch)`` on learn; the others stay as they are, their dropout off."""

    def __init__(self, layers: Sequence[nn.Module], first: Callable[[int], int]) -> None:
        self.layers = layers
        self.first = first

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        first = self.first(trainer.current_epoch)
        for depth, layer in enumerate(self.layers):
            layer.requires_grad_(depth >= first)
            layer.train(depth >= first)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)  # Lightning puts everything back into training mode

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for layer in self.layers:
            layer.requires_grad_(True)


def _full(n_layers: int, unfreeze_epochs: int) -> Callable[[int], int]:
    return lambda epoch: 0


def _head(n_layers: int, unfreeze_epochs: int) -> Callable[[int], int]:
    return lambda epoch: n_layers - 1


def _gradual(n_layers: int, unfreeze_epochs: int) -> Callable[[int], int]:
    """One more layer every ``unfreeze_epochs`` (Howard and Ruder 2018, section 3.3)."""
    return lambda epoch: max(0, n_layers - 1 - epoch // unfreeze_epochs)


TRANSFERS = {"full": _full, "head": _head, "gradual": _gradual}


def learning_layers(model: nn.Module, transfer: str, *, unfreeze_epochs: int) -> list[Any]:
    """The callbacks of the transfer called ``transfer``.

    ``full`` trains everything (with smaller learning rates near the input: ``settings.layer_decay``), ``head`` only
    the last layer on features that stay, ``gradual`` begins like ``head`` and adds a layer every so many epochs.
    """
    layers = layers_of(model)
    return [LearnFrom(layers, TRANSFERS[transfer](len(layers), unfreeze_epochs))]


def check_transfer(transfer: str, unfreeze_epochs: int) -> None:
    """
    Raises:
        ConfigError: no such transfer.
    """
    if transfer not in TRANSFERS:
        raise ConfigError(
            f"transfer {transfer!r} is not one of {', '.join(TRANSFERS)}{did_you_mean(transfer, TRANSFERS)}"
        )
    if unfreeze_epochs < 1:
        raise ConfigError(f"settings.unfreeze_epochs must be at least 1, not {unfreeze_epochs}")


__all__ = ["TRANSFERS", "check_transfer", "learning_layers", "start_from"]
