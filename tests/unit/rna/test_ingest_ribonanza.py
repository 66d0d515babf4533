"""The competition's CSV: pairs wherever their rows stand, and every kind of bad row by its line."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_rows import POSITIONS, experiment, header, pair, write
from understudy.errors import DataError
from understudy.rna.ingest import kernel
from understudy.rna.ingest import rows as reading
from understudy.rna.ingest.cells import number
from understudy.rna.ingest.figure import draw_summary
from understudy.rna.ingest.ribonanza import ingest_ribonanza
from understudy.rna.ingest.summary import BINS, Summary
from understudy.rna.molecules import Molecules, read_molecules

Rows = list[list[str]]


def ingest(
    folder: Path, rows: Rows, *, skip: bool = False, positions: int = POSITIONS
) -> tuple[Molecules, Summary]:
    path = write(folder / "a.csv", rows, positions)
    out = folder / "a.parquet"
    summary = ingest_ribonanza([path], out, on_bad_case="skip" if skip else "error")
    return read_molecules(out), summary


def by_id(molecules: Molecules) -> dict[tuple[str, str], tuple[object, ...]]:
    """What is known of each molecule, in whatever order they stand."""
    found = {}
    for i, name in enumerate(molecules.ids):
        a, b = molecules.offsets[i], molecules.offsets[i + 1]
        found[name, molecules.dataset_names[molecules.dataset[i]]] = (
            molecules.sequence(i),
            molecules.reactivity[a:b].tobytes(),
            molecules.error[a:b].tobytes(),
            molecules.signal_to_noise[i].tobytes(),
            molecules.reads[i].tobytes(),
            molecules.sn_filter[i].tobytes(),
        )
    return found


@pytest.mark.parametrize("block", [1 << 9, 1 << 23])
def test_the_order_of_rows_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Nor does where blocks are cut, how lines end, and in how many files the rows stand."""
    rng = random.Random(1)
    rows = [
        r
        for i in range(40)
        for r in pair(
            f"m{i % 30}", "GACUUCAG"[: 3 + i % 30 % 6], dataset=f"lib{i // 30}", signal_to_noise=i / 7
        )
    ]
    rows[3][7 + 2] = "-1.5"
    straight, summary = ingest(tmp_path, rows)
    assert len(straight) == 40
    assert straight.ids == tuple(f"m{i % 30}" for i in range(40))
    assert summary.left_out == 0
    rng.shuffle(rows)
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    files = [
        write(tmp_path / "b.csv", rows[:33], end="\r\n"),
        write(tmp_path / "c.csv.gz", rows[33:]),
    ]
    ingest_ribonanza(files, tmp_path / "b.parquet")
    assert by_id(read_molecules(tmp_path / "b.parquet")) == by_id(straight)


def test_values_are_those_of_pandas(tmp_path: Path) -> None:
    molecules, summary = ingest(tmp_path, [*pair("a"), *pair("b", "ACGUU")])
    table = pd.read_csv(tmp_path / "a.csv").set_index(["sequence_id", "experiment_type"])
    for i, name in enumerate(molecules.ids):
        a, b = molecules.offsets[i], molecules.offsets[i + 1]
        for k, chemical in enumerate(("2A3_MaP", "DMS_MaP")):
            row = table.loc[name, chemical]
            for kind, values in (("reactivity", molecules.reactivity), ("reactivity_error", molecules.error)):
                expected = row[[f"{kind}_{p + 1:04d}" for p in range(b - a)]].to_numpy(np.float32)
                np.testing.assert_array_equal(values[a:b, k], expected)
    assert summary.stock is not None
    np.testing.assert_array_equal(summary.stock.measured, [[8, 8], [5, 5]])
    np.testing.assert_array_equal(summary.histogram.sum(axis=1), [13, 13])
    assert [molecules.sequence(i) for i in range(2)] == ["GACUGACU", "ACGUU"]
    assert molecules.dataset_names == ("lib",)
    assert molecules.scored.all()


@given(
    st.one_of(
        st.floats(-1e6, 1e6).map(lambda x: f"{x:.3f}"),
        st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
        st.integers(-(10**18), 10**18).map(str),
        st.from_regex(r"\A[+-]?[0-9]{0,20}\.[0-9]{1,20}([eE][+-]?[0-9]{1,2})?\Z"),
    )
)
@settings(deadline=None)
def test_numbers_are_those_of_python(text: str) -> None:
    data = np.frombuffer(f"x{text},".encode(), np.uint8)
    kind, value = number(data, 1, 1 + len(text))
    assert kind == 0
    with np.errstate(over="ignore"):
        expected = np.float32(float(text))
        assert np.float32(value) == pytest.approx(expected, rel=1.3e-7, abs=1e-45)


