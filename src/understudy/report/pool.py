"""Jobs spread over worker processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Protocol

from understudy.core.workers import SpawnQuietly, n_cores, settle

# Below this many files a worker costs more to start than it saves.
_WORTH_A_POOL = 8


class Job(Protocol):
    """Work that writes ``paths``; it must survive pickling."""

    @property
    def paths(self) -> tuple[Path, ...]: ...

    def run(self) -> None: ...


def run_jobs(
    jobs: Sequence[Job], n_workers: int | None = None, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Run every job; ``on_progress(files done, files in all)`` after each. The first error ends the rest.

    Raises:
        Exception: whatever a job raised, as it was raised.
    """
    total = sum(len(job.paths) for job in jobs)
    workers = min(n_workers or n_cores(), len(jobs))
    done = 0
    with closing(_in_turn(jobs) if workers < 2 or total < _WORTH_A_POOL else _spread(jobs, workers)) as ended:
        for job in ended:
            done += len(job.paths)
            if on_progress is not None:
                on_progress(done, total)


def _in_turn(jobs: Sequence[Job]) -> Generator[Job, None, None]:
    for job in jobs:
        job.run()
        yield job


def _spread(jobs: Sequence[Job], workers: int) -> Generator[Job, None, None]:
    pool = ProcessPoolExecutor(workers, mp_context=SpawnQuietly(), initializer=settle)
    try:
        futures = {pool.submit(job.run): job for job in jobs}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
