"""Models that need no training by gradient, and that every network has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from understudy.core.cases import CaseTable
from understudy.core.model import Model
from understudy.core.nets import ArxFit, Sizes
from understudy.core.nets.linear import Persistence
from understudy.core.scaling import Scaler
from understudy.core.tasks import Rollout

# Relative to the mean square of scaled inputs. From plain least squares to strongly damped: the best one-step
# fit of measured data is often unstable in a rollout.
RIDGES = (1e-12, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1)

# Beyond this many windows a linear model has nothing left to learn, and the fit would take minutes.
MAX_WINDOWS = 300_000


def sizes_of(table: CaseTable, task: Rollout) -> Sizes:
    """The sizes that data and task give a network."""
    return Sizes(task.in_len, task.out_len, len(table.spec.controls), len(table.spec.predicted))


def fit_scaler(table: CaseTable, cases: Sequence[int]) -> Scaler:
    """Scales of the training cases."""
    scaler = Scaler(len(table.spec.signals))
    scaler.fit(table, cases)
    return scaler


def ranges(table: CaseTable, cases: Sequence[int], scaler: Scaler) -> tuple[Tensor, Tensor]:
    """The smallest and the largest value (F,) of each signal in ``cases``, scaled; what is never measured has 0."""
    # Case by case: a table may be larger than memory. fmin and fmax pass over NaN.
    low_of = np.fmin.reduce([np.fmin.reduce(table[i].values) for i in cases])
    high_of = np.fmax.reduce([np.fmax.reduce(table[i].values) for i in cases])
    edges = np.stack([low_of, high_of])
    low, high = scaler(torch.from_numpy(np.where(np.isfinite(edges), edges, scaler.mean.numpy())))
    return low, high


def persistence(table: CaseTable, task: Rollout, scaler: Scaler) -> Model:
    """Everything stays as it was last measured."""
    return Model(Persistence(sizes_of(table, task)), scaler).eval()


def fit_arx(
    table: CaseTable, task: Rollout, scaler: Scaler, train: Sequence[int], val: Sequence[int]
) -> Model:
    """A linear ARX model by least squares, its ridge chosen by the free rollout of the validation cases."""
    one_step = Rollout(task.in_len, task.out_len)
    fit = ArxFit(sizes_of(table, task))
    windows = one_step.windows(table, train)
    order = torch.arange(len(windows))
    if len(windows) > MAX_WINDOWS:
        order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))[:MAX_WINDOWS]
    with torch.no_grad():
        fit.add(scaler(windows.gather(part)) for part in torch.split(order, 8192))
    models = [Model(fit.solve(ridge), scaler).eval() for ridge in RIDGES]
    errors = [one_step.validation_error(model, table, val) for model in models]
    return models[min(range(len(models)), key=errors.__getitem__)]
