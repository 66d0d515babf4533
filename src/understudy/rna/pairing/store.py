"""The folder of what was computed: Parquet parts that are whole or not there, and never change.

A row of a part is a sequence: its key (128 bits of the SHA-256 of its letters), its length, how many pairs it
has, and the lists ``i``, ``j`` and ``p``. The name of a part is the hash of its bytes, so that a damaged one is
seen before it is read. Several processes may write to one folder at once; what two of them computed stands there
twice, and is equal.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from understudy.core.files import atomic_path
from understudy.rna.pairing.pairs import Ints, Pairs, offsets_of, ranges
from understudy.rna.vienna import Found

log = logging.getLogger(__name__)

Keys = NDArray[np.bytes_]  # (n,), of type S16

_KEY_BYTES = 16
_PAIR_BYTES = 8
_MAPPED_FROM = 2**30  # bytes
_SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(_KEY_BYTES), nullable=False),
        pa.field("length", pa.uint16(), nullable=False),
        pa.field("pairs", pa.uint32(), nullable=False),
        *(
            pa.field(name, pa.list_(pa.field("element", kind, nullable=False)), nullable=False)
            for name, kind in (("i", pa.uint16()), ("j", pa.uint16()), ("p", pa.float32()))
        ),
    ],
    metadata={b"understudy.pairing": b"1"},
)


def keys_of(sequences: Sequence[str]) -> Keys:
    """The key of each sequence (capital ACGU)."""
    digests = b"".join(hashlib.sha256(s.encode()).digest()[:_KEY_BYTES] for s in sequences)
    return np.frombuffer(digests, f"S{_KEY_BYTES}")


def write_part(folder: Path, keys: Keys, lengths: NDArray[np.uint16], found: Found) -> Path:
    """Add a part with these sequences to ``folder``; it is there as a whole or not at all."""
    offsets, i, j, p = found
    lists = pa.array(offsets, pa.int32())
    table = pa.table(
        [
            pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(_KEY_BYTES), len(keys), [None, pa.py_buffer(keys.tobytes())]
            ),
            pa.array(lengths, pa.uint16()),
            pa.array(np.diff(offsets), pa.uint32()),
            *(
                pa.ListArray.from_arrays(lists, pa.array(values), type=_SCHEMA.field(name).type)
                for name, values in (("i", i), ("j", j), ("p", p))
            ),
        ],
        schema=_SCHEMA,
    )
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding={
            "i.list.element": "DELTA_BINARY_PACKED",
            "j.list.element": "DELTA_BINARY_PACKED",
            "p.list.element": "BYTE_STREAM_SPLIT",
        },
    )
    content = sink.getvalue()
    part = folder / f"{_hash(content)}.parquet"
    with atomic_path(part) as temporary:
        temporary.write_bytes(content)
    return part


def _hash(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


@dataclass(frozen=True)
class Index:
    """What stands where: sequence ``keys[n]`` is row ``row[n]`` of ``parts[part[n]]``; sorted by key."""

    parts: tuple[Path, ...]
    keys: Keys
    part: NDArray[np.int32]
    row: NDArray[np.int32]
    lengths: NDArray[np.uint16]
    pairs: NDArray[np.uint32]  # how many each has

    def find(self, keys: Keys, lengths: Ints) -> Ints:
        """The place of each sequence with this key and length in this index, -1 where it is not there."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        held = (self.keys[at] == keys) & (self.lengths[at] == lengths)
        return np.where(held, at, -1).astype(np.int64)


def read_index(folder: Path, on_damaged: Callable[[str], None]) -> Index:
    """What the whole parts of ``folder`` hold; a damaged one is told to ``on_damaged`` and put aside."""
    parts, keys, lengths, pairs = [], [np.empty(0, f"S{_KEY_BYTES}")], [], []
    for part in sorted(folder.glob("[0-9a-f]*.parquet")):
        table = _read(part, ["key", "length", "pairs"], on_damaged)
        if table is not None:
            parts.append(part)
            keys.append(_keys(table["key"]))
            lengths.append(table["length"].to_numpy())
            pairs.append(table["pairs"].to_numpy())
    begins = offsets_of(np.array([len(k) for k in keys[1:]]))
    every, first = np.unique(np.concatenate(keys), return_index=True)
    part_of = (np.searchsorted(begins, first, side="right") - 1).astype(np.int32)
    return Index(
        tuple(parts),
        every,
        part_of,
        (first - begins[part_of]).astype(np.int32),
        np.concatenate([np.empty(0, np.uint16), *lengths])[first],
        np.concatenate([np.empty(0, np.uint32), *pairs])[first],
    )


