"""Jobs spread over worker processes that start quickly and know nothing of the program that started them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, Protocol, cast

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
    workers = min(n_workers or _n_cores(), len(jobs))
    done = 0
    with closing(_in_turn(jobs) if workers < 2 or total < _WORTH_A_POOL else _spread(jobs, workers)) as ended:
        for job in ended:
            done += len(job.paths)
            if on_progress is not None:
                on_progress(done, total)


def _n_cores() -> int:
    """The cores that this process may use, which in a container are fewer than those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_turn(jobs: Sequence[Job]) -> Generator[Job, None, None]:
    for job in jobs:
        job.run()
        yield job


def _spread(jobs: Sequence[Job], workers: int) -> Generator[Job, None, None]:
    pool = ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_settle)
    try:
        futures = {pool.submit(job.run): job for job in jobs}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Process(SpawnProcess):
    """A spawned process that does not run the main script of its parent again.

    Python imports that script into every spawned process, for functions defined in it. Ours are not, the
    script may have no ``__name__`` guard, and it probably imports torch, which takes seconds.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _nameless_main():
            return cast(Any, SpawnProcess)._Popen(process_obj)


class _Context(SpawnContext):
    Process = _Process


@contextmanager
def _nameless_main() -> Iterator[None]:
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {key: vars(main)[key] for key in ("__spec__", "__file__") if key in vars(main)}
    vars(main)["__spec__"] = None
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)


def _settle() -> None:
    """In a worker: leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
