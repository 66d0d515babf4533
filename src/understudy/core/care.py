"""What an error of each predicted signal counts in training, and how much of a signal stays what it was.

Axes: N predicted signals, S places where a rollout could begin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.core.cases import CaseTable
from understudy.core.spec import DataSpec, Role
from understudy.errors import ConfigError, did_you_mean

ERROR_SCALES = ("deviation", "change")
_LEAST_LEFT = 0.05  # deviations; a signal that hardly changes would count without bound
_DOUBT = 4.0  # places that speak for a share of zero: one case alone says nothing

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stays:
    """How signals go on after a place where a rollout could begin.

    Args:
        share: (N,) from 0 to 1: the part of its deviation at that place which a signal keeps.
        left: (N,) what remains to be predicted, in deviations of the signal.
    """

    share: Floats
    left: Floats


def stays(table: CaseTable, cases: Sequence[int], *, history: int, horizon: int) -> Stays:
    """A regression of the ``horizon`` rows after a place on the row at it, over places ``horizon`` rows apart."""
    n_controls = len(table.spec.controls)
    parts = [table[i].values[:, n_controls:].astype(np.float64) for i in cases]
    together = np.concatenate(parts)
    measured = np.maximum(np.isfinite(together).sum(0), 1)  # a signal may never be
    mean = np.nansum(together, axis=0) / measured
    std = np.sqrt(np.nansum(np.square(together - mean), axis=0) / measured)
    std[~(std > 0)] = 1.0
    products, squares, both = (np.zeros(len(mean)) for _ in range(3))
    n = np.zeros(len(mean))
    for part in parts:
        scaled = (part - mean) / std
        for place in range(history - 1, len(scaled) - 1, horizon):
            start, later = scaled[place], scaled[place + 1 : place + 1 + horizon]
            known = np.isfinite(later).any(0) & np.isfinite(start)
            count = np.maximum(np.isfinite(later).sum(0), 1)
            product = np.nansum(later * start, axis=0) / count
            products += np.where(known, product, 0)
            squares += np.where(known, np.square(start), 0)
            both += np.where(known, np.nansum(np.square(later), axis=0) / count, 0)
            n += known
    share = np.clip(products / (squares + _DOUBT), 0, 1)
    remaining = (both - 2 * share * products + share**2 * squares) / np.maximum(n, 1)
    return Stays(share, np.sqrt(np.maximum(remaining, 0)))


def error_weights(
    spec: DataSpec,
    left: Floats | None,
    *,
    scale: str,
    power: int,
    byproducts: float,
    own: Mapping[str, float],
) -> tuple[float, ...]:
    """(N,) what an error of a signal, in its deviations, counts; one on average.

    Args:
        left: of :class:`Stays`; None where ``scale`` is ``deviation``.
        scale: ``deviation``: all signals alike; ``change``: an error counts in what remains to be predicted of the
            signal, so that a slow one is not learnt as if standing still were good enough.
        power: of the error in the criterion.
        byproducts: what a byproduct counts beside a target.
        own: by name of a signal, on top of the rest.

    Raises:
        ConfigError: an unknown scale or signal, or a weight below zero.
    """
    if scale not in ERROR_SCALES:
        raise ConfigError(
            f"settings.error_scale {scale!r} is not one of {', '.join(ERROR_SCALES)}"
            f"{did_you_mean(scale, ERROR_SCALES)}"
        )
    names = [signal.name for signal in spec.predicted]
    for name, value in own.items():
        if name not in names:
            raise ConfigError(
                f"settings.weights: no predicted signal is called {name!r}{did_you_mean(name, names)}"
            )
        if value < 0:
            raise ConfigError(f"settings.weights: {name} cannot count {value}")
    if byproducts < 0:
        raise ConfigError(f"settings.byproduct_weight must not be negative, not {byproducts}")
    weights = np.ones(len(names))
    if scale == "change":
        assert left is not None
        weights = np.maximum(left, _LEAST_LEFT) ** -float(power)
    weights *= [byproducts if signal.role is Role.BYPRODUCT else 1.0 for signal in spec.predicted]
    weights *= [own.get(name, 1.0) for name in names]
    if not weights.sum() > 0:
        raise ConfigError("settings.weights and settings.byproduct_weight leave no signal that counts")
    return tuple((weights * len(weights) / weights.sum()).tolist())
