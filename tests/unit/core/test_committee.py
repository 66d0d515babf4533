"""A committee predicts the mean of its members, each of which has learnt from its own part of the batches."""

from __future__ import annotations

import pytest
import torch

from helpers import SIZES, SMALL_NETS, linear_table
from understudy.core.model import Model
from understudy.core.nets import Committee, WindowNet, build_net
from understudy.core.rollout import rollout
from understudy.core.scaling import Scaler
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError

N = 3
WITH_STATE = ("gru", "ssm", "subnet")
DROPOUT = ("gru", "ssm")
every_net = pytest.mark.parametrize("name", WITH_STATE)


def committee(name: str, members: int = N) -> Committee:
    torch.manual_seed(0)
    arguments = {**SMALL_NETS[name], "members": members} | ({"dropout": 0.0} if name in DROPOUT else {})
    net = build_net(name, SIZES, arguments)
    assert isinstance(net, Committee)
    return net


def free_run(net: WindowNet, histories: torch.Tensor, controls: list[torch.Tensor]) -> list[torch.Tensor]:
    return rollout(Model(net, Scaler(SIZES.n_signals)).eval(), histories, controls)


@every_net
def test_a_rollout_is_the_mean_of_those_of_the_members(name: str) -> None:
    net = committee(name)
    histories = torch.randn(4, SIZES.in_len, SIZES.n_signals)
    controls = [
        torch.randn(n, SIZES.n_controls) for n in (700, 20, 300, 1)
    ]  # more than one stretch of rows at once
    found = free_run(net, histories, controls)
    members = [free_run(m, histories, controls) for m in net.members]  # type: ignore[arg-type]
    for i, rows in enumerate(found):
        torch.testing.assert_close(rows, torch.stack([m[i] for m in members]).mean(0))
    assert not torch.equal(members[0][0], members[1][0])


@every_net
@pytest.mark.parametrize("truncate", [None, 7])
def test_each_member_learns_from_its_part_of_the_batch(name: str, truncate: int | None) -> None:
    table = linear_table(6, 60)
    sizes = SIZES._replace(n_controls=len(table.spec.controls), n_predicted=len(table.spec.predicted))
    torch.manual_seed(0)
    arguments = {**SMALL_NETS[name], "members": N} | ({"dropout": 0.0} if name in DROPOUT else {})
    net = build_net(name, sizes, arguments)
    assert isinstance(net, Committee)
    task = Rollout(SIZES.in_len, 1, stretch=20, truncate=truncate)
    batch = next(iter(task.loader(table, range(6), batch_size=2 * N, seed=0)))
    assert len(batch) == 2 * N
    scaler = Scaler(sizes.n_signals)
    loss = task.loss(Model(net, scaler).train(), batch)
    loss.backward()
    losses = []
    for k, member in enumerate(net.members):
        alone = build_net(name, sizes, {**arguments, "members": 1})
        alone.load_state_dict(member.state_dict())
        part = task.loss(Model(alone, scaler).train(), batch[2 * k : 2 * k + 2])
        (part / N).backward()
        losses.append(part)
        for (key, p), q in zip(alone.named_parameters(), member.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, msg=lambda m, key=key: f"{key}: {m}")
    torch.testing.assert_close(loss, torch.stack(losses).mean())


def test_a_batch_of_fewer_cases_than_members() -> None:
    net = committee("gru").train()
    past, control = torch.randn(2, SIZES.in_len, SIZES.n_signals), torch.randn(2, 5, SIZES.n_controls)
    assert net(past, control).shape == (2, 5, SIZES.n_predicted)


def test_layers_hold_every_parameter_once_from_input_to_output() -> None:
    net = committee("ssm")
    of_layers = [id(p) for layer in net.layers() for p in layer.parameters()]
    assert sorted(of_layers) == sorted(id(p) for p in net.parameters())
    first = net.members[0]
    assert isinstance(first, WindowNet)
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in first.layers()]
    assert [sum(p.numel() for p in layer.parameters()) for layer in net.layers()] == [N * n for n in sizes]


def test_one_member_is_the_network_itself() -> None:
    assert not isinstance(build_net("gru", SIZES, {**SMALL_NETS["gru"], "members": 1}), Committee)
    with pytest.raises(ConfigError, match="members"):
        build_net("gru", SIZES, {**SMALL_NETS["gru"], "members": 0})
    with pytest.raises(ConfigError, match="no argument 'members'"):
        build_net("lstm", SIZES, {**SMALL_NETS["lstm"], "members": 2})


def test_what_stays_is_told_to_all() -> None:
    net = committee("gru")
    net.expect(torch.tensor([1.0, 0.5, 0.0]))
    for member in net.members:
        assert member.stay.share.tolist() == [1.0, 0.5, 0.0]  # type: ignore[union-attr]
