"""Who trains, who validates, who tests: by case, seeded by a generator of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from understudy.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Split:
    """Case ids of the three parts.

    Raises:
        ConfigError: a case stands in two parts, or a part that is needed is empty.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = [set(self.train), set(self.val), set(self.test)]
        overlap = (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])
        if overlap:
            raise ConfigError(f"case {min(overlap)!r} would stand in two parts of the split")
        for name, part in (("training", self.train), ("validation", self.val), ("test", self.test)):
            if not part:
                raise ConfigError(f"the split leaves no {name} case")

    def to_json(self) -> dict[str, Any]:
        return {"train": list(self.train), "val": list(self.val), "test": list(self.test)}


def split_by_case(
    ids: Sequence[str],
    *,
    val_size: float,
    test_size: float,
    seed: int,
    val_cases: Sequence[str] = (),
    test_cases: Sequence[str] = (),
) -> Split:
    """Draw the test cases, then the validation cases; the rest trains.

    A size is a number of cases (``50``) or a share of all cases (``0.2``). ``val_cases`` and ``test_cases``
    name cases or patterns (``"swing_*"``) instead, and win over the sizes.

    Raises:
        ConfigError: sizes that leave no training case, a pattern that fits nothing.
    """
    rng = np.random.default_rng(seed)
    test = _matching(ids, test_cases, "dataset.test_cases")
    val = [i for i in _matching(ids, val_cases, "dataset.val_cases") if i not in set(test)]
    n_test = len(test) if test_cases else _count(test_size, len(ids), "dataset.test_size")
    n_val = len(val) if val_cases else _count(val_size, len(ids), "dataset.val_size")
    if n_test + n_val >= len(ids):
        raise ConfigError(
            f"dataset.val_size ({n_val}) + dataset.test_size ({n_test}) must stay below the number of cases "
            f"({len(ids)})"
        )
    # One permutation whatever the sizes are: a larger validation set keeps the test set as it was.
    order = [ids[i] for i in rng.permutation(len(ids))]
    if not test_cases:
        test = [i for i in order if i not in set(val)][:n_test]
    if not val_cases:
        val = [i for i in order if i not in set(test)][:n_val]
    rest = set(ids) - set(test) - set(val)
    return Split(train=_ordered(ids, rest), val=_ordered(ids, val), test=_ordered(ids, test))


def _ordered(ids: Sequence[str], chosen: Iterable[str]) -> tuple[str, ...]:
    """The chosen ids in the order of the data set."""
    members = set(chosen)
    return tuple(i for i in ids if i in members)


def _matching(ids: Sequence[str], patterns: Sequence[str], key: str) -> list[str]:
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [i for i in ids if fnmatchcase(i, pattern)]
        if not found:
            raise ConfigError(f"{key}: {pattern!r} fits no case{did_you_mean(pattern, ids)}")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _count(size: float, n_cases: int, key: str) -> int:
    if size < 0:
        raise ConfigError(f"{key} must not be negative, but is {size}")
    if 0 < size < 1:
        return max(1, round(size * n_cases))
    if size != int(size):
        raise ConfigError(f"{key} is a number of cases or a share below 1, not {size}")
    return int(size)
