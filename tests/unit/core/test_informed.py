"""Networks that are told more than was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import SIZES, SMALL_NETS, linear_table
from understudy.core.baselines import fit_scaler
from understudy.core.bundle import DESCRIPTION, Bundle, load_bundle, save_bundle
from understudy.core.model import Model
from understudy.core.nets import NETS, Committee, Corrector, Informed, WindowNet, build_net, may_be_told
from understudy.core.rollout import rollout
from understudy.core.scaling import Scaler
from understudy.errors import ConfigError, ModelError

TOLD = {"power": "u1 ** 2 * 'u 2'", "limit": "min(2.3, u1)"}
CONTROLS = ["u1", "u 2"]
every_told = pytest.mark.parametrize("name", sorted(n for n in NETS if may_be_told(n)))
# With what a network may be wrapped in beside: members, and the linear model.
KINDS: list[dict[str, Any]] = [{}, {"members": 2}, {"on_arx": True}, {"members": 2, "on_arx": True}]


def scaler() -> Scaler:
    found = Scaler(SIZES.n_signals)
    found.mean.copy_(torch.tensor([2.0, -1.0, 0.5, 3.0, 1.0]))
    found.std.copy_(torch.tensor([0.5, 4.0, 1.0, 2.0, 3.0]))
    return found


def rows(n: int = 400, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    scale = scaler()
    drawn = torch.randn(n, SIZES.n_signals, generator=torch.Generator().manual_seed(seed))
    return scale.undo(drawn).numpy()


def told_of(name: str, **more: Any) -> WindowNet:
    torch.manual_seed(0)
    net = build_net(name, SIZES, {**SMALL_NETS[name], **more, "derived": TOLD})
    for part in net.modules():
        if isinstance(part, Informed):
            part.locate(CONTROLS)
            part.fit(scaler(), [rows()])
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, -0.3, 0.3)
    return net.eval()


@every_told
def test_it_is_the_network_within_on_controls_that_were_derived_outside(name: str) -> None:
    net = told_of(name)
    assert isinstance(net, Informed)
    scale, physical = scaler(), torch.from_numpy(rows())
    more = torch.stack([physical[:, 0] ** 2 * physical[:, 1], physical[:, 0].clamp(max=2.3)], 1)
    # Where all of them are recorded: their own scales, from the same rows.
    own = (more - more.mean(0)) / more.std(0, correction=0)
    scaled = scale(physical)
    wide = torch.cat([scaled[:, :2], own, scaled[:, 2:]], 1)
    past, control = scaled[None, :4], scaled[None, 4:5, :2]
    expected = net.net(wide[None, :4], wide[None, 4:5, :4])
    torch.testing.assert_close(net(past, control), expected, rtol=1e-4, atol=1e-5)


@every_told
def test_a_rollout_is_that_of_the_network_within(name: str) -> None:
    """Fed with its own predictions, many rows embedded at once, several cases that end at different rows."""
    net = told_of(name)
    assert isinstance(net, Informed)
    scale, physical = scaler(), torch.from_numpy(rows())
    more = torch.stack([physical[:, 0] ** 2 * physical[:, 1], physical[:, 0].clamp(max=2.3)], 1)
    around = Scaler(SIZES.n_signals + 2)
    for key in ("mean", "std"):
        kept, own = getattr(scale, key), getattr(net, f"derived_{key}")
        getattr(around, key).copy_(torch.cat([kept[:2], own, kept[2:]]))
    wide = torch.cat([physical[:, :2], more, physical[:, 2:]], 1)
    lengths = (70, 33)
    found = rollout(
        Model(net, scale), physical[:4].expand(2, -1, -1), [physical[4 : 4 + n, :2] for n in lengths]
    )
    expected = rollout(
        Model(net.net, around), wide[:4].expand(2, -1, -1), [wide[4 : 4 + n, :4] for n in lengths]
    )
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_members_and_a_linear_model_go_together_with_it(kind: dict[str, Any]) -> None:
    net = told_of("gru", **kind)
    assert isinstance(net, Corrector if kind.get("on_arx") else Informed)
    past, control = torch.randn(3, 4, 5), torch.randn(3, 30, 2)
    y = net(past, control)
    assert y.shape == (3, 30, 3)
    # What follows from a control acts where the control does.
    changed = control.clone()
    changed[:, 7:, 0] += 1
    before, after = net(past, control), net(past, changed)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7], after[:, 7], atol=1e-5)
    parts = net.averaged()
    assert len(parts) == kind.get("members", 1)
    torch.testing.assert_close(
        torch.stack([p.eval()(past, control) for p in parts]).mean(0), y, rtol=1e-4, atol=1e-5
    )
    state = net.train().begin(past)  # in training the members see a part of the batch each
    assert net.advance(state, control, net.embed_control(control))[0].shape == (3, 30, 3)


def test_the_linear_model_sees_the_recorded_controls_only() -> None:
    net = told_of("gru", on_arx=True, members=2)
    assert isinstance(net, Corrector)
    inner = net.net
    assert isinstance(inner, Informed)
    assert isinstance(inner.net, Committee)
    assert inner.sizes.n_controls == SIZES.n_controls + SIZES.n_predicted
    assert inner.net.sizes.n_controls == inner.sizes.n_controls + len(TOLD)


def test_a_bundle_keeps_the_formulas_as_text_and_finds_the_columns_again(tmp_path: Path) -> None:
    table = linear_table(4, 60)
    arguments = {**SMALL_NETS["gru"], "derived": {"square": "u2 ** 2"}}
    sizes = SIZES._replace(n_predicted=2)
    net = build_net("gru", sizes, arguments)
    assert isinstance(net, Informed)
    net.locate(["u1", "u2"])
    scale = fit_scaler(table, [0, 1])
    net.fit(scale, [table[0].values, table[1].values])
    model = Model(net, scale).eval()
    save_bundle(tmp_path, Bundle(model, table.spec, "gru", arguments))
    again = load_bundle(tmp_path).model
    values = torch.from_numpy(table[2].values)
    mine, theirs = (rollout(m, values[None, :4], [values[4:, :2]])[0] for m in (model, again))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    description = (tmp_path / DESCRIPTION).read_text()
    for wrong, says in (("u3 ** 2", "no control is called 'u3'"), ("u2.grad", "is not understood")):
        (tmp_path / DESCRIPTION).write_text(description.replace("u2 ** 2", wrong))
        with pytest.raises(ModelError, match=says):
            load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("derived", "says"),
    [
        ({"x": "'u2' + u1"}, "no control is called 'u2'; did you mean 'u 2'"),
        ({"x": "u1", "y": "log(u1 - 1000)"}, "y is no finite number in some row of the training cases"),
        ({"x": 3}, "must be names with a formula each"),
        ("u1", "must be names with a formula each"),
        ({"x": "u1 +"}, "model.derived.x: 'u1 \\+' is not a formula"),
        ({str(k): "u1" for k in range(101)}, "101 formulas; 100 are the most"),
    ],
)
def test_bad_formulas_are_told_by_name(derived: Any, says: str) -> None:
    def build() -> None:
        net = build_net("lstm", SIZES, {**SMALL_NETS["lstm"], "derived": derived})
        assert isinstance(net, Informed)
        net.locate(CONTROLS)
        net.fit(scaler(), [rows()])

    with pytest.raises(ConfigError, match=says):
        build()


@pytest.mark.parametrize("name", ["arx", "reservoirs", "persistence"])
def test_networks_that_do_not_train_take_no_formulas(name: str) -> None:
    with pytest.raises(ConfigError, match="has no argument 'derived'"):
        build_net(name, SIZES, {**SMALL_NETS[name], "derived": TOLD})


def test_without_formulas_a_network_is_as_it_was() -> None:
    for nothing in (None, {}):
        assert not isinstance(build_net("gru", SIZES, {**SMALL_NETS["gru"], "derived": nothing}), Informed)
