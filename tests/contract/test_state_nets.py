"""What networks with a state promise: one recurrence, however it is cut and whichever way it is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import SIZES, SMALL_NETS
from understudy.core.blocks.recurrence import scan
from understudy.core.model import Model
from understudy.core.nets import NETS, StateNet, build_net
from understudy.core.rollout import rollout
from understudy.core.scaling import Scaler

every_net = pytest.mark.parametrize("name", sorted(n for n in NETS if issubclass(NETS[n], StateNet)))


def make(name: str) -> StateNet:
    torch.manual_seed(0)
    net = build_net(name, SIZES, SMALL_NETS[name]).eval()
    assert isinstance(net, StateNet)
    torch.nn.init.uniform_(net.stay.share)
    with torch.no_grad():  # nothing stays at a zero that it begins with
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.rand_like(parameter))
    return net


def draw(n_rows: int, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    past = torch.randn(batch, SIZES.in_len, SIZES.n_signals, generator=generator)
    return past, torch.randn(batch, n_rows, SIZES.n_controls, generator=generator)


def by_row(log_decay: torch.Tensor, inputs: torch.Tensor, initial: torch.Tensor) -> torch.Tensor:
    decay, h, rows = torch.exp(log_decay), initial, []
    for row in inputs.unbind(1):
        h = decay * h + row
        rows.append(h)
    return torch.stack(rows, dim=1)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 2100), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_scan_is_the_recurrence(n_rows: int, n_states: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape) + 1j * rng.normal(size=shape))

    log_decay = torch.from_numpy(-(10 ** rng.uniform(-4, 0.5, n_states)) + 1j * rng.uniform(-3, 3, n_states))
    inputs, initial = normal(2, n_rows, n_states), normal(2, n_states)
    torch.testing.assert_close(
        scan(log_decay, inputs, initial), by_row(log_decay, inputs, initial), rtol=1e-10, atol=1e-10
    )


def test_the_gradient_of_the_scan_is_that_of_the_recurrence() -> None:
    generator = torch.Generator().manual_seed(0)
    log_decay = torch.complex(
        -torch.rand(3, generator=generator), torch.rand(3, generator=generator)
    ).cdouble()
    inputs = torch.randn(2, 70, 3, dtype=torch.cdouble, generator=generator)
    initial = torch.randn(2, 3, dtype=torch.cdouble, generator=generator)
    gradients = []
    for way in (scan, by_row):
        given_ = [t.clone().requires_grad_() for t in (log_decay, inputs, initial)]
        way(*given_).abs().square().sum().backward()
        gradients.append([t.grad for t in given_])
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@every_net
def test_all_rows_at_once_are_the_rows_one_by_one(name: str) -> None:
    """What training computes in parallel is what a rollout computes step by step."""
    net = make(name)
    past, control = draw(150)
    at_once = net(past, control)
    state, rows = net.begin(past), []
    for k in range(150):
        u = control[:, k : k + 1]
        y, state = net.advance(state, u, net.embed_control(u))
        rows.append(y)
    torch.testing.assert_close(at_once, torch.cat(rows, dim=1), rtol=1e-5, atol=1e-5)


@every_net
def test_a_row_that_happened_moves_the_state_by_its_controls_alone(name: str) -> None:
    net = make(name)
    past, control = draw(9)
    measured = torch.cat([control[:, :6], torch.full((3, 6, SIZES.n_predicted), 7.0)], dim=-1)
    pushed = net.predict(net.push(net.begin(past), measured), net.embed_control(control[:, 6:]))
    torch.testing.assert_close(pushed, net(past, control)[:, 6:], rtol=1e-5, atol=1e-5)


@every_net
def test_a_long_rollout_does_not_depend_on_how_it_is_cut(name: str) -> None:
    net = make(name)
    past, control = draw(700, batch=1)
    (rolled,) = rollout(Model(net, Scaler(SIZES.n_signals)).eval(), past, [control[0]])
    torch.testing.assert_close(rolled, net(past, control)[0].detach(), rtol=1e-5, atol=1e-5)


@every_net
def test_a_share_of_the_last_measurement_stays(name: str) -> None:
    """Twice the share adds the last measured row once more, in every row to come."""
    net = make(name)
    past, control = draw(40)
    before = net(past, control)
    with torch.no_grad():
        net.stay.share.mul_(2)
    last = (net.stay.share / 2 * past[:, -1, SIZES.n_controls :]).unsqueeze(1)
    torch.testing.assert_close(net(past, control) - before, last.expand_as(before), rtol=1e-4, atol=1e-5)


def test_a_state_that_hardly_decays_is_exact_over_long_times() -> None:
    """An integrator over 20,000 rows, in single precision."""
    log_decay = torch.complex(torch.tensor([-1e-6]), torch.tensor([0.0]))
    inputs = torch.full((1, 20_000, 1), 1e-3, dtype=torch.cfloat)
    last = scan(log_decay, inputs, torch.zeros(1, 1, dtype=torch.cfloat))[0, -1, 0]
    expected = 1e-3 * -np.expm1(-1e-6 * 20_000) / -np.expm1(-1e-6)
    assert last.real.item() == pytest.approx(expected, rel=1e-4)
