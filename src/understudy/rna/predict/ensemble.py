"""Several trained networks as one: averaged, flipped if asked, long molecules in parts, memory bounded.

A *predictor* maps a list of sequences and their pairs to one array ``(L, 4)`` each: 2A3, DMS, error of 2A3, error
of DMS. Optional attributes tell more about it:

- ``bytes_for(length, batch) -> int``: memory that a batch takes, an estimate from heads, layers and width;
- ``uses_pairs``: False where base-pairing probabilities change nothing;
- ``trained_with_flips``: whether it has learnt sequences from both ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError, DataError, ModelError
from understudy.rna.intervals import MeanIntervals
from understudy.rna.pairing import Pairs
from understudy.rna.predict.cut import Part, cut_pairs, flip_pairs

Floats = NDArray[np.float32]
Predictor = Callable[[Sequence[str], Pairs | None], list[Floats]]

GIB = 2**30
MEMORY = 4 * GIB  # of one batch; a fixed number, so that the same file gives the same result everywhere
OVERLAP = 128  # nucleotides of context on each side of what is kept of a part
SHORTEST_CORE = 128  # a part that keeps less than this would be nearly all overlap
AREA = 256 * 177**2  # nucleotides squared in a batch: as many as fill a processor, and no more
_BYTES_A_PAIR = 128  # of a network that does not tell: eight heads, four copies, float32


class Ensemble:
    """The mean of several predictors, itself a predictor for sequences of any length.

    Args:
        predictors: at least one.
        tta: also predict every sequence from its other end and take the mean.
        memory: bytes that one batch may take.
        overlap: nucleotides of context on each side of a part, where a sequence must be cut.
        say: takes a line for the user when a sequence is cut for the first time.
    """

    def __init__(
        self,
        predictors: Sequence[Predictor],
        *,
        tta: bool = False,
        memory: int = MEMORY,
        overlap: int = OVERLAP,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._predictors = tuple(predictors)
        self._tta = tta
        self._memory = memory
        self._overlap = overlap
        self._say = say
        self._told = False

    @property
    def uses_pairs(self) -> bool:
        """Whether pairing probabilities change anything for any of the networks."""
        return any(getattr(p, "uses_pairs", True) for p in self._predictors)

    @property
    def trained_with_flips(self) -> bool | None:
        """False if one of the networks has learnt from one end only; None where none of them tells."""
        known = [getattr(p, "trained_with_flips", None) for p in self._predictors]
        return False if False in known else (True if True in known else None)

    @property
    def intervals(self) -> MeanIntervals | None:
        """Around the mean; None where a network was saved without."""
        kept = [getattr(p, "intervals", None) for p in self._predictors]
        found = [part for i in kept if i is not None for part in getattr(i, "parts", [i])]
        return MeanIntervals(found) if all(i is not None for i in kept) else None

    def half_width(self, coverage: float, values: Floats, tokens: NDArray[np.uint8]) -> Floats:
        """``(N, 2)`` half the width of the intervals around the predictions ``values`` (N, 4) of ``tokens`` (N,).

        Raises:
            ConfigError: a network without intervals, or none of this coverage.
        """
        intervals = self.intervals
        if intervals is None:
            raise ConfigError("a run was saved without intervals, by an earlier version")
        return intervals.half_width(coverage, values, tokens)

    def bytes_for(self, length: int, batch: int) -> int:
        """Memory that ``batch`` sequences of ``length`` nucleotides take in the largest of the networks."""
        return max(_bytes_for(p, length, batch) for p in self._predictors)

    def __call__(self, sequences: Sequence[str], pairs: Pairs | None) -> list[Floats]:
        """``(L, 4)`` for each of M sequences, in their order.

        Raises:
            DataError: a sequence is too long for the memory, even in parts.
            ModelError: a network gives something else than finite numbers of this shape.
        """
        results = [np.empty((len(s), 4), np.float32) for s in sequences]
        for parts in self._batches([len(s) for s in sequences]):
            texts = [sequences[p.m][p.begin : p.end] for p in parts]
            cut = None if pairs is None else cut_pairs(pairs, parts)
            for part, y in zip(parts, self._mean(texts, cut), strict=True):
                kept = slice(part.keep_from - part.begin, part.keep_to - part.begin)
                results[part.m][part.keep_from : part.keep_to] = y[kept]
        return results

    def _mean(self, texts: list[str], pairs: Pairs | None) -> list[Floats]:
        """The mean over networks and, where asked, both directions, for one batch."""
        runs = [self._checked(p, texts, pairs) for p in self._predictors]
        if self._tta:
            backwards = [text[::-1] for text in texts]
            flipped = None if pairs is None else flip_pairs(pairs, [len(t) for t in texts])
            for predictor in self._predictors:
                runs.append([y[::-1] for y in self._checked(predictor, backwards, flipped)])
        if len(runs) == 1:
            return runs[0]
        return [_average(ys) for ys in zip(*runs, strict=True)]

    def _checked(self, predictor: Predictor, texts: list[str], pairs: Pairs | None) -> list[Floats]:
        ys = predictor(texts, pairs)
        if [y.shape for y in ys] != [(len(text), 4) for text in texts]:
            raise ModelError("the network did not give four numbers for every nucleotide")
        if not all(np.isfinite(y[:, :2]).all() for y in ys):
            raise ModelError("the network gives a reactivity that is not a number: its training has failed")
        return ys

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[Part]]:
        """Parts of similar length together, the longest first: what does not fit is known at once."""
        parts = sorted((p for m, n in enumerate(lengths) for p in self._parts(m, n)), key=lambda p: -p.length)
        left = self._left(parts[0].length if parts else 0)
        batch: list[Part] = []
        for part in parts:
            if batch and not self._fits(batch[0].length, len(batch) + 1, left):
                yield batch
                batch = []
            batch.append(part)
        if batch:
            yield batch

    def _left(self, longest: int) -> int:
        """What batches may take: less than was allowed where the machine has less.

        How sequences are cut does not depend on it: the same file gives the same result everywhere, or an error.
        """
        left = memory_available()
        if left is None or left >= self._memory:
            return self._memory
        needed = self.bytes_for(longest, 1)
        if needed > left:
            raise DataError(
                f"predicting {longest:,} nucleotides at once takes {_size(needed)}, and this machine has "
                f"{_size(left)} left; give a smaller --memory, so that long sequences are predicted in parts"
            )
        return left

    def _fits(self, longest: int, count: int, left: int) -> bool:
        return count * longest**2 <= AREA and self.bytes_for(longest, count) <= left

    def _parts(self, m: int, length: int) -> list[Part]:
        if self.bytes_for(length, 1) <= self._memory:
            return [Part(m, 0, length, 0, length)]
        parts = overlapping(m, length, self._longest_part(length), self._overlap)
        if not self._told:
            self._say(
                f"a sequence of {length:,} nucleotides would take {_size(self.bytes_for(length, 1))}: predicted in "
                f"{len(parts)} parts of at most {max(p.length for p in parts):,} that overlap by {self._overlap}"
            )
        self._told = True
        return parts

    def _longest_part(self, length: int) -> int:
        """The longest part that fits into the memory."""
        shortest, longest = 2 * self._overlap + SHORTEST_CORE, length
        needed = self.bytes_for(min(shortest, length), 1)
        if needed > self._memory:
            part = f"even a part of {shortest} takes" if shortest < length else "it takes"
            raise DataError(
                f"a sequence of {length:,} nucleotides does not fit: {part} {_size(needed)} and --memory allows "
                f"{_size(self._memory)}; raise it"
            )
        while longest - shortest > 1:  # shortest fits, longest does not
            middle = (shortest + longest) // 2
            if self.bytes_for(middle, 1) <= self._memory:
                shortest = middle
            else:
                longest = middle
        return shortest


def over_pairings(
    predictor: Predictor, sequences: Sequence[str], several: Sequence[Pairs | None]
) -> list[Floats]:
    """The mean of what is predicted under each of several pairing probabilities of the same sequences."""
    runs = [predictor(sequences, pairs) for pairs in several]
    return runs[0] if len(runs) == 1 else [_average(ys) for ys in zip(*runs, strict=True)]


def overlapping(m: int, length: int, longest: int, overlap: int) -> list[Part]:
    """Parts of equal size that cover a molecule; each keeps its middle, at least ``overlap`` from a cut.

    Args:
        longest: nucleotides that a part may have, more than ``2 * overlap``.
    """
    n = -(-length // (longest - 2 * overlap))
    borders = [length * k // n for k in range(n + 1)]
    return [
        Part(m, max(0, a - overlap), min(length, b + overlap), a, b) for a, b in itertools.pairwise(borders)
    ]


def _average(ys: Sequence[Floats]) -> Floats:
    """The mean; of errors, over the networks that predict them."""
    stack = np.stack(ys)
    known = ~np.isnan(stack)
    total: Floats = np.where(known, stack, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):  # none of them does: NaN again
        mean: Floats = total / known.sum(axis=0, dtype=np.float32)
    return mean


def memory_available() -> int | None:
    """Bytes that this machine has left, where it tells (Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return int(found[0].split()[1]) * 1024 if found else None


def _bytes_for(predictor: Predictor, length: int, batch: int) -> int:
    estimate: Callable[[int, int], int] | None = getattr(predictor, "bytes_for", None)
    return _BYTES_A_PAIR * batch * length**2 if estimate is None else estimate(length, batch)


def _size(n: int) -> str:
    return f"{n / GIB:.1f} GiB" if n >= GIB else f"{n / 2**20:.1f} MiB"
