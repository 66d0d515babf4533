"""The RNA data sets: each a dataclass whose fields are the keys of ``conf/dataset/<name>.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from understudy.errors import ConfigError
from understudy.rna.molecules import Molecules, read_molecules


@dataclass
class Probing:
    """What all RNA data sets have in common: who tests and validates, what is learnt, and from what.

    The test molecules are another file (``test_path``), the longer ones (``test_longer_than``), or else fold
    ``settings.fold`` of ``settings.nfolds``. In the first two cases that fold validates; in the last one the share
    ``val_size`` of the others does.
    """

    name: str
    val_size: float
    test_longer_than: int | None
    similar: float | None
    weighting: str
    noisy: bool
    error_weight: float
    flip: bool
    pieces: float
    ends: bool
    bucket: int
    positions: int | None
    background: str
    pairing: str
    pairing_folder: str | None
    trees: bool
    tree_molecules: int | None


class RnaDataset(Protocol):
    """What the study of a run needs beside the fields of :class:`Probing`."""

    def read(self, max_molecules: int | None) -> Molecules:
        """The molecules to learn from."""

    def read_test(self, max_molecules: int | None) -> Molecules | None:
        """The molecules of another file to test on; None: the first ones are parted."""


@dataclass
class RibonanzaDataset(Probing):
    """A file that ``understudy ingest ribonanza`` (or ``rdat``) made."""

    path: str | None
    test_path: str | None

    def read(self, max_molecules: int | None) -> Molecules:
        """
        Raises:
            ConfigError: no path given.
            DataError: the file is not what ingest writes.
        """
        if not self.path:
            raise ConfigError(
                "dataset.path is not set: give the Parquet file of `understudy ingest ribonanza`"
            )
        return _read(self.path, max_molecules)

    def read_test(self, max_molecules: int | None) -> Molecules | None:
        return _read(self.test_path, max_molecules) if self.test_path else None


@dataclass
class DemoDataset(Probing):
    """The built-in experiment: made molecules, probed by a simulated assay."""

    molecules: int
    seed: int

    def read(self, max_molecules: int | None) -> Molecules:
        from understudy.rna.demo import made_molecules

        if self.molecules < 20:
            raise ConfigError(f"dataset.molecules must be at least 20, not {self.molecules}")
        return made_molecules(min(self.molecules, max_molecules or self.molecules), self.seed)

    def read_test(self, max_molecules: int | None) -> Molecules | None:
        return None


def _read(path: str, max_molecules: int | None) -> Molecules:
    molecules = read_molecules(Path(path).expanduser())
    return molecules.head(max_molecules) if max_molecules else molecules
