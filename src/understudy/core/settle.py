"""What describes reservoirs, by least squares; training is left with nothing.

Exponents, ratios and shares are strongly coupled: gradient steps crawl along the valley that they form
(docs/decisions/0024).

Axes: B cases, T rows, C controls, N predicted signals, P numbers to be found.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import count
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor, nn
from torch.func import functional_call, jacfwd

from understudy.core.cases import CaseTable
from understudy.core.nets.reservoirs import Reservoirs
from understudy.core.scaling import Scaler

_CASES, _ROWS = 8, 1500  # of a case, what the fit looks at: a row costs some milliseconds a round
_ROUNDS, _ENOUGH = 60, 1e-4  # of one fit; enough when the cost falls by less than this share
# Exponents from which the fit begins, Torricelli's and that of a linear reservoir: from either one it may end in a
# worse minimum, so both are tried.
_STARTS = (0.5, 1.0)
# What bends the equations waits until the rest fits as well as it can: all at once ends in worse minima. Afterwards
# everything, again and again with the noise that was found: it says how much rows count beside what is usual.
_BENDS = ("exponent", "caught", "rim")
_AGAIN, _CALM = 4, 0.9  # times at most; enough when noise keeps this share
# Held where they begin, at what is usual or was seen: a record of some hundred rows does not tell exponents, rims
# and shares apart, and they are not to go to their limits for it. Errors of a free run last, so that so many rows
# count as one observation, beside a prior of deviation one.
_HELD = (*_BENDS, "late")
_ROWS_AN_OBSERVATION = 100
_HOPED = 0.05  # deviations: a first noise that lets go; with that of a bad fit, the prior would keep it bad
_LEAST_NOISE = 1e-3  # deviations: below it, everything is told


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

    The first levels of these runs are found with the rest, and forgotten. Afterwards nothing may be learnt any
    more. By Gauss and Newton in a trust region, with exact derivatives; exponents, rims and shares are held softly
    where they begin, a prior in the sense of Bayes.
    """
    control, truth = _runs(table, cases, scaler, net.sizes.in_len)
    with torch.no_grad():
        levels = net.gauge.level(torch.nan_to_num(truth[:, 0])).repeat(1, len(net.stores))
    course = _Course(net, control, levels)
    usual = {name: p.detach().clone() for name, p in course.named_parameters() if _last(name) in _HELD}
    observations = int(torch.isfinite(truth[:, 1:]).sum()) / _ROWS_AN_OBSERVATION
    found = []
    for k, exponent in enumerate(_STARTS):
        part = copy.deepcopy(course)
        part.net.bend(exponent)
        _fit(part, truth[:, 1:], _BENDS, usual, 1.0, partial(_tell, on_progress, k, 0))
        noise = _HOPED
        for again in range(_AGAIN):
            before = noise
            on_round = partial(_tell, on_progress, k, 1 + again)
            noise, away = _fit(part, truth[:, 1:], (), usual, noise, on_round)
            if _CALM * before < noise < before / _CALM:
                break
        found.append((2 * observations * math.log(noise) + away, part))
    _tell(on_progress, len(_STARTS), 0, 0)
    best = min(found, key=itemgetter(0))[1]
    net.load_state_dict(best.net.state_dict())
    with torch.no_grad():
        net.gauge.off.copy_(_unsteadiness(best() - truth[:, 1:]).clamp(min=_LEAST_NOISE))
    net.requires_grad_(False)


def _unsteadiness(errors: Tensor) -> Tensor:
    """Deviation (N,) of what changes from row to row in errors (B, T, N) of a free run: errors of single rows."""
    change = errors.diff(dim=1)
    measured = torch.isfinite(change)
    squares = torch.where(measured, change, 0.0).square().sum((0, 1)) / measured.sum((0, 1)).clamp(min=1)
    return (squares / 2).sqrt()


def _tell(on_progress: Callable[[int, int], None], start: int, fits: int, done: int) -> None:
    on_progress(
        start * _ROUNDS + round(_ROUNDS * (fits + done / _ROUNDS) / (1 + _AGAIN)), len(_STARTS) * _ROUNDS
    )


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _fit(
    course: _Course,
    truth: Tensor,
    waiting: Collection[str],
    usual: Mapping[str, Tensor],
    noise: float,
    on_round: Callable[[int], None],
) -> tuple[float, float]:
    """Find all numbers that may be learnt but those ``waiting``.

    Args:
        usual: by name, where numbers are held.
        noise: root mean square of the errors to be expected.

    Returns:
        That of the errors found, and the sum of squares of how far numbers are from where they are held.
    """
    free = {
        name: parameter
        for name, parameter in course.named_parameters()
        if parameter.requires_grad and _last(name) not in waiting
    }
    sizes = [p.numel() for p in free.values()]
    measured = torch.isfinite(truth)

    scale = 1 / (math.sqrt(_ROWS_AN_OBSERVATION) * noise)

    def errors(flat: Tensor) -> Tensor:
        parts = torch.split(flat, sizes)
        given = {name: part.reshape(free[name].shape) for name, part in zip(free, parts, strict=True)}
        predicted: Tensor = functional_call(course, given, ())
        away = [(part - usual[name]).flatten() for name, part in given.items() if name in usual]
        return torch.cat([scale * (predicted - truth)[measured], *away])

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

    found = least_squares(error, begin, jac=slope, x_scale="jac", ftol=_ENOUGH, max_nfev=_ROUNDS)
    with torch.no_grad():
        for parameter, part in zip(free.values(), torch.split(torch.from_numpy(found.x), sizes), strict=True):
            parameter.copy_(part.reshape(parameter.shape))
    rows = found.fun[: int(measured.sum())] / scale
    return max(float(np.sqrt(np.mean(rows**2))), _LEAST_NOISE), float(np.sum(found.fun[len(rows) :] ** 2))


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
