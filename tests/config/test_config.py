"""Every yaml composes, resolves and binds; every mistake gets a line with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.core.config_store import ConfigStore

import understudy.conf
from understudy.cae.simulate.refrigerant.case import DEFAULTS
from understudy.cae.simulate.refrigerant.components import saturated_humidity
from understudy.cae.simulate.refrigerant.layout import MOST_HUMIDITY, U_HUMIDITY, ZERO_C
from understudy.config import Plan, Settings, build, compose
from understudy.core.domain import domain
from understudy.core.formulas import parse
from understudy.core.nets import NETS, Sizes, TokenSizes, build_net, sizes_type
from understudy.errors import ConfigError

CONF = Path(understudy.conf.__file__).parent


def choices(group: str) -> list[str]:
    return sorted(p.stem for p in (CONF / group).glob("*.yaml"))


def plan(*overrides: str) -> Plan:
    return build(compose(overrides), Path("nowhere"))


def test_default_values_are_those_of_the_reference() -> None:
    settings = plan("dataset=csv").settings
    assert (settings.is_debug, settings.use_decimate, settings.decimate_range) == (False, True, 1.0)
    assert (settings.in_len, settings.out_len, settings.seed, settings.epochs) == (10, 1, 42, 500)
    assert (settings.batch_size, settings.lr, settings.criterion) == (1024, 0.001, "mse")
    assert (settings.is_save_model, settings.mlflow_exp_name) == (False, "pytorch_lightning_test")
    assert (settings.max_minutes, settings.unroll, settings.noise) == (None, 0, 0.0)
    dot = plan("dataset=csv")
    assert dot.network == "dot"
    assert dot.arguments == {
        "heads": 8, "fc_dim": 1024, "trunk_depth": 2, "trunk_dim": 256, "branch_depth": 2, "branch_dim": 128,
        "width": 32, "dropout": 0.0, "emb_dropout": 0.5, "derived": None,
    }  # fmt: skip


def test_every_network_has_a_page_and_every_page_a_network() -> None:
    assert choices("model") == sorted(NETS)


@pytest.mark.parametrize("name", choices("model"))
def test_every_model_builds(name: str) -> None:
    chosen = plan(f"model={name}")
    assert chosen.network == name
    sizes = {Sizes: Sizes(10, 1, 3, 4), TokenSizes: TokenSizes(4, 4, 2)}
    build_net(chosen.network, sizes[sizes_type(name)], dict(chosen.arguments))


@pytest.mark.parametrize("name", choices("dataset"))
def test_every_dataset_binds(name: str) -> None:
    chosen = plan(f"dataset={name}")
    schema = domain(chosen.domain).datasets[chosen.dataset.name]
    assert type(chosen.dataset) is schema


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_composes(name: str) -> None:
    assert plan(f"experiment={name}").network in NETS


def test_builtin_data_ends_in_time_and_a_word_on_the_command_line_wins() -> None:
    assert plan().settings.max_minutes == 2.5
    assert plan("settings.max_minutes=null").settings.max_minutes is None


def test_overrides_reach_the_plan() -> None:
    chosen = plan("model=bt", "model.dim=64", "settings.lr=3e-4", "dataset=csv", "dataset.controls=[a,b]")
    assert (chosen.network, chosen.arguments["dim"], chosen.settings.lr) == ("bt", 64, 3e-4)
    assert chosen.dataset.controls == ["a", "b"]  # type: ignore[attr-defined]
    assert chosen.parameters["model.dim"] == 64


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model=dott", "did you mean 'dot'"),
        ("dataset=csvv", "did you mean 'csv'"),
        ("mdel=dot", "did you mean 'model'"),
        ("model.widht=3", "did you mean 'model.width'"),
        ("settings.lrr=1", "did you mean 'settings.lr'"),
        ("settings.in_lenn=1", "did you mean 'settings.in_len'"),
        ("settings.lr=fast", "settings.lr: Value 'fast'"),
        ("settings.epochs=1.5", "settings.epochs: Value '1.5'"),
        ("dataset.val_size=many", "val_size: Value 'many'"),
        ("dataset=tanks dataset.cases=few", "cases: Value 'few'"),
        ("trainer.acelerator=gpu", "did you mean 'trainer.accelerator'"),
        ("settings.decimate_range=0 settings.use_decimate=true", "above 0"),
        ("dataset=tanks dataset.name=tank", "did you mean 'tanks'"),
        ("model.width=[", "model.width=["),
    ],
)
def test_mistakes_get_one_line(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(*override.split())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": "wide"}, "whole number"),
        ({"width": 0}, "at least 1"),
        ({"emb_dropout": 1.0}, "from 0 to below 1"),
        ({"heads": 7}, "cannot be divided"),
        ({"widht": 3}, "did you mean 'width'"),
    ],
)
def test_arguments_of_networks_are_checked(arguments: dict[str, object], words: str) -> None:
    good = dict(plan().arguments)
    with pytest.raises(ConfigError, match=words):
        build_net("dot", Sizes(10, 1, 3, 4), good | arguments)
    with pytest.raises(ConfigError, match="needs the argument 'width'"):
        build_net("dot", Sizes(10, 1, 3, 4), {k: v for k, v in good.items() if k != "width"})


def test_typed_groups_are_registered() -> None:
    assert ConfigStore.instance().load("settings/default.yaml").node._metadata.object_type is Settings


def test_the_humidity_that_a_recipe_tells_is_that_of_the_simulation() -> None:
    (formula,) = map(parse, plan("experiment=refrigerant_humid").arguments["derived"].values())
    celsius = torch.arange(-20, 60, 0.5, dtype=torch.float64)
    simulated = [
        1e3 * min(0.01 * DEFAULTS[U_HUMIDITY] * saturated_humidity(t + ZERO_C), MOST_HUMIDITY)
        for t in celsius.tolist()
    ]
    assert formula({"Eva_AirT": celsius}).tolist() == pytest.approx(simulated, rel=1e-9)
