from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import linear_table
from understudy.core.baselines import fit_scaler, persistence
from understudy.core.evaluate import evaluate
from understudy.core.metrics import case_errors, summary
from understudy.core.model import Model
from understudy.core.nets import ARX
from understudy.core.tasks import Rollout

NAN = float("nan")


def test_errors_by_hand() -> None:
    prediction = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]], np.float32)
    truth = np.array([[1.0, 5.0], [4.0, 5.0], [3.0, 1.0]], np.float32)
    errors = case_errors(prediction, truth)
    np.testing.assert_allclose(errors.ade, [1.0, 4 / 3])
    np.testing.assert_allclose(errors.fde, [1.0, 4.0])
    np.testing.assert_allclose(errors.rmse, [np.sqrt(5 / 3), np.sqrt(16 / 3)])
    np.testing.assert_allclose(errors.max_error, [2.0, 4.0])


def test_unmeasured_values_do_not_count() -> None:
    prediction = np.array([[1.0, 9.0], [2.0, 9.0], [4.0, 9.0]], np.float32)
    truth = np.array([[0.0, NAN], [5.0, NAN], [NAN, NAN]], np.float32)
    errors = case_errors(prediction, truth)
    np.testing.assert_allclose(errors.ade, [2.0, NAN])
    np.testing.assert_allclose(errors.fde, [3.0, NAN])  # the last measured row
    np.testing.assert_allclose(errors.max_error, [3.0, NAN])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, NAN])
def test_a_prediction_that_is_no_number_is_infinitely_wrong(bad: float) -> None:
    errors = case_errors(np.array([[1.0], [bad]], np.float32), np.array([[1.0], [1.0]], np.float32))
    assert errors.ade == errors.fde == errors.rmse == errors.max_error == np.inf


def test_summary_leaves_out_what_is_not_finite() -> None:
    numbers = summary(np.array([1.0, 3.0, np.inf, NAN]))
    assert numbers == {"mean": 2.0, "std": 1.0, "median": 2.0, "min": 1.0, "max": 3.0}


def test_a_diverging_rollout_is_named_and_not_averaged() -> None:
    table = linear_table(6, 120)
    table.values[table.offsets[5] : table.offsets[6], 2:] += 1e4  # far from all that the scaler has seen
    task = Rollout(2, 1)
    scaler = fit_scaler(table, range(4))
    net = ARX(persistence(table, task, scaler).net.sizes)
    for parameter in net.parameters():
        parameter.data.zero_()
    net.linear.weight.data[:, 6:8] = torch.eye(2)  # keeps the last row …
    net.linear.weight.data[1, 7] = 1.6  # … and lets the second output grow without bound
    evaluation = evaluate("growing", Model(net, scaler), task, table, [4, 5])
    assert set(evaluation.diverged) == {"case0005", "case0006"}
    assert all(c.diverged_at is not None and c.diverged_at > 0 for c in evaluation.cases[:1])
    assert np.isnan(evaluation.summary("ADE", 1)["mean"])
    assert evaluation.score() > 1e3


def test_a_leap_of_the_truth_is_no_divergence() -> None:
    """Holding the last value is wrong by 40 deviations here, and yet bounded by what the signal does."""
    table = linear_table(6, 120)
    task = Rollout(2, 1)
    scaler = fit_scaler(table, range(4))
    first, last = int(table.offsets[5]), int(table.offsets[6])
    table.values[first + 60 : first + 62, 2] += 40 * float(scaler.std[2])
    table.values[first:last, 3] = np.nan  # never measured: no range to leave
    table.values[first : first + 2, 3] = 0.0
    model = persistence(table, task, scaler)
    assert evaluate("persistence", model, task, table, [4, 5]).diverged == ()
    net = ARX(model.net.sizes)
    for parameter in net.parameters():
        parameter.data.zero_()
    net.linear.weight.data[:, 6:8] = torch.diag(torch.tensor([1.6, 1.0]))  # grows away from zero
    table.values[first : first + 2, 2] = float(scaler.mean[2] - scaler.std[2])
    assert evaluate("falling", Model(net, scaler), task, table, [5]).diverged == ("case0006",)


def test_growth_is_the_mean_error_of_the_cases_that_are_still_running() -> None:
    table = linear_table(3, 50)
    task = Rollout(3, 1)
    model = persistence(table, task, fit_scaler(table, [0]))
    evaluation = evaluate("persistence", model, task, table, [0, 1, 2])
    errors = np.stack([np.abs(c.prediction.astype(float) - c.truth) for c in evaluation.cases])
    np.testing.assert_allclose(evaluation.growth, errors.mean(0), rtol=1e-6)
    np.testing.assert_allclose(evaluation.errors["ADE"], errors.mean(1), rtol=1e-6)
