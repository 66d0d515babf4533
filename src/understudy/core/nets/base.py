"""What every network that predicts from a window has in common.

Axes: B cases, L = ``in_len`` past rows, O = ``out_len`` predicted rows, C controls, N predicted signals,
F = C + N all signals. Networks see scaled values; :class:`understudy.core.model.Model` holds the scales.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Sizes(NamedTuple):
    """What the data decide about a network."""

    in_len: int
    out_len: int
    n_controls: int
    n_predicted: int

    @property
    def n_signals(self) -> int:
        return self.n_controls + self.n_predicted


class WindowNet(nn.Module, ABC):
    """Predicts rows k … k+O-1 from rows k-L … k-1 (all signals) and the controls of rows k … k+O-1.

    A subclass gives three parts: :meth:`embed` looks at each past row by itself, :meth:`embed_control` at each
    control by itself, and :meth:`predict` at the embedded window and the embedded controls. In a rollout a
    row is embedded once, when it happens, and stays in the window for L steps; the controls, known in
    advance, are embedded many rows at once. The state of a rollout is the embedded window ``(B, L, E)``;
    networks with a recurrent state override :meth:`begin` and :meth:`push` instead.
    """

    has_state: ClassVar[bool] = False  # whether it runs on controls alone

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes

    @property
    def n_fitting(self) -> tuple[int, int]:
        """Controls and predicted signals of a data specification that fits."""
        return self.sizes.n_controls, self.sizes.n_predicted

    @property
    def rows_at_once(self) -> int:
        """Rows that one prediction of a rollout asks for."""
        return self.sizes.out_len

    def layers(self) -> list[nn.Module]:
        """The parts from input to head, for fine-tuning layer by layer; every parameter is in exactly one."""
        return [part for part in self.children() if any(True for _ in part.parameters())]

    def averaged(self) -> list[WindowNet]:
        """The networks whose mean this one predicts: itself, where it is one."""
        return [self]

    def embed(self, rows: Tensor) -> Tensor:
        """Rows ``(B, K, F)`` one by one to ``(B, K, E)``; by default as they are."""
        return rows

    def embed_control(self, control: Tensor) -> Tensor:
        """Controls ``(B, K, C)`` row by row to ``(B, K, G)``; by default as they are."""
        return control

    @abstractmethod
    def predict(self, state: Tensor, control: Tensor) -> Tensor:
        """State and the embedded controls ``(B, O, G)`` of the asked rows to ``(B, O, N)``."""

    def begin(self, past: Tensor) -> Tensor:
        """The state after the measured rows ``past`` (B, L, F)."""
        return self.embed(past)

    def push(self, state: Tensor, rows: Tensor) -> Tensor:
        """The state after the rows ``(B, K, F)`` have happened too."""
        return torch.cat([state, self.embed(rows)], dim=1)[:, -state.shape[1] :]

    def advance(self, state: Tensor, control: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """The prediction (B, K, N) of rows with the controls ``control`` (B, K, C), and the state after them.

        ``embedded`` is what :meth:`embed_control` made of the controls. The network is fed its own prediction.
        """
        y = self.predict(state, embedded)
        return y, self.push(state, torch.cat([control, y.to(control.dtype)], dim=-1))

    def forward(self, past: Tensor, control: Tensor) -> Tensor:
        """``past`` (B, L, F) and ``control`` (B, O, C) to (B, O, N)."""
        return self.predict(self.begin(past), self.embed_control(control))
