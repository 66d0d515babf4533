"""Hydra's grammar means to Optuna what it means to Hydra."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from understudy.errors import ConfigError
from understudy.sweep.space import Space, space_of


def space(*overrides: str, **current: object) -> Space:
    return space_of(OverridesParser.create().parse_overrides(list(overrides)), current)


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("choice(dot, dol)", CategoricalDistribution(["dot", "dol"])),
        ("dot,dol", CategoricalDistribution(["dot", "dol"])),
        ("choice(0.1, 1, true)", CategoricalDistribution(["0.1", "1", "True"])),  # 1 equals true in Python
        ("choice(0.1, 2, true)", CategoricalDistribution([0.1, 2, True])),
        ("choice([1,2],[3])", CategoricalDistribution(["[1,2]", "[3]"])),
        ("range(1, 5)", IntDistribution(1, 4)),  # Hydra's end is not part of a range
        ("range(32, 65, 8)", IntDistribution(32, 64, step=8)),
        ("range(0.1, 0.5, 0.1)", FloatDistribution(0.1, 0.4, step=0.1)),
        ("range(5, 1, -1)", CategoricalDistribution([5, 4, 3, 2])),
        ("tag(log, range(1, 50))", IntDistribution(1, 49, log=True)),
        ("interval(0, 1)", FloatDistribution(0.0, 1.0)),
        ("int(interval(1, 5))", IntDistribution(1, 5)),
        ("tag(log, interval(1e-5, 0.1))", FloatDistribution(1e-5, 0.1, log=True)),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
    ],
)
def test_distributions(text: str, distribution: BaseDistribution) -> None:
    (parameter,) = space(f"a={text}").parameters
    assert parameter.distribution == distribution


def test_an_interval_over_a_whole_number_has_whole_numbers() -> None:
    parser = OverridesParser.create()
    overrides = parser.parse_overrides(["model.width=interval(8, 64)", "settings.lr=interval(0, 1)"])
    width, lr = space_of(overrides, {"model.width": 32, "settings.lr": 0.1}).parameters
    assert width.distribution == IntDistribution(8, 64)
    assert lr.distribution == FloatDistribution(0.0, 1.0)
    (flag,) = space_of(parser.parse_overrides(["a=interval(0, 1)"]), {"a": True}).parameters
    assert flag.distribution == FloatDistribution(0.0, 1.0)


@pytest.mark.parametrize("text", ["'x y','a,b'", "[1,2],[3]", "dot,dol", "1,2", "0.5,1e-05", "true,false"])
def test_a_value_reaches_hydra_as_it_was_written(text: str) -> None:
    (parameter,) = space(f"+a={text}").parameters
    parser = OverridesParser.create()
    wanted = [o.value() for o in parser.parse_overrides([f"+a={t}" for t in parameter.texts.values()])]
    written = [parameter.override(v) for v in parameter.values or ()]
    assert [o.value() for o in parser.parse_overrides(written)] == wanted
    (whole,) = parser.parse_overrides([f"+a={text}"])
    assert len(wanted) == len(list(whole.sweep_iterator()))


def test_numbers_reach_hydra_exactly() -> None:
    (parameter,) = space("a=interval(0, 1)").parameters
    for value in (1e-7, 0.1 + 0.2, 1 / 3):
        (override,) = OverridesParser.create().parse_overrides([parameter.override(value)])
        assert override.value() == value


def test_points_and_combinations() -> None:
    both = space("a=1,2", "b=range(0,3)", "c=7")
    assert both.combinations == 6
    points = list(both.points())
    assert len({tuple(p.values()) for p in points}) == 6
    assert both.overrides(points[0]) == ["c=7", "a=1", "b=0"]
    assert space("a=1,2", "b=interval(0,1)").combinations is None
    assert list(space("c=7").points()) == [{}]


def test_a_later_override_of_a_key_replaces_an_earlier_one() -> None:
    assert space("a=1,2", "a=5").fixed == ("a=5",)
    assert not space("a=1,2", "a=5").parameters
    (parameter,) = space("a=5", "+a=range(0,3)").parameters
    assert parameter.distribution == IntDistribution(0, 2)


@pytest.mark.parametrize("text", ["range(5, 1)", "interval(5, 1)", "tag(log, interval(0, 1))"])
def test_what_holds_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a="):
        space(f"a={text}")
