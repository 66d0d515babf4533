"""The ends of molecules, and where no molecule tells anything, are taught what is usual; nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rna_profiles import probed
from understudy.rna.batches import Probed, ReactivityBatch
from understudy.rna.features import drawn
from understudy.rna.medians import BINS, Medians, fit_medians
from understudy.rna.task import Reactivities
from understudy.rna.usual import ends_of, with_usual

NAN = float("nan")
# A letter's own value, a tenth more in each bin of pairing, and a half more for DMS.
TABLE = np.float32(
    np.arange(4)[:, None, None] / 10 + np.arange(BINS + 1)[:, None] / 100 + np.array([0.0, 0.5])
)
USUAL = Medians("pairing", TABLE)


def batch_of(lengths: list[int], unmeasured: list[tuple[int, int]]) -> tuple[Probed, ReactivityBatch]:
    """Molecules of which nothing is measured before and from these places on."""
    data = probed(lengths)
    values = np.abs(np.asarray(data.molecules.reactivity)) + 2  # above all that is usual
    for i, (first, last) in enumerate(unmeasured):
        a, b = data.molecules.offsets[i : i + 2]
        values[a : a + first], values[a + last : b] = NAN, NAN
    data = Probed(replace(data.molecules, reactivity=values), data.pairs)
    return data, data.measured(np.arange(len(lengths)), np.ones((len(lengths), 2), np.float32))


def test_what_lies_beyond_the_measured_is_usual_and_all_else_stays() -> None:
    _, batch = batch_of([12, 9], [(3, 10), (0, 7)])
    batch.reactivity[0, 5, 1] = NAN  # gaps
    batch.reactivity[0, 6] = NAN
    batch.reactivity[0, 3, 0] = NAN  # DMS begins before 2A3
    found = with_usual(batch, ends_of(batch), USUAL)
    assert found.inputs is batch.inputs
    assert found.error is batch.error
    was, now = batch.reactivity, found.reactivity
    outside = torch.zeros(2, 12, dtype=torch.bool)
    outside[0, :3] = outside[0, 10:] = outside[1, 7:9] = True
    assert torch.equal(torch.nan_to_num(now[~outside], -1), torch.nan_to_num(was[~outside], -1))
    assert batch.inputs.pairs is not None
    paired = batch.inputs.pairs.sum(-1)
    for b, place in outside.nonzero().tolist():
        at = min(int(np.float32(paired[b, place]) * np.float32(BINS)), BINS - 1)
        torch.testing.assert_close(now[b, place], torch.from_numpy(TABLE[batch.inputs.tokens[b, place], at]))


def test_a_chemical_that_was_not_probed_stays_unknown() -> None:
    _, batch = batch_of([10, 10], [(2, 8), (2, 8)])
    batch.reactivity[0, :, 0] = NAN
    batch.reactivity[1] = NAN
    found = with_usual(batch, ends_of(batch), USUAL).reactivity
    assert torch.isnan(found[0, :, 0]).all()
    assert torch.isfinite(found[0, :, 1]).all()
    assert torch.isnan(found[1]).all()


def test_training_batches_have_ends_where_they_are_asked_for_and_others_never() -> None:
    data, _ = batch_of([12, 12, 12], [(3, 10)] * 3)
    data = Probed(replace(data.molecules, sn_filter=np.ones((3, 2), bool)), data.pairs)
    for asked in (False, True):
        task = Reactivities(ends=asked)
        (batch,) = task.loader(data, [0, 1, 2], batch_size=3, seed=0)
        assert bool(torch.isfinite(batch.reactivity[:, :3]).all()) is asked
        assert bool(torch.isfinite(batch.reactivity[:, 10:]).any()) is asked
    assert np.isnan(data.molecules.reactivity[:3]).all()


def test_training_batches_have_what_is_usual_where_no_molecule_tells_anything() -> None:
    data, _ = batch_of([12, 12, 9], [(0, 12), (0, 12), (0, 9)])
    values = data.molecules.reactivity.copy()
    nowhere = np.zeros(values.shape, bool)
    for i in range(3):
        first = data.molecules.offsets[i]
        nowhere[first + 4 : first + 7, 1] = nowhere[first, 1] = True
        values[first + 4 : first + 6] = values[first] = NAN  # of the last of the three something is known
        values[first + 1] = values[first + 8] = NAN  # but this happens in other molecules
    passed = replace(data.molecules, reactivity=values, sn_filter=np.ones((3, 2), bool))
    for flip in (False, True):
        plain, taught = Probed(passed, data.pairs), Probed(passed, data.pairs, nowhere)
        task = Reactivities(flip=flip)
        before, after = (list(task.loader(d, [0, 1, 2], batch_size=3, seed=0)) for d in (plain, taught))
        for was, now in zip(before, after, strict=True):
            filled = torch.isfinite(now.reactivity) & ~torch.isfinite(was.reactivity)
            assert filled.sum() == 3 * len(was.reactivity)
            assert not filled[..., 0].any()
            assert torch.equal(
                torch.nan_to_num(now.reactivity)[~filled], torch.nan_to_num(was.reactivity)[~filled]
            )
            assert (now.reactivity[filled] <= 1).all()
            assert not filled[~was.inputs.mask].any()
            gaps = ~torch.isfinite(was.reactivity[..., 1]) & was.inputs.mask
            assert not (filled[..., 1] & ~gaps).any()
            assert gaps.sum() == 5 * len(gaps)


def test_some_molecules_of_a_large_library_tell_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = batch_of([12] * 6, [(3, 10)] * 6)
    values = np.random.default_rng(0).random(data.molecules.reactivity.shape, dtype=np.float32)
    data = Probed(replace(data.molecules, reactivity=values, sn_filter=np.ones((6, 2), bool)), data.pairs)
    every = np.arange(6)
    monkeypatch.setattr("understudy.rna.task._FOR_MEDIANS", 2)
    usual = Reactivities(ends=True).loader(data, every, batch_size=3, seed=0).usual
    assert usual is not None
    some, all_of_them = (
        fit_medians(data.molecules, index, "pairing", pairs=data.pairs).table
        for index in (drawn(data.molecules, every, 2), every)
    )
    np.testing.assert_array_equal(usual.table, some)
    assert (some != all_of_them).any()
