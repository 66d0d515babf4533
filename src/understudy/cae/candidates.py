"""Cases that could be simulated, as strategies of :mod:`understudy.core.acquire` see them.

Axes: K candidates, T rows of a case, C controls, N predicted signals, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.features import LossHead, fit_loss_head, head_inputs, moments
from understudy.core.model import Model
from understudy.core.rollout import rollout
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError

Array = NDArray[np.float64]
OnProgress = Callable[[int, int], None]

PART = 25  # rows over which features and errors are averaged to learn one from the other
_AT_ONCE = 16  # cases whose features are in memory at the same time


class CaseCandidates:
    """Candidates for one or several models of the same signals.

    A case that has not been simulated has no history: where the first rows of a predicted signal are NaN, its
    training mean stands for it, and so it does for controls that only the simulation decides (a controlled valve).

    Args:
        models: the first one gives features and errors, all of them disagreement.
        task: of these models.
        table: the candidates; its signals are those of the models.
        known: cases that were simulated, whole.
    """

    def __init__(
        self,
        models: Sequence[Model],
        task: Rollout,
        table: CaseTable,
        known: CaseTable | None = None,
        on_progress: OnProgress = lambda done, total: None,
    ) -> None:
        self._models = [part for model in models for part in members(model.eval())]
        self._task, self._on_progress = task, on_progress
        mean = self._models[0].scaler.mean.cpu().numpy()
        self._table = _filled(table, mean, task.in_len)
        self._known = None if known is None else _filled(known, mean, task.in_len)

    def __len__(self) -> int:
        return len(self._table)

    def features(self) -> Array:
        return self._moments(self._table)

    def known_features(self) -> Array:
        if self._known is None:
            return np.empty((0, 0))
        return self._moments(self._known)

    def expected_error(self) -> Array:
        head = self._loss_head
        with torch.inference_mode():
            return np.array(
                [float(head(_parts(rows, _n_parts(rows))).mean()) for rows, _ in self._run(self._table)]
            )

    def disagreement(self) -> Array:
        """Mean over target signals and rows of the deviation among the models, in deviations of the signal."""
        if len(self._models) < 2:
            raise ConfigError("disagreement needs several runs, or one with model.members above 1")
        columns = list(self._table.spec.target_columns)
        std = self._models[0].scaler.std[self._models[0].n_controls :].cpu()[columns]
        everything = range(len(self._table))
        runs = []
        for k, model in enumerate(self._models):
            runs.append(self._task.free_run(model, self._table, everything))
            self._on_progress(k + 1, len(self._models))
        found = [
            (torch.stack([y[:, columns] for y in same]).std(0, correction=0) / std).mean()
            for same in zip(*runs, strict=True)
        ]
        return torch.stack(found).double().numpy()

    @cached_property
    def _loss_head(self) -> LossHead:
        if self._known is None:
            raise ConfigError("learning-loss needs cases that were simulated, to learn errors from (--known)")
        model, columns = self._models[0], list(self._known.spec.target_columns)
        std = model.scaler.std[model.n_controls :].cpu()[columns]
        features, errors = [], []
        for case, (rows, y) in zip(self._known, self._run(self._known), strict=True):
            truth = torch.from_numpy(case.values[self._task.in_len :, model.n_controls :])[:, columns]
            gap = (y[:, columns] - truth).abs() / std
            n = _n_parts(rows)
            features.append(_parts(rows, n))
            errors.append(_parts(gap, n).nanmean(1))
        return fit_loss_head(torch.cat(features), torch.cat(errors))

    def _moments(self, table: CaseTable) -> Array:
        return np.stack([moments(rows) for rows, _ in self._run(table)])

    def _run(self, table: CaseTable) -> Iterator[tuple[Tensor, Tensor]]:
        """Of every case the features (T, D) and the prediction (T, N) of a free rollout."""
        model, n_past = self._models[0], self._task.in_len
        done = 0
        for index in _same_length(table.lengths):
            values = torch.stack([torch.from_numpy(table[i].values) for i in index])
            controls = list(values[:, n_past:, : model.n_controls])
            with head_inputs(model.net.layers()) as seen:
                predictions = rollout(model, values[:, :n_past], controls)
            rows = torch.cat(seen, dim=1)[:, : values.shape[1] - n_past]
            yield from zip(rows, predictions, strict=True)
            done += len(index)
            self._on_progress(done, len(table))


def members(model: Model) -> list[Model]:
    """The models whose mean a model predicts: those of a committee, or itself."""
    return [Model(net, model.scaler).eval() for net in model.net.averaged()]


def _filled(table: CaseTable, mean: NDArray[np.float32], in_len: int) -> CaseTable:
    n_controls = len(table.spec.controls)
    cases = []
    for case in table:
        values = case.values.copy()
        for rows, known in ((values[:, :n_controls], mean[:n_controls]), (values[:in_len], mean)):
            np.copyto(rows, known, where=np.isnan(rows))
        cases.append(Case(case.id, values, case.start, case.metadata))
    return table_from_cases(table.spec, cases)


def _same_length(lengths: NDArray[np.int64]) -> Iterator[list[int]]:
    """Neighbours of one length, in order, a few at a time."""
    group: list[int] = []
    for i, length in enumerate(lengths.tolist()):
        if group and (length != lengths[group[0]] or len(group) == _AT_ONCE):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _n_parts(rows: Tensor) -> int:
    return max(1, len(rows) // PART)


def _parts(rows: Tensor, n: int) -> Tensor:
    """Means (n, D) of ``rows`` (T, D) over parts of nearly equal length, NaN left out."""
    return torch.stack([part.nanmean(0) for part in torch.tensor_split(rows, n)])
