"""Mass and energy balances of the two pressure sides, compiled: chains of cells without a system to solve.

Every heat exchanger is a chain of cells with one enthalpy h and one wall temperature each; all cells of a side
(high, low) share its pressure p. Balances of a cell with volume V, inflow m and upstream enthalpy h₀::

    V·ρ·dh/dt = m·(h₀ − h) + q + V·dp/dt                     (energy)
    V·(ρ_p·dp/dt + ρ_h·dh/dt) = m − m_out                    (mass)

With the inflow written as m = A + B·dp/dt, the first gives dh/dt = a + b·dp/dt and the second m_out in the form of
m again: one march through the cells, and the flow that leaves the side closes the system for dp/dt. No system is
solved. The march supposes flow in the nominal direction; where it finds an interface with reverse flow, it is
repeated with upwind enthalpies for the flows just found (:func:`_march_again`).
"""

from __future__ import annotations

from understudy.cae.simulate.refrigerant.compiled import compiled
from understudy.cae.simulate.refrigerant.fluid import Floats
from understudy.cae.simulate.refrigerant.parameters import Exchanger

TRUSTED = 0.1  # of the isentropic compliance: below this share, the implicit form is near to singular
MOST_MARCHES = 4


@compiled
def _march(
    hx: Exchanger, h: Floats, h_in: float, m: tuple[float, float, float], cells: Floats
) -> tuple[float, float, float]:
    """Slopes dh/dt = a + b·dp/dt of the cells, from an inflow (A, B, K); returns the outflow in the same form.

    The sums K of V·(ρ_p + ρ_h/ρ), the isentropic compliance of the cells passed, say whether B is to be trusted.
    """
    volume = hx.volume / max(hx.cells, 1)
    a_in, b_in, compliance = m
    before = h_in
    for i in range(hx.cells):
        rho, rho_p, rho_h = cells[i, 1], cells[i, 2], cells[i, 3]
        lift = (before - h[i]) / (volume * rho)
        a = a_in * lift + cells[i, 4] / (volume * rho)
        b = b_in * lift + 1.0 / rho
        cells[i, 5], cells[i, 6] = a, b
        a_in -= volume * rho_h * a
        b_in -= volume * (rho_p + rho_h * b)
        compliance += volume * (rho_p + rho_h / rho)
        before = h[i]
    return a_in, b_in, compliance


