"""What can be simulated: an experiment gives one case for one random generator, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from understudy.core.cases import Floats
from understudy.core.spec import DataSpec


class CaseFailed(Exception):
    """An experiment could not finish one case; the message says why. Another draw may succeed."""


@dataclass(frozen=True)
class Simulated:
    """One case: values ``(T, F)`` in the order of the spec's signals, and what its manifest entry shall say."""

    values: Floats
    notes: dict[str, Any] = field(default_factory=dict)


class Experiment(Protocol):
    """A slow experiment. It is pickled into worker processes; what is costly to make belongs into :meth:`run`
    and may be kept from case to case.

    Two attributes may be there beside these: ``may_crash``, true where a case can take its process with it, and
    ``activity``, what the progress bar says.
    """

    @property
    def spec(self) -> DataSpec:
        """Signals, and the step at which cases are sampled."""

    def describe(self) -> dict[str, Any]:
        """Everything that decides the values beside the seed, as JSON: equal for experiments that give equal
        cases."""

    def plan(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """What :meth:`run` will ask for with a generator in the same state: controls ``(T, C)``, cheap to have.

        NaN where only the simulation decides.
        """

    def run(self, rng: np.random.Generator) -> Simulated:
        """
        Raises:
            CaseFailed: this draw cannot be simulated.
        """
