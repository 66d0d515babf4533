"""What a person has on disk comes out as the same ids and sequences, whatever the format; the rest is one line."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.errors import DataError
from understudy.rna.sequences import check_sequence, decode, encode, encode_many, read_sequences
from understudy.rna.sources import count_records

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
NUCLEOTIDES = st.text("ACGUTacgut", min_size=1, max_size=200)
RECORDS = st.lists(st.tuples(NAMES, NUCLEOTIDES), min_size=1, max_size=12, unique_by=lambda r: r[0])
ENDS = st.sampled_from(["\n", "\r\n"])
SAFE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def write(path: Path, data: bytes, packed: bool) -> Path:
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@given(NUCLEOTIDES)
def test_tokens_are_letters(sequence: str) -> None:
    canonical = sequence.upper().replace("T", "U")
    tokens = encode(sequence, "x")
    assert tokens.dtype == np.uint8
    assert [" ACGU".index(letter) - 1 for letter in canonical] == tokens.tolist()
    assert decode(tokens) == check_sequence(sequence, "x") == canonical


@given(st.lists(NUCLEOTIDES, min_size=1, max_size=8))
def test_many_are_one_after_the_other(sequences: list[str]) -> None:
    tokens, offsets = encode_many(sequences, [str(k) for k in range(len(sequences))])
    for k, sequence in enumerate(sequences):
        np.testing.assert_array_equal(tokens[offsets[k] : offsets[k + 1]], encode(sequence, "x"))
    assert offsets[-1] == len(tokens)


@given(
    st.text("ACGU", max_size=50),
    st.characters(codec="utf-8", exclude_characters="ACGUTacgut"),
    st.text("ACGU"),
)
def test_another_letter_is_named_with_its_place(before: str, letter: str, after: str) -> None:
    with pytest.raises(DataError) as error:
        encode_many(["ACG", before + letter + after], ["good", "bad one"])
    assert f"'bad one' has {letter!r} at position {len(before) + 1};" in str(error.value)


def test_the_first_that_is_wrong_is_named() -> None:
    with pytest.raises(DataError, match="'b' is empty"):
        encode_many(["A", "", "N"], ["a", "b", "c"])
    with pytest.raises(DataError, match="'b' has 'N' at position 1"):
        encode_many(["A", "N", ""], ["a", "b", "c"])
    with pytest.raises(DataError, match="'x' is empty"):
        encode("", "x")


@SAFE
@given(RECORDS, st.integers(1, 70), ENDS, st.booleans(), st.booleans())
def test_fasta(tmp_path: Path, records: Any, width: int, end: str, packed: bool, comments: bool) -> None:
    lines = ["; a comment", ""] if comments else []
    for name, sequence in records:
        lines.append(f">{name} a description of it")
        lines += [sequence[k : k + width] for k in range(0, len(sequence), width)]
        lines += ["", "; another"] if comments else []
    path = write(tmp_path / "x.dat", (end.join(lines) + end).encode(), packed)
    assert list(read_sequences(path)) == records


@SAFE
@given(RECORDS, st.sampled_from([",", "\t"]), ENDS, st.booleans(), st.sampled_from(["id", "sequence_id"]))
def test_tables(tmp_path: Path, records: Any, delimiter: str, end: str, packed: bool, column: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(["sequence", "note", column])
    writer.writerows([sequence, "x", name] for name, sequence in records)
    path = write(tmp_path / "x.dat", b"\xef\xbb\xbf" + text.getvalue().encode(), packed)
    assert list(read_sequences(path)) == records


@SAFE
@given(RECORDS, st.integers(1, 5))
def test_parquet(tmp_path: Path, records: Any, group: int) -> None:
    names, sequences = zip(*records, strict=True)
    pq.write_table(
        pa.table({"sequence": sequences, "n": range(len(names)), "sequence_id": names}),
        tmp_path / "x.parquet",
        row_group_size=group,
    )
    assert list(read_sequences(tmp_path / "x.parquet")) == records


@pytest.mark.parametrize(
    "data",
    [b">a\nACG\n>b\nGG\n", b"id,sequence\na,ACG\nb,GG\n", gzip.compress(b">a\nACG\n>b\nGG")],
    # A gzip holds the second it was made in: processes would disagree on a name that it is part of.
    ids=["fasta", "csv", "gzip"],
)
def test_standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]
    monkeypatch.setattr("sys.stdin", stdin)
    assert list(read_sequences("-")) == [("a", "ACG"), ("b", "GG")]
    assert not stdin.buffer.closed


def test_one_molecule_in_several_data_sets_comes_once(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("sequence_id,sequence,dataset_name\na,ACG,one\nb,GG,one\na,ACG,two\n")
    assert list(read_sequences(path)) == [("a", "ACG"), ("b", "GG")]
    path.write_text("sequence_id,sequence,dataset_name\na,ACG,one\na,ACC,two\n")
    with pytest.raises(DataError, match="'a' stands twice"):
        list(read_sequences(path))


def test_reading_goes_no_further_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.fasta"
    path.write_text(">a\nACG\n>b\nGG\nstray\n>\nA\n")
    records = read_sequences(path)
    assert next(records) == ("a", "ACG")
    records.close()  # type: ignore[attr-defined]


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "holds no sequences"),
    "blank": (b"\n \n", "holds no sequences"),
    "only a header": (b"id,sequence\n", "holds no sequences"),
    "neither": (b"ACGUACGU\n", "neither FASTA"),
    "before the first": (b"; x\nACG\n>a\nACG\n", "line 2 comes before the first line"),
    "no name": (b">a\nACG\n>\nACG\n", "line 3 has no id"),
    "empty record": (b">a\n>b\nACG\n", "'a' (line 1) is empty"),
    "empty last record": (b">a\nACG\n>b\n", "'b' (line 3) is empty"),
    "empty cell": (b"id,sequence\na,ACG\n\nb,\n", "'b' (line 4) is empty"),
    "no id cell": (b"id,sequence\n,ACG\n", "line 2 has no id"),
    "twice": (b">a\nACG\n>b\nA\n>a\nACG\n", "'a' stands twice"),
    "twice in a table": (b"id,sequence\na,ACG\na,ACG\n", "'a' stands twice"),
    "short row": (b"id,sequence,x\na,ACG,1\nb\n", "line 3 has 1 cells"),
    "no sequence column": (b"id,sequnce\na,ACG\n", "no column `sequence`; did you mean 'sequnce'?"),
    "no id column": (b"name,sequence\na,ACG\n", "no column `sequence_id` or `id`"),
    "not text": (b">a\n\xff\xfe\n", "not text in UTF-8"),
    "an id with a tab": (b'id,sequence\n"a\tb",ACG\n', "cannot be printed"),
    "truncated gzip": (gzip.compress(b">a\n" + b"ACGU" * 50_000)[:-30], "truncated or damaged"),
    "gzip of a broken body": (gzip.compress(b">a\nACGU\n")[:12] + b"xxxxxxxxxxxx", "truncated or damaged"),
    "damaged Parquet": (b"PAR1 and no more", "cannot be read"),
}


@pytest.mark.parametrize("what", list(BAD))
def test_bad_files_are_one_line(tmp_path: Path, what: str) -> None:
    data, words = BAD[what]
    path = tmp_path / "bad.file"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        list(read_sequences(path))
    assert words in str(error.value)
    assert "bad.file" in str(error.value)
    assert "\n" not in str(error.value)


def test_places_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_sequences(tmp_path / "absent"))
    with pytest.raises(DataError, match="is a folder"):
        list(read_sequences(tmp_path))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"PAR1"))))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cannot be streamed"):
        list(read_sequences("-"))


def test_how_many_there_are_about(tmp_path: Path) -> None:
    (tmp_path / "x.fasta").write_text(">a\nAC\nGU\n>b\nA\n")
    (tmp_path / "x.csv").write_bytes(gzip.compress(b"id,sequence\na,ACG\nb,GG\n"))
    pq.write_table(pa.table({"id": ["a", "b"], "sequence": ["A", "C"]}), tmp_path / "x.parquet")
    assert count_records(tmp_path / "x.fasta") == 2
    assert count_records(tmp_path / "x.csv") == 3
    assert count_records(tmp_path / "x.parquet") == 2
    assert count_records("-") == count_records(tmp_path / "absent") == 0
