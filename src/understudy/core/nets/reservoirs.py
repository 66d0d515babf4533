"""Reservoirs in series: a network of a dozen numbers, for what fills, drains and spills over.

Axes as in :mod:`understudy.core.nets.base`, T rows to predict (any number), R reservoirs of a signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn import functional

from understudy.core.nets.base import Sizes
from understudy.core.nets.state import StateNet
from understudy.errors import ConfigError

_SHARE, _TORRICELLI = 0.03, 0.5  # of a full reservoir let out a row, and the exponent, at first
_FULL = 2.5  # level at which that share is let out, in deviations of the signal
_STEEPEST = 3.0  # exponent; the V-notch of a weir has 5/2
_EMPTY = 1e-6  # below it a power has no slope
# Before a fit, how far measured rows are off; how far levels are from balance, both in deviations of the signal;
# and rounds of least squares with which levels are found that fit the history (docs/decisions/0024).
_OFF, _UNREST, _ROUNDS = 0.01, 2.0, 6


class Law(NamedTuple):
    """What describes the reservoirs at one place of the series, a number a signal (N,)."""

    share: Tensor
    exponent: Tensor
    rim: Tensor
    caught: Tensor
    ratio: Tensor

    def row(self, level: Tensor, inflow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Level before and inflow to the level after the row, the outflow and what spilled, all (B, N).

        A reservoir lets out what it would when half of the inflow is in: the midpoint rule, but for what leaves
        meanwhile. What is above its rim at the end of the row spills. So a control acts in the row where it
        happens, however many reservoirs follow.
        """
        full = (level + inflow).clamp(min=_EMPTY)
        outflow = torch.minimum(self.let_out(level + inflow / 2), full)
        level = level + inflow - outflow
        spilled = functional.relu(level - self.rim)
        return level - spilled, outflow, spilled

    def let_out(self, level: Tensor) -> Tensor:
        """What flows out in a row at this level (B, N)."""
        return self.share * (_FULL * (level.clamp(min=_EMPTY) / _FULL) ** self.exponent)

    def level_for(self, outflow: Tensor) -> Tensor:
        """The inverse of :meth:`let_out`, at most the rim."""
        level = _FULL * (outflow / (self.share * _FULL)) ** (1 / self.exponent)
        return torch.minimum(level, self.rim)

    def passed(self, outflow: Tensor, spilled: Tensor) -> Tensor:
        """What reaches the next reservoir: the outflow and a share of what spilled, in levels of that one."""
        return self.ratio * (outflow + self.caught * spilled)


class Reservoir(nn.Module):
    """The learnt numbers of a :class:`Law` but for its rim, as high as all. The last one passes on to nobody."""

    def __init__(self, n: int, *, last: bool) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((n,), _logit(_SHARE)))
        self.exponent = nn.Parameter(torch.full((n,), _logit(_TORRICELLI / _STEEPEST)))
        self.caught = nn.Parameter(torch.zeros(n), requires_grad=not last)
        self.log_ratio = nn.Parameter(torch.zeros(n), requires_grad=not last)

    def law(self, rim: Tensor) -> Law:
        share, caught = torch.sigmoid(self.share), torch.sigmoid(self.caught)
        exponent = _STEEPEST * torch.sigmoid(self.exponent)
        return Law(share, exponent, rim, caught, torch.exp(self.log_ratio))


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


class Gauge(nn.Module):
    """What a signal reads where its reservoir is empty, the level of the rim, and how far measured rows are off."""

    off: Tensor

    def __init__(self, n: int, *, learnt: bool) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.full((n,), -_FULL), requires_grad=learnt)
        self.rim = nn.Parameter(torch.full((n,), 2 * _FULL))
        self.register_buffer("off", torch.full((n,), _OFF))

    def forward(self, level: Tensor) -> Tensor:
        return self.reads(level)

    def reads(self, level: Tensor) -> Tensor:
        """What is predicted, where nobody is to watch: features of a case are what the head sees of its rollout."""
        return level + self.zero

    def level(self, signal: Tensor) -> Tensor:
        """The inverse of :meth:`reads`."""
        return signal - self.zero


