"""The right-hand side of the circuit's differential equations, compiled.

Every heat exchanger is a chain of cells with one enthalpy h and one wall temperature each; all cells of a side
(high, low) share its pressure p. Balances of a cell with volume V, inflow m and upstream enthalpy h₀::

    V·ρ·dh/dt = m·(h₀ − h) + q + V·dp/dt                     (energy)
    V·(ρ_p·dp/dt + ρ_h·dh/dt) = m − m_out                    (mass)

With the inflow written as m = A + B·dp/dt, the first gives dh/dt = a + b·dp/dt and the second m_out in the form of
m again: one march through the cells, and the flow that leaves the side closes the system for dp/dt. No system is
solved. The march supposes flow in the nominal direction; where it finds an interface with reverse flow, it is
repeated with upwind enthalpies for the flows just found (:func:`_march_again`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Fluid
from understudy.cae.simulate.refrigerant.parameters import Circuit, Compressor, Exchanger, Valve
from understudy.cae.simulate.refrigerant.properties import (
    Saturation,
    enthalpy_at_entropy,
    entropy,
    saturation,
    thermal_state,
)

Floats = NDArray[np.float64]

# States: these, then for each exchanger (water, condenser, evaporator, chiller) its enthalpies and its walls.
P_HIGH, P_LOW, RPM, T_SHELL, H_ACCUMULATOR, T_CABIN, T_BATTERY = range(7)
FIRST_CELL = 7

# Controls, in the order of the recorded columns.
(
    U_RPM, U_CONDENSER_T, U_CONDENSER_V, U_EVAPORATOR_T, U_EVAPORATOR_FLOW, U_CHILLER_FLOW, U_CHILLER_T,
    U_EVAPORATOR_VALVE, U_CHILLER_VALVE, U_HUMIDITY, U_RECIRCULATION, U_WATER_FLOW, U_WATER_T, U_FAN, U_BATTERY,
) = range(15)  # fmt: skip

# What the right-hand side notes on its way, for the outputs and the controllers.
(
    X_M_COMPRESSOR, X_M_EVAPORATOR, X_M_CHILLER, X_H_SUCTION, X_H_DISCHARGE, X_H_LIQUID, X_P_SUCTION, X_P_DISCHARGE,
    X_P_EVAPORATOR, X_P_CHILLER, X_Q_CONDENSER, X_Q_WATER, X_Q_EVAPORATOR, X_Q_CHILLER, X_POWER, X_SHELL_LOSS,
    X_M_EVAPORATOR_OUT, X_M_CHILLER_OUT, X_H_ISENTROPIC, X_T_AIR_OUT, X_T_COOLANT_OUT, X_MASS,
) = range(22)  # fmt: skip
N_NOTES = 22

AIR_CP, AIR_RHO = 1007.0, 1.15  # J/(kg·K), kg/m³
COOLANT_CP, COOLANT_RHO = 3500.0, 1.06  # J/(kg·K), kg/L; water and glycol
CONDENSATION = 2.45e6  # J/kg of water
ZERO_C = 273.15
MOST_HUMIDITY = 0.020  # kg/kg, about the most that weather brings
CELL_COLUMNS = 7  # of the working array: T, ρ, ρ_p, ρ_h, q, a, b


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
def _states_of(
    fluid: Fluid, sat: Saturation, hx: Exchanger, h: Floats, wall: Floats, m: float, cells: Floats
) -> float:
    """Thermal states of the cells, and the heat q [W] that each takes from its wall; returns their mass [kg].

    Heat transfer: plateaus for liquid, two phases and vapour, blended over quality; all grow with flow to the 0.6.
    """
    flow = (max(m, 0.02 * hx.flow) / hx.flow) ** 0.6 * hx.area / hx.cells
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
def _march(
    hx: Exchanger, h: Floats, h_in: float, m: tuple[float, float, float], cells: Floats
) -> tuple[float, float, float]:
    """Slopes dh/dt = a + b·dp/dt of the cells, from an inflow (A, B, K); returns the outflow in the same form.

    The sums K of V·(ρ_p + ρ_h/ρ), the isentropic compliance of the cells passed, say whether B is to be trusted.
    """
    volume = hx.volume / hx.cells
    a_in, b_in, compliance = m
    before = h_in
    for i in range(hx.cells):
        rho, rho_p, rho_h = cells[i, 1], cells[i, 2], cells[i, 3]
        lift = (before - h[i]) / (volume * rho)
        a = a_in * lift + cells[i, 4] / (volume * rho)
        b = b_in * lift + 1.0 / rho
        cells[i, 5], cells[i, 6] = a, b
        a_in -= volume * rho_h * a
        b_in -= volume * (rho_p + rho_h * b)
        compliance += volume * (rho_p + rho_h / rho)
        before = h[i]
    return a_in, b_in, compliance


@compiled
def _march_again(
    hx: Exchanger,
    h: Floats,
    h_in: float,
    h_after: float,
    m: tuple[float, float, float],
    flows: Floats,
    cells: Floats,
) -> tuple[float, float, float]:
    """As :func:`_march`, with the enthalpies that ``flows`` carry over the interfaces, in whatever direction."""
    volume = hx.volume / hx.cells
    a_in, b_in, compliance = m
    for i in range(hx.cells):
        before = h_in if i == 0 else h[i - 1]
        after = h_after if i == hx.cells - 1 else h[i + 1]
        rho, rho_p, rho_h = cells[i, 1], cells[i, 2], cells[i, 3]
        carried = max(flows[i], 0.0) * (before - h[i]) + max(-flows[i + 1], 0.0) * (after - h[i])
        a = (carried + cells[i, 4]) / (volume * rho)
        cells[i, 5], cells[i, 6] = a, 1.0 / rho
        a_in -= volume * rho_h * a
        b_in -= volume * (rho_p + rho_h / rho)
        compliance += volume * (rho_p + rho_h / rho)
    return a_in, b_in, compliance


@compiled
def _flows(hx: Exchanger, m_in: float, dp: float, cells: Floats, flows: Floats) -> float:
    """Flow at every interface for the slopes found, ``flows[0]`` being the inlet's; returns the smallest."""
    volume = hx.volume / hx.cells
    flows[0] = m_in
    least = m_in
    for i in range(hx.cells):
        dh = cells[i, 5] + cells[i, 6] * dp
        flows[i + 1] = flows[i] - volume * (cells[i, 2] * dp + cells[i, 3] * dh)
        least = min(least, flows[i + 1])
    return least


