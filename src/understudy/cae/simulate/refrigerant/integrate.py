"""Adaptive explicit time integration: Bogacki and Shampine's pair of orders 3 and 2, compiled.

Appl. Math. Letters 2 (1989) 321. The vapour cells make the system mildly stiff (residence times of 30 to 100 ms);
at such step sizes an explicit pair with error control is cheaper than an implicit method with 53 states.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.cae.simulate.refrigerant.circuit import slopes
from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Floats, Fluid
from understudy.cae.simulate.refrigerant.layout import (
    FIRST_CELL,
    N_NOTES,
    P_LOW,
    RPM,
    X_MASS,
    n_states,
    working_space,
)
from understudy.cae.simulate.refrigerant.parameters import Circuit

SHORTEST = 1e-6  # s; a step that must be shorter has left the model's domain
SCALE_MASS = 2e-5  # kg
MOST_STEPS = 20_000  # in one call
SCALES = {"p": 1000.0, "h": 300.0, "T": 0.05, "rpm": 5.0}  # errors of a step that count as one


class Space(NamedTuple):
    """What the integration of one circuit works in; one for each process."""

    scale: Floats  # (S,)
    k: Floats  # (4, S): slopes of the stages; the first is kept from step to step
    y: Floats  # (S,): trial state
    u: Floats  # (U,): controls at the stage
    work: Floats
    notes: Floats


def space(circuit: Circuit, n_controls: int) -> Space:
    n = n_states(circuit)
    scale = np.full(n, SCALES["T"])
    scale[: P_LOW + 1] = SCALES["p"]
    scale[RPM] = SCALES["rpm"]
    scale[4] = SCALES["h"]
    at = FIRST_CELL
    for hx in (circuit.water, circuit.condenser, circuit.evaporator, circuit.chiller):
        scale[at : at + hx.cells] = SCALES["h"]
        at += 2 * hx.cells
    return Space(
        scale, np.zeros((4, n)), np.zeros(n), np.zeros(n_controls), working_space(circuit), np.zeros(N_NOTES)
    )


@compiled
def advance(
    fluid: Fluid, circuit: Circuit, y: Floats, u0: Floats, u1: Floats, seconds: float, step: float,
    tolerance: float, longest: float, s: Space,
) -> tuple[float, int]:  # fmt: skip
    """Integrate ``y`` in place over ``seconds``, the controls going from ``u0`` to ``u1`` in straight lines.

    ``step`` is the first to be tried. Returns the step to go on with, negative where the integration failed, and
    the number of steps. ``s.k[0]`` and ``s.notes`` must hold slopes and notes at the start, and hold those at the
    end.
    """
    at, tried = 0.0, 0
    mass = s.notes[X_MASS]
    n = len(y)
    k1, k2, k3, k4 = s.k[0], s.k[1], s.k[2], s.k[3]
    while at < seconds * (1 - 1e-9):
        left = seconds - at
        whole = np.ceil(left / min(step, longest) - 1e-9)
        h = left / whole
        for stage in range(1, 4):  # one call for all three: what is compiled once is compiled sooner
            for i in range(n):
                if stage == 1:
                    s.y[i] = y[i] + 0.5 * h * k1[i]
                elif stage == 2:
                    s.y[i] = y[i] + 0.75 * h * k2[i]
                else:
                    s.y[i] = y[i] + h * (2.0 * k1[i] + 3.0 * k2[i] + 4.0 * k3[i]) / 9.0
            share = 0.25 * (stage + 1.0)  # 1/2, 3/4, 1
            for i in range(len(u0)):
                s.u[i] = u0[i] + (at + share * h) / seconds * (u1[i] - u0[i])
            slopes(fluid, circuit, s.y, s.u, s.work, s.k[stage], s.notes)
        # The circuit is closed: mass that a step makes is its error, and shows where it crossed a phase boundary.
        worst = abs(s.notes[X_MASS] - mass) / SCALE_MASS
        for i in range(n):
            e = h * abs(-5.0 * k1[i] / 72.0 + k2[i] / 12.0 + k3[i] / 9.0 - k4[i] / 8.0) / s.scale[i]
            if not e <= worst:  # NaN counts as the worst
                worst = e
        tried += 1
        error = worst / tolerance
        if error <= 1.0:
            at += h
            mass = s.notes[X_MASS]
            y[:] = s.y
            k1[:] = k4
        growth = (
            0.85 * (error + 1e-9) ** (-1.0 / 3.0) if error < 1e6 else 0.1
        )  # NaN is no number below a million
        step = h * min(max(growth, 0.1), 2.0)
        if step < SHORTEST or tried > MOST_STEPS:
            return -1.0, tried
    return min(step, longest), tried
