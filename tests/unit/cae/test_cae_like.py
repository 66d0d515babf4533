"""Cases for a trained model: found by name, in its units, on its step."""

import numpy as np
import pytest

from understudy.cae.read import ReadOptions, Roles, read_cases, read_like
from understudy.cae.write import write_case_csv
from understudy.core.spec import DataSpec, Role, Signal
from understudy.errors import DataError

SPEC = DataSpec(
    (
        Signal("rpm", "1/min", Role.CONTROL),
        Signal("T_spec", "degC", Role.CONTROL),
        Signal("T", "degC", Role.BYPRODUCT),
        Signal("Q", "kW", Role.TARGET),
    ),
    step=1.0,
)
VALUES = np.arange(20, dtype=np.float32).reshape(5, 4)


def put(path, head, columns=(0, 1, 2, 3), step=1.0):
    rows = [",".join([f"{k * step:g}", *(f"{v:g}" for v in row)]) for k, row in enumerate(VALUES[:, columns])]
    path.write_text("\n".join([*head, *rows]) + "\n")


def test_columns_are_found_by_name_in_any_order(tmp_path):
    put(tmp_path / "a.csv", ("t,Q,T,other,rpm,T_spec", "s,kW,degC,-,1/min,degC"), (3, 2, 0, 0, 1))
    table, _ = read_like(tmp_path, SPEC, ReadOptions())
    assert table.spec == SPEC
    np.testing.assert_array_equal(table.values, VALUES)


def test_a_name_that_stands_twice_is_told_apart_by_order(tmp_path):
    put(tmp_path / "a.csv", ("t,rpm,T,T,Q", "s,1/min,degC,degC,kW"))
    put(tmp_path / "b.csv", ("t,rpm,T_spec,T,Q", "s,1/min,degC,degC,kW"))
    table, _ = read_like(tmp_path, SPEC, ReadOptions())
    np.testing.assert_array_equal(table.values, np.concatenate([VALUES, VALUES]))
    trained, _ = read_cases(tmp_path / "a.csv", Roles(num_control=2, num_pred=2, num_target=1), ReadOptions())
    assert trained.spec == SPEC
    put(tmp_path / "c.csv", ("t,rpm,T,Q", "s,1/min,degC,kW"), (0, 2, 3))
    for n_measured in (None, 0):  # the output T alone must not be taken for the control
        with pytest.raises(DataError, match=r"c\.csv: no column 'T_spec', a control"):
            read_like(tmp_path / "c.csv", SPEC, ReadOptions(), n_measured=n_measured)


def test_numbered_twins_are_found_again(tmp_path):
    put(tmp_path / "a.csv", ("t,u,y,y,y",))
    trained, _ = read_cases(tmp_path, Roles(num_control=1, num_pred=3), ReadOptions())
    assert trained.spec.names == ("u", "y", "y_2", "y_3")
    again, _ = read_like(tmp_path, trained.spec, ReadOptions())
    assert again.fingerprint == trained.fingerprint


def test_files_are_brought_to_the_step_of_the_model(tmp_path):
    write_case_csv(tmp_path / "a.csv", DataSpec(SPEC.signals, step=0.5), VALUES)
    table, _ = read_like(tmp_path, SPEC, ReadOptions(step=7.0))
    np.testing.assert_array_equal(table.values, VALUES[::2])
    write_case_csv(tmp_path / "a.csv", DataSpec(SPEC.signals, step=2.0), VALUES)
    with pytest.raises(DataError, match=r"a\.csv: sampled every 2 s, coarser than the model's 1 s"):
        read_like(tmp_path, SPEC, ReadOptions())


def test_units_must_be_the_model_s_where_the_file_states_any(tmp_path):
    put(tmp_path / "a.csv", ("t,rpm,T_spec,T,Q", "s,1/min,degC,K,kW"))
    with pytest.raises(DataError, match=r"a\.csv: column 'T' is in 'K', but the model was trained on 'degC'"):
        read_like(tmp_path, SPEC, ReadOptions())
    put(tmp_path / "a.csv", ("t,rpm,T_spec,T,Q",))
    np.testing.assert_array_equal(read_like(tmp_path, SPEC, ReadOptions())[0].values, VALUES)


def test_future_of_a_prediction_may_be_empty(tmp_path):
    values = VALUES.copy()
    values[2:, 2:] = np.nan
    write_case_csv(tmp_path / "a.csv", SPEC, values)
    table, _ = read_like(tmp_path, SPEC, ReadOptions(), n_measured=2)
    np.testing.assert_array_equal(table.values, values)
    with pytest.raises(DataError, match=r"a\.csv, line 5, column 'T': not measured.* first 3 positions"):
        read_like(tmp_path, SPEC, ReadOptions(), n_measured=3)


def test_predicted_columns_may_be_absent_only_where_nothing_is_measured(tmp_path):
    put(tmp_path / "a.csv", ("t,rpm,T_spec", "s,1/min,degC"), (0, 1))
    put(tmp_path / "b.csv", ("t,rpm,T", "s,1/min,degC"), (0, 1))  # controls alone: T is the control
    table, _ = read_like(tmp_path, SPEC, ReadOptions(), n_measured=0)
    for case in table:
        np.testing.assert_array_equal(case.values[:, :2], VALUES[:, :2])
        assert np.isnan(case.values[:, 2:]).all()
    for n_measured in (None, 1):
        with pytest.raises(DataError, match=r"a\.csv: no column 'T', a byproduct of the model"):
            read_like(tmp_path, SPEC, ReadOptions(), n_measured=n_measured)
    put(tmp_path / "a.csv", ("t,rmp,T_spec", "s,1/min,degC"), (0, 1))
    with pytest.raises(DataError, match=r"no column 'rpm', a control of the model; did you mean 'rmp'"):
        read_like(tmp_path, SPEC, ReadOptions(), n_measured=0)


def test_first_column_must_be_the_time(tmp_path):
    put(tmp_path / "a.csv", ("rpm,T_spec,T,Q,x",))
    with pytest.raises(DataError, match=r"a\.csv: the first column is 'rpm'; it must be the time"):
        read_like(tmp_path, SPEC, ReadOptions())


def test_bad_files_can_be_skipped(tmp_path):
    write_case_csv(tmp_path / "b.csv", SPEC, VALUES)
    (tmp_path / "a.csv").write_text("nothing\n")
    seen = []
    table, bad = read_like(
        tmp_path, SPEC, ReadOptions(on_bad_case="skip"), on_progress=lambda *p: seen.append(p)
    )
    assert (table.ids, [b.path.name for b in bad], seen) == (("b",), ["a.csv"], [(1, 2), (2, 2)])


def test_model_of_another_domain_is_refused(tmp_path):
    spec = DataSpec((Signal("y"),), step_unit="nt", domain="other")
    with pytest.raises(DataError, match="not in s"):
        read_like(tmp_path, spec, ReadOptions())
