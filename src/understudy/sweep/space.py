"""The parameters of a sweep: Hydra's override grammar as Optuna's distributions."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep

from understudy.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Parameter:
    """One swept key.

    Args:
        key: as it was written, with Hydra's ``+`` where it had one.
        distribution: what Optuna draws from.
        values: all of them where they can be counted, else None.
        texts: how a value is written in an override, where it is not written like a number.
    """

    key: str
    distribution: BaseDistribution
    values: tuple[Value, ...] | None
    texts: Mapping[Value, str]

    def override(self, value: Value) -> str:
        """``key=value`` in Hydra's grammar."""
        if value in self.texts:
            return f"{self.key}={self.texts[value]}"
        return f"{self.key}={value!r}"

    @property
    def example(self) -> Value:
        """A value to try whether the key can be set at all."""
        if self.values is not None:
            return self.values[0]
        low: float = getattr(self.distribution, "low", 0.0)
        return low


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep, and the overrides that all of its trials share."""

    parameters: tuple[Parameter, ...]
    fixed: tuple[str, ...]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {p.key: p.distribution for p in self.parameters}

    @property
    def combinations(self) -> int | None:
        """How many points the space has; None: not countable."""
        sizes = [None if p.values is None else len(p.values) for p in self.parameters]
        counted = [n for n in sizes if n is not None]
        return math.prod(counted) if len(counted) == len(sizes) else None

    def points(self) -> Iterator[dict[str, Value]]:
        """Every combination, the last parameter changing fastest."""
        keys = [p.key for p in self.parameters]
        for values in itertools.product(*(p.values or () for p in self.parameters)):
            yield dict(zip(keys, values, strict=True))

    def overrides(self, point: Mapping[str, Value]) -> list[str]:
        """The overrides of a trial: the fixed ones, then its own."""
        return [*self.fixed, *(p.override(point[p.key]) for p in self.parameters)]

    def probes(self) -> Iterator[list[str]]:
        """Overrides that use every choice of every parameter at least once, a few dozen at most."""
        first = {p.key: p.example for p in self.parameters}
        yield self.overrides(first)
        others = (first | {p.key: v} for p in self.parameters if p.texts for v in (p.values or ())[1:])
        yield from (self.overrides(point) for point in itertools.islice(others, 30))

    def describe(self) -> dict[str, str]:
        """Each key with its distribution in one form of writing, to compare studies with."""
        from optuna.distributions import distribution_to_json

        return {
            p.key: json.dumps(json.loads(distribution_to_json(p.distribution)), sort_keys=True)
            for p in sorted(self.parameters, key=lambda p: p.key)
        }


def space_of(overrides: Sequence[Override], current: Mapping[str, Any]) -> Space:
    """What is swept and what stands fixed; a later override of a key replaces an earlier one.

    Args:
        current: values that the configuration has without these overrides, by key.

    Raises:
        ConfigError: a range or a choice that holds nothing.
    """
    parameters: dict[str, Parameter] = {}
    fixed: dict[str, str] = {}
    for override in overrides:
        key = override.get_key_element()
        name = key.lstrip("+~")
        parameters.pop(name, None)
        fixed.pop(name, None)
        if override.is_sweep_override():
            parameters[name] = _parameter(key, override, current.get(name))
        else:
            assert override.input_line is not None
            fixed[name] = override.input_line
    return Space(tuple(parameters.values()), tuple(fixed.values()))


def _parameter(key: str, override: Override, current: Any) -> Parameter:
    value = override.value()
    if isinstance(value, IntervalSweep):
        return _interval(key, override, value, current)
    if isinstance(value, RangeSweep) and (found := _range(key, value)) is not None:
        return found
    return _choice(key, override)


def _interval(key: str, override: Override, sweep: IntervalSweep, current: Any) -> Parameter:
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    assert low is not None
    assert high is not None
    if low > high:
        raise ConfigError(f"{override.input_line}: the interval is empty, {low:g} is above {high:g}")
    if log and low <= 0:
        raise ConfigError(f"{override.input_line}: a logarithmic interval starts above 0, not at {low:g}")
    whole = isinstance(low, int) and isinstance(high, int)
    if isinstance(current, int) and not isinstance(current, bool):
        # model.width=interval(8, 64): a fraction of a width is never meant.
        whole = whole or (float(low).is_integer() and float(high).is_integer())
    if whole:
        return Parameter(key, IntDistribution(int(low), int(high), log=log), None, {})
    return Parameter(key, FloatDistribution(float(low), float(high), log=log), None, {})


def _range(key: str, sweep: RangeSweep) -> Parameter | None:
    """A range as numbers with a distance; None where it can only be a list (it counts down)."""
    from optuna.distributions import FloatDistribution, IntDistribution

    # Decimals: 0.1, 0.2, 0.3 instead of 0.30000000000000004.
    values = [round(v, 12) if isinstance(v, float) else v for v in sweep.range()]
    if not values:
        raise ConfigError(f"{key}=range({sweep.start}, {sweep.stop}, {sweep.step}): the range is empty")
    if len(values) == 1 or values[0] > values[-1]:
        return None
    log = "log" in sweep.tags
    if all(isinstance(v, int) for v in values):
        step = 1 if log else int(sweep.step)
        return Parameter(
            key, IntDistribution(int(values[0]), int(values[-1]), log=log, step=step), tuple(values), {}
        )
    distribution = FloatDistribution(float(values[0]), float(values[-1]), step=float(sweep.step))
    return Parameter(key, distribution, tuple(values), {})


def _choice(key: str, override: Override) -> Parameter:
    from optuna.distributions import CategoricalDistribution

    texts = list(override.sweep_string_iterator())
    if not texts:
        raise ConfigError(f"{override.input_line}: nothing to choose from")
    plain = [_plain(v) for v in override.sweep_iterator()]
    if any(v is None for v in plain) or len({str(v) for v in plain}) < len(set(texts)):
        plain = list(texts)  # lists, nulls and the like are told apart by how they are written
    named = dict(zip(plain, texts, strict=True))
    if len(named) < len(set(texts)):  # 1 and true are the same key of a dictionary
        named = {t: t for t in texts}
    return Parameter(key, CategoricalDistribution(list(named)), tuple(named), named)


def _plain(value: Any) -> Value:
    """A value that Optuna stores as it is, or None."""
    if isinstance(value, QuotedString):
        return value.text
    return value if isinstance(value, (str, int, float, bool)) else None
