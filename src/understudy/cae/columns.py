"""Which column of a file is which signal: by name, by count, or as a trained model knows them.

A name that stands for a control and for a predicted column becomes ``<name>_spec`` for the control: what was
asked for, beside what came out. Any other repeat becomes ``<name>_2``, ``<name>_3``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from understudy.cae.header import Header
from understudy.core.spec import DataSpec, Role, Signal
from understudy.errors import ConfigError, DataError, did_you_mean

_SECONDS = {"": 1.0, "-": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_ABSENT = -1

Like = tuple[str, tuple[str, ...]]  # a file, and its columns beside the time


@dataclass(frozen=True)
class Roles:
    """How columns become signals.

    By name (``controls``, ``byproducts``, ``targets``: as in the file, without the unit), or by count in the
    order of the columns: time, then ``num_control`` controls, then ``num_pred`` predicted ones, of which the
    last ``num_target`` are targets (``None``: all). ``time`` names the time column (``None``: the first).
    """

    controls: tuple[str, ...] = ()
    byproducts: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    num_control: int | None = None
    num_pred: int | None = None
    num_target: int | None = None
    time: str | None = None

    @property
    def by_name(self) -> bool:
        return bool(self.controls or self.byproducts or self.targets)

    def check(self) -> None:
        """Refuse roles that contradict themselves.

        Raises:
            ConfigError: names and counts at once, neither, a count that cannot be, or a name given twice.
        """
        counts = (self.num_control, self.num_pred, self.num_target)
        if self.by_name == any(c is not None for c in counts):
            raise ConfigError(
                "choose the columns either by name (dataset.controls, dataset.targets)"
                " or by count (dataset.num_control, dataset.num_pred)"
            )
        if self.by_name:
            self._check_names()
            return
        if self.num_control is None or self.num_pred is None:
            raise ConfigError("dataset.num_control and dataset.num_pred go together: set both")
        if self.num_control < 0 or self.num_pred < 1:
            raise ConfigError("dataset.num_control must be 0 or more, and dataset.num_pred 1 or more")
        if self.num_target is not None and not 0 <= self.num_target <= self.num_pred:
            raise ConfigError(f"dataset.num_target must lie between 0 and dataset.num_pred = {self.num_pred}")

    def _check_names(self) -> None:
        if not self.byproducts and not self.targets:
            raise ConfigError("nothing is predicted: name columns in dataset.targets")
        for names in (self.controls, self.byproducts + self.targets):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ConfigError(f"the column {twice[0]!r} is named twice in dataset.controls or targets")


@dataclass(frozen=True)
class Layout:
    """Columns of one file: ``indices[i]`` holds ``signals[i]``, or is -1 where the file lacks it."""

    time: int
    seconds: float  # what one unit of the time column is worth
    indices: tuple[int, ...]
    signals: tuple[Signal, ...]

    @property
    def present(self) -> list[int]:
        """Positions of the signals that the file has."""
        return [i for i, index in enumerate(self.indices) if index != _ABSENT]


def layout_by_roles(file: str, header: Header, roles: Roles, like: Like | None) -> Layout:
    """The layout of a file under ``roles``; ``like`` is the file that set the pattern.

    Raises:
        DataError: a column is missing, or the columns are not those of ``like``.
    """
    time = _time_by_roles(file, header, roles)
    if roles.by_name:
        chosen = _by_name(file, header, roles, time, like[0] if like else None)
    else:
        chosen = _by_count(file, header, roles, time, like)
    names = _signal_names([(header.names[index], role) for index, role in chosen])
    signals = tuple(
        Signal(name, header.units[index], role) for name, (index, role) in zip(names, chosen, strict=True)
    )
    return Layout(time, _seconds(file, header, time), tuple(index for index, _ in chosen), signals)


def check_units(file: str, signals: tuple[Signal, ...], like_file: str, like: tuple[Signal, ...]) -> None:
    """Refuse a file whose signals have other units than those of the file that set the pattern.

    Raises:
        DataError: a unit differs.
    """
    for mine, theirs in zip(signals, like, strict=True):
        if mine.unit != theirs.unit:
            raise DataError(
                f"{file}: the unit of column {mine.name!r} is {mine.unit!r},"
                f" but {theirs.unit!r} in {like_file}; bring the files to one unit"
            )


def _time_by_roles(file: str, header: Header, roles: Roles) -> int:
    if roles.time is None:
        return 0
    if roles.time not in header.names:
        hint = did_you_mean(roles.time, header.names)
        raise DataError(f"{file}: no column {roles.time!r} for dataset.time{hint}")
    return header.names.index(roles.time)


def _seconds(file: str, header: Header, time: int) -> float:
    unit = header.units[time].strip("[]() ").lower()
    if unit not in _SECONDS:
        raise DataError(
            f"{file}: the time column {header.names[time]!r} is in {header.units[time]!r};"
            " it must be in s, ms, min or h (dataset.time names another column)"
        )
    return _SECONDS[unit]


def _by_name(file: str, header: Header, roles: Roles, time: int, like: str | None) -> list[tuple[int, Role]]:
    chosen: list[tuple[int, Role]] = []
    groups = (
        (Role.CONTROL, roles.controls),
        (Role.BYPRODUCT, roles.byproducts),
        (Role.TARGET, roles.targets),
    )
    for role, names in groups:
        for name in names:
            places = [i for i, known in enumerate(header.names) if known == name.strip()]
            if not places:
                hint = f", which {like} has" if like else did_you_mean(name, header.names)
                raise DataError(f"{file}: no column {name!r} (dataset.{role.value}s){hint}")
            index = places[0] if role is Role.CONTROL else places[-1]
            if index == time:
                raise DataError(f"{file}: column {name!r} is the time; it cannot be one of dataset.{role}s")
            if any(index == other for other, _ in chosen):
                raise DataError(
                    f"{file}: column {name!r} is wanted as a control and as predicted,"
                    f" but the file has it once; take it out of dataset.controls or dataset.{role.value}s"
                )
            chosen.append((index, role))
    return chosen


def _by_count(
    file: str, header: Header, roles: Roles, time: int, like: Like | None
) -> list[tuple[int, Role]]:
    if like is not None:
        _same_columns(file, beside_time(header, time), *like)
    places = [i for i in range(len(header.names)) if i != time]
    n_control, n_pred = roles.num_control or 0, roles.num_pred or 0
    if n_control + n_pred != len(places):
        raise DataError(
            f"{file}: {len(places)} columns beside the time, but dataset.num_control {n_control}"
            f" + dataset.num_pred {n_pred} = {n_control + n_pred}"
        )
    n_target = n_pred if roles.num_target is None else roles.num_target
    counts = (n_control, n_pred - n_target, n_target)
    order = [role for role, count in zip(Role, counts, strict=True) for _ in range(count)]
    for index in places:
        if not header.names[index]:
            raise DataError(f"{file}: column {index + 1} has no name; name it, or choose columns by name")
    return list(zip(places, order, strict=True))


def beside_time(header: Header, time: int) -> tuple[str, ...]:
    """The column names of a file without that of the time."""
    return header.names[:time] + header.names[time + 1 :]


def _same_columns(file: str, names: tuple[str, ...], like_file: str, like: tuple[str, ...]) -> None:
    missing = list((Counter(like) - Counter(names)).elements())
    extra = list((Counter(names) - Counter(like)).elements())
    if missing or extra:
        parts = [
            f"{', '.join(map(repr, found))} {what}"
            for found, what in ((missing, "missing"), (extra, "not known there"))
            if found
        ]
        raise DataError(f"{file}: other columns than in {like_file}: {'; '.join(parts)}")
    for i, (mine, theirs) in enumerate(zip(names, like, strict=True), 1):
        if mine != theirs:
            raise DataError(
                f"{file}: column {i} beside the time is {mine!r}, but {theirs!r} in {like_file};"
                " bring the columns to one order, or choose them by name"
            )


def _signal_names(columns: list[tuple[str, Role]]) -> list[str]:
    """A name of its own for every column, by the rule at the head of this file."""
    predicted = {name for name, role in columns if role is not Role.CONTROL}
    names: list[str] = []
    taken = {name for name, _ in columns}
    for raw, role in columns:
        name = f"{raw}_spec" if role is Role.CONTROL and raw in predicted else raw
        if name in names or (name != raw and name in taken):
            name = next(
                f"{name}_{k}"
                for k in range(2, len(columns) + 2)
                if f"{name}_{k}" not in taken and f"{name}_{k}" not in names
            )
        names.append(name)
    return names


def layout_by_spec(file: str, header: Header, spec: DataSpec, predicted_optional: bool) -> Layout:
    """Where a file holds the signals of a trained model; columns are found by name.

    Raises:
        DataError: a column is missing, or its unit is not the model's.
    """
    time = _time_by_spec(file, header, spec)
    found = _places_by_spec(header, spec, time)
    bare = not any(header.units[i] for i in range(len(header.names)) if i != time)
    indices = []
    for signal in spec.signals:
        index = found.get(signal.name, _ABSENT)
        if index == _ABSENT and not (predicted_optional and signal.role is not Role.CONTROL):
            hint = did_you_mean(signal.name, header.names)
            raise DataError(f"{file}: no column {signal.name!r}, a {signal.role.value} of the model{hint}")
        if index != _ABSENT and not bare and header.units[index] != signal.unit:
            raise DataError(
                f"{file}: column {signal.name!r} is in {header.units[index]!r}, but the model was trained on"
                f" {signal.unit!r}; convert it"
            )
        indices.append(index)
    return Layout(time, _seconds(file, header, time), tuple(indices), spec.signals)


def _time_by_spec(file: str, header: Header, spec: DataSpec) -> int:
    if header.names[0] not in spec.names:
        return 0
    for i, name in enumerate(header.names):
        if name not in spec.names and name.lower().startswith("time"):
            return i
    raise DataError(f"{file}: the first column is {header.names[0]!r}; it must be the time")


def _places_by_spec(header: Header, spec: DataSpec, time: int) -> dict[str, int]:
    """Column of each signal that the file has; twins of one name in the file are told apart by order."""
    places: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(header.names):
        if i != time:
            places[name].append(i)
    twins: dict[str, list[Signal]] = defaultdict(list)
    for signal in spec.signals:
        twins[_name_in_file(signal, places)].append(signal)
    found: dict[str, int] = {}
    for name, signals in twins.items():
        columns = places.get(name, [])
        controls = [s.name for s in signals if s.role is Role.CONTROL]
        predicted = [s.name for s in signals if s.role is not Role.CONTROL]
        others = any(s.name in places for s in spec.predicted if s.name not in predicted)
        if len(columns) >= len(signals):
            found.update(zip(controls, columns, strict=False))
            found.update(zip(predicted, columns[len(columns) - len(predicted) :], strict=True))
        elif len(columns) == len(controls) and not others:  # a file of controls alone
            found.update(zip(controls, columns, strict=True))
        elif columns and name in spec.names:
            found[name] = columns[-1]
    return found


def _name_in_file(signal: Signal, places: dict[str, list[int]]) -> str:
    if signal.name in places:
        return signal.name
    if signal.role is Role.CONTROL and signal.name.removesuffix("_spec") in places:
        return signal.name.removesuffix("_spec")
    numbered = re.fullmatch(r"(.+?)(?:_spec)?_\d+", signal.name)
    return numbered[1] if numbered and numbered[1] in places else signal.name
