"""A network that is told more than was recorded: controls that follow from others by formulas.

Axes as in :mod:`understudy.core.nets.base`, D derived controls, V columns that their formulas need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from understudy.core.formulas import parse
from understudy.core.nets.base import Sizes, WindowNet
from understudy.core.scaling import Scaler
from understudy.errors import ConfigError, did_you_mean

_MOST = 100


class Informed(WindowNet):
    """``net`` with D more controls, which are computed from the recorded ones row by row.

    What a network is to carry beyond the range of its training, it must be told: that moist air holds no more than
    so much water, that the power of a pump goes with the cube of its speed. Outside, nobody knows of these
    controls: cases, predictions and reports have the recorded ones.

    The embedded controls (B, K, C + D + G) are all controls, then what the network makes of them.

    Args:
        net: for :meth:`inner` sizes.
        derived: formulas of the columns in physical units (:mod:`understudy.core.formulas`), by name.
    """

    mean: Tensor
    std: Tensor
    derived_mean: Tensor
    derived_std: Tensor

    def __init__(self, sizes: Sizes, net: WindowNet, derived: Mapping[str, str]) -> None:
        super().__init__(sizes)
        self.net = net
        self.derived = dict(derived)
        self.formulas = [parse(text) for text in derived.values()]
        self.names = list(dict.fromkeys(name for formula in self.formulas for name in formula.names))
        self.columns: list[int] = []
        for key, n in (("", len(self.names)), ("derived_", len(derived))):
            self.register_buffer(f"{key}mean", torch.zeros(n))
            self.register_buffer(f"{key}std", torch.ones(n))

    @staticmethod
    def inner(sizes: Sizes, derived: Mapping[str, str]) -> Sizes:
        """The sizes of the network within."""
        return sizes._replace(n_controls=sizes.n_controls + len(derived))

    @property
    def has_state(self) -> bool:  # type: ignore[override]
        return self.net.has_state

    @property
    def rows_at_once(self) -> int:
        return self.net.rows_at_once

    def layers(self) -> list[nn.Module]:
        """Those of the network; formulas have nothing to learn."""
        return self.net.layers()

    def averaged(self) -> list[WindowNet]:
        return [self._around(net) for net in self.net.averaged()]

    def _around(self, net: WindowNet) -> Informed:
        """The same formulas with the same scales around another network."""
        other = Informed(self.sizes, net, self.derived)
        other.columns = self.columns
        scales = {key: value for key, value in self.state_dict().items() if not key.startswith("net.")}
        other.load_state_dict(scales, strict=False)
        return other

    def locate(self, controls: Sequence[str]) -> None:
        """Find the columns by the names (C,) of the recorded controls.

        Raises:
            ConfigError: a formula names another one.
        """
        for name in self.names:
            if name not in controls:
                raise ConfigError(
                    f"model.derived: no control is called {name!r}{did_you_mean(name, controls)}"
                )
        self.columns = [list(controls).index(name) for name in self.names]

    def fit(self, scaler: Scaler, cases: Iterable[NDArray[np.float32]]) -> None:
        """Take over the scales of the columns, and find those of the derived controls.

        Args:
            scaler: of all signals, controls first.
            cases: rows (T, ≥ C) of each training case, recorded controls first, physical units.

        Raises:
            ConfigError: a formula gives no finite number in a row of them.
        """
        self.mean.copy_(scaler.mean[self.columns])
        self.std.copy_(scaler.std[self.columns])
        found = []
        for rows in cases:
            physical = torch.from_numpy(rows[:, self.columns]).double()
            found.append(self._derive(physical))
        values = torch.cat(found)
        finite = torch.isfinite(values).all(0)
        if not finite.all():
            name = list(self.derived)[int((~finite).nonzero()[0])]
            raise ConfigError(
                f"model.derived: {name} is no finite number in some row of the training cases: "
                f"{self.derived[name]!r}"
            )
        std, mean = torch.std_mean(values, dim=0, correction=0)
        self.derived_mean.copy_(mean)
        self.derived_std.copy_(torch.where(std <= 1e-6 * mean.abs() + 1e-12, 1.0, std))

    def embed_control(self, control: Tensor) -> Tensor:
        told = self._told(control)
        return torch.cat([told, self.net.embed_control(told)], dim=-1)

    def begin(self, past: Tensor) -> Tensor:
        return self.net.begin(self._rows(past))

    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        return self.net.predict(state, self._parts(control)[1])

    def push(self, state: Tensor, rows: Tensor) -> Tensor:
        return self.net.push(state, self._rows(rows))

    def advance(self, state: Tensor, control: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        return self.net.advance(state, *self._parts(embedded))

    def _parts(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        n = self.net.sizes.n_controls
        return embedded[..., :n], embedded[..., n:]

    def _rows(self, rows: Tensor) -> Tensor:
        """Rows (B, K, C + N) with the derived controls after the recorded ones."""
        n = self.sizes.n_controls
        return torch.cat([self._told(rows[..., :n]), rows[..., n:]], dim=-1)

    def _told(self, control: Tensor) -> Tensor:
        """Recorded controls (…, C), scaled, to all of them (…, C + D), scaled."""
        with torch.autocast(control.device.type, enabled=False):  # formulas may lose digits in small types
            values = self._derive(control.float()[..., self.columns] * self.std + self.mean)
            derived = (values - self.derived_mean) / self.derived_std
        return torch.cat([control, derived.to(control.dtype)], dim=-1)

    def _derive(self, physical: Tensor) -> Tensor:
        """Columns (…, V) to derived controls (…, D), both in physical units."""
        columns = dict(zip(self.names, physical.unbind(-1), strict=True))
        return torch.stack([formula(columns) for formula in self.formulas], dim=-1)


def informed_of(model: nn.Module) -> Informed | None:
    """The part of a model that derives controls; None where there is none."""
    return next((part for part in model.modules() if isinstance(part, Informed)), None)


def check_derived(name: str, derived: object) -> dict[str, str]:
    """The formulas by name, as ``model.derived`` gives them to the network ``name``; None: there are none.

    Raises:
        ConfigError: not a mapping of names to texts, too many, or no formula.
    """
    if derived is None:
        return {}
    if not isinstance(derived, Mapping) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in derived.items()
    ):
        raise ConfigError(f"model.derived of {name!r} must be names with a formula each, not {derived!r}")
    if len(derived) > _MOST:
        raise ConfigError(f"model.derived of {name!r} has {len(derived)} formulas; {_MOST} are the most")
    for key, text in derived.items():
        try:
            parse(text)
        except ConfigError as error:
            raise ConfigError(f"model.derived.{key}: {error}") from error
    return dict(derived)
