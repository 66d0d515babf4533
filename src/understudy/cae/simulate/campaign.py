"""Many cases of an experiment, in parallel, into one folder that can be left and taken up again at any moment."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy import __version__
from understudy.cae.simulate.draws import At, Draw, Outcome, in_turn, spread
from understudy.cae.simulate.experiment import Experiment
from understudy.cae.simulate.journal import Journal, claimed, recorded
from understudy.cae.simulate.manifest import (
    MANIFEST,
    SPEC,
    CaseRecord,
    FailedCase,
    Manifest,
    case_name,
    file_sha256,
    verify,
)
from understudy.cae.simulate.stores import STORES
from understudy.core.files import write_json
from understudy.core.workers import n_cores
from understudy.errors import ConfigError, DataError, UnderstudyError, did_you_mean

OnProgress = Callable[[int, int], None]


class CampaignStopped(UnderstudyError):
    """Ctrl-C; what was finished is kept. ``resume_with`` says how to go on."""

    resume_with = "the same command"


@dataclass(frozen=True)
class Campaign:
    """A finished campaign: its folder, its manifest, and how many cases this run had to simulate."""

    folder: Path
    manifest: Manifest
    n_simulated: int


def run_campaign(
    experiment: Experiment,
    out: Path,
    cases: int | Collection[int],
    *,
    seed: int = 0,
    file_format: str = "csv",
    n_workers: int | None = None,
    max_attempts: int = 5,
    on_progress: OnProgress | None = None,
) -> Campaign:
    """Simulate ``case0001`` … into the folder ``out``; the same arguments give the same bytes of every file.

    Draw ``a`` (from 0) of case ``i`` (from 1) has the generator ``np.random.default_rng([seed, i, a])``. A draw
    that fails, or takes its process with it, is recorded, and the next one is tried. A campaign that was stopped
    in whatever way goes on when it is run again, also with more cases.

    Args:
        cases: how many; or which, by their numbers.
        experiment: where it has an attribute ``may_crash`` that is true, it runs in other processes always.
        file_format: ``csv``, a file a case; or ``parquet``, all in ``cases.parquet``.
        n_workers: processes; by default one for every core that this process may use.
        max_attempts: draws a case.
        on_progress: takes how many cases are done and how many there will be.

    Raises:
        ConfigError: an argument cannot be, or the folder is not this campaign's; nothing was touched.
        DataError: some cases failed in all their draws. The others are there, and the manifest names both.
        CampaignStopped: Ctrl-C.
    """
    indices = range(1, cases + 1) if isinstance(cases, int) else sorted(set(cases))
    _check(indices, seed, file_format, n_workers, max_attempts)
    run = _Run(experiment, Path(out), seed, file_format, max_attempts, on_progress)
    names = [case_name(index) for index in indices]
    manifest = run.complete(names)
    if manifest is not None:
        return Campaign(run.folder, manifest, 0)
    with claimed(run.folder, run.identity, run.store.taken) as journal:
        n_kept = run.keep(journal)
        try:
            failed = run.simulate(journal, indices, n_workers or n_cores())
        except KeyboardInterrupt:
            kept = f"{len(journal.records)} of {len(names)} cases are kept in {run.folder}"
            raise CampaignStopped(f"stopped; {kept}") from None
        manifest = run.finish(journal, names, failed)
    if manifest.failed:
        raise DataError(_failure(run.folder, manifest))
    return Campaign(run.folder, manifest, len(names) - n_kept)


def _check(
    indices: Sequence[int], seed: int, file_format: str, n_workers: int | None, max_attempts: int
) -> None:
    if not indices or min(indices) < 1:
        raise ConfigError("there must be at least one case to simulate; cases have numbers from 1")
    least = {"seed": (seed, 0), "n_workers": (n_workers, 1)}
    for what, (number, bound) in {**least, "max_attempts": (max_attempts, 1)}.items():
        if number is not None and number < bound:
            raise ConfigError(f"{what} must be at least {bound}, not {number}")
    if file_format not in STORES:
        known = ", ".join(STORES)
        raise ConfigError(f"no format {file_format!r}{did_you_mean(file_format, STORES)}; known are {known}")


class _Run:
    """One call of :func:`run_campaign`."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        seed: int,
        file_format: str,
        max_attempts: int,
        on_progress: OnProgress | None,
    ) -> None:
        # Absolute: a model may change the working folder of its process.
        self.draw = Draw(experiment, folder.absolute(), file_format, seed)
        self.folder = folder
        self.store = STORES[file_format]
        self.max_attempts = max_attempts
        self.on_progress = on_progress or (lambda done, total: None)
        identity = {
            "understudy": __version__,
            "experiment": experiment.describe(),
            "spec": experiment.spec.to_json(),
            "seed": seed,
            "format": file_format,
        }
        self.identity: dict[str, Any] = json.loads(json.dumps(identity, allow_nan=False))

    def complete(self, names: list[str]) -> Manifest | None:
        """The manifest, where everything that is wanted is there and whole.

        Raises:
            ConfigError: the folder is not this campaign's.
            DataError: it holds more cases than are wanted.
        """
        there = recorded(self.folder, self.identity, self.store.taken)
        beyond = sorted(there.records.keys() - set(names), key=lambda name: (len(name), name))
        if beyond:
            raise DataError(
                f"{self.folder} holds cases up to {beyond[-1]}; ask for as many, or choose another folder"
            )
        if there.running or set(names) - there.records.keys():
            return None
        try:
            return verify(self.folder, self.on_progress)
        except DataError:  # what is missing or damaged is made again
            return None

    def keep(self, journal: Journal) -> int:
        """Forget the cases whose files are not whole any more; how many are left."""
        kept = self.store.kept(self.folder, journal.records)
        journal.records = {record.name: record for record in kept}
        return len(kept)

    def simulate(self, journal: Journal, wanted: Sequence[int], n_workers: int) -> list[FailedCase]:
        """Everything that the journal has not yet; the cases of which no draw succeeded."""
        indices = [index for index in wanted if case_name(index) not in journal.records]
        waiting = deque(At(index, 0) for index in indices)
        failures: dict[int, list[str]] = {index: [] for index in indices}
        failed: list[FailedCase] = []
        with closing(self._outcomes(waiting, min(n_workers, len(indices)))) as outcomes:
            for at, outcome in outcomes:
                if not outcome.reason:
                    journal.add(_record(at, outcome, failures[at.index]))
                else:
                    failures[at.index].append(outcome.reason)
                    if at.attempt + 1 < self.max_attempts:
                        waiting.appendleft(At(at.index, at.attempt + 1))
                        continue
                    failed.append(FailedCase(case_name(at.index), tuple(failures[at.index])))
                self.on_progress(len(journal.records) + len(failed), len(wanted))
        return failed

    def _outcomes(self, waiting: deque[At], n_workers: int) -> Any:
        if n_workers < 2 and not getattr(self.draw.experiment, "may_crash", False):
            return in_turn(self.draw, waiting)
        return spread(self.draw, waiting, n_workers)

    def finish(self, journal: Journal, names: Iterable[str], failed: list[FailedCase]) -> Manifest:
        """Bring the cases together and write the manifest, after which nothing else is needed."""
        records = [journal.records[name] for name in names if name in journal.records]
        spec = self.draw.experiment.spec
        files = self.store.finish(self.folder, spec, records) if records else {}
        write_json(self.folder / SPEC, spec.to_json())
        files[SPEC] = file_sha256(self.folder / SPEC)
        by_name = sorted(failed, key=lambda case: (len(case.name), case.name))
        manifest = Manifest(self.identity, files, tuple(records), tuple(by_name))
        write_json(self.folder / MANIFEST, manifest.to_json())
        self.store.tidy(self.folder)
        return manifest


def _record(at: At, outcome: Outcome, failures: list[str]) -> CaseRecord:
    return CaseRecord(
        name=case_name(at.index),
        file=outcome.file,
        sha256=outcome.sha256,
        rows=outcome.rows,
        attempts=at.attempt + 1,
        failures=tuple(failures),
        notes=outcome.notes,
    )


def _failure(folder: Path, manifest: Manifest) -> str:
    n, total = len(manifest.failed), len(manifest.failed) + len(manifest.cases)
    last = manifest.failed[-1]
    return (
        f"{n} of {total} cases failed in {len(last.failures)} attempts each, {last.name} because: "
        f"{last.failures[-1]}; the others are in {folder}, and {MANIFEST} has every reason"
    )
