"""A known linear system must be recovered: the test of every index in windows, fit and rollout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import linear_table
from understudy.core.baselines import fit_arx, fit_scaler
from understudy.core.cases import CaseTable
from understudy.core.evaluate import evaluate
from understudy.core.tasks import Rollout


@pytest.fixture(scope="module")
def long_table() -> CaseTable:
    return linear_table(8, 1010)


@pytest.mark.parametrize(("in_len", "out_len"), [(2, 1), (10, 1), (4, 3)])
def test_arx_rolls_out_to_the_truth_over_a_thousand_rows(
    long_table: CaseTable, in_len: int, out_len: int
) -> None:
    task = Rollout(in_len, out_len)
    scaler = fit_scaler(long_table, range(6))
    model = fit_arx(long_table, task, scaler, range(5), [5])
    evaluation = evaluate("arx", model, task, long_table, [6, 7])
    assert len(evaluation.cases[0].time) == 1010 - in_len
    relative = evaluation.errors["MaxE"] / evaluation.std
    assert relative.max() < 1e-4
    assert evaluation.diverged == ()


def test_a_shifted_control_is_not_recovered(long_table: CaseTable) -> None:
    """The test above would not notice a system that does not care for alignment; this one shows that it does."""
    values = long_table.values.copy()
    values[:, :2] = np.roll(values[:, :2], 2, axis=0)  # what acts in row k is known in row k+2
    shifted = CaseTable(long_table.spec, long_table.ids, long_table.offsets, values, long_table.starts)
    task = Rollout(2, 1)
    model = fit_arx(shifted, task, fit_scaler(shifted, range(6)), range(5), [5])
    evaluation = evaluate("arx", model, task, shifted, [6, 7])
    assert evaluation.score() > 0.05


def test_first_predicted_row_follows_the_history(long_table: CaseTable) -> None:
    task = Rollout(7, 1)
    model = fit_arx(long_table, task, fit_scaler(long_table, range(6)), range(5), [5])
    (case,) = evaluate("arx", model, task, long_table, [7]).cases
    assert case.time[0] == 7 * long_table.spec.step
    np.testing.assert_array_equal(case.truth, long_table[7].values[7:, 2:])


def test_unrolled_loss_is_the_loss_of_the_rollout(long_table: CaseTable) -> None:
    task = Rollout(4, 2, criterion="l1", unroll=5)
    scaler = fit_scaler(long_table, range(6))
    model = fit_arx(long_table, Rollout(4, 2), scaler, range(5), [5])
    torch.nn.init.normal_(model.net.linear.weight, std=0.05)  # type: ignore[attr-defined]
    rows = torch.from_numpy(long_table[6].values[: 4 + 12].copy())
    short = CaseTable(long_table.spec, ("a",), np.array([0, 16]), long_table[6].values[:16], np.zeros(1))
    (prediction,) = task.free_run(model, short, [0])
    std = scaler.std[2:]
    expected = ((prediction - rows[4:, 2:]).abs() / std).mean()
    torch.testing.assert_close(task.loss(model, rows[None]), expected, rtol=1e-4, atol=1e-5)