@compiled
def _high_side(
    water: Exchanger, condenser: Exchanger, h_w: Floats, h_c: Floats, h_in: float, m_in: float, m_out: float,
    cells_w: Floats, cells_c: Floats, flows_w: Floats, flows_c: Floats,
) -> float:  # fmt: skip
    """Slopes of all cells between compressor and valves; returns dp/dt [Pa/s]."""
    w, c = water.cells, condenser.cells
    m = _march(water, h_w, h_in, (m_in, 0.0, 0.0), cells_w)
    between = h_w[w - 1] if w else h_in
    a, b, compliance = _march(condenser, h_c, between, m, cells_c)
    trusted = -b > 0.1 * compliance
    dp = (m_out - a) / b if trusted else 0.0
    least = min(
        _flows(water, m_in, dp, cells_w, flows_w), _flows(condenser, flows_w[w], dp, cells_c, flows_c)
    )
    if trusted and least >= 0.0:
        return dp
    if not trusted:
        flows_w[:], flows_c[:] = m_in, m_in
    for _ in range(2):
        m = _march_again(water, h_w, h_in, h_c[0], (m_in, 0.0, 0.0), flows_w, cells_w)
        a, b, compliance = _march_again(condenser, h_c, between, h_c[c - 1], m, flows_c, cells_c)
        dp = (m_out - a) / b
        _flows(water, m_in, dp, cells_w, flows_w)
        _flows(condenser, flows_w[w], dp, cells_c, flows_c)
    return dp


