"""The two forms in which a campaign leaves its cases: a CSV file each, or one Parquet file.

Workers write cases, each for itself; the process that runs the campaign checks them and brings them together.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from understudy.cae.simulate.manifest import CaseRecord, file_sha256
from understudy.cae.write import write_case_csv
from understudy.core.cases import CaseTable, Floats
from understudy.core.files import atomic_path
from understudy.core.parquet import write_parquet
from understudy.core.spec import DataSpec

PARQUET, PARTS = "cases.parquet", ".parts"
# What a process that was killed while writing leaves behind; see core.files.atomic_path.
_HALF = re.compile(r"\.(case\d{4,}|manifest|spec|cases)\.[0-9a-f]{8}\.(csv|json|parquet)")


class Store(Protocol):
    """How cases are kept; ``taken`` are patterns of the file names it uses."""

    taken: tuple[str, ...]

    def write(self, folder: Path, spec: DataSpec, name: str, values: Floats) -> tuple[str, str]:
        """Write ``(T, F)`` values in a worker; the file that will hold the case, and its checksum."""

    def kept(self, folder: Path, records: Mapping[str, CaseRecord]) -> list[CaseRecord]:
        """Those of ``records`` whose values are there, whole."""

    def finish(self, folder: Path, spec: DataSpec, records: Sequence[CaseRecord]) -> dict[str, str]:
        """Bring the cases together; checksums of the files that are not cases."""

    def tidy(self, folder: Path) -> None:
        """Remove what only a campaign that runs needs."""


class CsvStore:
    """A CSV file a case."""

    taken: tuple[str, ...] = ("*.csv", "*.csv.gz")

    def write(self, folder: Path, spec: DataSpec, name: str, values: Floats) -> tuple[str, str]:
        path = folder / f"{name}.csv"
        write_case_csv(path, spec, values)
        return path.name, file_sha256(path)

    def kept(self, folder: Path, records: Mapping[str, CaseRecord]) -> list[CaseRecord]:
        def whole(record: CaseRecord) -> bool:
            path = folder / record.file
            return path.is_file() and file_sha256(path) == record.sha256

        return [record for record in records.values() if whole(record)]

    def finish(self, folder: Path, spec: DataSpec, records: Sequence[CaseRecord]) -> dict[str, str]:
        return {}

    def tidy(self, folder: Path) -> None:
        _remove_halves(folder)


class ParquetStore:
    """One Parquet file of all cases; until the end a part a case."""

    taken: tuple[str, ...] = ("*.parquet",)

    def write(self, folder: Path, spec: DataSpec, name: str, values: Floats) -> tuple[str, str]:
        with atomic_path(_part(folder, name)) as temporary:
            np.save(temporary, values.astype("<f4", copy=False))
        return PARQUET, values_sha256(values)

    def kept(self, folder: Path, records: Mapping[str, CaseRecord]) -> list[CaseRecord]:
        whole = {name for name, record in records.items() if _is_whole(folder, record)}
        if len(whole) < len(records):  # a finished campaign that goes on has its values in the file
            for name, values in _cases_of(folder / PARQUET):
                if name in records and name not in whole and values_sha256(values) == records[name].sha256:
                    with atomic_path(_part(folder, name)) as temporary:
                        np.save(temporary, values)
                    whole.add(name)
        return [record for name, record in records.items() if name in whole]

    def finish(self, folder: Path, spec: DataSpec, records: Sequence[CaseRecord]) -> dict[str, str]:
        offsets = np.concatenate([[0], np.cumsum([record.rows for record in records], dtype=np.int64)])
        flat = folder / PARTS / "all.npy"
        shape = (int(offsets[-1]), len(spec.signals))
        # On the disk: a campaign may be larger than memory.
        values = np.lib.format.open_memmap(flat, mode="w+", dtype=np.float32, shape=shape)
        for record, first, last in zip(records, offsets, offsets[1:], strict=False):
            values[first:last] = np.load(_part(folder, record.name), mmap_mode="r")
        ids = tuple(record.name for record in records)
        notes = tuple(record.notes for record in records)
        write_parquet(
            CaseTable(spec, ids, offsets, values, np.zeros(len(ids)), notes),
            folder / PARQUET,
        )
        return {PARQUET: file_sha256(folder / PARQUET)}

    def tidy(self, folder: Path) -> None:
        shutil.rmtree(folder / PARTS, ignore_errors=True)
        _remove_halves(folder)


STORES: dict[str, Store] = {"csv": CsvStore(), "parquet": ParquetStore()}


def values_sha256(values: Floats) -> str:
    """SHA-256 of little-endian float32 values ``(T, F)``, row by row."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").data).hexdigest()


def _remove_halves(folder: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote."""
    for path in folder.iterdir():
        if _HALF.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _part(folder: Path, name: str) -> Path:
    return folder / PARTS / f"{name}.npy"


def _is_whole(folder: Path, record: CaseRecord) -> bool:
    try:
        return values_sha256(np.load(_part(folder, record.name), mmap_mode="r")) == record.sha256
    except (OSError, ValueError):
        return False


def _cases_of(path: Path) -> Iterator[tuple[str, Floats]]:
    """Names and values of the cases in a Parquet file, a group in memory at a time; nothing if it is damaged."""
    if not path.is_file():
        return
    try:
        with pq.ParquetFile(path) as file:
            spec = DataSpec.from_json(json.loads(file.schema_arrow.metadata[b"understudy.spec"]))
            for number in range(file.num_row_groups):
                group = file.read_row_group(number).combine_chunks()
                columns = [group[name].chunk(0) for name in spec.names]
                bounds = columns[0].offsets.to_numpy()
                flat = np.stack([column.values.to_numpy() for column in columns], axis=1)
                for i, name in enumerate(group["case_id"].to_pylist()):
                    yield name, flat[bounds[i] : bounds[i + 1]]
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
        return
