"""Several models as one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import SMALL_NETS, linear_table
from understudy.core.baselines import fit_scaler, sizes_of
from understudy.core.bundle import Bundle
from understudy.core.evaluate import evaluate
from understudy.core.intervals import fit_intervals, mean_intervals
from understudy.core.model import Ensemble, Model
from understudy.core.nets import build_net
from understudy.core.spec import DataSpec
from understudy.core.surrogate import Surrogate
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError

TABLE = linear_table(5, 60)
TASK = Rollout(3, 1)


def model(name: str, seed: int, task: Rollout = TASK) -> Model:
    torch.manual_seed(seed)
    net = build_net(name, sizes_of(TABLE, task), SMALL_NETS[name])
    return Model(net, fit_scaler(TABLE, range(5 - seed))).eval()


def test_the_rollout_is_the_mean_of_rollouts() -> None:
    models = [model("gru", 0), model("dot", 1), model("gru", 2)]
    every = [TASK.free_run(m, TABLE, [0, 3]) for m in models]
    together = TASK.free_run(Ensemble(models), TABLE, [0, 3])
    for k in range(2):
        expected = torch.stack([run[k] for run in every]).mean(0)
        torch.testing.assert_close(together[k], expected)
    assert evaluate("both", Ensemble(models), TASK, TABLE, [0]).cases[0].prediction.shape == (57, 2)


def test_histories_of_different_lengths_cannot_be_averaged() -> None:
    with pytest.raises(ConfigError, match="in_len 3 and 4"):
        Ensemble([model("gru", 0), model("gru", 1, Rollout(4, 1))])


def test_half_widths_are_averaged_row_by_row() -> None:
    rng = np.random.default_rng(0)
    fits = []
    for n_cases, n_rows in ((40, 30), (300, 50)):  # different horizons
        truths = [rng.normal(size=(n_rows, 2)).astype(np.float32) for _ in range(n_cases)]
        fits.append(fit_intervals([np.zeros_like(t) for t in truths], truths))
    assert fits[0].first_rows != fits[1].first_rows
    mean = mean_intervals(fits)
    for coverage in mean.coverages:
        expected = np.mean([f.half_width(coverage, 80) for f in fits], axis=0)
        np.testing.assert_allclose(mean.half_width(coverage, 80), expected, rtol=1e-6)


def test_a_surrogate_of_several_runs() -> None:
    models = [model("gru", 0), model("gru", 1)]
    bundles = [Bundle(m, TABLE.spec, "gru", {}) for m in models]
    rows = TABLE[0].values
    surrogate = Surrogate(*bundles)
    parts = [Surrogate(b).predict(rows[3:, :2], rows[:3]) for b in bundles]
    np.testing.assert_allclose(surrogate.predict(rows[3:, :2], rows[:3]), np.mean(parts, 0), atol=1e-6)
    assert surrogate.name == "mean of 2 gru"
    assert surrogate.intervals is None
    other = DataSpec(TABLE.spec.signals, 2 * TABLE.spec.step)
    with pytest.raises(ConfigError, match="cannot be averaged"):
        Surrogate(bundles[0], Bundle(models[1], other, "gru", {}))
