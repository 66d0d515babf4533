"""Building blocks of the networks, one a file."""

from understudy.core.blocks.encoder import Encoder, sinusoidal_positions
from understudy.core.blocks.mlp import mlp
from understudy.core.blocks.operator import BranchHead

__all__ = ["BranchHead", "Encoder", "mlp", "sinusoidal_positions"]
