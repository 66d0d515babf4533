"""What the columns of a data set mean: signals, their units and roles, and the step between positions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from understudy.errors import DataError


class Role(StrEnum):
    """What a signal is to the surrogate."""

    CONTROL = "control"  # known before the experiment at every position, the future included
    BYPRODUCT = "byproduct"  # predicted because the state of the experiment needs it
    TARGET = "target"  # predicted because a user wants it


_ORDER = list(Role)


@dataclass(frozen=True)
class Signal:
    """A named column with a unit and a role."""

    name: str
    unit: str = ""
    role: Role = Role.TARGET

    @property
    def label(self) -> str:
        """Name and unit as axes and table heads show them: ``CompInP [MPa]``."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class DataSpec:
    """The signals of a data set in the order of its columns: controls, then byproducts, then targets.

    ``step`` is the distance between two positions in ``step_unit`` (seconds for CAE).

    Raises:
        DataError: two signals share a name, roles are out of order, or nothing is predicted.
    """

    signals: tuple[Signal, ...]
    step: float = 1.0
    step_unit: str = "s"
    domain: str = "cae"

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise DataError(f"signal {twice!r} is named twice; every signal needs a name of its own")
        ranks = [_ORDER.index(s.role) for s in self.signals]
        if ranks != sorted(ranks):
            raise DataError("signals must come as controls, then byproducts, then targets")
        if not self.predicted:
            raise DataError("no signal is predicted: name at least one target or byproduct")
        if not self.step > 0:
            raise DataError(f"the step between positions must be positive, not {self.step}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.signals)

    @property
    def controls(self) -> tuple[Signal, ...]:
        return tuple(s for s in self.signals if s.role is Role.CONTROL)

    @property
    def predicted(self) -> tuple[Signal, ...]:
        """Byproducts, then targets: everything that a rollout feeds back."""
        return tuple(s for s in self.signals if s.role is not Role.CONTROL)

    @property
    def target_columns(self) -> tuple[int, ...]:
        """Positions of the targets within :attr:`predicted`; all of them where no signal is a target."""
        chosen = tuple(i for i, s in enumerate(self.predicted) if s.role is Role.TARGET)
        return chosen or tuple(range(len(self.predicted)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DataSpec:
        """Inverse of :meth:`to_json`.

        Raises:
            DataError: the data is not what :meth:`to_json` writes.
        """
        try:
            signals = tuple(Signal(str(s["name"]), str(s["unit"]), Role(s["role"])) for s in data["signals"])
            return cls(signals, float(data["step"]), str(data["step_unit"]), str(data["domain"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is not a data specification: {error!r}") from error

    def dumps(self) -> str:
        """Canonical JSON text: equal specs give equal text."""
        return json.dumps(self.to_json(), sort_keys=True)

    def differences(self, other: DataSpec) -> Sequence[str]:
        """What keeps ``other`` from being read as this spec, one phrase each; empty if nothing does."""
        found = []
        mine, theirs = {s.name: s for s in self.signals}, {s.name: s for s in other.signals}
        found += [f"{n!r} is missing" for n in mine if n not in theirs]
        found += [f"{n!r} is not known" for n in theirs if n not in mine]
        for name in mine.keys() & theirs.keys():
            if mine[name].unit != theirs[name].unit:
                found.append(f"{name!r} is in {theirs[name].unit!r}, not in {mine[name].unit!r}")
        if abs(self.step - other.step) > 1e-3 * self.step:
            found.append(f"the step is {other.step:g} {other.step_unit}, not {self.step:g} {self.step_unit}")
        return found
