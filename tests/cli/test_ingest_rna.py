"""``understudy ingest ribonanza|rdat|fasta`` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import Done, Run
from kaggle_rows import pair, write
from understudy.rna.molecules import read_molecules


def assert_one_line(done: Done, *words: str) -> None:
    lines = [line for line in done.err.splitlines() if line.strip()]
    assert done.status == 2, done.err
    assert lines[-1].startswith("understudy: error: ")
    assert "Traceback" not in done.err
    assert done.out == ""
    for word in words:
        assert word in lines[-1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [r for i in range(20) for r in pair(f"m{i}", signal_to_noise=1 + i / 5)]
    return write(tmp_path / "train_data.csv.gz", rows)


def test_a_table_a_figure_and_a_file(run: Run, data: Path, tmp_path: Path) -> None:
    done = run("ingest", "ribonanza", str(data), "--out", "out/lib.parquet")
    assert done.status == 0, done.err
    lines = done.err.splitlines()
    table = [" ".join(line.split()) for line in lines]
    assert "molecules 20, 1 different sequences" in table
    assert "data sets lib 20" in table
    assert "left out nothing" in table
    assert "fingerprint" in lines[-1]
    assert len(read_molecules(tmp_path / "out" / "lib.parquet")) == 20
    assert (tmp_path / "out" / "lib.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("way", ["--skip-bad", "on_bad_case=skip"])
def test_bad_rows_stop_it_or_are_counted(run: Run, tmp_path: Path, way: str) -> None:
    rows = [*pair("a"), *pair("b")]
    rows[2][1] = "GACN"
    write(tmp_path / "a.csv", rows)
    assert_one_line(
        run("ingest", "ribonanza", "a.csv", "--out", "a.parquet"), "a.csv: line 4", "'N'", "--skip-bad"
    )
    assert not (tmp_path / "a.parquet").exists()
    done = run("ingest", "ribonanza", "a.csv", "--out", "a.parquet", way)
    assert done.status == 0, done.err
    assert "left out: a.csv: line 4: sequence has the letter 'N' at position 4" in done.err
    assert "left out          1 bad" in done.err


def test_several_files_are_one_table(run: Run, tmp_path: Path) -> None:
    rows = [r for i in range(3) for r in pair(f"m{i}")]
    write(tmp_path / "2A3.csv", rows[::2])
    write(tmp_path / "DMS.csv", rows[1::2])
    assert run("ingest", "ribonanza", "2A3.csv", "DMS.csv", "--out", "a.parquet").status == 0
    assert read_molecules(tmp_path / "a.parquet").scored.all()
    done = run("ingest", "ribonanza", "2A3.csv", "2A3.csv", "--out", "b.parquet")
    assert_one_line(done, "named twice")
    write(tmp_path / "again.csv", rows[::2])
    done = run("ingest", "ribonanza", "2A3.csv", "again.csv", "--out", "b.parquet")
    assert_one_line(done, "again.csv: line 2", "in line 2 of 2A3.csv already")


def test_sequences_and_rdat(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">one\nGACU\n")
    assert run("ingest", "fasta", "a.fasta", "--out", "a.parquet").status == 0
    assert_one_line(run("ingest", "rdat", "a.fasta", "--out", "b.parquet"), "a.fasta: not an RDAT file")
    (tmp_path / "a.rdat").write_text(
        "RDAT_VERSION 0.34\nNAME x\nSEQUENCE GACU\nOFFSET 0\nSEQPOS G1 A2 C3 U4\nANNOTATION modifier:DMS\n"
        "REACTIVITY:1 1 2 3 4\n"
    )
    done = run("ingest", "rdat", "a.rdat", "--out", "b.parquet")
    assert done.status == 0, done.err
    assert "unpaired          1 without 2A3" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ribonanza", "train_data.csv.gz", "--out", "a.csv"], ["--out a.csv", ".parquet"]),
        (["ribonanza", "--out", "a.parquet"], ["ribonanza", "name the file"]),
        (["ribonanza", "nowhere.csv", "--out", "a.parquet"], ["nowhere.csv: no such file"]),
        (["ribonanza", ".", "--out", "a.parquet"], ["folder"]),
        (
            ["ribonanza", "train_data.csv.gz", "dataset.x=1", "--out", "a.parquet"],
            ["dataset.x=1", "on_bad_case"],
        ),
        (["fasta", "bad.fasta", "--out", "a.parquet"], ["bad.fasta", "'X'", "position 2"]),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, data: Path, arguments: list[str], words: list[str]) -> None:
    Path("bad.fasta").write_text(">one\nGXCU\n")
    assert_one_line(run("ingest", *arguments), *words)
