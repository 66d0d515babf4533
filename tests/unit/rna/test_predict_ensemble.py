"""However sequences are put into batches, cut into parts or flipped: the prediction of each is its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactivity import Floats, Local, neighbours, random_sequence
from understudy.errors import DataError, ModelError
from understudy.rna.pairing import Pairs
from understudy.rna.predict import ensemble as module
from understudy.rna.predict.cut import Part, cut_pairs, flip_pairs
from understudy.rna.predict.ensemble import AREA, Ensemble, over_pairings, overlapping
from understudy.rna.predict.pipeline import predict_blocks

LENGTHS = st.lists(st.integers(1, 120), min_size=1, max_size=20)
FAST = settings(max_examples=40, deadline=None)


def alone(predictor: Local, sequences: Sequence[str], pairs: Pairs | None) -> list[Floats]:
    """What the network gives for each sequence by itself."""
    return [predictor([s], None if pairs is None else pairs.take([m]))[0] for m, s in enumerate(sequences)]


def same(found: Sequence[Floats], expected: Sequence[Floats]) -> None:
    assert [y.shape for y in found] == [y.shape for y in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@FAST
@given(LENGTHS, st.booleans(), st.integers(20, 50_000))
def test_order_and_values_do_not_depend_on_batches(lengths: list[int], paired: bool, memory: int) -> None:
    sequences = [random_sequence(n, seed) for seed, n in enumerate(lengths)]
    pairs = neighbours(lengths) if paired else None
    memory += max(lengths) ** 2  # everything goes whole
    network = Local()
    same(Ensemble([network], memory=memory)(sequences, pairs), alone(Local(), sequences, pairs))
    assert set(network.with_pairs) == {paired}
    for batch in network.batches:
        assert len(batch) * max(batch) ** 2 <= memory


def test_similar_lengths_share_a_batch_of_bounded_area() -> None:
    lengths = [177, 457, 177, 207] * 300
    network = Local()
    Ensemble([network])([random_sequence(n, 0) for n in lengths], None)
    assert sorted(n for batch in network.batches for n in batch) == sorted(lengths)
    assert all(len(batch) * max(batch) ** 2 <= AREA for batch in network.batches)
    assert [n for batch in network.batches for n in batch] == sorted(lengths, reverse=True)
    assert len(network.batches) < 14  # 8 if no length shared a batch with another


@FAST
@given(st.integers(300, 1500), st.integers(1, 3), st.booleans(), st.booleans())
def test_parts_with_overlap_equal_the_whole(length: int, copies: int, paired: bool, tta: bool) -> None:
    sequences = [random_sequence(length + k, k) for k in range(copies)]
    pairs = neighbours([len(s) for s in sequences]) if paired else None
    whole = Ensemble([Local()], tta=tta)(sequences, pairs)
    network = Local()
    # 7 nucleotides of context suffice for this network with its pairs; 16 are given.
    cut = Ensemble([network], tta=tta, memory=290**2, overlap=16)(sequences, pairs)
    assert max(n for batch in network.batches for n in batch) <= 290
    same(cut, whole)


def test_too_little_overlap_is_seen() -> None:
    """The test above would not pass by itself: a network that sees further gives something else."""
    sequence = [random_sequence(900, 0)]
    whole = Ensemble([Local(reach=30)])(sequence, None)
    cut = Ensemble([Local(reach=30)], memory=290**2, overlap=16)(sequence, None)
    assert np.abs(whole[0] - cut[0]).max() > 1e-3


@given(st.integers(10, 5000), st.integers(30, 600), st.integers(0, 14))
def test_parts_cover_a_molecule_once(length: int, longest: int, overlap: int) -> None:
    parts = overlapping(3, length, longest, overlap)
    assert {p.m for p in parts} == {3}
    assert [n for p in parts for n in range(p.keep_from, p.keep_to)] == list(range(length))
    assert max(p.length for p in parts) <= longest
    for p in parts:
        assert p.begin == max(0, p.keep_from - overlap)
        assert p.end == min(length, p.keep_to + overlap)


@FAST
@given(LENGTHS, st.data())
def test_pairs_of_parts_are_parts_of_the_matrix(lengths: list[int], data: st.DataObject) -> None:
    pairs = neighbours(lengths, reach=4)
    parts = []
    for _ in range(data.draw(st.integers(1, 6))):
        m = data.draw(st.integers(0, len(lengths) - 1))
        begin = data.draw(st.integers(0, lengths[m] - 1))
        end = data.draw(st.integers(begin + 1, lengths[m]))
        parts.append(Part(m, begin, end, begin, end))
    cut = cut_pairs(pairs, parts)
    for k, (m, begin, end, *_) in enumerate(parts):
        expected = pairs.matrix(m, lengths[m])[begin:end, begin:end]
        np.testing.assert_array_equal(cut.matrix(k, end - begin), expected)
    flipped = flip_pairs(pairs, lengths)
    assert (flipped.i < flipped.j).all()
    for m, n in enumerate(lengths):
        np.testing.assert_array_equal(flipped.matrix(m, n), pairs.matrix(m, n)[::-1, ::-1])


def test_several_networks_are_averaged() -> None:
    sequences = [random_sequence(n, n) for n in (20, 31, 20)]
    networks = [Local(seed=k) for k in range(3)]
    expected = [
        np.mean(ys, axis=0) for ys in zip(*(alone(n, sequences, None) for n in networks), strict=True)
    ]
    same(Ensemble(networks)(sequences, None), expected)


def test_errors_are_averaged_over_the_networks_that_predict_them() -> None:
    class Without(Local):
        def _one(self, sequence: str, pairs: Pairs | None, m: int) -> Floats:
            y = super()._one(sequence, pairs, m)
            y[:, 2:] = np.nan
            return y

    (with_one,) = Ensemble([Local(), Without(seed=1)])(["ACGU"], None)
    np.testing.assert_allclose(with_one[:, 2:], Local()(["ACGU"], None)[0][:, 2:], atol=1e-6)
    (with_none,) = Ensemble([Without(), Without(seed=1)])(["ACGU"], None)
    assert np.isnan(with_none[:, 2:]).all()


def test_tta_is_the_mean_with_the_other_end() -> None:
    sequences = [random_sequence(n, n) for n in (40, 25)]
    pairs = neighbours([40, 25])
    forward = alone(Local(), sequences, pairs)
    backward = alone(Local(), [s[::-1] for s in sequences], flip_pairs(pairs, [40, 25]))
    expected = [(a + b[::-1]) / 2 for a, b in zip(forward, backward, strict=True)]
    assert np.abs(expected[0] - forward[0]).max() > 0.01
    same(Ensemble([Local()], tta=True)(sequences, pairs), expected)


def test_what_the_networks_tell_about_themselves() -> None:
    class Told(Local):
        uses_pairs = False
        trained_with_flips = True

    class Other(Told):
        uses_pairs = True
        trained_with_flips = False

    assert Ensemble([Local()]).uses_pairs
    assert Ensemble([Local()]).trained_with_flips is None
    assert not Ensemble([Told()]).uses_pairs
    assert Ensemble([Told(), Local()]).trained_with_flips is True
    assert Ensemble([Told(), Other()]).trained_with_flips is False
    assert Ensemble([Told(), Other()]).uses_pairs
    assert Ensemble([Told(), Local(bytes_a_pair=5)]).bytes_for(10, 3) == 1500


def test_what_does_not_fit_is_said_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    network = Local(bytes_a_pair=100)
    sequences = ["ACGU" * 5, "ACGU" * 500]
    with pytest.raises(DataError, match=r"2,000 nucleotides does not fit: even a part of 384 .* --memory"):
        Ensemble([network], memory=1_000_000)(sequences, None)
    with pytest.raises(DataError, match=r"20 nucleotides does not fit: it takes 0\.0 MiB and --memory"):
        Ensemble([network], memory=1000)(sequences[:1], None)
    Ensemble([network], memory=100 * 500**2, say=lines.append)(sequences * 2, None)
    assert len(lines) == 1
    assert "2,000 nucleotides" in lines[0]
    assert "9 parts of at most" in lines[0]
    monkeypatch.setattr(module, "memory_available", lambda: 100 * 1999**2)
    asked = len(network.batches)
    with pytest.raises(DataError, match=r"2,000 nucleotides at once takes 381\.5 MiB, and this machine has"):
        Ensemble([network])(sequences, None)
    assert len(network.batches) == asked
    monkeypatch.setattr(module, "memory_available", lambda: 100 * 2000**2)
    same(Ensemble([network])(sequences * 2, None), alone(Local(), sequences * 2, None))
    assert network.batches[asked : asked + 2] == [[2000], [2000]]


def test_a_network_that_fails_is_an_error() -> None:
    class Broken(Local):
        def _one(self, sequence: str, pairs: Pairs | None, m: int) -> Floats:
            y = super()._one(sequence, pairs, m)
            y[-1, self.column] = np.nan
            return y[: self.rows]

    broken = Broken()
    broken.rows, broken.column = None, 1  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="not a number"):
        Ensemble([broken])(["ACGU"], None)
    broken.rows, broken.column = None, 3  # type: ignore[attr-defined]
    assert np.isnan(Ensemble([broken])(["ACGU"], None)[0][-1, 3])  # it may predict no error
    broken.rows = 3  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="four numbers"):
        Ensemble([broken])(["ACGU"], None)


class Watched:
    """Records that say how many of them were taken."""

    def __init__(self, n: int, length: int) -> None:
        self.taken = 0
        self._n, self._length = n, length

    def __iter__(self):  # type: ignore[no-untyped-def]
        for k in range(self._n):
            self.taken += 1
            yield f"s{k}", random_sequence(self._length, k)


def test_blocks_come_in_order_and_reading_goes_ahead_by_one_block() -> None:
    records = Watched(1000, 20)
    network = Local(scale=0.5)
    ids: list[str] = []
    for n, block in enumerate(predict_blocks(records, Ensemble([network]), size=500)):
        assert len(block.values) <= 500
        assert records.taken <= 25 * (n + 1) + 1
        ids += block.ids
        for m, sequence in enumerate(block.sequences):
            np.testing.assert_allclose(block.of(m), Local(scale=0.5)([sequence], None)[0], atol=1e-6)
    assert ids == [f"s{k}" for k in range(1000)]
    assert [len(batch) for batch in network.batches] == [25] * 40


def test_reactivities_are_clipped_and_errors_are_not() -> None:
    records = [("a", "acgt" * 10), ("b", "U" * 9)]
    (block,) = predict_blocks(records, Ensemble([Local(scale=8.0)]))
    assert block.sequences == ("ACGU" * 10, "U" * 9)
    assert block.values[:, :2].max() == 1
    assert block.values[:, 2:].max() > 1


def test_under_several_pairs_the_mean_is_predicted() -> None:
    sequences = [random_sequence(30 + k, k) for k in range(3)]
    pairs, others = neighbours([len(s) for s in sequences]), None
    each = [alone(Local(), sequences, given) for given in (pairs, others)]
    assert any(not np.allclose(a, b) for a, b in zip(*each, strict=True))
    mean = over_pairings(Ensemble([Local()]), sequences, [pairs, others])
    same(mean, [(a + b) / 2 for a, b in zip(*each, strict=True)])


def test_pairs_are_asked_for_block_by_block() -> None:
    asked: list[list[str]] = []

    def pairing(sequences: Sequence[str]) -> list[Pairs]:
        asked.append(list(sequences))
        return [neighbours([len(s) for s in sequences])]

    sequences = [random_sequence(30 + k, k) for k in range(10)]
    records = [(str(k), s) for k, s in enumerate(sequences)]
    blocks = list(predict_blocks(records, Ensemble([Local()]), pairing, size=100))
    assert [s for part in asked for s in part] == sequences
    assert len(asked) == len(blocks) > 2
    found = [block.of(m) for block in blocks for m in range(len(block))]
    same(found, alone(Local(), sequences, neighbours([len(s) for s in sequences])))
