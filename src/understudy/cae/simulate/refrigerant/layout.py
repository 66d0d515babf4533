"""Where things stand in the arrays of the compiled code: states, controls, notes, working space; and constants."""

from __future__ import annotations

import numpy as np

from understudy.cae.simulate.refrigerant.fluid import Floats
from understudy.cae.simulate.refrigerant.parameters import Circuit

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


def working_space(circuit: Circuit) -> Floats:
    """Scratch for :func:`slopes`: a row a cell, one for the accumulator, four for the flows at interfaces."""
    chains = (circuit.water, circuit.condenser, circuit.evaporator, circuit.chiller)
    width = max(CELL_COLUMNS, *(hx.cells + 1 for hx in chains))
    return np.zeros((sum(hx.cells for hx in chains) + 5, width))


def n_states(circuit: Circuit) -> int:
    return FIRST_CELL + 2 * sum(
        hx.cells for hx in (circuit.water, circuit.condenser, circuit.evaporator, circuit.chiller)
    )