@compiled
def _low_side(
    evaporator: Exchanger, chiller: Exchanger, volume: float, h_e: Floats, h_c: Floats, h_acc: float, acc: Floats,
    h_in: float, m_e: float, m_c: float, m_out: float, h_out: float,
    cells_e: Floats, cells_c: Floats, flows_e: Floats, flows_c: Floats,
) -> tuple[float, float]:  # fmt: skip
    """Slopes of all cells between valves and compressor; returns dp/dt [Pa/s] and dh/dt of the accumulator.

    ``acc`` holds ρ, ρ_p and ρ_h of the accumulator.
    """
    rho, rho_p, rho_h = acc[0], acc[1], acc[2]
    inertia = volume * rho
    n_e, n_c = evaporator.cells, chiller.cells
    lift_e, lift_c = h_e[n_e - 1] - h_acc, h_c[n_c - 1] - h_acc
    a_e, b_e, k_e = _march(evaporator, h_e, h_in, (m_e, 0.0, 0.0), cells_e)
    a_c, b_c, k_c = _march(chiller, h_c, h_in, (m_c, 0.0, 0.0), cells_c)
    own = volume * (rho_p + rho_h / rho)
    a = (a_e * lift_e + a_c * lift_c - m_out * (h_out - h_acc)) / inertia
    b = (b_e * lift_e + b_c * lift_c) / inertia + 1.0 / rho
    divisor = volume * (rho_p + rho_h * b) - b_e - b_c
    trusted = divisor > 0.1 * (k_e + k_c + own)
    dp = (a_e + a_c - m_out - volume * rho_h * a) / divisor if trusted else 0.0
    least = min(_flows(evaporator, m_e, dp, cells_e, flows_e), _flows(chiller, m_c, dp, cells_c, flows_c))
    if trusted and least >= 0.0:
        return dp, a + b * dp
    if not trusted:
        flows_e[:], flows_c[:] = m_e, m_c
    for _ in range(2):
        a_e, b_e, k_e = _march_again(evaporator, h_e, h_in, h_out, (m_e, 0.0, 0.0), flows_e, cells_e)
        a_c, b_c, k_c = _march_again(chiller, h_c, h_in, h_out, (m_c, 0.0, 0.0), flows_c, cells_c)
        a = -m_out * (h_out - h_acc) / inertia
        a += flows_e[n_e] * (lift_e if flows_e[n_e] >= 0.0 else h_out - h_acc) / inertia
        a += flows_c[n_c] * (lift_c if flows_c[n_c] >= 0.0 else h_out - h_acc) / inertia
        dp = (a_e + a_c - m_out - volume * rho_h * a) / (own - b_e - b_c)
        _flows(evaporator, m_e, dp, cells_e, flows_e)
        _flows(chiller, m_c, dp, cells_c, flows_c)
    return dp, a + dp / rho


