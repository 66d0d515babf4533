"""The way of the reference system, written from its description: the baseline of every ratio.

It is meant to be the straightforward program, not a strawman. It reads each file with pandas, thins it with
one ``np.polyfit`` a row, stores every overlapping window in double precision, trains from a ``DataLoader`` over
the stored windows with the layers of ``torch.nn`` at all positions, and rolls out one case at a time, the whole
history copied at every step. The two alignment errors of the original are left out, so that predictions can be
compared number by number.

Axes: B windows of a batch, L past rows, O predicted rows, C controls, N predicted signals, F = C + N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from understudy.core import blocks
from understudy.core.nets import Sizes, WindowNet
from understudy.core.nets.operator import DeepOLSTM, DeepONet, DeepOTransformer
from understudy.core.nets.sequence import LSTM, Transformer

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

# Reading


def decimate(rows: Doubles, step: float) -> Doubles:
    """Rows (T, 1 + F) with the time in front, interpolated at ``step``, 2·``step``, …; the first is dropped."""
    picked = []
    pick = step
    for i in range(1, len(rows)):
        if rows[i, 0] > pick:
            slope, offset = np.polyfit(rows[i - 1 : i + 1, 0], rows[i - 1 : i + 1], 1)
            picked.append(slope * pick + offset)
            pick += step
    return np.array(picked)


def read_cases(folder: Path, step: float | None) -> list[Doubles]:
    """Every file of ``folder`` as (T, F) without the time: one header row, one row of units, numbers."""
    cases = []
    for path in sorted(folder.glob("*.csv")):
        rows = pd.read_csv(path, skiprows=[1]).to_numpy()
        if step is not None:
            rows = decimate(rows, step)
        cases.append(rows[:, 1:])
    return cases


# Windows


@dataclass
class StoredWindows:
    """All windows of all cases, standardised: ``past`` (W, L, F), ``control`` (W, O, C), ``truth`` (W, O, N)."""

    past: Tensor
    control: Tensor
    truth: Tensor
    mean: Doubles
    std: Doubles

    def loader(self, batch_size: int) -> DataLoader[Any]:
        """Shuffled batches, assembled sample by sample in this process, as ``DataLoader`` does by default."""
        dataset = TensorDataset(self.past, self.control, self.truth)
        return DataLoader(dataset, batch_size=batch_size, shuffle=True)


def windows_of_case(rows: Doubles, sizes: Sizes) -> tuple[Doubles, Doubles, Doubles]:
    """The windows of one case, in double precision."""
    past, control, truth = [], [], []
    for first in range(len(rows) - sizes.in_len - sizes.out_len + 1):
        end = first + sizes.in_len
        past.append(rows[first:end])
        control.append(rows[end : end + sizes.out_len, : sizes.n_controls])
        truth.append(rows[end : end + sizes.out_len, sizes.n_controls :])
    return np.array(past), np.array(control), np.array(truth)


def store_windows(cases: list[Doubles], sizes: Sizes) -> StoredWindows:
    """Windows of all cases stacked (all cases have one length), then standardised with their own statistics."""
    parts = [windows_of_case(rows, sizes) for rows in cases]
    past, control, truth = (np.array(list(part)) for part in zip(*parts, strict=True))
    mean, std = past.mean(axis=(0, 1, 2)), past.std(axis=(0, 1, 2))
    c = sizes.n_controls
    past = (past - mean) / std
    control = (control - mean[:c]) / std[:c]
    truth = (truth - mean[c:]) / std[c:]
    past_t, control_t, truth_t = (
        torch.tensor(x, dtype=torch.float32).flatten(0, 1) for x in (past, control, truth)
    )
    return StoredWindows(past_t, control_t, truth_t, mean, std)


# Networks: forward(past (B, L, F), control (B, O, C)) -> (B, O, N)


class Encoding(nn.Module):
    """Adds sinusoidal positions, then dropout."""

    codes: Tensor

    def __init__(self, dim: int, dropout: float, longest: int = 5000) -> None:
        super().__init__()
        position = torch.arange(longest, dtype=torch.float32).unsqueeze(1)
        rate = torch.exp(torch.arange(0, dim, 2, dtype=torch.float32) * (-math.log(10000.0) / dim))
        codes = torch.zeros(longest, dim)
        codes[:, 0::2], codes[:, 1::2] = torch.sin(position * rate), torch.cos(position * rate)
        self.register_buffer("codes", codes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x + self.codes[: x.shape[1]])  # type: ignore[no-any-return]


def encoder(dim: int, depth: int, heads: int, fc_dim: int, dropout: float) -> nn.TransformerEncoder:
    """The encoder of ``torch.nn``: post-norm, ReLU, a LayerNorm at the end."""
    layer = nn.TransformerEncoderLayer(dim, heads, fc_dim, dropout, batch_first=True)
    return nn.TransformerEncoder(layer, depth, nn.LayerNorm(dim), enable_nested_tensor=False)


class Operator(nn.Module):
    """Trunk features of every past row times branch features of the control."""

    def __init__(self, trunk: nn.Module, branch: nn.Module, n_predicted: int, width: int) -> None:
        super().__init__()
        self.trunk, self.branch, self.width = trunk, branch, width
        self.bias = nn.Parameter(torch.zeros(n_predicted))

    def forward(self, past: Tensor, control: Tensor) -> Tensor:
        trunk = self.trunk(past).unflatten(-1, (-1, self.width))
        branch = self.branch(control).unflatten(-1, (-1, self.width))
        return (trunk[:, -control.shape[1] :] * branch).sum(-1) + self.bias


class Recurrent(nn.Module):
    """The hidden states of an LSTM at all positions."""

    def __init__(self, n_inputs: int, dim: int, depth: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_inputs, dim, depth, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]  # type: ignore[no-any-return]


class Sequence(nn.Module):
    """Past rows and controls as one sequence through ``body``; the head sees every position."""

    def __init__(self, sizes: Sizes, dim: int, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.past = nn.Linear(sizes.n_signals, dim)
        self.control = nn.Linear(sizes.n_controls, dim)
        self.body, self.head = body, head

    def forward(self, past: Tensor, control: Tensor) -> Tensor:
        tokens = torch.cat([self.past(past), self.control(control)], dim=1)
        return self.head(self.body(tokens))[:, -control.shape[1] :]  # type: ignore[no-any-return]


# From our networks: the same layers with the same weights


def _copy_encoder(ours: blocks.Encoder, dropout: float) -> nn.TransformerEncoder:
    first: Any = ours.layers[0]
    dim, fc_dim = first.feed_forward[0].in_features, first.feed_forward[0].out_features
    theirs = encoder(dim, len(ours.layers), first.heads, fc_dim, dropout)
    for layer, copy in zip(ours.layers, theirs.layers, strict=True):
        mine: Any = layer
        joint = {
            k: torch.cat([getattr(mine.query, k), getattr(mine.key_value, k)]) for k in ("weight", "bias")
        }
        copy.load_state_dict(
            {f"self_attn.in_proj_{k}": v for k, v in joint.items()}
            | {f"self_attn.out_proj.{k}": v for k, v in mine.out.state_dict().items()}
            | {f"linear1.{k}": v for k, v in mine.feed_forward[0].state_dict().items()}
            | {f"linear2.{k}": v for k, v in mine.feed_forward[3].state_dict().items()}
            | {
                f"{norm}.{k}": v
                for norm in ("norm1", "norm2")
                for k, v in getattr(mine, norm).state_dict().items()
            }
        )
    assert theirs.norm is not None
    theirs.norm.load_state_dict(ours.norm.state_dict())
    return theirs


def _copy_recurrent(ours: nn.LSTM) -> Recurrent:
    theirs = Recurrent(ours.input_size, ours.hidden_size, ours.num_layers)
    theirs.lstm.load_state_dict(ours.state_dict())
    return theirs


def _same(ours: nn.Module, theirs: nn.Module) -> nn.Module:
    theirs.load_state_dict(ours.state_dict())
    return theirs


def _copy_sequence(net: LSTM | Transformer) -> Sequence:
    dim = net.past_embedding.out_features
    if isinstance(net, LSTM):
        body: nn.Module = _copy_recurrent(net.lstm)
        last = nn.Linear(dim, net.sizes.n_predicted)
        head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.LayerNorm(dim), last)
    else:
        dropout = net.encoder.layers[0].dropout.p  # type: ignore[union-attr]
        body = nn.Sequential(Encoding(dim, net.emb_dropout.p), _copy_encoder(net.encoder, float(dropout)))  # type: ignore[arg-type]
        head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, net.sizes.n_predicted))
    theirs = Sequence(net.sizes, dim, body, _same(net.head, head))
    _same(net.past_embedding, theirs.past)
    _same(net.control_embedding, theirs.control)
    return theirs


def _plain_mlp(ours: nn.Sequential) -> nn.Sequential:
    layers = [
        nn.Linear(layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else nn.ReLU()
        for layer in ours
    ]
    return nn.Sequential(*layers)


def _copy_operator(net: DeepONet | DeepOLSTM | DeepOTransformer) -> Operator:
    width, n_predicted = net.head.width, net.sizes.n_predicted
    if isinstance(net, DeepONet):
        trunk: nn.Module = _same(net.trunk, _plain_mlp(net.trunk))
    elif isinstance(net, DeepOLSTM):
        out = nn.Linear(net.lstm.hidden_size, n_predicted * width)
        trunk = nn.Sequential(_copy_recurrent(net.lstm), _same(net.trunk_out[0], out), nn.ReLU())
    else:
        dim = net.embedding.out_features
        embedding = _same(net.embedding, nn.Linear(net.sizes.n_signals, dim))
        norm = _same(net.trunk_out[0], nn.LayerNorm(dim))
        out = _same(net.trunk_out[1], nn.Linear(dim, n_predicted * width))  # type: ignore[assignment]
        dropout = net.encoder.layers[0].dropout.p  # type: ignore[union-attr]
        encoded = _copy_encoder(net.encoder, float(dropout))  # type: ignore[arg-type]
        trunk = nn.Sequential(embedding, Encoding(dim, net.emb_dropout.p), encoded, norm, out, nn.ReLU())
    branch = _same(net.head.branch, _plain_mlp(net.head.branch))
    theirs = Operator(trunk, branch, n_predicted, width)
    theirs.bias.data.copy_(net.head.bias.data)
    return theirs


def plain_network(net: WindowNet) -> nn.Module:
    """The network as the reference writes it, with the weights of ours."""
    if isinstance(net, (LSTM, Transformer)):
        return _copy_sequence(net).train(net.training)
    if isinstance(net, (DeepONet, DeepOLSTM, DeepOTransformer)):
        return _copy_operator(net).train(net.training)
    raise TypeError(f"the reference has no {type(net).__name__}")


# Rollout


@torch.inference_mode()
def rollout_case(
    net: nn.Module, past: Floats, controls: Floats, mean: Floats, std: Floats, out_len: int
) -> Floats:
    """One case from ``past`` (L, F) and ``controls`` (T, C) to (T, N), physical units in and out."""
    c = controls.shape[1]
    in_len = len(past)
    history = (past - mean) / std
    scaled = (controls - mean[:c]) / std[:c]
    for k in range(0, len(controls), out_len):
        control = scaled[k : k + out_len]
        window = torch.from_numpy(history[-in_len:]).unsqueeze(0)
        y = net(window, torch.from_numpy(control).unsqueeze(0))
        history = np.concatenate([history, np.concatenate([control, y[0].numpy()], axis=1)])
    return history[in_len:, c:] * std[c:] + mean[c:]
