"""What counts in training: signals that stay, errors in what remains of them, weights by role and by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from understudy.core.care import error_weights, stays
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.losses import CRITERIA, POWERS
from understudy.core.model import Model
from understudy.core.nets import build_net
from understudy.core.nets.base import Sizes
from understudy.core.scaling import Scaler
from understudy.core.spec import DataSpec, Role, Signal
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError

SPEC = DataSpec(
    (Signal("u", role=Role.CONTROL), Signal("by", role=Role.BYPRODUCT), Signal("slow"), Signal("fast"))
)


def table(n_cases: int, *, gaps: bool = False) -> CaseTable:
    """``by`` and ``slow`` stay near a level of each case, ``fast`` is noise around one level."""
    rng = np.random.default_rng(0)
    cases = []
    for i in range(n_cases):
        values = rng.normal(0, 1, (300, 4))
        values[:, 1:3] = rng.normal(0, 10, 2) + rng.normal(0, 1, (300, 2))
        if gaps:
            values[rng.random(300) < 0.3, 1:] = np.nan
        cases.append(Case(f"c{i}", values.astype(np.float32)))
    return table_from_cases(SPEC, cases)


@pytest.mark.parametrize("gaps", [False, True])
def test_a_slow_signal_stays_and_a_fast_one_does_not(gaps: bool) -> None:
    found = stays(table(60, gaps=gaps), range(60), history=5, horizon=100)
    assert (found.share[:2] > 0.9).all()
    assert found.share[2] < 0.1
    # Noise of 1 at the place and after it, around levels of deviation 10.
    np.testing.assert_allclose(found.left[:2], np.sqrt(2) / 10, rtol=0.35)
    assert found.left[2] == pytest.approx(1, abs=0.05)


def test_what_follows_a_place_does_not_include_it() -> None:
    assert stays(table(60), range(60), history=5, horizon=2).share[2] < 0.1


def test_few_places_do_not_say_that_a_signal_stays() -> None:
    """Three places of one case; at two of them the signal keeps its level."""
    values = np.ones((300, 4), np.float32)
    values[150:] = -1
    found = stays(table_from_cases(SPEC, [Case("c", values)]), [0], history=5, horizon=100)
    np.testing.assert_allclose(found.share, (1 - 0.1 + 1) / (3 + 4), rtol=0.05)


def test_a_signal_that_was_never_measured() -> None:
    data = table(20)
    data = table_from_cases(SPEC, [Case(c.id, np.where(np.arange(4) == 2, np.nan, c.values)) for c in data])
    found, whole = (stays(d, range(20), history=5, horizon=100) for d in (data, table(20)))
    assert found.share[1] == 0
    np.testing.assert_array_equal(found.share[[0, 2]], whole.share[[0, 2]])


def test_cases_that_do_not_train_are_not_looked_at() -> None:
    data = table(8)
    changed = table_from_cases(
        SPEC, [Case(c.id, c.values if i < 4 else 7 * c.values + 3) for i, c in enumerate(data)]
    )
    a, b = (stays(d, range(4), history=5, horizon=100) for d in (data, changed))
    np.testing.assert_array_equal(a.share, b.share)
    np.testing.assert_array_equal(a.left, b.left)


def weights(**options: object) -> tuple[float, ...]:
    given = {"scale": "deviation", "power": 1, "byproducts": 1.0, "own": {}, **options}
    return error_weights(SPEC, np.array([0.5, 0.25, 1.0]), **given)  # type: ignore[arg-type]


def test_weights_are_one_on_average_and_do_what_they_say() -> None:
    assert weights() == (1.0, 1.0, 1.0)
    by, slow, fast = weights(scale="change")
    assert (by / fast, slow / fast) == pytest.approx((2, 4))
    by, slow, fast = weights(scale="change", power=2)
    assert (by / fast, slow / fast) == pytest.approx((4, 16))
    by, slow, fast = weights(byproducts=0.1, own={"fast": 3.0})
    assert (by / slow, fast / slow) == pytest.approx((0.1, 3))
    for found in (weights(scale="change"), weights(byproducts=0.0), weights(own={"slow": 9})):
        assert sum(found) / 3 == pytest.approx(1)


def test_a_signal_that_stands_still_does_not_count_without_bound() -> None:
    found = error_weights(SPEC, np.array([0.0, 1.0, 1.0]), scale="change", power=2, byproducts=1, own={})
    assert found[0] / found[1] == pytest.approx(400)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"scale": "chanje"},
            "'chanje' is not one of deviation, change; did you mean 'change'",
        ),
        ({"own": {"slwo": 1.0}}, "no predicted signal is called 'slwo'; did you mean 'slow'"),
        ({"own": {"u": 1.0}}, "no predicted signal is called 'u'"),
        ({"own": {"slow": -1.0}}, "slow cannot count -1"),
        ({"byproducts": -0.5}, "settings.byproduct_weight must not be negative"),
        ({"byproducts": 0.0, "own": {"slow": 0.0, "fast": 0.0}}, "leave no signal that counts"),
    ],
)
def test_what_makes_no_sense_is_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        weights(**options)


@pytest.mark.parametrize("name", CRITERIA)
def test_a_weighted_loss_is_the_mean_of_what_was_measured(name: str) -> None:
    torch.manual_seed(0)
    prediction, truth, weight = torch.randn(4, 7, 3), torch.randn(4, 7, 3), torch.tensor([0.5, 2.5, 0.0])
    truth[torch.rand(4, 7, 3) < 0.4] = torch.nan
    criterion = CRITERIA[name]
    torch.testing.assert_close(
        criterion(prediction, truth, torch.full((3,), 4.0)), criterion(prediction, truth)
    )
    one_by_one = [criterion(prediction[..., k], truth[..., k]) for k in range(3)]
    counts = truth.isfinite().sum((0, 1)) * weight
    expected = sum(w * x for w, x in zip(counts, one_by_one, strict=True)) / counts.sum()
    torch.testing.assert_close(criterion(prediction, truth, weight), expected)
    assert criterion(prediction, torch.full_like(truth, torch.nan), weight) == 0
    assert POWERS[name] in (1, 2)


def test_the_task_hands_its_weights_on() -> None:
    net = build_net("lstm", Sizes(4, 1, 1, 3), {"dim": 4, "depth": 1, "dropout": 0.0})
    model, batch = Model(net, Scaler(4)), torch.randn(8, 5, 4)
    alone = []
    for k in range(3):
        weight = tuple(3.0 * (i == k) for i in range(3))
        alone.append(Rollout(4, 1, weights=weight).loss(model, batch))
    torch.testing.assert_close(Rollout(4, 1).loss(model, batch), sum(alone) / 3)


def test_a_network_with_a_state_begins_with_what_stays() -> None:
    net = build_net("gru", Sizes(4, 1, 1, 3), {"dim": 8, "depth": 1, "dropout": 0.0, "encoder_dim": 8})
    net.expect(torch.tensor([1.0, 0.5, 0.0]))
    past, control = torch.randn(2, 4, 4), torch.randn(2, 6, 1)
    higher = past.clone()
    higher[:, -1, 1:] += 1
    with torch.no_grad():
        for weight in (net.encoder.linear.weight, net.encoder.network[-1].weight):
            weight.zero_()  # the state then knows nothing of the past
        change = net(higher, control) - net(past, control)
    torch.testing.assert_close(change, torch.tensor([1.0, 0.5, 0.0]).expand(2, 6, 3))
