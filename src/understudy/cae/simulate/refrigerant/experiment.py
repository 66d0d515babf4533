"""The refrigerant circuit as an experiment: a random case of a suite, retried with smaller steps where needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.cae.simulate.experiment import CaseFailed, Simulated
from understudy.cae.simulate.refrigerant.case import Course, simulate
from understudy.cae.simulate.refrigerant.compiled import is_compiled
from understudy.cae.simulate.refrigerant.fluid import load_fluid
from understudy.cae.simulate.refrigerant.layout import U_CHILLER_VALVE, U_EVAPORATOR_VALVE
from understudy.cae.simulate.refrigerant.signals import N_CONTROLS, circuit_of, spec_of
from understudy.cae.simulate.refrigerant.suites import suite_of
from understudy.core.spec import DataSpec
from understudy.errors import ConfigError

# Error tolerance of a step, and the longest one [s]: what is tried in turn.
ATTEMPTS = ((0.05, 0.05), (0.01, 0.01), (0.002, 0.003))
COARSEST_STEP = 1.0  # s; the controllers run once a sample


@dataclass(frozen=True)
class RefrigerantCircuit:
    """Cases of the refrigerant circuit.

    Args:
        variant: ``step2`` (9 controls, 41 outputs) or ``refrig_only`` (15 and 47).
        refrigerant: ``R1234yf`` or ``R134a``.
        suite: how controls are drawn, see :mod:`.suites`.
        seconds: length of a case.
        step: distance of the recorded rows in s; the controllers run once a row.

    Raises:
        ConfigError: an unknown name, or times that cannot be.
    """

    variant: str = "step2"
    refrigerant: str = "R1234yf"
    suite: str = "train"
    seconds: float = 1200.0
    step: float = 0.1

    def __post_init__(self) -> None:
        circuit_of(self.variant)
        suite_of(self.suite)
        load_fluid(self.refrigerant)
        if not 0.01 <= self.step <= COARSEST_STEP:
            raise ConfigError(f"the step must lie between 0.01 and {COARSEST_STEP:g} s, not {self.step:g}")
        if not self.seconds >= 10 * self.step:
            raise ConfigError(f"a case needs at least ten rows: {self.seconds:g} s are too short")

    @property
    def activity(self) -> str:
        """What a progress bar shall say."""
        return "simulating" if is_compiled() else "compiling the circuit once, then simulating"

    @property
    def spec(self) -> DataSpec:
        return spec_of(self.variant, self.step)

    def describe(self) -> dict[str, Any]:
        return {
            "experiment": "refrigerant",
            "variant": self.variant,
            "refrigerant": self.refrigerant,
            "suite": self.suite,
            "seconds": self.seconds,
            "step": self.step,
            "circuit": _plain(circuit_of(self.variant)),
            "coolprop": version("CoolProp"),
        }

    def plan(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """The requests, NaN for valves that control superheat; the compressor may be kept from its speed."""
        course = self._course(rng)
        controls = course.requests[:, : N_CONTROLS[self.variant]].copy()
        for valve, is_manual in zip((U_EVAPORATOR_VALVE, U_CHILLER_VALVE), course.manual, strict=True):
            if not is_manual:
                controls[:, valve] = np.nan
        return controls

    def _course(self, rng: np.random.Generator) -> Course:
        return suite_of(self.suite)(rng, self.variant, round(self.seconds / self.step), self.step)

    def run(self, rng: np.random.Generator) -> Simulated:
        course = self._course(rng)
        fluid, circuit = load_fluid(self.refrigerant), circuit_of(self.variant)
        tried, trace = 0, None
        while trace is None:
            if tried == len(ATTEMPTS):
                raise CaseFailed("the integration failed, also with the smallest steps")
            tolerance, longest = ATTEMPTS[tried]
            trace = simulate(fluid, circuit, course, self.step, tolerance=tolerance, longest=longest)
            tried += 1
        values = np.concatenate([trace.controls[:, : N_CONTROLS[self.variant]], trace.outputs], axis=1)
        return Simulated(
            values.astype(np.float32),
            {
                "retries": tried - 1,
                "mass_drift": float(f"{trace.mass_drift:.3g}"),
                "energy_residual": float(f"{trace.energy_residual:.3g}"),
                "highest_MPa": float(f"{trace.outputs[:, 6].max():.4g}"),
                "lowest_MPa": float(f"{trace.outputs[:, 0].min():.4g}"),
            },
        )


def _plain(value: Any) -> Any:
    """Named tuples as JSON objects."""
    if hasattr(value, "_asdict"):
        return {key: _plain(part) for key, part in value._asdict().items()}
    return value
