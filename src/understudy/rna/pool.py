"""Work on many sequences, spread over worker processes that import no more than the work needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from understudy.core.workers import Context, n_cores, settle

# About this much work goes to a worker at a time: enough to forget what it costs to hand it over.
_CHUNK_S = 0.25
# Below this much work, starting workers takes longer than they save.
_WORTH_WORKERS_S = 1.0
# A machine may have a hundred cores; each worker gets at least this much to do.
_WORTH_A_WORKER_S = 0.5
# A partition function of this many nucleotides takes about so long, on one core.
_S, _AT = 0.035, 170

Task = TypeVar("Task")
Result = TypeVar("Result")


def seconds(length: int) -> float:
    """About what ViennaRNA needs for one sequence; between 100 and 1,000 nucleotides it grows so."""
    return _S * float((length / _AT) ** 2.5)


def worth_workers(lengths: Iterable[int], jobs: int | None) -> int:
    """How many processes to give to sequences of these lengths; 1: this one alone is faster."""
    work = sum(map(seconds, lengths))
    if work < _WORTH_WORKERS_S:
        return 1
    return min(jobs or n_cores(), max(2, math.ceil(work / _WORTH_A_WORKER_S)))


def chunks(lengths: Iterable[int]) -> Iterator[slice]:
    """Consecutive sequences that together take about a quarter of a second."""
    first, work, n = 0, 0.0, 0
    for length in lengths:
        n += 1
        work += seconds(length)
        if work > _CHUNK_S:
            yield slice(first, n)
            first, work = n, 0.0
    if n > first:
        yield slice(first, n)


def spread(
    work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int
) -> Generator[tuple[int, Task, Result], None, None]:
    """Number, task and result of each of ``tasks`` as soon as it is there, in any order.

    Args:
        work: a function of a module, which a worker finds by name.

    Raises:
        BrokenProcessPool: a worker was killed.
        Exception: what ``work`` raised.
    """
    if jobs < 2:
        yield from ((n, task, work(task)) for n, task in enumerate(tasks))
        return
    queue = enumerate(tasks)
    pool = ProcessPoolExecutor(jobs, mp_context=Context(), initializer=settle)
    running: dict[Future[Result], tuple[int, Task]] = {}
    try:
        while True:
            for n, task in islice(queue, 3 * jobs - len(running)):  # no worker waits for this process
                running[pool.submit(work, task)] = n, task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                n, task = running.pop(future)
                yield n, task, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(results: Iterable[tuple[int, Task, Sequence[Result]]]) -> list[Result]:
    """The results of all chunks one after the other, as the sequences were."""
    return [result for _, _, some in sorted(results, key=lambda r: r[0]) for result in some]
