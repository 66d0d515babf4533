"""Molecules on disk: Parquet to exchange, memory-mapped arrays beside it to train from.

In the Parquet file a row is a molecule; the reactivities and errors of each chemical are ``list<float32>`` columns
as long as the sequence, NaN where nothing was measured. The metadata carry the version of this layout and the
fingerprint of the data.
"""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from understudy.core.files import atomic_path, user_cache
from understudy.errors import DataError
from understudy.rna.table import ALPHABET, CHEMICALS, Digest, Molecules, check_unique

__all__ = ["ALPHABET", "CHEMICALS", "MoleculeWriter", "Molecules", "read_molecules", "write_molecules"]

log = logging.getLogger(__name__)

VERSION = "1"
_VERSION, _FINGERPRINT = b"understudy.molecules", b"understudy.fingerprint"
_ROWS_A_GROUP = 4096
_AHEAD = 2  # row groups that wait to be compressed

_PER_MOLECULE = [
    ("sequence_id", pa.string()),
    ("sequence", pa.string()),
    ("dataset_name", pa.string()),
    *((f"signal_to_noise_{c}", pa.float32()) for c in CHEMICALS),
    *((f"reads_{c}", pa.float32()) for c in CHEMICALS),
    *((f"SN_filter_{c}", pa.bool_()) for c in CHEMICALS),
]
# Nothing is null within a list: NaN says that a position was not measured.
_LIST = pa.list_(pa.field("element", pa.float32(), nullable=False))
_LISTS = {kind: [f"{kind}_{c}" for c in CHEMICALS] for kind in ("reactivity", "reactivity_error")}
SCHEMA = pa.schema(
    [*_PER_MOLECULE, *(pa.field(name, _LIST, nullable=False) for names in _LISTS.values() for name in names)],
    metadata={_VERSION: VERSION.encode()},
)

_LETTERS = ALPHABET.encode().ljust(256)  # letter of a token
# Byte of a letter to its token; 255 is no letter of ours.
_TOKENS = np.full(256, 255, np.uint8)
_TOKENS[np.frombuffer(ALPHABET.encode(), np.uint8)] = np.arange(len(ALPHABET))


