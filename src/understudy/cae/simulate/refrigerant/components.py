"""The parts of the circuit, compiled: compressor, valves, accumulator, and both sides of the heat exchangers."""

from __future__ import annotations

import math

from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Floats, Fluid
from understudy.cae.simulate.refrigerant.layout import (
    AIR_CP,
    CONDENSATION,
    COOLANT_CP,
    COOLANT_RHO,
    RPM,
    T_SHELL,
    X_H_DISCHARGE,
    X_H_ISENTROPIC,
    X_H_SUCTION,
    X_M_COMPRESSOR,
    X_P_DISCHARGE,
    X_P_SUCTION,
    X_POWER,
    X_SHELL_LOSS,
    ZERO_C,
)
from understudy.cae.simulate.refrigerant.parameters import Compressor, Exchanger, Valve
from understudy.cae.simulate.refrigerant.properties import (
    Saturation,
    enthalpy_at_entropy,
    entropy,
    saturation,
    thermal_state,
)


@compiled
def saturated_humidity(t: float) -> float:
    """Water in saturated air [kg/kg] at ``t`` [K] and 1013 hPa (Magnus, with Sonntag's 1990 coefficients)."""
    c = t - ZERO_C
    p = 611.2 * math.exp(17.62 * c / (243.12 + c))
    return 0.622 * p / (101325.0 - min(p, 5e4))


