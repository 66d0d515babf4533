"""A corrector is the free rollout of the linear model plus what its network adds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from helpers import SIZES, SMALL_NETS, linear_table
from understudy.core.baselines import fit_arx, fit_scaler, ranges
from understudy.core.bundle import Bundle, load_bundle, save_bundle
from understudy.core.cases import Case, table_from_cases
from understudy.core.model import Model
from understudy.core.nets import ARX, Committee, Corrector, Sizes, WindowNet, build_net
from understudy.core.nets.state import Bent
from understudy.core.rollout import rollout
from understudy.core.scaling import Scaler
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError

N = 3
WITH_STATE = ("gru", "ssm", "subnet")
every_net = pytest.mark.parametrize("name", WITH_STATE)
FAR = torch.full((SIZES.n_predicted,), 1e3)
SHARE = torch.tensor([0.9, 0.7, 0.8])  # of the second signal: too little to be a slow one


def linear_model(sizes: Sizes = SIZES) -> ARX:
    """One that is stable: its feedback is weaker than one."""
    torch.manual_seed(3)
    arx = ARX(sizes)
    with torch.no_grad():
        arx.linear.weight.mul_(0.5)
    return arx


def corrector(name: str, *, members: int = 1, arx: ARX | None = None) -> Corrector:
    torch.manual_seed(0)
    arguments = {**SMALL_NETS[name], "members": members, "on_arx": True}
    net = build_net(name, SIZES, arguments | ({"dropout": 0.0} if name != "subnet" else {}))
    assert isinstance(net, Corrector)
    net.correct(arx or linear_model(), -FAR, FAR, SHARE)
    torch.nn.init.normal_(net.integral.weight)
    return net


def silence(net: Corrector) -> None:
    """The network adds nothing."""
    for network in net.net.networks if isinstance(net.net, Committee) else [net.net]:
        head = network.layers()[-1]
        assert isinstance(head, Bent)
        for parameter in head.parameters():
            torch.nn.init.zeros_(parameter)


def free_run(net: WindowNet, histories: torch.Tensor, controls: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return rollout(Model(net, Scaler(SIZES.n_signals)).eval(), histories, controls)


def draw() -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    histories = torch.randn(4, SIZES.in_len, SIZES.n_signals, generator=generator)
    return histories, [torch.randn(n, SIZES.n_controls, generator=generator) for n in (600, 3, 300, 1)]


@every_net
@pytest.mark.parametrize("members", [1, N])
def test_a_network_that_adds_nothing_leaves_the_linear_model(name: str, members: int) -> None:
    """Row by row the rollout of ``arx`` itself, also over more rows than are computed at once."""
    net = corrector(name, members=members)
    silence(net)
    for found, expected in zip(free_run(net, *draw()), free_run(linear_model(), *draw()), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@every_net
def test_the_network_adds_to_the_linear_model_and_sees_it(name: str) -> None:
    net = corrector(name).eval()
    histories, controls = draw()
    (linear,) = free_run(linear_model(), histories[:1], controls[:1])
    past = torch.cat([histories[:1], histories[:1, :, SIZES.n_controls :]], dim=-1)
    with torch.no_grad():
        added = net.net(past, torch.cat([controls[0], linear], dim=-1)[None])[0]
        sums = 0.01 * added.cumsum(0) @ net.integral.weight.T
        sums[:, 1] = 0
    expected = linear + added + sums
    torch.testing.assert_close(free_run(net, histories[:1], controls[:1])[0], expected, rtol=1e-4, atol=1e-4)


@every_net
@pytest.mark.parametrize("members", [1, N])
def test_it_does_not_matter_how_the_rows_are_cut(name: str, members: int) -> None:
    net = corrector(name, members=members).eval()
    histories, controls = draw()
    control = controls[2][None]
    state, rows = net.begin(histories[:1]), []
    for part in control.split([1, 2, 90, 207], dim=1):
        y, state = net.advance(state, part, net.embed_control(part))
        rows.append(y)
    torch.testing.assert_close(torch.cat(rows, dim=1), net(histories[:1], control), rtol=1e-5, atol=1e-5)
    happened = torch.cat([control, torch.full((1, 300, SIZES.n_predicted), 7.0)], dim=-1)
    pushed = net.push(net.begin(histories[:1]), happened)
    torch.testing.assert_close(pushed, state, rtol=1e-4, atol=1e-4)


@every_net
def test_it_begins_near_the_linear_model_and_only_the_network_learns(name: str) -> None:
    net = corrector(name)
    torch.nn.init.zeros_(net.integral.weight)
    histories, controls = draw()
    plain = build_net(name, SIZES, SMALL_NETS[name])
    for linear, found, other in zip(
        *(free_run(n, histories, controls) for n in (linear_model(), net, plain)), strict=True
    ):
        assert (found - linear).abs().mean() < 0.3 * other.abs().mean()
    before = {key: value.clone() for key, value in net.named_buffers()}
    net.train()(histories, controls[0][None].expand(4, -1, -1)).square().mean().backward()
    assert all(p.grad is not None for n, p in net.named_parameters() if "head" in n or "output" in n)
    of_layers = [id(p) for layer in net.layers() for p in layer.parameters()]
    assert sorted(of_layers) == sorted(id(p) for p in net.parameters())
    for key, value in net.named_buffers():
        assert torch.equal(value, before[key])
        assert not value.requires_grad


def test_nothing_is_integrated_at_first() -> None:
    net = build_net("gru", SIZES, {**SMALL_NETS["gru"], "on_arx": True})
    assert isinstance(net, Corrector)
    assert not net.integral.weight.any()


def test_an_unstable_linear_model_stays_within_what_was_seen() -> None:
    arx = linear_model()
    with torch.no_grad():
        arx.linear.weight.mul_(20)
    net = corrector("gru", arx=arx)
    low, high = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([2.0, 1.0, 4.0])
    net.correct(arx, low, high, SHARE)
    silence(net)
    rows = torch.cat(free_run(net, *draw()))
    assert torch.equal(rows.min(0).values, low)
    assert torch.equal(rows.max(0).values, high)


def test_each_member_learns_from_its_part_of_the_batch() -> None:
    net = corrector("ssm", members=N).train()
    histories, controls = draw()
    control = controls[2][None].expand(4, -1, -1)[:N]
    found = net(histories[:N], control)
    for k, alone in enumerate(net.averaged()):
        torch.testing.assert_close(found[k], alone.train()(histories[k : k + 1], control[k : k + 1])[0])


def test_the_members_alone_have_the_committee_as_their_mean() -> None:
    net = corrector("gru", members=N)
    alone = [free_run(member, *draw()) for member in net.averaged()]
    for i, rows in enumerate(free_run(net, *draw())):
        torch.testing.assert_close(rows, torch.stack([m[i] for m in alone]).mean(0), rtol=1e-5, atol=1e-5)
    assert corrector("gru").averaged()[0].sizes == SIZES


def test_a_bundle_keeps_the_linear_model(tmp_path) -> None:  # type: ignore[no-untyped-def]
    table = linear_table(4, 60)
    spec = table.spec
    sizes = SIZES._replace(n_controls=len(spec.controls), n_predicted=len(spec.predicted))
    task, scaler = Rollout(sizes.in_len, 1), fit_scaler(table, range(4))
    arguments = {**SMALL_NETS["ssm"], "members": 2, "on_arx": True}
    net = build_net("ssm", sizes, arguments)
    assert isinstance(net, Corrector)
    arx = fit_arx(table, task, scaler, range(3), [3]).net
    assert isinstance(arx, ARX)
    low, high = (edge[sizes.n_controls :] for edge in ranges(table, range(3), scaler))
    net.correct(arx, low, high, torch.ones(sizes.n_predicted))
    torch.nn.init.normal_(net.integral.weight)
    model = Model(net, scaler).eval()
    save_bundle(tmp_path, Bundle(model, spec, "ssm", arguments))
    loaded = load_bundle(tmp_path).model
    for found, expected in zip(
        task.free_run(loaded, table, range(4)), task.free_run(model, table, range(4)), strict=True
    ):
        assert torch.equal(found, expected)


def test_ranges_are_those_of_the_cases_in_deviations() -> None:
    table = linear_table(3, 50)
    values = table[0].values.copy()
    values[3, 2] = np.nan
    values[:, 3] = np.nan
    holes = table_from_cases(table.spec, [Case("a", values, 0.0, {}), table[1], table[2]])
    scaler = fit_scaler(table, range(3))
    low, high = ranges(holes, [0], scaler)
    rows = scaler(torch.from_numpy(values[:, :3]))
    expected = (
        torch.from_numpy(np.nanmin(rows.numpy(), axis=0)),
        torch.from_numpy(np.nanmax(rows.numpy(), axis=0)),
    )
    torch.testing.assert_close(low[:3], expected[0])
    torch.testing.assert_close(high[:3], expected[1])
    assert low[3] == high[3] == 0


def test_only_networks_with_a_state_correct_and_the_answer_is_yes_or_no() -> None:
    with pytest.raises(ConfigError, match="no argument 'on_arx'"):
        build_net("lstm", SIZES, {**SMALL_NETS["lstm"], "on_arx": True})
    with pytest.raises(ConfigError, match=r"model\.on_arx of 'gru' must be true or false, not 1"):
        build_net("gru", SIZES, {**SMALL_NETS["gru"], "on_arx": 1})
    assert not isinstance(build_net("gru", SIZES, {**SMALL_NETS["gru"], "on_arx": False}), Corrector)
