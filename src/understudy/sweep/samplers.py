"""Optuna's samplers and pruners by name, with the arguments that the configuration gives."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from understudy.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

# Name -> class; `auto` and `grid` choose points without a sampler of Optuna's.
SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
}
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "hyperband": "HyperbandPruner",
    "asha": "SuccessiveHalvingPruner",
}
ONE_OBJECTIVE = {"cmaes"}
NEEDS = {"cmaes": "cmaes"}


def check_sampler(options: Mapping[str, Any], objectives: int) -> str:
    """The sampler's name.

    Raises:
        ConfigError: no such sampler, arguments it does not know, or it cannot do what is asked.
    """
    name = str(options.get("name", "auto"))
    if name in ("auto", "grid"):
        return name
    if name not in SAMPLERS:
        known = ["auto", "grid", *SAMPLERS]
        raise ConfigError(
            f"no sampler is called {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
        )
    if name in ONE_OBJECTIVE and objectives > 1:
        raise ConfigError(f"hydra/sweeper/sampler={name} knows one objective only; use nsgaii or tpe")
    if (package := NEEDS.get(name)) and importlib.util.find_spec(package) is None:
        raise ConfigError(f"hydra/sweeper/sampler={name} needs a package: pip install 'understudy[sweep]'")
    make_sampler(options, 0)
    return name


def make_sampler(options: Mapping[str, Any], asked: int) -> BaseSampler:
    """A sampler for the next trial.

    Its random numbers depend on the seed and on how many trials were asked before (``asked``), and on nothing
    else: a sweep that was stopped goes on with the parameters it would have tried, and two processes on one
    study never draw the same ones.
    """
    import optuna

    name = str(options.get("name", "tpe"))
    arguments = {k: v for k, v in options.items() if k != "name" and v is not None}
    seed = arguments.pop("seed", None)
    if seed is not None:
        # The low-discrepancy sequence continues by itself, but only under one and the same scrambling.
        arguments["seed"] = seed if name == "qmc" else seed + asked
    return _make(optuna.samplers, SAMPLERS[name if name in SAMPLERS else "tpe"], arguments, "sampler")  # type: ignore[no-any-return]


def make_pruner(options: Mapping[str, Any], epochs: int) -> BasePruner:
    """The pruner asked for.

    Raises:
        ConfigError: no such pruner, or arguments it does not know.
    """
    import optuna

    name = str(options.get("name", "none"))
    if name not in PRUNERS:
        raise ConfigError(
            f"no pruner is called {name!r}{did_you_mean(name, PRUNERS)}; there are {', '.join(PRUNERS)}"
        )
    arguments = {k: v for k, v in options.items() if k != "name" and v is not None}
    if name == "hyperband":
        arguments.setdefault("max_resource", epochs)
    return _make(optuna.pruners, PRUNERS[name], arguments, "pruner")  # type: ignore[no-any-return]


def _make(module: Any, name: str, arguments: Mapping[str, Any], kind: str) -> Any:
    import optuna

    try:
        with warnings.catch_warnings():
            # QMC and the Gaussian process are called experimental; who asks for them by name knows.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return getattr(module, name)(**arguments)
    except (TypeError, ValueError) as error:
        first = " ".join(str(error).split()).removeprefix(f"{name}.__init__() ")
        raise ConfigError(f"hydra.sweeper.{kind}: {first}") from error
