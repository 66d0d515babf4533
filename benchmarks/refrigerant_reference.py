"""The refrigerant circuit as one would first write it: plain Python, SciPy's ``solve_ivp``, CoolProp itself.

It runs the same equations, controllers and requests, with every property asked from the equation of state and the
integration left to SciPy. ``NUMBA_DISABLE_JIT=1 python -m benchmarks.refrigerant_reference SECONDS SEED OUT.npz``;
without that variable there would be compiled code to replace, so it is refused.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import CoolProp
import numpy as np
from CoolProp.CoolProp import AbstractState
from scipy.integrate import solve_ivp

from understudy.cae.simulate.refrigerant import case, circuit, components, integrate, signals
from understudy.cae.simulate.refrigerant.fluid import load_fluid
from understudy.cae.simulate.refrigerant.properties import ONSET, Saturation
from understudy.cae.simulate.refrigerant.signals import circuit_of
from understudy.cae.simulate.refrigerant.suites import suite_of

STATE = AbstractState("HEOS", "R1234yf")
STEP = 0.1
WARM_UP = 5.0


def saturation(fluid: Any, p: float) -> Saturation:
    """Both ends of the dome, and their slopes along the saturation line."""
    ends = []
    for quality in (0.0, 1.0):
        STATE.update(CoolProp.PQ_INPUTS, p, quality)
        rho = STATE.rhomass()
        d_h = STATE.first_saturation_deriv(CoolProp.iHmass, CoolProp.iP)
        d_rho = STATE.first_saturation_deriv(CoolProp.iDmass, CoolProp.iP)
        ends.append((STATE.T(), STATE.hmass(), 1 / rho, d_h, -d_rho / rho**2))
    (t, h_l, v_l, d_h_l, d_v_l), (_, h_v, v_v, d_h_v, d_v_v) = ends
    return Saturation(p, 0, 0.0, t, h_l, h_v, v_l, v_v, d_h_l, d_h_v, d_v_l, d_v_v)


def thermal_state(fluid: Any, sat: Saturation, h: float) -> tuple[float, float, float, float]:
    """The law of the circuit: homogeneous with a smooth onset in the dome, the equation of state outside of it."""
    if sat.h_l < h < sat.h_v:
        span, grown = sat.h_v - sat.h_l, sat.v_v - sat.v_l
        x = (h - sat.h_l) / span
        x_p = -(sat.d_h_l + x * (sat.d_h_v - sat.d_h_l)) / span
        by_x = 1 / (1 - 0.5 * ONSET)
        share = (x - 0.5 * ONSET) * by_x
        if x < ONSET:
            share, by_x = 0.5 * x * x / ONSET * by_x, by_x * x / ONSET
        rho = 1 / (sat.v_l + share * grown)
        v_p = sat.d_v_l + share * (sat.d_v_v - sat.d_v_l) + by_x * x_p * grown
        return sat.t, rho, -v_p * rho * rho, -by_x * grown / span * rho * rho
    STATE.update(CoolProp.HmassP_INPUTS, h, sat.p)
    by_p = STATE.first_partial_deriv(CoolProp.iDmass, CoolProp.iP, CoolProp.iHmass)
    by_h = STATE.first_partial_deriv(CoolProp.iDmass, CoolProp.iHmass, CoolProp.iP)
    return STATE.T(), STATE.rhomass(), by_p, by_h


def entropy(fluid: Any, sat: Saturation, h: float) -> float:
    STATE.update(CoolProp.HmassP_INPUTS, h, sat.p)
    return float(STATE.smass())


def enthalpy_at_entropy(fluid: Any, sat: Saturation, s: float) -> float:
    STATE.update(CoolProp.PSmass_INPUTS, sat.p, s)
    return float(STATE.hmass())


def advance(
    fluid: Any, parts: Any, y: Any, u0: Any, u1: Any, seconds: float, step: float, tolerance: float, longest: float,
    s: Any,
) -> tuple[float, int]:  # fmt: skip
    """What :func:`integrate.advance` does, by SciPy's pair of the same orders."""

    def slopes(t: float, state: Any) -> Any:
        dy = np.empty_like(state)
        circuit.slopes(fluid, parts, state, u0 + t / seconds * (u1 - u0), s.work, dy, s.notes)
        return dy

    solved = solve_ivp(
        slopes, (0.0, seconds), y, method="RK23", rtol=1e-6, atol=s.scale * tolerance, first_step=step
    )
    y[:] = solved.y[:, -1]
    s.k[0] = slopes(seconds, y)
    taken = np.diff(solved.t)
    return min(float(taken[:-1].max() if len(taken) > 1 else taken[0]), seconds), len(taken)


def main() -> None:
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        sys.exit("set NUMBA_DISABLE_JIT=1: the compiled code cannot be replaced")
    seconds, seed, out = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    own = {f.__name__: f for f in (saturation, thermal_state, entropy, enthalpy_at_entropy, advance)}
    for module in (case, circuit, components, integrate, signals):
        for name, function in own.items():
            if hasattr(module, name):
                setattr(module, name, function)
    course = suite_of("train")(np.random.default_rng(seed), "step2", round(seconds / STEP), STEP)
    course = case.Course(course.requests, course.manual, WARM_UP)
    started = time.perf_counter()
    trace = case.simulate(
        load_fluid("R1234yf"), circuit_of("step2"), course, STEP, tolerance=0.05, longest=0.05
    )
    assert trace is not None
    np.savez(out, outputs=trace.outputs, seconds=time.perf_counter() - started, steps=trace.steps)


if __name__ == "__main__":
    main()