@compiled
def _march_again(
    hx: Exchanger, h: Floats, h_in: float, h_after: float, m: tuple[float, float, float], flows: Floats,
    explicit: bool, cells: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """As :func:`_march`, every interface carrying the enthalpy of the side from which ``flows`` say it is crossed.

    ``explicit`` takes what is carried from ``flows`` themselves: always solvable, but energy is kept only as well
    as they are known. A single cell whose own equation is near to singular is treated so in either case.
    """
    volume = hx.volume / max(hx.cells, 1)
    a_in, b_in, compliance = m
    for i in range(hx.cells):
        before = h_in if i == 0 else h[i - 1]
        after = h_after if i == hx.cells - 1 else h[i + 1]
        rho, rho_p, rho_h = cells[i, 1], cells[i, 2], cells[i, 3]
        lift = before - h[i] if flows[i] > 0.0 else 0.0
        back = after - h[i] if flows[i + 1] < 0.0 else 0.0
        carried = cells[i, 4]
        if explicit:
            carried += flows[i] * lift
            lift = 0.0
        if explicit or rho - rho_h * back < 0.3 * rho:
            carried -= flows[i + 1] * back
            back = 0.0
        inertia = volume * (rho - rho_h * back)
        a = (a_in * (lift - back) + carried) / inertia
        b = (b_in * (lift - back) + volume * (1.0 + rho_p * back)) / inertia
        cells[i, 5], cells[i, 6] = a, b
        a_in -= volume * rho_h * a
        b_in -= volume * (rho_p + rho_h * b)
        compliance += volume * (rho_p + rho_h / rho)
    return a_in, b_in, compliance


@compiled
def _flows(hx: Exchanger, m_in: float, dp: float, cells: Floats, flows: Floats) -> tuple[float, int]:
    """Flow at every interface for the slopes found, ``flows[0]`` being the inlet's.

    Returns the smallest, and how many of them have another direction than before.
    """
    volume = hx.volume / max(hx.cells, 1)
    turned = int((flows[0] < 0.0) != (m_in < 0.0))
    flows[0] = m_in
    least = m_in
    for i in range(hx.cells):
        dh = cells[i, 5] + cells[i, 6] * dp
        m = flows[i] - volume * (cells[i, 2] * dp + cells[i, 3] * dh)
        turned += int((flows[i + 1] < 0.0) != (m < 0.0))
        flows[i + 1] = m
        least = min(least, m)
    return least, turned


@compiled
def high_side(
    water: Exchanger, condenser: Exchanger, h_w: Floats, h_c: Floats, h_in: float, m_in: float, m_out: float,
    cells_w: Floats, cells_c: Floats, flows_w: Floats, flows_c: Floats,
) -> float:  # fmt: skip
    """Slopes of all cells between compressor and valves; returns dp/dt [Pa/s]."""
    w, c = water.cells, condenser.cells
    between = h_w[w - 1] if w else h_in
    m = _march(water, h_w, h_in, (m_in, 0.0, 0.0), cells_w)
    a, b, compliance = _march(condenser, h_c, between, m, cells_c)
    explicit = -b < TRUSTED * compliance
    if explicit:
        flows_w[:], flows_c[:] = m_in, m_in
    else:
        dp = (m_out - a) / b
        least_w, _ = _flows(water, m_in, dp, cells_w, flows_w)
        least_c, _ = _flows(condenser, flows_w[w], dp, cells_c, flows_c)
        if least_w >= 0.0 and least_c >= 0.0:
            return dp
    for _ in range(MOST_MARCHES):
        m = _march_again(water, h_w, h_in, h_c[0], (m_in, 0.0, 0.0), flows_w, explicit, cells_w)
        a, b, compliance = _march_again(condenser, h_c, between, h_c[c - 1], m, flows_c, explicit, cells_c)
        if -b < TRUSTED * compliance:
            explicit = True
            continue
        dp = (m_out - a) / b
        _, turned_w = _flows(water, m_in, dp, cells_w, flows_w)
        _, turned_c = _flows(condenser, flows_w[w], dp, cells_c, flows_c)
        if turned_w + turned_c == 0:
            break
    return (m_out - a) / b


@compiled
def low_side(
    evaporator: Exchanger, chiller: Exchanger, volume: float, h_e: Floats, h_k: Floats, h_acc: float, acc: Floats,
    h_in: float, m_e: float, m_k: float, m_out: float, h_out: float,
    cells_e: Floats, cells_k: Floats, flows_e: Floats, flows_k: Floats,
) -> tuple[float, float]:  # fmt: skip
    """Slopes of all cells between valves and compressor; returns dp/dt [Pa/s] and dh/dt of the accumulator.

    ``acc`` holds ρ, ρ_p and ρ_h of the accumulator; what leaves it, in either direction, has ``h_out``.
    """
    rho, rho_p, rho_h = acc[0], acc[1], acc[2]
    inertia = volume * rho
    n_e, n_k = evaporator.cells, chiller.cells
    own = volume * (rho_p + rho_h / rho)
    flows_e[:], flows_k[:] = m_e, m_k
    explicit, dp, slope = False, 0.0, 0.0
    for attempt in range(MOST_MARCHES + 1):
        if attempt == 0:
            a_e, b_e, k_e = _march(evaporator, h_e, h_in, (m_e, 0.0, 0.0), cells_e)
            a_k, b_k, k_k = _march(chiller, h_k, h_in, (m_k, 0.0, 0.0), cells_k)
        else:
            a_e, b_e, k_e = _march_again(
                evaporator, h_e, h_in, h_out, (m_e, 0.0, 0.0), flows_e, explicit, cells_e
            )
            a_k, b_k, k_k = _march_again(
                chiller, h_k, h_in, h_out, (m_k, 0.0, 0.0), flows_k, explicit, cells_k
            )
        lift_e = (h_e[n_e - 1] if flows_e[n_e] >= 0.0 else h_out) - h_acc
        lift_k = (h_k[n_k - 1] if flows_k[n_k] >= 0.0 else h_out) - h_acc
        a = -m_out * (h_out - h_acc) / inertia
        if explicit:
            a += (flows_e[n_e] * lift_e + flows_k[n_k] * lift_k) / inertia
            b = 1.0 / rho
        else:
            a += (a_e * lift_e + a_k * lift_k) / inertia
            b = (b_e * lift_e + b_k * lift_k) / inertia + 1.0 / rho
        divisor = volume * (rho_p + rho_h * b) - b_e - b_k
        if divisor < TRUSTED * (k_e + k_k + own):
            explicit = True
            continue
        dp = (a_e + a_k - m_out - volume * rho_h * a) / divisor
        slope = a + b * dp
        _, turned_e = _flows(evaporator, m_e, dp, cells_e, flows_e)
        _, turned_k = _flows(chiller, m_k, dp, cells_k, flows_k)
        if turned_e + turned_k == 0:
            break
    return dp, slope
