from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.spec import DataSpec, Role, Signal
from understudy.core.windows import WindowLoader, Windows
from understudy.errors import DataError

SPEC = DataSpec((Signal("u", role=Role.CONTROL), Signal("y")))


def numbered(lengths: list[int]) -> CaseTable:
    """Values that tell case and row: 1000 * case + row."""
    cases = [
        Case(str(i), np.stack([np.arange(n) + 1000.0 * i, -np.arange(n) - 1000.0 * i], 1).astype(np.float32))
        for i, n in enumerate(lengths)
    ]
    return table_from_cases(SPEC, cases)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 8), st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_windows_are_all_runs_within_one_case(
    lengths: list[int], history: int, horizon: int, data: st.DataObject
) -> None:
    table = numbered(lengths)
    chosen = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, unique=True))
    width = history + horizon
    expected = [1000.0 * i + s for i in chosen for s in range(lengths[i] - width + 1)]
    if not expected:
        with pytest.raises(DataError, match="no training case"):
            Windows(table, chosen, history=history, horizon=horizon)
        return
    windows = Windows(table, chosen, history=history, horizon=horizon)
    rows = windows.gather(torch.arange(len(windows)))
    assert rows.shape == (len(expected), width, 2)
    assert rows[:, 0, 0].tolist() == expected
    assert torch.equal(rows[:, :, 0], rows[:, :1, 0] + torch.arange(width))
    assert torch.equal(rows[:, :, 1], -rows[:, :, 0])


def test_unmeasured_rows_may_be_asked_for_but_not_fed() -> None:
    table = numbered([12])
    table.values[5, 1] = np.nan
    starts = Windows(table, [0], history=3, horizon=2).starts.tolist()
    assert starts == [0, 1, 2, 6, 7]


def flat(parts: Iterable[list[float]]) -> list[float]:
    return list(chain.from_iterable(parts))


def batches(**options: int) -> list[list[float]]:
    loader = WindowLoader(Windows(numbered([20, 30]), [0, 1], history=2, horizon=1), batch_size=7, **options)
    return [batch[:, 0, 0].tolist() for batch in loader]


def test_order_depends_on_seed_and_epoch_only() -> None:
    assert batches(seed=1) == batches(seed=1)
    assert batches(seed=1) != batches(seed=2)
    loader = WindowLoader(Windows(numbered([20, 30]), [0, 1], history=2, horizon=1), batch_size=7, seed=1)
    first = [b[:, 0, 0].tolist() for b in loader]
    loader.epoch = 1
    second = [b[:, 0, 0].tolist() for b in loader]
    assert first == batches(seed=1)
    assert first != second
    assert sorted(flat(first)) == sorted(flat(second))


def test_an_epoch_holds_every_window_once() -> None:
    seen = flat(batches(seed=3))
    assert len(seen) == len(set(seen)) == 18 + 28


@pytest.mark.parametrize("stop_after", [0, 1, 3, 6, 7])
def test_resumed_loader_goes_on_where_it_stopped(stop_after: int) -> None:
    windows = Windows(numbered([20, 30]), [0, 1], history=2, horizon=1)
    whole = batches(seed=5)
    assert len(whole) == 7
    loader = WindowLoader(windows, batch_size=7, seed=5)
    iterator = iter(loader)
    for _ in range(stop_after):
        next(iterator)
    resumed = WindowLoader(windows, batch_size=7, seed=5)
    resumed.load_state_dict(loader.state_dict())
    rest = [b[:, 0, 0].tolist() for b in resumed]
    assert rest == (whole[stop_after:] or whole)  # a whole epoch was done: the next one starts
    assert [b[:, 0, 0].tolist() for b in resumed] == whole  # and the epoch after is complete again


def test_ranks_share_an_epoch() -> None:
    parts = [batches(seed=2, rank=r, world_size=3) for r in range(3)]
    assert {len(flat(p)) for p in parts} == {16}  # 46 windows, two of them twice
    assert set(flat(flat(p) for p in parts)) == set(flat(batches(seed=2)))


def test_values_are_not_copied() -> None:
    table = numbered([20])
    assert Windows(table, [0], history=2, horizon=1).values.data_ptr() == table.values.ctypes.data
