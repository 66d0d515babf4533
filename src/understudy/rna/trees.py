"""Gradient-boosted trees on the neighbourhood of each nucleotide: the baseline that a network has to beat."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from understudy.core.files import atomic_path
from understudy.errors import DataError, ModelError
from understudy.rna.features import (
    Integers,
    Windows,
    counted_rows,
    drawn,
    pairing_of_rows,
    rows_of,
)
from understudy.rna.intervals import ProfileIntervals
from understudy.rna.pairing.pairs import offsets_of

if TYPE_CHECKING:
    from understudy.rna.molecules import Molecules
    from understudy.rna.pairing import Pairs

CHUNK = 100_000  # nucleotides: about 40 MB of features
# What a file of trees may name beside what skops itself knows to be harmless: scikit-learn's own parts of a forest.
_TRUSTED = [
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
]


@dataclass(frozen=True)
class TreeSettings:
    """What the trees are given; the defaults were chosen on training molecules alone."""

    width: int = 7  # nucleotides on each side
    n_trees: int = 200
    learning_rate: float = 0.2
    max_molecules: int | None = 3000
    seed: int = 0


@dataclass(frozen=True)
class Trees:
    """One forest a chemical, fitted by :func:`fit_trees`."""

    settings: TreeSettings
    with_pairing: bool
    forests: tuple[Any, ...] = field(repr=False)
    n_molecules: int  # that they were fitted on
    intervals: ProfileIntervals | None = None  # around what they predict

    @property
    def name(self) -> str:
        return "boosted trees with pairing" if self.with_pairing else "boosted trees"

    def predict(
        self,
        tokens: NDArray[np.uint8],
        offsets: Integers,
        pairing: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Reactivities (N, 4) of ``tokens`` (N,), molecules cut by ``offsets``; the columns of the errors are NaN.

        ``pairing`` (N, 2) holds sum and maximum of the pairing probabilities of each nucleotide. Memory beside
        the result does not grow with N.
        """
        if self.with_pairing != (pairing is not None):
            raise ValueError("pairing must be given exactly to trees that were fitted with it")
        windows = Windows(tokens, offsets, pairing, self.settings.width)
        found = np.full((len(tokens), 4), np.nan, np.float32)
        for first in range(0, len(tokens), CHUNK):
            features = windows.rows(np.arange(first, min(first + CHUNK, len(tokens))))
            for k, forest in enumerate(self.forests):
                found[first : first + CHUNK, k] = np.clip(forest.predict(features), 0.0, 1.0)
        return found

    def save(self, path: Path) -> None:
        """Write a file that :meth:`load` reads, with the version of scikit-learn that is installed."""
        import skops.io

        content = {
            "settings": asdict(self.settings),
            "with_pairing": self.with_pairing,
            "forests": list(self.forests),
            "n_molecules": self.n_molecules,
            "intervals": None if self.intervals is None else self.intervals.to_json(),
        }
        with atomic_path(path) as temporary:
            skops.io.dump(content, temporary)

    @classmethod
    def load(cls, path: Path) -> Trees:
        """
        Raises:
            ModelError: the file is damaged, was written with a scikit-learn that differs too much, or names what is
                no part of a forest. Nothing in it is executed.
        """
        import skops.io

        try:
            content = skops.io.load(path, trusted=_TRUSTED)
            kept = content["intervals"]
            return cls(
                TreeSettings(**content["settings"]),
                bool(content["with_pairing"]),
                tuple(content["forests"]),
                int(content["n_molecules"]),
                None if kept is None else ProfileIntervals.from_json(kept),
            )
        except Exception as error:  # whatever a library says about what it cannot read
            raise ModelError(f"{path}: the boosted trees cannot be read: {error}") from error


def fit_trees(
    molecules: Molecules,
    index: Integers,
    *,
    pairs: Pairs | None = None,
    settings: TreeSettings | None = None,
) -> Trees:
    """Fit to the clipped reactivities of the molecules ``index`` that count for the official figure.

    At most ``settings.max_molecules`` of them, drawn by ``settings.seed``; a chemical is learnt from all
    nucleotides that have its value. With ``pairs`` of all ``molecules`` the pairing probabilities in the window
    are features too.

    Raises:
        DataError: no molecule has both chemicals measured with ``SN_filter = 1``.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    settings = settings or TreeSettings()
    chosen = drawn(molecules, np.asarray(index), settings.max_molecules, settings.seed)
    rows = rows_of(molecules.offsets, chosen)
    if not counted_rows(molecules, chosen).any():
        raise DataError(
            "no training molecule has SN_filter = 1 for both chemicals: no baseline can be fitted"
        )
    windows = Windows(
        molecules.tokens[rows],
        offsets_of(molecules.lengths[chosen]),
        None if pairs is None else pairing_of_rows(pairs, molecules, chosen),
        settings.width,
    )
    targets = np.clip(molecules.reactivity[rows], 0.0, 1.0)
    measured = np.isfinite(targets)
    known = measured.any(axis=1)
    features, targets, measured = windows.rows(np.flatnonzero(known)), targets[known], measured[known]
    forests = []
    for k in range(targets.shape[1]):
        here = measured[:, k]
        forest = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=settings.n_trees,
            learning_rate=settings.learning_rate,
            categorical_features=list(range(2 * settings.width + 1)),
            early_stopping=False,  # it would set aside a part of the data, and stop elsewhere at each size
            random_state=settings.seed,
        )
        forests.append(forest.fit(features[here] if not here.all() else features, targets[here, k]))
    return Trees(settings, pairs is not None, tuple(forests), len(chosen))
