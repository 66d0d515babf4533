"""Sizes and coefficients of the circuit: a compact electric car, cabin and battery cooled in parallel.

Round figures of the usual magnitude, of no particular vehicle, chosen so that the circuit stays plausible over the
whole range of its controls.
"""

from __future__ import annotations

from typing import NamedTuple


class Exchanger(NamedTuple):
    """A heat exchanger of equal cells in the direction of the refrigerant."""

    cells: int
    volume: float  # m³, refrigerant side
    area: float  # m², refrigerant side
    wall: float  # J/K, metal and what moves with it
    liquid: float  # W/(m²·K) at the reference flow: heat transfer of liquid, two phases and vapour
    two_phase: float
    vapour: float
    flow: float  # kg/s, reference of the refrigerant's flow
    outer: float  # W/K, conductance of the other side at its reference flow
    outer_flow: float  # kg/s, that reference flow
    exponent: float  # of the outer conductance against flow
    drop: float  # Pa·kg/m³/(kg/s)², pressure drop = drop · m² / ρ


class Compressor(NamedTuple):
    """Electric scroll compressor."""

    displacement: float = 34e-6  # m³ a revolution
    lag: float = 0.5  # s, of the speed behind its command
    shell: float = 4500.0  # J/K
    to_shell: float = 6.0  # W/K, from the discharged gas
    to_air: float = 14.0  # W/K, from the shell to the ambient air
    friction: float = 0.12  # N·m
    suction_drop: float = 3.0e8  # as Exchanger.drop


class Valve(NamedTuple):
    """Electronic expansion valve; its steps limit how fast it moves, see :mod:`.control`."""

    area: float  # m², fully open
    discharge: float = 0.68
    exponent: float = 1.2  # of the area against opening
    linear_below: float = 0.2e5  # Pa, where the square root is replaced by a line


class Protection(NamedTuple):
    """Protection of the compressor; pressures in Pa at its two sides."""

    derate_above: float = 2.4e6  # at the discharge: speed is taken back in proportion
    derate_below: float = 0.20e6  # at the suction
    trip_above: float = 2.9e6  # switched off
    trip_below: float = 0.11e6
    restart: float = 12.0  # s before it may start again
    high_gain: float = 0.012  # rpm/s per Pa
    low_gain: float = 0.06
    recover: float = 150.0  # rpm/s
    fastest: float = 8500.0  # rpm
    slew: float = 800.0  # rpm/s
    stop: float = 4000.0  # rpm/s after a trip


class Superheat(NamedTuple):
    """A PI controller of one valve, in % of opening."""

    gain: float = 0.8  # %/K
    integral: float = 16.0  # s
    least: float = 4.0  # %
    slew: float = 8.0  # %/s: 480 steps at 40 steps a second
    sensor: float = 2.0  # s, lag of the thermistor


class Circuit(NamedTuple):
    """All of it. ``water.cells == 0`` leaves out the water-cooled condenser, cabin and battery (``step2``)."""

    water: Exchanger
    condenser: Exchanger
    evaporator: Exchanger
    chiller: Exchanger
    compressor: Compressor
    evaporator_valve: Valve
    chiller_valve: Valve
    superheat: Superheat
    protection: Protection
    accumulator: float  # m³
    carry_over: (
        float  # mass share of liquid that leaves the accumulator with the vapour, through the oil bore
    )
    charge: float  # kg of refrigerant
    face: float  # m², condenser's face towards the wind
    cabin: float  # J/K, air and what is in touch with it
    cabin_loss: float  # W/K
    sun: float  # W
    battery: float  # J/K
    battery_plate: float  # W/K
    fan: float  # m/s, wind of the fan at full duty


CONDENSER = Exchanger(10, 1.0e-3, 0.9, 2500.0, 900.0, 3000.0, 900.0, 0.03, 1100.0, 0.75, 0.55, 6.0e8)
EVAPORATOR = Exchanger(8, 0.55e-3, 0.65, 1900.0, 600.0, 2800.0, 500.0, 0.025, 420.0, 0.11, 0.6, 4.0e8)
CHILLER = Exchanger(6, 0.18e-3, 0.22, 900.0, 700.0, 3000.0, 600.0, 0.02, 300.0, 0.17, 0.6, 4.0e8)
WATER_CONDENSER = Exchanger(4, 0.25e-3, 0.30, 1200.0, 900.0, 3000.0, 1000.0, 0.03, 500.0, 0.17, 0.6, 2.0e8)

STEP2 = Circuit(
    water=WATER_CONDENSER._replace(cells=0),
    condenser=CONDENSER,
    evaporator=EVAPORATOR,
    chiller=CHILLER,
    compressor=Compressor(),
    evaporator_valve=Valve(2.2e-6),
    chiller_valve=Valve(1.8e-6),
    superheat=Superheat(),
    protection=Protection(),
    accumulator=0.7e-3,
    carry_over=0.02,
    charge=0.40,
    face=0.25,
    cabin=60e3,
    cabin_loss=45.0,
    sun=300.0,
    battery=180e3,
    battery_plate=500.0,
    fan=3.5,
)
REFRIG_ONLY = STEP2._replace(water=WATER_CONDENSER, charge=0.46)
