"""Molecules and pairing probabilities made of random numbers, for tests of what is done with profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.rna.batches import Probed
from understudy.rna.molecules import Molecules
from understudy.rna.pairing import Pairs


def made_molecules(
    lengths: Sequence[int],
    *,
    seed: int = 0,
    scored: Sequence[bool] | None = None,
    missing: float = 0.2,
    ids: Sequence[str] | None = None,
    names: tuple[str, ...] = ("15k", "PK50"),
) -> Molecules:
    """Reactivities beyond 0 and 1 too; ``missing`` is the share of values that were not measured."""
    rng = np.random.default_rng(seed)
    m, n = len(lengths), sum(lengths)
    reactivity = rng.normal(0.4, 0.8, (n, 2)).astype(np.float32)
    gone = rng.random((n, 2)) < missing
    error = np.abs(rng.normal(0.2, 0.1, (n, 2))).astype(np.float32)
    reactivity[gone] = error[gone] = np.nan
    fine = rng.random((m, 2)) < 0.8 if scored is None else np.array([[s, True] for s in scored]).reshape(m, 2)
    return Molecules(
        ids=tuple(ids or (f"m{i}" for i in range(m))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tokens=rng.integers(0, 4, n).astype(np.uint8),
        reactivity=reactivity,
        error=error,
        signal_to_noise=np.ones((m, 2), np.float32),
        reads=np.full((m, 2), 500, np.float32),
        sn_filter=fine,
        dataset=(np.arange(m) % len(names)).astype(np.int16),
        dataset_names=names,
    )


def made_pairs(lengths: Sequence[int], *, seed: int = 0) -> Pairs:
    """A few pairs in each molecule; the probabilities of a nucleotide sum to less than one."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, float]] = []
    offsets = [0]
    for length in lengths:
        # Two partners for some, so that sum and maximum differ.
        ends = [rng.permutation(length)[: 2 * (length // 3)].reshape(-1, 2) for _ in range(2)]
        found = sorted({(int(min(pair)), int(max(pair))) for pair in np.concatenate(ends)})
        rows += [(a, b, float(rng.random() / 2)) for a, b in found]
        offsets.append(len(rows))
    columns = np.array(rows, np.float64).reshape(-1, 3)
    return Pairs(
        np.array(offsets, np.int64),
        columns[:, 0].astype(np.uint16),
        columns[:, 1].astype(np.uint16),
        columns[:, 2].astype(np.float32),
    )


def made_prediction(n: int, *, seed: int = 1, errors: bool = True) -> NDArray[np.float32]:
    """(n, 4), some of it beyond 0 and 1; without ``errors`` their columns are NaN."""
    rng = np.random.default_rng(seed)
    found = rng.normal(0.4, 0.6, (n, 4)).astype(np.float32)
    found[:, 2:] = np.abs(found[:, 2:]) if errors else np.nan
    return found


def probed(lengths: list[int], seed: int = 0) -> Probed:
    """Molecules of these lengths; in each the first nucleotide pairs with the last but one."""
    rng = np.random.default_rng(seed)
    m, offsets = len(lengths), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    molecules = Molecules(
        ids=tuple(f"m{i}" for i in range(m)),
        offsets=offsets,
        tokens=rng.integers(0, 4, n).astype(np.uint8),
        reactivity=rng.normal(size=(n, 2)).astype(np.float32),
        error=rng.random((n, 2), dtype=np.float32),
        signal_to_noise=rng.random((m, 2), dtype=np.float32) * 5,
        reads=np.full((m, 2), 500, np.float32),
        sn_filter=np.ones((m, 2), bool),
        dataset=np.zeros(m, np.int16),
        dataset_names=("x",),
    )
    has = [i for i, length in enumerate(lengths) if length > 2]
    counts = np.zeros(m, np.int64)
    counts[has] = 1
    pairs = Pairs(
        np.concatenate([[0], np.cumsum(counts)]),
        np.zeros(len(has), np.uint16),
        np.array([lengths[i] - 2 for i in has], np.uint16),
        np.full(len(has), 0.7, np.float32),
    )
    return Probed(molecules, pairs)
