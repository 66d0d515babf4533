"""Two water tanks, one draining into the other, both able to overflow: the small built-in experiment.

After the laboratory set-up of Schoukens, Mattsson, Wigren and Noël (2016), "Cascaded tanks benchmark combining
soft and hard nonlinearities", with a valve at the outlet as a second control. With heights h₁, h₂ (cm), tank
area A, drain areas a₁, a₂ and Torricelli's law::

    A·dh₁/dt = q − a₁·√(2·g·h₁)            (upper tank; what rises above the rim spills)
    A·dh₂/dt = a₁·√(2·g·h₁) + s − v·a₂·√(2·g·h₂)

q is the pump's flow, v the valve's opening, s the share of the upper tank's spill that the lower one catches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.cae.simulate.experiment import Simulated
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.spec import DataSpec, Role, Signal

SPEC = DataSpec(
    (
        Signal("Pump", "V", Role.CONTROL),
        Signal("Valve", "%", Role.CONTROL),
        Signal("UpperLevel", "cm", Role.BYPRODUCT),
        Signal("LowerLevel", "cm", Role.TARGET),
        Signal("Outflow", "cm3/s", Role.TARGET),
    ),
    step=4.0,
)

GRAVITY = 981.0  # cm/s²
AREA = 60.0  # cm²
DRAIN_1, DRAIN_2 = 0.11, 0.22  # cm²; the lower one fully open
RIM = 20.0  # cm
PUMP_GAIN = 2.6  # cm³/s per V
CAUGHT = 0.5  # share of the upper tank's spill
INNER_STEP = 0.25  # s

Floats = NDArray[np.float64]


def simulate_tanks(n_cases: int = 40, *, seconds: float = 1200.0, seed: int = 0) -> CaseTable:
    """``n_cases`` experiments of ``seconds`` each, sampled every 4 s; the same seed gives the same values."""
    values = _simulated(np.random.default_rng(seed), n_cases, _n_rows(seconds)).astype(np.float32)
    return table_from_cases(SPEC, [Case(f"case{i + 1:04d}", rows) for i, rows in enumerate(values)])


@dataclass(frozen=True)
class Tanks:
    """The two tanks as an experiment for campaigns: one case of ``seconds`` for one generator."""

    seconds: float = 1200.0

    @property
    def spec(self) -> DataSpec:
        return SPEC

    def describe(self) -> dict[str, Any]:
        return {"name": "tanks", "seconds": self.seconds}

    def plan(self, rng: np.random.Generator) -> Floats:
        pump, valve = _controls(rng, 1, _n_rows(self.seconds))
        return np.stack([pump[0], valve[0]], axis=1)

    def run(self, rng: np.random.Generator) -> Simulated:
        return Simulated(_simulated(rng, 1, _n_rows(self.seconds))[0])


def _n_rows(seconds: float) -> int:
    return round(seconds / SPEC.step) + 1


def _simulated(rng: np.random.Generator, n_cases: int, n_rows: int) -> Floats:
    """Values ``(n_cases, n_rows, 5)`` in the order of the signals."""
    pump, valve = _controls(rng, n_cases, n_rows)
    h1 = rng.uniform(1.0, 15.0, n_cases)
    h2 = rng.uniform(1.0, 15.0, n_cases)
    values = np.empty((n_cases, n_rows, len(SPEC.signals)))
    for k in range(n_rows):
        u, v = pump[:, k], valve[:, k] / 100
        values[:, k] = np.stack([u, valve[:, k], h1, h2, v * DRAIN_2 * _speed(h2)], axis=1)
        for _ in range(round(SPEC.step / INNER_STEP)):
            h1, h2 = _heun(h1, h2, u, v)
    return values


def _controls(rng: np.random.Generator, n_cases: int, n_rows: int) -> tuple[Floats, Floats]:
    """Voltage of the pump and opening of the valve, (n_cases, n_rows) each."""
    pump = np.stack([_holds(rng, n_rows, 0.5, 9.5, (4, 40)) for _ in range(n_cases)])
    valve = np.stack([_holds(rng, n_rows, 35.0, 100.0, (15, 90)) for _ in range(n_cases)])
    return pump, valve


def _speed(h: Floats) -> Floats:
    return np.sqrt(2 * GRAVITY * np.maximum(h, 0.0))


def _slopes(h1: Floats, h2: Floats, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    between = DRAIN_1 * _speed(h1)
    d1 = PUMP_GAIN * u - between
    spill = np.where(h1 >= RIM, np.maximum(d1, 0.0), 0.0)
    d2 = between + CAUGHT * spill - v * DRAIN_2 * _speed(h2)
    return (d1 - spill) / AREA, np.where((h2 >= RIM) & (d2 > 0), 0.0, d2) / AREA


def _heun(h1: Floats, h2: Floats, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    a1, a2 = _slopes(h1, h2, u, v)
    b1, b2 = _slopes(h1 + INNER_STEP * a1, h2 + INNER_STEP * a2, u, v)
    h1, h2 = h1 + INNER_STEP / 2 * (a1 + b1), h2 + INNER_STEP / 2 * (a2 + b2)
    return np.clip(h1, 0.0, RIM), np.clip(h2, 0.0, RIM)


def _holds(rng: np.random.Generator, n_rows: int, low: float, high: float, dwell: tuple[int, int]) -> Floats:
    """A seeded sequence of held levels and ramps between them."""
    signal = np.empty(n_rows)
    at, level = 0, rng.uniform(low, high)
    while at < n_rows:
        n = int(rng.integers(*dwell))
        following = rng.uniform(low, high)
        piece = np.linspace(level, following, n) if rng.random() < 0.3 else np.full(n, following)
        signal[at : at + n] = piece[: n_rows - at]
        at, level = at + n, following
    return signal
