"""Predictions as files: a table, Parquet, reactivity files for RNAfold, structures in dot-bracket.

Every writer is a context manager that gives a function for blocks; its file is there once all were written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from understudy.core.files import atomic_path
from understudy.errors import ConfigError, DataError
from understudy.rna.pairing import available
from understudy.rna.predict.ensemble import Floats
from understudy.rna.predict.kaggle import WriteBlock, open_binary
from understudy.rna.predict.pipeline import REACTIVITY_2A3, Block
from understudy.rna.sequences import STDIN
from understudy.rna.structure import fold_many, write_shape
from understudy.rna.table import ALPHABET, CHEMICALS

PREDICTED = (*CHEMICALS, *(f"error_{name}" for name in CHEMICALS))  # the columns of Block.values
COLUMNS = ("sequence_id", "position", "nucleotide", *PREDICTED)
ENDS = tuple(f"{chemical}_{end}" for chemical in CHEMICALS for end in ("low", "high"))  # of Block.ends
DECIMALS = 4
_LONGEST_NAME = 200  # bytes of a file name; most file systems take 255

_LETTERS = pa.array(list(ALPHABET))
_TABLES = {".tsv": "\t", ".tsv.gz": "\t", ".csv": ",", ".csv.gz": ","}


@contextmanager
def table(path: Path | str, *, ends: bool = False) -> Iterator[WriteBlock]:
    """Writes one row a nucleotide (``.tsv``, ``.csv``, each with ``.gz``; ``-``: standard output, tab-separated),
    or one row a molecule with lists (``.parquet``).

    Columns of text: sequence_id, position (from 1), nucleotide, 2A3, DMS, error_2A3, error_DMS; four decimals, and
    nothing where the network predicts no error. With ``ends`` those of the intervals follow: 2A3_low, 2A3_high,
    DMS_low, DMS_high.

    Raises:
        ConfigError: another ending.
    """
    if str(path) == STDIN:
        yield _text(sys.stdout.buffer, "\t", ends)
        sys.stdout.buffer.flush()
        return
    path = Path(path)
    if path.suffix == ".parquet":
        with _parquet(path, ends) as write:
            yield write
        return
    for ending, delimiter in _TABLES.items():
        if path.name.endswith(ending):
            with atomic_path(path) as temporary, open_binary(temporary) as file:
                yield _text(file, delimiter, ends)
            return
    raise ConfigError(f"--out {path}: the name must end in {', '.join(_TABLES)} or .parquet")


def _text(file: IO[bytes], delimiter: str, ends: bool) -> WriteBlock:
    names = [*COLUMNS, *(ENDS if ends else ())]
    file.write((delimiter.join(names) + "\n").encode())

    def write(block: Block) -> None:
        lengths = np.diff(block.offsets)
        position = np.arange(len(block.tokens)) - np.repeat(block.offsets[:-1], lengths) + 1
        ids = pa.array(block.ids).take(pa.array(np.repeat(np.arange(len(block)), lengths)))
        columns = [ids, pa.array(position), _LETTERS.take(pa.array(block.tokens))]
        rounded = np.round(_values(block, ends), DECIMALS)
        columns += [pa.array(np.ascontiguousarray(v), from_pandas=True) for v in rounded.T]
        # Arrow quotes every text or none: quotes only where an id needs them.
        needed = any(mark in name for name in block.ids for mark in (delimiter, '"'))
        options = pc.WriteOptions(
            include_header=False, delimiter=delimiter, quoting_style="needed" if needed else "none"
        )
        sink = pa.BufferOutputStream()
        pc.write_csv(pa.table(columns, names=names), sink, options)
        file.write(sink.getvalue())

    return write


def _values(block: Block, ends: bool) -> Floats:
    return (
        np.concatenate([block.values, block.ends], axis=1)
        if ends and block.ends is not None
        else block.values
    )


@contextmanager
def _parquet(path: Path, ends: bool) -> Iterator[WriteBlock]:
    lists = pa.list_(pa.float32())
    schema = pa.schema(
        [
            ("sequence_id", pa.string()),
            ("sequence", pa.string()),
            *((name, lists) for name in (*PREDICTED, *(ENDS if ends else ()))),
        ]
    )
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def write(block: Block) -> None:
            offsets = pa.array(block.offsets, pa.int32())
            values = [pa.array(np.ascontiguousarray(v)) for v in _values(block, ends).T]
            columns = [pa.array(block.ids), pa.array(block.sequences)]
            columns += [pa.ListArray.from_arrays(offsets, v) for v in values]
            writer.write_table(pa.table(columns, schema=schema))

        yield write


@contextmanager
def shape_files(folder: Path) -> Iterator[WriteBlock]:
    """Writes ``<id>.shape`` with the predicted 2A3 of every sequence, for ``RNAfold --shape``.

    Raises:
        DataError: the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"--shape {folder} is a file; give a folder")
    folder.mkdir(parents=True, exist_ok=True)

    def write(block: Block) -> None:
        for m, (name, sequence) in enumerate(zip(block.ids, block.sequences, strict=True)):
            write_shape(folder / f"{file_name(name)}.shape", sequence, block.of(m)[:, REACTIVITY_2A3])

    yield write


@contextmanager
def structures(path: Path) -> Iterator[WriteBlock]:
    """Writes the id, the sequence and its structure in dot-bracket, guided by the predicted 2A3, with its energy.

    Raises:
        ConfigError: ViennaRNA is absent.
    """
    problem = available()
    if problem:
        raise ConfigError(problem)
    with atomic_path(path) as temporary, open_binary(temporary) as file:

        def write(block: Block) -> None:
            profiles = [block.of(m)[:, REACTIVITY_2A3] for m in range(len(block))]
            folds = fold_many(block.sequences, profiles)
            for name, sequence, fold in zip(block.ids, block.sequences, folds, strict=True):
                file.write(f">{name}\n{sequence}\n{fold.structure} ({fold.energy:.2f})\n".encode())

        yield write


def file_name(name: str) -> str:
    """An id as the name of a file: what a file system may not take is written as ``%XX``, as in a URL.

    Different ids give different names; a very long one ends in a hash.
    """
    safe = quote(name, safe="+=@,()[] ")
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:_LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:16]}"
    return safe
