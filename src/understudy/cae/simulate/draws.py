"""Single draws of an experiment, in this process or spread over workers that may die of them."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from understudy.cae.simulate.experiment import CaseFailed, Experiment
from understudy.cae.simulate.manifest import case_name
from understudy.cae.simulate.stores import STORES
from understudy.core.cases import Floats
from understudy.core.spec import DataSpec, Role
from understudy.core.workers import Worker, WorkerDied, first_of
from understudy.errors import ConfigError, DataError


@dataclass(frozen=True)
class At:
    """Which case, from 1, and which draw of it, from 0."""

    index: int
    attempt: int


@dataclass(frozen=True)
class Outcome:
    """What came of a draw: a case that was written, or the reason why there is none."""

    file: str = ""
    sha256: str = ""
    rows: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Draw:
    """Simulates and writes one draw; it is what workers are given."""

    experiment: Experiment
    folder: Path
    file_format: str
    seed: int

    def __call__(self, at: At) -> Outcome:
        """
        Raises:
            DataError, OSError, TypeError: the case cannot be written, which another draw would not mend.
        """
        spec = self.experiment.spec
        try:
            result = self.experiment.run(np.random.default_rng([self.seed, at.index, at.attempt]))
        except CaseFailed as failure:
            return Outcome(reason=str(failure))
        except Exception as error:
            return Outcome(reason=f"{type(error).__name__}: {error}")
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and no case
            values = np.ascontiguousarray(result.values, np.float32)
        if values.ndim != 2 or values.shape[1] != len(spec.signals):
            raise DataError(
                f"the experiment gave values of shape {values.shape} for {len(spec.signals)} signals"
            )
        reason = _not_finite(spec, values)
        if reason:
            return Outcome(reason=reason)
        notes = json.loads(json.dumps(result.notes, allow_nan=False))
        name = case_name(at.index)
        file, sha256 = STORES[self.file_format].write(self.folder, spec, name, values)
        return Outcome(file, sha256, len(values), notes)


def _not_finite(spec: DataSpec, values: Floats) -> str:
    """What makes the values no case: nothing may be infinite, and only predicted signals may be NaN."""
    bad = np.isinf(values)
    n_controls = sum(signal.role is Role.CONTROL for signal in spec.signals)
    bad[:, :n_controls] |= np.isnan(values[:, :n_controls])
    if not bad.any():
        return "" if len(values) else "the experiment gave no rows"
    row, column = np.argwhere(bad)[0]
    return f"{spec.names[column]} is {values[row, column]:g} in row {row}"


def in_turn(draw: Draw, waiting: deque[At]) -> Generator[tuple[At, Outcome], None, None]:
    """Every draw in ``waiting``, to which the caller may add, one after another in this process."""
    while waiting:
        at = waiting.popleft()
        yield at, draw(at)


def spread(draw: Draw, waiting: deque[At], n_workers: int) -> Generator[tuple[At, Outcome], None, None]:
    """Like :func:`in_turn`, in up to ``n_workers`` processes; the order is that in which draws end.

    A process that dies makes its draw a failed one, and is replaced. Closing the generator kills the rest.

    Raises:
        ConfigError: the experiment's class cannot be found by another process.
        DataError: workers cannot start.
    """
    if type(draw.experiment).__module__ == "__main__":
        raise ConfigError(
            f"{type(draw.experiment).__name__} is defined in the main script, where worker processes cannot "
            "find it; move it into a module"
        )
    busy: dict[Worker, At] = {}
    idle: list[Worker] = []
    with tempfile.TemporaryDirectory(prefix="understudy-", ignore_cleanup_errors=True) as scratch:
        try:
            while waiting or busy:
                while waiting and len(busy) < n_workers:
                    worker = idle.pop() if idle else Worker(draw, Path(scratch))
                    busy[worker] = waiting.popleft()
                    worker.send(busy[worker])
                for worker in first_of(list(busy)):
                    outcome = _received(worker)
                    if outcome is None:
                        continue
                    if worker.alive:
                        idle.append(worker)
                    yield busy.pop(worker), outcome
            for worker in idle:
                worker.leave()
        finally:
            for worker in (*busy, *idle):
                worker.kill()


def _received(worker: Worker) -> Outcome | None:
    try:
        done, outcome = worker.receive()
    except WorkerDied as death:
        return Outcome(reason=str(death))
    return outcome if done else None
