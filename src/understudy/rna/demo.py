"""Made molecules with made reactivities: a data set to try everything on, without any download.

The mean reactivity of a nucleotide follows the probability of being unpaired in ViennaRNA's ensemble, and its
letter, loop and neighbours, roughly as the two chemicals do; noise is that of counting reads. Where ViennaRNA is
absent, all molecules are designs and the structure that each was designed for serves in place of the ensemble: the
same kind of data, but other molecules than with ViennaRNA.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.rna.designs import FLANK, TAIL, Design, design
from understudy.rna.molecules import ALPHABET, CHEMICALS, Molecules
from understudy.rna.pairing.pairs import Pairs, offsets_of
from understudy.rna.pool import chunks, spread, worth_workers
from understudy.rna.structure import partners
from understudy.rna.vienna import available, probabilities

DATASET = "demo"

Floats = NDArray[np.float64]

# Mean reactivity of A C G U, unpaired in the middle of a loop and paired in the middle of a stem; columns are
# CHEMICALS. 2A3 reacts with every unpaired nucleotide, DMS with the free edges of A and C. With these levels one
# good value in ten is above 1, as in measured data.
_UNPAIRED = np.array([[1.20, 1.50], [0.70, 1.15], [1.05, 0.15], [0.90, 0.20]])
_PAIRED = np.array([[0.10, 0.15], [0.09, 0.12], [0.10, 0.06], [0.17, 0.05]])
_IN_HAIRPIN, _ELSEWHERE = 1.2, 0.85  # hairpin loops are strained, other loops less
_ON_HELIX = np.array([0.55, 0.6])  # an unpaired nucleotide stacks on the helix at its 5' side
_HELIX_END = np.array([2.2, 1.5])  # the last pair of a helix opens now and then
_AFTER_PURINE = 0.85  # runs of purines stack
_OWN = 0.25  # of the logarithm: what neither sequence nor structure explains
_LONGEST_HAIRPIN = 9  # nucleotides from end to end of its closing pair

# Reads of a molecule: median, spread of the logarithm over molecules and between its two experiments.
_READS, _READS_SPREAD, _READS_BETWEEN = 2000, 1.8, 0.3
# Standard error at one read, at reactivity 0 and how it grows; as in a library of 2A3 and DMS data.
_ERROR, _ERROR_AT_0 = 6.0, 0.4
_ERROR_OF_ERROR = 0.1  # errors are estimates as well


def made_molecules(n: int, seed: int = 0, *, jobs: int | None = None) -> Molecules:
    """``n`` molecules of 80 to 130 nucleotides, about a tenth of them too noisy to count.

    The first molecules of a larger set are those of a smaller one with the same seed. The first 26 and the last 20
    nucleotides have no reactivity, values are not clipped, and an experiment passes the filter with a
    signal-to-noise ratio above 1 and more than 100 reads.

    Args:
        jobs: worker processes for ViennaRNA (default: one a core).
    """
    vienna = available() is None
    designs, rngs = _designs(n, seed, may_be_random=vienna)
    sequences = [d.sequence for d in designs]
    pairs = _ensemble(sequences, jobs) if vienna else _designed([d.structure for d in designs])
    made = [_experiments(sequence, pairs, m, rngs[m]) for m, sequence in enumerate(sequences)]
    lengths = np.array([len(s) for s in sequences])
    letters = np.frombuffer("".join(sequences).encode(), np.uint8)
    per_molecule = np.array([[signal, reads] for _, _, signal, reads in made]).reshape(n, 2, len(CHEMICALS))
    signal_to_noise, reads = per_molecule[:, 0].astype(np.float32), per_molecule[:, 1].astype(np.float32)
    empty = np.empty((0, 2))
    return Molecules(
        ids=tuple(_id(s) for s in sequences),
        offsets=offsets_of(lengths),
        tokens=_token_of()[letters],
        reactivity=np.concatenate([empty, *(r for r, _, _, _ in made)]).astype(np.float32),
        error=np.concatenate([empty, *(e for _, e, _, _ in made)]).astype(np.float32),
        signal_to_noise=signal_to_noise,
        reads=reads,
        sn_filter=(signal_to_noise > 1) & (reads > 100),
        dataset=np.zeros(n, np.int16),
        dataset_names=(DATASET,),
    )


def _token_of() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[[ord(letter) for letter in ALPHABET]] = range(len(ALPHABET))
    return table


def _id(sequence: str) -> str:
    return hashlib.sha256(sequence.encode()).hexdigest()[:12]


def _designs(n: int, seed: int, *, may_be_random: bool) -> tuple[list[Design], list[np.random.Generator]]:
    """Molecules with ids of their own, and the generator that each goes on with."""
    taken: set[str] = set()
    designs, rngs = [], []
    for m in range(n):
        rng = np.random.default_rng([seed, m])
        made = design(rng, may_be_random=may_be_random)
        while _id(made.sequence) in taken:
            made = design(rng, may_be_random=may_be_random)
        taken.add(_id(made.sequence))
        designs.append(made)
        rngs.append(rng)
    return designs, rngs


def _ensemble(sequences: Sequence[str], jobs: int | None) -> Pairs:
    """From ViennaRNA, without a cache: that is faster than it would be worth."""
    lengths = [len(s) for s in sequences]
    tasks = (sequences[some] for some in chunks(lengths))
    found = [
        f
        for _, _, f in sorted(spread(probabilities, tasks, worth_workers(lengths, jobs)), key=lambda r: r[0])
    ]
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(offsets) for offsets, _, _, _ in found)])
    i, j = (np.concatenate([np.empty(0, np.uint16), *(f[k] for f in found)]) for k in (1, 2))
    return Pairs(offsets_of(counts), i, j, np.concatenate([np.empty(0, np.float32), *(f[3] for f in found)]))


def _designed(structures: Sequence[str]) -> Pairs:
    """The pairs of the structures, none of them quite certain."""
    i = [np.flatnonzero(partners(s) > np.arange(len(s))) for s in structures]
    j = [partners(s)[k] for s, k in zip(structures, i, strict=True)]
    offsets = offsets_of(np.array([len(k) for k in i], np.int64))
    none = np.empty(0, np.uint16)
    first, second = (np.concatenate([none, *some]).astype(np.uint16) for some in (i, j))
    return Pairs(offsets, first, second, np.full(len(first), 0.97, np.float32))


def _experiments(
    sequence: str, pairs: Pairs, m: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Reactivity (L, 2), its error (L, 2), signal to noise (2,) and reads (2,) of one molecule."""
    reads = _READS * np.exp(
        _READS_SPREAD * rng.standard_normal() + _READS_BETWEEN * rng.standard_normal(len(CHEMICALS))
    )
    reads = np.ceil(reads)
    mean = _mean_reactivity(sequence, pairs, m)
    mean = mean * np.exp(_OWN * rng.standard_normal(mean.shape) - _OWN**2 / 2)
    deviation = _ERROR * np.sqrt((_ERROR_AT_0 + mean) / reads)
    measured = mean + deviation * rng.standard_normal(mean.shape)
    error = deviation * np.exp(_ERROR_OF_ERROR * rng.standard_normal(mean.shape))
    for values in (measured, error):
        values[: len(FLANK)] = np.nan
        values[-len(TAIL) :] = np.nan
    signal_to_noise = np.nanmean(measured, axis=0) / np.nanmean(error, axis=0)
    return measured.round(3), error.round(3), signal_to_noise.round(3), reads


