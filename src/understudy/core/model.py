"""A network together with the scales of its data: physical units outside, scaled values inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from understudy.core.nets import TokenNet, WindowNet
from understudy.core.oneshot import OneShotModel
from understudy.core.scaling import Scaler
from understudy.errors import ConfigError


class Model(nn.Module):
    """What is trained, saved, rolled out and exported.

    Axes: B cases, L past rows, O predicted rows, C controls, N predicted signals, F = C + N.
    """

    def __init__(self, net: WindowNet, scaler: Scaler) -> None:
        super().__init__()
        self.net = net
        self.scaler = scaler

    @property
    def n_controls(self) -> int:
        return self.net.sizes.n_controls

    def forward(self, past: Tensor, control: Tensor) -> Tensor:
        """``past`` (B, L, F) and ``control`` (B, O, C) to the prediction (B, O, N), all in physical units."""
        return self.scaler.undo(self.net(self.scaler(past), self.scaler(control)), first=self.n_controls)


class Ensemble(nn.Module):
    """Several models of the same signals as one, whose rollout is the mean of theirs.

    Each is fed its own predictions; a deep ensemble where they differ in their seeds (Lakshminarayanan et al. 2017,
    "Simple and scalable predictive uncertainty estimation using deep ensembles").

    Raises:
        ConfigError: they start from histories of different lengths.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        lengths = sorted({m.net.sizes.in_len for m in models})
        if len(lengths) > 1:
            raise ConfigError(f"runs with settings.in_len {lengths[0]} and {lengths[-1]} cannot be averaged")
        self.models = nn.ModuleList(models)

    @property
    def parts(self) -> list[Model]:
        """The models."""
        return cast("list[Model]", list(self.models))

    @property
    def scaler(self) -> Scaler:
        """Of the first model: the scale on which errors are compared."""
        return self.parts[0].scaler

    @property
    def n_controls(self) -> int:
        return self.parts[0].n_controls


def model_of(net: WindowNet | TokenNet) -> Model | OneShotModel:
    """The model around a network, its scales still to be fitted or loaded."""
    if isinstance(net, TokenNet):
        return OneShotModel(net)
    return Model(net, Scaler(net.sizes.n_signals))
