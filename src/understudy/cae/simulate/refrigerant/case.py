"""One case: from rest through a warm-up to the recorded rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from understudy.cae.simulate.refrigerant import layout as c
from understudy.cae.simulate.refrigerant.circuit import slopes, stored
from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.control import (
    M_INTEGRAL,
    M_LIMIT,
    N_MEMORY,
    applied_opening,
    applied_speed,
    follow,
)
from understudy.cae.simulate.refrigerant.fluid import Floats, Fluid
from understudy.cae.simulate.refrigerant.integrate import Space, advance, space
from understudy.cae.simulate.refrigerant.parameters import Circuit
from understudy.cae.simulate.refrigerant.properties import saturation, thermal_state
from understudy.cae.simulate.refrigerant.signals import measure

N_INPUTS = 15  # controls of the larger variant; the smaller one holds the last six at their defaults
DEFAULTS = (0.0, 25.0, 2.0, 25.0, 0.08, 8.0, 25.0, 20.0, 20.0, 40.0, 0.0, 0.0, 25.0, 0.0, 0.0)
# Requests: the controls, then superheat targets [K] and dither [%] for evaporator and chiller valve.
R_TARGET, R_DITHER, N_REQUESTS = 15, 17, 19


@dataclass(frozen=True)
class Course:
    """What a case asks of the circuit.

    Args:
        requests: ``(T, N_REQUESTS)``; the compressor's protection may keep its speed from being reached.
        manual: of evaporator and chiller valve: follow the requested opening instead of controlling superheat.
        warm_up: seconds before the first row under its requests; 0 starts the recording from rest.
    """

    requests: Floats
    manual: tuple[bool, bool] = (False, False)
    warm_up: float = 120.0


@dataclass(frozen=True)
class Trace:
    """A simulated case.

    ``controls`` ``(T, N_INPUTS)`` as applied, ``outputs`` ``(T, outputs of the variant)`` in recorded units; the
    rest tells how well mass and energy were kept, as shares of the charge and of the heat turned over.
    """

    controls: Floats
    outputs: Floats
    mass_drift: float
    energy_residual: float
    steps: int


def simulate(
    fluid: Fluid,
    circuit: Circuit,
    course: Course,
    step: float,
    *,
    tolerance: float = 1.0,
    longest: float = 0.1,
) -> Trace | None:
    """The case, or None where the integration left the model's domain."""
    n = len(course.requests)
    working = space(circuit, N_INPUTS)
    u = course.requests[0, :N_INPUTS].copy()
    y = at_rest(fluid, circuit, u)
    memory = np.zeros(N_MEMORY)
    memory[M_LIMIT] = circuit.protection.fastest
    memory[M_INTEGRAL : M_INTEGRAL + 2] = u[c.U_EVAPORATOR_VALVE], u[c.U_CHILLER_VALVE]
    u[c.U_RPM] = 0.0
    manual = np.array(course.manual)
    controls = np.zeros((n, N_INPUTS))
    outputs = np.zeros((n, 47 if circuit.water.cells else 41))
    balance = np.zeros((n, 2))  # external power in, and turned over
    before = round(course.warm_up / step)
    steps = 0
    slopes(fluid, circuit, y, u, working.work, working.k[0], working.notes)
    if before:
        still = np.repeat(course.requests[:1], before + 1, axis=0)
        scratch = [np.zeros((before + 1, columns)) for columns in (N_INPUTS, outputs.shape[1], 2)]
        steps = _run(fluid, circuit, y, u, still, manual, memory, step, tolerance, longest, working, *scratch)
        if steps < 0:
            return None
    mass, energy = stored(fluid, circuit, y)
    more = _run(fluid, circuit, y, u, course.requests, manual, memory, step, tolerance, longest, working,
                controls, outputs, balance)  # fmt: skip
    if more < 0 or not np.isfinite(outputs).all():
        return None
    mass_after, energy_after = stored(fluid, circuit, y)
    gained = float(np.trapezoid(balance[:, 0], dx=step))
    turned = max(float(np.trapezoid(balance[:, 1], dx=step)), 1.0)
    return Trace(
        controls,
        outputs,
        abs(mass_after - mass) / mass,
        abs(energy_after - energy - gained) / turned,
        steps + more,
    )


