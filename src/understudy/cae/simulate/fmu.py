"""Any FMU for co-simulation (FMI 2.0 and 3.0) as an experiment: random controls in, all outputs out."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.cae.simulate.controls import Controls, Moved, Value
from understudy.cae.simulate.excitation import Channel
from understudy.cae.simulate.experiment import Simulated
from understudy.cae.simulate.fmu_file import FmuFile, Variable, read_fmu
from understudy.cae.simulate.fmu_instance import FmuInstance
from understudy.core.spec import DataSpec, Role, Signal
from understudy.errors import ConfigError, did_you_mean

DEFAULT_STEP = 0.1  # s


class FmuExperiment:
    """Cases of an FMU.

    Inputs that are not controls keep their start values. Controls of integer or boolean type are rounded, and
    the rounded values are what the case shows.

    Args:
        path: the ``.fmu`` file.
        controls: by default every input moves between the limits that the FMU gives it.
        seconds: length of a case; by default that of the FMU's default experiment.
        step: communication step in s, which is the step of the rows; by default that of ``controls``, else of the
            FMU's default experiment, else 0.1.

    Raises:
        DataError: not an FMU.
        ConfigError: FMPy is missing, the FMU cannot be run here, or controls that it does not have or allow.
    """

    may_crash = True

    def __init__(
        self,
        path: Path,
        controls: Controls | None = None,
        *,
        seconds: float | None = None,
        step: float | None = None,
    ) -> None:
        wanted = controls or Controls()
        self._file = file = read_fmu(path)
        self.step = step or wanted.step or file.step or DEFAULT_STEP
        self.seconds = _seconds(file, seconds)
        self.n_rows = round(self.seconds / self.step) + 1
        if self.n_rows < 2:
            raise ConfigError(f"a case of {self.seconds:g} s is shorter than one step of {self.step:g} s")
        self._inputs = _inputs(file, wanted)
        self._channels = tuple(_channel(file, v, moved) for v, moved in self._inputs.items())
        self._byproducts, self._targets = _outputs(file, wanted)
        self._parameters = {
            _parameter(file, name, value, self._inputs): value for name, value in wanted.parameters.items()
        }
        self._spec = DataSpec(
            (
                *(Signal(c.name, c.unit, Role.CONTROL) for c in self._channels),
                *(Signal(v.name, v.unit, Role.BYPRODUCT) for v in self._byproducts),
                *(Signal(v.name, v.unit, Role.TARGET) for v in self._targets),
            ),
            step=self.step,
        )
        self._instance: FmuInstance | None = None

    @property
    def spec(self) -> DataSpec:
        return self._spec

    def describe(self) -> dict[str, Any]:
        controls = [_described(channel) for channel in self._channels]
        text = json.dumps(controls, sort_keys=True)
        return {
            "name": "fmu",
            "model": self._file.model,
            "fmi": self._file.fmi,
            "sha256": self._file.sha256,
            "start": self._file.start,
            "seconds": self.seconds,
            "step": self.step,
            "controls": controls,
            "controls_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "parameters": {v.name: value for v, value in self._parameters.items()},
            "byproducts": [v.name for v in self._byproducts],
            "targets": [v.name for v in self._targets],
        }

    def plan(self, rng: np.random.Generator) -> NDArray[np.float64]:
        u = np.stack([channel.draw(rng, self.n_rows, self.step) for channel in self._channels], axis=1)
        whole = [j for j, v in enumerate(self._inputs) if not v.is_real]
        u[:, whole] = np.rint(u[:, whole])
        return u

    def run(self, rng: np.random.Generator) -> Simulated:
        """One case; row k has the controls from time k on, and the outputs at that time (see
        :meth:`~understudy.cae.simulate.fmu_instance.FmuInstance.simulate`).

        Raises:
            CaseFailed: the FMU reports an error, or a value that is not finite.
        """
        inputs, u = tuple(self._inputs), self.plan(rng)
        if self._instance is None:
            self._instance = FmuInstance(self._file)
        outputs = (*self._byproducts, *self._targets)
        y = self._instance.simulate(inputs, u, outputs, self.step, self._parameters)
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and no case
            values: NDArray[np.float32] = np.hstack([u, y]).astype(np.float32)
        return Simulated(values)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_instance": None}  # a loaded library stays in its process


def _seconds(file: FmuFile, wanted: float | None) -> float:
    if wanted is not None:
        return wanted
    if file.stop is None or file.stop <= file.start:
        raise ConfigError(
            f"{file.path.name} has no default experiment; say how long a case is with --seconds"
        )
    return file.stop - file.start


def _inputs(file: FmuFile, wanted: Controls) -> dict[Variable, Moved]:
    """Inputs to move, in the order of the columns."""
    possible = [v.name for v in file.variables.values() if v.causality == "input" and v.is_number]
    moved = wanted.moved if wanted.moved is not None else {name: Moved() for name in possible}
    if not moved:
        raise ConfigError(f"{file.path.name}: no control is named, or the FMU has no inputs")
    found = {}
    for name, how in moved.items():
        variable = file.variable(name, possible)
        if name not in possible:
            hint = did_you_mean(name, possible) or f"; inputs are {', '.join(possible)}"
            raise ConfigError(f"control {name!r} is not an input of {file.path.name}{hint}")
        found[variable] = how
    return found


def _channel(file: FmuFile, variable: Variable, moved: Moved) -> Channel:
    if moved.range is None and (variable.low is None or variable.high is None):
        raise ConfigError(
            f"control {variable.name!r}: {file.path.name} has no limits for it; give its range in the controls"
        )
    low, high = moved.range or (variable.low or 0.0, variable.high or 0.0)
    least = -math.inf if variable.low is None else variable.low
    most = math.inf if variable.high is None else variable.high
    if low < least or high > most:
        raise ConfigError(
            f"control {variable.name!r}: the range {low:g} to {high:g} exceeds what {file.path.name} allows, "
            f"{least:g} to {most:g}"
        )
    unit = variable.unit if moved.unit is None else moved.unit
    return Channel(variable.name, unit, low, high, **moved.options)


def _outputs(file: FmuFile, wanted: Controls) -> tuple[tuple[Variable, ...], tuple[Variable, ...]]:
    """Byproducts and targets."""
    usual = [v.name for v in file.variables.values() if v.causality == "output" and v.is_number]
    kept = usual if wanted.outputs is None else list(wanted.outputs)
    if not kept:
        raise ConfigError(f"{file.path.name}: no output is named, or the FMU has none")
    for name in kept:
        variable = file.variable(name)
        if not variable.is_number or variable.causality == "input":
            raise ConfigError(
                f"output {name!r} of {file.path.name} is {_kind(variable)}, not a number that it gives"
            )
    targets = kept if wanted.targets is None else list(wanted.targets)
    for name in targets:
        if name not in kept:
            raise ConfigError(f"target {name!r} is not one of the outputs{did_you_mean(name, kept)}")
    byproducts = tuple(file.variables[name] for name in kept if name not in targets)
    return byproducts, tuple(file.variables[name] for name in targets)


def _kind(variable: Variable) -> str:
    return "an input" if variable.causality == "input" else "a text"


def _parameter(file: FmuFile, name: str, value: Value, moved: dict[Variable, Moved]) -> Variable:
    variable = file.variable(name)
    if not variable.can_start or variable in moved:
        what = "a control" if variable in moved else f"of causality {variable.causality!r}"
        raise ConfigError(
            f"parameter {name!r} of {file.path.name} is {what} and cannot be given a start value"
        )
    if variable.is_number == isinstance(value, str):
        wanted = "a number" if variable.is_number else "a text"
        raise ConfigError(f"parameter {name!r} of {file.path.name} must be {wanted}, not {value!r}")
    low = -math.inf if variable.low is None else variable.low
    high = math.inf if variable.high is None else variable.high
    if not isinstance(value, str) and not low <= value <= high:
        raise ConfigError(f"parameter {name!r}: {file.path.name} allows {low:g} to {high:g}, not {value:g}")
    return variable


def _described(channel: Channel) -> dict[str, Any]:
    data = asdict(channel)
    return {**data, "slew": channel.slew if math.isfinite(channel.slew) else None}
