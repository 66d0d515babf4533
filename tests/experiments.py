"""Experiments for tests of campaigns: quick, and failing in every way when told to."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.cae.simulate.experiment import CaseFailed, Simulated
from understudy.core.spec import DataSpec, Role, Signal


@dataclass(frozen=True)
class Walk:
    """A random walk. A draw that begins with a number below ``fails`` fails, below ``dies`` ends its process."""

    rows: int = 30
    fails: float = 0.0
    dies: float = 0.0
    infinite: bool = False
    may_crash: bool = False

    @property
    def spec(self) -> DataSpec:
        return DataSpec((Signal("u", "V", Role.CONTROL), Signal("y", "m", Role.TARGET)), step=0.5)

    def describe(self) -> dict[str, Any]:
        return {"name": "walk", **asdict(self)}

    def plan(self, rng: np.random.Generator) -> NDArray[np.float64]:
        rng.random()
        return rng.random(self.rows + int(rng.integers(5)))[:, None]

    def run(self, rng: np.random.Generator) -> Simulated:
        first = rng.random()
        if first < self.dies:
            os.kill(os.getpid(), signal.SIGABRT)
        if first < self.fails:
            raise CaseFailed("it diverged")
        u = rng.random(self.rows + int(rng.integers(5)))
        y = np.full_like(u, 1e39) if self.infinite else np.cumsum(u)
        return Simulated(np.stack([u, y], axis=1), {"first": round(float(first), 3)})


class Unready(Walk):
    """Cannot be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("this is no number",)
