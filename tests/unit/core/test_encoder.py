"""What the encoder leaves out must not be missed: the same numbers as torch's own layers over all positions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from understudy.core.blocks.encoder import Encoder, EncoderLayer

DIM, FC_DIM = 24, 32


def plain(layer: EncoderLayer) -> nn.TransformerEncoderLayer:
    """torch's layer with the same weights."""
    other = nn.TransformerEncoderLayer(DIM, layer.heads, FC_DIM, 0.0, batch_first=True)
    with torch.no_grad():
        other.self_attn.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key_value.weight]))
        other.self_attn.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key_value.bias]))
        other.self_attn.out_proj.load_state_dict(layer.out.state_dict())
        other.linear1.load_state_dict(layer.feed_forward[0].state_dict())
        other.linear2.load_state_dict(layer.feed_forward[3].state_dict())
        other.norm1.load_state_dict(layer.norm1.state_dict())
        other.norm2.load_state_dict(layer.norm2.state_dict())
    return other


@pytest.mark.parametrize("heads", [1, 3, 8])
@pytest.mark.parametrize(("length", "n_last"), [(11, 1), (11, 2), (11, 11), (40, 3), (1, 1)])
def test_layer_gives_what_torch_gives_and_so_do_its_gradients(heads: int, length: int, n_last: int) -> None:
    torch.manual_seed(0)
    layer = EncoderLayer(DIM, heads, FC_DIM, 0.0).double()
    for bias in (layer.query.bias, layer.key_value.bias):
        nn.init.normal_(bias)
    other = plain(layer).double()
    x = torch.randn(5, length, DIM, dtype=torch.float64, requires_grad=True)
    ours: Tensor = layer(x, n_last)
    theirs = other(x)[:, -n_last:]
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    mine = torch.autograd.grad((ours * weight).sum(), [x, layer.key_value.weight, layer.query.weight])
    his = torch.autograd.grad((theirs * weight).sum(), [x, other.self_attn.in_proj_weight])
    torch.testing.assert_close(mine[0], his[0])
    torch.testing.assert_close(torch.cat([mine[2], mine[1]]), his[1])


@pytest.mark.parametrize("n_last", [1, 2, 9])
def test_few_positions_of_an_encoder_are_those_of_all(n_last: int) -> None:
    torch.manual_seed(1)
    encoder = Encoder(DIM, 3, 4, FC_DIM, 0.0).double()
    x = torch.randn(4, 9, DIM, dtype=torch.float64)
    torch.testing.assert_close(encoder(x, n_last), encoder(x, 9)[:, -n_last:])


def test_attention_to_rows_is_chosen_where_it_saves_work(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = EncoderLayer(DIM, 2, FC_DIM, 0.0)
    chosen: list[str] = []
    for name in ("_attend", "_attend_to_rows"):
        monkeypatch.setattr(
            layer, name, lambda asked, x, name=name: (chosen.append(name), torch.zeros_like(asked))[1]
        )
    layer(torch.randn(2, 11, DIM), 1)
    layer(torch.randn(2, 11, DIM), 11)
    assert chosen == ["_attend_to_rows", "_attend"]
