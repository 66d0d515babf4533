"""Pairing probabilities of sequences: what the cache holds is read, the rest is computed in worker processes."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from understudy.core.files import user_cache
from understudy.errors import ConfigError, DataError
from understudy.rna.pairing.pairs import Ints, Pairs, offsets_of
from understudy.rna.pairing.store import Index, gather, keys_of, read_index, write_part
from understudy.rna.pool import chunks, spread, worth_workers
from understudy.rna.sequences import decode, encode_many
from understudy.rna.vienna import ENERGIES, STANDARD, Found, available, engine_name, probabilities

log = logging.getLogger(__name__)

# What a killed run may lose. Shorter would make many small files of a long run.
_PART_S = 5.0
_LONGEST = 2**16 - 1
_ATTEMPTS = 3

OnProgress = Callable[[int, int], None]
OnNote = Callable[[str], None]


@dataclass(frozen=True)
class Tally:
    """What :func:`complete` did."""

    sequences: int  # distinct ones
    found: int  # of them, in the cache
    computed: int
    seconds: float
    folder: Path  # of the parts: engine, version and settings are in its name


@dataclass(frozen=True)
class Complete:
    """Sequences all of which the cache holds; ``index`` at ``places`` says where."""

    index: Index
    places: Ints
    tally: Tally

    def read(self, rows: slice = slice(None), on_note: OnNote = log.warning) -> Pairs | None:
        """The pairs of these sequences, in their order; None where a part was damaged since."""
        return gather(self.index, self.places[rows], on_note)


def default_folder() -> Path:
    """Where pairing probabilities are kept unless asked otherwise."""
    return user_cache() / "pairing"


def pairing_of(
    sequences: Sequence[str],
    *,
    folder: Path | None = None,
    jobs: int | None = None,
    energies: str = STANDARD,
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
        energies: one of :data:`understudy.rna.vienna.ENERGIES`.
        on_progress: called with the number of sequences computed and of those to compute.

    Raises:
        DataError: another letter, an empty or too long sequence, or a worker process was killed.
        ConfigError: ViennaRNA is needed and absent.
    """
    for _ in range(_ATTEMPTS):  # a part may be damaged between being listed and being read
        done = complete(sequences, folder=folder, jobs=jobs, energies=energies, on_progress=on_progress)
        pairs = done.read()
        if pairs is not None:
            return pairs
    raise DataError(f"{folder or default_folder()}: the cache is damaged again and again: check the disk")


def pairings_of(
    sequences: Sequence[str],
    wanted: str,
    *,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> list[Pairs]:
    """The pairs of ``sequences`` under the standard energies; where ``wanted`` is ``all``, under each after them.

    Raises:
        DataError, ConfigError: see :func:`pairing_of`.
    """
    names = list(ENERGIES) if wanted == "all" else [STANDARD]

    def told(k: int, done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(k * total + done, len(names) * total)

    return [
        pairing_of(sequences, folder=folder, energies=name, on_progress=partial(told, k))
        for k, name in enumerate(names)
    ]


def complete(
    sequences: Sequence[str],
    *,
    folder: Path | None = None,
    jobs: int | None = None,
    names: Sequence[str] | None = None,
    energies: str = STANDARD,
    on_progress: OnProgress | None = None,
    on_note: OnNote = log.warning,
) -> Complete:
    """Compute what the cache lacks of ``sequences``, as :func:`pairing_of` does, and read nothing yet.

    Args:
        names: of the sequences, for errors (default: their numbers, from 1).
        on_note: takes a line on what is odd but mended: a damaged part of the cache.
    """
    began = time.perf_counter()
    letters = _checked(sequences, names)
    parts = _parts_folder(folder or default_folder(), energies)
    keys, first, inverse = np.unique(keys_of(letters), return_index=True, return_inverse=True)
    lengths = np.array([len(letters[n]) for n in first], np.int64)
    index = read_index(parts, on_note)
    places = index.find(keys, lengths)
    missing = np.sort(first[places < 0])  # in the order given, so that similar lengths stay together
    if len(missing):
        _fill(parts, [letters[n] for n in missing], jobs, energies, on_progress)
        index = read_index(parts, on_note)
        places = index.find(keys, lengths)
    if (places < 0).any():
        raise DataError(f"{parts}: what was written there cannot be read: check the disk")
    n_computed = len(missing)
    tally = Tally(len(keys), len(keys) - n_computed, n_computed, time.perf_counter() - began, parts)
    return Complete(index, places[inverse], tally)


def _checked(sequences: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """The sequences in capital ACGU."""
    lengths = [len(s) for s in sequences]
    names = names or [str(n + 1) for n in range(len(sequences))]
    if lengths and max(lengths) > _LONGEST:
        name = names[lengths.index(max(lengths))]
        raise DataError(f"sequence {name!r} has {max(lengths)} nucleotides; {_LONGEST} are the most")
    tokens, offsets = encode_many(sequences, names)
    letters = decode(tokens)
    return [letters[a:b] for a, b in pairwise(offsets.tolist())]


def _parts_folder(folder: Path, energies: str) -> Path:
    problem = available()
    if problem is None:
        return folder / engine_name(energies)
    left = sorted(
        folder.glob(f"viennarna-*-{energies}-*"), key=lambda f: [int(n) for n in re.findall(r"\d+", f.name)]
    )
    if not left:
        raise ConfigError(problem)
    return left[-1]


def _fill(
    folder: Path, letters: list[str], jobs: int | None, energies: str, on_progress: OnProgress | None
) -> None:
    """Compute ``letters`` and add them to ``folder`` part by part, whatever ends the work."""
    problem = available()
    if problem:
        raise ConfigError(problem)
    waiting: list[tuple[list[str], Found]] = []
    written, done = time.perf_counter(), 0
    try:
        lengths = [len(s) for s in letters]
        tasks = (letters[some] for some in chunks(lengths))
        work = partial(probabilities, energies=energies)
        with closing(spread(work, tasks, worth_workers(lengths, jobs))) as results:
            for _, chunk, found in results:
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
