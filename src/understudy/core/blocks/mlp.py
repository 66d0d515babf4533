"""Multi-layer perceptron."""

from itertools import pairwise

from torch import nn


def mlp(
    n_inputs: int, width: int, depth: int, n_outputs: int, *, end_activation: bool = False
) -> nn.Sequential:
    """``depth`` linear layers ``n_inputs → width → … → n_outputs`` with ReLU between them (and at the end)."""
    sizes = [n_inputs, *[width] * (depth - 1), n_outputs]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*(layers if end_activation else layers[:-1]))
