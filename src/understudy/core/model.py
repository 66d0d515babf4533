"""A network together with the scales of its data: physical units outside, scaled values inside."""

from __future__ import annotations

from torch import Tensor, nn

from understudy.core.nets import TokenNet, WindowNet
from understudy.core.oneshot import OneShotModel
from understudy.core.scaling import Scaler


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


def model_of(net: WindowNet | TokenNet) -> Model | OneShotModel:
    """The model around a network, its scales still to be fitted or loaded."""
    if isinstance(net, TokenNet):
        return OneShotModel(net)
    return Model(net, Scaler(net.sizes.n_signals))
