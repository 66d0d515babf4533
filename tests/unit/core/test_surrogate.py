from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers import linear_table
from understudy.core.baselines import fit_arx, fit_scaler
from understudy.core.bundle import Bundle
from understudy.core.surrogate import Surrogate
from understudy.core.tasks import Rollout
from understudy.errors import DataError

TABLE = linear_table(6, 80)


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    model = fit_arx(TABLE, Rollout(3, 1), fit_scaler(TABLE, range(5)), range(4), [4])
    return Surrogate(Bundle(model, TABLE.spec, "arx", {}))


def test_arrays_follow_the_truth(surrogate: Surrogate) -> None:
    rows = TABLE[5].values
    y = surrogate.predict(rows[10:, :2], rows[:10])
    assert y.shape == (70, 2)
    np.testing.assert_allclose(y, rows[10:, 2:], atol=2e-3)


def test_frames_are_read_by_name_and_keep_their_index(surrogate: Surrogate) -> None:
    rows = TABLE[5].values
    frame = pd.DataFrame(rows, columns=list(TABLE.spec.names), index=np.arange(80) * 0.5)
    shuffled = frame[["power", "u2", "flow", "u1"]]
    y = surrogate.predict(shuffled.iloc[10:], shuffled.iloc[:10])
    assert list(y.columns) == ["flow", "power"]
    assert y.index.equals(frame.index[10:])
    np.testing.assert_array_equal(y.to_numpy(), surrogate.predict(rows[10:, :2], rows[:10]))


def test_a_batch_is_its_cases(surrogate: Surrogate) -> None:
    stack = TABLE.values.reshape(6, 80, 4)
    y = surrogate.predict(stack[:, 5:, :2], stack[:, :5])
    for i in range(6):
        np.testing.assert_allclose(
            y[i], surrogate.predict(stack[i, 5:, :2], stack[i, :5]), rtol=1e-5, atol=1e-5
        )


def test_only_the_last_rows_of_the_history_count(surrogate: Surrogate) -> None:
    rows = TABLE[5].values
    with_gap = rows[:10].copy()
    with_gap[0] = np.nan
    np.testing.assert_array_equal(
        surrogate.predict(rows[10:, :2], with_gap), surrogate.predict(rows[10:, :2], rows[7:10])
    )


def test_what_does_not_fit(surrogate: Surrogate) -> None:
    rows = TABLE[5].values
    frame = pd.DataFrame(rows, columns=list(TABLE.spec.names))
    bad = rows[10:, :2].copy()
    bad[3, 1] = np.nan
    cases = [
        ((rows[10:, :2], rows[:2]), "the history has 2 rows; this model starts from 3"),
        ((rows[10:], rows[:10]), r"controls have shape \(70, 4\)"),
        ((bad, rows[:10]), "row 3, 'u2'"),
        ((frame.rename(columns={"u1": "U1"}), frame), "lack the column 'u1'"),
        ((rows[10:, :2], rows[None, :10]), "axes"),
        (("abc", rows[:10]), "not an array of numbers"),
    ]
    for arguments, words in cases:
        with pytest.raises(DataError, match=words):
            surrogate.predict(*arguments)
