"""Strategies: what they go by, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from understudy.core.acquire import STRATEGIES, VALUES, Array, choose
from understudy.errors import ConfigError

COORDINATES = st.integers(-5, 5).map(float)  # few values: equal candidates and equal distances occur


@dataclass
class Given:
    """Candidates of which everything is known."""

    x: Array = field(default_factory=lambda: np.zeros((4, 1)))
    known: Array = field(default_factory=lambda: np.empty((0, 0)))
    error: Array | None = None
    apart: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def features(self) -> Array:
        return self.x

    def known_features(self) -> Array:
        return self.known

    def expected_error(self) -> Array:
        assert self.error is not None
        return self.error

    def disagreement(self) -> Array:
        assert self.apart is not None
        return self.apart


@given(st.data())
def test_k_center_takes_the_farthest_from_everything_it_has(data: st.DataObject) -> None:
    x = data.draw(arrays(np.float64, (data.draw(st.integers(1, 9)), 2), elements=COORDINATES))
    known = data.draw(arrays(np.float64, (data.draw(st.integers(0, 3)), 2), elements=COORDINATES))
    picks = choose(Given(x, known), "k-center", len(x))
    assert sorted(p.place for p in picks) == list(range(len(x)))
    have = list(known)
    for k, pick in enumerate(picks):
        if have:
            left = [i for i in range(len(x)) if i not in [p.place for p in picks[:k]]]
            nearest = {i: min(np.linalg.norm(x[i] - h) for h in have) for i in left}
            assert nearest[pick.place] == pytest.approx(max(nearest.values()))
            assert pick.value == pytest.approx(nearest[pick.place])
        else:
            distances = np.linalg.norm(x - x.mean(0), axis=1)
            assert distances[pick.place] == pytest.approx(distances.min())
        have.append(x[pick.place])


@pytest.mark.parametrize(("by", "key"), [("learning-loss", "error"), ("disagreement", "apart")])
def test_the_highest_come_first_and_what_is_no_number_before_them(by: str, key: str) -> None:
    values = np.array([0.3, np.nan, 0.9, 0.1])
    picks = choose(Given(**{key: values}), by, 3)
    assert [p.place for p in picks] == [1, 2, 0]
    assert [p.value for p in picks[1:]] == [0.9, 0.3]


def test_random_is_without_repetition_and_of_its_seed() -> None:
    candidates = Given(np.zeros((50, 1)))
    first = [p.place for p in choose(candidates, "random", 20, seed=3)]
    assert len(set(first)) == 20
    assert first == [p.place for p in choose(candidates, "random", 20, seed=3)]
    assert first != [p.place for p in choose(candidates, "random", 20, seed=4)]


@pytest.mark.parametrize("n", [0, 5])
def test_a_number_that_cannot_be(n: int) -> None:
    with pytest.raises(ConfigError, match=f"{n} of 4 candidates"):
        choose(Given(), "random", n)


def test_an_unknown_strategy_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'k-center'"):
        choose(Given(), "k-centre", 1)


def test_every_strategy_says_what_its_value_is() -> None:
    assert set(VALUES) == set(STRATEGIES)
