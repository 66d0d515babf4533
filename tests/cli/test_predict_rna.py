"""``understudy predict`` with runs of RNA: what a biologist types, and what is said when it cannot be."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers import Run
from reactivity import Local, random_sequence
from understudy.core import domain as domains
from understudy.rna.domain import RNA
from understudy.rna.pairing import available, pairing_of
from understudy.rna.predict import command
from understudy.rna.surrogate import ReactivitySurrogate
from understudy.rna.vienna import ENERGIES

needs_viennarna = pytest.mark.skipif(available() is not None, reason="ViennaRNA is not installed")
NETWORKS = {"one": Local(seed=1, scale=0.5), "two": Local(seed=2, scale=0.5)}
FASTA = "".join(f">s{k} made\n{random_sequence(30 + k, k)}\n" for k in range(9))


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs whose networks are stand-ins, one of another field, and a file with sequences."""
    for name in (*NETWORKS, "cae"):
        spec = {"domain": "cae" if name == "cae" else "rna"}
        (tmp_path / name / "bundle").mkdir(parents=True)
        (tmp_path / name / "bundle" / "bundle.json").write_text(json.dumps({"spec": spec}))
    installed = domains.domains()
    monkeypatch.setattr(domains, "domains", lambda: {**installed, "rna": RNA()})
    monkeypatch.setattr(command, "load", lambda run: ReactivitySurrogate(NETWORKS[Path(run).name]))
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    Path("x.fasta").write_text(FASTA)


def values(path: str | io.StringIO) -> Any:
    return pd.read_csv(path, sep="\t").iloc[:, 3:].to_numpy()


def test_a_table_from_a_fasta_file(run: Run) -> None:
    done = run("predict", "one", "x.fasta", "--out", "x.tsv", "--pairing", "none")
    assert done.status == 0, done.err
    assert "9 sequences, 306 nucleotides in x.tsv" in done.err
    frame = pd.read_csv("x.tsv", sep="\t")
    assert frame["sequence_id"].unique().tolist() == [f"s{k}" for k in range(9)]
    expected = np.concatenate(
        [Local(seed=1, scale=0.5)([random_sequence(30 + k, k)], None)[0] for k in range(9)]
    )
    np.testing.assert_allclose(frame["2A3"], np.clip(expected[:, 0], 0, 1), atol=5.1e-5)


def test_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(FASTA.encode()))))  # type: ignore[arg-type]
    assert run("predict", "one", "x.fasta", "--out", "x.tsv", "--pairing", "none").status == 0
    done = run("predict", "one", "-", "--pairing", "none")
    assert done.status == 0
    assert done.out == Path("x.tsv").read_text()


def test_runs_are_averaged_and_options_stand_anywhere(run: Run) -> None:
    for name, arguments in {
        "1": ["one", "x.fasta"],
        "2": ["two", "x.fasta"],
        "12": ["one", "two", "x.fasta"],
        "21": ["two", "--pairing", "none", "one", "x.fasta"],
    }.items():
        assert run("predict", *arguments, "--out", f"{name}.tsv", "--pairing", "none").status == 0
    mean = (values("1.tsv") + values("2.tsv")) / 2
    np.testing.assert_allclose(values("12.tsv"), mean, atol=1.1e-4)
    np.testing.assert_array_equal(values("12.tsv"), values("21.tsv"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["x.fasta", "--out", "x.tsv"], "a run was saved without intervals, by an earlier version"),
        (["x.fasta", "--shape", "shapes"], "--coverage adds columns to a table: give --out"),
        (["--kaggle", "t.csv", "--out", "s.csv"], "--coverage adds columns to a table"),
    ],
)
def test_intervals_that_cannot_be_given(run: Run, options: list[str], words: str) -> None:
    done = run("predict", "one", *options, "--coverage", "0.9", "--pairing", "none")
    assert (done.status, done.out) == (2, "")
    assert words in done.err


def test_memory_says_how_sequences_are_cut(run: Run) -> None:
    Path("long.fasta").write_text(f">a\n{random_sequence(2000, 0)}\n")
    done = run("predict", "one", "long.fasta", "--out", "x.tsv", "--pairing", "none", "--memory", "0.001")
    assert done.status == 0, done.err
    assert "2,000 nucleotides would take 3.8 MiB: predicted in 3 parts" in done.err


@needs_viennarna
def test_everything_at_once(run: Run) -> None:
    asked = ["--out", "x.parquet", "--shape", "shape", "--structure", "x.dbn", "--tta"]
    done = run("predict", "one", "x.fasta", *asked)
    assert done.status == 0, done.err
    assert NETWORKS["one"].with_pairs[-1]
    assert len(pd.read_parquet("x.parquet")) == 9
    assert len(list(Path("shape").iterdir())) == 9
    assert Path("x.dbn").read_text().count(">") == 9


