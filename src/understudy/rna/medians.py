"""The simplest predictors: the median reactivity of each chemical, by nucleotide, and by how surely it is paired.

A median is what minimises the mean absolute error, so these are the best predictions that know no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError, ModelError
from understudy.rna.features import Integers, counted_rows, pairing_of_rows, rows_of

if TYPE_CHECKING:
    from understudy.rna.molecules import Molecules
    from understudy.rna.pairing import Pairs

Kind = Literal["chemical", "nucleotide", "pairing"]

NAMES: dict[Kind, str] = {
    "chemical": "median",
    "nucleotide": "median per nucleotide",
    "pairing": "median per nucleotide and pairing",
}
BINS = 10  # of the pairing probability, from 0 to 1


@dataclass(frozen=True)
class Medians:
    """``table`` (4, BINS + 1, 2): nucleotide, bin of the pairing probability (the last: unknown), chemical."""

    kind: Kind
    table: NDArray[np.float32]

    @property
    def name(self) -> str:
        return NAMES[self.kind]

    def predict(
        self, tokens: NDArray[np.uint8], pairing: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Reactivities (N, 4) of ``tokens`` (N,); the columns of the errors are NaN.

        ``pairing`` (N, 2) holds sum and maximum of the pairing probabilities; without it the median over all
        of them is predicted.
        """
        found = np.full((len(tokens), 4), np.nan, np.float32)
        found[:, :2] = self.table[tokens, _bins(len(tokens), pairing)]
        return found

    def to_json(self) -> dict[str, Any]:
        """What ``json.dump`` can write, exactly."""
        return {"kind": self.kind, "table": self.table.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Medians:
        """The inverse of :meth:`to_json`.

        Raises:
            ModelError: ``data`` is not what it writes.
        """
        kind = data.get("kind")
        try:
            table = np.array(data.get("table"), np.float32)
        except (TypeError, ValueError):
            table = np.empty(0, np.float32)
        if kind not in NAMES or table.shape != (4, BINS + 1, 2) or not np.isfinite(table).all():
            raise ModelError("a table of medians is damaged: train the baselines again")
        return cls(kind, table)


def fit_medians(
    molecules: Molecules, index: Integers, kind: Kind = "nucleotide", *, pairs: Pairs | None = None
) -> Medians:
    """Medians of the clipped reactivities of the molecules ``index``, those that count for the official figure.

    ``pairs`` of all ``molecules`` are needed for the kind ``pairing``. A nucleotide or bin that never occurs
    gets the median of what is coarser.

    Raises:
        DataError: no molecule has both chemicals measured with ``SN_filter = 1``.
    """
    if kind == "pairing" and pairs is None:
        raise ValueError("the kind 'pairing' needs pairs")
    counted = counted_rows(molecules, index)
    if not counted.any():
        raise DataError(
            "no training molecule has SN_filter = 1 for both chemicals: no baseline can be fitted"
        )
    rows = rows_of(molecules.offsets, index)
    values = np.clip(molecules.reactivity[rows[counted]], 0.0, 1.0)
    tokens = molecules.tokens[rows[counted]]
    table = np.empty((4, BINS + 1, 2), np.float32)
    table[:] = np.median(values, axis=0)
    if kind != "chemical":
        for token in np.unique(tokens):
            table[token] = np.median(values[tokens == token], axis=0)
    if kind == "pairing" and pairs is not None:
        bins = _bins(len(rows), pairing_of_rows(pairs, molecules, index))[counted]
        for token, at in np.unique(np.stack([tokens, bins], axis=1), axis=0):
            table[token, at] = np.median(values[(tokens == token) & (bins == at)], axis=0)
    return Medians(kind, table)


def _bins(n: int, pairing: NDArray[np.float32] | None) -> NDArray[np.int64]:
    if pairing is None:
        return np.full(n, BINS)
    return np.clip((pairing[:, 0] * BINS).astype(np.int64), 0, BINS - 1)
