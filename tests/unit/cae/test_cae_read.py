"""Folders of case files become one table, whatever their layout, threads or packing."""

import gzip
import logging

import numpy as np
import pytest

from understudy.cae import one, sparse
from understudy.cae.header import split_label
from understudy.cae.read import ReadOptions, Roles, find_case_files, read_cases
from understudy.core.spec import Role
from understudy.errors import ConfigError, DataError

BY_COUNT = Roles(num_control=2, num_pred=3, num_target=1)
NAMES = ["Time", "rpm", "ChillerInT", "P", "ChillerInT", "Q_kW"]
UNITS = ["s", "1/min", "degC", "MPa", "degC", "kW"]


def text_of(names, units, time, values, *, form="%.9g", delimiter=",", newline="\n"):
    lines = [delimiter.join(names)] + ([delimiter.join(units)] if units else [])
    lines += [
        delimiter.join([f"{t:.12g}", *("" if np.isnan(v) else form % v for v in row)])
        for t, row in zip(time, values, strict=True)
    ]
    return newline.join(lines) + newline


def reference_case(path, length, seed=0, own=0.1, **kwargs):
    """A case in the reference's layout, with a name that stands twice; returns its values."""
    values = np.random.default_rng(seed).normal(size=(length, 5)) * [100, 10, 1, 1e-6, 1e7]
    path.write_text(text_of(NAMES, UNITS, own * np.arange(length), values, **kwargs), newline="")
    return values


def folder(tmp_path, lengths=(40, 25, 61, 30, 5000)):
    return [reference_case(tmp_path / f"case{i:02d}.csv", n, i) for i, n in enumerate(lengths)]


def test_cases_of_unequal_length_stand_in_the_order_of_their_names(tmp_path):
    values = folder(tmp_path)
    seen = []
    table, bad = read_cases(tmp_path, BY_COUNT, ReadOptions(), on_progress=lambda *p: seen.append(p))
    assert table.ids == tuple(f"case{i:02d}" for i in range(5))
    assert (bad, seen) == ([], [(i, 5) for i in range(1, 6)])
    assert list(table.lengths) == [40, 25, 61, 30, 5000]
    for case, expected in zip(table, values, strict=True):
        np.testing.assert_allclose(case.values, expected, rtol=1e-6)
    assert table[1].metadata == {"file": "case01.csv", "rows": 25, "raw_step": 0.1}
    assert table.spec.step == 0.1


def test_name_of_a_control_and_an_output_is_the_reference_s(tmp_path):
    (values,) = folder(tmp_path, [30])
    table, _ = read_cases(tmp_path, BY_COUNT, ReadOptions())
    assert [(s.name, s.unit, s.role) for s in table.spec.signals] == [
        ("rpm", "1/min", Role.CONTROL),
        ("ChillerInT_spec", "degC", Role.CONTROL),
        ("P", "MPa", Role.BYPRODUCT),
        ("ChillerInT", "degC", Role.BYPRODUCT),
        ("Q_kW", "kW", Role.TARGET),
    ]
    roles = Roles(controls=("ChillerInT",), targets=("ChillerInT", "P"))
    named, _ = read_cases(tmp_path, roles, ReadOptions())
    assert named.spec.names == ("ChillerInT_spec", "ChillerInT", "P")
    np.testing.assert_allclose(named.values, values[:, [1, 3, 2]], rtol=1e-6)
    only, _ = read_cases(tmp_path, Roles(targets=("ChillerInT",)), ReadOptions())
    assert only.spec.names == ("ChillerInT",)
    np.testing.assert_allclose(only.values, values[:, [3]], rtol=1e-6)


def test_other_repeats_are_numbered(tmp_path):
    names = ["t", "u", "u", "y", "y", "y_2", "y"]
    (tmp_path / "a.csv").write_text(text_of(names, None, range(3), np.arange(18.0).reshape(3, 6)))
    table, _ = read_cases(tmp_path, Roles(num_control=2, num_pred=4), ReadOptions())
    assert table.spec.names == ("u", "u_2", "y", "y_3", "y_2", "y_4")
    assert [s.role for s in table.spec.predicted] == [Role.TARGET] * 4