class Inflow(nn.Module):
    """A linear map of the controls, in what a full reservoir lets out; without a constant, from their zero.

    What flows in during a row lies between the controls at its two ends: half and half at first, then as is learnt.
    """

    still: Tensor

    def __init__(self, n_controls: int, n: int, *, constant: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, n_controls) / 10)
        self.constant = nn.Parameter(torch.full((n,), 1.0 if constant else 0.0), requires_grad=constant)
        self.late = nn.Parameter(torch.zeros(()))
        self.register_buffer("still", torch.zeros(n_controls))

    def forward(self, before: Tensor, control: Tensor) -> Tensor:
        """The control (B, C) of the row before and those of the rows (B, T, C) to (B, T, N)."""
        earlier = torch.cat([before.unsqueeze(1), control[:, :-1]], dim=1)
        between = control + torch.sigmoid(self.late) * (earlier - control)
        share = functional.linear(between - self.still, self.weight, self.constant)
        return _SHARE * _FULL * share

    def balance(self, still: Tensor, share: Tensor) -> None:
        """Begin with these shares (N,) at the mean of the controls, and none where they are ``still`` (C,)."""
        with torch.no_grad():
            self.still.copy_(still)
            above = still < 0  # zero below the mean
            parts = torch.where(above, -1 / still, 0.0) / above.sum().clamp(min=1)
            self.weight.copy_(share.unsqueeze(1) * parts)


