"""What a campaign made: ``manifest.json``, with a checksum for every case."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from understudy.errors import DataError

MANIFEST, SPEC = "manifest.json", "spec.json"


def case_name(index: int) -> str:
    """``case0001`` for the first case, whose index is 1."""
    return f"case{index:04d}"


@dataclass(frozen=True)
class CaseRecord:
    """One case that was simulated.

    ``sha256`` is that of the CSV file; in a Parquet file, that of the case's little-endian float32 values row by
    row. ``failures`` are the reasons of the draws before the one that succeeded.
    """

    name: str
    file: str
    sha256: str
    rows: int
    attempts: int
    failures: tuple[str, ...]
    notes: dict[str, Any]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaseRecord:
        return cls(**{**data, "failures": tuple(data["failures"])})


@dataclass(frozen=True)
class FailedCase:
    """A case of which no draw could be simulated, and why, draw by draw."""

    name: str
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """Everything that decides the values of a campaign, and what came of it.

    It holds no time, no path and no number of workers: the same campaign has the same manifest anywhere.

    Args:
        identity: the program's version, the experiment's description, spec, seed and format.
        files: SHA-256 of what is not a case: ``spec.json``, ``cases.parquet``.
    """

    identity: dict[str, Any]
    files: dict[str, str]
    cases: tuple[CaseRecord, ...]
    failed: tuple[FailedCase, ...]

    @property
    def resampled(self) -> tuple[CaseRecord, ...]:
        """Cases that were simulated after draws that failed."""
        return tuple(case for case in self.cases if case.failures)

    @property
    def reasons(self) -> Counter[str]:
        """How many draws failed for each reason."""
        failures = [*(case.failures for case in self.cases), *(case.failures for case in self.failed)]
        return Counter(reason for reasons in failures for reason in reasons)

    def to_json(self) -> dict[str, Any]:
        totals = {
            "cases": len(self.cases),
            "resampled": len(self.resampled),
            "failed": len(self.failed),
            "failed_attempts": self.reasons.total(),
        }
        return {
            **self.identity,
            "totals": totals,
            "files": self.files,
            "cases": [asdict(case) for case in self.cases],
            "failed": [asdict(case) for case in self.failed],
        }

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """
        Raises:
            DataError: there is none in ``folder``, or it is not what :meth:`to_json` writes.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise DataError(f"{folder}: no {MANIFEST} here, so this is not a finished campaign")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            identity = {key: data[key] for key in ("understudy", "experiment", "spec", "seed", "format")}
            cases = tuple(CaseRecord.from_json(case) for case in data["cases"])
            failed = tuple(FailedCase(case["name"], tuple(case["failures"])) for case in data["failed"])
            return cls(identity, dict(data["files"]), cases, failed)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not the manifest of a campaign: {error!r}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, on_progress: Callable[[int, int], None] | None = None) -> Manifest:
    """The manifest of ``folder``, once every file that it names was found to be what it says.

    Raises:
        DataError: no manifest, or a file that is missing or has another content.
    """
    manifest = Manifest.read(folder)
    expected = dict(manifest.files)
    # A Parquet file is one of the files: its cases need no second look.
    expected |= {case.file: case.sha256 for case in manifest.cases if case.file not in expected}
    for done, (name, sha256) in enumerate(expected.items()):
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing; run the same campaign again to make it anew")
        if file_sha256(path) != sha256:
            raise DataError(f"{path} is not what was written; run the same campaign again to make it anew")
        if on_progress is not None:
            on_progress(done + 1, len(expected))
    return manifest