@pytest.mark.parametrize("step", [None, 0.5, 0.37])
def test_threads_packing_and_line_ends_change_no_byte(tmp_path, step):
    folder(tmp_path)
    options = [ReadOptions(step=step, jobs=jobs) for jobs in (1, 2, 5)]
    prints = {read_cases(tmp_path, BY_COUNT, o)[0].fingerprint for o in options}
    for file in find_case_files(tmp_path):
        text = file.read_bytes()
        file.unlink()
        (tmp_path / f"{file.stem}.CSV.gz").write_bytes(gzip.compress(text.replace(b"\n", b"\r\n")))
    prints.add(read_cases(tmp_path, BY_COUNT, options[0])[0].fingerprint)
    assert len(prints) == 1


# The same numbers in other clothes: a name, arguments of text_of, a change of its text.
DRESSES = [
    ("plain", {}, lambda t: t),
    ("windows", {"newline": "\r\n"}, lambda t: t),
    ("semicolon", {"delimiter": ";"}, lambda t: t),
    ("tab", {"delimiter": "\t"}, lambda t: t),
    ("exponents", {"form": "%.8e"}, lambda t: t),
    ("upper exponents", {"form": "%.8E"}, lambda t: t),
    ("no last line end", {}, lambda t: t.rstrip("\n")),
    ("old mac", {"newline": "\r"}, lambda t: t),
    ("blank lines", {}, lambda t: t.replace("\n", "\n\n") + "  \n\n"),
    ("quotes", {}, lambda t: t.replace("\n0.3,", '\n"0.3",')),
    ("spaces", {}, lambda t: t.replace(",", " , ")),
    ("trailing empty column", {}, lambda t: t.replace("\n", ",\n")),
    ("empty column in rows alone", {}, lambda t: t.replace("\n", ",,\n").replace("kW,,", "kW")),
    ("wide time stamps", {}, lambda t: t.replace("\n0.5,", "\n0.50000000000000000000000,")),
]


@pytest.mark.parametrize(("kind", "kwargs", "change"), DRESSES, ids=[d[0] for d in DRESSES])
@pytest.mark.parametrize("step", [None, 0.4])
def test_dress_of_the_numbers_does_not_matter(tmp_path, kind, kwargs, change, step):
    length = 41
    values = np.round(np.random.default_rng(0).normal(size=(length, 5)), 4)
    time = 0.1 * np.arange(length)
    plain = tmp_path / "x.csv"
    plain.write_text(text_of(NAMES, UNITS, time, values))
    expected, _ = read_cases(plain, BY_COUNT, ReadOptions(step=step))
    dressed = tmp_path / "dressed" / "x.csv"
    dressed.parent.mkdir()
    dressed.write_text(change(text_of(NAMES, UNITS, time, values, **kwargs)), newline="")
    table, _ = read_cases(dressed, BY_COUNT, ReadOptions(step=step))
    assert table.fingerprint == expected.fingerprint


@pytest.mark.parametrize("step", [0.3, 0.25, 1.0])
def test_reading_needed_rows_alone_gives_what_reading_all_gives(tmp_path, monkeypatch, step):
    folder(tmp_path, [200, 333])
    taken = []
    take = sparse.SparseRows.take
    monkeypatch.setattr(sparse.SparseRows, "take", lambda self, *a: taken.append(len(a[0])) or take(self, *a))
    some, _ = read_cases(tmp_path, BY_COUNT, ReadOptions(step=step))
    assert len(taken) == (2 if step > 0.25 else 0)  # 0.25 needs too many rows to be worth it
    monkeypatch.setattr(one, "open_sparse", lambda *_: None)
    every, _ = read_cases(tmp_path, BY_COUNT, ReadOptions(step=step))
    assert some.fingerprint == every.fingerprint
    assert (some.spec.step, some[0].metadata["raw_step"]) == (step, 0.1)


