"""Where the cases of a loop come from: an experiment that runs when it is asked, or cases that were run before.

Candidates are numbered from 1, as the cases of a campaign are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from understudy.cae.resample import resample
from understudy.cae.simulate.campaign import run_campaign
from understudy.cae.simulate.experiment import Experiment
from understudy.cae.simulate.manifest import case_name
from understudy.cae.tables import resample_table
from understudy.core.cases import Case, CaseTable, Floats, table_from_cases
from understudy.core.domain import Preprocess
from understudy.core.parquet import forget_outdated, read_parquet
from understudy.core.spec import DataSpec, Role
from understudy.errors import ConfigError

OnProgress = Callable[[int, int], None]
TEST = "test-"  # what the ids of test cases begin with


class Source(Protocol):
    """Cases on the step of the training."""

    @property
    def n_candidates(self) -> int: ...

    def describe(self) -> dict[str, Any]:
        """What decides the cases."""

    def name(self, number: int) -> str:
        """The id of a candidate."""

    def candidates(self, numbers: Sequence[int]) -> CaseTable:
        """What is known of candidates before they are run: predicted signals are NaN."""

    def run(self, numbers: Sequence[int], on_progress: OnProgress) -> CaseTable:
        """These candidates, run; those that were run before are not run again."""

    def tests(self, on_progress: OnProgress) -> CaseTable:
        """The test cases, their ids beginning with :data:`TEST`."""


@dataclass(frozen=True)
class Simulated:
    """Draws of an experiment; candidate i is case i of a campaign with ``seed``, the tests have the next seed."""

    experiment: Experiment
    folder: Path
    n_candidates: int
    n_tests: int
    seed: int
    preprocess: Preprocess
    n_workers: int | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment.describe(),
            "candidates": self.n_candidates,
            "test": self.n_tests,
        }

    def name(self, number: int) -> str:
        return case_name(number)

    def candidates(self, numbers: Sequence[int]) -> CaseTable:
        spec = _coarser(self.experiment.spec, self.preprocess.step)
        return table_from_cases(spec, [self._planned(number, spec) for number in numbers])

    def _planned(self, number: int, spec: DataSpec) -> Case:
        plan: Floats = self.experiment.plan(np.random.default_rng([self.seed, number, 0])).astype(np.float32)
        if spec.step != self.experiment.spec.step:
            time = np.asarray(self.experiment.spec.step * np.arange(len(plan)), np.float64)
            _, plan = resample(time, plan, spec.step, self.preprocess.lowpass)
        values = np.full((len(plan), len(spec.signals)), np.nan, np.float32)
        values[:, : plan.shape[1]] = plan
        return Case(self.name(number), values)

    def run(self, numbers: Sequence[int], on_progress: OnProgress) -> CaseTable:
        return self._campaign("cases", list(numbers), self.seed, on_progress)

    def tests(self, on_progress: OnProgress) -> CaseTable:
        table = self._campaign("test", self.n_tests, self.seed + 1, on_progress)
        return _renamed(table)

    def _campaign(self, name: str, cases: int | list[int], seed: int, on_progress: OnProgress) -> CaseTable:
        folder = self.folder / name
        run_campaign(
            self.experiment, folder, cases, seed=seed, file_format="parquet", n_workers=self.n_workers,
            on_progress=on_progress,
        )  # fmt: skip
        table = read_parquet(folder / "cases.parquet")
        forget_outdated(folder / "cases.parquet", table)
        return resample_table(table, self.preprocess.step, self.preprocess.lowpass)


@dataclass(frozen=True)
class Replayed:
    """Cases that were run before; as many of them as are asked for, drawn with ``seed``, are the tests."""

    table: CaseTable
    n_tests: int
    seed: int

    def __post_init__(self) -> None:
        if self.n_tests >= len(self.table):
            raise ConfigError(f"--test {self.n_tests} leaves no candidate of {len(self.table)} cases")

    @property
    def n_candidates(self) -> int:
        return len(self.table) - self.n_tests

    @cached_property
    def _order(self) -> list[int]:
        """Places in the table: the candidates, then the tests."""
        drawn = np.random.default_rng(self.seed).permutation(len(self.table)).tolist()
        return [*sorted(drawn[self.n_tests :]), *sorted(drawn[: self.n_tests])]

    def describe(self) -> dict[str, Any]:
        return {"cases": self.table.fingerprint, "test": self.n_tests}

    def name(self, number: int) -> str:
        return self.table.ids[self._order[number - 1]]

    def candidates(self, numbers: Sequence[int]) -> CaseTable:
        n_controls = sum(signal.role is Role.CONTROL for signal in self.table.spec.signals)
        table = self.run(numbers, lambda done, total: None)
        table.values[:, n_controls:] = np.nan
        return table

    def run(self, numbers: Sequence[int], on_progress: OnProgress) -> CaseTable:
        return self.table.only([self._order[number - 1] for number in numbers])

    def tests(self, on_progress: OnProgress) -> CaseTable:
        return _renamed(self.table.only(self._order[self.n_candidates :]))


def _renamed(table: CaseTable) -> CaseTable:
    ids = tuple(f"{TEST}{name}" for name in table.ids)
    return CaseTable(table.spec, ids, table.offsets, table.values, table.starts, table.metadata)


def _coarser(spec: DataSpec, step: float | None) -> DataSpec:
    if step is None or step <= spec.step * 1.001:
        return spec
    return DataSpec(spec.signals, step, spec.step_unit, spec.domain)
