"""The right-hand side of the circuit's differential equations, compiled: the parts joined to one system."""

from __future__ import annotations

import math

from understudy.cae.simulate.refrigerant.balances import high_side, low_side
from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.components import (
    accumulator_outlet,
    air_side,
    compress,
    coolant_side,
    exchange,
    saturated_humidity,
    through_valve,
)
from understudy.cae.simulate.refrigerant.fluid import Floats, Fluid
from understudy.cae.simulate.refrigerant.layout import (
    AIR_CP,
    AIR_RHO,
    COOLANT_CP,
    COOLANT_RHO,
    FIRST_CELL,
    H_ACCUMULATOR,
    MOST_HUMIDITY,
    P_HIGH,
    P_LOW,
    RPM,
    T_BATTERY,
    T_CABIN,
    T_SHELL,
    U_BATTERY,
    U_CHILLER_FLOW,
    U_CHILLER_T,
    U_CHILLER_VALVE,
    U_CONDENSER_T,
    U_CONDENSER_V,
    U_EVAPORATOR_FLOW,
    U_EVAPORATOR_T,
    U_EVAPORATOR_VALVE,
    U_FAN,
    U_HUMIDITY,
    U_RECIRCULATION,
    U_RPM,
    U_WATER_FLOW,
    U_WATER_T,
    X_H_DISCHARGE,
    X_H_LIQUID,
    X_M_CHILLER,
    X_M_CHILLER_OUT,
    X_M_EVAPORATOR,
    X_M_EVAPORATOR_OUT,
    X_MASS,
    X_P_CHILLER,
    X_P_EVAPORATOR,
    X_Q_CHILLER,
    X_Q_CONDENSER,
    X_Q_EVAPORATOR,
    X_Q_WATER,
    X_T_AIR_OUT,
    X_T_COOLANT_OUT,
    ZERO_C,
)
from understudy.cae.simulate.refrigerant.parameters import Circuit
from understudy.cae.simulate.refrigerant.properties import saturation, thermal_state


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
    heat, _ = air_side(
        circuit.condenser,
        wall_c,
        cells_c,
        wind * circuit.face * AIR_RHO,
        u[U_CONDENSER_T] + ZERO_C,
        0.0,
        dy[ic : ic + nc],
    )
    notes[X_Q_CONDENSER] = -heat
    notes[X_Q_WATER] = -coolant_side(
        circuit.water, wall_w, cells_w, u[U_WATER_FLOW], u[U_WATER_T] + ZERO_C, dy[iw : iw + nw]
    )
    fresh = u[U_EVAPORATOR_T] + ZERO_C
    inlet, air = fresh, u[U_EVAPORATOR_FLOW]
    if nw > 0:
        inlet = fresh + 0.01 * u[U_RECIRCULATION] * (y[T_CABIN] - fresh)
    humidity = min(0.01 * u[U_HUMIDITY] * saturated_humidity(fresh), MOST_HUMIDITY)
    notes[X_Q_EVAPORATOR], sensible = air_side(
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
    notes[X_Q_CHILLER] = coolant_side(
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
    m, dy[T_SHELL] = compress(
        fluid, circuit.compressor, low, high.p, (circuit.water.drop * (nw > 0) + circuit.condenser.drop) * high.v_v,
        h_out, t_air, y, notes,
    )  # fmt: skip

    h_liquid = h_c[nc - 1]
    rho_liquid = thermal_state(fluid, high, h_liquid)[1]
    m_e, p_e = through_valve(
        circuit.evaporator_valve, circuit.evaporator, u[U_EVAPORATOR_VALVE], rho_liquid, high.p, low
    )
    m_k, p_k = through_valve(
        circuit.chiller_valve, circuit.chiller, u[U_CHILLER_VALVE], rho_liquid, high.p, low
    )
    notes[X_H_LIQUID], notes[X_M_EVAPORATOR], notes[X_M_CHILLER] = h_liquid, m_e, m_k
    notes[X_P_EVAPORATOR], notes[X_P_CHILLER] = p_e, p_k

    mass = exchange(fluid, high, circuit.water, h_w, wall_w, m, cells_w)
    mass += exchange(fluid, high, circuit.condenser, h_c, wall_c, m, cells_c)
    mass += exchange(fluid, low, circuit.evaporator, h_e, wall_e, m_e, cells_e)
    mass += exchange(fluid, low, circuit.chiller, h_k, wall_k, m_k, cells_k)
    _outside(circuit, y, u, wall_w, wall_c, wall_e, wall_k, cells_w, cells_c, cells_e, cells_k, dy, notes)

    dp_high = high_side(
        circuit.water, circuit.condenser, h_w, h_c, notes[X_H_DISCHARGE], m, m_e + m_k,
        cells_w, cells_c, flows_w, flows_c,
    )  # fmt: skip
    acc = work[-5, :3]
    _, acc[0], acc[1], acc[2] = thermal_state(fluid, low, h_acc)
    notes[X_MASS] = mass + circuit.accumulator * acc[0]
    dp_low, dy[H_ACCUMULATOR] = low_side(
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
