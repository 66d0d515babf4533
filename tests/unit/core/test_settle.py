"""The least-squares start of reservoirs finds the numbers of reservoirs, whatever the cases look like."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from understudy.core.baselines import fit_scaler, ranges
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.nets import Sizes, build_net
from understudy.core.nets.reservoirs import Reservoirs
from understudy.core.settle import settle
from understudy.core.spec import DataSpec, Role, Signal

SPEC = DataSpec((Signal("u", "V", Role.CONTROL), Signal("y", "V")), 4.0)
SHARE, EXPONENT = 0.06, 0.8


def one_tank(n_rows: int, seed: int) -> np.ndarray:
    """A reservoir of physical numbers: inflow u, outflow a power of the level, no rim."""
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.uniform(0.1, 0.5, n_rows // 20 + 1), 20)[:n_rows]
    level, rows = 3.0, []
    for value in u:
        level += value - SHARE * (level + value / 2) ** EXPONENT
        rows.append((value, level))
    return np.array(rows, np.float32)


def prepared(cases: list[np.ndarray]) -> tuple[Reservoirs, CaseTable]:
    table = table_from_cases(SPEC, [Case(f"c{i}", rows) for i, rows in enumerate(cases)])
    scaler = fit_scaler(table, range(len(cases)))
    torch.manual_seed(0)
    net = build_net("reservoirs", Sizes(3, 1, 1, 1), {"n_stores": 1, "from_zero": True})
    assert isinstance(net, Reservoirs)
    _, top = ranges(table, range(len(cases)), scaler)
    net.fill(scaler(torch.zeros(2)), top[1:])
    return net, table


def error(net: Reservoirs, table: CaseTable, case: int) -> float:
    """Root mean square, in deviations, of a free run from the true level."""
    scaler = fit_scaler(table, range(len(table)))
    rows = scaler(torch.from_numpy(table[case].values)).unsqueeze(0)
    start = torch.cat([rows[:, 0, :1], net.gauge.level(rows[:, 0, 1:])], dim=1)
    with torch.no_grad():
        return float((net.run(start, rows[:, 1:, :1])[0] - rows[:, 1:, 1:]).square().mean().sqrt())


def test_it_finds_the_law_that_made_the_data() -> None:
    net, table = prepared([one_tank(100, 1), one_tank(70, 2), one_tank(150, 3)])
    before = error(net, table, 2)
    settle(net, table, [0, 1], fit_scaler(table, range(3)))
    assert before > 0.2
    assert error(net, table, 2) < 0.015  # a case that it has not seen
    assert net.stores[0].law(net.gauge.rim).exponent.item() == pytest.approx(EXPONENT, abs=0.03)  # type: ignore[operator]
    assert torch.sigmoid(net.inflow.late).item() < 0.35  # the control acts in its own row
    assert not any(p.requires_grad for p in net.parameters())


def test_it_tells_how_far_single_rows_are_off() -> None:
    rows = one_tank(150, 1)
    rows[:, 1] += np.random.default_rng(5).normal(0, 0.1, 150).astype(np.float32)
    rows[40:60, 1] = np.nan
    net, table = prepared([rows, rows])
    settle(net, table, [0], scaler := fit_scaler(table, range(2)))
    assert net.gauge.off.item() * scaler.std[1].item() == pytest.approx(0.1, rel=0.2)


def test_what_was_not_measured_does_not_count() -> None:
    whole = [one_tank(100, 1), one_tank(70, 2)]
    gaps = [rows.copy() for rows in whole]
    gaps[0][50:80, 1] = np.nan
    gaps[1][0:10, 1] = np.nan
    net, table = prepared(gaps)
    settle(net, table, [0, 1], fit_scaler(table, range(2)))
    same = table_from_cases(SPEC, [Case(f"c{i}", rows) for i, rows in enumerate(whole)])
    scaler = fit_scaler(table, range(2))
    rows = scaler(torch.from_numpy(same[0].values)).unsqueeze(0)
    start = torch.cat([rows[:, 0, :1], net.gauge.level(rows[:, 0, 1:])], dim=1)
    with torch.no_grad():
        assert (net.run(start, rows[:, 1:, :1])[0] - rows[:, 1:, 1:]).abs().max() < 0.1


def test_what_noisy_rows_do_not_tell_stays_near_the_usual() -> None:
    """Without a prior, sixty rows with noise are sure that the control of the row before is the one that acts."""
    rows = one_tank(60, 1)
    rows[:, 1] += np.random.default_rng(11).normal(0, 0.15, 60).astype(np.float32)
    net, table = prepared([rows, rows])
    settle(net, table, [0], fit_scaler(table, range(2)))
    assert torch.sigmoid(net.inflow.late).item() == pytest.approx(0.5, abs=0.1)
    assert net.stores[0].law(net.gauge.rim).exponent.item() == pytest.approx(0.5, abs=0.2)  # type: ignore[operator]