@compiled
def _smooth(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


@compiled
def volumetric_efficiency(ratio: float, rpm: float) -> float:
    """Re-expansion and leakage: less at a high pressure ratio, and at low speed."""
    return min(max(1.0 - 0.025 * (ratio - 1.0) - 40.0 / (rpm + 200.0), 0.3), 1.0)


@compiled
def isentropic_efficiency(ratio: float, rpm: float) -> float:
    """Best near a pressure ratio of 3 and 4,000 revolutions a minute."""
    off = (rpm - 4000.0) / 4500.0
    return min(max(0.72 - 0.01 * (ratio - 3.0) ** 2 - 0.06 * off * off, 0.35), 0.75)


@compiled
def valve_flow(valve: Valve, opening: float, rho: float, drop: float) -> float:
    """Mass flow [kg/s] for an opening in % and a pressure drop in Pa; nothing flows back."""
    if drop <= 0.0 or opening <= 0.0:
        return 0.0
    root = math.sqrt(drop) if drop > valve.linear_below else drop / math.sqrt(valve.linear_below)
    return valve.discharge * valve.area * (0.01 * opening) ** valve.exponent * math.sqrt(2.0 * rho) * root


@compiled
def through_valve(
    valve: Valve, hx: Exchanger, opening: float, rho: float, p_high: float, low: Saturation
) -> tuple[float, float]:
    """Flow [kg/s] through a valve into its exchanger, and the pressure [Pa] between the two."""
    guess = valve_flow(valve, opening, rho, p_high - low.p)
    drop = min(hx.drop * guess * guess * low.v_v, 0.5 * max(p_high - low.p, 0.0))
    return valve_flow(valve, opening, rho, p_high - low.p - drop), low.p + drop


@compiled
def accumulator_outlet(sat: Saturation, h: float, carry_over: float) -> float:
    """Enthalpy [J/kg] of what leaves the accumulator: vapour with a little liquid; all of it where it is dry."""
    x = (h - sat.h_l) / (sat.h_v - sat.h_l)
    return max(h, sat.h_v - carry_over * (sat.h_v - sat.h_l)) if x < 1.0 else h


@compiled
def compress(
    fluid: Fluid, c: Compressor, low: Saturation, p_high: float, line_drop: float, h_in: float, t_air: float,
    y: Floats, notes: Floats,
) -> tuple[float, float]:  # fmt: skip
    """Mass flow [kg/s] and slope of the shell's temperature [K/s]; the rest goes to ``notes``."""
    rpm = max(y[RPM], 0.0)
    rho = thermal_state(fluid, low, h_in)[1]
    swept = c.displacement * rpm / 60.0
    guess = swept * rho
    suction = saturation(fluid, max(low.p - c.suction_drop * guess * guess / rho, 0.5 * low.p))
    rho = thermal_state(fluid, suction, h_in)[1]
    discharge_p = p_high + line_drop * guess * guess
    ratio = discharge_p / suction.p
    m = swept * rho * volumetric_efficiency(ratio, rpm)
    h_s, h_out = h_in, h_in
    if ratio > 1.0:
        h_s = enthalpy_at_entropy(fluid, saturation(fluid, discharge_p), entropy(fluid, suction, h_in))
        h_out = h_in + (h_s - h_in) / isentropic_efficiency(ratio, rpm)
    friction = c.friction * rpm * (2.0 * math.pi / 60.0)
    to_shell = 0.0
    if m > 1e-7:
        hot = thermal_state(fluid, saturation(fluid, discharge_p), h_out)[0]
        capacity = m * 1100.0
        to_shell = capacity * (1.0 - math.exp(-c.to_shell / capacity)) * (hot - y[T_SHELL])
        notes[X_POWER] = m * (h_out - h_in) + friction
        h_out -= to_shell / m
    else:
        notes[X_POWER] = friction
    loss = c.to_air * (y[T_SHELL] - t_air)
    notes[X_H_SUCTION], notes[X_H_DISCHARGE], notes[X_H_ISENTROPIC] = h_in, h_out, h_s
    notes[X_P_SUCTION], notes[X_P_DISCHARGE] = suction.p, discharge_p
    notes[X_M_COMPRESSOR], notes[X_SHELL_LOSS] = m, loss
    return m, (to_shell + friction - loss) / c.shell


@compiled
def exchange(
    fluid: Fluid, sat: Saturation, hx: Exchanger, h: Floats, wall: Floats, m: float, cells: Floats
) -> float:
    """Thermal states of the cells, and the heat q [W] that each takes from its wall; returns their mass [kg].

    Heat transfer: plateaus for liquid, two phases and vapour, blended over quality; all grow with flow to the 0.6.
    """
    flow = (max(m, 0.02 * hx.flow) / hx.flow) ** 0.6 * hx.area / max(hx.cells, 1)
    span = sat.h_v - sat.h_l
    mass = 0.0
    for i in range(hx.cells):
        t, rho, rho_p, rho_h = thermal_state(fluid, sat, h[i])
        x = (h[i] - sat.h_l) / span
        mass += hx.volume / hx.cells * rho
        dry = _smooth((x - 0.80) / 0.25)
        wet = _smooth((0.06 - x) / 0.10)
        alpha = hx.two_phase + dry * (hx.vapour - hx.two_phase) + wet * (hx.liquid - hx.two_phase)
        cells[i, 0], cells[i, 1], cells[i, 2], cells[i, 3] = t, rho, rho_p, rho_h
        cells[i, 4] = alpha * flow * (wall[i] - t)
    return mass


@compiled
def air_side(
    hx: Exchanger, wall: Floats, cells: Floats, m: float, t_in: float, w_in: float, slopes: Floats
) -> tuple[float, float]:
    """Air in cross flow, the same share to every cell: dT/dt of the walls.

    Returns the heat [W] that the air gives to the walls, and its sensible part. Water condenses on walls below the
    dew point (Lewis number 1); dry air has ``w_in`` 0.
    """
    m = max(m, 1e-4)
    capacity = m * AIR_CP / hx.cells
    met = 1.0 - math.exp(-hx.outer * (m / hx.outer_flow) ** hx.exponent / (m * AIR_CP))
    heat, sensible = 0.0, 0.0
    for i in range(hx.cells):
        q = capacity * met * (t_in - wall[i])
        sensible += q
        if w_in > 0.0:
            q += met * m / hx.cells * CONDENSATION * max(w_in - saturated_humidity(wall[i]), 0.0)
        heat += q
        slopes[i] = (q - cells[i, 4]) * hx.cells / hx.wall
    return heat, sensible


@compiled
def coolant_side(
    hx: Exchanger, wall: Floats, cells: Floats, litres: float, t_in: float, slopes: Floats
) -> float:
    """Coolant in counter flow, quasi-steady: dT/dt of the walls; returns the heat [W] that it gives to them."""
    m = max(litres, 0.0) * COOLANT_RHO / 60.0
    if m < 1e-6:
        for i in range(hx.cells):
            slopes[i] = -cells[i, 4] * hx.cells / hx.wall
        return 0.0
    capacity = m * COOLANT_CP
    met = 1.0 - math.exp(-hx.outer * (m / hx.outer_flow) ** hx.exponent / hx.cells / capacity)
    t, heat = t_in, 0.0
    for i in range(hx.cells - 1, -1, -1):
        q = capacity * met * (t - wall[i])
        t -= q / capacity
        heat += q
        slopes[i] = (q - cells[i, 4]) * hx.cells / hx.wall
    return heat
