"""One instance of an FMU, kept from case to case, behind the little that a campaign needs of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import chdir, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.cae.simulate.experiment import CaseFailed
from understudy.cae.simulate.fmu_file import FmuFile, Variable, fmpy

Floats = NDArray[np.float64]
_FATAL = 4
_NOTEWORTHY = 2  # discard, error, fatal: messages of these explain a failure
_LONGEST = 200


class _Resources:
    """What has to be given back; apart from the instance, so that a finalizer can hold it."""

    def __init__(self, major: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="understudy-fmu-")
        self.slave: Any = None
        self._free = f"fmi{major}FreeInstance"

    def free(self, *, dead: bool = False) -> None:
        """Free the FMU, but do not unload its library: few bear that, and a crash would be ours to explain.

        After a fatal error it is ``dead``: nothing of it may be called any more, not even to free it.
        """
        slave, self.slave = self.slave, None
        if slave is not None and not dead:
            getattr(slave, self._free)(slave.component)

    def close(self) -> None:
        self.free()
        shutil.rmtree(self.folder, ignore_errors=True)


class FmuInstance:
    """Unzips the FMU once, and resets it from case to case; where it cannot be reset, it is made anew.

    The binary runs in this process, and takes it along when it crashes.
    """

    def __init__(self, file: FmuFile) -> None:
        self._file = file
        self._messages: list[str] = []
        self._held = _Resources(file.major)
        self.close = weakref.finalize(self, self._held.close)
        library = fmpy()
        self._description = library.read_model_description(str(file.path), validate=False)
        library.extract(str(file.path), self._held.folder)

    def simulate(
        self,
        inputs: Sequence[Variable],
        u: Floats,
        outputs: Sequence[Variable],
        step: float,
        parameters: Mapping[Variable, Any],
    ) -> Floats:
        """Outputs ``(T, n_outputs)`` to inputs ``(T, n_inputs)``, a row every ``step`` s.

        In row k the inputs ``u[k]`` are set, then the outputs are read, then the model steps to row k + 1, the
        inputs held: where an output depends on an input directly, row k shows it.

        Raises:
            CaseFailed: the FMU reports an error, ends the simulation, or gives a value that is not finite.
        """
        time = self._file.start
        y = np.empty((len(u), len(outputs)))
        setters, getters = _groups(inputs), _groups(outputs)
        from fmpy.fmi1 import FMICallException

        try:
            slave = self._fresh()
            for variable, value in parameters.items():
                _set(slave, variable.access, [variable.reference], [value])
            self._initialize(slave, setters, u[0])
            for k, row in enumerate(u):
                time = self._file.start + k * step
                _apply(slave, setters, row)
                for access, references, columns in getters:
                    y[k, columns] = getattr(slave, f"get{access}")(references)
                _check_finite(outputs, y[k], time)
                if k + 1 < len(u):
                    self._step(slave, time, step)
            slave.terminate()
        except FMICallException as error:
            if error.status == _FATAL:
                self._held.free(dead=True)
            raise CaseFailed(self._explained(f"{str(error).rstrip('.')} at {time:g} s")) from error
        return y

    def _fresh(self) -> Any:
        """The FMU as after its instantiation."""
        from fmpy.fmi1 import FMICallException

        held = self._held
        if held.slave is not None:
            try:
                held.slave.reset()
            except FMICallException as error:
                held.free(dead=error.status == _FATAL)
        self._messages.clear()  # of the case before
        if held.slave is None:
            try:
                with chdir(os.getcwd()):  # loading changes the folder, and a failure would leave it changed
                    held.slave = fmpy().instantiate_fmu(
                        held.folder, self._description, "CoSimulation", logger=_logger(self._messages)
                    )
            except Exception as error:
                raise CaseFailed(self._explained(f"the FMU cannot be instantiated: {error}")) from error
        return held.slave

    def _initialize(self, slave: Any, setters: list[_Group], first: Floats) -> None:
        if self._file.major == 2:
            slave.setupExperiment(startTime=self._file.start)
            slave.enterInitializationMode()
        else:
            slave.enterInitializationMode(startTime=self._file.start)
        _apply(slave, setters, first)
        slave.exitInitializationMode()

    def _step(self, slave: Any, time: float, step: float) -> None:
        told = slave.doStep(currentCommunicationPoint=time, communicationStepSize=step)
        if self._file.major == 3 and told[1]:
            raise CaseFailed(self._explained(f"the FMU ended the simulation at {time:g} s"))

    def _explained(self, what: str) -> str:
        """With the FMU's last message; the folder, which differs from process to process, is taken out."""
        said = f": {self._messages[-1]}" if self._messages else ""
        text = f"{what}{said}".replace(self._held.folder, self._file.path.name)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


_Group = tuple[str, list[int], list[int]]  # functions, value references, columns


def _groups(variables: Sequence[Variable]) -> list[_Group]:
    """Variables that one call can get or set together."""
    groups = []
    for access in dict.fromkeys(v.access for v in variables):
        columns = [j for j, v in enumerate(variables) if v.access == access]
        groups.append((access, [variables[j].reference for j in columns], columns))
    return groups


def _apply(slave: Any, setters: list[_Group], row: Floats) -> None:
    for access, references, columns in setters:
        _set(slave, access, references, row[columns].tolist())


def _set(slave: Any, access: str, references: list[int], values: list[Any]) -> None:
    if access == "Boolean":
        values = [bool(value) for value in values]
    elif access not in ("Real", "Float64", "Float32", "String"):
        values = [int(value) for value in values]
    getattr(slave, f"set{access}")(references, values)


def _check_finite(outputs: Sequence[Variable], row: Floats, time: float) -> None:
    if not np.isfinite(row).all():
        j = int(np.flatnonzero(~np.isfinite(row))[0])
        raise CaseFailed(f"{outputs[j].name} is {row[j]:g} at {time:g} s")


def _logger(messages: list[str]) -> Any:
    """A function for both versions of FMI: status, category and message are the last three arguments of each."""

    def log(*arguments: Any) -> None:
        status, _, message = arguments[-3:]
        with suppress(AttributeError):  # a null pointer for a text
            if status >= _NOTEWORTHY:
                messages.append(message.decode("utf-8", "replace").strip())

    return log
