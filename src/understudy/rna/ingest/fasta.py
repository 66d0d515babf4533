"""Sequences without measurements, as a table of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from understudy.errors import DataError
from understudy.rna.ingest.summary import Stock, Summary
from understudy.rna.molecules import Molecules, MoleculeWriter
from understudy.rna.sequences import encode, encode_many, read_sequences
from understudy.rna.table import CHEMICALS

_AT_ONCE = 4096


def ingest_fasta(files: Sequence[Path], out: Path, *, on_bad_case: str = "error") -> Summary:
    """Read FASTA (or any other file of sequences) and write ``out``; every file is a data set.

    Raises:
        DataError: a file cannot be read, an id stands twice in it, or a sequence has an unknown letter, unless
            ``on_bad_case`` is ``skip``: then such sequences are left out, counted and listed.
    """
    summary = Summary()
    names = tuple(path.name.split(".")[0] for path in files)
    if len(set(names)) < len(names):
        raise DataError("two of the files have the same name, which is that of their data set; rename one")
    records = [
        (name, sequence, k)
        for k, path in enumerate(files)
        for name, sequence in read_sequences(path)
        if on_bad_case != "skip" or _is_good(path, name, sequence, summary)
    ]
    if not records:
        raise DataError(f"{', '.join(map(str, files))}: no sequence is left")
    with MoleculeWriter(out) as writer:
        for first in range(0, len(records), _AT_ONCE):
            writer.write(_molecules(files, records[first : first + _AT_ONCE], names))
    m = len(records)
    nothing = np.full((m, len(CHEMICALS)), np.nan, np.float32)
    absent = np.zeros((m, len(CHEMICALS)), bool)
    summary.stock = Stock(
        lengths=np.array([len(sequence) for _, sequence, _ in records], np.int64),
        sequence=np.array([hash(sequence.upper().replace("T", "U")) for _, sequence, _ in records]).view(
            np.uint64
        ),
        dataset=np.array([k for _, _, k in records], np.int16),
        dataset_names=names,
        present=absent,
        measured=np.zeros((m, len(CHEMICALS)), np.int64),
        signal_to_noise=nothing,
        reads=nothing,
        sn_filter=absent,
    )
    summary.fingerprint = writer.fingerprint
    return summary


def _is_good(path: Path, name: str, sequence: str, summary: Summary) -> bool:
    try:
        encode(sequence, name)
    except DataError as error:
        summary.leave_out([f"{path}: {error}"])
        return False
    return True


def _molecules(
    files: Sequence[Path], records: Sequence[tuple[str, str, int]], names: tuple[str, ...]
) -> Molecules:
    ids = [name for name, _, _ in records]
    try:
        tokens, offsets = encode_many([sequence for _, sequence, _ in records], ids)
    except DataError as error:
        path = files[records[0][2]] if len(files) == 1 else "one of the files"
        raise DataError(f"{path}: {error}; --skip-bad leaves such sequences out") from error
    m, n = len(records), len(tokens)
    return Molecules(
        ids=tuple(ids),
        offsets=offsets,
        tokens=tokens,
        reactivity=np.full((n, 2), np.nan, np.float32),
        error=np.full((n, 2), np.nan, np.float32),
        signal_to_noise=np.full((m, 2), np.nan, np.float32),
        reads=np.full((m, 2), np.nan, np.float32),
        sn_filter=np.zeros((m, 2), bool),
        dataset=np.array([k for _, _, k in records], np.int16),
        dataset_names=names,
    )
