"""The molecule table: sequences with what a chemical-probing experiment measured on them.

In memory it is flat arrays plus offsets, so that molecules of any length cost what they hold. Axes: M molecules,
N nucleotides of all molecules one after the other, 2 chemicals in the order of :data:`CHEMICALS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError

CHEMICALS = ("2A3", "DMS")  # the order of every last axis of size 2
ALPHABET = "ACGU"  # tokens 0 1 2 3

Floats = NDArray[np.float32]

_LETTERS = np.frombuffer(ALPHABET.encode(), np.uint8)


@dataclass(frozen=True)
class Molecules:
    """M molecules; the large arrays may be memory-mapped.

    Args:
        ids: the same id may stand in several data sets, never twice in one.
        offsets: (M + 1,); molecule ``i`` is nucleotides ``offsets[i]:offsets[i + 1]``.
        tokens: (N,) index into :data:`ALPHABET`.
        reactivity: (N, 2) as measured, not clipped; NaN where it was not measured.
        error: (N, 2) of the reactivity, as the experiment reports it; NaN where it was not measured.
        signal_to_noise: (M, 2), NaN where that experiment is absent.
        reads: (M, 2), NaN where unknown.
        sn_filter: (M, 2) whether the experiment passed the filter of quality.
        dataset: (M,) index into ``dataset_names``.
        dataset_names: without the chemical: ``15k``, ``PK50``.

    Raises:
        ValueError: shapes disagree.
    """

    ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    tokens: NDArray[np.uint8]
    reactivity: Floats
    error: Floats
    signal_to_noise: Floats
    reads: Floats
    sn_filter: NDArray[np.bool_]
    dataset: NDArray[np.int16]
    dataset_names: tuple[str, ...]

    def __post_init__(self) -> None:
        m, n = len(self.ids), len(self.tokens)
        shapes = {
            "offsets": (m + 1,),
            "tokens": (n,),
            "reactivity": (n, 2),
            "error": (n, 2),
            "signal_to_noise": (m, 2),
            "reads": (m, 2),
            "sn_filter": (m, 2),
            "dataset": (m,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape} instead of {shape}")
        if self.offsets[0] != 0 or self.offsets[-1] != n:
            raise ValueError("offsets do not fit the nucleotides")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(M,) nucleotides."""
        return np.diff(self.offsets)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(M,) whether both experiments passed the filter: only then a molecule counts for the official figure."""
        return self.sn_filter[:, 0] & self.sn_filter[:, 1]

    def sequence(self, i: int) -> str:
        """The letters of molecule ``i``."""
        return letters(self.tokens[self.offsets[i] : self.offsets[i + 1]])

    def take(self, index: NDArray[Any] | Sequence[int]) -> Molecules:
        """A copy of some molecules, by number or by a mask of M booleans, in that order."""
        chosen = np.asarray(index)
        chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        lengths = self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # Where each nucleotide comes from: its place in the copy, moved by what its molecule moves.
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return Molecules(
            ids=tuple(self.ids[i] for i in chosen),
            offsets=offsets,
            tokens=self.tokens[places],
            reactivity=self.reactivity[places],
            error=self.error[places],
            signal_to_noise=self.signal_to_noise[chosen],
            reads=self.reads[chosen],
            sn_filter=self.sn_filter[chosen],
            dataset=self.dataset[chosen],
            dataset_names=self.dataset_names,
        )

    def head(self, n: int) -> Molecules:
        """The first ``n`` molecules, without a copy."""
        n = min(n, len(self))
        end = self.offsets[n]
        return Molecules(
            self.ids[:n],
            self.offsets[: n + 1],
            self.tokens[:end],
            self.reactivity[:end],
            self.error[:end],
            self.signal_to_noise[:n],
            self.reads[:n],
            self.sn_filter[:n],
            self.dataset[:n],
            self.dataset_names,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that the table holds: equal data, equal text."""
        digest = Digest()
        for first in range(0, len(self), 4096):  # a memory-mapped table is never copied whole
            digest.update(self, first, min(first + 4096, len(self)))
        return digest.hexdigest()


class Digest:
    """The fingerprint of molecules that come in parts; how they are cut does not matter."""

    def __init__(self) -> None:
        self._parts = {
            name: hashlib.sha256()
            for name in (
                "ids",
                "datasets",
                "lengths",
                "tokens",
                *(f"{kind} {c}" for kind in ("reactivity", "error") for c in CHEMICALS),
                "signal_to_noise",
                "reads",
                "filter",
            )
        }

    def update(self, molecules: Molecules, first: int, last: int) -> None:
        """Molecules ``first:last`` follow."""
        a, b = molecules.offsets[first], molecules.offsets[last]
        names = [f"{name}\n".encode() for name in molecules.dataset_names]
        feed: dict[str, Any] = {
            "ids": "\n".join((*molecules.ids[first:last], "")).encode(),
            "datasets": b"".join(map(names.__getitem__, molecules.dataset[first:last].tolist())),
            "lengths": np.diff(molecules.offsets[first : last + 1]).astype("<i8"),
            "tokens": np.ascontiguousarray(molecules.tokens[a:b]),
            "signal_to_noise": _one_nan(molecules.signal_to_noise[first:last]),
            "reads": _one_nan(molecules.reads[first:last]),
            "filter": np.ascontiguousarray(molecules.sn_filter[first:last]).view(np.uint8),
        }
        for k, chemical in enumerate(CHEMICALS):
            feed[f"reactivity {chemical}"] = _one_nan(molecules.reactivity[a:b, k])
            feed[f"error {chemical}"] = _one_nan(molecules.error[a:b, k])
        for name, content in feed.items():
            self._parts[name].update(content)

    def hexdigest(self) -> str:
        return hashlib.sha256(b"".join(part.digest() for part in self._parts.values())).hexdigest()


_NAN = np.array(np.nan, "<f4").view("<u4")


def _one_nan(values: Floats) -> Floats:
    """NaN has many bit patterns; the fingerprint knows one."""
    same = np.ascontiguousarray(values, "<f4")
    unknown = np.isnan(same)
    if np.count_nonzero(unknown) != np.count_nonzero(same.view("<u4") == _NAN):
        same = np.where(unknown, np.float32(np.nan), same)
    return same


def letters(tokens: NDArray[np.uint8]) -> str:
    """Tokens as text."""
    return _LETTERS[tokens].tobytes().decode()


def check_unique(molecules: Molecules) -> None:
    """
    Raises:
        DataError: an id stands twice in one data set.
    """
    if len(set(molecules.ids)) == len(molecules):
        return
    seen = set()
    for name, dataset in zip(molecules.ids, molecules.dataset.tolist(), strict=True):
        if (name, dataset) in seen:
            raise DataError(
                f"molecule {name!r} stands twice in data set {molecules.dataset_names[dataset]!r}"
            )
        seen.add((name, dataset))
