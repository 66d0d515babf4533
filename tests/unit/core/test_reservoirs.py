"""Reservoirs lose nothing but what they let out and what spills, and begin where the signals are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import SIZES, SMALL_NETS
from understudy.core.nets import build_net
from understudy.core.nets.reservoirs import Inflow, Law, Reservoirs
from understudy.errors import ConfigError

positive = st.floats(0.01, 10)


def law(*, rate: float, exponent: float, rim: float, caught: float = 0.5, ratio: float = 1.0) -> Law:
    share = rate * 2.5 ** (exponent - 1)
    return Law(*(torch.tensor([v], dtype=torch.double) for v in (share, exponent, rim, caught, ratio)))


def flow(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.double)


def cascade(*, from_zero: bool = False) -> Reservoirs:
    torch.manual_seed(0)
    net = build_net("reservoirs", SIZES, {**SMALL_NETS["reservoirs"], "from_zero": from_zero})
    assert isinstance(net, Reservoirs)
    return net


@settings(deadline=None)
@given(positive, st.floats(0.3, 3), positive, positive, st.floats(0, 10))
def test_what_flows_in_is_kept_let_out_or_spilled(
    rate: float, exponent: float, rim: float, level: float, inflow: float
) -> None:
    found = law(rate=rate, exponent=exponent, rim=rim).row(flow(level), flow(inflow))
    after, outflow, spilled = (t.item() for t in found)
    full, half_way = level + inflow, level + inflow / 2
    assert outflow == pytest.approx(min(rate * half_way**exponent, full))
    assert spilled == pytest.approx(max(full - outflow - rim, 0.0))
    assert after + outflow + spilled == pytest.approx(full)
    assert -1e-12 <= after <= rim + 1e-12


@given(positive, st.floats(0.01, 0.99), positive, positive)
def test_the_next_reservoir_gets_the_outflow_and_a_share_of_what_spilled(
    ratio: float, share: float, outflow: float, spilled: float
) -> None:
    passed = law(rate=1.0, exponent=1.0, rim=1.0, caught=share, ratio=ratio).passed(
        flow(outflow), flow(spilled)
    )
    assert passed.item() == pytest.approx(ratio * (outflow + share * spilled))


def test_with_exponent_one_it_is_a_linear_reservoir() -> None:
    """Its outflow falls by the same share a row: the unit hydrograph of Nash for one reservoir."""
    linear, level, flows = law(rate=0.2, exponent=1.0, rim=1e9), flow(5.0), []
    for _ in range(20):
        level, out, _ = linear.row(level, flow(0.0))
        flows.append(out.item())
    assert flows == pytest.approx([0.2 * 5 * 0.8**k for k in range(20)])


def test_before_training_a_signal_at_its_mean_stays_there_under_mean_controls() -> None:
    net = cascade()
    past, control = torch.zeros(2, SIZES.in_len, SIZES.n_signals), torch.zeros(2, 300, SIZES.n_controls)
    rows = net(past, control)
    # A reservoir lets out at half of the inflow, so that the balance is not exact.
    torch.testing.assert_close(rows, torch.zeros_like(rows), rtol=0, atol=0.1)


def test_where_zero_is_empty_the_controls_cannot_draw_a_signal_below_zero() -> None:
    net = cascade(from_zero=True)
    zero = torch.tensor([-2.0, 0.5, -1.0, -3.0, -20.0])
    net.fill(zero, torch.ones(3))
    past = torch.zeros(2, SIZES.in_len, SIZES.n_signals)
    steady = net(past, torch.zeros(2, 300, SIZES.n_controls))
    torch.testing.assert_close(steady, torch.zeros_like(steady), rtol=0, atol=0.2)
    drained = net(past, zero[:2].expand(2, 4000, 2))[:, -1]  # nothing flows in where the controls are zero
    torch.testing.assert_close(drained, zero[2:].expand(2, 3), rtol=0, atol=1e-3)
    assert not net.gauge.zero.requires_grad


@pytest.mark.parametrize("from_zero", [True, False])
def test_before_training_no_signal_rises_above_what_it_was_in_the_training_cases(from_zero: bool) -> None:
    net, top = cascade(from_zero=from_zero), torch.tensor([0.5, 1.0, 2.0])
    net.fill(torch.tensor([0.0, 0.0, -1.0, -3.0, -20.0]), top)
    with torch.no_grad():
        net.inflow.constant.fill_(100.0)
    past = torch.zeros(2, SIZES.in_len, SIZES.n_signals)
    flooded = net(past, torch.zeros(2, 50, SIZES.n_controls))[:, -1]
    torch.testing.assert_close(flooded, top.expand(2, 3))


def test_zero_is_not_empty_where_a_signal_is_below_it_in_the_mean() -> None:
    with pytest.raises(ConfigError, match=r"model\.from_zero=false"):
        cascade(from_zero=True).fill(torch.tensor([0.0, 0.0, -1.0, 0.1, -1.0]), torch.ones(3))


def far_from_balance(net: Reservoirs, batch: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows (B, 30, F) that the equations themselves gave, the levels at their beginning, and the state after L."""
    generator = torch.Generator().manual_seed(2)
    controls = torch.randn(batch, 30, SIZES.n_controls, generator=generator)
    levels = 0.5 + 4 * torch.rand(batch, 2 * SIZES.n_predicted, generator=generator)
    x = torch.cat([controls[:, 0], levels], dim=1)
    first = net.gauge(levels[:, SIZES.n_predicted :]).unsqueeze(1)
    with torch.no_grad():
        rows, _ = net.run(x, controls[:, 1:])
        _, x = net.run(x, controls[:, 1 : SIZES.in_len])
    return torch.cat([controls, torch.cat([first, rows], dim=1)], dim=2), levels, x


