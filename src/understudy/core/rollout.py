"""Free rollout: all cases at once, the network fed with what it predicted itself.

Axes: B cases, L = ``in_len``, O = ``out_len``, T predicted rows, C controls, N predicted signals, F = C + N.

Alignment: row k is predicted from rows k-L … k-1 (all signals) and the controls of row k … k+O-1. The first
predicted row is the one after the history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from understudy.core.model import Ensemble, Model

# Predictions between two calls of the progress function: often enough for a bar, rare enough to be free.
_REPORT_EVERY = 50
# Controls of so many predictions are embedded at once: large products instead of many small ones, little memory.
_PREDICTIONS_A_STRETCH = 32


@torch.inference_mode()
def rollout(
    model: Model | Ensemble,
    histories: Tensor,
    controls: Sequence[Tensor],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Tensor]:
    """Predict every case to its end.

    Args:
        model: in evaluation mode, or dropout acts.
        histories: ``(B, L, F)`` measured rows, physical units.
        controls: per case ``(T, C)`` controls of the rows to predict; lengths may differ.
        on_progress: called now and then with rows done and rows in all.

    Returns:
        Per case ``(T, N)`` in physical units. Values that diverge are returned as they are, infinite or NaN.
    """
    if not controls:
        return []
    if isinstance(model, Ensemble):
        return _mean_rollout(model, histories, controls, on_progress)
    sizes, device, step = model.net.sizes, model.scaler.mean.device, model.net.rows_at_once
    # Longest first: the cases still running are always a prefix of the batch.
    order = sorted(range(len(controls)), key=lambda i: -len(controls[i]))
    lengths = [len(controls[i]) for i in order]
    padded = model.scaler(_pad([controls[i] for i in order], step).to(device))
    predicted = padded.new_empty(*padded.shape[:2], sizes.n_predicted)
    state = model.net.begin(model.scaler(histories[order].to(device)))
    running = len(order)
    stretch = _PREDICTIONS_A_STRETCH * step
    embedded = padded
    for first in range(0, lengths[0], step):
        while lengths[running - 1] <= first:
            running -= 1
        if running < len(state):
            state = state[:running]
        if first % stretch == 0:
            embedded = model.net.embed_control(padded[:running, first : first + stretch])
        rows, within = slice(first, first + step), first % stretch
        y, state = model.net.advance(
            state, padded[:running, rows], embedded[:running, within : within + step]
        )
        predicted[:running, rows] = y
        if on_progress is not None and first // step % _REPORT_EVERY == 0:
            on_progress(first, lengths[0])
    physical = model.scaler.undo(predicted, first=sizes.n_controls).cpu()
    result: list[Tensor] = [physical] * len(order)
    for place, i in enumerate(order):
        result[i] = physical[place, : lengths[place]].clone()
    return result


def _mean_rollout(
    ensemble: Ensemble,
    histories: Tensor,
    controls: Sequence[Tensor],
    on_progress: Callable[[int, int], None] | None,
) -> list[Tensor]:
    totals = [torch.zeros(())] * len(controls)
    for k, model in enumerate(ensemble.parts):
        totals = [total + y for total, y in zip(totals, rollout(model, histories, controls), strict=True)]
        if on_progress is not None:
            on_progress(k + 1, len(ensemble.parts))
    return [total / len(ensemble.parts) for total in totals]


def _pad(controls: Sequence[Tensor], step: int) -> Tensor:
    """``(B, T', C)``: the last control held to the longest length, rounded up to whole predictions."""
    longest = -(-max(len(c) for c in controls) // step) * step
    rows = [
        torch.cat([c, c[-1:].expand(longest - len(c), -1)]) if len(c) else c.new_zeros(longest, c.shape[1])
        for c in controls
    ]
    return torch.stack(rows)
