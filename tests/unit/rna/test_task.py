"""What is learnt, what counts, and what must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers import TOKEN_SIZES
from understudy.core.batch import TokenBatch
from understudy.core.nets import TokenNet
from understudy.core.oneshot import OneShotModel
from understudy.errors import ConfigError
from understudy.rna.batches import Probed
from understudy.rna.task import Reactivities
from unit.rna.test_batches import probed


class Constant(TokenNet):
    """The same outputs everywhere."""

    def __init__(self, values: list[float]) -> None:
        super().__init__(TOKEN_SIZES)
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, batch: TokenBatch) -> Tensor:
        return self.values.expand(*batch.tokens.shape, -1)

    def bytes_for(self, length: int, batch: int) -> int:
        return 0


def constant(*values: float) -> OneShotModel:
    return OneShotModel(Constant(list(values)))


def noisy(data: Probed, **changes: object) -> Probed:
    return Probed(replace(data.molecules, **changes), data.pairs)  # type: ignore[arg-type]


def test_the_loss_written_out() -> None:
    data = probed([4, 6])
    task = Reactivities(error_weight=0.5)
    (batch,) = task.loader(data, [0, 1], batch_size=2, seed=0)
    m = data.molecules
    weight = np.repeat(np.log1p(m.signal_to_noise), [4, 6], axis=0)
    expected = (np.abs(0.3 - np.clip(m.reactivity, 0, 1)) * weight).sum() / weight.sum()
    expected += 0.5 * (np.abs(0.2 - m.error) * weight).sum() / weight.sum()
    loss = task.loss(constant(0.3, 0.3, 0.2, 0.2), batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_what_was_not_measured_does_not_count_and_gives_no_gradient() -> None:
    data = probed([5])
    gone = data.molecules.reactivity.copy()
    gone[2:, 0] = np.nan
    task = Reactivities(weighting="none", error_weight=0)
    (batch,) = task.loader(noisy(data, reactivity=gone), [0], batch_size=1, seed=0)
    expected = np.nanmean(np.abs(0.5 - np.clip(gone, 0, 1)))
    assert task.loss(constant(0.5, 0.5), batch).item() == pytest.approx(expected, rel=1e-5)


def test_who_trains() -> None:
    data = probed([4, 4, 4])
    ratio = np.array([[3, 3], [0.5, np.nan], [-2, np.nan]], np.float32)
    passed = np.array([[True, True], [False, False], [False, False]])
    data = noisy(data, signal_to_noise=ratio, sn_filter=passed)
    everyone = Reactivities().loader(data, [0, 1, 2], batch_size=9, seed=0)
    assert everyone.molecules.tolist() == [0, 1]  # the last one has nothing to teach
    assert everyone.weight[1].tolist() == pytest.approx([np.log1p(0.5), 0])
    good = Reactivities(noisy=False).loader(data, [0, 1, 2], batch_size=9, seed=0)
    assert good.molecules.tolist() == [0]


def test_validation_is_the_official_figure_of_those_that_pass() -> None:
    data = probed([4, 6, 5])
    passed = np.array([[True, True], [True, False], [True, True]])
    values = data.molecules.reactivity.copy()
    values[1, 1] = np.nan  # one chemical missing: the nucleotide is ignored
    data = noisy(data, sn_filter=passed, reactivity=values)
    counted = np.r_[0, 2:4, 10:15]
    expected = np.abs(0.4 - np.clip(values[counted], 0, 1)).mean()
    error = Reactivities().validation_error(constant(0.4, 0.4, 9, 9), data, [0, 1, 2])
    assert error == pytest.approx(expected, rel=1e-6)


def test_predictions_are_clipped_and_errors_are_not() -> None:
    data = probed([4])
    (rows,) = Reactivities().predict(constant(-0.5, 1.5, 3.0, 0.1), data, [0])
    np.testing.assert_allclose(rows, np.tile([0, 1, 3, 0.1], (4, 1)), rtol=1e-6)


@pytest.mark.parametrize("options", [{"weighting": "snr"}, {"error_weight": -1.0}])
def test_settings_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="dataset"):
        Reactivities(**options)  # type: ignore[arg-type]
