"""Properties of a refrigerant as tables aligned with its saturation line, made once from CoolProp.

Calling an equation of state in the inner loop would cost a hundred times what the circuit itself costs. The
tables are laid out so that the phase boundaries are grid lines: rows are equidistant in ln p, and the columns of
each region follow its own boundary (:mod:`~understudy.cae.simulate.refrigerant.properties` reads them).

Equations of state: R1234yf, Richter, McLinden and Lemmon, J. Chem. Eng. Data 56 (2011) 3254; R134a, Tillner-Roth
and Baehr, J. Phys. Chem. Ref. Data 23 (1994) 657; both as implemented in CoolProp (Bell et al., Ind. Eng. Chem.
Res. 53 (2014) 2498).
"""

from __future__ import annotations

import logging
import zipfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudy.core.files import atomic_path, user_cache
from understudy.errors import ConfigError, did_you_mean

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

LAYOUT = 1  # of the tables; a change of what they hold needs another number
ROWS, VAPOUR_COLUMNS, LIQUID_COLUMNS = 240, 56, 24
LOWEST_PRESSURE = 0.3e5  # Pa
COLDEST_LIQUID = 225.0  # K
VAPOUR_SPAN = 130.0  # K above saturation


class _Limits(NamedTuple):
    highest_pressure: float  # Pa, below the critical one, where the tables would lose their meaning
    hottest: float  # K, how far CoolProp is asked


FLUIDS = {"R1234yf": _Limits(32.0e5, 440.0), "R134a": _Limits(38.5e5, 455.0)}


class Fluid(NamedTuple):
    """Tables in SI units (Pa, J/kg, K, m³/kg, J/(kg·K)). First axis: ln p from ``ln_p0`` in steps of ``d_ln_p``.

    Vapour columns: ``(h − h_v(p)) / span_v`` from 0 to 1. Liquid columns: ``(h − h_0) / (h_l(p) − h_0)`` from 0
    to 1. Instead of the volume of the vapour, p·v is tabulated, which is nearly constant along a row.
    """

    ln_p0: float
    d_ln_p: float
    h_0: float
    span_v: float
    t_sat: Floats  # (P,)
    h_l: Floats  # (P,)
    h_v: Floats  # (P,)
    pv_v: Floats  # (P, V)
    t_v: Floats  # (P, V)
    s_v: Floats  # (P, V)
    v_l: Floats  # (P, L)
    t_l: Floats  # (P, L)


@cache
def load_fluid(name: str) -> Fluid:
    """The tables of ``name``: from the cache folder, or made now (some seconds) and put there.

    Raises:
        ConfigError: a refrigerant that is not among :data:`FLUIDS`.
    """
    if name not in FLUIDS:
        raise ConfigError(
            f"no refrigerant is called {name!r}{did_you_mean(name, FLUIDS)}; known are {', '.join(FLUIDS)}"
        )
    path = user_cache() / "fluids" / f"{name}-{LAYOUT}-coolprop-{version('CoolProp')}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    made = tabulate(name)
    try:
        with atomic_path(path) as temporary:
            np.savez(temporary, **made._asdict())
    except OSError as error:
        log.warning("the tables of %s cannot be kept in %s (%s)", name, path.parent, error.strerror)
    return made


def _read(path: Path) -> Fluid | None:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            values: dict[str, Any] = {
                key: float(file[key]) if file[key].ndim == 0 else np.ascontiguousarray(file[key])
                for key in Fluid._fields
            }
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None  # absent or damaged: it is made again
    return Fluid(**values)


def tabulate(name: str) -> Fluid:
    """Ask CoolProp for every point of the grids."""
    import CoolProp
    from CoolProp.CoolProp import AbstractState

    limits = FLUIDS[name]
    state = AbstractState("HEOS", name)
    ln_p = np.linspace(np.log(LOWEST_PRESSURE), np.log(limits.highest_pressure), ROWS)
    t_sat, h_l, h_v, top = np.empty((4, ROWS))
    for i, p in enumerate(np.exp(ln_p)):
        state.update(CoolProp.PQ_INPUTS, p, 0.0)
        t_sat[i], h_l[i] = state.T(), state.hmass()
        state.update(CoolProp.PQ_INPUTS, p, 1.0)
        h_v[i] = state.hmass()
        state.update(CoolProp.PT_INPUTS, p, min(t_sat[i] + VAPOUR_SPAN, limits.hottest))
        top[i] = state.hmass()
    span_v = float(np.min(top - h_v))
    state.update(CoolProp.QT_INPUTS, 0.0, COLDEST_LIQUID)
    h_0 = state.hmass()
    pv_v, t_v, s_v = np.empty((3, ROWS, VAPOUR_COLUMNS))
    v_l, t_l = np.empty((2, ROWS, LIQUID_COLUMNS))
    for i, p in enumerate(np.exp(ln_p)):
        for j, share in enumerate(np.linspace(0.0, 1.0, VAPOUR_COLUMNS)):
            if j == 0:
                state.update(CoolProp.PQ_INPUTS, p, 1.0)
            else:
                state.update(CoolProp.HmassP_INPUTS, h_v[i] + share * span_v, p)
            pv_v[i, j], t_v[i, j], s_v[i, j] = p / state.rhomass(), state.T(), state.smass()
        for j, share in enumerate(np.linspace(0.0, 1.0, LIQUID_COLUMNS)):
            if j == LIQUID_COLUMNS - 1:
                state.update(CoolProp.PQ_INPUTS, p, 0.0)
            else:
                state.update(CoolProp.HmassP_INPUTS, h_0 + share * (h_l[i] - h_0), p)
            v_l[i, j], t_l[i, j] = 1 / state.rhomass(), state.T()
    return Fluid(
        float(ln_p[0]), float(ln_p[1] - ln_p[0]), h_0, span_v, t_sat, h_l, h_v, pv_v, t_v, s_v, v_l, t_l
    )
