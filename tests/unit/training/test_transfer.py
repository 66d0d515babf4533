"""Starting from another run: what is taken over, what learns, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers import SMALL_NETS, TOKEN_SIZES, linear_table
from understudy.core.baselines import fit_scaler, sizes_of
from understudy.core.bundle import Bundle, save_bundle
from understudy.core.model import Model
from understudy.core.nets import Informed, build_net
from understudy.core.oneshot import OneShotModel
from understudy.core.scaling import Scaler
from understudy.core.spec import DataSpec, Role, Signal
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError
from understudy.training import FitOptions, fit
from understudy.training.optimizer import OptimizerOptions, layers_of, parameter_groups
from understudy.training.transfer import check_transfer, learning_layers, start_from

TABLE = linear_table(6, 60)
TASK = Rollout(4, 1)


def model(seed: int, name: str = "lstm") -> Model:
    torch.manual_seed(seed)
    scaler = fit_scaler(TABLE, [0, 1] if seed else [2, 3, 4])
    return Model(build_net(name, sizes_of(TABLE, TASK), dict(SMALL_NETS[name])), scaler)


def saved(folder: Path, source: Model, name: str = "lstm", spec: DataSpec = TABLE.spec) -> Path:
    save_bundle(folder, Bundle(source, spec, name, dict(SMALL_NETS[name])))
    return folder


def test_the_same_signals_take_over_everything(tmp_path: Path) -> None:
    source, new = model(1), model(0)
    line = start_from(new, saved(tmp_path, source), "lstm", TABLE.spec)
    assert "new:" not in line
    assert all(
        torch.equal(a, b)
        for a, b in zip(source.state_dict().values(), new.state_dict().values(), strict=True)
    )


def test_other_targets_get_a_new_head_and_their_own_scales(tmp_path: Path) -> None:
    source = model(1)
    folder = saved(tmp_path, source)
    more = DataSpec(
        (
            *TABLE.spec.controls,
            Signal("flow", "g/s", Role.BYPRODUCT),
            Signal("heat", "kW"),
            Signal("power", "kW"),
        )
    )
    torch.manual_seed(0)
    sizes = sizes_of(TABLE, TASK)._replace(n_predicted=3)
    net = build_net("lstm", sizes, dict(SMALL_NETS["lstm"]))
    new = Model(net, type(source.scaler)(5))
    new.scaler.std.fill_(7.0)
    line = start_from(new, folder, "lstm", more)
    assert "head.3.weight" in line
    assert torch.equal(new.net.lstm.weight_hh_l0, source.net.lstm.weight_hh_l0)  # type: ignore[union-attr, arg-type]
    mine, theirs = new.scaler.std, source.scaler.std
    assert [mine[0], mine[1], mine[2], mine[4]] == [theirs[0], theirs[1], theirs[2], theirs[3]]
    assert mine[3] == 7.0


def test_another_network_or_size_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, model(1))
    with pytest.raises(ConfigError, match="cannot start from it"):
        start_from(model(0, "dol"), folder, "dol", TABLE.spec)
    torch.manual_seed(0)
    wide = build_net("lstm", sizes_of(TABLE, TASK), {**SMALL_NETS["lstm"], "dim": 20})
    with pytest.raises(ConfigError, match="tensors fit"):
        start_from(Model(wide, model(0).scaler), folder, "lstm", TABLE.spec)


def told(scaler: Scaler, formula: str, controls: list[str]) -> Model:
    net = build_net("lstm", sizes_of(TABLE, TASK), {**SMALL_NETS["lstm"], "derived": {"more": formula}})
    assert isinstance(net, Informed)
    net.locate(controls)
    net.fit(scaler, [TABLE[0].values])
    return Model(net, scaler)


def test_other_formulas_are_refused(tmp_path: Path) -> None:
    arguments = {**SMALL_NETS["lstm"], "derived": {"more": "u2 ** 2"}}
    source = told(model(1).scaler, "u2 ** 2", ["u1", "u2"])
    save_bundle(tmp_path, Bundle(source, TABLE.spec, "lstm", arguments))
    with pytest.raises(ConfigError, match="other formulas"):
        start_from(told(model(0).scaler, "u2 ** 3", ["u1", "u2"]), tmp_path, "lstm", TABLE.spec)
    with pytest.raises(ConfigError, match="other formulas"):
        start_from(model(0), tmp_path, "lstm", TABLE.spec)
    same = told(model(0).scaler, "u2 ** 2", ["u1", "u2"])
    start_from(same, tmp_path, "lstm", TABLE.spec)
    past, control = torch.randn(2, 4, 4), torch.randn(2, 1, 2)
    torch.testing.assert_close(same.eval()(past, control), source.eval()(past, control), rtol=0, atol=0)


def trained(folder: Path, transfer: str, epochs: int) -> tuple[dict[str, torch.Tensor], Model]:
    new = model(0)
    before = {key: value.clone() for key, value in new.state_dict().items()}
    options = FitOptions(epochs=epochs, batch_size=32, lr=1e-2, seed=0, ema=None, weight_decay=0.01)
    fit(
        new, TASK, TABLE, range(4), [4, 5], options, folder,
        callbacks=lambda: learning_layers(new, transfer, unfreeze_epochs=2),
    )  # fmt: skip
    last = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert all(p.requires_grad for p in new.parameters())
    return before, {k.removeprefix("model."): v for k, v in last.items()}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("transfer", "epochs", "moved"),
    [
        ("full", 1, {"past_embedding", "control_embedding", "lstm", "head"}),
        ("head", 3, {"head"}),
        ("gradual", 2, {"head"}),
        ("gradual", 3, {"head", "lstm"}),
    ],
)
def test_what_learns(tmp_path: Path, transfer: str, epochs: int, moved: set[str]) -> None:
    before, after = trained(tmp_path, transfer, epochs)
    changed = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}  # type: ignore[arg-type]
    assert changed == moved


def test_layers_near_the_input_learn_more_slowly() -> None:
    torch.manual_seed(0)
    network = OneShotModel(build_net("ribo", TOKEN_SIZES, dict(SMALL_NETS["ribo"])))
    groups = parameter_groups(layers_of(network), OptimizerOptions(1.0, weight_decay=0.1, layer_decay=0.5))
    rates = sorted({group["lr"] for group in groups})
    assert rates == [0.125, 0.25, 0.5, 1.0]  # front, two layers, head
    of = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert of[id(network.net.head.weight)] == 1.0  # type: ignore[union-attr]
    assert of[id(network.net.embedding.weight)] == 0.125  # type: ignore[union-attr]
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    named = dict(network.named_parameters())
    assert id(named["net.embedding.weight"]) not in decayed
    assert id(named["net.norm.weight"]) not in decayed
    assert id(named["net.head.weight"]) in decayed
    assert sum(len(group["params"]) for group in groups) == len(named)


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gradual'"):
        check_transfer("gradul", 2)
    with pytest.raises(ConfigError, match="unfreeze_epochs"):
        check_transfer("gradual", 0)