@compiled
def _air(
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
def _coolant(hx: Exchanger, wall: Floats, cells: Floats, litres: float, t_in: float, slopes: Floats) -> float:
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


@compiled
def accumulator_outlet(sat: Saturation, h: float, carry_over: float) -> float:
    """Enthalpy [J/kg] of what leaves the accumulator: vapour with a little liquid; all of it where it is dry."""
    x = (h - sat.h_l) / (sat.h_v - sat.h_l)
    return max(h, sat.h_v - carry_over * (sat.h_v - sat.h_l)) if x < 1.0 else h


@compiled
def _compress(
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
def _through(
    valve: Valve, hx: Exchanger, opening: float, rho: float, p_high: float, low: Saturation
) -> tuple[float, float]:
    """Flow [kg/s] through a valve into its exchanger, and the pressure [Pa] between the two."""
    guess = valve_flow(valve, opening, rho, p_high - low.p)
    drop = min(hx.drop * guess * guess * low.v_v, 0.5 * max(p_high - low.p, 0.0))
    return valve_flow(valve, opening, rho, p_high - low.p - drop), low.p + drop


@compiled
def _outside(
    circuit: Circuit, y: Floats, u: Floats, wall_w: Floats, wall_c: Floats, wall_e: Floats, wall_k: Floats,
    cells_w: Floats, cells_c: Floats, cells_e: Floats, cells_k: Floats, dy: Floats, notes: Floats,
) -> None:  # fmt: skip
    """Air and coolant at the walls, cabin and battery: their slopes into ``dy``, their heats into ``notes``."""
    nw, nc, ne, nk = (
        circuit.water.cells,
        circuit.condenser.cells,
        circuit.evaporator.cells,
        circuit.chiller.cells,
    )
    iw = FIRST_CELL + nw
    ic = FIRST_CELL + 2 * nw + nc
    ie = FIRST_CELL + 2 * nw + 2 * nc + ne
    ik = FIRST_CELL + 2 * (nw + nc + ne) + nk
    wind = math.hypot(u[U_CONDENSER_V], 0.01 * u[U_FAN] * circuit.fan)
    heat, _ = _air(
        circuit.condenser,
        wall_c,
        cells_c,
        wind * circuit.face * AIR_RHO,
        u[U_CONDENSER_T] + ZERO_C,
        0.0,
        dy[ic : ic + nc],
    )
    notes[X_Q_CONDENSER] = -heat
    notes[X_Q_WATER] = -_coolant(
        circuit.water, wall_w, cells_w, u[U_WATER_FLOW], u[U_WATER_T] + ZERO_C, dy[iw : iw + nw]
    )
    fresh = u[U_EVAPORATOR_T] + ZERO_C
    inlet, air = fresh, u[U_EVAPORATOR_FLOW]
    if nw > 0:
        inlet = fresh + 0.01 * u[U_RECIRCULATION] * (y[T_CABIN] - fresh)
    humidity = min(0.01 * u[U_HUMIDITY] * saturated_humidity(fresh), MOST_HUMIDITY)
    notes[X_Q_EVAPORATOR], sensible = _air(
        circuit.evaporator, wall_e, cells_e, air, inlet, humidity, dy[ie : ie + ne]
    )
    coolant = u[U_CHILLER_T] + ZERO_C
    dy[T_CABIN], dy[T_BATTERY] = 0.0, 0.0
    blown = inlet - sensible / (max(air, 1e-4) * AIR_CP)
    capacity = max(u[U_CHILLER_FLOW], 0.01) * COOLANT_RHO / 60.0 * COOLANT_CP
    if nw > 0:
        gain = air * AIR_CP * (blown - y[T_CABIN]) + circuit.cabin_loss * (fresh - y[T_CABIN]) + circuit.sun
        dy[T_CABIN] = gain / circuit.cabin
        taken = capacity * (1.0 - math.exp(-circuit.battery_plate / capacity)) * (y[T_BATTERY] - coolant)
        dy[T_BATTERY] = (1000.0 * u[U_BATTERY] - taken) / circuit.battery
        coolant += taken / capacity
    notes[X_Q_CHILLER] = _coolant(
        circuit.chiller, wall_k, cells_k, u[U_CHILLER_FLOW], coolant, dy[ik : ik + nk]
    )
    notes[X_T_AIR_OUT], notes[X_T_COOLANT_OUT] = blown, coolant - notes[X_Q_CHILLER] / capacity


@compiled
def slopes(
    fluid: Fluid, circuit: Circuit, y: Floats, u: Floats, work: Floats, dy: Floats, notes: Floats
) -> None:
    """dy/dt for the states ``y`` under the controls ``u`` (units of the recorded columns).

    ``work`` is scratch space of :func:`working_space`; ``dy`` (S,) and ``notes`` (:data:`N_NOTES`,) are written.
    """
    nw, nc, ne, nk = (
        circuit.water.cells,
        circuit.condenser.cells,
        circuit.evaporator.cells,
        circuit.chiller.cells,
    )
    iw = FIRST_CELL
    ic = iw + 2 * nw
    ie = ic + 2 * nc
    ik = ie + 2 * ne
    h_w, wall_w = y[iw : iw + nw], y[iw + nw : ic]
    h_c, wall_c = y[ic : ic + nc], y[ic + nc : ie]
    h_e, wall_e = y[ie : ie + ne], y[ie + ne : ik]
    h_k, wall_k = y[ik : ik + nk], y[ik + nk : ik + 2 * nk]
    cells_w, cells_c = work[:nw], work[nw : nw + nc]
    cells_e, cells_k = work[nw + nc : nw + nc + ne], work[nw + nc + ne : nw + nc + ne + nk]
    flows_w, flows_c = work[-4, : nw + 1], work[-3, : nc + 1]
    flows_e, flows_k = work[-2, : ne + 1], work[-1, : nk + 1]

    high, low = saturation(fluid, y[P_HIGH]), saturation(fluid, y[P_LOW])
    h_acc = y[H_ACCUMULATOR]
    h_out = accumulator_outlet(low, h_acc, circuit.carry_over)
    t_air = u[U_CONDENSER_T] + ZERO_C
    m, dy[T_SHELL] = _compress(
        fluid, circuit.compressor, low, high.p, (circuit.water.drop * (nw > 0) + circuit.condenser.drop) * high.v_v,
        h_out, t_air, y, notes,
    )  # fmt: skip

    h_liquid = h_c[nc - 1]
    rho_liquid = thermal_state(fluid, high, h_liquid)[1]
    m_e, p_e = _through(
        circuit.evaporator_valve, circuit.evaporator, u[U_EVAPORATOR_VALVE], rho_liquid, high.p, low
    )
    m_k, p_k = _through(circuit.chiller_valve, circuit.chiller, u[U_CHILLER_VALVE], rho_liquid, high.p, low)
    notes[X_H_LIQUID], notes[X_M_EVAPORATOR], notes[X_M_CHILLER] = h_liquid, m_e, m_k
    notes[X_P_EVAPORATOR], notes[X_P_CHILLER] = p_e, p_k

    mass = _states_of(fluid, high, circuit.water, h_w, wall_w, m, cells_w)
    mass += _states_of(fluid, high, circuit.condenser, h_c, wall_c, m, cells_c)
    mass += _states_of(fluid, low, circuit.evaporator, h_e, wall_e, m_e, cells_e)
    mass += _states_of(fluid, low, circuit.chiller, h_k, wall_k, m_k, cells_k)
    _outside(circuit, y, u, wall_w, wall_c, wall_e, wall_k, cells_w, cells_c, cells_e, cells_k, dy, notes)

    dp_high = _high_side(
        circuit.water, circuit.condenser, h_w, h_c, notes[X_H_DISCHARGE], m, m_e + m_k,
        cells_w, cells_c, flows_w, flows_c,
    )  # fmt: skip
    acc = work[-5, :3]
    _, acc[0], acc[1], acc[2] = thermal_state(fluid, low, h_acc)
    notes[X_MASS] = mass + circuit.accumulator * acc[0]
    dp_low, dy[H_ACCUMULATOR] = _low_side(
        circuit.evaporator, circuit.chiller, circuit.accumulator, h_e, h_k, h_acc, acc,
        h_liquid, m_e, m_k, m, h_out, cells_e, cells_k, flows_e, flows_k,
    )  # fmt: skip
    notes[X_M_EVAPORATOR_OUT], notes[X_M_CHILLER_OUT] = flows_e[ne], flows_k[nk]
    dy[P_HIGH], dy[P_LOW] = dp_high, dp_low
    dy[RPM] = (u[U_RPM] - y[RPM]) / circuit.compressor.lag
    dy[iw : iw + nw] = cells_w[:, 5] + cells_w[:, 6] * dp_high
    dy[ic : ic + nc] = cells_c[:, 5] + cells_c[:, 6] * dp_high
    dy[ie : ie + ne] = cells_e[:, 5] + cells_e[:, 6] * dp_low
    dy[ik : ik + nk] = cells_k[:, 5] + cells_k[:, 6] * dp_low


def working_space(circuit: Circuit) -> Floats:
    """Scratch for :func:`slopes`: a row a cell, one for the accumulator, four for the flows at interfaces."""
    chains = (circuit.water, circuit.condenser, circuit.evaporator, circuit.chiller)
    width = max(CELL_COLUMNS, *(hx.cells + 1 for hx in chains))
    return np.zeros((sum(hx.cells for hx in chains) + 5, width))


def n_states(circuit: Circuit) -> int:
    return FIRST_CELL + 2 * sum(
        hx.cells for hx in (circuit.water, circuit.condenser, circuit.evaporator, circuit.chiller)
    )


@compiled
def stored(fluid: Fluid, circuit: Circuit, y: Floats) -> tuple[float, float]:
    """Mass [kg] of refrigerant in the circuit, and energy [J] in refrigerant, walls and shell."""
    high, low = saturation(fluid, y[P_HIGH]), saturation(fluid, y[P_LOW])
    rho = thermal_state(fluid, low, y[H_ACCUMULATOR])[1]
    mass = circuit.accumulator * rho
    energy = circuit.accumulator * (rho * y[H_ACCUMULATOR] - low.p) + circuit.compressor.shell * y[T_SHELL]
    at = FIRST_CELL
    for k in range(4):
        hx, sat = circuit.water, high
        if k == 1:
            hx = circuit.condenser
        elif k == 2:
            hx, sat = circuit.evaporator, low
        elif k == 3:
            hx, sat = circuit.chiller, low
        for i in range(hx.cells):
            h = y[at + i]
            rho = thermal_state(fluid, sat, h)[1]
            mass += hx.volume / hx.cells * rho
            energy += hx.volume / hx.cells * (rho * h - sat.p) + hx.wall / hx.cells * y[at + hx.cells + i]
        at += 2 * hx.cells
    return mass, energy
