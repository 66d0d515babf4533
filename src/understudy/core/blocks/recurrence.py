"""A diagonal linear recurrence over a whole sequence at once, and the layer around it.

Axes: B cases, T rows, S complex states, D = ``dim``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_CHUNK = 32  # rows that one matrix of powers covers; sequences longer than its square take another level
_SLOWEST, _FASTEST = 1e-3, 0.5  # decay of a state a row, at first


def scan(log_decay: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
    """``h[k] = exp(log_decay) · h[k-1] + inputs[k]`` with ``h[-1] = initial``, for all k.

    Within a chunk the recurrence is a product with the powers of the decay; from chunk to chunk it is the same
    recurrence again, with the decay of a whole chunk, on a sequence that is shorter by the length of a chunk.

    Args:
        log_decay: ``(S,)`` complex, real part below zero.
        inputs: ``(B, T, S)`` complex.
        initial: ``(B, S)`` complex.

    Returns:
        ``(B, T, S)`` complex.
    """
    n_batch, n_rows, n_states = inputs.shape
    size = min(_CHUNK, n_rows)
    n_chunks = -(-n_rows // size)
    padded = functional.pad(inputs, (0, 0, 0, n_chunks * size - n_rows))
    # One product for all cases and chunks: (S, size, size) by (S, size, B · chunks).
    columns = padded.reshape(n_batch * n_chunks, size, n_states).permute(2, 1, 0)
    within = (_powers(log_decay, size) @ columns).permute(2, 1, 0)
    within = within.reshape(n_batch, n_chunks, size, n_states)
    before = initial.unsqueeze(1)
    if n_chunks > 1:
        before = torch.cat([before, scan(log_decay * size, within[:, :-1, -1], initial)], dim=1)
    steps = torch.arange(1, size + 1, device=inputs.device).unsqueeze(-1)
    carried = torch.exp(steps * log_decay) * before.unsqueeze(2)
    rows: Tensor = (within + carried).flatten(1, 2)[:, :n_rows]
    return rows


def _powers(log_decay: Tensor, size: int) -> Tensor:
    """``(S, size, size)``: power ``i - j`` of the decay where ``i >= j``, else zero."""
    place = torch.arange(size, device=log_decay.device)
    apart = place[:, None] - place[None, :]
    powers = torch.exp(apart.clamp(min=0) * log_decay[:, None, None])
    return torch.where(apart >= 0, powers, torch.zeros((), dtype=powers.dtype, device=powers.device))


class LinearRecurrence(nn.Module):
    """A linear recurrent unit: ``h[k] = λ h[k-1] + γ B x[k]``, ``y[k] = Re(C h[k]) + D x[k]``, λ diagonal, complex.

    Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences", section 3: λ is
    ``exp(-exp(ν) + iθ)``, so that it is stable whatever is learnt, and ``γ = sqrt(1 - |λ|²)`` keeps the size of h
    that of its input.

    Args:
        dim: of input and output.
        n_modes: complex states.
    """

    def __init__(self, dim: int, n_modes: int) -> None:
        super().__init__()
        self.nu = nn.Parameter(torch.empty(n_modes).uniform_(math.log(_SLOWEST), math.log(_FASTEST)))
        self.theta = nn.Parameter(torch.empty(n_modes).uniform_(0, math.pi / 3))
        self.b = nn.Parameter(torch.randn(2 * n_modes, dim) / math.sqrt(2 * dim))
        self.c = nn.Parameter(torch.randn(dim, 2 * n_modes) / math.sqrt(n_modes))
        self.d = nn.Parameter(torch.randn(dim) / 2)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` (B, T, D) and ``state`` (B, 2 · S) to the outputs (B, T, D) and the state after them."""
        with torch.autocast(x.device.type, enabled=False):  # sums over long times need all their digits
            rate = torch.exp(self.nu)
            gamma = torch.sqrt(-torch.expm1(-2 * rate)).repeat_interleave(2).unsqueeze(-1)
            driven = functional.linear(x.float(), gamma * self.b)
            log_decay = torch.complex(-rate, self.theta)
            h = torch.view_as_real(scan(log_decay, _complex(driven), _complex(state.float()))).flatten(-2)
            y = functional.linear(h, self.c) + self.d * x
        return y, h[:, -1]


def _complex(pairs: Tensor) -> Tensor:
    """``(…, 2 · S)`` real and imaginary parts in turn to ``(…, S)``."""
    return torch.complex(*pairs.reshape(*pairs.shape[:-1], -1, 2).unbind(-1))
