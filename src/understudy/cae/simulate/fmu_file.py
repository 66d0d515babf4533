"""What is in an FMU, read without running anything of it: variables, units, limits, platforms (FMI 2.0 and 3.0)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.cae.simulate.manifest import file_sha256
from understudy.errors import ConfigError, DataError, did_you_mean

# The type of a variable in the model description -> the pair of functions that gets and sets it.
_ACCESS_2 = {
    "Real": "Real",
    "Integer": "Integer",
    "Enumeration": "Integer",
    "Boolean": "Boolean",
    "String": "String",
}
_ACCESS_3 = {name: name for name in ("Float64", "Float32", "Boolean", "String")}
_ACCESS_3 |= {f"{sign}Int{bits}": f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_ACCESS_3["Enumeration"] = "Int64"
_ACCESS = {2: _ACCESS_2, 3: _ACCESS_3}


@dataclass(frozen=True)
class Variable:
    """A scalar variable of the model. ``access`` names the functions that get and set it, as ``Float64``."""

    name: str
    reference: int
    access: str
    causality: str
    unit: str
    low: float | None
    high: float | None
    can_start: bool

    @property
    def is_real(self) -> bool:
        return self.access.startswith(("Real", "Float"))

    @property
    def is_number(self) -> bool:
        return self.access != "String"


@dataclass(frozen=True)
class FmuFile:
    """An FMU for co-simulation that this machine can run; times in s."""

    path: Path
    sha256: str
    model: str
    fmi: str
    start: float
    stop: float | None
    step: float | None
    variables: dict[str, Variable]

    @property
    def major(self) -> int:
        return int(self.fmi.split(".", maxsplit=1)[0])

    def variable(self, name: str, among: Iterable[str] | None = None) -> Variable:
        """
        Raises:
            ConfigError: there is none, or it is no scalar; a near name is taken from ``among``.
        """
        if name not in self.variables:
            hint = did_you_mean(name, self.variables if among is None else among)
            raise ConfigError(f"{self.path.name} has no scalar variable {name!r}{hint}")
        return self.variables[name]


def fmpy() -> Any:
    """The package that reads and runs FMUs.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import fmpy as package
    except ImportError as error:
        raise ConfigError("running an FMU needs FMPy: pip install 'understudy[fmu]'") from error
    return package


def read_fmu(path: Path) -> FmuFile:
    """
    Raises:
        DataError: no such file, or not an FMU.
        ConfigError: FMPy is missing; or an FMU without co-simulation, of FMI 1.0, or for other platforms.
    """
    library = fmpy()
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.namelist()
        description = library.read_model_description(str(path), validate=False)
    except Exception as error:  # whatever the package meets in a file that is no FMU
        raise DataError(f"{path}: cannot be read as an FMU: {error}") from error
    if description.fmiVersion.startswith("1"):
        raise ConfigError(
            f"{path}: FMI {description.fmiVersion} is not supported; export it as FMI 2.0 or 3.0"
        )
    if description.coSimulation is None:
        raise ConfigError(f"{path}: only for model exchange; export it for co-simulation")
    _check_platform(path, files, description)
    try:
        return _described(path, description)
    except ValueError as error:
        raise DataError(f"{path}: the model description holds what is no number: {error}") from error


def _described(path: Path, description: Any) -> FmuFile:
    usual = description.defaultExperiment
    access = _ACCESS[int(description.fmiVersion[0])]
    variables = [
        _variable(v, access[v.type])
        for v in description.modelVariables
        if v.type in access and not v.dimensions
    ]
    return FmuFile(
        path=path.absolute(),
        sha256=file_sha256(path),
        model=description.modelName,
        fmi=description.fmiVersion,
        start=_number(getattr(usual, "startTime", None)) or 0.0,
        stop=_number(getattr(usual, "stopTime", None)),
        step=_number(getattr(usual, "stepSize", None)),
        variables={v.name: v for v in variables},
    )


def _check_platform(path: Path, files: list[str], description: Any) -> None:
    library = fmpy()
    here = library.platform if description.fmiVersion.startswith("2") else library.platform_tuple
    name = f"{description.coSimulation.modelIdentifier}{library.sharedLibraryExtension}"
    if f"binaries/{here}/{name}" in files:
        return
    parts = [file.split("/") for file in files]
    others = sorted({p[1] for p in parts if len(p) > 2 and p[0] == "binaries" and p[-1]})
    found = f"only for {', '.join(others)}" if others else "nor for any other"
    raise ConfigError(f"{path}: has no binary for {here}, {found}; export it for this platform")


def _variable(variable: Any, access: str) -> Variable:
    declared = variable.declaredType
    both = (variable, declared)
    unit, low, high = (
        next((getattr(v, what) for v in both if v is not None and getattr(v, what) is not None), None)
        for what in ("unit", "min", "max")
    )
    starts = variable.variability != "constant" and variable.initial in ("exact", "approx")
    return Variable(
        name=variable.name,
        reference=variable.valueReference,
        access=access,
        causality=variable.causality,
        unit=unit or "",
        low=0.0 if access == "Boolean" else _number(low),
        high=1.0 if access == "Boolean" else _number(high),
        can_start=variable.causality == "input" or (starts and variable.causality != "structuralParameter"),
    )


def _number(text: Any) -> float | None:
    return None if text is None else float(text)