def test_scan_sees_across_its_chunks(tmp_path, monkeypatch):
    folder(tmp_path, [200])
    expected = read_cases(tmp_path, BY_COUNT, ReadOptions(step=1.0))[0].fingerprint
    for size in (8, 24, 1000):
        monkeypatch.setattr(sparse, "_CHUNK_BYTES", size)
        assert read_cases(tmp_path, BY_COUNT, ReadOptions(step=1.0))[0].fingerprint == expected


def test_grid_is_that_of_the_file_s_own_start(tmp_path):
    time = 5.05 + 0.1 * np.arange(100)
    (tmp_path / "a.csv").write_text(text_of(["t [min]", "y"], None, time / 60, (3 * time)[:, None]))
    table, _ = read_cases(tmp_path, Roles(targets=("y",)), ReadOptions(step=1.0))
    assert table[0].start == pytest.approx(5.05)
    np.testing.assert_allclose(table.values[:, 0], 3 * (5.05 + np.arange(10)), rtol=1e-5)


def test_drives_with_units_in_brackets_and_columns_that_come_and_go(tmp_path):
    """As one public set of car measurements: semicolons, Latin-1, Windows line ends, a broken bracket."""
    head = "Time [s];Speed [km/h];Brake Signal ;Temp [°C];max. SoC [%);{}Heater [W]"
    for i, extra in enumerate(["Coolant [°C];", "", "Coolant [°C];"]):
        rows = [f"{0.1 * k:.12g};{k};0;{20 + k / 4};{90 - k};{'7;' if extra else ''}{i}" for k in range(21)]
        text = "\r\n".join([head.format(extra), *rows, ""])
        (tmp_path / f"Trip{i}.csv").write_bytes(text.encode("latin-1"))
    roles = Roles(controls=("Speed", "Brake Signal"), byproducts=("Temp",), targets=("max. SoC", "Heater"))
    table, _ = read_cases(tmp_path, roles, ReadOptions(step=1.0))
    labels = ["Speed [km/h]", "Brake Signal", "Temp [°C]", "max. SoC [%]", "Heater [W]"]
    assert [s.label for s in table.spec.signals] == labels
    np.testing.assert_array_equal(
        table[1].values, [[0, 0, 20, 90, 1], [10, 0, 22.5, 80, 1], [20, 0, 25, 70, 1]]
    )
    wider = Roles(controls=("Speed", "Coolant"), targets=("Heater",))
    with pytest.raises(DataError, match=r"Trip1\.csv: no column 'Coolant'.*which Trip0\.csv has"):
        read_cases(tmp_path, wider, ReadOptions())
    table, bad = read_cases(tmp_path, wider, ReadOptions(on_bad_case="skip"))
    assert (table.ids, [b.path.name for b in bad]) == (("Trip0", "Trip2"), ["Trip1.csv"])
    assert "Coolant" in bad[0].reason
    assert "on_bad_case" not in bad[0].reason


@pytest.mark.parametrize(
    ("second", "unit"),
    [("s,kW", "kW"), ("s,1", "1"), (",-", "-"), ("s,", ""), (",", ""), ("s, % ", "%"), ("-,1/min", "1/min")],
)
def test_second_line_of_words_is_units(tmp_path, second, unit):
    (tmp_path / "a.csv").write_text(f"t,y\n{second}\n0,5\n1,6\n")
    table, _ = read_cases(tmp_path, Roles(targets=("y",)), ReadOptions())
    assert (table.spec.signals[0].unit, len(table.values)) == (unit, 2)


@pytest.mark.parametrize("second", ["1,1", "0,", "0,nan", "0,3e-5"])
def test_second_line_of_numbers_is_data(tmp_path, second):
    (tmp_path / "a.csv").write_text(f"t,y\n{second}\n2,6\n")
    table, _ = read_cases(tmp_path, Roles(targets=("y",)), ReadOptions())
    assert len(table.values) == 2