NOTHING = st.just([""] * 10)
ERROR = st.one_of(
    st.just([""]),
    st.floats(0, 12).map(lambda x: [f"{x:.3f}"]),
    st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{0,5})?\Z").map(lambda text: [text]),
    NOTHING,
)
REACTIVITY = st.one_of(ERROR, st.floats(-12, 0).map(lambda x: [f"{x:.3f}"]))


@given(
    st.lists(REACTIVITY, min_size=30, max_size=30),
    st.lists(ERROR, min_size=30, max_size=30),
    st.sampled_from(["0.48", "1.5e-1", "0.12:", "0.1 3", "0.1234", "-", "1.2.3", "12:000"]),
    st.integers(0, 300),
)
@settings(deadline=None)
def test_a_row_is_read_as_its_cells_are(reactivities: Rows, errors: Rows, odd: str, where: int) -> None:
    """Nearly all rows go a fast way of eight bytes at once; none may be read otherwise than cell by cell."""
    n = 30
    cells = [*[c for some in reactivities for c in some][:n], *[c for some in errors for c in some][:n]]
    if where < len(cells):
        cells[where] = odd
    names = header(n)
    columns = reading.read_columns(Path("a.csv"), ",".join(names).encode())
    line = ",".join(["m", "ACGUA" * (n // 5), "2A3_MaP", "lib", "200", "2.5", "1", *cells]) + "\n"
    block = np.frombuffer((line + line).encode(), np.uint8)
    rows, values = np.zeros(4, kernel.ROW), [np.full(200, 7, np.float32) for _ in range(2)]
    counts = np.zeros((2, BINS), np.int64)
    found, _, _ = kernel.parse(
        block, columns.where, columns.reactivities, columns.errors, reading.LETTERS,
        rows, np.empty(200, np.uint8), *values, counts,
    )  # fmt: skip
    assert found == 2
    each = [number(np.frombuffer(f"{c},".encode(), np.uint8), 0, len(c)) for c in cells]
    good = all(kind != 2 for kind, _ in each) and not any(value < 0 for _, value in each[n:])
    assert (rows["status"][:2] == kernel.GOOD).tolist() == [good, good]
    if good:
        expected = np.array([value for _, value in each], np.float32).reshape(2, n)
        for k in range(2):
            np.testing.assert_array_max_ulp(
                np.nan_to_num(values[k][: 2 * n], nan=-9), np.tile(np.nan_to_num(expected[k], nan=-9), 2), 1
            )
        assert counts.sum() == 2 * np.isfinite(expected[0]).sum()


@pytest.mark.parametrize("text", ["", " ", "NaN", "nan", "NA", "na", "null", '""', " nan "])
def test_what_says_that_nothing_is_there(text: str) -> None:
    data = np.frombuffer(f"x{text},".encode(), np.uint8)
    assert number(data, 1, 1 + len(text))[0] == 1


@given(st.text('0123456789+-.eE aNn"_', max_size=8))
@settings(deadline=None)
def test_what_is_no_number_is_told(text: str) -> None:
    data = np.frombuffer(f"x{text},".encode(), np.uint8)
    stripped = text.strip(" ")
    if len(stripped) > 1 and stripped[0] == stripped[-1] == '"':
        stripped = stripped[1:-1]
    try:
        float(stripped) if "_" not in stripped and stripped == stripped.strip() else float("x")
        expected = 1 if stripped.lower() == "nan" else 0
    except ValueError:
        expected = 1 if stripped.lower() in ("", "na") else 2
    if stripped.lower() in ("+nan", "-nan"):
        expected = 2
    exponent = stripped.lower().partition("e")[2].lstrip("+-")
    if expected == 0 and (len(exponent) > 2 or (len(exponent) == 2 and int(exponent) > 30)):
        return  # too large or too small for float32: either way is right
    assert number(data, 1, 1 + len(text))[0] == expected


def test_an_experiment_without_its_partner_is_kept(tmp_path: Path) -> None:
    molecules, summary = ingest(tmp_path, [*pair("a"), experiment("b", chemical="DMS"), experiment("c")])
    assert molecules.ids == ("a", "b", "c")
    np.testing.assert_array_equal(np.isnan(molecules.signal_to_noise), [[0, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(np.isnan(molecules.reactivity[8:16]).all(axis=0), [True, False])
    np.testing.assert_array_equal(molecules.scored, [True, False, False])
    assert "1 without 2A3, 1 without DMS" in "\n".join(summary.lines())


def test_rows_without_any_value_are_kept_and_counted(tmp_path: Path) -> None:
    nothing = {"reactivity": [""] * 8, "error": [""] * 8, "sn_filter": 0, "signal_to_noise": ""}
    molecules, summary = ingest(tmp_path, [*pair("a"), *pair("b", **nothing)])
    assert len(molecules) == 2
    assert np.isnan(molecules.reactivity[8:]).all()
    assert "nothing measured  2 experiments" in summary.lines()


def test_a_filter_that_is_not_its_definition_is_counted(tmp_path: Path) -> None:
    rows = [
        *pair("a", reads=100),  # not above
        *pair("b", reads=""),  # unknown: signal to noise alone decides
        *pair("c", signal_to_noise=1.0, sn_filter=0),
        *pair("d", signal_to_noise=0.5),
    ]
    summary = ingest(tmp_path, rows)[1]
    assert summary.filter_differs == 4
    assert any("4 experiments" in line for line in summary.lines())


def test_fewer_positions_than_nucleotides(tmp_path: Path) -> None:
    rows = [experiment("a", "GACUGACU", c, positions=5) for c in ("2A3", "DMS")]
    molecules, _ = ingest(tmp_path, rows, positions=5)
    assert not np.isnan(molecules.reactivity[:5]).any()
    assert np.isnan(molecules.reactivity[5:]).all()


def test_id_may_stand_for_sequence_id_and_columns_in_any_order(tmp_path: Path) -> None:
    straight, _ = ingest(tmp_path, [*pair("a"), *pair("b", "ACGUT")])
    table = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False).rename(
        columns={"sequence_id": "id"}
    )
    table.insert(3, "note", "x")
    table[sorted(table.columns, reverse=True)].to_csv(tmp_path / "b.csv", index=False)
    ingest_ribonanza([tmp_path / "b.csv"], tmp_path / "b.parquet")
    assert by_id(read_molecules(tmp_path / "b.parquet")) == by_id(straight)


Change = Callable[[list[str]], object]


def cell(name: str, text: str) -> Change:
    def change(row: list[str]) -> None:
        row[header().index(name)] = text

    return change


BAD: dict[str, tuple[Change, str]] = {
    "a column too few": (lambda row: row.pop(), "22 columns instead of 23"),
    "a column too many": (lambda row: row.append("1"), "24 columns instead of 23"),
    "letter": (cell("sequence", "GACNGACU"), "'N' at position 4"),
    "no sequence": (cell("sequence", ""), "the sequence is empty"),
    "text": (cell("reactivity_0003", "high"), "reactivity_0003 is 'high', which is no number"),
    "error in text": (cell("reactivity_error_0003", "0.1.2"), "reactivity_error_0003 is '0.1.2'"),
    "infinite": (cell("reactivity_0003", "inf"), "reactivity_0003 is 'inf'"),
    "beyond the assay": (cell("reactivity_0003", "-1000.5"), "'-1000.5', which the assay cannot give"),
    "huge error": (cell("reactivity_error_0003", "1e30"), "which the assay cannot give"),
    "negative error": (
        cell("reactivity_error_0008", "-0.1"),
        "reactivity_error_0008 is '-0.1', and an error",
    ),
    "beyond the sequence": (cell("sequence", "GACUGAC"), "reactivity_0008 is .*, but the sequence has 7"),
    "experiment": (cell("experiment_type", "1M7_MaP"), "'1M7_MaP'; known: 2A3_MaP and DMS_MaP"),
    "flag": (cell("SN_filter", "2"), "SN_filter is '2', which is neither 0 nor 1"),
    "no flag": (cell("SN_filter", ""), "SN_filter is '', which is neither 0 nor 1"),
    "no id": (cell("sequence_id", ""), "sequence_id is ''"),
    "no data set": (cell("dataset_name", "ü"), "dataset_name is 'ü'"),
    "reads": (cell("reads", "-3"), "reads is '-3'"),
    "signal to noise": (cell("signal_to_noise", "good"), "signal_to_noise is 'good'"),
    "other sequence": (cell("sequence", "GACUGACA"), "b has another sequence than in line 4"),
    "twice": (cell("experiment_type", "2A3_MaP"), "the 2A3 experiment on b in lib stands in line 4 already"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("block", [64, 1 << 23])
def test_a_bad_row_is_named_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, block: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    change, words = BAD[kind]
    rows = [*pair("a"), *pair("b"), *pair("c")]
    good, _ = ingest(tmp_path, rows)
    change(rows[3])
    with pytest.raises(DataError, match=rf"a\.csv: line 5: .*{words}.*--skip-bad"):
        ingest(tmp_path, rows)
    molecules, summary = ingest(tmp_path, rows, skip=True)
    assert molecules.ids == ("a", "b", "c")
    assert summary.left_out == 1
    assert len(summary.listed) == 1
    assert "line 5: " in summary.listed[0]
    np.testing.assert_array_equal(molecules.reactivity[:, 0], good.reactivity[:, 0])
    assert np.isnan(molecules.reactivity[8:16, 1]).all()
    np.testing.assert_array_equal(molecules.reactivity[16:], good.reactivity[16:])


def test_an_id_means_one_sequence_in_all_data_sets(tmp_path: Path) -> None:
    rows = [*pair("a"), *pair("a", "GACUGACA", dataset="other")]
    with pytest.raises(DataError, match="line 4: a has another sequence than in line 2"):
        ingest(tmp_path, rows)
    molecules, summary = ingest(tmp_path, rows, skip=True)
    assert len(molecules) == 1
    assert summary.other_sequence == 2


def test_many_bad_rows_are_counted_and_the_first_listed(tmp_path: Path) -> None:
    rows = [r for i in range(40) for r in pair(f"m{i}")]
    for row in rows[4:64]:
        row[1] = "XXX"
    molecules, summary = ingest(tmp_path, rows, skip=True)
    assert len(molecules) == 10
    assert summary.bad == 60
    assert len(summary.listed) == 20
    lines = "\n".join(summary.lines())
    assert "left out: 40 more" in lines
    assert "60 bad" in lines


def whole(path: Path) -> None:
    write(path, [r for i in range(300) for r in pair(f"m{i}")])


def no_header(path: Path) -> None:
    path.write_text("".join(",".join(row) + "\n" for row in pair("a")))


def without(*names: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write(path, pair("a"))
        pd.read_csv(path, dtype=str).drop(columns=list(names)).to_csv(path, index=False)

    return make


def cut_gzip(path: Path) -> None:
    rng = random.Random(0)
    rows = [r for i in range(200) for r in pair(f"m{rng.random()}", reactivity=[f"{rng.random():.3f}"] * 8)]
    write(path.with_suffix(".gz"), rows)
    path.write_bytes(path.with_suffix(".gz").read_bytes()[:-500])


def broken_gzip(path: Path) -> None:
    data = bytearray(gzip.compress(b"sequence_id,sequence\n" * 1000))
    data[30:40] = b"0123456789"
    path.write_bytes(bytes(data))


def cut_text(path: Path) -> None:
    whole(path)
    path.write_text(path.read_text()[:-30])


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_text(""), "the file is empty"),
    "only a header": (lambda path: write(path, []), "no row with data"),
    "no header": (no_header, "columns sequence_id, .* missing in line 1"),
    "one column": (without("signal_to_noise"), "column signal_to_noise missing in line 1"),
    "two columns": (without("reads", "SN_filter"), "columns reads, SN_filter missing in line 1"),
    "a position": (without("reactivity_0003"), "column reactivity_0003 missing in line 1"),
    "the last error": (
        without("reactivity_error_0008"),
        "8 columns of reactivity, but 7 of reactivity_error",
    ),
    "no errors": (
        without(*(f"reactivity_error_{p:04d}" for p in range(1, 9))),
        "column reactivity_error_0001 missing",
    ),
    "two of a name": (
        lambda path: path.write_text(",".join([*header(), "reads"]) + "\n"),
        "two columns are called 'reads'",
    ),
    "other delimiter": (
        lambda path: path.write_text(";".join(header()) + "\n"),
        "does not look like comma-separated",
    ),
    "cut gzip": (cut_gzip, "the gzip file is damaged or cut off"),
    "broken gzip": (broken_gzip, "the gzip file is damaged or cut off"),
    "cut text": (cut_text, "line 601: .* the file is cut off"),
    "a folder": (lambda path: path.mkdir(), "cannot be read"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_not_right_is_one_line(tmp_path: Path, kind: str) -> None:
    make, words = FILES[kind]
    path = tmp_path / "a.csv"
    make(path)
    out = tmp_path / "out" / "a.parquet"
    with pytest.raises(DataError, match=rf"a\.csv.*: .*{words}"):
        ingest_ribonanza([path], out)
    assert list(out.parent.iterdir()) == []  # nothing half-written


def test_progress_ends_where_it_should(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    whole(path)
    told: list[tuple[int, int]] = []
    ingest_ribonanza(
        [path], tmp_path / "a.parquet", on_progress=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert {total for _, total in told} == {1000}
    assert told[-1][0] <= 1000


@pytest.mark.parametrize(
    "rows", [[*pair("a"), *pair("b", "ACGU")], [experiment("a", reads="", signal_to_noise="")]]
)
def test_the_figure_is_drawn_whatever_is_missing(tmp_path: Path, rows: Rows) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(draw_summary(ingest(tmp_path, rows)[1], "$title"))
    assert path.read_bytes().startswith(b"\x89PNG")
