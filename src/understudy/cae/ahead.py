"""Files read ahead of the one that is wanted, by threads or by worker processes, and handed over in order.

Scanning a file for the rows that a coarser grid needs is many short steps of NumPy, between which threads wait
for each other. Processes do not wait, but each costs a start and its libraries; they read folders that are
large enough to pay for it. Converting every row is one long step of Arrow: there threads lose nothing, and
processes would have to hand over large arrays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from understudy.cae.columns import Layout, beside_time
from understudy.cae.one import Reading, ReadOptions
from understudy.core.workers import Context, n_cores, settle
from understudy.errors import DataError

_MOST_READERS = 8  # beyond that, they wait for the disk and for each other, and only memory grows
# Two workers are ready after 0.3 s, and then save about as much for every 500 MB.
_WORTH_PROCESSES = 800_000_000


@dataclass(frozen=True)
class Pattern:
    """What the first good file says about all of them."""

    file: str
    names: tuple[str, ...]  # of its columns, without the time
    layout: Layout
    step: float


# Of a file, under a pattern, on several threads or not; it must survive pickling.
Read = Callable[[Path, Pattern | None, bool], Reading]
Readings = Generator[tuple[Path, Reading | DataError], None, None]


def readings(files: Sequence[Path], read: Read, options: ReadOptions) -> Readings:
    """Every file with its reading or what is wrong with it, in order.

    Raises:
        DataError: a worker process was killed.
    """
    jobs = max(1, min(options.jobs or min(n_cores(), _MOST_READERS), len(files)))
    queue = iter(files)
    pattern: Pattern | None = None
    for file in queue:  # one by one until a good file has set the pattern
        _, outcome = _attempt(read, None, jobs > 1, file)
        yield file, outcome
        if isinstance(outcome, Reading):
            names = beside_time(outcome.header, outcome.layout.time)
            pattern = Pattern(file.name, names, outcome.layout, outcome.step)
            break
    attempt = partial(_attempt, read, pattern, False)
    if jobs == 1:
        yield from map(attempt, queue)
    elif _worth_processes(files, options):
        workers = ProcessPoolExecutor(jobs, mp_context=Context(), initializer=settle)
        yield from _ahead(workers, attempt, queue, 2 * jobs)  # so that no worker waits for this process
    else:
        yield from _ahead(ThreadPoolExecutor(jobs, "read-case"), attempt, queue, jobs + 1)


def _attempt(
    read: Read, pattern: Pattern | None, threads: bool, file: Path
) -> tuple[Path, Reading | DataError]:
    try:
        return file, read(file, pattern, threads)
    except DataError as error:
        return file, error


def _worth_processes(files: Sequence[Path], options: ReadOptions) -> bool:
    if options.step is None or options.lowpass is not None or n_cores() < 2:
        return False
    return sum(_size(file) for file in files) >= _WORTH_PROCESSES


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # to be reported, or skipped, when it is its turn
        return 0


def _ahead(
    pool: Executor,
    attempt: Callable[[Path], tuple[Path, Reading | DataError]],
    queue: Iterator[Path],
    in_flight: int,
) -> Readings:
    """Closes ``pool``; no more than ``in_flight`` files are being read, or read and waiting."""
    ahead: deque[Future[tuple[Path, Reading | DataError]]] = deque()
    done = 0
    try:
        ahead.extend(pool.submit(attempt, file) for file in islice(queue, in_flight))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(pool.submit(attempt, file) for file in islice(queue, 1))
            yield result
            done += 1
    except BrokenProcessPool as error:
        raise DataError(
            f"dataset.path: a process that reads case files was killed, {done} files after the first good one;"
            " too little memory is the usual cause: free some and run again"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