def _keys(column: pa.ChunkedArray) -> Keys:
    array = column.combine_chunks()
    content = array.buffers()[1]
    every = np.frombuffer(content, f"S{_KEY_BYTES}") if len(array) else np.empty(0, f"S{_KEY_BYTES}")
    return every[array.offset : array.offset + len(array)]


def _read(part: Path, columns: list[str], on_damaged: Callable[[str], None]) -> pa.Table | None:
    try:
        content = part.read_bytes()
    except FileNotFoundError:  # put aside by another process a moment ago
        return None
    if _hash(content) == part.stem:
        # Its bytes are those that were written: reading them cannot fail.
        return pq.read_table(pa.BufferReader(content), columns=columns)
    on_damaged(f"{part}: a damaged part of the cache, put aside; what it held is computed again")
    with suppress(OSError):  # in a folder that cannot be written it stays, and is damaged the next time too
        part.replace(part.with_suffix(".damaged"))
    return None


def gather(index: Index, places: Ints, on_damaged: Callable[[str], None]) -> Pairs | None:
    """The sequences at ``places`` of the index, in that order; None where a part was damaged since.

    Beside the result, no more than one part is in memory at a time.
    """
    counts = index.pairs[places].astype(np.int64)
    offsets = offsets_of(counts)
    p, i, j, let_go = _room(int(offsets[-1]), index.parts)
    order = np.argsort(index.part[places], kind="stable")
    bounds = np.searchsorted(index.part[places][order], np.arange(len(index.parts) + 1))
    for n, part in enumerate(index.parts):
        mine = order[bounds[n] : bounds[n + 1]]
        if not len(mine):
            continue
        table = _read(part, ["i", "j", "p"], on_damaged)
        if table is None:
            return None
        starts = _offsets(table["i"])[index.row[places][mine]]
        source, target = ranges(starts, counts[mine]), ranges(offsets[:-1][mine], counts[mine])
        for name, values in (("i", i), ("j", j), ("p", p)):
            values[target] = table[name].combine_chunks().flatten().to_numpy()[source]
        let_go()
    return Pairs(offsets, i, j, p)


def _room(
    n: int, parts: Sequence[Path]
) -> tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16], Callable[[], object]]:
    """Arrays for n pairs; large ones are a file without a name that the system may write out of memory.

    The function given beside them does so with what has been written, as far as memory of this process counts.
    """
    size = n * _PAIR_BYTES
    if not n or size < _MAPPED_FROM:
        return np.empty(n, np.float32), np.empty(n, np.uint16), np.empty(n, np.uint16), lambda: None
    with _nameless_file(parts[0].parent) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and a crash later
        else:
            file.truncate(size)
        room = mmap.mmap(file.fileno(), size)  # keeps the file
    p = np.frombuffer(room, np.float32, n)
    i, j = (np.frombuffer(room, np.uint16, n, offset) for offset in (4 * n, 6 * n))
    if not hasattr(mmap, "MADV_DONTNEED"):
        return p, i, j, lambda: None
    return p, i, j, partial(room.madvise, mmap.MADV_DONTNEED)


def _nameless_file(folder: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:  # a cache that may only be read
        return tempfile.TemporaryFile()


def _offsets(column: pa.ChunkedArray) -> Ints:
    array = column.combine_chunks()
    offsets: Ints = array.offsets.to_numpy().astype(np.int64)
    offsets -= offsets[0]
    return offsets


def bytes_in(folder: Path) -> int:
    """The size of all parts of ``folder``."""
    return sum(part.stat().st_size for part in folder.glob("*.parquet"))
