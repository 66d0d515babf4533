"""The networks by name. To add one: a file, a line in ``NETS``, a page in ``conf/model``."""

from __future__ import annotations

import inspect
from typing import Any, overload

from understudy.core.nets.base import Sizes, WindowNet
from understudy.core.nets.committee import Committee
from understudy.core.nets.corrector import Corrector
from understudy.core.nets.informed import Informed, check_derived, informed_of
from understudy.core.nets.linear import ARX, ArxFit, Persistence
from understudy.core.nets.operator import DeepOLSTM, DeepONet, DeepOTransformer
from understudy.core.nets.reservoirs import Reservoirs
from understudy.core.nets.ribo import Ribo
from understudy.core.nets.sequence import LSTM, Transformer
from understudy.core.nets.starter import Starter
from understudy.core.nets.state import GRU, SSM, StateNet, Subnet
from understudy.core.nets.tokens import TokenNet, TokenSizes
from understudy.errors import ConfigError, did_you_mean

NETS: dict[str, type[WindowNet] | type[TokenNet]] = {
    "persistence": Persistence,
    "arx": ARX,
    "lstm": LSTM,
    "bt": Transformer,
    "don": DeepONet,
    "dol": DeepOLSTM,
    "dot": DeepOTransformer,
    "ssm": SSM,
    "gru": GRU,
    "subnet": Subnet,
    "reservoirs": Reservoirs,
    "starter": Starter,
    "ribo": Ribo,
}

BASELINES = ("persistence", "arx")


@overload
def build_net(name: str, sizes: Sizes, arguments: dict[str, Any]) -> WindowNet: ...
@overload
def build_net(name: str, sizes: TokenSizes, arguments: dict[str, Any]) -> TokenNet: ...
def build_net(name: str, sizes: Sizes | TokenSizes, arguments: dict[str, Any]) -> WindowNet | TokenNet:
    """The network called ``name`` for data of these sizes.

    Raises:
        ConfigError: no such network, an argument it does not take or of another type, or arguments that do
            not fit each other.
    """
    if name not in NETS:
        raise ConfigError(
            f"no network is called {name!r}{did_you_mean(name, NETS)}; there are {', '.join(NETS)}"
        )
    fitting = [other for other in NETS if sizes_type(other) is type(sizes)]
    if name not in fitting:
        raise ConfigError(
            f"network {name!r} is not for this kind of data; choose one of {', '.join(fitting)}"
        )
    if isinstance(sizes, Sizes) and sizes.n_controls < 1:
        raise ConfigError("the data set has no control: name at least one signal that is known in advance")
    net: Any = NETS[name]
    arguments = dict(arguments)
    derived = check_derived(name, arguments.pop("derived", None)) if may_be_told(name) else {}
    members = arguments.pop("members", 1) if has_state(name) else 1
    _check(name, "members", members, "int")
    on_arx = arguments.pop("on_arx", False) if has_state(name) else False
    _check(name, "on_arx", on_arx, "bool")
    if on_arx and not net.adds_to_linear:
        raise ConfigError(f"model.on_arx is not for {name!r}, whose numbers describe the whole signal")
    if members > 1 and net.is_fitted:
        raise ConfigError(
            f"model.members is not for {name!r}, whose numbers are fitted: all would be the same"
        )
    known = {p.name: p for p in inspect.signature(net).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for key, value in arguments.items():
        if key not in known:
            raise ConfigError(f"network {name!r} has no argument {key!r}{did_you_mean(key, known)}")
        _check(name, key, value, str(known[key].annotation))
    missing = [key for key, p in known.items() if p.default is p.empty and key not in arguments]
    if missing:
        raise ConfigError(f"network {name!r} needs the argument {missing[0]!r}")
    for key in ("dim", "trunk_dim"):
        if "heads" in arguments and key in arguments and arguments[key] % arguments["heads"]:
            raise ConfigError(
                f"model.{key} {arguments[key]} cannot be divided among model.heads {arguments['heads']} heads"
            )
    told: Any = Corrector.inner(sizes) if on_arx and isinstance(sizes, Sizes) else sizes
    within = Informed.inner(told, derived) if derived else told
    built = net(within, **arguments)
    if members > 1:
        built = Committee([built, *(net(within, **arguments) for _ in range(members - 1))])
    if derived:
        built = Informed(told, built, derived)
    return Corrector(sizes, built) if on_arx and isinstance(sizes, Sizes) else built


def sizes_type(name: str) -> type[Sizes] | type[TokenSizes]:
    """What the network called ``name`` is told of the data."""
    return TokenSizes if issubclass(NETS[name], TokenNet) else Sizes


def has_state(name: str) -> bool:
    """Whether the network called ``name`` is one that runs on controls alone; False for an unknown name."""
    return name in NETS and issubclass(NETS[name], StateNet)


def may_be_told(name: str) -> bool:
    """Whether the network called ``name`` takes ``derived``: those that learn from windows or stretches."""
    net = NETS[name]
    return issubclass(net, WindowNet) and name not in BASELINES and not getattr(net, "is_fitted", False)


def _check(name: str, key: str, value: object, annotation: str) -> None:
    if annotation == "int" and not (type(value) is int and value >= 1):
        raise ConfigError(f"model.{key} of {name!r} must be a whole number of at least 1, not {value!r}")
    if annotation == "bool" and type(value) is not bool:
        raise ConfigError(f"model.{key} of {name!r} must be true or false, not {value!r}")
    if annotation == "float" and not (type(value) in (int, float) and 0 <= value < 1):  # type: ignore[operator]
        raise ConfigError(f"model.{key} of {name!r} must be a share from 0 to below 1, not {value!r}")


__all__ = [
    "ARX",
    "BASELINES",
    "NETS",
    "ArxFit",
    "Committee",
    "Corrector",
    "Informed",
    "Sizes",
    "StateNet",
    "TokenNet",
    "TokenSizes",
    "WindowNet",
    "build_net",
    "has_state",
    "informed_of",
    "sizes_type",
]