def at_rest(fluid: Fluid, circuit: Circuit, u: Floats) -> Floats:
    """States of a circuit that stood still: one pressure, liquid in the accumulator, walls as warm as outside."""
    outside = {
        "water": u[c.U_WATER_T], "condenser": u[c.U_CONDENSER_T],
        "evaporator": u[c.U_EVAPORATOR_T], "chiller": u[c.U_CHILLER_T],
    }  # fmt: skip
    coldest = min(outside.values()) + c.ZERO_C
    y = np.zeros(c.n_states(circuit))
    p = float(
        np.exp(np.interp(coldest, fluid.t_sat, fluid.ln_p0 + fluid.d_ln_p * np.arange(len(fluid.t_sat))))
    )
    sat = saturation(fluid, p)
    y[[c.P_HIGH, c.P_LOW]] = p
    y[c.T_SHELL], y[c.T_CABIN], y[c.T_BATTERY] = (
        np.array([u[c.U_CONDENSER_T] + 25.0, u[c.U_EVAPORATOR_T], u[c.U_CHILLER_T]]) + c.ZERO_C
    )
    at = c.FIRST_CELL
    for name, t in outside.items():
        n = getattr(circuit, name).cells
        y[at : at + n] = sat.h_v + 1000.0 * max(t + c.ZERO_C - coldest, 1.0)
        y[at + n : at + 2 * n] = t + c.ZERO_C
        at += 2 * n
    y[c.H_ACCUMULATOR] = sat.h_v
    wanted = circuit.charge - (stored(fluid, circuit, y)[0] - circuit.accumulator / sat.v_v)
    y[c.H_ACCUMULATOR] = brentq(
        lambda h: circuit.accumulator * thermal_state(fluid, sat, h)[1] - wanted, sat.h_l - 5e3, sat.h_v
    )
    return y


@compiled
def _superheat(fluid: Fluid, p: float, h: float) -> float:
    sat = saturation(fluid, p)
    return thermal_state(fluid, sat, h)[0] - sat.t


@compiled
def _next_controls(
    fluid: Fluid, circuit: Circuit, y: Floats, u: Floats, request: Floats, manual: NDArray[np.bool_],
    memory: Floats, step: float, notes: Floats, after: Floats,
) -> None:  # fmt: skip
    """Controls of the next sample from its requests and what is measured now."""
    limits, pi = circuit.protection, circuit.superheat
    after[:] = request[:N_INPUTS]
    after[c.U_RPM] = applied_speed(
        limits, request[c.U_RPM], u[c.U_RPM], notes[c.X_P_SUCTION], notes[c.X_P_DISCHARGE], memory, step
    )
    at = c.FIRST_CELL + 2 * (circuit.water.cells + circuit.condenser.cells)
    for which in range(2):
        valve = c.U_EVAPORATOR_VALVE + which
        hx = circuit.evaporator if which == 0 else circuit.chiller
        superheat = _superheat(fluid, y[c.P_LOW], y[at + hx.cells - 1])
        at += 2 * hx.cells
        if manual[which]:
            after[valve] = follow(min(max(request[valve], pi.least), 100.0), u[valve], pi.slew * step)
        else:
            after[valve] = applied_opening(
                pi,
                which,
                request[R_TARGET + which],
                request[R_DITHER + which],
                u[valve],
                superheat,
                memory,
                step,
            )


@compiled
def _run(
    fluid: Fluid, circuit: Circuit, y: Floats, u: Floats, requests: Floats, manual: NDArray[np.bool_],
    memory: Floats, step: float, tolerance: float, longest: float, s: Space,
    controls: Floats, outputs: Floats, balance: Floats,
) -> int:  # fmt: skip
    """Fill the rows; ``y``, ``u`` and ``memory`` go on from where they were. Steps taken, or −1 for a failure."""
    taken, size = 0, 0.002
    after = np.empty_like(u)
    lowest = math.exp(fluid.ln_p0)  # where the tables of the refrigerant end
    highest = lowest * math.exp(fluid.d_ln_p * (len(fluid.t_sat) - 1))
    for k in range(len(requests)):
        if k > 0:
            _next_controls(fluid, circuit, y, u, requests[k], manual, memory, step, s.notes, after)
            size, n = advance(fluid, circuit, y, u, after, step, size, tolerance, longest, s)
            if size < 0.0 or not (lowest < y[c.P_LOW] and y[c.P_HIGH] < highest):
                return -1
            taken += n
            u[:] = after
        controls[k] = u
        x = s.notes
        measure(fluid, circuit, y, x, outputs[k])
        gain = x[c.X_Q_EVAPORATOR] + x[c.X_Q_CHILLER] + x[c.X_POWER]
        balance[k, 0] = gain - x[c.X_Q_CONDENSER] - x[c.X_Q_WATER] - x[c.X_SHELL_LOSS]
        balance[k, 1] = abs(x[c.X_Q_CONDENSER]) + abs(x[c.X_Q_WATER])
    return taken
