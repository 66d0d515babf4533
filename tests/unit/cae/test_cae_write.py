"""What is written is what is read."""

import gzip
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.cae.read import ReadOptions, Roles, read_cases, read_like
from understudy.cae.write import write_case_csv
from understudy.core.spec import DataSpec, Role, Signal
from understudy.errors import DataError

UNITS = ["", "-", "1", "°C", "degC", "kW", "m/s^2", "%", "1/min"]
ROLES = [Role.CONTROL, Role.BYPRODUCT, Role.TARGET]
NAMES = st.text(st.sampled_from("abXY_. 01µé"), min_size=1, max_size=8).map(str.strip)


@st.composite
def specs(draw):
    names = draw(st.lists(NAMES.filter(lambda n: n and not n.isdigit()), min_size=1, max_size=6, unique=True))
    counts = sorted(draw(st.lists(st.sampled_from([0, 1, 2]), min_size=len(names), max_size=len(names))))
    if counts[-1] == 0:
        counts[-1] = 2
    signals = tuple(
        Signal(n, draw(st.sampled_from(UNITS)), ROLES[c]) for n, c in zip(names, counts, strict=True)
    )
    return DataSpec(signals, step=draw(st.sampled_from([0.1, 0.5, 1.0, 4.0, 60.0])))


def roles_of(spec):
    def named(role):
        return tuple(s.name for s in spec.signals if s.role is role)

    return Roles(controls=named(Role.CONTROL), byproducts=named(Role.BYPRODUCT), targets=named(Role.TARGET))


def values_for(spec, length, seed):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-20, 20, (length, len(spec.signals)))
    values = (rng.normal(size=scale.shape) * scale).astype(np.float32)
    values[rng.random(scale.shape) < 0.1] = 0
    missing = rng.random(scale.shape) < 0.1
    missing[:, : len(spec.controls)] = False
    values[missing] = np.nan
    return values


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs(), length=st.integers(2, 40), seed=st.integers(0, 999), start=st.sampled_from([0.0, 7.5]))
def test_units_row_round_trip_is_exact_with_nine_digits(tmp_path, spec, length, seed, start):
    path = tmp_path / "a.csv"
    values = values_for(spec, length, seed)
    write_case_csv(path, spec, values, start, digits=9)
    table, bad = read_cases(path, roles_of(spec), ReadOptions())
    assert (table.spec, bad, table[0].start) == (spec, [], start)
    np.testing.assert_array_equal(table[0].values, values)
    same, _ = read_like(path, spec, ReadOptions())
    assert same.fingerprint == table.fingerprint


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spec=specs(),
    length=st.integers(2, 40),
    seed=st.integers(0, 999),
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n"]),
    tail=st.booleans(),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-8-sig", "utf-16"]),
)
def test_bracket_header_round_trip(tmp_path, spec, length, seed, delimiter, newline, tail, encoding):
    values = values_for(spec, length, seed)
    end = (delimiter if tail else "") + newline
    rows = [
        delimiter.join([f"{k * spec.step:.12g}", *("" if np.isnan(v) else f"{v:.9g}" for v in row)])
        for k, row in enumerate(values)
    ]
    head = delimiter.join(
        ["Time [s]", *(f"{s.name} [{s.unit}] " if s.unit else s.name for s in spec.signals)]
    )
    path = tmp_path / "b.csv"
    path.write_bytes("".join(line + end for line in [head, *rows]).encode(encoding))
    table, _ = read_cases(path, roles_of(spec), ReadOptions())
    assert table.spec == spec
    np.testing.assert_array_equal(table[0].values, values)


def test_layout_is_names_units_numbers(tmp_path):
    spec = DataSpec((Signal("rpm", "1/min", Role.CONTROL), Signal("P, in", "MPa")), step=0.1)
    write_case_csv(tmp_path / "new" / "c.csv", spec, np.array([[900, 1 / 3], [901, np.nan]]), 0.2)
    text = (tmp_path / "new" / "c.csv").read_text()
    assert text == 'Time,rpm,"P, in"\ns,1/min,MPa\n0.2,900,0.333333\n0.3,901,\n'


def test_packed_file_is_equal_from_write_to_write(tmp_path):
    spec = DataSpec((Signal("y", "kW"),))
    values = np.arange(2500.0)[:, None]
    for name in ("a.csv", "a.csv.gz", "b.csv.gz"):
        write_case_csv(tmp_path / name, spec, values)
    packed = (tmp_path / "a.csv.gz").read_bytes()
    assert packed == (tmp_path / "b.csv.gz").read_bytes()
    assert packed[4:8] == bytes(4)  # where gzip keeps the time
    assert gzip.decompress(packed) == (tmp_path / "a.csv").read_bytes()


def test_late_times_keep_their_digits(tmp_path):
    spec = DataSpec((Signal("y"),), step=0.1)
    write_case_csv(tmp_path / "a.csv", spec, np.zeros((30, 1)), 100_000.1)
    table, _ = read_like(tmp_path, spec, ReadOptions())
    assert (table[0].start, len(table.values)) == (100_000.1, 30)


def test_wrong_shape_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"c\.csv.*\(3, 2\).*1 signals"):
        write_case_csv(tmp_path / "c.csv", DataSpec((Signal("y"),)), np.zeros((3, 2)))


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    spec, path = DataSpec((Signal("y"),)), tmp_path / "d.csv"
    write_case_csv(path, spec, np.zeros((3, 1)))
    before = path.read_bytes()

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_case_csv(path, spec, np.ones((3, 1)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["d.csv"]
