"""Cases that could be simulated, looked at through trained models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import SMALL_NETS, linear_table
from understudy.cae.candidates import CaseCandidates, members
from understudy.core.baselines import fit_scaler, sizes_of
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.model import Model
from understudy.core.nets import build_net
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError

TASK = Rollout(3, 1, stretch=20)
KNOWN = linear_table(6, 120, seed=1)


def model(name: str = "gru", seed: int = 0, **more: int) -> Model:
    torch.manual_seed(seed)
    net = build_net(name, sizes_of(KNOWN, TASK), {**SMALL_NETS[name], **more})
    return Model(net, fit_scaler(KNOWN, range(6))).eval()


def unknown(table: CaseTable, *, from_row: int = 0) -> CaseTable:
    """As before the simulation: predicted signals are NaN from a row on."""
    cases = []
    for case in table:
        values = case.values.copy()
        values[from_row:, 2:] = np.nan
        cases.append(Case(case.id, values))
    return table_from_cases(table.spec, cases)


def candidates() -> CaseTable:
    """Of two lengths, in no order."""
    short, long = linear_table(3, 80, seed=2), linear_table(3, 120, seed=3)
    mixed = [case for pair in zip(short, long, strict=True) for case in pair]
    return table_from_cases(KNOWN.spec, [Case(f"c{i}", case.values) for i, case in enumerate(mixed)])


@pytest.mark.parametrize("name", ["gru", "dot", "arx"])
def test_a_candidate_is_the_same_beside_any_others(name: str) -> None:
    table, one = candidates(), model(name)
    together = CaseCandidates([one], TASK, table).features()
    for i in range(len(table)):
        alone = CaseCandidates([one], TASK, table.only([i])).features()
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_what_a_candidate_would_give_is_never_looked_at() -> None:
    table, models = candidates(), [model(seed=0), model(seed=1)]
    hidden = CaseCandidates(models, TASK, unknown(table, from_row=3), KNOWN)
    seen = CaseCandidates(models, TASK, table, KNOWN)
    np.testing.assert_array_equal(hidden.features(), seen.features())
    np.testing.assert_array_equal(hidden.expected_error(), seen.expected_error())
    np.testing.assert_array_equal(hidden.disagreement(), seen.disagreement())


def test_a_case_without_history_begins_at_the_mean() -> None:
    table, one = candidates(), model()
    mean = one.scaler.mean.numpy()
    filled = table.only(range(len(table)))
    for case in filled:
        case.values[:3, 2:] = mean[2:]
        case.values[:, 1] = mean[1]
    bare = unknown(table)
    for case in bare:
        case.values[:, 1] = np.nan  # a control that only the simulation decides
    expected = CaseCandidates([one], TASK, filled).features()
    np.testing.assert_array_equal(CaseCandidates([one], TASK, bare).features(), expected)
    assert np.isnan(bare.values[:, 1]).all()  # the caller's table is its own


def test_disagreement_is_the_deviation_among_models() -> None:
    table, models = candidates(), [model(seed=s) for s in range(3)]
    found = CaseCandidates(models, TASK, table).disagreement()
    column = list(table.spec.target_columns)
    std = models[0].scaler.std[2:].numpy()[column]
    for i in range(len(table)):
        runs = np.stack([TASK.free_run(m, table, [i])[0].numpy()[:, column] for m in models])
        assert found[i] == pytest.approx((runs.std(0) / std).mean(), rel=1e-4)
    np.testing.assert_allclose(CaseCandidates([models[0]] * 2, TASK, table).disagreement(), 0, atol=1e-6)


def test_members_of_a_committee_disagree_as_models_do() -> None:
    whole = model(members=3)
    parts = members(whole)
    assert len(parts) == 3
    table = candidates()
    one = CaseCandidates([whole], TASK, table)
    np.testing.assert_allclose(one.disagreement(), CaseCandidates(parts, TASK, table).disagreement())
    mean = torch.stack([TASK.free_run(p, table, [1])[0] for p in parts]).mean(0)
    torch.testing.assert_close(TASK.free_run(whole, table, [1])[0], mean)


def test_the_error_is_learnt_from_what_was_simulated() -> None:
    # The model is wrong where the first control is high, and nowhere else.
    one, cases = model("arx"), []
    with torch.no_grad():
        one.net.linear.weight.zero_()
        one.net.linear.bias.zero_()
    rng = np.random.default_rng(0)
    for i in range(24):
        values = np.zeros((100, 4), np.float32)
        values[:, 0] = rng.normal(size=100) + 3 * (i % 2)
        values[:, 2:] = one.scaler.mean[2:].numpy()
        values[:, 3] += float(i % 2) * one.scaler.std[3].item() * rng.choice([-1, 1], 100)
        cases.append(Case(f"k{i}", values))
    known = table_from_cases(KNOWN.spec, cases)
    found = CaseCandidates([one], TASK, known, known).expected_error()
    assert found[1::2].min() > 2 * found[::2].max()


def test_what_is_missing_is_named() -> None:
    alone = CaseCandidates([model()], TASK, candidates())
    with pytest.raises(ConfigError, match="several runs"):
        alone.disagreement()
    with pytest.raises(ConfigError, match="--known"):
        alone.expected_error()
    assert len(alone.known_features()) == 0
