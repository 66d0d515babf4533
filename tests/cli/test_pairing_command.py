"""``understudy pairing`` as a user meets it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from helpers import Run
from understudy.rna.pairing import available, pairing_of

needs_vienna = pytest.mark.skipif(available() is not None, reason=str(available()))
FASTA = ">a\nGGCACUUCGGUGCC\n>b\nGGCACTTCGGTGCC\n>c\nACGUACGUAAAACGUACG\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))


@needs_vienna
def test_computes_finds_and_exports(run: Run, tmp_path: Path) -> None:
    Path("a.fasta").write_text(FASTA)
    first = run("pairing", "a.fasta")
    assert (first.status, first.out) == (0, "")
    assert "3 sequences, 2 distinct: 2 computed, 0 found" in first.err
    assert str(tmp_path / "cache" / "pairing" / "viennarna-") in first.err
    again = run("pairing", "a.fasta", "--export", "pairs.parquet", "--jobs", "1")
    assert "0 computed, 2 found" in again.err
    table = pq.read_table("pairs.parquet")
    assert table["sequence_id"].to_pylist() == ["a", "b", "c"]
    assert table["sequence"].to_pylist()[1] == "GGCACTTCGGTGCC"
    pairs = pairing_of(table["sequence"].to_pylist(), jobs=1)
    for m, row in enumerate(table.to_pylist()):
        for name, values in zip("ijp", pairs.of(m), strict=True):
            np.testing.assert_array_equal(row[name], values)


@needs_vienna
def test_exports_in_several_steps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.rna.pairing.command._EXPORTED_AT_ONCE", 2)
    Path("a.fasta").write_text(FASTA)
    assert run("pairing", "a.fasta", "--cache", "mine", "--export", "pairs.parquet").status == 0
    table = pq.read_table("pairs.parquet")
    assert table["sequence_id"].to_pylist() == ["a", "b", "c"]
    assert table["i"][0] == table["i"][1]
    assert len(list(Path("mine").glob("*/*.parquet"))) == 1


@needs_vienna
def test_several_sources_and_a_damaged_part(run: Run) -> None:
    Path("a.fasta").write_text(FASTA)
    Path("b.csv").write_text("sequence_id,sequence\nx,GGGAAACCC\n")
    assert "4 sequences, 3 distinct: 3 computed" in run("pairing", "a.fasta", "b.csv", "--cache", "c").err
    (part,) = Path("c").glob("*/*.parquet")
    part.write_bytes(b"")
    done = run("pairing", "a.fasta", "b.csv", "--cache", "c")
    assert (done.status, "damaged part" in done.err, "3 computed" in done.err) == (0, True, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.fasta", "--jobs", "0"], "--jobs 0: at least 1"),
        (["a.fasta", "--export", "x.csv"], "must end in .parquet"),
        (["none.fasta"], "none.fasta"),
        (["bad.fasta"], "sequence 'z' has 'N' at position 3"),
    ],
    ids=["jobs", "export", "no file", "letter"],
)
def test_errors_are_one_line(run: Run, arguments: list[str], words: str) -> None:
    Path("a.fasta").write_text(FASTA)
    Path("bad.fasta").write_text(">z\nACNU\n")
    done = run("pairing", *arguments)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert done.err.startswith("understudy: error: ")
    assert words in done.err


def test_without_viennarna(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "RNA", None)
    Path("a.fasta").write_text(FASTA)
    done = run("pairing", "a.fasta")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "pip install 'understudy[rna]'" in done.err
