"""The circuit's own controllers: superheat at both valves, protection of the compressor. Compiled.

They run once a sample on what was measured at it, and decide the controls of the next one. What they applied, not
what was asked for, is the recorded control.
"""

from __future__ import annotations

from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Floats
from understudy.cae.simulate.refrigerant.parameters import Protection, Superheat

# Memory of the controllers: speed limit, seconds until restart, then for each valve its integral and its sensor.
M_LIMIT, M_OFF, M_INTEGRAL, M_SENSOR = 0, 1, 2, 4
N_MEMORY = 6


@compiled
def applied_speed(
    limits: Protection,
    wanted: float,
    now: float,
    p_suction: float,
    p_discharge: float,
    memory: Floats,
    step: float,
) -> float:
    """Compressor speed of the next sample [rpm]."""
    memory[M_OFF] = max(memory[M_OFF] - step, 0.0)
    tripped = p_discharge > limits.trip_above or (p_suction < limits.trip_below and now > 0.0)
    if tripped:
        memory[M_OFF], memory[M_LIMIT] = limits.restart, 800.0
    push = limits.recover
    if p_discharge > limits.derate_above or p_suction < limits.derate_below:
        push = -limits.high_gain * max(p_discharge - limits.derate_above, 0.0)
        push -= limits.low_gain * max(limits.derate_below - p_suction, 0.0)
        memory[M_LIMIT] = min(memory[M_LIMIT], now + 1.0)  # takes hold at the present speed
    memory[M_LIMIT] = min(max(memory[M_LIMIT] + push * step, 800.0), limits.fastest)
    goal = 0.0 if memory[M_OFF] > 0.0 else min(wanted, memory[M_LIMIT])
    down = limits.stop if memory[M_OFF] > 0.0 else limits.slew
    return now + min(max(goal - now, -down * step), limits.slew * step)


@compiled
def applied_opening(
    pi: Superheat,
    which: int,
    target: float,
    dither: float,
    now: float,
    superheat: float,
    memory: Floats,
    step: float,
) -> float:
    """Opening [%] of the next sample of valve ``which`` (0 evaporator, 1 chiller) for a superheat target in K."""
    memory[M_SENSOR + which] += (superheat - memory[M_SENSOR + which]) * step / (pi.sensor + step)
    error = memory[M_SENSOR + which] - target
    integral = memory[M_INTEGRAL + which] + pi.gain / pi.integral * error * step
    memory[M_INTEGRAL + which] = min(max(integral, pi.least), 100.0)
    goal = memory[M_INTEGRAL + which] + pi.gain * error + dither
    return follow(min(max(goal, pi.least), 100.0), now, pi.slew * step)


@compiled
def follow(goal: float, now: float, most: float) -> float:
    """One sample towards ``goal`` with a change of at most ``most``."""
    return now + min(max(goal - now, -most), most)