class Reservoirs(StateNet):
    """``reservoirs``: each signal is the level of the last of ``n_stores`` nonlinear reservoirs in series.

    The cascade of Nash (1957, "The form of the instantaneous unit hydrograph"), with outflows that are powers of
    the level: Torricelli's law for 1/2, a linear reservoir or a resistor and a capacitor for 1. A linear map of the
    controls fills the first reservoir of a signal, and may draw from it; a rim stops the level, and what spills
    over is lost but for a share. Few numbers, all with a meaning, for records too short for a free network. They
    are fitted (:func:`understudy.core.settle.settle`), nothing is left to training. The first levels are those from
    which the equations themselves run closest to the past rows: the estimate of a moving horizon (Rao, Rawlings
    and Mayne 2003). It works in single precision whatever that of others: the levels of a long rollout are sums.

    Args:
        n_stores: reservoirs of a signal.
        from_zero: whether zero, in physical units, is an empty reservoir and a control that lets nothing in; both
            are learnt otherwise.
    """

    adds_to_linear: ClassVar[bool] = False
    is_fitted: ClassVar[bool] = True

    def __init__(self, sizes: Sizes, *, n_stores: int, from_zero: bool) -> None:
        n = sizes.n_predicted
        super().__init__(sizes)
        self.stay.share.requires_grad_(False)  # a signal begins where its last reservoir does
        self.inflow = Inflow(sizes.n_controls, n, constant=not from_zero)
        self.stores = nn.ModuleList(Reservoir(n, last=k == n_stores - 1) for k in range(n_stores))
        self.gauge = Gauge(n, learnt=not from_zero)
        self.from_zero = from_zero

    def expect(self, share: Tensor) -> None:
        """Nothing: levels keep what was last measured, no share of it is added."""

    def fill(self, zero: Tensor, top: Tensor) -> None:
        """Begin in balance at the mean of the signals, with rims at their highest values.

        Args:
            zero: (F,) what zero of each signal in physical units is in scaled ones.
            top: (N,) the largest value of each predicted signal in the training cases, scaled.

        Raises:
            ConfigError: an empty reservoir reads zero, but the mean of a signal is not above it.
        """
        n_controls = self.sizes.n_controls
        if self.from_zero and not bool((zero[n_controls:] < 0).all()):
            raise ConfigError(
                "model.from_zero=true takes a signal of zero for an empty reservoir, and the mean of a predicted "
                "signal is not above zero; model.from_zero=false learns where reservoirs are empty"
            )
        with torch.no_grad():
            if self.from_zero:
                self.gauge.zero.copy_(zero[n_controls:])
                self.inflow.balance(zero[:n_controls], (-zero[n_controls:] / _FULL) ** _TORRICELLI)
            self.gauge.rim.copy_(self.gauge.level(top))

    def bend(self, exponent: float) -> None:
        """Begin with this exponent in all reservoirs."""
        with torch.no_grad():
            for store in cast("list[Reservoir]", list(self.stores)):
                store.exponent.fill_(_logit(exponent / _STEEPEST))

    def begin(self, past: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(past.device.type, enabled=False):
            control, measured = past.float().tensor_split([self.sizes.n_controls], dim=2)
            errors = partial(self._errors, control=control, measured=measured)
            balance = self._balance(measured[:, 0])
            start = _least_squares(errors, balance, self.gauge.rim.unsqueeze(1))
            x = self._after(start, control)[1]
        return torch.cat([measured[:, -1], x], dim=1)

    def _balance(self, measured: Tensor) -> Tensor:
        """Levels (B, N, R) at which the signals (B, N) would stand still."""
        laws = self._laws()
        levels = [torch.minimum(self.gauge.level(measured).clamp(min=_EMPTY), self.gauge.rim)]
        for above, law in pairwise(reversed(laws)):
            levels.append(law.level_for(above.let_out(levels[-1]) / law.ratio))
        return torch.stack(levels[::-1], dim=2)

    def _after(self, levels: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """Signals (B, L, N) with these levels (B, N, R) at the first row, and the state after the last."""
        x = torch.cat([control[:, 0], levels.transpose(1, 2).flatten(1)], dim=1)
        rows = levels[..., -1].unsqueeze(1)
        if control.shape[1] > 1:
            later, x = self._course(x, control[:, 1:])
            rows = torch.cat([rows, later], dim=1)
        return self.gauge.reads(rows), x

    def _errors(self, levels: Tensor, *, control: Tensor, measured: Tensor) -> Tensor:
        """What is to be small: how far the history and the balance are missed, (B, N, L + R) in what is usual."""
        missed = (self._after(levels, control)[0] - measured) / self.gauge.off
        return torch.cat([missed.transpose(1, 2), (levels - self._balance(measured[:, 0])) / _UNREST], dim=2)

    def _laws(self) -> list[Law]:
        return [store.law(self.gauge.rim) for store in cast("list[Reservoir]", list(self.stores))]

    def run(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            rows, x = self._course(x, control)
            return self.gauge(rows), x

    def _course(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
        """Levels of the last reservoirs (B, T, N), and the state after them."""
        before, x = x.float().tensor_split([self.sizes.n_controls], dim=1)
        laws = self._laws()
        levels, rows = list(x.chunk(len(laws), dim=1)), []
        for flow in self.inflow(before, control.float()).unbind(1):
            for k, law in enumerate(laws):
                levels[k], outflow, spilled = law.row(levels[k], flow)
                flow = law.passed(outflow, spilled)
            rows.append(levels[-1])
        return torch.stack(rows, dim=1), torch.cat([control[:, -1].float(), *levels], dim=1)


def _least_squares(errors: Callable[[Tensor], Tensor], x: Tensor, top: Tensor) -> Tensor:
    """Numbers (…, R) between 0 and ``top`` with small squares of their ``errors`` (…, E), which regard no others.

    By Gauss and Newton, a step that makes it worse halved in the next round. The errors must say something of every
    number.
    """
    units = torch.eye(x.shape[-1], device=x.device)
    step = torch.ones_like(x[..., :1])
    error = errors(x)
    for _ in range(_ROUNDS):
        slopes = torch.stack([jvp(errors, (x,), (unit.expand_as(x),))[1] for unit in units], dim=-1)
        across = slopes.transpose(-1, -2)
        # The _ex variant does not raise: a history that is no number gives levels that are none.
        away = torch.linalg.solve_ex(across @ slopes, across @ error.unsqueeze(-1))[0].squeeze(-1)
        moved = torch.minimum((x - step * away).clamp(min=0), top)
        found = errors(moved)
        better = (found.square().sum(-1) < error.square().sum(-1)).unsqueeze(-1)
        x, error = torch.where(better, moved, x), torch.where(better, found, error)
        step = torch.where(better, 1.0, step / 2)
    return x