def test_empty_cells_of_predicted_columns_are_not_measured(tmp_path):
    (tmp_path / "a.csv").write_text("t,u,y\ns,-,K\n0,1,\n1,2,5\n2,3, \n3,4,NaN\n")
    table, _ = read_cases(tmp_path, Roles(num_control=1, num_pred=1), ReadOptions())
    np.testing.assert_array_equal(table.values, np.float32([[1, np.nan], [2, 5], [3, np.nan], [4, np.nan]]))


def test_time_may_be_any_column(tmp_path):
    (tmp_path / "a.csv").write_text("u,clock,y\n-,ms,K\n1,0,10\n2,100,20\n3,200,30\n")
    for roles in (Roles(num_control=1, num_pred=1, time="clock"), Roles(("u",), (), ("y",), time="clock")):
        table, _ = read_cases(tmp_path, roles, ReadOptions())
        assert (table.spec.step, table.spec.names) == (0.1, ("u", "y"))
        coarse, _ = read_cases(tmp_path, roles, ReadOptions(step=0.2))
        np.testing.assert_array_equal(coarse.values, [[1, 10], [3, 30]])


def test_text_in_a_column_that_is_not_wanted_does_no_harm(tmp_path):
    rows = "".join(f"{k},{k},ok\n" for k in range(10))
    (tmp_path / "a.csv").write_text("t,y,remark\n" + rows)
    for step in (None, 3.0):
        table, _ = read_cases(tmp_path, Roles(targets=("y",)), ReadOptions(step=step))
        assert table.values[-1, 0] == 9


def test_step_that_is_not_coarser_is_said_once_and_changes_nothing(tmp_path, caplog):
    for i in range(3):
        reference_case(tmp_path / f"{i}.csv", 20, i, own=4.0)
    plain, _ = read_cases(tmp_path, BY_COUNT, ReadOptions())
    with caplog.at_level(logging.WARNING, "understudy.cae.read"):
        table, _ = read_cases(tmp_path, BY_COUNT, ReadOptions(step=1.0))
    assert [r.message for r in caplog.records] == [
        "decimate_range 1 s has no effect: the cases are sampled every 4 s"
    ]
    assert table.fingerprint == plain.fingerprint
    caplog.clear()
    assert read_cases(tmp_path, BY_COUNT, ReadOptions(step=4.0))[0].fingerprint == plain.fingerprint
    assert not caplog.records


def test_cases_of_several_steps_meet_on_one_grid(tmp_path):
    for name, own in (("a.csv", 0.1), ("b.csv", 0.25)):
        time = own * np.arange(101)
        (tmp_path / name).write_text(text_of(["t", "y"], None, time, (2 * time)[:, None]))
    roles = Roles(targets=("y",))
    table, _ = read_cases(tmp_path, roles, ReadOptions(step=1.0))
    np.testing.assert_allclose(table[0].values[:, 0], 2 * np.arange(11), rtol=1e-6)
    np.testing.assert_allclose(table[1].values[:, 0], 2 * np.arange(26), rtol=1e-6)
    with pytest.raises(
        DataError, match=r"b\.csv: sampled every 0\.25 s, but a\.csv every 0\.1 s.*use_decimate"
    ):
        read_cases(tmp_path, roles, ReadOptions())


def test_uneven_times_become_even_when_a_grid_is_asked_for(tmp_path):
    time = np.array([0.0, 0.1, 0.2, 0.35, 0.4, 0.5, 0.6])
    (tmp_path / "a.csv").write_text(text_of(["t", "y"], None, time, (2 * time)[:, None]))
    with pytest.raises(DataError, match=r"a\.csv.*irregular.*settings\.use_decimate=true.*0\.1 or more"):
        read_cases(tmp_path, Roles(targets=("y",)), ReadOptions())
    with pytest.raises(DataError, match=r"irregular.*decimate_range 0\.05 s is finer"):
        read_cases(tmp_path, Roles(targets=("y",)), ReadOptions(step=0.05))
    table, _ = read_cases(tmp_path, Roles(targets=("y",)), ReadOptions(step=0.1))
    np.testing.assert_allclose(table.values[:, 0], 0.2 * np.arange(7), rtol=1e-6, atol=1e-9)


