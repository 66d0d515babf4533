"""Molecules as batches: nothing lost, nothing mixed up, the same whatever was interrupted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rna_profiles import probed
from understudy.errors import ConfigError
from understudy.rna.batches import Batching, Probed
from understudy.rna.loader import MoleculeLoader

lengths_strategy = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def loader(data: Probed, batching: Batching, **options: object) -> MoleculeLoader:
    m = len(data.molecules)
    weight = np.ones((m, 2), np.float32)
    return MoleculeLoader(data, range(m), weight, batching, **{"seed": 1, **options})  # type: ignore[arg-type]


@given(lengths_strategy, st.integers(1, 8), st.integers(1, 20), st.none() | st.integers(1, 200))
def test_every_molecule_once_an_epoch_within_the_bounds(
    lengths: list[int], size: int, bucket: int, positions: int | None
) -> None:
    data = probed(lengths)
    found = loader(data, Batching(size, bucket, positions))
    for epoch in (0, 1):
        found.epoch = epoch
        batches = found.batches()
        assert len(batches) == len(found)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            of = data.inputs.lengths[batch]
            assert len(batch) <= size
            assert len(set(of // bucket)) == 1
            assert positions is None or len(batch) == 1 or len(batch) * of.max() <= positions


@given(lengths_strategy, st.integers(2, 4))
def test_ranks_share_an_epoch(lengths: list[int], world: int) -> None:
    data = probed(lengths)
    parts = [loader(data, Batching(3), rank=r, world_size=world) for r in range(world)]
    assert {len(p.batches()) for p in parts} == {len(parts[0])}
    seen = [m for p in parts for batch in p.batches() for m in batch.tolist()]
    assert set(seen) == set(range(len(lengths)))


def test_a_batch_holds_what_was_measured() -> None:
    data = probed([5, 9, 7])
    weight = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    batch = data.measured(np.array([2, 0]), weight)
    molecules = data.molecules
    assert batch.inputs.mask.sum(1).tolist() == [7, 5]
    np.testing.assert_array_equal(batch.reactivity[0], molecules.reactivity[14:21])
    np.testing.assert_array_equal(batch.reactivity[1, :5], molecules.reactivity[:5])
    assert batch.reactivity[1, 5:].isnan().all()
    assert batch.error[1, 5:].isnan().all()
    np.testing.assert_array_equal(batch.inputs.tokens[0], molecules.tokens[14:21])
    assert batch.weight.tolist() == [[5, 6], [1, 2]]
    assert batch.inputs.pairs is not None
    assert float(batch.inputs.pairs[0, 0, 5]) == float(batch.inputs.pairs[0, 5, 0]) == pytest.approx(0.7)
    assert float(batch.inputs.pairs.sum()) == pytest.approx(4 * 0.7)


def test_read_backwards_everything_turns_together() -> None:
    data = probed([5, 9])
    weight = np.ones((2, 2), np.float32)
    index, turned = np.array([0, 1]), np.array([True, False])
    plain, flipped = data.measured(index, weight), data.measured(index, weight, turned)
    np.testing.assert_array_equal(flipped.inputs.tokens[0, :5], plain.inputs.tokens[0, :5].flip(0))
    np.testing.assert_array_equal(flipped.reactivity[0, :5], plain.reactivity[0, :5].flip(0))
    np.testing.assert_array_equal(flipped.reactivity[1], plain.reactivity[1])
    assert plain.inputs.pairs is not None
    assert flipped.inputs.pairs is not None
    np.testing.assert_array_equal(flipped.inputs.pairs[0, :5, :5], plain.inputs.pairs[0, :5, :5].flip(0, 1))
    np.testing.assert_array_equal(flipped.inputs.pairs[1], plain.inputs.pairs[1])


@pytest.mark.parametrize("flip", [False, True])
def test_an_interrupted_epoch_goes_on_with_the_batch_that_would_have_come(flip: bool) -> None:
    data = probed(list(range(3, 40)))
    whole = loader(data, Batching(4), flip=flip)
    whole.epoch = 3
    expected = list(whole)
    first = loader(data, Batching(4), flip=flip)
    first.epoch = 3
    walk = iter(first)
    for _ in range(5):
        next(walk)
    second = loader(data, Batching(4), flip=flip)
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert len(rest) == len(expected) - 5
    for a, b in zip(rest, expected[5:], strict=True):
        np.testing.assert_array_equal(a.reactivity, b.reactivity)
        np.testing.assert_array_equal(a.inputs.tokens, b.inputs.tokens)


def test_epochs_differ_and_seeds_differ() -> None:
    data = probed(list(range(3, 40)))

    def order(seed: int, epoch: int) -> list[int]:
        found = loader(data, Batching(4), seed=seed)
        found.epoch = epoch
        return [m for batch in found.batches() for m in batch.tolist()]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1) != order(2, 1)


@pytest.mark.parametrize("options", [{"bucket": 0}, {"positions": 0}])
def test_batching_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Batching(4, **options)
