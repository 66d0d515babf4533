"""RDAT: positions, annotations and pairs; and sequences without measurements."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from understudy.errors import DataError
from understudy.rna.ingest.fasta import ingest_fasta
from understudy.rna.ingest.rdat import ingest_rdat
from understudy.rna.ingest.summary import Summary
from understudy.rna.molecules import Molecules, read_molecules

SEQUENCE = "GACUGACU"
HEAD = f"""\
RDAT_VERSION\t0.34
NAME\tsome RNA
SEQUENCE\t{SEQUENCE}
STRUCTURE\t........
OFFSET\t100
SEQPOS\tC103\tU104\tG105

COMMENT\tREACTIVITY is a word here
ANNOTATION\texperimentType:StandardState\tchemical:MgCl2:10mM\tmodifier:2A3\treads:200
"""
PAIR = """\
ANNOTATION_DATA:1\tsignal_to_noise:strong:7.5
ANNOTATION_DATA:2\tmodifier:DMS\treads:90
REACTIVITY:1\t0.5\t-0.25\tnan
REACTIVITY:2\t1.0 2.0 3.0
REACTIVITY_ERROR:1\t0.1\t0.2\t0.3
REACTIVITY_ERROR:2\t0.5\t0.5\t0.5
"""


def ingest(folder: Path, text: str, *, skip: bool = False) -> tuple[Molecules, Summary]:
    path = folder / "ABC_DMS_0001.rdat"
    path.write_text(text)
    summary = ingest_rdat([path], folder / "a.parquet", on_bad_case="skip" if skip else "error")
    return read_molecules(folder / "a.parquet"), summary


def test_values_stand_where_offset_and_seqpos_say(tmp_path: Path) -> None:
    molecules, summary = ingest(tmp_path, HEAD + PAIR)
    nan = np.nan
    np.testing.assert_array_equal(
        molecules.reactivity,
        np.array([[nan] * 2, [nan] * 2, [0.5, 1], [-0.25, 2], [nan, 3], *[[nan] * 2] * 3], np.float32),
    )
    np.testing.assert_array_equal(
        molecules.error[2:5], np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5]], np.float32)
    )
    np.testing.assert_array_equal(molecules.signal_to_noise, [[7.5, 4.0]])  # told; mean 2 over mean 0.5
    np.testing.assert_array_equal(molecules.reads, [[200, 90]])
    np.testing.assert_array_equal(molecules.sn_filter, [[True, False]])
    assert molecules.sequence(0) == SEQUENCE
    assert molecules.dataset_names == ("ABC_DMS_0001",)
    np.testing.assert_array_equal(summary.histogram.sum(axis=1), [2, 3])
    assert "values            5 measured reactivities" in summary.lines()


def test_ids_are_the_md5_of_the_sequence(tmp_path: Path) -> None:
    rows = "ANNOTATION_DATA:1 sequence:gactgacT\nREACTIVITY:1 1 1 1\n"
    assert ingest(tmp_path, HEAD + rows)[0].ids == ("b03db41b6249",)


def test_rows_pair_by_sequence_and_other_chemicals_are_told(tmp_path: Path) -> None:
    rows = [
        ("2A3", "GACUGACU"),
        ("1M7", "GACUGACU"),
        ("DMS", "GACUGACA"),
        ("DMS", "GACUGACU"),
        ("Nomod", "GACU"),
    ]
    text = "".join(
        f"ANNOTATION_DATA:{k} sequence:{s} modifier:{m}\nREACTIVITY:{k} {k} {k} {k}\n"
        for k, (m, s) in enumerate(rows, 1)
    )
    molecules, summary = ingest(tmp_path, HEAD + text)
    assert [molecules.sequence(i) for i in range(2)] == ["GACUGACU", "GACUGACA"]
    np.testing.assert_array_equal(molecules.reactivity[2], [1, 4])
    np.testing.assert_array_equal(molecules.reactivity[10], [np.nan, 3])
    assert "1 of 1M7, 1 of Nomod" in summary.notes[0]
    assert "unpaired          1 without 2A3" in summary.lines()


def test_several_constructs_and_gzip(tmp_path: Path) -> None:
    second = HEAD.partition("\n")[2].replace(SEQUENCE, "GACUGACUAA").replace("OFFSET\t100", "OFFSET\t100 ")
    path = tmp_path / "a.rdat.gz"
    path.write_bytes(gzip.compress((HEAD + PAIR + second + PAIR).encode()))
    ingest_rdat([path], tmp_path / "a.parquet")
    molecules = read_molecules(tmp_path / "a.parquet")
    assert [molecules.sequence(i) for i in range(2)] == [SEQUENCE, "GACUGACUAA"]
    np.testing.assert_array_equal(molecules.reactivity[2:5], molecules.reactivity[10:13])


BAD = {
    "values": (
        PAIR.replace("1.0 2.0 3.0", "1.0 2.0"),
        "line 13: row 2 of some RNA: REACTIVITY has 2 values for the 3",
    ),
    "text": (PAIR.replace("1.0 2.0", "1.0 x"), "line 13: .*'x', which is no number"),
    "infinite": (PAIR.replace("1.0 2.0", "1.0 inf"), "not finite"),
    "beyond the assay": (PAIR.replace("1.0 2.0", "1.0 -2000"), "-2000, which the assay cannot give"),
    "negative error": (PAIR.replace("0.5\t0.5\t0.5", "0.5\t-0.5\t0.5"), "negative"),
    "letter": (PAIR.replace("modifier:DMS", "modifier:DMS sequence:GACXGACU"), "'X' at position 4"),
    "short": (PAIR.replace("modifier:DMS", "modifier:DMS sequence:GACU"), "beyond the 4 nucleotides"),
    "mutation": (PAIR.replace("modifier:DMS", "modifier:DMS mutation:G101C"), "G101C without the sequence"),
    "twice": (
        PAIR.replace("modifier:DMS", ""),
        "the 2A3 experiment on this sequence stands in .*line 12 already",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named_or_left_out(tmp_path: Path, kind: str) -> None:
    text, words = BAD[kind]
    with pytest.raises(DataError, match=words):
        ingest(tmp_path, HEAD + text)
    molecules, summary = ingest(tmp_path, HEAD + text, skip=True)
    assert summary.left_out == len(summary.listed) == 1
    np.testing.assert_array_equal(molecules.reactivity[2], np.array([0.5, np.nan]))


FILES = {
    "no RDAT": ("NAME x\nSEQUENCE GACU\n", "not an RDAT file"),
    "empty": ("", "not an RDAT file"),
    "version": (HEAD.replace("0.34", "1.0") + PAIR, "line 1: RDAT version '1.0'"),
    "offset": (HEAD.replace("OFFSET\t100", "OFFSET\tx") + PAIR, "line 5: OFFSET is 'x'"),
    "letters": (HEAD.replace("OFFSET\t100", "OFFSET\t101") + PAIR, "OFFSET 101 does not fit"),
    "position": (HEAD.replace("U104", "U10.4") + PAIR, "line 6: 'U10.4' in SEQPOS"),
    "no positions": (HEAD.replace("SEQPOS", "SEQPAS") + PAIR, "some RNA has no SEQPOS"),
    "nothing of ours": (
        HEAD.replace("2A3", "1M7") + PAIR.replace("DMS", "NMIA"),
        "no experiment with 2A3 or DMS",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_not_right_is_one_line(tmp_path: Path, kind: str) -> None:
    text, words = FILES[kind]
    with pytest.raises(DataError, match=rf"ABC_DMS_0001\.rdat: .*{words}"):
        ingest(tmp_path, text)
    assert not (tmp_path / "a.parquet").exists()


def test_sequences_alone(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">one\nGACU\nGACT\n>two words\nggg\n")
    (tmp_path / "b.fasta").write_text(">one\nGACUGACU\n")
    files = [tmp_path / "a.fasta", tmp_path / "b.fasta"]
    summary = ingest_fasta(files, tmp_path / "a.parquet")
    molecules = read_molecules(tmp_path / "a.parquet")
    assert molecules.ids == ("one", "two", "one")
    assert [molecules.sequence(i) for i in range(3)] == ["GACUGACU", "GGG", "GACUGACU"]
    assert molecules.dataset_names == ("a", "b")
    assert np.isnan(molecules.reactivity).all()
    assert "molecules    3, 2 different sequences" in summary.lines()
    assert "experiments  none: sequences only" in summary.lines()


def test_bad_sequences_are_named_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.fasta"
    path.write_text(">one\nGACU\n>two\nGAXU\n")
    with pytest.raises(DataError, match=r"a\.fasta: .*'two' has 'X' at position 3.*--skip-bad"):
        ingest_fasta([path], tmp_path / "a.parquet")
    summary = ingest_fasta([path], tmp_path / "a.parquet", on_bad_case="skip")
    assert read_molecules(tmp_path / "a.parquet").ids == ("one",)
    assert summary.bad == 1
    path.write_text(">two\nGAXU\n")
    with pytest.raises(DataError, match="no sequence is left"):
        ingest_fasta([path], tmp_path / "b.parquet", on_bad_case="skip")
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.fasta").write_text(">one\nGACU\n")
    for read in (ingest_fasta, ingest_rdat):
        with pytest.raises(DataError, match="same name"):
            read([path, other / "a.fasta"], tmp_path / "b.parquet")
