"""Rows of any length that wait on disk for their partner."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_WORTH_READING_OVER = 1 << 16  # bytes between two rows that are read rather than skipped


class Spill:
    """Flat arrays on disk that grow at their end and are read in any order.

    The files have no name: they vanish with the process, however it ends. They are read, not mapped, so that
    what was read does not count as memory of the process.

    Args:
        folder: on which disk.
        arrays: name and type of each.
    """

    def __init__(self, folder: Path, arrays: Mapping[str, DTypeLike]) -> None:
        self._types = {name: np.dtype(dtype) for name, dtype in arrays.items()}
        self._stack = ExitStack()
        self._files = {name: self._stack.enter_context(_nameless(folder)) for name in arrays}
        self.length = 0

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def append(self, **values: NDArray[Any]) -> None:
        """As many values to each array."""
        (n,) = {len(v) for v in values.values()}
        for name, file in self._files.items():
            left = memoryview(np.ascontiguousarray(values[name], self._types[name]).data).cast("B")
            while left:
                left = left[file.write(left) :]
        self.length += n

    def gather(
        self,
        name: str,
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """``array[start:start + length]`` of every row, one after the other; in ``out`` if that is given."""
        dtype = self._types[name]
        total = int(lengths.sum())
        out = np.empty(total, dtype) if out is None else out
        if total == 0:
            return out
        if np.array_equal(starts[1:], starts[:-1] + lengths[:-1]):
            return self._read(name, int(starts[0]), out)
        order = np.argsort(starts, kind="stable")
        begins, ends = starts[order], (starts + lengths)[order]
        gap = begins[1:] - np.maximum.accumulate(ends)[:-1]
        cuts = np.flatnonzero(gap * dtype.itemsize > _WORTH_READING_OVER) + 1
        firsts, lasts = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(order)]])
        pieces, moved, have = [], np.empty(len(starts), np.int64), 0
        for first, last in zip(firsts, lasts, strict=True):
            a, b = int(begins[first]), int(ends[first:last].max())
            pieces.append(self._read(name, a, np.empty(b - a, dtype)))
            moved[order[first:last]] = begins[first:last] - a + have
            have += b - a
        buffer = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        before = np.cumsum(lengths) - lengths
        np.take(buffer, np.arange(total) + np.repeat(moved - before, lengths), out=out, mode="clip")
        return out

    def _read(self, name: str, first: int, values: NDArray[Any]) -> NDArray[Any]:
        left, file = memoryview(values.data).cast("B"), self._files[name]
        file.seek(first * values.itemsize)
        while left:
            n = file.readinto(left)
            if not n:
                raise OSError(f"the temporary file of {name} has become shorter")
            left = left[n:]
        file.seek(0, os.SEEK_END)
        return values


def _nameless(folder: Path) -> io.FileIO:
    # The spill closes it.
    return tempfile.TemporaryFile(dir=folder, buffering=0)
