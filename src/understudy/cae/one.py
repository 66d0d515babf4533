"""One case file: its columns, checked and on the wanted grid.

Axes: T rows of the file, R rows that are converted, K positions of the case, F signals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.cae.columns import Layout
from understudy.cae.header import Header, Source, parse_header
from understudy.cae.resample import Grid, Sampling, plan, resample, sampling
from understudy.cae.rows import Doubles, Integers, line_of, parse
from understudy.cae.sparse import open_sparse
from understudy.core.cases import Case
from understudy.core.spec import Role
from understudy.errors import ConfigError, DataError

_LARGEST = float(np.finfo(np.float32).max)
# With more rows needed than this part, converting them all is quicker than picking lines.
_SPARSE_PART = 0.5
_BLOCK_ROWS = 2048

Resolve = Callable[[str, Header], Layout]


@dataclass(frozen=True)
class ReadOptions:
    """How case files are read.

    ``step`` (s) is the grid to interpolate onto, ``None`` keeps the files' own; ``lowpass`` (Hz) filters
    before a coarser grid. ``delimiter`` and ``encoding`` are found out where they are ``None``.
    ``on_bad_case`` is ``error`` or ``skip``. ``jobs`` is the number of threads or processes, ``None``: one a core.
    ``max_cases`` reads only the first so many files.
    """

    step: float | None = None
    lowpass: float | None = None
    delimiter: str | None = None
    encoding: str | None = None
    on_bad_case: str = "error"
    jobs: int | None = None
    max_cases: int | None = None

    def check(self) -> None:
        """Refuse values that cannot be.

        Raises:
            ConfigError: which one, and what it may be.
        """
        if self.step is not None and not 0 < self.step < float("inf"):
            raise ConfigError(
                f"settings.decimate_range must be a positive number of seconds, not {self.step}"
            )
        if self.lowpass is not None and self.step is None:
            raise ConfigError(
                "the low-pass filter runs before a coarser grid: it needs settings.use_decimate"
            )
        if self.delimiter is not None and (len(self.delimiter) != 1 or not self.delimiter.isascii()):
            raise ConfigError(f"dataset.delimiter must be one ASCII character, not {self.delimiter!r}")
        if self.on_bad_case not in ("error", "skip"):
            raise ConfigError(f"dataset.on_bad_case must be error or skip, not {self.on_bad_case!r}")
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(
                f"the number of reading threads or processes must be 1 or more, not {self.jobs}"
            )


@dataclass(frozen=True)
class Reading:
    """A case as read, with what the other files are compared with."""

    case: Case
    header: Header
    layout: Layout
    step: float
    rows_K: Integers  # the row of the file at or before each position


@dataclass(frozen=True)
class _File:
    """A file whose head is read: enough to say where something is wrong."""

    source: Source
    header: Header
    layout: Layout

    @property
    def name(self) -> str:
        return self.source.path.name

    def refuse(self, row: int, position: int | None, what: str) -> DataError:
        """The error that names row and column; ``position`` is that of the signal, ``None`` the time."""
        index = self.layout.time if position is None else self.layout.indices[position]
        line = line_of(self.name, self.source.whole, self.header, row)
        return DataError(f"{self.name}, line {line}, column {self.header.names[index]!r}: {what}")


def case_id(path: Path) -> str:
    """The name of a case: that of its file, without ``.csv`` or ``.csv.gz``."""
    name = path.name
    for suffix in (".gz", ".csv"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name


def read_one(
    path: Path,
    resolve: Resolve,
    options: ReadOptions,
    *,
    n_measured: int | None = None,
    threads: bool = False,
) -> Reading:
    """Read one file.

    ``resolve`` says which columns are wanted. With ``n_measured``, the first so many positions must hold a
    value in every predicted column.

    Raises:
        DataError: the file is not what the contract asks for; the message names line and column.
    """
    source = Source(path, options.encoding)
    header = parse_header(path.name, source.head, options.delimiter, options.encoding)
    file = _File(source, header, resolve(path.name, header))
    time_T, grid, rows_R, columns = _fetch(file, options, threads)
    _check_values(file, rows_R, columns)
    own = sampling(time_T)
    values, rows_K = _on_grid(file, time_T, grid, rows_R, columns, options.lowpass)
    if n_measured:
        _check_measured(file, values[:n_measured], rows_K)
    metadata = {"file": path.name, "rows": len(time_T), "raw_step": own.step}
    case = Case(case_id(path), values, float(time_T[0]), metadata)
    step = own.step if grid is None or options.step is None else options.step
    return Reading(case, header, file.layout, step, rows_K)


def _fetch(
    file: _File, options: ReadOptions, threads: bool
) -> tuple[Doubles, Grid | None, Integers, list[Doubles]]:
    """Times of all rows, the grid (``None``: the file's own), and the columns at the rows ``rows_R``."""
    layout = file.layout
    wanted = [layout.indices[i] for i in layout.present]
    if options.step is not None and options.lowpass is None and layout.time == 0:
        picked = _pick(file, options.step, wanted)
        if picked is not None:
            return picked
    raw_T, *columns = parse(file.name, file.source.whole, file.header, [layout.time, *wanted], threads)
    time_T = _checked_time(file, raw_T)
    return time_T, _grid(file, time_T, options.step), np.arange(len(time_T)), columns


def _pick(
    file: _File, step: float, wanted: list[int]
) -> tuple[Doubles, Grid, Integers, list[Doubles]] | None:
    """As :func:`_fetch`, with the rows that the grid needs alone; ``None`` if the file must be read whole."""
    try:
        with file.source.open() as opened:
            sparse = open_sparse(opened, file.header)
            if sparse is None:
                return None
            time_T = _checked_time(file, sparse.time_T)
            grid = _grid(file, time_T, step)
            if grid is None or len(grid.rows_R) > _SPARSE_PART * len(time_T):
                return None
            columns = sparse.take(grid.rows_R, wanted)
    except OSError:  # reading it whole says why
        return None
    return None if columns is None else (time_T, grid, grid.rows_R, columns)


def _checked_time(file: _File, raw_T: Doubles) -> Doubles:
    """The time axis in seconds, finite and strictly increasing."""
    if len(raw_T) < 2:
        raise DataError(f"{file.name}: {len(raw_T)} row of numbers; a case needs 2 or more")
    if not np.isfinite(raw_T).all():
        row = int(np.flatnonzero(~np.isfinite(raw_T))[0])
        raise file.refuse(row, None, "the time is empty or not finite; every row needs one")
    steps = np.diff(raw_T)
    if steps.min() <= 0:
        row = int(np.flatnonzero(steps <= 0)[0]) + 1
        how = "repeats" if raw_T[row] == raw_T[row - 1] else "goes backwards"
        what = f"the time {how} ({raw_T[row]:g} after {raw_T[row - 1]:g}); remove the row or sort the file"
        raise file.refuse(row, None, what)
    return raw_T * file.layout.seconds


def _grid(file: _File, time_T: Doubles, step: float | None) -> Grid | None:
    """The grid to interpolate onto; ``None`` where the file keeps its step."""
    own = sampling(time_T)
    if step is None:
        if not own.is_even:
            raise DataError(
                f"{file.name}: {_uneven(own)}; set settings.use_decimate=true with settings.decimate_range"
                f" {own.step:g} or more"
            )
        return None
    if own.is_even and step <= own.step * 1.001:
        return None
    if step < own.step * 0.999:
        raise DataError(f"{file.name}: {_uneven(own)}; settings.decimate_range {step:g} s is finer than that")
    try:
        return plan(time_T, step)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from None


def _uneven(own: Sampling) -> str:
    return f"the time step is irregular ({own.shortest:g} to {own.longest:g} s, mostly {own.step:g} s)"


def _check_values(file: _File, rows_R: Integers, columns: list[Doubles]) -> None:
    """Controls are finite; predicted values are finite or missing."""
    for position, column_R in zip(file.layout.present, columns, strict=True):
        good_R = np.abs(column_R) <= _LARGEST
        if good_R.all():
            continue
        is_control = file.layout.signals[position].role is Role.CONTROL
        bad = np.flatnonzero(~good_R if is_control else ~good_R & ~np.isnan(column_R))
        if not len(bad):
            continue
        row = int(rows_R[bad[0]])
        if np.isnan(column_R[bad[0]]):
            what = "an empty cell in a control; controls must be known in every row"
        else:
            what = f"{column_R[bad[0]]:g} is not a finite 32-bit number; correct it" + (
                "" if is_control else " or leave the cell empty"
            )
        raise file.refuse(row, position, what)


def _on_grid(
    file: _File,
    time_T: Doubles,
    grid: Grid | None,
    rows_R: Integers,
    columns: list[Doubles],
    lowpass: float | None,
) -> tuple[NDArray[np.float32], Integers]:
    """``(K, F)`` values, NaN in columns that the file lacks, and the file's row of every position."""
    present, n_signals = file.layout.present, len(file.layout.signals)
    if grid is None:
        values = np.full((len(time_T), n_signals), np.nan, np.float32)
        for first in range(0, len(values), _BLOCK_ROWS):  # across whole columns the cache would be of no use
            block = values[first : first + _BLOCK_ROWS]
            for position, column_T in zip(present, columns, strict=True):
                block[:, position] = column_T[first : first + _BLOCK_ROWS]
        return values, rows_R
    picked_RF = np.stack(columns, axis=1) if columns else np.empty((len(rows_R), 0))
    if lowpass is None:
        on_grid_KF = grid.interpolate(picked_RF, rows_R).astype(np.float32)
    else:  # every row was fetched
        _, on_grid_KF = resample(time_T, picked_RF, grid.step, lowpass)
    if len(present) == n_signals:
        return on_grid_KF, grid.left_K
    values = np.full((len(on_grid_KF), n_signals), np.nan, np.float32)
    values[:, present] = on_grid_KF
    return values, grid.left_K


def _check_measured(file: _File, values_KF: NDArray[np.float32], rows_K: Integers) -> None:
    """The positions that a prediction starts from hold a value in every column that is fed back."""
    missing = np.argwhere(np.isnan(values_KF))
    if len(missing):
        k, position = (int(i) for i in missing[0])
        what = f"not measured; a prediction starts from values in the first {len(values_KF)} positions"
        raise file.refuse(int(rows_K[k]), position, what)
