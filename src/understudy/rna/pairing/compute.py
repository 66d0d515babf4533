"""Pairing probabilities of sequences: what the cache holds is read, the rest is computed in worker processes."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from understudy.core.files import user_cache
from understudy.core.workers import Context, n_cores, settle
from understudy.errors import ConfigError, DataError
from understudy.rna.pairing.engine import Found, available, engine_name, probabilities
from understudy.rna.pairing.pairs import Ints, Pairs, offsets_of
from understudy.rna.pairing.store import Index, Keys, gather, keys_of, read_index, write_part

log = logging.getLogger(__name__)

# What a killed run may lose. Shorter would make many small files of a long run.
_PART_S = 5.0
# About a quarter of a second of work goes to a worker at a time: seconds a sequence grow with the length so.
_CHUNK_S = 0.25
_S_AT_170 = 0.035
# Below this much work, starting workers takes longer than they save.
_WORTH_WORKERS_S = 1.0
_LONGEST = 2**16 - 1
_ATTEMPTS = 3

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tally:
    """What :func:`compute` did."""

    sequences: int  # distinct ones
    found: int  # of them, in the cache
    computed: int
    seconds: float
    folder: Path  # of the parts: engine, version and settings are in its name


def default_folder() -> Path:
    """Where pairing probabilities are kept unless asked otherwise."""
    return user_cache() / "pairing"


def pairing_of(
    sequences: Sequence[str],
    *,
    folder: Path | None = None,
    jobs: int | None = None,
    on_progress: OnProgress | None = None,
) -> Pairs:
    """Base-pairing probabilities of ``sequences``, in their order.

    What ``folder`` holds is read, the rest is computed and added to it every few seconds, so that a process
    killed at any moment loses no more than that. Where ViennaRNA is absent, what an earlier version of it has
    left in ``folder`` serves, if that is everything.

    Args:
        sequences: letters A C G U; T reads as U; the same one may stand there often, and is computed once.
        folder: of the cache (default: ``pairing`` in the user's cache).
        jobs: worker processes (default: one a core).
        on_progress: called with the number of sequences computed and of those to compute.

    Raises:
        DataError: another letter, an empty or too long sequence, or a worker process was killed.
        ConfigError: ViennaRNA is needed and absent.
    """
    return compute(sequences, folder=folder, jobs=jobs, on_progress=on_progress)[0]


def compute(
    sequences: Sequence[str],
    *,
    folder: Path | None = None,
    jobs: int | None = None,
    on_progress: OnProgress | None = None,
    on_note: Callable[[str], None] = log.warning,
) -> tuple[Pairs, Tally]:
    """:func:`pairing_of`, with a tally; ``on_note`` takes a line on what is odd but mended (a damaged part)."""
    began = time.perf_counter()
    letters = _checked(sequences)
    parts = _parts_folder(folder or default_folder())
    keys, first, inverse = np.unique(keys_of(letters), return_index=True, return_inverse=True)
    n_computed, n_found = 0, None
    for _ in range(_ATTEMPTS):  # a part may be damaged between being listed and being read
        index = read_index(parts, on_note)
        places = _places(index, keys, letters, first)
        missing = np.sort(first[places < 0])  # in the order given, so that similar lengths stay together
        n_found = len(keys) - len(missing) if n_found is None else n_found
        if len(missing):
            _fill(parts, [letters[n] for n in missing], jobs, on_progress)
            n_computed += len(missing)
            index = read_index(parts, on_note)
            places = _places(index, keys, letters, first)
        pairs = gather(index, places[inverse], on_note) if (places >= 0).all() else None
        if pairs is not None:
            tally = Tally(len(keys), n_found, n_computed, time.perf_counter() - began, parts)
            return pairs, tally
    raise DataError(f"{parts}: parts of the cache are damaged as soon as they are written: check the disk")


def _checked(sequences: Sequence[str]) -> list[str]:
    letters = [s.upper().replace("T", "U") for s in sequences]
    good = re.compile("[ACGU]+").fullmatch
    for n, sequence in enumerate(letters):
        if good(sequence) and len(sequence) <= _LONGEST:
            continue
        if not sequence:
            raise DataError(f"sequence {n + 1} of {len(letters)} is empty: give at least one nucleotide")
        if len(sequence) > _LONGEST:
            raise DataError(f"sequence {n + 1} has {len(sequence)} nucleotides: {_LONGEST} are the most")
        at = next(k for k, letter in enumerate(sequence) if letter not in "ACGU")
        raise DataError(f"sequence {n + 1}, position {at + 1}: {sequences[n][at]!r} is not one of A C G U T")
    return letters


def _parts_folder(folder: Path) -> Path:
    problem = available()
    if problem is None:
        return folder / engine_name()
    left = sorted(folder.glob("viennarna-*"), key=lambda f: [int(n) for n in re.findall(r"\d+", f.name)])
    if not left:
        raise ConfigError(problem)
    return left[-1]


def _places(index: Index, keys: Keys, letters: Sequence[str], first: Ints) -> Ints:
    """Where each key stands in the index, -1 where it does not, or stands for a sequence of another length."""
    places = index.find(keys)
    lengths = np.array([len(letters[n]) for n in first], np.int64)
    held = places >= 0
    held[held] = index.lengths[places[held]] == lengths[held]
    return np.where(held, places, -1)


def _fill(folder: Path, letters: list[str], jobs: int | None, on_progress: OnProgress | None) -> None:
    """Compute ``letters`` and add them to ``folder`` part by part, whatever ends the work."""
    problem = available()
    if problem:
        raise ConfigError(problem)
    waiting: list[tuple[list[str], Found]] = []
    written, done = time.perf_counter(), 0
    try:
        with closing(_results(letters, jobs)) as results:
            for chunk, found in results:
                waiting.append((chunk, found))
                if time.perf_counter() - written > _PART_S:
                    _write(folder, waiting)
                    written = time.perf_counter()
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, len(letters))
    except BrokenProcessPool as error:
        raise DataError(
            f"a process that computes base pairs was killed after {done} of {len(letters)} sequences; too little "
            "memory is the usual cause: run again with fewer jobs, it goes on from there"
        ) from error
    finally:
        _write(folder, waiting)


def _write(folder: Path, waiting: list[tuple[list[str], Found]]) -> None:
    if not waiting:
        return
    letters = [sequence for chunk, _ in waiting for sequence in chunk]
    counts = np.concatenate([np.diff(found[0]) for _, found in waiting])
    i, j = (np.concatenate([found[k] for _, found in waiting]) for k in (1, 2))
    p = np.concatenate([found[3] for _, found in waiting])
    lengths = np.array([len(s) for s in letters], np.uint16)
    write_part(folder, keys_of(letters), lengths, (offsets_of(counts), i, j, p))
    waiting.clear()


def _seconds(length: int) -> float:
    return _S_AT_170 * (length / 170) ** 2.5


def _chunks(letters: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    work = 0.0
    for sequence in letters:
        chunk.append(sequence)
        work += _seconds(len(sequence))
        if work > _CHUNK_S:
            yield chunk
            chunk, work = [], 0.0
    if chunk:
        yield chunk


def _results(letters: Sequence[str], jobs: int | None) -> Generator[tuple[list[str], Found], None, None]:
    """Every chunk with what was found for it, as soon as it is there."""
    chunks = _chunks(letters)
    if (jobs or n_cores()) < 2 or sum(_seconds(len(s)) for s in letters) < _WORTH_WORKERS_S:
        yield from ((chunk, probabilities(chunk)) for chunk in chunks)
        return
    jobs = jobs or n_cores()
    pool = ProcessPoolExecutor(jobs, mp_context=Context(), initializer=settle)
    running: dict[Future[Found], list[str]] = {}
    ended: deque[Future[Found]] = deque()
    try:
        while True:
            for chunk in islice(chunks, 3 * jobs - len(running)):  # so that no worker waits for this process
                running[pool.submit(probabilities, chunk)] = chunk
            if not running:
                return
            ended.extend(wait(running, return_when=FIRST_COMPLETED).done)
            while ended:
                future = ended.popleft()
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
