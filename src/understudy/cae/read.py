"""A folder of case files becomes a case table.

Files are read by several threads or processes and stored in the order of their names; only a few of them are
in memory beside the table. The first good file says what the columns are, the others must agree with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from understudy.cae.ahead import Pattern, Read, readings
from understudy.cae.columns import Layout, Roles, check_units, layout_by_roles, layout_by_spec
from understudy.cae.header import Header
from understudy.cae.one import Reading, ReadOptions, case_id, read_one
from understudy.core.cases import CaseTable, CaseTableBuilder
from understudy.core.spec import DataSpec
from understudy.errors import DataError

__all__ = ["BadCase", "ReadOptions", "Roles", "find_case_files", "read_cases", "read_like"]

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BadCase:
    """A file that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class _ByRoles:
    """Reads files under roles, each like the file that set the pattern; a worker process gets a copy."""

    roles: Roles
    options: ReadOptions

    def __call__(self, file: Path, pattern: Pattern | None, threads: bool) -> Reading:
        def resolve(name: str, header: Header) -> Layout:
            like = (pattern.file, pattern.names) if pattern else None
            layout = layout_by_roles(name, header, self.roles, like)
            if pattern is not None:
                check_units(name, layout.signals, pattern.file, pattern.layout.signals)
            return layout

        reading = read_one(file, resolve, self.options, threads=threads)
        if pattern is not None and abs(reading.step - pattern.step) > 1e-3 * pattern.step:
            raise DataError(
                f"{file.name}: sampled every {reading.step:g} s, but {pattern.file} every {pattern.step:g} s;"
                " set settings.use_decimate=true with a settings.decimate_range that both can reach"
            )
        return reading


@dataclass(frozen=True)
class _BySpec:
    """Reads files for a trained model; a worker process gets a copy."""

    spec: DataSpec
    options: ReadOptions
    n_measured: int | None

    def __call__(self, file: Path, pattern: Pattern | None, threads: bool) -> Reading:
        def resolve(name: str, header: Header) -> Layout:
            return layout_by_spec(name, header, self.spec, self.n_measured == 0)

        reading = read_one(file, resolve, self.options, n_measured=self.n_measured, threads=threads)
        if abs(reading.step - self.spec.step) > 1e-3 * self.spec.step:
            raise DataError(
                f"{file.name}: sampled every {reading.step:g} s, coarser than the model's"
                f" {self.spec.step:g} s; the model needs every step"
            )
        return reading


def find_case_files(path: Path) -> list[Path]:
    """The case files of a folder (``*.csv``, ``*.csv.gz``, sorted by name), or ``path`` if it is a file.

    Raises:
        DataError: there is nothing at ``path``, or no case file in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"dataset.path: there is no folder or file {str(path)!r}")
    try:
        found = sorted(p for p in path.iterdir() if p.name.lower().endswith((".csv", ".csv.gz")))
    except OSError as error:
        raise DataError(f"dataset.path: cannot list {str(path)!r} ({error.strerror})") from error
    files = [p for p in found if not p.name.startswith(".") and not p.is_dir()]
    if not files:
        raise DataError(f"dataset.path: no *.csv or *.csv.gz in the folder {str(path)!r}")
    return files


def read_cases(
    path: Path, roles: Roles, options: ReadOptions, *, on_progress: Progress | None = None
) -> tuple[CaseTable, list[BadCase]]:
    """Read a folder (or one file) of cases under the given roles.

    Returns the table and the files left out, of which there are none unless ``on_bad_case`` is ``skip``.

    Raises:
        ConfigError: roles or options that cannot be.
        DataError: a file that does not fit, or none that does.
    """
    roles.check()
    options.check()
    table, bad = _collect(path, _ByRoles(roles, options), None, options, on_progress)
    if options.step is not None and table.spec.step != options.step:
        log.warning(
            "decimate_range %g s has no effect: the cases are sampled every %g s",
            options.step,
            table.spec.step,
        )
    return table, bad


def read_like(
    path: Path,
    spec: DataSpec,
    options: ReadOptions,
    *,
    n_measured: int | None = None,
    on_progress: Progress | None = None,
) -> tuple[CaseTable, list[BadCase]]:
    """Read cases for a trained model: columns by the names, units and step of its ``spec``.

    With ``n_measured`` (for a prediction), the predicted columns must hold values at the first so many
    positions and may be empty after them; with 0 they may be absent. Absent and empty values are NaN.

    Raises:
        ConfigError: options that cannot be.
        DataError: a file that does not fit the model, or none that does.
    """
    if spec.step_unit != "s":
        raise DataError(
            f"the model's step is in {spec.step_unit!r}, not in s; it was not trained on case files"
        )
    options = replace(options, step=spec.step)
    options.check()
    return _collect(path, _BySpec(spec, options, n_measured), spec, options, on_progress)


def _collect(
    path: Path, read: Read, spec: DataSpec | None, options: ReadOptions, on_progress: Progress | None
) -> tuple[CaseTable, list[BadCase]]:
    """The table of all good files under ``path``; ``spec`` is that of the first one where it is not given."""
    files = find_case_files(path)
    _check_ids(files)
    files = files[: options.max_cases]
    builder = None
    bad: list[BadCase] = []
    with closing(readings(files, read, options)) as outcomes:
        for done, (file, outcome) in enumerate(outcomes, 1):
            if isinstance(outcome, DataError):
                if options.on_bad_case == "error":
                    hint = " (dataset.on_bad_case=skip leaves such files out)" if len(files) > 1 else ""
                    raise DataError(f"{outcome}{hint}") from outcome
                bad.append(BadCase(file, str(outcome)))
            else:
                builder = builder or CaseTableBuilder(spec or DataSpec(outcome.layout.signals, outcome.step))
                builder.add(outcome.case)
            if on_progress is not None:
                on_progress(done, len(files))
    if builder is None:
        raise DataError(
            f"none of the {len(files)} files of {str(path)!r} can be used; first: {bad[0].reason}"
        )
    return builder.finish(), bad


def _check_ids(files: list[Path]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        first = seen.setdefault(case_id(file), file.name)
        if first != file.name:
            raise DataError(
                f"dataset.path: {first} and {file.name} would both be the case {case_id(file)!r};"
                " rename or remove one"
            )
