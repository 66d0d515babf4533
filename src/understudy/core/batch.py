"""A batch of cases of unequal length for networks that map all inputs to all outputs in one pass.

Axes: B cases, L positions of the longest case of the batch.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TokenBatch(NamedTuple):
    """What a one-shot network sees.

    Attributes:
        tokens: ``(B, L)`` int64; anything where ``mask`` is false.
        mask: ``(B, L)`` bool, true at the positions of a case and false behind its end.
        pairs: ``(B, L, L)`` float32, how probable it is that two positions pair: symmetric, zero behind the end
            of a case. On the diagonal stands how probably a position pairs with one that the batch does not show;
            zero for whole cases. None where nothing is known of any case.
        known: ``(B,)`` bool, whether ``pairs`` says something about the case. None with ``pairs``.
    """

    tokens: Tensor
    mask: Tensor
    pairs: Tensor | None = None
    known: Tensor | None = None