def test_the_first_levels_are_those_that_make_the_history() -> None:
    """Also of the upper reservoirs, which nobody measures."""
    net = cascade()
    rows, _, x = far_from_balance(net)
    past, future = rows[:, : SIZES.in_len], rows[:, SIZES.in_len :]
    state = net.begin(past)
    torch.testing.assert_close(state[:, : SIZES.n_predicted], past[:, -1, SIZES.n_controls :])
    torch.testing.assert_close(state[:, SIZES.n_predicted :], x, rtol=0, atol=0.2)
    missed = net.predict(state, future[..., : SIZES.n_controls]) - future[..., SIZES.n_controls :]
    assert missed.abs().max() < 0.1
    at_rest = torch.cat([past[:, -1:]] * SIZES.in_len, dim=1)
    blind = net.predict(net.begin(at_rest), future[..., : SIZES.n_controls]) - future[..., SIZES.n_controls :]
    assert blind.abs().max() > 0.5  # what a network would miss that does not look at how the signal moves


def test_where_rows_are_known_to_be_off_their_slope_says_little() -> None:
    net = cascade()
    rows, _, x = far_from_balance(net)
    past = rows[:, : SIZES.in_len].clone()
    past[..., SIZES.n_controls :] += 0.2 * torch.randn(
        past[..., 2:].shape, generator=torch.Generator().manual_seed(3)
    )
    wrong = []
    for off in (0.01, 0.2):
        net.gauge.off.fill_(off)
        levels = net.begin(past)[:, SIZES.n_signals :]
        assert (levels >= 0).all()
        assert (levels <= net.gauge.rim.repeat(2)).all()
        wrong.append((levels - x[:, SIZES.n_controls :]).square().mean().sqrt().item())
    assert wrong[1] < 0.95 * wrong[0]


def test_one_row_of_history_begins_in_balance() -> None:
    torch.manual_seed(0)
    net = build_net("reservoirs", SIZES._replace(in_len=1), SMALL_NETS["reservoirs"])
    assert isinstance(net, Reservoirs)
    past = 0.5 * torch.randn(5, 1, SIZES.n_signals)
    upper, lower = net.begin(past)[:, SIZES.n_signals :].chunk(2, dim=1)
    above, below = net._laws()
    torch.testing.assert_close(net.gauge(lower), past[:, 0, SIZES.n_controls :], rtol=0, atol=1e-3)
    passed = above.passed(above.let_out(upper), torch.zeros(()))
    torch.testing.assert_close(passed, below.let_out(lower), rtol=1e-3, atol=1e-4)


def test_levels_are_those_for_an_outflow_and_the_other_way_round() -> None:
    bent = law(rate=0.2, exponent=0.7, rim=3.0)
    for level in (0.1, 1.0, 2.9):
        assert bent.level_for(bent.let_out(flow(level))).item() == pytest.approx(level)
    assert bent.level_for(flow(1e3)).item() == 3.0


def test_a_committee_of_equals_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.members is not for 'reservoirs'"):
        build_net("reservoirs", SIZES, {**SMALL_NETS["reservoirs"], "members": 2})


def test_everything_that_may_be_learnt_is_reached_by_the_loss() -> None:
    """Where both reservoirs run over."""
    net = cascade()
    past = torch.randn(4, SIZES.in_len, SIZES.n_signals)
    with torch.no_grad():
        net.inflow.constant.fill_(5.0)
    net(past, torch.randn(4, 60, SIZES.n_controls)).square().mean().backward()
    unmoved = {n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert unmoved == {"stay.share", "stores.1.caught", "stores.1.log_ratio"}


def test_what_flows_in_lies_between_the_controls_at_the_two_ends_of_a_row() -> None:
    inflow = Inflow(2, 3, constant=True)
    before, control = torch.randn(4, 2), torch.randn(4, 7, 2)
    ends = []
    for late in (-20.0, 20.0, 0.0):
        with torch.no_grad():
            inflow.late.fill_(late)
        ends.append(inflow(before, control))
    end, begin, middle = ends
    torch.testing.assert_close(begin[:, 1:], end[:, :-1])
    torch.testing.assert_close(middle, (begin + end) / 2)
    torch.testing.assert_close(begin[:, :1], inflow(before, before.unsqueeze(1)))


def test_they_do_not_correct_a_linear_model() -> None:
    with pytest.raises(ConfigError, match=r"model\.on_arx is not for 'reservoirs'"):
        build_net("reservoirs", SIZES, {**SMALL_NETS["reservoirs"], "on_arx": True})
