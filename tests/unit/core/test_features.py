"""Features of cases, and the head that learns errors from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import SIZES, SMALL_NETS
from understudy.core.features import fit_loss_head, head_inputs, moments
from understudy.core.nets import WindowNet, build_net
from understudy.errors import ConfigError


@pytest.mark.parametrize("name", [n for n in SMALL_NETS if n not in ("persistence", "starter", "ribo")])
def test_the_head_of_every_network_has_inputs(name: str) -> None:
    net = build_net(name, SIZES, SMALL_NETS[name])
    assert isinstance(net, WindowNet)
    past, control = torch.randn(5, SIZES.in_len, SIZES.n_signals), torch.randn(5, 1, SIZES.n_controls)
    with head_inputs(net.layers()) as seen:
        y = net.eval()(past, control)
    (rows,) = seen
    assert len(rows) == len(y)
    assert torch.isfinite(rows).all()
    assert not rows.requires_grad
    net(past, control)
    assert len(seen) == 1  # closed: nothing is watched any more


def test_without_layers_there_are_no_features() -> None:
    net = build_net("persistence", SIZES, {})
    with pytest.raises(ConfigError, match="no features"), head_inputs(net.layers()):
        pass


def test_moments_are_mean_and_deviation() -> None:
    rows = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(moments(rows), [2.0, 5.0, 1.0, 0.0])


def test_errors_are_learnt_from_features() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 6, generator=generator)
    direction = torch.nn.functional.layer_norm(x, (6,))[:, 2]
    error = torch.nn.functional.softplus(0.8 * direction - 1.5)
    x[0, 0], error[1] = float("nan"), float("nan")
    head = fit_loss_head(x[:400], error[:400])
    with torch.no_grad():
        found = head(x[400:])
    assert float(np.corrcoef(found, error[400:])[0, 1]) > 0.9
    truth = error[400:]
    assert float((found - truth).abs().mean()) < 0.2 * float((truth - truth.median()).abs().mean())


def test_fitting_is_of_its_seed_and_leaves_the_random_numbers_alone() -> None:
    x, error = torch.randn(50, 3), torch.rand(50)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, two = fit_loss_head(x, error, seed=1), fit_loss_head(x, error, seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.linear.weight, two.linear.weight)
