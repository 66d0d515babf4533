"""``controls.yaml``: which inputs of a model move and how, which outputs are kept, which of them are targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy.errors import ConfigError, did_you_mean

KEYS = ("step", "controls", "parameters", "outputs", "targets")
CHANNEL_KEYS = ("range", "slew", "kinds", "dwell", "period", "constant", "unit")
Value = float | int | bool | str


@dataclass(frozen=True)
class Moved:
    """How one control shall move; None and what ``options`` lacks are left to the model or to the defaults.

    ``options`` are arguments of :class:`understudy.cae.simulate.excitation.Channel`.
    """

    range: tuple[float, float] | None = None
    unit: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Controls:
    """What a file of controls says; None where it says nothing.

    Args:
        moved: controls by name, in the order of the columns.
        step: communication step in s.
        parameters: start values by name.
        outputs: signals to keep.
        targets: those of them that are targets.
    """

    moved: dict[str, Moved] | None = None
    step: float | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None


def read_controls(path: Path) -> Controls:
    """
    Raises:
        ConfigError: no such file, not YAML, or a key or value that is not known; names are not checked here.
    """
    try:
        import yaml
    except ImportError as error:
        raise ConfigError("reading controls needs PyYAML: pip install 'understudy[fmu]'") from error
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    try:
        return parse_controls(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_controls(data: Any) -> Controls:
    """What :func:`read_controls` makes of the content of the file.

    Raises:
        ConfigError: a key or value that is not known.
    """
    top = _mapping("the file", data)
    _known("key", top, KEYS)
    moved = None
    if top.get("controls") is not None:
        moved = {name: _moved(name, how) for name, how in _mapping("controls", top["controls"]).items()}
    step = None if top.get("step") is None else _number("step", top["step"])
    if step is not None and not step > 0:
        raise ConfigError(f"step must be positive, not {step:g}")
    parameters = _mapping("parameters", top.get("parameters") or {})
    for name, value in parameters.items():
        if not isinstance(value, float | int | str):
            raise ConfigError(f"parameters.{name}: a number, true, false or a text, not {value!r}")
    outputs = None if top.get("outputs") in (None, "all") else _names("outputs", top["outputs"])
    targets = None if top.get("targets") is None else _names("targets", top["targets"])
    return Controls(moved, step, parameters, outputs, targets)


def _moved(name: str, data: Any) -> Moved:
    given = _mapping(f"controls.{name}", data or {})
    _known(f"key of control {name!r}", given, CHANNEL_KEYS)
    options: dict[str, Any] = {}
    for key in ("slew", "constant"):
        if key in given:
            options[key] = _number(f"controls.{name}.{key}", given[key])
    for key in ("dwell", "period"):
        if key in given:
            options[key] = _pair(f"controls.{name}.{key}", given[key])
    if "kinds" in given:
        options["kinds"] = _names(f"controls.{name}.kinds", given["kinds"])
    limits = _pair(f"controls.{name}.range", given["range"]) if "range" in given else None
    return Moved(limits, None if given.get("unit") is None else str(given["unit"]), options)


def _known(what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) or f"; known are {', '.join(known)}"
            raise ConfigError(f"no {what} is called {key!r}{hint}")


def _mapping(what: str, data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{what} must be names with values, not {data!r}")
    for key in data:
        if not isinstance(key, str):  # YAML reads yes, no, on and off as truth values
            raise ConfigError(f"{what}: the name {key!r} is no text; put it in quotes")
    return dict(data)


def _number(what: str, value: Any) -> float:
    try:
        number = float("nan" if isinstance(value, bool) else value)  # YAML reads 1e-3 as text
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{what} must be a number, not {value!r}")
    return number


def _pair(what: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError(f"{what} must be a pair [least, most], not {value!r}")
    return _number(what, value[0]), _number(what, value[1])


def _names(what: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{what} must be a list of names, not {value!r}")
    return tuple(value)
