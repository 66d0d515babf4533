"""What every one-shot network promises: a case gets what it would get alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import SMALL_NETS, TOKEN_SIZES
from understudy.core.batch import TokenBatch
from understudy.core.nets import NETS, TokenNet, TokenSizes, build_net, sizes_type
from understudy.core.oneshot import OneShotModel, apply, similar_lengths
from understudy.rna.batches import Sequences
from understudy.rna.pairing import Pairs

every_net = pytest.mark.parametrize("name", [n for n in sorted(NETS) if sizes_type(n) is TokenSizes])
LENGTHS = np.array([31, 7, 50, 1, 31, 18])


def make(name: str) -> TokenNet:
    torch.manual_seed(0)
    net = build_net(name, TOKEN_SIZES, dict(SMALL_NETS[name])).eval()
    for parameter in net.parameters():  # what starts at zero must not hide a leak
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def sequences(*, with_pairs: bool = True, seed: int = 1) -> Sequences:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    ends = [np.sort(rng.choice(n, (9, 2)), axis=1) if n > 1 else np.empty((0, 2), int) for n in LENGTHS]
    ends = [np.unique(e[e[:, 0] < e[:, 1]], axis=0) for e in ends]
    counts = np.concatenate([[0], np.cumsum([len(e) for e in ends])])
    i, j = np.concatenate(ends).T.astype(np.uint16)
    pairs = Pairs(counts, i, j, rng.random(len(i), dtype=np.float32))
    return Sequences(rng.integers(0, 4, offsets[-1]).astype(np.uint8), offsets, pairs if with_pairs else None)


@every_net
@pytest.mark.parametrize("with_pairs", [True, False])
def test_alone_padded_and_in_any_batch_the_same(name: str, with_pairs: bool) -> None:
    net, source = make(name), sequences(with_pairs=with_pairs)
    index = np.arange(len(LENGTHS))
    with torch.no_grad():
        together = net(source.batch(index))
        backwards = net(source.batch(index[::-1].copy()))
        for m, length in enumerate(LENGTHS):
            alone = net(source.batch(np.array([m])))[0]
            torch.testing.assert_close(together[m, :length], alone, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(backwards[len(LENGTHS) - 1 - m, :length], alone, rtol=1e-5, atol=1e-5)


@every_net
def test_what_stands_behind_the_end_does_not_matter(name: str) -> None:
    net = make(name)
    batch = sequences().batch(np.array([0, 2]))
    other = batch._replace(tokens=torch.where(batch.mask, batch.tokens, 3))
    with torch.no_grad():
        torch.testing.assert_close(net(batch)[0, :31], net(other)[0, :31], rtol=0, atol=0)


@every_net
def test_every_letter_reaches_every_position(name: str) -> None:
    net, source = make(name), sequences()
    batch = source.batch(np.array([0]))
    changed = batch._replace(tokens=batch.tokens.clone())
    changed.tokens[0, 3] = (changed.tokens[0, 3] + 1) % 4
    with torch.no_grad():
        moved = (net(batch) - net(changed)).abs().amax(-1)[0]
    assert (moved > 0).all()


@every_net
def test_predicted_errors_are_not_negative_and_gradients_reach_everything(name: str) -> None:
    net = make(name).train()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if hasattr(net, "pair_dropout"):
        net.pair_dropout = 0.0
    y = net(sequences().batch(np.arange(3)))
    assert y.shape == (3, 50, TOKEN_SIZES.n_outputs)
    assert (y[..., TOKEN_SIZES.n_targets :] >= 0).all()
    y.square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_pairing_matters_to_those_that_use_it_and_hidden_is_as_absent() -> None:
    net, with_pairs, without = make("ribo"), sequences(), sequences(with_pairs=False)
    index = np.array([2])
    batch = with_pairs.batch(index)
    hidden = batch._replace(known=torch.zeros(1, dtype=torch.bool))
    with torch.no_grad():
        assert not torch.allclose(net(batch), net(without.batch(index)), atol=1e-3)
        # Except for the bias of the pairing features, which says that pairing is looked at.
        net.pairing.bias.zero_()  # type: ignore[union-attr]
        torch.testing.assert_close(net(hidden), net(without.batch(index)), rtol=1e-5, atol=1e-6)


def test_a_hidden_letter_is_not_seen_and_outside_of_training_none_is_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = {**SMALL_NETS["ribo"], "dropout": 0.0, "pair_dropout": 0.0, "letter_dropout": 0.5}
    net = build_net("ribo", TOKEN_SIZES, arguments).train()
    batch = sequences().batch(np.array([2]))
    place = torch.arange(batch.tokens.shape[1])
    draws = (place % 2).expand(1, -1).float()  # every other letter is hidden
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: draws)
    hidden, shown = (
        batch._replace(tokens=torch.where(place % 2 == odd, (batch.tokens + 1) % 4, batch.tokens))
        for odd in (0, 1)
    )
    with torch.no_grad():
        torch.testing.assert_close(net(hidden), net(batch), rtol=0, atol=0)
        assert not torch.allclose(net(shown), net(batch), atol=1e-3)
        net.eval()
        assert not torch.allclose(net(hidden), net(batch), atol=1e-3)


def test_the_share_of_hidden_letters_is_that_of_the_setting() -> None:
    net = build_net("ribo", TOKEN_SIZES, {**SMALL_NETS["ribo"], "letter_dropout": 0.2}).train()
    mask = torch.ones(400, 50, dtype=torch.bool)
    mask[:, 40:] = False
    shown = net._shown(mask)  # type: ignore[operator]
    assert not shown[:, 40:].any()
    assert shown[:, :40].float().mean() == pytest.approx(0.8, abs=0.02)


def test_longer_than_anything_seen_stays_finite_and_local() -> None:
    """A network without absolute positions says of the middle of a long sequence what it says of a shorter cut."""
    net = make("ribo")
    tokens = torch.randint(0, 4, (1, 600), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = net(TokenBatch(tokens, torch.ones(1, 600, dtype=torch.bool)))
    assert torch.isfinite(y).all()


@every_net
def test_apply_gives_each_case_its_own_result_whatever_the_batches(name: str) -> None:
    model, source = OneShotModel(make(name)).train(), sequences()
    found = apply(model, source, [4, 0, 2])
    assert model.training  # as it was before
    assert [len(rows) for rows in found] == [31, 31, 50]
    model.eval()
    for m, rows in zip([4, 0, 2], found, strict=True):
        (alone,) = apply(model, source, [m])
        np.testing.assert_allclose(rows, alone, rtol=1e-5, atol=1e-5)


def test_batches_of_similar_lengths_are_bounded_and_complete() -> None:
    index = np.array([5, 3, 0, 2, 1])
    parts = list(similar_lengths(LENGTHS, index, elements=31 * 31 * 2))
    assert sorted(np.concatenate(parts)) == [0, 1, 2, 3, 4]
    for part in parts:
        lengths = LENGTHS[index[part]]
        assert len(part) == 1 or len(part) * lengths.max() ** 2 <= 31 * 31 * 2
