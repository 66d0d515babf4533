"""What describes reservoirs, by least squares; training is left with their encoder.

Exponents, ratios and shares are strongly coupled: gradient steps crawl along the valley that they form, and leave
it again while the encoder still gives wrong first levels (docs/decisions/0024).

Axes: B cases, T rows, C controls, N predicted signals, P numbers to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor, nn
from torch.func import functional_call, jacfwd

from understudy.core.cases import CaseTable
from understudy.core.nets.reservoirs import Reservoirs
from understudy.core.scaling import Scaler

_CASES, _ROWS = 8, 1500  # of a case, what the fit looks at: a row costs a tenth of a millisecond a round
_ROUNDS = 60
# What bends the equations waits until the rest fits as well as it can: all at once ends in worse minima.
_STAGES: tuple[Collection[str], ...] = (("exponent", "caught", "rim"), ())


class _Course(nn.Module):
    """The free run of reservoirs from levels that are numbers to be found, too."""

    def __init__(self, net: Reservoirs, control: Tensor, levels: Tensor) -> None:
        super().__init__()
        self.net = net
        self.levels = nn.Parameter(levels)
        self.control = control

    def forward(self) -> Tensor:
        state = torch.cat([self.control[:, 0], self.levels], dim=1)
        return self.net.run(state, self.control[:, 1:])[0]


def settle(
    net: Reservoirs,
    table: CaseTable,
    cases: Sequence[int],
    scaler: Scaler,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Give ``net`` the numbers with which its free runs of some of ``cases`` have the least squared error.

    The encoder stays as it is: the first levels of these runs are found with the rest, and forgotten. Afterwards it
    alone may learn. By Gauss and Newton in a trust region, with exact derivatives.
    """
    control, truth = _runs(table, cases, scaler, net.sizes.in_len)
    with torch.no_grad():
        course = _Course(
            net, control, net.gauge.level(torch.nan_to_num(truth[:, 0])).repeat(1, len(net.stores))
        )
    for stage, waiting in enumerate(_STAGES):
        _fit(course, truth[:, 1:], waiting, partial(_tell, on_progress, stage))
    net.leave_to_the_encoder()


def _tell(on_progress: Callable[[int, int], None], stage: int, done: int) -> None:
    on_progress(stage * _ROUNDS + done, len(_STAGES) * _ROUNDS)


def _fit(course: _Course, truth: Tensor, waiting: Collection[str], on_round: Callable[[int], None]) -> None:
    """Find all numbers that may be learnt but those of the encoder and those ``waiting``."""
    free = {
        name: parameter
        for name, parameter in course.named_parameters()
        if parameter.requires_grad and "encoder" not in name and name.split(".")[-1] not in waiting
    }
    sizes = [p.numel() for p in free.values()]
    measured = torch.isfinite(truth)

    def errors(flat: Tensor) -> Tensor:
        parts = torch.split(flat, sizes)
        given = {name: part.reshape(free[name].shape) for name, part in zip(free, parts, strict=True)}
        predicted: Tensor = functional_call(course, given, ())
        return (predicted - truth)[measured]

    def numbers(function: Any, x: Any) -> Any:
        with torch.no_grad():
            return function(torch.from_numpy(x).float()).numpy().astype(np.float64)

    begin = torch.cat([p.detach().flatten() for p in free.values()]).numpy().astype(np.float64)
    slopes = jacfwd(errors)
    error = partial(numbers, errors)

    rounds = count(1)

    def slope(x: Any) -> Any:
        on_round(next(rounds))
        return numbers(slopes, x)

    found = least_squares(error, begin, jac=slope, x_scale="jac", max_nfev=_ROUNDS)
    with torch.no_grad():
        for parameter, part in zip(free.values(), torch.split(torch.from_numpy(found.x), sizes), strict=True):
            parameter.copy_(part.reshape(parameter.shape))


def _runs(table: CaseTable, cases: Sequence[int], scaler: Scaler, history: int) -> tuple[Tensor, Tensor]:
    """Scaled controls (B, T, C) and truths (B, T, N, NaN after the end) from the last row of the history on."""
    n_controls = len(table.spec.controls)
    runs = [scaler(torch.from_numpy(table[i].values[history - 1 :][:_ROWS])) for i in cases[:_CASES]]
    longest = max(len(run) for run in runs)
    rows = torch.full((len(runs), longest, len(table.spec.names)), torch.nan)
    for place, run in zip(rows, runs, strict=True):
        place[: len(run)] = run
        place[len(run) :, :n_controls] = run[-1, :n_controls]
    return rows[..., :n_controls], rows[..., n_controls:]
