"""What is known, what is asked and what counts as an error: the part of training that depends on the task.

A task is all that :mod:`understudy.training` knows of a domain. :class:`Rollout` is the CAE one; one that
maps all inputs of a case to all targets in one pass fits the same protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from understudy.core.cases import CaseTable
from understudy.core.losses import CRITERIA
from understudy.core.model import Ensemble, Model
from understudy.core.rollout import rollout
from understudy.core.stretches import Stretches, StretchLoader
from understudy.core.windows import WindowLoader, Windows
from understudy.errors import ConfigError, DataError, did_you_mean

# A validation error is cut here (in deviations of the signal), so that one diverging case still leaves a
# number that early stopping can compare.
ERROR_CEILING = 1e3
_LEAST = {
    "in_len": 1, "out_len": 1, "unroll": 0, "unroll_epochs": 0, "noise": 0, "stretch": 0, "truncate": 1,
    "passes": 1,
}  # fmt: skip
# A stretch that grows begins with one part in so many of its rows.
_FIRST_SHARE = 8


class Loader(Protocol):
    """Training batches in an order that depends on seed and epoch only; its state resumes within an epoch."""

    epoch: int
    rank: int  # which of the processes that train together
    world_size: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Task(Protocol):
    """The seam between the engine and what it is trained for.

    What a table of cases, a model and a batch are is the task's own business: the engine passes them on.
    """

    @property
    def monitor(self) -> str:
        """What the validation error is called in the metrics of a run: ``val/rollout``."""

    @property
    def error_name(self) -> str:
        """The same for a person: ``validation rollout``."""

    def loader(
        self, table: Any, cases: Sequence[int], *, batch_size: int, seed: int, max_batches: int | None
    ) -> Loader:
        """Training batches of ``cases``."""

    def loss(self, model: Any, batch: Any, *, epoch: int) -> Tensor:
        """The training loss of one batch, a scalar in scaled units."""

    def validation_error(self, model: Any, table: Any, cases: Sequence[int]) -> float:
        """What early stopping and the choice of the best checkpoint go by; smaller is better."""


@dataclass(frozen=True)
class Rollout:
    """Predict ``out_len`` rows from ``in_len`` rows, and go on from the own predictions.

    Args:
        in_len, out_len: rows of history and rows of one prediction.
        criterion: ``mse``, ``l1`` or ``smoothl1``, in scaled units.
        unroll: how many times the network is fed its own prediction within one training window. 0 is
            one-step training (teacher forcing).
        unroll_epochs: epochs over which the number of fed-back predictions grows from 0 to ``unroll``;
            0 has all of them from the start.
        noise: deviation of the Gaussian noise on the predicted signals of the history, in deviations of the
            signal (Sanchez-Gonzalez et al. 2020, section 3.2): the network learns to come back from errors.
        stretch: rows that a network with a state runs in training, after the history; 0: windows, for the others.
        truncate: rows after which the gradient is cut within a stretch; None: never.
        passes: how often an epoch of stretches goes over the rows.
        weights: (N,) what an error of each predicted signal counts; empty: all the same.

    Raises:
        ConfigError: a value out of range.
    """

    monitor: ClassVar[str] = "val/rollout"
    error_name: ClassVar[str] = "validation rollout"

    in_len: int
    out_len: int
    criterion: str = "mse"
    unroll: int = 0
    unroll_epochs: int = 0
    noise: float = 0.0
    stretch: int = 0
    truncate: int | None = None
    passes: int = 1
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for key, least in _LEAST.items():
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(f"settings.{key} must be at least {least}, not {value}")
        if self.criterion not in CRITERIA:
            raise ConfigError(
                f"settings.criterion {self.criterion!r} is not one of {', '.join(CRITERIA)}"
                f"{did_you_mean(self.criterion, CRITERIA)}"
            )

    def fed_back(self, epoch: int) -> int:
        """How many predictions are fed back in ``epoch`` (from 0)."""
        if epoch >= self.unroll_epochs:
            return self.unroll
        return self.unroll * epoch // self.unroll_epochs

    def check(self, table: CaseTable) -> None:
        """
        Raises:
            DataError: a case is shorter than one window.
        """
        needed = self.in_len + (1 if self.stretch else self.out_len * (1 + self.unroll))
        for case in table:
            if len(case.values) < needed:
                if self.stretch:
                    raise DataError(
                        f"case {case.id!r} has {len(case.values)} rows; settings.in_len {self.in_len} and one row "
                        f"to predict need at least {needed}"
                    )
                unrolled = f" x (1 + settings.unroll {self.unroll})" if self.unroll else ""
                raise DataError(
                    f"case {case.id!r} has {len(case.values)} rows; settings.in_len {self.in_len} + "
                    f"settings.out_len {self.out_len}{unrolled} need at least {needed}"
                )

    def windows(self, table: CaseTable, cases: Sequence[int]) -> Windows:
        return Windows(table, cases, history=self.in_len, horizon=self.out_len * (1 + self.unroll))

    def loader(
        self,
        table: CaseTable,
        cases: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        max_batches: int | None = None,
    ) -> WindowLoader:
        if self.stretch:
            stretches = Stretches(table, cases, history=self.in_len, horizon=self.stretch)
            return StretchLoader(
                stretches, batch_size=batch_size, seed=seed, max_batches=max_batches, passes=self.passes
            )
        windows = self.windows(table, cases)
        return WindowLoader(windows, batch_size=batch_size, seed=seed, max_batches=max_batches)

    def loss(self, model: Model, batch: Tensor, *, epoch: int = 0) -> Tensor:
        """Mean criterion over the predicted rows of a window or stretch; ``batch`` is (B, L + rows, F)."""
        n_controls = model.n_controls
        rows = model.scaler(batch)
        past = rows[:, : self.in_len]
        if self.noise:
            jitter = torch.randn_like(past[..., n_controls:]) * self.noise
            past = torch.cat([past[..., :n_controls], past[..., n_controls:] + jitter], dim=-1)
        asked = rows[:, self.in_len : self.in_len + self._rows(epoch)]
        controls = asked[..., :n_controls]
        embedded = model.net.embed_control(controls)
        state, predicted = model.net.begin(past), []
        step = (self.truncate or self.stretch) if self.stretch else self.out_len
        for first in range(0, asked.shape[1] - step, step):
            part = slice(first, first + step)
            y, state = model.net.advance(state, controls[:, part], embedded[:, part])
            predicted.append(y)
            if self.stretch:
                state = state.detach()
        predicted.append(model.net.predict(state, embedded[:, len(predicted) * step :]))
        weight = torch.tensor(self.weights, device=rows.device) if self.weights else None
        return CRITERIA[self.criterion](torch.cat(predicted, dim=1), asked[..., n_controls:], weight)

    def _rows(self, epoch: int) -> int:
        """How many rows of a window or stretch are predicted in ``epoch`` (from 0)."""
        if not self.stretch:
            return self.out_len * (1 + self.fed_back(epoch))
        if epoch >= self.unroll_epochs:
            return self.stretch
        share = (1 + (_FIRST_SHARE - 1) * epoch / self.unroll_epochs) / _FIRST_SHARE
        return max(1, round(self.stretch * share))

    def free_run(
        self,
        model: Model | Ensemble,
        table: CaseTable,
        cases: Sequence[int],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[Tensor]:
        """Roll out ``cases`` from their first ``in_len`` rows: per case ``(T - in_len, N)``, physical units."""
        values = [torch.from_numpy(table[i].values) for i in cases]
        histories = torch.stack([v[: self.in_len] for v in values])
        controls = [v[self.in_len :, : model.n_controls] for v in values]
        return rollout(model, histories, controls, on_progress=on_progress)

    def validation_error(self, model: Model, table: CaseTable, cases: Sequence[int]) -> float:
        """Mean absolute error of the free rollouts in deviations of the signals, over the target signals."""
        columns = list(table.spec.target_columns)
        std = model.scaler.std[model.n_controls :].cpu()[columns]
        total, count = 0.0, 0
        for i, prediction in zip(cases, self.free_run(model, table, cases), strict=True):
            truth = torch.from_numpy(table[i].values[self.in_len :, model.n_controls :])[:, columns]
            measured = torch.isfinite(truth)
            error = ((prediction[:, columns] - truth).abs() / std).nan_to_num(ERROR_CEILING, ERROR_CEILING)
            total += float(error.clamp(max=ERROR_CEILING)[measured].double().sum())
            count += int(measured.sum())
        return total / max(count, 1)
