"""The CAE data sets: each a dataclass whose fields are the keys of ``conf/dataset/<name>.yaml``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from understudy.cae.read import ReadOptions, Roles, read_cases
from understudy.cae.simulate.tanks import simulate_tanks
from understudy.cae.tables import resample_table
from understudy.core.domain import Loaded, OnProgress, Preprocess
from understudy.core.parquet import read_parquet
from understudy.errors import ConfigError

log = logging.getLogger(__name__)


class CaseDataset(Protocol):
    """What the CAE data sets have in common: how they are loaded, and parted (see ``split_by_case``).

    An attribute ``activity`` may be there beside these: what the progress bar says while it loads.
    """

    name: str
    val_size: float
    test_size: float
    val_cases: list[str]
    test_cases: list[str]

    def load(self, preprocess: Preprocess, on_progress: OnProgress) -> Loaded:
        """Read or make the cases."""


@dataclass
class CsvDataset:
    """A folder of CSV cases, or a Parquet file that ``understudy ingest`` made of one."""

    name: str
    path: str | None
    controls: list[str]
    byproducts: list[str]
    targets: list[str]
    num_control: int | None
    num_pred: int | None
    num_target: int | None
    time: str | None
    delimiter: str | None
    encoding: str | None
    on_bad_case: str
    val_size: float
    test_size: float
    val_cases: list[str]
    test_cases: list[str]

    def load(self, preprocess: Preprocess, on_progress: OnProgress) -> Loaded:
        """
        Raises:
            ConfigError: no path given.
            DataError: the files are not what the contract asks for.
        """
        if not self.path:
            raise ConfigError(
                "dataset.path is not set: give the folder of the CSV cases, dataset.path=FOLDER"
            )
        path = Path(self.path).expanduser()
        if path.suffix == ".parquet":
            table = read_parquet(path)
            if preprocess.max_cases:
                table = table.head(preprocess.max_cases)
            return Loaded(resample_table(table, preprocess.step, preprocess.lowpass))
        table, bad = read_cases(path, self.roles(), self.options(preprocess), on_progress=on_progress)
        return Loaded(table, [f"{case.path.name}: {case.reason}" for case in bad])

    def roles(self) -> Roles:
        return Roles(
            controls=tuple(self.controls),
            byproducts=tuple(self.byproducts),
            targets=tuple(self.targets),
            num_control=self.num_control,
            num_pred=self.num_pred,
            num_target=self.num_target,
            time=self.time,
        )

    def options(self, preprocess: Preprocess) -> ReadOptions:
        if self.on_bad_case not in ("error", "skip"):
            raise ConfigError(f"dataset.on_bad_case is 'error' or 'skip', not {self.on_bad_case!r}")
        return ReadOptions(
            step=preprocess.step,
            lowpass=preprocess.lowpass,
            delimiter=self.delimiter,
            encoding=self.encoding,
            on_bad_case=self.on_bad_case,
            max_cases=preprocess.max_cases,
        )


@dataclass
class TanksDataset:
    """The built-in experiment: two simulated water tanks, made anew in a moment whenever asked for."""

    name: str
    cases: int
    seconds: float
    seed: int
    val_size: float
    test_size: float
    val_cases: list[str]
    test_cases: list[str]

    def load(self, preprocess: Preprocess, on_progress: OnProgress) -> Loaded:
        if self.cases < 1 or self.seconds < 1:
            raise ConfigError("dataset.cases and dataset.seconds must be at least 1")
        table = simulate_tanks(
            min(self.cases, preprocess.max_cases or self.cases), seconds=self.seconds, seed=self.seed
        )
        return Loaded(resample_table(table, preprocess.step, preprocess.lowpass))


@dataclass
class RefrigerantDataset:
    """The built-in experiment: a refrigerant circuit, simulated on first use and kept in the cache folder."""

    name: str
    size: str
    variant: str
    refrigerant: str
    seed: int
    val_size: float
    test_size: float
    val_cases: list[str]
    test_cases: list[str]

    @property
    def activity(self) -> str:
        """What the progress bar says while the cases are simulated or found."""
        from understudy.cae.simulate.refrigerant.experiment import RefrigerantCircuit

        return RefrigerantCircuit(self.variant, self.refrigerant).activity

    def load(self, preprocess: Preprocess, on_progress: OnProgress) -> Loaded:
        """
        Raises:
            ConfigError: a variant, refrigerant or size that does not exist.
            DataError: the cache folder cannot be used.
        """
        from understudy.cae.simulate.refrigerant.kept import kept_cases

        table = kept_cases(
            self.size,
            variant=self.variant,
            refrigerant=self.refrigerant,
            seed=self.seed,
            max_cases=preprocess.max_cases,
            on_progress=on_progress,
        )
        return Loaded(resample_table(table, preprocess.step, preprocess.lowpass))
