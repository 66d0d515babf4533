"""Interpolation in the tables of a refrigerant, compiled.

Everything is linear between grid lines, and the derivatives are those of the interpolants themselves. Mass and
energy are therefore conserved to the accuracy of the time integration, whatever the resolution of the tables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Fluid

ONSET = 0.04  # quality


class Saturation(NamedTuple):
    """A pressure, and what depends on it alone; ``d_`` are derivatives with respect to p."""

    p: float
    row: int
    share: float  # of the way from row to row + 1
    t: float
    h_l: float
    h_v: float
    v_l: float
    v_v: float
    d_h_l: float
    d_h_v: float
    d_v_l: float
    d_v_v: float


@compiled
def saturation(fluid: Fluid, p: float) -> Saturation:
    """Pressures outside the tables take the values of the nearest row; a case that gets there has failed."""
    at = (math.log(p) - fluid.ln_p0) / fluid.d_ln_p
    at = min(max(at, 0.0), len(fluid.t_sat) - 1.000001)
    i = int(at)
    f = at - i
    slope = 1.0 / (fluid.d_ln_p * p)  # of the row coordinate
    last = fluid.v_l.shape[1] - 1
    d_h_l, d_h_v = fluid.h_l[i + 1] - fluid.h_l[i], fluid.h_v[i + 1] - fluid.h_v[i]
    d_v_l = fluid.v_l[i + 1, last] - fluid.v_l[i, last]
    d_pv = fluid.pv_v[i + 1, 0] - fluid.pv_v[i, 0]
    v_v = (fluid.pv_v[i, 0] + f * d_pv) / p
    return Saturation(
        p,
        i,
        f,
        fluid.t_sat[i] + f * (fluid.t_sat[i + 1] - fluid.t_sat[i]),
        fluid.h_l[i] + f * d_h_l,
        fluid.h_v[i] + f * d_h_v,
        fluid.v_l[i, last] + f * d_v_l,
        v_v,
        d_h_l * slope,
        d_h_v * slope,
        d_v_l * slope,
        (d_pv * slope - v_v) / p,
    )


@compiled
def thermal_state(fluid: Fluid, sat: Saturation, h: float) -> tuple[float, float, float, float]:
    """Temperature [K], density [kg/m³] and its derivatives ∂ρ/∂p at constant h and ∂ρ/∂h at constant p.

    Wet states are homogeneous, but for the first :data:`ONSET` of quality, where the volume begins to grow
    smoothly: the kink of the exact law makes cells chatter about the boundary (Casella, MATHMOD Vienna 2006), and
    vapour slips ahead of liquid there anyhow.
    """
    if h >= sat.h_v:
        t, v, v_p, v_h = _vapour(fluid, sat, h)
    elif h <= sat.h_l:
        t, v, v_p, v_h = _liquid(fluid, sat, h)
    else:
        span = sat.h_v - sat.h_l
        x = (h - sat.h_l) / span
        x_p = -(sat.d_h_l + x * (sat.d_h_v - sat.d_h_l)) / span
        share = (x - 0.5 * ONSET) / (1.0 - 0.5 * ONSET)  # of the way from v_l to v_v
        by_x = 1.0 / (1.0 - 0.5 * ONSET)
        if x < ONSET:
            share = 0.5 * x * x / ONSET * by_x
            by_x *= x / ONSET
        grown = sat.v_v - sat.v_l
        t, v, v_h = sat.t, sat.v_l + share * grown, by_x * grown / span
        v_p = sat.d_v_l + share * (sat.d_v_v - sat.d_v_l) + by_x * x_p * grown
    rho = 1.0 / v
    return t, rho, -v_p * rho * rho, -v_h * rho * rho


@compiled
def _vapour(fluid: Fluid, sat: Saturation, h: float) -> tuple[float, float, float, float]:
    i, f = sat.row, sat.share
    columns = fluid.pv_v.shape[1] - 1
    scale = columns / fluid.span_v
    at = (h - sat.h_v) * scale
    j = min(int(at), columns - 1)  # beyond the last column the last slope goes on
    g = at - j
    a, b = fluid.pv_v[i, j], fluid.pv_v[i, j + 1]
    c, d = fluid.pv_v[i + 1, j], fluid.pv_v[i + 1, j + 1]
    low, high = a + f * (c - a), b + f * (d - b)
    pv = low + g * (high - low)
    by_row = (c - a) + g * ((d - b) - (c - a))
    by_h = (high - low) * scale
    by_p = by_row / (fluid.d_ln_p * sat.p) - by_h * sat.d_h_v
    v = pv / sat.p
    low = fluid.t_v[i, j] + f * (fluid.t_v[i + 1, j] - fluid.t_v[i, j])
    high = fluid.t_v[i, j + 1] + f * (fluid.t_v[i + 1, j + 1] - fluid.t_v[i, j + 1])
    return low + g * (high - low), v, (by_p - v) / sat.p, by_h / sat.p


@compiled
def _liquid(fluid: Fluid, sat: Saturation, h: float) -> tuple[float, float, float, float]:
    i, f = sat.row, sat.share
    columns = fluid.v_l.shape[1] - 1
    scale = columns / (sat.h_l - fluid.h_0)
    at = max((h - fluid.h_0) * scale, -1.0)
    j = max(min(int(at), columns - 1), 0)
    g = at - j
    a, b = fluid.v_l[i, j], fluid.v_l[i, j + 1]
    c, d = fluid.v_l[i + 1, j], fluid.v_l[i + 1, j + 1]
    low, high = a + f * (c - a), b + f * (d - b)
    by_row = (c - a) + g * ((d - b) - (c - a))
    by_column = high - low
    by_p = by_row / (fluid.d_ln_p * sat.p) - by_column * at * sat.d_h_l / (sat.h_l - fluid.h_0)
    t_low = fluid.t_l[i, j] + f * (fluid.t_l[i + 1, j] - fluid.t_l[i, j])
    t_high = fluid.t_l[i, j + 1] + f * (fluid.t_l[i + 1, j + 1] - fluid.t_l[i, j + 1])
    return t_low + g * (t_high - t_low), low + g * by_column, by_p, by_column * scale


@compiled
def entropy(fluid: Fluid, sat: Saturation, h: float) -> float:
    """Specific entropy [J/(kg·K)] of vapour or of a wet mixture."""
    if h <= sat.h_v:
        dry = fluid.s_v[sat.row, 0] + sat.share * (fluid.s_v[sat.row + 1, 0] - fluid.s_v[sat.row, 0])
        return dry - (sat.h_v - h) / sat.t
    columns = fluid.s_v.shape[1] - 1
    at = (h - sat.h_v) * columns / fluid.span_v
    j = min(int(at), columns - 1)
    low, high = _entropy_at(fluid, sat, j), _entropy_at(fluid, sat, j + 1)
    return low + (at - j) * (high - low)


@compiled
def enthalpy_at_entropy(fluid: Fluid, sat: Saturation, s: float) -> float:
    """Inverse of :func:`entropy` at the pressure of ``sat``: specific enthalpy [J/kg]."""
    dry = _entropy_at(fluid, sat, 0)
    if s <= dry:
        return sat.h_v - (dry - s) * sat.t
    columns = fluid.s_v.shape[1] - 1
    first, last = 0, columns
    while last - first > 1:
        middle = (first + last) // 2
        if _entropy_at(fluid, sat, middle) <= s:
            first = middle
        else:
            last = middle
    low, high = _entropy_at(fluid, sat, first), _entropy_at(fluid, sat, last)
    return sat.h_v + (first + (s - low) / (high - low)) * fluid.span_v / columns


@compiled
def _entropy_at(fluid: Fluid, sat: Saturation, column: int) -> float:
    low, high = fluid.s_v[sat.row, column], fluid.s_v[sat.row + 1, column]
    return low + sat.share * (high - low)
