"""What is in the files is what was predicted, in the order of the source, whole or not there."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactivity import Floats, Local, neighbours, random_sequence
from understudy.errors import ConfigError, DataError
from understudy.rna.pairing import available, pairing_of
from understudy.rna.predict import write
from understudy.rna.predict.command import Order
from understudy.rna.predict.ensemble import Ensemble
from understudy.rna.predict.kaggle import TestSequences, _rows, submission
from understudy.rna.predict.pipeline import Block, predict_blocks
from understudy.rna.surrogate import ReactivitySurrogate
from understudy.rna.vienna import ENERGIES

RECORDS = [(f"seq|{k}", random_sequence(20 + (k * 7) % 40, k)) for k in range(60)]
needs_viennarna = pytest.mark.skipif(available() is not None, reason="ViennaRNA is not installed")


def expected_of(records: Sequence[tuple[str, str]]) -> list[Floats]:
    ys = [Local(scale=1.5)([sequence], None)[0] for _, sequence in records]
    for y in ys:
        np.clip(y[:, :2], 0, 1, out=y[:, :2])
    return ys


def blocks(records: Sequence[tuple[str, str]] = RECORDS, size: int = 300) -> Iterator[Block]:
    return predict_blocks(records, Ensemble([Local(scale=1.5)]), size=size)


def write_all(target: object, records: Sequence[tuple[str, str]] = RECORDS) -> None:
    with target as write_block:  # type: ignore[attr-defined]
        for block in blocks(records):
            write_block(block)


def check_frame(
    frame: pd.DataFrame, records: Sequence[tuple[str, str]] = RECORDS, atol: float = 5.1e-5
) -> None:
    expected = np.concatenate(expected_of(records))
    assert list(frame.columns) == [
        "sequence_id",
        "position",
        "nucleotide",
        "2A3",
        "DMS",
        "error_2A3",
        "error_DMS",
    ]
    assert frame["sequence_id"].tolist() == [name for name, s in records for _ in s]
    assert frame["position"].tolist() == [k for _, s in records for k in range(1, len(s) + 1)]
    assert "".join(frame["nucleotide"]) == "".join(s for _, s in records)
    np.testing.assert_allclose(frame.iloc[:, 3:].to_numpy(float), expected, atol=atol)


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz", "x.csv", "x.csv.gz"])
def test_tables(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_all(write.table(path))
    frame = pd.read_csv(path, sep="\t" if "tsv" in name else ",")
    check_frame(frame)
    packed = path.read_bytes()[:2] == b"\x1f\x8b"
    assert packed == name.endswith("gz")
    assert packed or b'"' not in path.read_bytes()  # no quotes where no id needs them


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_ids_that_need_quotes(tmp_path: Path, ending: str) -> None:
    records = [('a "b", c', "ACGU"), ("plain", "GG"), ("it's, so", "CCC"), ("ä µ", "U")]
    write_all(write.table(tmp_path / f"x.{ending}"), records)
    check_frame(pd.read_csv(tmp_path / f"x.{ending}", sep=None, engine="python"), records)


def test_parquet_has_a_row_a_molecule(tmp_path: Path) -> None:
    write_all(write.table(tmp_path / "x.parquet"))
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["sequence_id", "sequence", "2A3", "DMS", "error_2A3", "error_DMS"]
    assert list(zip(table["sequence_id"].to_pylist(), table["sequence"].to_pylist(), strict=True)) == RECORDS
    for m, y in enumerate(expected_of(RECORDS)):
        for column, name in enumerate(table.column_names[2:]):
            np.testing.assert_allclose(table[name][m].as_py(), y[:, column], atol=1e-6)


def test_no_error_predicted_is_an_empty_cell(tmp_path: Path) -> None:
    class Without(Local):
        def _one(self, *arguments: object) -> Floats:
            y = super()._one(*arguments)  # type: ignore[arg-type]
            y[:, 2:] = np.nan
            return y

    with write.table(tmp_path / "x.tsv") as write_block:
        for block in predict_blocks([("a", "ACG")], Ensemble([Without()])):
            write_block(block)
    assert [line.split("\t")[5:] for line in (tmp_path / "x.tsv").read_text().splitlines()[1:]] == [
        ["", ""]
    ] * 3


@needs_viennarna
def test_shape_files_and_structures(tmp_path: Path) -> None:
    records = [("plain", "GGGGAAAACCCC"), ("a/../b", "GGGGAAAACCCCAUUUU"), ("." * 300, "ACGU"), (".", "AC")]
    write_all(write.shape_files(tmp_path / "shape"), records)
    write_all(write.structures(tmp_path / "x.dbn"), records)
    files = {p.name: p for p in (tmp_path / "shape").iterdir()}
    assert len(files) == 4
    assert {"plain.shape", "a%2F..%2Fb.shape", "%2E.shape"} < set(files)
    values = expected_of(records)[0][:, 0]
    rows = [line.split() for line in files["plain.shape"].read_text().splitlines()]
    assert [row[:2] for row in rows] == [[str(k), s] for k, s in enumerate("GGGGAAAACCCC", 1)]
    given_to_rnafold = np.array([float(row[2]) for row in rows])
    assert np.corrcoef(given_to_rnafold, values)[0, 1] > 0.999  # another normalisation, the same profile
    lines = (tmp_path / "x.dbn").read_text().splitlines()
    assert lines[0::3] == [f">{name}" for name, _ in records]
    assert lines[1::3] == [sequence for _, sequence in records]
    assert [len(line.split()[0]) for line in lines[2::3]] == [len(sequence) for _, sequence in records]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    for name in ("x.tsv", "x.csv.gz", "x.parquet"):
        (tmp_path / name).write_text("before")
        with pytest.raises(DataError, match="has 'N' at position 2"):
            write_all(write.table(tmp_path / name), [*RECORDS, ("bad", "ANA")])
        assert (tmp_path / name).read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 3


# the submission


def made_test(path: Path, records: Sequence[tuple[str, str]] = RECORDS, first: int = 0) -> Path:
    lines = ["id_min,id_max,sequence_id,sequence,future"]
    for name, sequence in records:
        lines.append(f"{first},{first + len(sequence) - 1},{name},{sequence},0")
        first += len(sequence)
    path.write_text("\n".join(lines) + "\n")
    return path


def submit(tmp_path: Path, out: str, test: Path, size: int = 300) -> Path:
    sequences = TestSequences(test)
    with submission(tmp_path / out, sequences) as write_block:
        for block in predict_blocks(sequences, Ensemble([Local(scale=1.5)]), size=size):
            write_block(block)
    return tmp_path / out


def read_submission(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


@pytest.mark.parametrize("out", ["s.csv", "s.csv.gz", "s.parquet"])
@pytest.mark.parametrize("first", [0, 9_990])
def test_submission(tmp_path: Path, out: str, first: int) -> None:
    path = submit(tmp_path, out, made_test(tmp_path / "test.csv", first=first))
    frame = read_submission(path)
    expected = np.concatenate(expected_of(RECORDS))
    assert list(frame.columns) == ["id", "reactivity_DMS_MaP", "reactivity_2A3_MaP"]
    np.testing.assert_array_equal(frame["id"], np.arange(first, first + len(expected)))
    np.testing.assert_allclose(frame["reactivity_2A3_MaP"], expected[:, 0], atol=5.1e-5)
    np.testing.assert_allclose(frame["reactivity_DMS_MaP"], expected[:, 1], atol=5.1e-5)
    assert np.abs(expected[:, 0] - expected[:, 1]).mean() > 0.05  # so that swapped chemicals would be seen
    assert frame.iloc[:, 1:].min().min() >= 0
    assert frame.iloc[:, 1:].max().max() == 1


def test_the_figure_of_the_file_is_the_figure(tmp_path: Path) -> None:
    """The official error, computed from the file as a competitor would, and from the predictions directly."""
    records = [(f"s{k}", random_sequence(177, k)) for k in range(150)]
    test = made_test(tmp_path / "test.csv", records)
    predicted = np.concatenate(expected_of(records))[:, :2].astype(np.float64)
    rng = np.random.default_rng(0)
    truth = predicted + rng.normal(0, 0.3, predicted.shape)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    counts = ~np.isnan(truth).any(axis=1)
    clipped = np.clip(truth[counts], 0, 1)
    direct = np.abs(clipped - predicted[counts]).mean()
    for out in ("s.csv", "s.parquet"):
        frame = read_submission(submit(tmp_path, out, test)).set_index("id").to_numpy(np.float64)
        assert abs(np.abs(clipped[:, [1, 0]] - frame[counts]).mean() - direct) < 1e-6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**12), st.integers(1, 40), st.integers(0, 10_000))
def test_rows_are_what_python_writes(first: int, n: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 10_001, (n, 4)).astype(np.float32) / np.float32(10_000)
    lines = [f"{first + k},{values[k, 1]:.4f},{values[k, 0]:.4f}\n" for k in range(n)]
    assert _rows(first, values).decode() == "".join(lines)


def test_blocks_of_any_size_give_the_same_file(tmp_path: Path) -> None:
    test = made_test(tmp_path / "test.csv")
    files = [submit(tmp_path, f"{size}.csv", test, size).read_bytes() for size in (1, 200, 10**6)]
    assert files[0] == files[1] == files[2]
    packed = submit(tmp_path, "x.csv.gz", test)
    assert gzip.decompress(packed.read_bytes()) == files[0]
    assert packed.read_bytes()[4:8] == bytes(4)  # no date: the same again is the same file


BAD_TESTS = {
    "gap": ("0,3,a,ACGU\n5,6,b,GG\n", "line 3 (b): id_min 5 leaves a gap: the row before ends at 3"),
    "overlap": ("0,3,a,ACGU\n3,4,b,GG\n", "line 3 (b): id_min 3 overlaps: the row before ends at 3"),
    "longer": ("0,3,a,ACGU\n4,6,b,GG\n", "line 3 (b): ids 4 to 6 are 3 nucleotides; the sequence has 2"),
    "shorter": ("0,3,a,ACGU\n4,4,b,GG\n", "line 3 (b): ids 4 to 4 are 1 nucleotides; the sequence has 2"),
    "no number": ("0,3,a,ACGU\n4,x,b,GG\n", "line 3 (b): id_min '4' and id_max 'x' must be whole numbers"),
    "below zero": ("-4,-1,a,ACGU\n", "line 2 (a): id_min '-4'"),
    "twice": ("0,3,a,ACGU\n4,5,a,GG\n", "the id 'a' stands twice"),
    "letter": ("0,3,a,ACGX\n", "'a' has 'X' at position 4"),
    "empty": ("", "holds no sequences"),
}


@pytest.mark.parametrize("what", list(BAD_TESTS))
def test_bad_test_files(tmp_path: Path, what: str) -> None:
    rows, words = BAD_TESTS[what]
    (tmp_path / "test.csv").write_text("id_min,id_max,sequence_id,sequence\n" + rows)
    with pytest.raises(DataError) as error:
        submit(tmp_path, "s.csv", tmp_path / "test.csv")
    assert words in str(error.value)
    assert not (tmp_path / "s.csv").exists()


def test_a_test_file_without_ranges(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("sequence_id,sequence\na,ACG\n")
    with pytest.raises(DataError, match="no column `id_min`"):
        submit(tmp_path, "s.csv", tmp_path / "test.csv")


# orders


@pytest.mark.parametrize(
    ("paths", "options", "words"),
    [
        (["RUN"], {}, "the SOURCE"),
        (["RUN"], {"kaggle": "t.csv"}, "needs --out"),
        (["RUN", "x.fasta"], {"memory": 0.0}, "--memory 0"),
        (["RUN", "x.fasta"], {"memory": float("nan")}, "--memory nan"),
    ],
)
def test_orders_that_make_no_sense(paths: list[str], options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Order.of(paths, options)


@pytest.mark.skipif(available() is not None, reason="ViennaRNA is not installed")
def test_the_surrogate_under_all_energies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path))
    surrogate, some = ReactivitySurrogate(Local(), "ribo"), dict(RECORDS[:4])
    each = [
        np.concatenate(surrogate.predict([*some.values()], pairing_of([*some.values()], energies=name)))
        for name in ENERGIES
    ]
    expected = np.mean(each, axis=0)
    assert np.abs(expected - each[0]).max() > 1e-3
    np.testing.assert_allclose(
        np.concatenate(surrogate.predict([*some.values()], pairing="all")), expected, atol=1e-6
    )
    table = surrogate.table(some, pairing="all")
    np.testing.assert_allclose(table[["2A3", "DMS"]], expected[:, :2], atol=1e-6)


def test_orders() -> None:
    assert Order.of(["A", "B", "x.fasta"], {}) == Order(("A", "B"), "x.fasta", "-")
    assert Order.of(["A", "x"], {"shape": "S"}) == Order(("A",), "x", None, shape="S")
    kaggle = Order.of(["A", "B"], {"kaggle": "t.csv", "out": "s.csv", "memory": 0.5})
    assert kaggle == Order(("A", "B"), None, "s.csv", kaggle="t.csv", memory=2**29)


def test_the_surrogate_gives_what_the_files_say(tmp_path: Path) -> None:
    surrogate = ReactivitySurrogate(Local(scale=1.5), "ribo")
    expected = expected_of(RECORDS)
    ys = surrogate.predict([s.lower().replace("u", "t") for _, s in RECORDS], pairing=False)
    for y, e in zip(ys, expected, strict=True):
        np.testing.assert_allclose(y, e, atol=1e-6)
    np.testing.assert_array_equal(surrogate.predict(RECORDS[0][1], pairing=False), ys[0])
    assert surrogate.predict([]) == []
    check_frame(surrogate.table(dict(RECORDS), pairing=False), atol=1e-6)
    assert repr(surrogate) == "ReactivitySurrogate(ribo: a sequence of ACGU → 2A3, DMS, error_2A3, error_DMS)"
    pairs = neighbours([len(s) for _, s in RECORDS])
    paired = surrogate.predict([s for _, s in RECORDS], pairs)
    np.testing.assert_allclose(
        paired[3], np.clip(Local(scale=1.5)([RECORDS[3][1]], pairs.take([3]))[0], 0, [1, 1, 9, 9])
    )
    assert np.abs(paired[3] - ys[3]).max() > 0.01
    np.testing.assert_array_equal(surrogate.predict([s for _, s in RECORDS], pairs, pairing=False)[3], ys[3])
    with pytest.raises(DataError, match="pairs of 60 sequences for 1"):
        surrogate.predict("ACG", pairs)
    with pytest.raises(DataError, match="'sequence 2' has 'N' at position 1"):
        surrogate.predict(["ACG", "N"])
    with pytest.raises(DataError, match="no sequences"):
        surrogate.table({})
