"""Pieces of molecules: the same nucleotides, values and pairs as in the whole, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rna_profiles import probed
from understudy.errors import ConfigError
from understudy.rna.batches import Batching, Probed, ReactivityBatch
from understudy.rna.loader import MoleculeLoader
from understudy.rna.pieces import LEAST, cut_out, random_pieces
from understudy.rna.task import Reactivities


def whole(data: Probed, index: list[int]) -> ReactivityBatch:
    return data.measured(np.array(index), np.ones((len(data.molecules), 2), np.float32))


@settings(deadline=None)
@given(st.lists(st.integers(4, 40), min_size=1, max_size=6), st.data())
def test_a_piece_is_a_window_of_its_molecule(lengths: list[int], draw: st.DataObject) -> None:
    data = probed(lengths)
    batch = whole(data, list(range(len(lengths))))
    length = draw.draw(st.integers(1, min(lengths)))
    first = torch.tensor([draw.draw(st.integers(0, n - length)) for n in lengths])
    piece = cut_out(batch, first, length)
    assert piece.inputs.mask.all()
    assert piece.weight is batch.weight
    for b, a in enumerate(first.tolist()):
        window = slice(a, a + length)
        assert torch.equal(piece.inputs.tokens[b], batch.inputs.tokens[b, window])
        assert torch.equal(piece.reactivity[b], batch.reactivity[b, window])
        assert torch.equal(piece.error[b], batch.error[b, window])
        assert piece.inputs.pairs is not None
        assert batch.inputs.pairs is not None
        apart = ~torch.eye(length, dtype=torch.bool)
        assert torch.equal(piece.inputs.pairs[b][apart], batch.inputs.pairs[b, window, window][apart])
        # How much a nucleotide pairs is what it was in the whole molecule.
        torch.testing.assert_close(piece.inputs.pairs[b].sum(-1), batch.inputs.pairs[b, window].sum(-1))


def test_what_pairs_with_the_outside_stands_on_the_diagonal() -> None:
    batch = whole(probed([10]), [0])  # 0 pairs with 8
    piece = cut_out(batch, torch.tensor([3]), 7)
    assert piece.inputs.pairs is not None
    expected = torch.zeros(7, 7)
    expected[5, 5] = 0.7
    torch.testing.assert_close(piece.inputs.pairs[0], expected)


def test_no_piece_reaches_over_an_end() -> None:
    batch = whole(probed([10, 6]), [0, 1])
    with pytest.raises(ValueError, match="over the end"):
        cut_out(batch, torch.tensor([3, 3]), 4)


def test_pieces_are_of_one_length_and_of_all_places() -> None:
    batch = whole(probed([30, 24]), [0, 1])
    rng = np.random.default_rng(0)
    lengths = [random_pieces(batch, 1.0, rng).reactivity.shape[1] for _ in range(300)]
    assert (min(lengths), max(lengths)) == (round(LEAST * 24), 24)
    # Every nucleotide of either molecule is shown, the last as well as the first.
    seen = torch.zeros(2, 30)
    marked = batch._replace(reactivity=torch.arange(30.0).expand(2, 30).unsqueeze(-1))
    for _ in range(300):
        shown = random_pieces(marked, 1.0, rng).reactivity[..., 0].long()
        seen.scatter_(1, shown, 1.0)
    assert seen[0].all()
    assert seen[1, :24].all()
    assert not seen[1, 24:].any()
    assert random_pieces(batch, 0.0, rng) is batch


def test_a_share_of_the_batches_and_the_same_again_after_a_stop() -> None:
    data = probed([40] * 60)
    options = {"seed": 3, "pieces": 0.5}

    def loader() -> MoleculeLoader:
        weight = np.ones((60, 2), np.float32)
        return MoleculeLoader(data, range(60), weight, Batching(2), **options)  # type: ignore[arg-type]

    everything = list(loader())
    n_whole = sum(b.reactivity.shape[1] == 40 for b in everything)
    assert 5 <= n_whole <= 25
    stopped = loader()
    stopped.load_state_dict({"epoch": 0, "done": 11})
    for was, now in zip(everything[11:], stopped, strict=True):
        torch.testing.assert_close(now.reactivity, was.reactivity, equal_nan=True)


def test_a_share_is_from_0_to_1() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.pieces is a share from 0 to 1, not 1\.5"):
        Reactivities(pieces=1.5)
