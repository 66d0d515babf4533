"""What a user of a trained model holds in hand.

Axes: B cases, L = ``in_len``, H ≥ L rows of history, T rows to predict, C controls, N predicted, F = C + N.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from understudy.core.bundle import Bundle, load_bundle, title_of
from understudy.core.domain import domain
from understudy.core.intervals import DEFAULT, Intervals, mean_intervals
from understudy.core.model import Ensemble, Model
from understudy.core.rollout import rollout
from understudy.core.spec import DataSpec
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]


class Surrogate:
    """A trained stand-in for the experiment: controls in, every predicted signal out, physical units.

    ``spec`` says what the columns are; ``in_len`` how many measured rows a prediction starts from. Of several
    bundles it is the mean.

    Raises:
        ConfigError: the bundles were trained on different signals, or start from histories of different lengths.
    """

    def __init__(self, bundle: Bundle, *more: Bundle) -> None:
        self.bundle = bundle
        self.spec: DataSpec = bundle.spec
        for other in more:
            if different := self.spec.differences(other.spec):
                raise ConfigError(f"the runs cannot be averaged: {'; '.join(different)}")
        bundles = (bundle, *more)
        self.name = title_of(bundles)
        self.models: tuple[Model, ...] = tuple(b.model for b in bundles)
        self.model: Model | Ensemble = Ensemble(self.models) if more else bundle.model
        kept = [b.intervals for b in bundles]
        found = [Intervals.from_json(k, len(self.spec.predicted)) for k in kept if k is not None]
        self.intervals = mean_intervals(found) if len(found) == len(bundles) else None

    @property
    def in_len(self) -> int:
        return int(self.models[0].net.sizes.in_len)

    @property
    def out_len(self) -> int:
        return int(self.models[0].net.sizes.out_len)

    @property
    def task(self) -> Rollout:
        """The task that evaluates this model on cases."""
        return Rollout(self.in_len, self.out_len)

    def __repr__(self) -> str:
        names = ", ".join(s.label for s in self.spec.controls)
        return (
            f"Surrogate({self.name}: {names} → {len(self.spec.predicted)} signals "
            f"every {self.spec.step:g} {self.spec.step_unit})"
        )

    def predict(self, controls: Any, history: Any) -> Any:
        """Predict the rows that follow ``history``.

        Args:
            controls: the controls of the T rows to predict: an array ``(T, C)``, or ``(B, T, C)`` for several
                cases at once, or a DataFrame with a column for every control.
            history: at least ``in_len`` measured rows before them, the last ones are used: an array ``(H, F)``
                or ``(B, H, F)`` in the order of ``spec.names``, or a DataFrame with all signals.

        Returns:
            ``(T, N)`` or ``(B, T, N)`` in the order of ``spec.predicted``; a DataFrame with the index of
            ``controls`` if that is one.

        Raises:
            DataError: a column is missing, shapes do not fit, too short a history, or a value is NaN.
        """
        frame = controls if _is_frame(controls) else None
        u = self._array(controls, [s.name for s in self.spec.controls], "controls")
        past = self._array(history, list(self.spec.names), "history")
        if u.ndim != past.ndim:
            raise DataError(
                f"controls have {u.ndim} axes and the history {past.ndim}; both need (rows, columns)"
            )
        batched = u.ndim == 3
        u, past = (u, past) if batched else (u[None], past[None])
        if len(u) != len(past):
            raise DataError(f"controls of {len(u)} cases and histories of {len(past)} do not fit")
        if past.shape[1] < self.in_len:
            raise DataError(f"the history has {past.shape[1]} rows; this model starts from {self.in_len}")
        histories = torch.from_numpy(past[:, -self.in_len :])
        parts = rollout(self.model, histories, list(torch.from_numpy(u)))
        y: Floats = torch.stack(parts).numpy()
        if frame is not None:
            return self._frame(y[0], frame)
        return y if batched else y[0]

    def half_width(self, n_rows: int, coverage: float = DEFAULT) -> Floats:
        """Half the width ``(T, N)`` of the intervals around the first ``n_rows`` rows of a prediction.

        What is measured lies within ``prediction ± half_width`` with the probability ``coverage``, for cases like
        those that the run was validated on.

        Raises:
            ConfigError: the bundle has no intervals, or none of this coverage.
        """
        if self.intervals is None:
            raise ConfigError("this model was saved without intervals, by an earlier version")
        return self.intervals.half_width(coverage, n_rows)

    def _frame(self, y: Floats, like: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(y, index=like.index, columns=[s.name for s in self.spec.predicted])

    def _array(self, data: Any, columns: Sequence[str], what: str) -> Floats:
        if _is_frame(data):
            missing = [c for c in columns if c not in data.columns]
            if missing:
                raise DataError(
                    f"the {what} lack the column {missing[0]!r}{did_you_mean(missing[0], data.columns)}"
                )
            data = data[list(columns)].to_numpy()
        try:
            array = np.ascontiguousarray(data, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"the {what} are not an array of numbers: {error}") from error
        if array.ndim not in (2, 3) or array.shape[-1] != len(columns):
            raise DataError(
                f"the {what} have shape {array.shape}; expected (rows, {len(columns)}) with the columns "
                f"{', '.join(columns)}"
            )
        used = array[..., -self.in_len :, :] if what == "history" else array
        if not np.isfinite(used).all():
            row, column = np.argwhere(~np.isfinite(used))[0][-2:]
            raise DataError(f"the {what} hold a value that is not a number: row {row}, {columns[column]!r}")
        return array.copy() if not array.flags.writeable else array


def _is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "index")


def load(path: str | Path, *more: str | Path) -> Any:
    """The surrogate of a run's folder or of a bundle; what it can do depends on the field of use.

    For time series it is a :class:`Surrogate`, for nucleotides a ``ReactivitySurrogate``. Several runs give one
    surrogate that predicts their mean.

    Raises:
        ModelError: nothing there, or it cannot be read.
        ConfigError: several runs that do not belong together.
    """
    bundles = [load_bundle(Path(p)) for p in (path, *more)]
    fields = sorted({b.spec.domain for b in bundles})
    if len(fields) > 1:
        raise ConfigError(f"runs of {' and '.join(f.upper() for f in fields)} cannot be averaged")
    return domain(fields[0]).surrogate(bundles)
