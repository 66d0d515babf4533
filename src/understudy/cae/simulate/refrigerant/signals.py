"""What is recorded: names and units of the reference's columns, and how they follow from the states."""

from __future__ import annotations

from understudy.cae.simulate.refrigerant import layout as c
from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Floats, Fluid
from understudy.cae.simulate.refrigerant.parameters import REFRIG_ONLY, STEP2, Circuit
from understudy.cae.simulate.refrigerant.properties import saturation, thermal_state
from understudy.core.spec import DataSpec, Role, Signal
from understudy.errors import ConfigError, did_you_mean

CONTROLS = (
    ("Comp_rpm", "rpm"),
    ("ACDS_AirT", "degC"),
    ("ACDS_AirV", "m/s"),
    ("Eva_AirT", "degC"),
    ("Eva_AirFlow", "kg/s"),
    ("Chiller_CoolFlow", "L/min"),
    ("ChillerInT_spec", "degC"),
    ("EvaEV_open", "%"),
    ("ChillerEV_open", "%"),
    ("Eva_AirRH", "%"),
    ("Eva_Recirc", "%"),
    ("WCDS_CoolFlow", "L/min"),
    ("WCDSInT_spec", "degC"),
    ("ACDS_FanDuty", "%"),
    ("Bat_kW", "kW"),
)
_STATION = (("P", "MPa"), ("T", "degC"), ("_Jkg", "kJ/kg"), ("_ro", "kg/m3"), ("_gs", "g/s"))
_STATIONS = ("CompIn", "Comp_Out", "EvaEVIn", "EvaEVOut", "EvaOut", "ChillerIn", "ChillerOut")
_TARGETS = (("ACDS_kW", "kW"), ("Comp_kW", "kW"), ("Eva_kW", "kW"), ("Chiller_kW", "kW"))
_MORE_BYPRODUCTS = (("WCDSOutT", "degC"), ("Eva_AirOutT", "degC"), ("Chiller_CoolOutT", "degC"))
_MORE_TARGETS = (("WCDS_kW", "kW"), ("Cabin_T", "degC"), ("Bat_T", "degC"))

VARIANTS: dict[str, Circuit] = {"step2": STEP2, "refrig_only": REFRIG_ONLY}
N_CONTROLS = {"step2": 9, "refrig_only": 15}


def circuit_of(variant: str) -> Circuit:
    """
    Raises:
        ConfigError: no such variant.
    """
    if variant not in VARIANTS:
        raise ConfigError(
            f"no variant of the refrigerant circuit is called {variant!r}{did_you_mean(variant, VARIANTS)}; "
            f"known are {', '.join(VARIANTS)}"
        )
    return VARIANTS[variant]


def spec_of(variant: str, step: float) -> DataSpec:
    """``step2``: 9 controls, 37 byproducts, 4 targets; ``refrig_only``: 15, 40 and 7."""
    circuit_of(variant)
    byproducts: list[tuple[str, str]] = []
    for station in _STATIONS:
        byproducts += [(station + quantity, unit) for quantity, unit in _STATION]
        if station in ("CompIn", "Comp_Out"):
            byproducts.append((f"Comp_{station[-2:] if station == 'CompIn' else 'Out'}_Tst", "degC"))
    targets = [*_TARGETS]
    if variant == "refrig_only":
        byproducts += _MORE_BYPRODUCTS
        targets += _MORE_TARGETS
    return DataSpec(
        (
            *(Signal(name, unit, Role.CONTROL) for name, unit in CONTROLS[: N_CONTROLS[variant]]),
            *(Signal(name, unit, Role.BYPRODUCT) for name, unit in byproducts),
            *(Signal(name, unit, Role.TARGET) for name, unit in targets),
        ),
        step=step,
    )


@compiled
def _station(fluid: Fluid, p: float, h: float, m: float, out: Floats) -> float:
    """Pressure, temperature, enthalpy, density and flow; returns the saturation temperature [degC]."""
    sat = saturation(fluid, p)
    t, rho, _, _ = thermal_state(fluid, sat, h)
    out[0], out[1], out[2], out[3], out[4] = 1e-6 * p, t - c.ZERO_C, 1e-3 * h, rho, 1e3 * m
    return sat.t - c.ZERO_C


@compiled
def measure(fluid: Fluid, circuit: Circuit, y: Floats, x: Floats, out: Floats) -> None:
    """Recorded outputs from the states ``y`` and the notes ``x`` of the right-hand side at the same instant."""
    nw, nc, ne, nk = (
        circuit.water.cells,
        circuit.condenser.cells,
        circuit.evaporator.cells,
        circuit.chiller.cells,
    )
    evaporator = c.FIRST_CELL + 2 * (nw + nc)
    h_evaporator, h_chiller = y[evaporator + ne - 1], y[evaporator + 2 * ne + nk - 1]
    high, low = y[c.P_HIGH], y[c.P_LOW]
    liquid = x[c.X_H_LIQUID]
    out[5] = _station(fluid, x[c.X_P_SUCTION], x[c.X_H_SUCTION], x[c.X_M_COMPRESSOR], out[0:5])
    out[11] = _station(fluid, x[c.X_P_DISCHARGE], x[c.X_H_DISCHARGE], x[c.X_M_COMPRESSOR], out[6:11])
    _station(fluid, high, liquid, x[c.X_M_EVAPORATOR], out[12:17])
    _station(fluid, x[c.X_P_EVAPORATOR], liquid, x[c.X_M_EVAPORATOR], out[17:22])
    _station(fluid, low, h_evaporator, x[c.X_M_EVAPORATOR_OUT], out[22:27])
    _station(fluid, x[c.X_P_CHILLER], liquid, x[c.X_M_CHILLER], out[27:32])
    _station(fluid, low, h_chiller, x[c.X_M_CHILLER_OUT], out[32:37])
    at = 37
    if nw > 0:
        out[37] = thermal_state(fluid, saturation(fluid, high), y[c.FIRST_CELL + nw - 1])[0] - c.ZERO_C
        out[38], out[39] = x[c.X_T_AIR_OUT] - c.ZERO_C, x[c.X_T_COOLANT_OUT] - c.ZERO_C
        at = 40
        out[44], out[45], out[46] = 1e-3 * x[c.X_Q_WATER], y[c.T_CABIN] - c.ZERO_C, y[c.T_BATTERY] - c.ZERO_C
    out[at], out[at + 1] = 1e-3 * x[c.X_Q_CONDENSER], 1e-3 * x[c.X_POWER]
    out[at + 2], out[at + 3] = 1e-3 * x[c.X_Q_EVAPORATOR], 1e-3 * x[c.X_Q_CHILLER]
