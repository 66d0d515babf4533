"""The circuit's own controllers, one sample at a time, and how controls move between samples."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.cae.simulate.refrigerant import layout as c
from understudy.cae.simulate.refrigerant.case import DEFAULTS, N_INPUTS, at_rest
from understudy.cae.simulate.refrigerant.circuit import slopes
from understudy.cae.simulate.refrigerant.control import (
    M_INTEGRAL,
    M_LIMIT,
    N_MEMORY,
    applied_opening,
    applied_speed,
)
from understudy.cae.simulate.refrigerant.fluid import load_fluid
from understudy.cae.simulate.refrigerant.integrate import advance, space
from understudy.cae.simulate.refrigerant.parameters import Protection, Superheat
from understudy.cae.simulate.refrigerant.signals import circuit_of

STEP = 0.1
LIMITS, PI = Protection(), Superheat()


def speeds(n: int, wanted: float, now: float, low: float, high: float) -> list[float]:
    """``n`` samples under constant pressures [Pa]."""
    memory = np.zeros(N_MEMORY)
    memory[M_LIMIT] = LIMITS.fastest
    seen = []
    for _ in range(n):
        now = applied_speed(LIMITS, wanted, now, low, high, memory, STEP)
        seen.append(now)
    return seen


def test_speed_follows_what_is_wanted_at_its_rate() -> None:
    seen = speeds(60, 5000.0, 3000.0, 3e5, 15e5)
    assert np.diff([3000.0, *seen[:20]]) == pytest.approx([LIMITS.slew * STEP] * 20)
    assert seen[-1] == 5000.0


@pytest.mark.parametrize(("low", "high"), [(3e5, 26e5), (1.6e5, 15e5)], ids=["high pressure", "low pressure"])
def test_speed_is_taken_back_near_the_limits(low: float, high: float) -> None:
    seen = speeds(300, 6000.0, 6000.0, low, high)
    assert np.all(np.diff(seen) <= 0.0)
    assert 800.0 <= seen[-1] < 5000.0


@pytest.mark.parametrize(("low", "high"), [(3e5, 30e5), (1.0e5, 15e5)], ids=["high pressure", "low pressure"])
def test_beyond_the_limits_it_is_switched_off_and_waits(low: float, high: float) -> None:
    memory = np.zeros(N_MEMORY)
    memory[M_LIMIT] = LIMITS.fastest
    now = applied_speed(LIMITS, 6000.0, 6000.0, low, high, memory, STEP)
    seen = [now]
    for _ in range(400):
        seen.append(applied_speed(LIMITS, 6000.0, seen[-1], 3e5, 15e5, memory, STEP))
    off = np.flatnonzero(np.array(seen) == 0.0)
    assert len(off) > 0
    assert off[0] <= 6000.0 / (LIMITS.stop * STEP) + 1
    assert off[-1] * STEP == pytest.approx(LIMITS.restart, abs=3 * STEP)


def test_valve_opens_for_more_superheat_than_wanted_and_keeps_its_limits() -> None:
    for superheat, end in ((25.0, 100.0), (0.0, PI.least)):
        memory = np.zeros(N_MEMORY)
        memory[M_INTEGRAL] = now = 40.0
        for _ in range(3000):
            after = applied_opening(PI, 0, 8.0, 0.0, now, superheat, memory, STEP)
            assert abs(after - now) <= PI.slew * STEP * (1 + 1e-12)
            now = after
        assert now == end
        # The integral waits at the limit: the valve answers at once when the error turns.
        turned = 8.0 - (superheat - 8.0) * 3
        for _ in range(60):
            now = applied_opening(PI, 0, 8.0, 0.0, now, turned, memory, STEP)
        assert now != end


def test_controls_move_in_straight_lines_between_samples() -> None:
    """The speed follows its command with a lag, whose answer to a ramp is known."""
    fluid, circuit = load_fluid("R1234yf"), circuit_of("step2")
    u0 = np.array(DEFAULTS)
    u1 = u0.copy()
    u1[c.U_RPM] = 900.0
    y = at_rest(fluid, circuit, u0)
    s = space(circuit, N_INPUTS)
    slopes(fluid, circuit, y, u0, s.work, s.k[0], s.notes)
    seconds, lag = 1.5, circuit.compressor.lag
    step, _ = advance(fluid, circuit, y, u0, u1, seconds, 0.002, 0.05, 0.05, s)
    assert step > 0
    assert y[c.RPM] == pytest.approx(
        900.0 / seconds * (seconds - lag * (1 - np.exp(-seconds / lag))), rel=1e-3
    )
    assert y[c.P_HIGH] > y[c.P_LOW]
