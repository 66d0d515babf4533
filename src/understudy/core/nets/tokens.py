"""What every network that maps the tokens of a case to its outputs in one pass has in common.

Axes: B cases, L positions, K outputs a position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from understudy.core.batch import TokenBatch


class TokenSizes(NamedTuple):
    """What the data decide about a network: letters of the alphabet, outputs a position, targets among them.

    The first ``n_targets`` outputs are the targets; the others are predicted errors of the targets.
    """

    n_tokens: int
    n_outputs: int
    n_targets: int


class TokenNet(nn.Module, ABC):
    """Maps all inputs of a case to all outputs in one pass.

    A prediction must not depend on the other cases of the batch, nor on how far the batch is padded.
    ``uses_pairs`` says whether it looks at ``pairs`` at all.
    """

    uses_pairs: ClassVar[bool] = False

    def __init__(self, sizes: TokenSizes) -> None:
        super().__init__()
        self.sizes = sizes

    @property
    def n_fitting(self) -> tuple[int, int]:
        """Controls and predicted signals of a data specification that fits: the letters, and all outputs."""
        return 1, self.sizes.n_outputs

    @abstractmethod
    def forward(self, batch: TokenBatch) -> Tensor:
        """Outputs ``(B, L, K)``; behind the end of a case they are not defined."""

    @abstractmethod
    def bytes_for(self, length: int, batch: int) -> int:
        """An estimate of the memory of one forward pass over ``batch`` cases of ``length`` positions."""

    def layers(self) -> list[nn.Module]:
        """The parts from input to head, for fine-tuning layer by layer; every parameter is in exactly one."""
        return list(self.children())
