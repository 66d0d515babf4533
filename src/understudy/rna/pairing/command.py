"""``understudy pairing``: fill the cache ahead of training and prediction, and export it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.core.files import atomic_path
from understudy.errors import ConfigError, DataError
from understudy.progress import Progress
from understudy.rna.pairing.compute import Complete, complete, default_folder
from understudy.rna.pairing.store import bytes_in
from understudy.rna.sequences import read_sequences

_EXPORTED_AT_ONCE = 10_000  # sequences; a few megabytes


def run(options: argparse.Namespace, terminal: Progress) -> None:
    """Compute what the cache lacks, and say what was done.

    Raises:
        ConfigError: ViennaRNA is absent, or an option is wrong.
        DataError: a source cannot be read, or holds what is no sequence.
    """
    export = Path(options.export) if options.export else None
    if export is not None and export.suffix != ".parquet":
        raise ConfigError(f"--export {export}: the name must end in .parquet")
    if options.jobs is not None and options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs}: at least 1")

    names: list[str] = []
    sequences: list[str] = []
    for source in options.sources:
        for name, sequence in read_sequences(source):
            names.append(name)
            sequences.append(sequence)
    with terminal.training() as show:
        done = complete(
            sequences,
            folder=Path(options.cache) if options.cache else default_folder(),
            jobs=options.jobs,
            names=names,
            on_progress=_with_rate(show),
            on_note=terminal.say,
        )
    tally = done.tally
    terminal.say(
        f"{len(sequences)} sequences, {tally.sequences} distinct: {tally.computed} computed, {tally.found} found, "
        f"in {tally.seconds:.1f} s; {bytes_in(tally.folder) / 1e6:.1f} MB in {tally.folder}"
    )
    if export is not None:
        _export(done, names, sequences, export)
        terminal.say(f"pairs of {len(sequences)} sequences in {export}")


def _with_rate(show: Callable[[str, int, int], None]) -> Callable[[int, int], None]:
    began = time.perf_counter()

    def on_progress(done: int, total: int) -> None:
        rate = done / max(time.perf_counter() - began, 1e-9)
        show(f"pairing, {rate:.0f} a second" if rate >= 10 else f"pairing, {rate:.2g} a second", done, total)

    return on_progress


def _export(done: Complete, names: Sequence[str], sequences: Sequence[str], path: Path) -> None:
    """One row a sequence, in the order given: ``sequence_id, sequence, i, j, p``, positions from 0."""
    schema = pa.schema(
        [
            ("sequence_id", pa.string()),
            ("sequence", pa.string()),
            ("i", pa.list_(pa.uint16())),
            ("j", pa.list_(pa.uint16())),
            ("p", pa.list_(pa.float32())),
        ],
        metadata={"positions": "from 0, i < j", "engine": done.tally.folder.name},
    )
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for first in range(0, len(sequences), _EXPORTED_AT_ONCE):
            rows = slice(first, first + _EXPORTED_AT_ONCE)
            pairs = done.read(rows)
            if pairs is None:
                raise DataError("a part of the cache was damaged meanwhile: run the same command again")
            offsets = pa.array(pairs.offsets, pa.int32())
            lists = [pa.ListArray.from_arrays(offsets, pa.array(v)) for v in (pairs.i, pairs.j, pairs.p)]
            writer.write_table(
                pa.table([pa.array(names[rows]), pa.array(sequences[rows]), *lists], schema=schema)
            )
