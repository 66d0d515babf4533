"""Nucleotide sequences: from letters to tokens, and from any file a person has to (id, sequence) pairs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError
from understudy.rna.sources import (
    STDIN,
    Column,
    first_line,
    is_parquet,
    lines_of,
    name_of,
    opened,
    reading,
    rows_of_parquet,
    rows_of_text,
)
from understudy.rna.table import ALPHABET

Tokens = NDArray[np.uint8]
Record = tuple[str, str, str, bool]  # where, id, sequence, whether a molecule may stand in several data sets

_BAD = 255


def _table() -> Tokens:
    table = np.full(256, _BAD, np.uint8)
    for token, letters in enumerate(("Aa", "Cc", "Gg", "UuTt")):
        for letter in letters:
            table[ord(letter)] = token
    return table


_TOKENS = _table()
_LETTERS = np.frombuffer(ALPHABET.encode(), np.uint8)


def encode(sequence: str, name: str) -> Tokens:
    """Tokens ``(L,)`` of a sequence: A C G U → 0 1 2 3, T reads as U, lower case is accepted.

    Raises:
        DataError: it is empty or holds another letter; the line names ``name``, the letter and its position.
    """
    tokens, _ = encode_many([sequence], [name])
    return tokens


def encode_many(sequences: Sequence[str], names: Sequence[str]) -> tuple[Tokens, NDArray[np.int64]]:
    """Tokens ``(N,)`` of M sequences one after the other, and where each begins and ends, ``(M + 1,)``.

    Raises:
        DataError: as :func:`encode`, for the first sequence that is wrong.
    """
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    # One byte a letter, so that positions stay what they are: a letter beyond Latin-1 becomes "?".
    letters = np.frombuffer("".join(sequences).encode("latin-1", "replace"), np.uint8)
    tokens = _TOKENS[letters]
    empty = int(np.argmin(lengths)) if len(lengths) and lengths.min() == 0 else len(lengths)
    if tokens.size and tokens.max() == _BAD:
        at = int(np.argmax(tokens == _BAD))
        m = int(np.searchsorted(offsets, at, side="right")) - 1
        if m < empty:
            raise _wrong_letter(names[m], sequences[m], at - int(offsets[m]))
    if empty < len(lengths):
        raise DataError(f"sequence {names[empty]!r} is empty")
    return tokens, offsets


def _wrong_letter(name: str, sequence: str, at: int) -> DataError:
    letter = sequence[at]
    hint = "; remove the gaps of an alignment" if letter in "-." else ""
    return DataError(
        f"sequence {name!r} has {letter!r} at position {at + 1}; only A, C, G and U (or T) are known{hint}"
    )


def decode(tokens: Tokens) -> str:
    """The letters of tokens, upper case, with U."""
    return _LETTERS[tokens].tobytes().decode("ascii")


def check_sequence(sequence: str, name: str) -> str:
    """The sequence in upper case with U for T.

    Raises:
        DataError: as :func:`encode`.
    """
    return decode(encode(sequence, name))


def read_sequences(path: Path | str) -> Iterator[tuple[str, str]]:
    """``(id, sequence)`` of every record, in order, letters as they stand; memory does not grow with lengths.

    FASTA (the id is the first word after ``>``), CSV and TSV with a column ``sequence`` and a column
    ``sequence_id`` or ``id``, and Parquet with these columns; ``"-"`` is standard input. The format is seen from
    the first character, a gzip from its first bytes. Where a table says which data set a row is of
    (``dataset_name``), the same molecule in several of them comes once.

    Raises:
        DataError: nothing there, damaged, not one of the formats, a column missing, an empty record, an id
            that stands twice.
    """
    with reading(path):
        yield from unique(_records(path), name_of(path))


def unique(records: Iterable[Record], source: str) -> Iterator[tuple[str, str]]:
    """``(id, sequence)`` of records that each have both, and an id of their own.

    Args:
        records: where it stands, the id, the sequence, and whether a molecule may stand in several data sets.
        source: what messages call the file.

    Raises:
        DataError: there is none, an id or a sequence is missing, an id cannot stand in a table or stands twice.
    """
    seen = _Seen(source)
    empty = True
    for where, name, sequence, several in records:
        empty = False
        if not name or not name.isprintable():
            what = "no id" if not name else f"an id that cannot be printed, {name!r}"
            raise DataError(f"{source}: {where} has {what}")
        if not sequence:
            raise DataError(f"{source}: sequence {name!r} ({where}) is empty")
        if seen.is_new(name, sequence, several):
            yield name, sequence
    if empty:
        raise DataError(f"{source} holds no sequences")


class _Seen:
    """Ids that were met, as hashes of 64 bits: about 100 bytes an id, however long the ids."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._ids: set[int] = set()
        self._molecules: set[int] = set()

    def is_new(self, name: str, sequence: str, several: bool) -> bool:
        """False for the same molecule in another data set, which only such tables (``several``) may hold."""
        key = hash(name)
        new = key not in self._ids
        if several:
            molecule = hash((name, sequence))
            if not new and molecule in self._molecules:
                return False
            self._molecules.add(molecule)
        if not new:
            raise DataError(f"{self._source}: the id {name!r} stands twice; every sequence needs its own")
        self._ids.add(key)
        return True


_COLUMNS = (
    Column(("sequence_id", "id")),
    Column(("sequence",)),
    Column(("dataset_name",), required=False),
)


def _records(path: Path | str) -> Iterator[Record]:
    with opened(path) as stream:
        if is_parquet(stream):
            for row, (name, sequence, dataset) in rows_of_parquet(path, _COLUMNS):
                yield f"row {row}", name, sequence, bool(dataset)
            return
        with lines_of(stream) as lines:
            number, line = first_line(lines)
            if line.lstrip()[:1] in (">", ";"):
                yield from _fasta(itertools.chain([line], lines), number, name_of(path))
            elif line:
                if not {"\t", ",", ";"} & set(line):
                    raise DataError(
                        f"{name_of(path)}: neither FASTA, whose first line starts with '>', nor a table "
                        "with the columns sequence_id and sequence"
                    )
                for row, (name, sequence, dataset) in rows_of_text(
                    number, line, lines, _COLUMNS, name_of(path)
                ):
                    yield f"line {row}", name, sequence, bool(dataset)


def _fasta(lines: Iterable[str], number: int, source: str) -> Iterator[Record]:
    """Records of FASTA text whose first line has this number; lines that start with ``;`` are comments."""
    name: str | None = None
    begins, parts = number, list[str]()
    for at, text in enumerate(lines, number):
        line = text.strip()
        if line.startswith(">"):
            if name is not None:
                yield f"line {begins}", name, "".join(parts), False
            name, begins, parts = next(iter(line[1:].split()), ""), at, []
        elif line and not line.startswith(";"):
            if name is None:
                raise DataError(f"{source}: line {at} comes before the first line that starts with '>'")
            parts.append("".join(line.split()))
    if name is not None:
        yield f"line {begins}", name, "".join(parts), False


__all__ = [
    "STDIN",
    "check_sequence",
    "decode",
    "encode",
    "encode_many",
    "read_sequences",
    "unique",
]