class MoleculeWriter:
    """Writes molecules that come in parts; the old file stays until the new one is whole.

    ::

        with MoleculeWriter(path) as writer:
            for part in parts:
                writer.write(part)

    A block that raises leaves what stood at ``path``. After it, ``fingerprint`` is that of everything written.
    Compressing and hashing have a thread each, so that the next part is made meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fingerprint = ""
        self._digest = Digest()
        self._queue: deque[Future[None]] = deque()
        self._stack = ExitStack()

    def __enter__(self) -> MoleculeWriter:
        temporary = self._stack.enter_context(atomic_path(self.path))
        # Dictionaries and statistics of measured values cost as much time as compressing them, and help nobody.
        few = ["dataset_name", *(f"SN_filter_{c}" for c in CHEMICALS)]
        # Level -5 is a third faster than the default, and makes measured files a fifth larger.
        self._writer = pq.ParquetWriter(
            temporary,
            SCHEMA,
            compression="zstd",
            compression_level=-5,
            use_dictionary=few,
            write_statistics=few,
        )
        self._stack.enter_context(self._writer)
        # One thread each: what is written, and what is hashed, must stay in order.
        self._compress, self._hash = (self._stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2))
        return self

    def write(self, molecules: Molecules) -> None:
        """Molecules that follow those before, in row groups of their own."""
        for first in range(0, len(molecules), _ROWS_A_GROUP):
            last = min(first + _ROWS_A_GROUP, len(molecules))
            self._queue.append(self._compress.submit(self._writer.write_table, _rows(molecules, first, last)))
            self._queue.append(self._hash.submit(self._digest.update, molecules, first, last))
            while len(self._queue) > 2 * _AHEAD:
                self._queue.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for written in self._queue:
                    written.result()
                self.fingerprint = self._digest.hexdigest()
                self._writer.add_key_value_metadata({_FINGERPRINT.decode(): self.fingerprint})
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)


def write_molecules(molecules: Molecules, path: Path) -> None:
    """Write a table that is in memory already, atomically.

    Raises:
        DataError: an id stands twice in one data set.
    """
    check_unique(molecules)
    with MoleculeWriter(path) as writer:
        writer.write(molecules)


def _rows(molecules: Molecules, first: int, last: int) -> pa.Table:
    offsets = molecules.offsets[first : last + 1]
    a, b = offsets[0], offsets[-1]
    lists = pa.array(offsets - a, pa.int32())
    text = pa.py_buffer(molecules.tokens[a:b].tobytes().translate(_LETTERS))
    sequences = pa.StringArray.from_buffers(last - first, lists.buffers()[1], text)
    columns: list[pa.Array] = [
        pa.array(molecules.ids[first:last], pa.string()),
        sequences,
        pa.array(molecules.dataset_names, pa.string()).take(pa.array(molecules.dataset[first:last])),
    ]
    columns += [_nullable(molecules.signal_to_noise[first:last, k]) for k in range(2)]
    columns += [_nullable(molecules.reads[first:last, k]) for k in range(2)]
    columns += [pa.array(molecules.sn_filter[first:last, k]) for k in range(2)]
    for values in (molecules.reactivity, molecules.error):
        columns += [
            pa.ListArray.from_arrays(lists, pa.array(np.ascontiguousarray(values[a:b, k])), type=_LIST)
            for k in range(2)
        ]
    return pa.table(columns, schema=SCHEMA)


def _nullable(values: NDArray[np.float32]) -> pa.Array:
    """A figure a molecule: NaN, which is our word for unknown, is null in the file."""
    return pa.array(np.ascontiguousarray(values), pa.float32(), from_pandas=True)


def read_molecules(path: Path) -> Molecules:
    """Open a file written by :class:`MoleculeWriter`, its large arrays memory-mapped.

    The first opening writes the flat arrays beside the file (or, where that folder cannot be written, into the
    user's cache); they are keyed by the fingerprint, so that a replaced Parquet file never meets old arrays.
    Several processes share one copy, and a table larger than memory can be trained on.

    Raises:
        DataError: not a Parquet file of molecules, one of another version, or a damaged one.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with pq.ParquetFile(path, read_dictionary=["dataset_name"]) as file:
            return _open(path, file)
    except (pa.ArrowException, OSError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a Parquet file of molecules: {error}") from error


def _open(path: Path, file: pq.ParquetFile) -> Molecules:
    metadata = file.metadata.metadata or {}
    if _VERSION not in metadata or _FINGERPRINT not in metadata:
        raise DataError(f"{path}: this Parquet file was not written by `understudy ingest ribonanza`")
    version = metadata[_VERSION].decode()
    if version != VERSION:
        raise DataError(
            f"{path}: its layout has version {version}, this release reads version {VERSION}; ingest the data again"
        )
    index = file.read(columns=[name for name, _ in _PER_MOLECULE if name != "sequence"])
    if index.num_rows == 0:
        raise DataError(f"{path}: holds no molecule")
    names = index["dataset_name"].unify_dictionaries().combine_chunks()
    fingerprint = metadata[_FINGERPRINT].decode()
    arrays = _mapped(path, fingerprint, file)
    molecules = Molecules(
        ids=tuple(index["sequence_id"].to_numpy()),
        **arrays,
        signal_to_noise=_two(index, "signal_to_noise", np.float32),
        reads=_two(index, "reads", np.float32),
        sn_filter=_two(index, "SN_filter", np.bool_),
        dataset=names.indices.to_numpy().astype(np.int16),
        dataset_names=tuple(names.dictionary.to_pylist()),
    )
    check_unique(molecules)
    molecules.__dict__["fingerprint"] = fingerprint  # fills the cached property: it was hashed when written
    return molecules


def _two(index: pa.Table, kind: str, dtype: Any) -> NDArray[Any]:
    """(M, 2) from the columns of both chemicals; null is NaN."""
    columns = [index[f"{kind}_{c}"].combine_chunks().to_numpy(zero_copy_only=False) for c in CHEMICALS]
    return np.stack(columns, axis=1).astype(dtype)


_FLAT: dict[str, tuple[Any, int]] = {
    "tokens": (np.uint8, 0),
    "reactivity": (np.float32, 2),
    "error": (np.float32, 2),
}


def _mapped(path: Path, fingerprint: str, file: pq.ParquetFile) -> dict[str, NDArray[Any]]:
    """The arrays with an axis of nucleotides, and the offsets, from the cache that is made where it lacks."""
    for parent in (path.parent / ".understudy", user_cache() / "tables"):
        folder = parent / f"{path.stem}-{fingerprint[:16]}"
        if not all((folder / f"{name}.npy").exists() for name in (*_FLAT, "offsets")):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError:
                continue
            log.info("writing the memory-mapped arrays %s", folder)
            _fill(path, folder, file)
        # Copy-on-write: torch wants writable arrays, and nothing written through them reaches the disk.
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in _FLAT}
        return {"offsets": np.load(folder / "offsets.npy"), **arrays}
    raise DataError(f"{path}: neither its folder nor {user_cache()} can be written; set UNDERSTUDY_CACHE")


def _fill(path: Path, folder: Path, file: pq.ParquetFile) -> None:
    sequences = [file.read_row_group(g, columns=["sequence"]).column(0) for g in range(file.num_row_groups)]
    counts = [np.diff(_string_offsets(chunk)) for column in sequences for chunk in column.chunks]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts), dtype=np.int64)])
    del sequences, counts
    n = int(offsets[-1])
    with ExitStack() as stack:
        flat = {}
        for name, (dtype, width) in _FLAT.items():
            temporary = stack.enter_context(atomic_path(folder / f"{name}.npy"))
            shape = (n, width) if width else (n,)
            flat[name] = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        molecule = 0
        for g in range(file.num_row_groups):
            group = file.read_row_group(
                g, columns=["sequence", *_LISTS["reactivity"], *_LISTS["reactivity_error"]]
            )
            _fill_group(path, flat, group, offsets[molecule : molecule + group.num_rows + 1])
            molecule += group.num_rows
        for array in flat.values():
            array.flush()
    with atomic_path(folder / "offsets.npy") as temporary:
        np.save(temporary, offsets)


