"""Tables of refrigerants against the equations of state that they were made from, and against themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from understudy.cae.simulate.refrigerant.fluid import FLUIDS, load_fluid, tabulate
from understudy.cae.simulate.refrigerant.properties import (
    ONSET,
    enthalpy_at_entropy,
    entropy,
    saturation,
    thermal_state,
)
from understudy.errors import ConfigError

pressures = st.floats(1e5, 28e5)
shares = st.floats(-0.5, 1.4)  # of the way from saturated liquid to saturated vapour


def enthalpy(name: str, p: float, share: float) -> float:
    sat = saturation(load_fluid(name), p)
    return sat.h_l + share * (sat.h_v - sat.h_l)


@pytest.mark.parametrize("name", FLUIDS)
@settings(max_examples=150, deadline=None)
@given(p=pressures, share=shares)
def test_agrees_with_the_equation_of_state(name: str, p: float, share: float) -> None:
    from CoolProp.CoolProp import PropsSI

    fluid = load_fluid(name)
    sat = saturation(fluid, p)
    h = enthalpy(name, p, share)
    assume(h > fluid.h_0)  # nothing in the circuit is colder
    t, rho, _, _ = thermal_state(fluid, sat, h)
    assert t == pytest.approx(PropsSI("T", "P", p, "H", h, name), abs=0.1)
    exact = PropsSI("D", "P", p, "H", h, name)
    if share <= 0 or share >= 1:
        assert rho == pytest.approx(exact, rel=3e-3)
    else:
        # The volume begins to grow later and ends where it should.
        assert exact * (1 - 1e-3) <= rho
        assert 1 / rho == pytest.approx(1 / exact, abs=0.5 * ONSET * (sat.v_v - sat.v_l) * 1.1)
    if share > 0.5:
        assert entropy(fluid, sat, h) == pytest.approx(PropsSI("S", "P", p, "H", h, name), abs=1.0)
        assert enthalpy_at_entropy(fluid, sat, entropy(fluid, sat, h)) == pytest.approx(h, abs=1.0)


@pytest.mark.parametrize("name", FLUIDS)
@settings(max_examples=150, deadline=None)
@given(p=pressures, share=shares)
def test_derivatives_are_those_of_the_interpolant(name: str, p: float, share: float) -> None:
    """Mass is kept because of this."""
    fluid = load_fluid(name)
    h = enthalpy(name, p, share)
    assume(h > fluid.h_0 + 1.0 and abs(share) > 1e-4 and abs(share - 1) > 1e-4)
    _, _, rho_p, rho_h = thermal_state(fluid, saturation(fluid, p), h)

    def rho(p: float, h: float) -> float:
        return thermal_state(fluid, saturation(fluid, p), h)[1]

    by_p = [(rho(p + s * 0.5, h) - rho(p, h)) / (s * 0.5) for s in (-1, 1)]
    by_h = [(rho(p, h + s * 0.05) - rho(p, h)) / (s * 0.05) for s in (-1, 1)]
    for sides, derivative in ((by_p, rho_p), (by_h, rho_h)):
        assume(abs(sides[0] - sides[1]) < 1e-2 * abs(derivative))  # not across a line of the grid
        assert np.mean(sides) == pytest.approx(derivative, rel=1e-2)


@pytest.mark.parametrize("name", FLUIDS)
@pytest.mark.parametrize("p", [1.3e5, 4.4e5, 21e5])
def test_phase_boundaries_are_continuous(name: str, p: float) -> None:
    fluid = load_fluid(name)
    sat = saturation(fluid, p)
    for boundary in (sat.h_l, sat.h_v):
        inside, outside = (thermal_state(fluid, sat, boundary + d)[:2] for d in (-1e-3, 1e-3))
        np.testing.assert_allclose(inside, outside, rtol=1e-6)


def test_tables_come_back_from_the_cache_unchanged_and_survive_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path))
    load_fluid.cache_clear()
    try:
        made = load_fluid("R134a")
        (kept,) = (tmp_path / "fluids").glob("*.npz")
        load_fluid.cache_clear()
        assert all(np.array_equal(a, b) for a, b in zip(made, load_fluid("R134a"), strict=True))
        kept.write_bytes(kept.read_bytes()[:1000])
        load_fluid.cache_clear()
        assert all(np.array_equal(a, b) for a, b in zip(made, load_fluid("R134a"), strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(made, tabulate("R134a"), strict=True))
    finally:
        load_fluid.cache_clear()


def test_unknown_refrigerant_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="R1234yf"):
        load_fluid("R1234y")
