"""What every network promises, whatever it is made of."""

from __future__ import annotations

import inspect

import pytest
import torch

from helpers import SIZES, SMALL_NETS, TOKEN_SIZES
from understudy.core.model import Model
from understudy.core.nets import NETS, Sizes, WindowNet, build_net, sizes_type
from understudy.core.rollout import rollout
from understudy.core.scaling import Scaler

SHAPES = [SIZES, SIZES._replace(in_len=1), SIZES._replace(out_len=3), SIZES._replace(in_len=2, out_len=5)]
WINDOW_NETS = [name for name in sorted(NETS) if sizes_type(name) is Sizes]
# What acts where a reservoir runs over, and here none does: tests/unit/core/test_reservoirs.py.
RESTING = ("rim", "caught")

every_net = pytest.mark.parametrize("name", WINDOW_NETS)
WITHOUT_STATE = [name for name in WINDOW_NETS if not NETS[name].has_state]  # type: ignore[union-attr]
every_fed_back = pytest.mark.parametrize("name", WITHOUT_STATE)
every_trained = pytest.mark.parametrize("name", sorted(set(WINDOW_NETS) - {"persistence", "arx"}))


def make(name: str, sizes: Sizes = SIZES) -> WindowNet:
    torch.manual_seed(0)
    return build_net(name, sizes, SMALL_NETS[name]).eval()


def draw(sizes: Sizes, batch: int = 5, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    past = torch.randn(batch, sizes.in_len, sizes.n_signals, generator=generator)
    return past, torch.randn(batch, sizes.out_len, sizes.n_controls, generator=generator)


def model_of(name: str, sizes: Sizes = SIZES) -> Model:
    scaler = Scaler(sizes.n_signals)
    scaler.mean.copy_(torch.arange(sizes.n_signals) * 3.0)
    scaler.std.copy_(1 + torch.arange(sizes.n_signals) * 0.5)
    return Model(make(name, sizes), scaler).eval()


@every_net
@pytest.mark.parametrize("sizes", SHAPES)
def test_shapes_and_gradients(name: str, sizes: Sizes) -> None:
    net = make(name, sizes).train()
    past, control = draw(sizes)
    y = net(past, control)
    assert y.shape == (5, sizes.out_len, sizes.n_predicted)
    if name != "persistence" and sizes == SIZES:  # with one past row there is no recurrence and no attention
        y.square().sum().backward()
        learnt = [
            (n, p) for n, p in net.named_parameters() if p.requires_grad and n.split(".")[-1] not in RESTING
        ]
        without = [n for n, p in learnt if p.grad is None or not p.grad.abs().sum() > 0]
        assert without == []


@every_net
@pytest.mark.parametrize("sizes", SHAPES)
def test_batch_mates_do_not_change_a_prediction(name: str, sizes: Sizes) -> None:
    net = make(name, sizes)
    past, control = draw(sizes)
    alone = net(past[2:3], control[2:3])
    torch.testing.assert_close(net(past, control)[2:3], alone, rtol=1e-5, atol=1e-6)


@every_fed_back
@pytest.mark.parametrize("sizes", SHAPES)
def test_pushed_state_is_the_state_of_the_shifted_window(name: str, sizes: Sizes) -> None:
    net = make(name, sizes)
    past, control = draw(sizes)
    rows, _ = draw(sizes._replace(in_len=sizes.out_len), seed=2)
    shifted = torch.cat([past, rows], dim=1)[:, -sizes.in_len :]
    pushed = net.predict(net.push(net.begin(past), rows), net.embed_control(control))
    torch.testing.assert_close(pushed, net(shifted, control), rtol=1e-5, atol=1e-6)


@every_trained
@pytest.mark.parametrize("sizes", SHAPES)
def test_every_predicted_row_depends_on_its_own_control(name: str, sizes: Sizes) -> None:
    net = make(name, sizes)
    past, control = draw(sizes)
    control.requires_grad_()
    for row in range(sizes.out_len):
        (gradient,) = torch.autograd.grad(net(past, control)[:, row].sum(), control)
        assert gradient[:, row].abs().sum() > 0


@every_trained
def test_a_change_of_the_control_acts_in_the_row_where_it_happens(name: str) -> None:
    """The alignment of the rollout: y(k) follows u(k), neither later nor earlier."""
    model = model_of(name)
    past, _ = draw(SIZES, batch=1)
    controls = torch.randn(20, 2, generator=torch.Generator().manual_seed(3))
    changed = controls.clone()
    changed[7:] += 1.0
    before, after = (rollout(model, past, [u])[0] for u in (controls, changed))
    assert torch.equal(before[:7], after[:7])
    assert not torch.allclose(before[7], after[7], atol=1e-4)


@every_net
@pytest.mark.parametrize("sizes", SHAPES)
def test_rollout_of_all_cases_equals_one_by_one(name: str, sizes: Sizes) -> None:
    model = model_of(name, sizes)
    if name == "arx":
        torch.nn.init.uniform_(model.net.linear.weight, -0.1, 0.1)  # type: ignore[attr-defined]
    past, _ = draw(sizes, batch=4)
    generator = torch.Generator().manual_seed(4)
    controls = [torch.randn(n, sizes.n_controls, generator=generator) for n in (90, 1, 140, 6)]
    together = rollout(model, past, controls)
    for i, u in enumerate(controls):
        (alone,) = rollout(model, past[i : i + 1], [u])
        assert together[i].shape == (len(u), sizes.n_predicted)
        torch.testing.assert_close(together[i], alone, rtol=1e-5, atol=1e-5)


@every_fed_back
@pytest.mark.parametrize("sizes", SHAPES)
def test_rollout_equals_a_loop_over_the_model(name: str, sizes: Sizes) -> None:
    """A rollout written out: no state, no caches, physical units all the way."""
    model = model_of(name, sizes)
    if name == "arx":
        torch.nn.init.uniform_(model.net.linear.weight, -0.1, 0.1)  # type: ignore[attr-defined]
    past, _ = draw(sizes, batch=1)
    u = torch.randn(sizes.out_len * 6, sizes.n_controls, generator=torch.Generator().manual_seed(5))
    rows = past[0]
    expected = []
    with torch.no_grad():
        for first in range(0, len(u), sizes.out_len):
            control = u[first : first + sizes.out_len]
            y = model(rows[None, -sizes.in_len :], control[None])[0]
            expected.append(y)
            rows = torch.cat([rows, torch.cat([control, y], dim=1)])
    torch.testing.assert_close(rollout(model, past, [u])[0], torch.cat(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(NETS))
def test_layers_hold_every_parameter_once(name: str) -> None:
    net = build_net(name, SIZES if name in WINDOW_NETS else TOKEN_SIZES, dict(SMALL_NETS[name]))
    held = [p for layer in net.layers() for p in layer.parameters()]
    assert len({id(p) for p in held}) == len(held)
    assert {id(p) for p in held} == {id(p) for p in net.parameters()}


@pytest.mark.parametrize("name", sorted(NETS))
def test_arguments_are_keyword_only_and_typed(name: str) -> None:
    parameters = list(inspect.signature(NETS[name]).parameters.values())
    assert parameters[0].name == "sizes"
    assert all(p.kind is p.KEYWORD_ONLY and p.annotation in ("int", "float", "bool") for p in parameters[1:])
