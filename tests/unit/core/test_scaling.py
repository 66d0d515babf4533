from __future__ import annotations

import numpy as np
import torch

from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.scaling import Scaler
from understudy.core.spec import DataSpec, Role, Signal

SPEC = DataSpec((Signal("u", role=Role.CONTROL), Signal("constant"), Signal("y")))


def make(seed: int = 0) -> CaseTable:
    rng = np.random.default_rng(seed)
    cases = []
    for i, n in enumerate((50, 200, 80)):
        y = rng.normal(1e5, 3.0, n)  # a large mean: sums of squares in float32 would lose the deviation
        cases.append(
            Case(str(i), np.stack([rng.normal(size=n), np.full(n, 273.15), y], 1).astype(np.float32))
        )
    return table_from_cases(SPEC, cases)


def fitted(table: CaseTable, cases: list[int]) -> Scaler:
    scaler = Scaler(3)
    scaler.fit(table, cases)
    return scaler


def test_statistics_are_those_of_the_training_rows() -> None:
    table = make()
    scaler = fitted(table, [0, 1])
    rows = table.values[:250].astype(np.float64)
    np.testing.assert_allclose(scaler.mean.numpy(), rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scaler.std.numpy()[[0, 2]], rows.std(0)[[0, 2]], rtol=1e-5)


def test_other_cases_are_never_seen() -> None:
    table = make()
    before = fitted(table, [0, 1])
    table.values[250:] = 1e9
    after = fitted(table, [0, 1])
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.std, after.std)


def test_constant_signal_scales_to_zero() -> None:
    table = make()
    scaled = fitted(table, [0, 1, 2])(torch.from_numpy(table.values))
    assert torch.isfinite(scaled).all()
    assert scaled[:, 1].abs().max() < 1e-3


def test_unmeasured_values_do_not_count() -> None:
    table = make()
    whole = fitted(table, [0])
    table.values[10:20, 2] = np.nan
    without = np.delete(table.values[:50, 2].astype(np.float64), range(10, 20))
    scaler = fitted(table, [0])
    np.testing.assert_allclose(scaler.mean[2].item(), without.mean(), rtol=1e-6)
    assert torch.equal(whole.mean[:2], scaler.mean[:2])


def test_undo_is_the_inverse_also_from_a_later_column() -> None:
    table = make()
    scaler = fitted(table, [0, 1])
    rows = torch.from_numpy(table.values[:40])
    torch.testing.assert_close(scaler.undo(scaler(rows)), rows)
    torch.testing.assert_close(scaler.undo(scaler(rows)[:, 1:], first=1), rows[:, 1:])
