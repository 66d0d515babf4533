"""How fast reactivities are learnt: ``python -m benchmarks.rna_speed``.

`starter`, trained as `understudy train` does, against the loop that a competitor would write:
`nn.TransformerEncoder`, every molecule padded to 206 positions, full precision. The same molecules, lengths as in
the competition, the same weights: in full precision the losses of both must agree. Then what the batches of an
epoch cost beside its training, and which share of the machine's rate of multiplying matrices training reaches.

    python -m benchmarks.rna_speed                    two minutes on two cores
    python -m benchmarks.rna_speed --molecules 800000 batches of the whole competition
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import RESULTS, alternate, surroundings
from understudy.core.batch import TokenBatch
from understudy.core.blocks import sinusoidal_positions
from understudy.core.nets.starter import Starter
from understudy.core.nets.tokens import TokenSizes
from understudy.core.oneshot import OneShotModel
from understudy.rna.batches import Probed, ReactivityBatch
from understudy.rna.loader import MoleculeLoader
from understudy.rna.molecules import Molecules
from understudy.rna.pairing import Pairs
from understudy.rna.task import Reactivities
from understudy.training.fit import automatic_precision

LONGEST = 206
# Shares of the lengths in the competition's training data.
LENGTHS, SHARES = np.array([177, 170, 206, 155, 115]), np.array([0.971, 0.019, 0.004, 0.003, 0.003])
PAIRS_A_MOLECULE = 400
TASK = Reactivities(weighting="none", noisy=False, error_weight=0)


def made(n: int, *, pairs: bool) -> Probed:
    """``n`` molecules of the competition's lengths with random contents."""
    rng = np.random.default_rng(0)
    lengths = rng.choice(LENGTHS, n, p=SHARES / SHARES.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    size = int(offsets[-1])
    values = rng.random((size, 2), dtype=np.float32)
    molecules = Molecules(
        ids=tuple(map(str, range(n))),
        offsets=offsets,
        tokens=rng.integers(0, 4, size).astype(np.uint8),
        reactivity=values,
        error=values,
        signal_to_noise=np.full((n, 2), 3, np.float32),
        reads=np.full((n, 2), 500, np.float32),
        sn_filter=np.ones((n, 2), bool),
        dataset=np.zeros(n, np.int16),
        dataset_names=("made",),
    )
    if not pairs:
        return Probed(molecules)
    i = rng.integers(0, 80, n * PAIRS_A_MOLECULE).astype(np.uint16)
    j = (i + rng.integers(4, 30, len(i))).astype(np.uint16)
    p = rng.random(len(i), dtype=np.float32)
    return Probed(molecules, Pairs(np.arange(n + 1) * PAIRS_A_MOLECULE, i, j, p))


class PlainModel(nn.Module):
    """The starter notebook's network from PyTorch's own parts."""

    def __init__(self, like: Starter) -> None:
        super().__init__()
        dim, depth = like.embedding.embedding_dim, len(like.encoder)
        self.embedding = nn.Embedding(4, dim)
        layer = nn.TransformerEncoderLayer(
            dim, like.heads, 4 * dim, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(dim, 2)
        self.embedding.load_state_dict(like.embedding.state_dict())
        self.head.load_state_dict(like.head.state_dict())
        for mine, theirs in zip(self.encoder.layers, like.encoder, strict=True):
            theirs_state = theirs.state_dict()
            mine.load_state_dict(
                {
                    "self_attn.in_proj_weight": theirs_state["qkv.weight"],
                    "self_attn.in_proj_bias": theirs_state["qkv.bias"],
                    "self_attn.out_proj.weight": theirs_state["out.weight"],
                    "self_attn.out_proj.bias": theirs_state["out.bias"],
                    "linear1.weight": theirs_state["feed_forward.0.weight"],
                    "linear1.bias": theirs_state["feed_forward.0.bias"],
                    "linear2.weight": theirs_state["feed_forward.3.weight"],
                    "linear2.bias": theirs_state["feed_forward.3.bias"],
                    **{k: v for k, v in theirs_state.items() if k.startswith("norm")},
                }
            )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.embedding(tokens) + sinusoidal_positions(tokens.shape[1], self.embedding.embedding_dim)
        return self.head(self.encoder(x, src_key_padding_mask=~mask))  # type: ignore[no-any-return]


def padded(batch: ReactivityBatch) -> ReactivityBatch:
    """The batch with every molecule as long as the longest of the data set."""
    more = LONGEST - batch.inputs.tokens.shape[1]
    inputs = TokenBatch(
        nn.functional.pad(batch.inputs.tokens, (0, more)), nn.functional.pad(batch.inputs.mask, (0, more))
    )
    reactivity = nn.functional.pad(batch.reactivity, (0, 0, 0, more), value=float("nan"))
    return batch._replace(inputs=inputs, reactivity=reactivity)


def plain_loss(model: PlainModel, batch: ReactivityBatch) -> Tensor:
    y = model(batch.inputs.tokens, batch.inputs.mask)
    measured = torch.isfinite(batch.reactivity)
    return (y[measured] - batch.reactivity[measured].clamp(0, 1)).abs().mean()


def steps(
    model: nn.Module,
    loss: Callable[[Any, ReactivityBatch], Tensor],
    batches: list[ReactivityBatch],
    precision: str,
) -> Callable[[], None]:
    """One training step on each of the batches."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.05)

    def run() -> None:
        model.train()
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                value = loss(model, batch)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 3.0)
            optimizer.step()

    return run


def operations(net: Starter, batches: list[ReactivityBatch]) -> float:
    """Multiplications and additions of training on the batches: three times those of a forward pass."""
    dim, depth = net.embedding.embedding_dim, len(net.encoder)
    total = 0.0
    for batch in batches:
        n, length = batch.inputs.tokens.shape
        total += n * length * depth * (2 * 12 * dim * dim + 4 * length * dim)
    return 3 * total


def rate(dtype: torch.dtype) -> float:
    """Operations a second of multiplying matrices of the network's shapes, the best of several."""
    a, b = torch.randn(8192, 768).to(dtype), torch.randn(768, 192).to(dtype)
    best = 0.0
    for _ in range(20):
        begin = time.perf_counter()
        torch.mm(a, b)
        best = max(best, 2 * 8192 * 768 * 192 / (time.perf_counter() - begin))
    return best


def loading(n: int, seconds_a_position: float, *, pairs: bool) -> tuple[float, float]:
    """Seconds to make all batches of an epoch over ``n`` molecules, and their share of the time of training."""
    data = made(n, pairs=pairs)
    loader: MoleculeLoader = TASK.loader(data, range(n), batch_size=256, seed=0)
    begin = time.perf_counter()
    for _ in loader:
        pass
    seconds = time.perf_counter() - begin
    return seconds, seconds / (len(data.molecules.tokens) * seconds_a_position)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, default=50_000, help="of the epoch whose batches are timed")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    net = Starter(TokenSizes(4, 2, 2))
    ours, plain = OneShotModel(net), PlainModel(net)
    data = made(512, pairs=False)
    batches = list(TASK.loader(data, range(512), batch_size=32, seed=0))[:4]
    wide = [padded(batch) for batch in batches]
    ours.eval(), plain.eval()
    with torch.no_grad():
        gap = max(
            abs(float(TASK.loss(ours, a)) - float(plain_loss(plain, b)))
            for a, b in zip(batches, wide, strict=True)
        )
    if gap > 1e-5:
        raise SystemExit(f"the losses differ by {gap:g}: not the same network")
    positions = sum(int(batch.inputs.mask.sum()) for batch in batches)
    precision = automatic_precision("cpu")
    taken = alternate(
        {
            "plain": steps(plain, plain_loss, wide, "32-true"),
            "ours, full precision": steps(OneShotModel(net), TASK.loss, batches, "32-true"),
            f"ours, {precision}": steps(OneShotModel(net), TASK.loss, batches, precision),
        },
        options.repeats,
    )
    default = taken[f"ours, {precision}"].wall
    fp32, bf16 = rate(torch.float32), rate(torch.bfloat16)
    lines = ["# Speed of training on nucleotides", "", "Made by `python -m benchmarks.rna_speed`.", ""]
    lines += [f"- {k}: {v}" for k, v in surroundings().items()]
    lines += [f"- largest difference of the losses in full precision: {gap:.1e}", ""]
    lines += [
        "| training of `starter` | positions/s | ratio | GFLOP/s | of the rate of matrices |",
        "|---" * 5 + "|",
    ]
    for name, seconds in taken.items():
        work = operations(net, wide if name == "plain" else batches) / seconds.wall
        peak = bf16 if "bf16" in name else fp32
        lines.append(
            f"| {name} | {positions / seconds.wall:,.0f} | {taken['plain'].wall / seconds.wall:.2f} | "
            f"{work / 1e9:.0f} | {work / peak:.0%} of {peak / 1e9:.0f} GFLOP/s |"
        )
    lines += ["", "The goal is 1.5. Positions are nucleotides; padding does not count.", ""]
    lines += ["| batches of an epoch | molecules | s | of the time of training `starter` |", "|---" * 4 + "|"]
    for pairs in (False, True):
        n = min(options.molecules, 50_000) if pairs else options.molecules
        seconds, share = loading(n, default / positions, pairs=pairs)
        lines.append(f"| {'with' if pairs else 'without'} pairing | {n:,} | {seconds:.1f} | {share:.2%} |")
    lines += ["", "The goal is 5 %.", ""]
    (RESULTS / "rna_speed.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
