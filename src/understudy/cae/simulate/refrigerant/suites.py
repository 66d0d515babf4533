"""What is asked of the circuit in a case: random requests, and the designed suites that test a surrogate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from understudy.cae.simulate.excitation import Channel
from understudy.cae.simulate.refrigerant.case import DEFAULTS, N_REQUESTS, R_DITHER, R_TARGET, Course
from understudy.cae.simulate.refrigerant.fluid import Floats
from understudy.cae.simulate.refrigerant.layout import (
    U_CHILLER_VALVE,
    U_CONDENSER_T,
    U_EVAPORATOR_T,
    U_EVAPORATOR_VALVE,
    U_RPM,
)
from understudy.cae.simulate.refrigerant.signals import N_CONTROLS
from understudy.errors import ConfigError, did_you_mean

Suite = Callable[[np.random.Generator, str, int, float], Course]

# Ranges of the training cases, slew rates per second. The valves are under control and have none of their own.
CHANNELS = {
    0: Channel("Comp_rpm", "rpm", 800.0, 8500.0, slew=800.0),
    1: Channel("ACDS_AirT", "degC", 10.0, 40.0, slew=0.1),
    2: Channel("ACDS_AirV", "m/s", 0.8, 6.0, slew=0.8),
    3: Channel("Eva_AirT", "degC", 15.0, 40.0, slew=0.2),
    4: Channel("Eva_AirFlow", "kg/s", 0.03, 0.17, slew=0.02),
    5: Channel("Chiller_CoolFlow", "L/min", 2.0, 20.0, slew=1.0),
    6: Channel("ChillerInT_spec", "degC", 15.0, 45.0, slew=0.2),
    9: Channel("Eva_AirRH", "%", 20.0, 90.0, slew=1.0),
    10: Channel("Eva_Recirc", "%", 0.0, 100.0, slew=5.0),
    11: Channel("WCDS_CoolFlow", "L/min", 0.0, 15.0, slew=1.0),
    12: Channel("WCDSInT_spec", "degC", 20.0, 55.0, slew=0.2),
    13: Channel("ACDS_FanDuty", "%", 0.0, 100.0, slew=20.0),
    14: Channel("Bat_kW", "kW", 0.0, 6.0, slew=0.5),
}
SUPERHEAT = Channel(
    "superheat", "K", 4.0, 12.0, slew=0.1, kinds=("hold", "step"), dwell=(100.0, 400.0), constant=0.4
)
DITHER = Channel("dither", "%", -5.0, 5.0, slew=2.0, kinds=("hold", "step", "sine"), constant=0.2)
HOT = (41.0, 46.0)  # degC; training ends at 40


def train(rng: np.random.Generator, variant: str, n_rows: int, step: float) -> Course:
    """Every control at random inside its range."""
    return Course(_requests(rng, variant, n_rows, step, CHANNELS))


def hot(rng: np.random.Generator, variant: str, n_rows: int, step: float) -> Course:
    """As :func:`train`, in air warmer than any training case has seen."""
    channels = dict(CHANNELS)
    for which in (U_CONDENSER_T, U_EVAPORATOR_T):
        channels[which] = replace(channels[which], low=HOT[0], high=HOT[1])
    return Course(_requests(rng, variant, n_rows, step, channels))


def start(rng: np.random.Generator, variant: str, n_rows: int, step: float) -> Course:
    """As :func:`train`, recorded from standstill."""
    return Course(_requests(rng, variant, n_rows, step, CHANNELS), warm_up=0.0)


def swing(rng: np.random.Generator, variant: str, n_rows: int, step: float) -> Course:
    """Compressor speed, evaporator valve or chiller valve swings, in steps or as a sine; all else is fixed."""
    still = {which: replace(channel, constant=1.0) for which, channel in CHANNELS.items()}
    requests = _requests(rng, variant, n_rows, step, still)
    requests[:, R_TARGET : R_TARGET + 2] = requests[0, R_TARGET : R_TARGET + 2]
    requests[:, R_DITHER : R_DITHER + 2] = 0.0
    swung = (U_RPM, U_EVAPORATOR_VALVE, U_CHILLER_VALVE)[rng.integers(3)]
    low, high, slew = (1200.0, 7000.0, 800.0) if swung == U_RPM else (15.0, 70.0, 8.0)
    kinds = (("step",), ("sine",))[rng.integers(2)]
    channel = Channel("swing", "", low, high, slew=slew, kinds=kinds, dwell=(40.0, 160.0), constant=0.0)
    requests[:, swung] = channel.draw(rng, n_rows, step)
    return Course(requests, manual=(swung == U_EVAPORATOR_VALVE, swung == U_CHILLER_VALVE))


SUITES: Mapping[str, Suite] = {"train": train, "swing": swing, "hot": hot, "long": train, "start": start}
SECONDS = {"long": 3300.0}  # where a suite has a length of its own
USUAL_SECONDS = 1200.0


def suite_of(name: str) -> Suite:
    """
    Raises:
        ConfigError: no such suite.
    """
    if name not in SUITES:
        raise ConfigError(
            f"no suite is called {name!r}{did_you_mean(name, SUITES)}; known are {', '.join(SUITES)}"
        )
    return SUITES[name]


def _requests(
    rng: np.random.Generator, variant: str, n_rows: int, step: float, channels: Mapping[int, Channel]
) -> Floats:
    requests = np.tile(np.array([*DEFAULTS, 0.0, 0.0, 0.0, 0.0]), (n_rows, 1))
    assert requests.shape[1] == N_REQUESTS
    for which, channel in channels.items():
        if which < N_CONTROLS[variant]:
            requests[:, which] = channel.draw(rng, n_rows, step)
    for which in range(2):
        requests[:, R_TARGET + which] = SUPERHEAT.draw(rng, n_rows, step)
        requests[:, R_DITHER + which] = DITHER.draw(rng, n_rows, step)
    return requests