def _mean_reactivity(sequence: str, pairs: Pairs, m: int) -> Floats:
    """(L, 2), without noise."""
    length = len(sequence)
    letters = _token_of()[np.frombuffer(sequence.encode(), np.uint8)]
    paired = pairs.per_nucleotide(m, length)[:, 0].astype(np.float64)
    before, after = np.r_[0, paired[:-1]], np.r_[paired[1:], 0]
    hairpin = _in_hairpin(*pairs.of(m), length)
    loop = (hairpin * _IN_HAIRPIN + (1 - hairpin) * _ELSEWHERE)[:, None]
    on_helix = 1 - (1 - _ON_HELIX) * before[:, None]
    purine = np.isin(letters, [0, 2])
    stacked = np.where(np.r_[False, purine[:-1]] & purine, _AFTER_PURINE, 1.0)[:, None]
    at_end = 1 + (_HELIX_END - 1) * (1 - np.minimum(before, after))[:, None]
    unpaired = _UNPAIRED[letters] * loop * on_helix * stacked
    mean: Floats = (1 - paired)[:, None] * unpaired + paired[:, None] * _PAIRED[letters] * at_end
    return mean


def _in_hairpin(i: NDArray[np.uint16], j: NDArray[np.uint16], p: NDArray[np.float32], length: int) -> Floats:
    """(L,) about how probable it is that each nucleotide lies in the loop of a hairpin."""
    matrix = np.zeros((length + 1, length + 1))
    matrix[i, j] = p
    short = (j - i <= _LONGEST_HAIRPIN) & (i > 0)
    first, last = i[short].astype(np.int64), j[short].astype(np.int64)
    closes = np.maximum(
        p[short] - matrix[first + 1, last - 1], 0
    )  # the pair is there, the next inside is not
    steps = np.zeros(length + 1)
    np.add.at(steps, first + 1, closes)
    np.add.at(steps, last, -closes)
    loop: Floats = np.clip(np.cumsum(steps)[:length], 0, 1)
    return loop
