"""Stretches: inside one case, from measured rows, padded honestly, spread over the rows, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.model import Model
from understudy.core.nets import build_net
from understudy.core.nets.base import Sizes
from understudy.core.scaling import Scaler
from understudy.core.spec import DataSpec, Role, Signal
from understudy.core.stretches import Stretches, StretchLoader
from understudy.core.tasks import Rollout
from understudy.errors import DataError

SPEC = DataSpec((Signal("u", role=Role.CONTROL), Signal("y"), Signal("z")))
N_CONTROLS = 1


def table(lengths: list[int], gaps: dict[int, list[int]] | None = None) -> CaseTable:
    """Every value names its case and row; rows of ``gaps`` were not measured."""
    cases = []
    for i, n in enumerate(lengths):
        values = np.repeat((1000.0 * i + np.arange(n))[:, None], len(SPEC.signals), axis=1)
        values[(gaps or {}).get(i, []), N_CONTROLS:] = np.nan
        cases.append(Case(f"c{i}", values.astype(np.float32)))
    return table_from_cases(SPEC, cases)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(4, 60), min_size=1, max_size=5),
    st.integers(1, 3),
    st.integers(1, 30),
    st.integers(0, 5),
)
def test_a_stretch_lies_in_one_case_and_ends_in_nan(lengths, history, horizon, epoch):
    data = table(lengths)
    stretches = Stretches(data, range(len(lengths)), history=history, horizon=horizon)
    loader = StretchLoader(stretches, batch_size=3, seed=1)
    loader.epoch = epoch
    batches = list(loader)
    assert len(batches) == len(loader)
    rows = torch.cat(batches)
    assert rows.shape[1] == history + horizon
    assert torch.isfinite(rows[:, : history + 1]).all()  # there is always something to predict
    for stretch in rows:
        case, first = divmod(int(stretch[0, 0]), 1000)
        inside = min(history + horizon, lengths[case] - first)
        np.testing.assert_array_equal(stretch[:inside, -1], 1000 * case + first + np.arange(inside))
        assert torch.isnan(stretch[inside:, N_CONTROLS:]).all()
        assert (stretch[inside:, :N_CONTROLS] == stretch[inside - 1, :N_CONTROLS]).all()
        if inside < history + horizon:
            assert first == 0  # padding only where the case is too short for anything else
    counts = np.bincount(rows[:, 0, 0].numpy().astype(int) // 1000, minlength=len(lengths))
    np.testing.assert_array_equal(counts, [-(-(n - history) // horizon) for n in lengths])


def test_the_stretches_of_an_epoch_are_spread_over_the_case() -> None:
    loader = StretchLoader(Stretches(table([1000]), [0], history=10, horizon=90), batch_size=64, seed=0)
    seen, begun = np.zeros(1000, int), 0
    for epoch in range(40):
        loader.epoch = epoch
        (batch,) = loader
        starts = np.sort(batch[:, 0, 0].numpy().astype(int))
        parts = np.arange(len(starts)) * (1000 - 100 + 1) / len(starts)
        assert (starts >= np.floor(parts)).all()
        assert (starts <= np.ceil(parts + parts[1])).all()
        begun += starts[0] == 0
        for start in starts:
            seen[start : start + 100] += 1
    assert seen[:-20].min() > 0
    assert seen.max() < 4 * np.median(seen)
    assert 8 < begun < 32  # where rollouts begin, about half of the time


def test_order_depends_on_seed_and_epoch_only_and_resumes() -> None:
    def loader(seed: int, epoch: int) -> StretchLoader:
        made = StretchLoader(
            Stretches(table([300, 80]), [0, 1], history=5, horizon=20), batch_size=4, seed=seed
        )
        made.epoch = epoch
        return made

    first = list(loader(3, 2))
    torch.testing.assert_close(first, list(loader(3, 2)))
    assert not torch.equal(first[0], next(iter(loader(3, 1))))
    assert not torch.equal(first[0], next(iter(loader(4, 2))))
    stopped = loader(3, 2)
    taken = iter(stopped)
    next(taken), next(taken)
    again = loader(3, 0)
    again.load_state_dict(stopped.state_dict())
    torch.testing.assert_close(list(again), first[2:])


def test_passes_and_ranks_share_an_epoch() -> None:
    stretches = Stretches(table([300, 80]), [0, 1], history=5, horizon=20)
    once = StretchLoader(stretches, batch_size=1, seed=0)
    thrice = StretchLoader(stretches, batch_size=1, seed=0, passes=3)
    assert len(list(thrice)) == len(thrice) == 3 * len(once)
    ranks = []
    for rank in range(2):
        loader = StretchLoader(stretches, batch_size=1, seed=0)
        loader.rank, loader.world_size = rank, 2
        ranks.append({float(b[0, 0, 0]) for b in loader})
    assert len(ranks[0] | ranks[1]) >= len({float(b[0, 0, 0]) for b in once}) - 1


def test_history_is_never_taken_from_rows_that_were_not_measured() -> None:
    data = table([60], gaps={0: [0, 20, 21, 40]})
    loader = StretchLoader(Stretches(data, [0], history=3, horizon=10), batch_size=99, seed=0)
    for epoch in range(20):
        loader.epoch = epoch
        for batch in loader:
            assert torch.isfinite(batch[:, :3]).all()
    with pytest.raises(DataError, match="no training case"):
        Stretches(table([9], gaps={0: list(range(0, 9, 2))}), [0], history=3, horizon=4)


def task(**options) -> Rollout:
    return Rollout(4, 1, **{"stretch": 30, **options})


def model() -> Model:
    torch.manual_seed(0)
    net = build_net(
        "gru",
        Sizes(4, 1, N_CONTROLS, len(SPEC.predicted)),
        {"dim": 8, "depth": 1, "dropout": 0.0, "encoder_dim": 4},
    )
    return Model(net, Scaler(len(SPEC.signals)))


def batch(n_rows: int = 34) -> torch.Tensor:
    return torch.randn(5, n_rows, len(SPEC.signals), generator=torch.Generator().manual_seed(2))


def test_the_loss_is_that_of_the_whole_stretch_and_padding_does_not_count() -> None:
    rows, net = batch(), model()
    predicted = net.net(rows[:, :4], rows[:, 4:, :N_CONTROLS])
    expected = (predicted - rows[:, 4:, N_CONTROLS:]).square().mean()
    torch.testing.assert_close(task().loss(net, rows), expected)
    padded = rows.clone()
    padded[:, 20:, N_CONTROLS:] = torch.nan
    torch.testing.assert_close(
        task().loss(net, padded), (predicted - rows[:, 4:, N_CONTROLS:])[:, :16].square().mean()
    )


def test_truncation_keeps_the_loss_and_cuts_the_gradient() -> None:
    rows = batch().requires_grad_()
    gradients = {}
    for truncate in (None, 10, 30):
        net = model()
        loss = task(truncate=truncate).loss(net, rows)
        (gradients[truncate],) = torch.autograd.grad(loss, rows)
        torch.testing.assert_close(loss, task().loss(net, rows))
    torch.testing.assert_close(gradients[None], gradients[30])
    late = rows.detach().clone()
    late[:, 4:14, N_CONTROLS:] = torch.nan  # only rows behind the first cut are scored
    late.requires_grad_()
    (gradient,) = torch.autograd.grad(task(truncate=10).loss(model(), late), late)
    assert gradient[:, :4, :].abs().sum() == 0  # so nothing reaches the encoder
    (gradient,) = torch.autograd.grad(task().loss(model(), late), late)
    assert gradient[:, :4, :].abs().sum() > 0


def test_stretches_grow_from_an_eighth() -> None:
    rows, net, growing = batch(), model(), task(unroll_epochs=10)
    for epoch, n in ((0, 4), (5, 17), (10, 30), (99, 30)):
        torch.testing.assert_close(growing.loss(net, rows, epoch=epoch), task().loss(net, rows[:, : 4 + n]))


def test_a_case_without_a_row_to_predict_is_named() -> None:
    with pytest.raises(DataError, match="one row to predict need at least 5"):
        task().check(table([9, 4]))
    task().check(table([9, 5]))
