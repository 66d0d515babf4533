"""Case tables on disk: Parquet to exchange, a memory-mapped array beside it to train from.

In the Parquet file a row is a case: ``case_id``, ``case_start``, ``case_metadata`` (JSON) and one ``list<float32>``
column a signal. The schema metadata carries the spec and the fingerprint of the data.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from understudy.core.cases import CaseTable, Floats
from understudy.core.files import atomic_path, user_cache
from understudy.core.spec import DataSpec
from understudy.errors import DataError

log = logging.getLogger(__name__)

_SPEC, _FINGERPRINT = b"understudy.spec", b"understudy.fingerprint"
_ROWS_A_GROUP = 2_000_000  # positions x signals is what memory feels; a group is cut by positions


def write_parquet(table: CaseTable, path: Path) -> None:
    """Write ``table`` to ``path``, zstd-compressed; the old file stays until the new one is whole.

    Raises:
        DataError: a signal has the name of one of the three columns that describe the case.
    """
    signals = table.spec.signals
    taken = {"case_id", "case_start", "case_metadata"} & set(table.spec.names)
    if taken:
        raise DataError(f"{path}: a signal cannot be called {taken.pop()!r}; that column is ours")
    schema = pa.schema(
        [
            pa.field("case_id", pa.string()),
            pa.field("case_start", pa.float64()),
            pa.field("case_metadata", pa.string()),
            *(
                pa.field(s.name, pa.list_(pa.float32()), metadata={"unit": s.unit, "role": s.role})
                for s in signals
            ),
        ],
        metadata={_SPEC: table.spec.dumps().encode(), _FINGERPRINT: table.fingerprint.encode()},
    )
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for first, last in _groups(table):
            writer.write_table(_rows(table, first, last, schema))


def _groups(table: CaseTable) -> list[tuple[int, int]]:
    """Runs of whole cases of about ``_ROWS_A_GROUP`` values each."""
    limit = max(1, _ROWS_A_GROUP // len(table.spec.signals))
    groups, first = [], 0
    for i in range(len(table)):
        if table.offsets[i + 1] - table.offsets[first] > limit and i > first:
            groups.append((first, i))
            first = i
    return [*groups, (first, len(table))]


def _rows(table: CaseTable, first: int, last: int, schema: pa.Schema) -> pa.Table:
    offsets = table.offsets[first : last + 1]
    values = table.values[offsets[0] : offsets[-1]]
    lists = pa.array(offsets - offsets[0], pa.int32())
    metadata = table.metadata[first:last] or ({},) * (last - first)
    return pa.table(
        [
            pa.array(table.ids[first:last], pa.string()),
            pa.array(table.starts[first:last], pa.float64()),
            pa.array([json.dumps(m) for m in metadata], pa.string()),
            *(
                pa.ListArray.from_arrays(lists, pa.array(np.ascontiguousarray(values[:, j])))
                for j in range(values.shape[1])
            ),
        ],
        schema=schema,
    )


def read_parquet(path: Path) -> CaseTable:
    """Open a table written by :func:`write_parquet`, its values memory-mapped.

    The first opening writes the flat array beside the file (or, where that folder cannot be written, into
    the user's cache); it is keyed by the fingerprint, so that a replaced Parquet file never meets an old
    array. Several processes share one copy, and a table larger than memory can be trained on.

    Raises:
        DataError: not a Parquet file of cases, or a damaged one.
    """
    try:
        with pq.ParquetFile(path) as file:
            return _open(path, file)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a Parquet file of cases: {error}") from error


def _open(path: Path, file: pq.ParquetFile) -> CaseTable:
    metadata = file.schema_arrow.metadata or {}
    if _SPEC not in metadata or _FINGERPRINT not in metadata:
        raise DataError(f"{path}: this Parquet file was not written by `understudy ingest`")
    spec = DataSpec.from_json(json.loads(metadata[_SPEC]))
    fingerprint = metadata[_FINGERPRINT].decode()
    index = file.read(columns=["case_id", "case_start", "case_metadata"])
    # One column tells the lengths; the others have the same, which filling the array checks.
    lengths = np.concatenate(
        [
            file.read_row_group(g, columns=[spec.names[0]])
            .column(0)
            .combine_chunks()
            .value_lengths()
            .to_numpy()
            for g in range(file.num_row_groups)
        ]
    )
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    shape = (int(offsets[-1]), len(spec.signals))
    table = CaseTable(
        spec,
        tuple(index["case_id"].to_pylist()),
        offsets,
        _mapped(path, fingerprint, file, spec, shape),
        index["case_start"].to_numpy(),
        tuple(json.loads(m) for m in index["case_metadata"].to_pylist()),
    )
    table.__dict__["fingerprint"] = fingerprint  # fills the cached property: no need to hash what was hashed
    return table


def _mapped(
    path: Path, fingerprint: str, file: pq.ParquetFile, spec: DataSpec, shape: tuple[int, int]
) -> Floats:
    name = f"{path.stem}-{fingerprint[:16]}.npy"
    for folder in (path.parent / ".understudy", user_cache() / "tables"):
        cache = folder / name
        if not cache.exists() or np.load(cache, mmap_mode="r").shape != shape:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError:
                continue
            log.info("writing the memory-mapped array %s", cache)
            with atomic_path(cache) as temporary:
                _fill(temporary, file, spec, shape)
        # Copy-on-write: torch wants a writable array, and nothing written through it reaches the disk.
        values: Floats = np.load(cache, mmap_mode="c")
        return values
    raise DataError(f"{path}: neither its folder nor {user_cache()} can be written; set UNDERSTUDY_CACHE")


def forget_outdated(path: Path, table: CaseTable) -> None:
    """Remove the memory-mapped arrays of what stood at ``path`` before ``table`` did."""
    for cache in (path.parent / ".understudy").glob(f"{path.stem}-{'?' * 16}.npy"):
        if cache.stem != f"{path.stem}-{table.fingerprint[:16]}":
            cache.unlink(missing_ok=True)


def _fill(target: Path, file: pq.ParquetFile, spec: DataSpec, shape: tuple[int, int]) -> None:
    flat = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=shape)
    at = 0
    for g in range(file.num_row_groups):
        group = file.read_row_group(g, columns=list(spec.names))
        n = len(group.column(0).combine_chunks().values)
        for j, name in enumerate(spec.names):
            flat[at : at + n, j] = group[name].combine_chunks().values.to_numpy()
        at += n
    flat.flush()
