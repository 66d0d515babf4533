"""Case files in the reference's layout: names, units, then numbers; the first column is the time."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.core.files import atomic_path
from understudy.core.spec import DataSpec
from understudy.errors import DataError

_BLOCK_ROWS = 1000


def write_case_csv(
    path: Path, spec: DataSpec, values: NDArray[Any], start: float = 0.0, *, digits: int = 6
) -> None:
    """Write one case, ``(T, F)`` in the order of ``spec.signals``; ``.gz`` packs it. The write is atomic.

    ``digits`` are significant ones: nine give every float32 back bit for bit. NaN is an empty cell.

    Raises:
        DataError: the values do not fit the signals.
    """
    if values.ndim != 2 or values.shape[1] != len(spec.signals):
        raise DataError(f"{path.name}: values of shape {values.shape} do not fit {len(spec.signals)} signals")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".gz":
            # No name and no time inside: equal cases give equal files.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                packed.writelines(_blocks(spec, values, start, digits))
        else:
            file.writelines(_blocks(spec, values, start, digits))


def _blocks(spec: DataSpec, values: NDArray[Any], start: float, digits: int) -> Iterator[bytes]:
    head = io.StringIO()
    writer = csv.writer(head, lineterminator="\n")
    writer.writerow(["Time", *spec.names])
    writer.writerow([spec.step_unit, *(s.unit for s in spec.signals)])
    yield head.getvalue().encode()
    form = "%.12g" + f",%.{digits}g" * len(spec.signals) + "\n"
    times = start + spec.step * np.arange(len(values))
    for first in range(0, len(values), _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        lines = [
            form % (time, *row) for time, row in zip(times[rows].tolist(), values[rows].tolist(), strict=True)
        ]
        yield "".join(lines).replace("nan", "").encode()
