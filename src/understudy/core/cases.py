"""The case table: a data set as one flat array plus offsets, so that cases of any length cost what they hold.

Axes: N rows of all cases one after the other, F signals (controls, byproducts, targets), T rows of one case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.core.spec import DataSpec
from understudy.errors import DataError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One run of the slow experiment: a view into the table, physical units.

    ``values`` is ``(T, F)``; NaN in a predicted column means *not measured*. ``start`` is the value of the
    time axis at the first row.
    """

    id: str
    values: Floats
    start: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseTable:
    """All cases of a data set.

    ``values`` is ``(N, F)`` float32 in the column order of ``spec.signals``; case ``i`` is rows
    ``offsets[i]:offsets[i + 1]``.

    Raises:
        DataError: shapes disagree, two cases share an id, or there is no case.
    """

    spec: DataSpec
    ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    values: Floats
    starts: NDArray[np.float64]
    metadata: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError("the data set holds no case")
        if len(set(self.ids)) < len(self.ids):
            twice = next(i for i in self.ids if self.ids.count(i) > 1)
            raise DataError(f"two cases share the id {twice!r}")
        if len(self.offsets) != len(self.ids) + 1 or self.offsets[-1] != len(self.values):
            raise DataError("offsets do not fit the values of the case table")
        if self.values.ndim != 2 or self.values.shape[1] != len(self.spec.signals):
            raise DataError(
                f"values of shape {self.values.shape} do not fit {len(self.spec.signals)} signals"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Case:
        rows = self.values[self.offsets[i] : self.offsets[i + 1]]
        return Case(self.ids[i], rows, float(self.starts[i]), self.metadata[i] if self.metadata else {})

    def __iter__(self) -> Iterator[Case]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def index(self, ids: Sequence[str]) -> list[int]:
        """Row numbers of the cases called ``ids``.

        Raises:
            DataError: an id is not in the table.
        """
        places = {name: i for i, name in enumerate(self.ids)}
        unknown = [name for name in ids if name not in places]
        if unknown:
            raise DataError(f"case {unknown[0]!r} is not in the data set")
        return [places[name] for name in ids]

    def head(self, n_cases: int) -> CaseTable:
        """The first ``n_cases`` cases, without a copy."""
        n = min(n_cases, len(self))
        return CaseTable(
            self.spec,
            self.ids[:n],
            self.offsets[: n + 1],
            self.values[: self.offsets[n]],
            self.starts[:n],
            self.metadata[:n],
        )

    def without(self, ids: Collection[str]) -> CaseTable:
        """The cases that are not called one of ``ids``.

        Raises:
            DataError: none is left.
        """
        unwanted = set(ids)
        return self.only([i for i, name in enumerate(self.ids) if name not in unwanted])

    def only(self, index: Sequence[int]) -> CaseTable:
        """The cases ``index``, in this order, copied.

        Raises:
            DataError: there is none.
        """
        return table_from_cases(self.spec, [self[i] for i in index])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the spec, the ids, the lengths and every value: equal data, equal text."""
        digest = hashlib.sha256(self.spec.dumps().encode())
        digest.update("\n".join(self.ids).encode())
        digest.update(np.ascontiguousarray(self.offsets, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.starts, dtype="<f8").tobytes())
        for i in range(len(self)):  # case by case: a memory-mapped table is never copied whole
            digest.update(np.ascontiguousarray(self[i].values, dtype="<f4").data)
        return digest.hexdigest()


class CaseTableBuilder:
    """Collects cases one by one into one flat array.

    The array grows in place (``realloc`` moves pages, it does not copy them) by an eighth at a time, so that
    the peak stays near the size of the data instead of twice that.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec
        self._values: Floats = np.empty((0, len(spec.signals)), np.float32)
        self._rows = 0
        self._ids: list[str] = []
        self._offsets = [0]
        self._starts: list[float] = []
        self._metadata: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, case: Case) -> None:
        end = self._rows + len(case.values)
        if end > len(self._values):
            room = max(end, len(self._values) + len(self._values) // 8)
            self._values.resize((room, self._values.shape[1]), refcheck=False)
        self._values[self._rows : end] = case.values
        self._rows = end
        self._ids.append(case.id)
        self._offsets.append(end)
        self._starts.append(case.start)
        self._metadata.append(case.metadata)

    def finish(self) -> CaseTable:
        """The table; the builder must not be used afterwards.

        Raises:
            DataError: no case was added.
        """
        self._values.resize((self._rows, self._values.shape[1]), refcheck=False)
        return CaseTable(
            self.spec,
            tuple(self._ids),
            np.asarray(self._offsets, np.int64),
            self._values,
            np.asarray(self._starts, np.float64),
            tuple(self._metadata),
        )


def table_from_cases(spec: DataSpec, cases: Sequence[Case]) -> CaseTable:
    """A table of cases that are in memory already."""
    builder = CaseTableBuilder(spec)
    for case in cases:
        builder.add(case)
    return builder.finish()