def _fill_group(
    path: Path, flat: Mapping[str, NDArray[Any]], group: pa.Table, offsets: NDArray[np.int64]
) -> None:
    a, b = int(offsets[0]), int(offsets[-1])
    sequence = group["sequence"].combine_chunks()
    ends = _string_offsets(sequence)
    tokens = _TOKENS[np.frombuffer(sequence.buffers()[2], np.uint8)[ends[0] : ends[-1]]]
    if (tokens == 255).any():
        bad = int(np.searchsorted(offsets - a, np.argmax(tokens == 255), side="right")) - 1
        raise DataError(
            f"{path}: molecule {bad + 1} of a row group has letters other than {ALPHABET}; ingest again"
        )
    flat["tokens"][a:b] = tokens
    for name, columns in (("reactivity", _LISTS["reactivity"]), ("error", _LISTS["reactivity_error"])):
        for k, column in enumerate(columns):
            lists = group[column].combine_chunks()
            if not np.array_equal(lists.offsets.to_numpy() - lists.offsets[0].as_py(), offsets - a):
                raise DataError(f"{path}: {column} is not as long as the sequence everywhere; ingest again")
            flat[name][a:b, k] = lists.flatten().to_numpy(zero_copy_only=False)


def _string_offsets(strings: pa.Array) -> NDArray[np.int32]:
    buffer = np.frombuffer(strings.buffers()[1], np.int32)
    return buffer[strings.offset : strings.offset + len(strings) + 1]