@needs_viennarna
def test_the_mean_under_all_energies_of_viennarna(run: Run) -> None:
    done = run("predict", "one", "x.fasta", "--out", "x.tsv", "--pairing", "all")
    assert done.status == 0, done.err
    some = [random_sequence(30 + k, k) for k in range(9)]
    each = [
        np.concatenate(Local(seed=1, scale=0.5)(some, pairing_of(some, energies=name)))[:, :2]
        for name in ENERGIES
    ]
    np.testing.assert_allclose(values("x.tsv")[:, :2], np.clip(np.mean(each, axis=0), 0, 1), atol=1e-4)
    assert run("predict", "one", "x.fasta", "--out", "y.tsv").status == 0
    assert np.abs(values("x.tsv") - values("y.tsv")).max() > 1e-3


def test_without_viennarna_it_says_so_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "available", lambda: "ViennaRNA is not installed: install it")
    done = run("predict", "one", "x.fasta", "--out", "x.tsv")
    assert done.status == 0
    assert "predicting without base-pairing probabilities: ViennaRNA is not installed" in done.err
    assert not NETWORKS["one"].with_pairs[-1]


def test_structures_need_viennarna(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy.rna.predict import write

    monkeypatch.setattr(write, "available", lambda: "ViennaRNA is not installed: install it")
    done = run("predict", "one", "x.fasta", "--structure", "x.dbn", "--pairing", "none")
    assert (done.status, done.out) == (2, "")
    assert "ViennaRNA is not installed" in done.err


def test_tta_warns_where_the_network_knows_one_end_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NETWORKS["one"], "trained_with_flips", False, raising=False)
    done = run("predict", "one", "x.fasta", "--tta", "--out", "x.tsv", "--pairing", "none")
    assert done.status == 0
    assert "one end only" in done.err
    with_tta = values("x.tsv")
    done = run("predict", "one", "x.fasta", "--out", "x.tsv", "--pairing", "none")
    assert "one end only" not in done.err
    assert np.abs(values("x.tsv") - with_tta).max() > 0.01


def test_a_submission(run: Run) -> None:
    Path("test.csv").write_text("id_min,id_max,sequence_id,sequence,future\n0,3,a,ACGU,0\n4,5,b,GG,1\n")
    done = run("predict", "one", "two", "--kaggle", "test.csv", "--out", "s.csv", "--pairing", "none")
    assert done.status == 0, done.err
    frame = pd.read_csv("s.csv")
    assert list(frame.columns) == ["id", "reactivity_DMS_MaP", "reactivity_2A3_MaP"]
    assert frame["id"].tolist() == list(range(6))


BAD = {
    "letters": (">a\nACGU\n>b c\nACGNU\n", "sequence 'b' has 'N' at position 4"),
    "empty sequence": (">a\n>b\nACG\n", "'a' (line 1) is empty"),
    "twice": (">a\nACG\n>a\nACG\n", "the id 'a' stands twice"),
    "no column": ("id,seq\na,ACG\n", "no column `sequence`"),
    "no file": (None, "no such file"),
    "gzip": (gzip.compress(FASTA.encode() * 9)[:-20], "truncated or damaged"),
}


@pytest.mark.parametrize("what", list(BAD))
def test_bad_sources_are_one_line(run: Run, what: str) -> None:
    data, words = BAD[what]
    if data is not None:
        Path("bad").write_bytes(data if isinstance(data, bytes) else data.encode())
    done = run("predict", "one", "bad", "--out", "x.tsv", "--pairing", "none")
    assert done.status == 2
    assert done.out == ""
    (line,) = done.err.strip().splitlines()
    assert line.startswith("understudy: error: ")
    assert words in line
    assert not Path("x.tsv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one"], "the SOURCE"),
        (["one", "--kaggle", "x.fasta"], "needs --out"),
        (["one", "x.fasta", "--out", "x.txt"], "must end in .tsv"),
        (["one", "--kaggle", "x.fasta", "--out", "s.tsv"], "ends in .csv, .csv.gz or .parquet"),
        (["one", "x.fasta", "--skip-bad", "--out", "x.tsv"], "--skip-bad means nothing for a run of RNA"),
        (["cae", "x", "--tta", "--out", "x"], "--tta means nothing for a run of CAE"),
        (["cae", "x", "--pairing", "all", "--out", "x"], "--pairing means nothing for a run of CAE"),
        (["cae", "x"], "predict needs --out"),
        (["absent", "x.fasta"], "no such run or bundle"),
        (["one", "x.fasta", "--memory", "0"], "--memory 0"),
        (["one", "x.fasta", "--shape", "x.fasta"], "is a file; give a folder"),
    ],
)
def test_orders_that_cannot_be_carried_out(run: Run, arguments: list[str], words: str) -> None:
    done = run("predict", *arguments)
    assert done.status == 2, done.err
    assert words in done.err.strip().splitlines()[-1]
    assert done.out == ""
