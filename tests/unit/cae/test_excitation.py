"""Random trajectories stay within their limits and rates, repeat themselves, and move in all their ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.cae.simulate.excitation import KINDS, Channel, slew_limited
from understudy.errors import ConfigError

limits = st.tuples(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4)).map(lambda p: (p[0], p[0] + p[1]))


@settings(max_examples=150, deadline=None)
@given(
    limits=limits,
    slew=st.floats(1e-3, 1e3) | st.just(float("inf")),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(tuple),
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 400),
    step=st.floats(0.01, 10.0),
)
def test_within_limits_and_rates(
    limits: tuple[float, float], slew: float, kinds: tuple[str, ...], seed: int, n_rows: int, step: float
) -> None:
    channel = Channel("u", "V", *limits, slew=slew, kinds=kinds, dwell=(1.0, 30.0), period=(2.0, 20.0))
    drawn = channel.draw(np.random.default_rng(seed), n_rows, step)
    assert drawn.shape == (n_rows,)
    room = 1e-9 * max(abs(limits[0]), abs(limits[1]))
    assert drawn.min() >= limits[0] - room
    assert drawn.max() <= limits[1] + room
    assert (np.abs(np.diff(drawn)) <= slew * step + room).all()
    again = channel.draw(np.random.default_rng(seed), n_rows, step)
    assert drawn.tobytes() == again.tobytes()


def test_constant_is_a_probability() -> None:
    def share(constant: float) -> float:
        channel = Channel("u", "V", 0.0, 1.0, kinds=("step",), dwell=(1.0, 2.0), constant=constant)
        draws = [channel.draw(np.random.default_rng(seed), 200, 0.1) for seed in range(200)]
        return float(np.mean([np.ptp(d) == 0 for d in draws]))

    assert share(1.0) == 1.0
    assert share(0.0) == 0.0
    assert 0.15 < share(0.25) < 0.35


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_moves_in_its_own_way(kind: str) -> None:
    channel = Channel(
        "u", "V", 0.0, 1.0, kinds=(kind,), dwell=(20.0, 20.0), period=(10.0, 10.0), constant=0.0
    )
    drawn = channel.draw(np.random.default_rng(3), 400, 0.1)  # two segments of 20 s
    changes, bends = np.abs(np.diff(drawn[:200])), np.abs(np.diff(drawn[:200], 2))
    if kind in ("hold", "step"):
        assert changes.max() == 0
        assert (abs(drawn[200] - drawn[199]) > 0) == (kind == "step")
    elif kind == "ramp":
        assert changes.min() > 0
        assert bends.max() < 1e-12
    else:
        assert drawn[:100] == pytest.approx(drawn[100:200])  # a period of 10 s
        assert np.ptp(drawn[:100]) > 0


def test_slew_limit_follows_and_arrives() -> None:
    followed = slew_limited(np.array([0.0, 10.0, 10.0, 10.0, 10.0, 9.5]), 4.0)
    assert followed.tolist() == [0.0, 4.0, 8.0, 10.0, 10.0, 9.5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low": 2.0, "high": 1.0}, "no values lie between 2 and 1"),
        ({"low": float("nan")}, "no values lie"),
        ({"slew": 0.0}, "slew rate"),
        ({"kinds": ()}, "kinds is empty"),
        ({"kinds": ("stp",)}, "did you mean 'step'"),
        ({"dwell": (0.0, 1.0)}, "dwell"),
        ({"period": (3.0, 1.0)}, "period"),
        ({"constant": 1.5}, "probability"),
    ],
)
def test_impossible_channels(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Channel(**{"name": "u", "unit": "V", "low": 0.0, "high": 1.0, **change})  # type: ignore[arg-type]