def test_lowpass_reaches_the_values(tmp_path):
    time = 0.1 * np.arange(600)
    values = np.stack([np.sin(2 * np.pi * 0.95 * time), np.ones(600)], 1)
    (tmp_path / "a.csv").write_text(text_of(["t", "u", "y"], None, time, values))
    roles = Roles(num_control=1, num_pred=1)
    plain, _ = read_cases(tmp_path, roles, ReadOptions(step=1.0))
    smooth, _ = read_cases(tmp_path, roles, ReadOptions(step=1.0, lowpass=0.3))
    assert np.abs(plain.values[10:-10, 0]).max() > 0.5
    assert np.abs(smooth.values[10:-10, 0]).max() < 0.02
    np.testing.assert_allclose(smooth.values[:, 1], 1, atol=1e-5)


def test_find_takes_case_files_only(tmp_path):
    for name in ("b.csv", "A.CSV", "c.csv.gz", "notes.txt", ".b.1234.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "sub.csv").mkdir()
    assert [p.name for p in find_case_files(tmp_path)] == ["A.CSV", "b.csv", "c.csv.gz"]
    assert find_case_files(tmp_path / "b.csv") == [tmp_path / "b.csv"]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (Roles(), "either by name"),
        (Roles(targets=("y",), num_pred=1), "either by name"),
        (Roles(num_control=1), "set both"),
        (Roles(num_control=-1, num_pred=1), "0 or more"),
        (Roles(num_control=1, num_pred=0), "1 or more"),
        (Roles(num_control=1, num_pred=2, num_target=3), "between 0 and dataset.num_pred = 2"),
        (Roles(controls=("u",)), "dataset.targets"),
        (Roles(targets=("y", "y")), "'y' is named twice"),
    ],
)
def test_roles_that_cannot_be_are_refused(tmp_path, roles, message):
    with pytest.raises(ConfigError, match=message):
        read_cases(tmp_path, roles, ReadOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(step=0.0), "settings.decimate_range must be a positive"),
        (ReadOptions(step=float("nan")), "settings.decimate_range must be a positive"),
        (ReadOptions(lowpass=0.1), "settings.use_decimate"),
        (ReadOptions(delimiter="::"), "dataset.delimiter"),
        (ReadOptions(on_bad_case="ignore"), "dataset.on_bad_case must be error or skip, not 'ignore'"),
        (ReadOptions(jobs=0), "threads"),
        (ReadOptions(encoding="utf-9"), "dataset.encoding: 'utf-9'"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, message):
    folder(tmp_path, [5])
    with pytest.raises(ConfigError, match=message):
        read_cases(tmp_path, BY_COUNT, options)


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "a.csv").write_bytes("clock,y\n0,1\n1,2\n".encode("utf-8-sig"))
    for encoding in (None, "utf-8", "utf-8-sig"):
        options = ReadOptions(encoding=encoding)
        table, _ = read_cases(tmp_path, Roles(targets=("y",), time="clock"), options)
        np.testing.assert_array_equal(table.values, [[1], [2]])


@pytest.mark.parametrize(
    ("label", "name", "unit"),
    [
        ("Soc [%]", "Soc", "%"),
        ("max. SoC [%)", "max. SoC", "%"),
        (" P in[MPa] ", "P in", "MPa"),
        ("ratio [1]", "ratio", "1"),
        ("x[3]", "x[3]", ""),
        ("[s]", "[s]", ""),
        ("a [b] [c]", "a [b]", "c"),
        ("free (K)", "free (K)", ""),
    ],
)
def test_label_is_name_and_unit(label, name, unit):
    assert split_label(label) == (name, unit)
