"""A folder of case files becomes a case table.

Files are read by several threads and stored in the order of their names; only a few of them are in memory
beside the table. The first good file says what the columns are, the others must agree with it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from understudy.cae.columns import Layout, Roles, beside_time, check_units, layout_by_roles, layout_by_spec
from understudy.cae.header import Header
from understudy.cae.one import Reading, ReadOptions, case_id, read_one
from understudy.core.cases import CaseTable, CaseTableBuilder
from understudy.core.spec import DataSpec
from understudy.errors import DataError

__all__ = ["BadCase", "ReadOptions", "Roles", "find_case_files", "read_cases", "read_like"]

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_MOST_THREADS = 8  # beyond that, threads wait for each other and only memory grows


@dataclass(frozen=True)
class BadCase:
    """A file that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class _Pattern:
    """What the first good file says about all of them."""

    file: str
    names: tuple[str, ...]  # of its columns, without the time
    layout: Layout
    step: float


Read = Callable[[Path, _Pattern | None, bool], Reading]
Readings = Generator[tuple[Path, Reading | DataError], None, None]


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

    def read(file: Path, pattern: _Pattern | None, threads: bool) -> Reading:
        reading = read_one(
            file, lambda name, header: _resolve(name, header, roles, pattern), options, threads=threads
        )
        if pattern is not None and abs(reading.step - pattern.step) > 1e-3 * pattern.step:
            raise DataError(
                f"{file.name}: sampled every {reading.step:g} s, but {pattern.file} every {pattern.step:g} s;"
                " set settings.use_decimate=true with a settings.decimate_range that both can reach"
            )
        return reading

    table, bad = _collect(path, read, None, options, on_progress)
    if options.step is not None and table.spec.step != options.step:
        log.warning(
            "decimate_range %g s has no effect: the cases are sampled every %g s",
            options.step,
            table.spec.step,
        )
    return table, bad


def _resolve(name: str, header: Header, roles: Roles, pattern: _Pattern | None) -> Layout:
    layout = layout_by_roles(name, header, roles, (pattern.file, pattern.names) if pattern else None)
    if pattern is not None:
        check_units(name, layout.signals, pattern.file, pattern.layout.signals)
    return layout


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

    def read(file: Path, pattern: _Pattern | None, threads: bool) -> Reading:
        reading = read_one(
            file,
            lambda name, header: layout_by_spec(name, header, spec, n_measured == 0),
            options,
            n_measured=n_measured,
            threads=threads,
        )
        if abs(reading.step - spec.step) > 1e-3 * spec.step:
            raise DataError(
                f"{file.name}: sampled every {reading.step:g} s, coarser than the model's {spec.step:g} s;"
                " the model needs every step"
            )
        return reading

    return _collect(path, read, spec, options, on_progress)


def _collect(
    path: Path, read: Read, spec: DataSpec | None, options: ReadOptions, on_progress: Progress | None
) -> tuple[CaseTable, list[BadCase]]:
    """The table of all good files under ``path``; ``spec`` is that of the first one where it is not given."""
    files = find_case_files(path)
    _check_ids(files)
    files = files[: options.max_cases]
    builder = None
    bad: list[BadCase] = []
    with closing(_readings(files, read, _threads(options, len(files)))) as readings:
        for done, (file, outcome) in enumerate(readings, 1):
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


def _readings(
    files: list[Path], read: Read, jobs: int
) -> Generator[tuple[Path, Reading | DataError], None, None]:
    """Every file with its reading or what is wrong with it, in order, read ahead by ``jobs`` threads."""
    queue = iter(files)
    pattern: _Pattern | None = None

    def attempt(file: Path) -> tuple[Path, Reading | DataError]:
        try:
            return file, read(file, pattern, pattern is None and jobs > 1)
        except DataError as error:
            return file, error

    for file in queue:  # one by one until a good file has set the pattern
        _, outcome = attempt(file)
        yield file, outcome
        if isinstance(outcome, Reading):
            names = beside_time(outcome.header, outcome.layout.time)
            pattern = _Pattern(file.name, names, outcome.layout, outcome.step)
            break
    if jobs == 1:
        yield from map(attempt, queue)
        return
    with ThreadPoolExecutor(jobs, thread_name_prefix="read-case") as pool:
        ahead = deque(pool.submit(attempt, file) for file in islice(queue, jobs + 1))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(pool.submit(attempt, file) for file in islice(queue, 1))
                yield result
        finally:
            for future in ahead:
                future.cancel()


def _check_ids(files: list[Path]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        first = seen.setdefault(case_id(file), file.name)
        if first != file.name:
            raise DataError(
                f"dataset.path: {first} and {file.name} would both be the case {case_id(file)!r};"
                " rename or remove one"
            )


def _threads(options: ReadOptions, n_files: int) -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(options.jobs or min(usable, _MOST_THREADS), n_files))
