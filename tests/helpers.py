"""What several test files share: small networks, data whose law is known, and the result of a command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.nets import Sizes, TokenSizes
from understudy.core.spec import DataSpec, Role, Signal


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@contextmanager
def own_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test in a folder of its own; the log files that Hydra opens are closed again."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [h for h in root.handlers if h not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


# Arguments that keep every network small; a new network needs a line here to be covered by the contracts.
SMALL_NETS: dict[str, dict[str, int | float]] = {
    "persistence": {},
    "arx": {},
    "lstm": {"dim": 12, "depth": 2, "dropout": 0.1},
    "bt": {"dim": 12, "depth": 2, "heads": 2, "fc_dim": 16, "dropout": 0.1, "emb_dropout": 0.1},
    "don": {"trunk_depth": 2, "trunk_dim": 12, "branch_depth": 1, "branch_dim": 8, "width": 3},
    "dol": {"trunk_depth": 2, "trunk_dim": 12, "branch_depth": 2, "branch_dim": 8, "width": 3, "dropout": 0.1},
    "dot": {
        "heads": 2, "fc_dim": 16, "trunk_depth": 2, "trunk_dim": 12, "branch_depth": 2, "branch_dim": 8,
        "width": 3, "dropout": 0.1, "emb_dropout": 0.2,
    },
    "ssm": {"dim": 12, "depth": 2, "n_modes": 6, "dropout": 0.1, "encoder_dim": 8},
    "gru": {"dim": 12, "depth": 2, "dropout": 0.1, "encoder_dim": 8},
    "subnet": {"n_state": 4, "dim": 12, "encoder_dim": 8},
    "reservoirs": {"n_stores": 2, "from_zero": False},
    "starter": {"dim": 12, "depth": 2, "heads": 2, "fc_dim": 16, "dropout": 0.1},
    "ribo": {
        "dim": 12, "depth": 2, "heads": 2, "width": 16, "kernel": 5, "dropout": 0.1, "pair_dropout": 0.3,
        "letter_dropout": 0.2,
    },
}  # fmt: skip

TOKEN_SIZES = TokenSizes(n_tokens=4, n_outputs=4, n_targets=2)
SIZES = Sizes(in_len=4, out_len=1, n_controls=2, n_predicted=3)


def linear_table(n_cases: int = 12, n_rows: int = 400, *, seed: int = 0) -> CaseTable:
    """A stable linear system of second order, without noise.

    Row k of the outputs is a fixed combination of rows k-1 and k-2 and of the controls of rows k and k-1.
    """
    rng = np.random.default_rng(seed)
    spec = DataSpec(
        (
            Signal("u1", "V", Role.CONTROL),
            Signal("u2", "%", Role.CONTROL),
            Signal("flow", "g/s", Role.BYPRODUCT),
            Signal("power", "kW", Role.TARGET),
        )
    )
    cases = []
    for i in range(n_cases):
        u = np.repeat(rng.normal(size=(n_rows // 10 + 1, 2)), 10, axis=0)[:n_rows] + 0.1 * rng.normal(
            size=(n_rows, 2)
        )
        y = np.zeros((n_rows, 2))
        y[:2] = rng.normal(size=(2, 2))
        for k in range(2, n_rows):
            y[k, 0] = 1.2 * y[k - 1, 0] - 0.4 * y[k - 2, 0] + 0.3 * u[k, 0] + 0.1 * u[k - 1, 1]
            y[k, 1] = 0.7 * y[k - 1, 1] + 0.2 * y[k - 1, 0] + 0.5 * u[k, 1] + 0.3
        cases.append(Case(f"case{i + 1:04d}", np.hstack([u, y]).astype(np.float32)))
    return table_from_cases(spec, cases)


MUTATIONS = 0.03  # a read where the reactivity is 1


def sparse_control(
    rng: np.random.Generator, shape: tuple[int, ...], share: float = 0.2
) -> NDArray[np.float64]:
    """Rates of an untreated control that mutates at a few places only, and there too much."""
    return np.where(rng.random(shape) < share, rng.uniform(0.05, 1.0, shape), 0.0)


def counted_mutations(
    treated: NDArray[np.float64],
    control: NDArray[np.float64],
    rng: np.random.Generator,
    reads: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Reactivity, its error and what was subtracted, of counts with these rates; three decimals, as in files."""
    one, other = 1 / (MUTATIONS * reads), 3 / (MUTATIONS * reads)  # of a mutated read; a third are control
    counts, against = rng.poisson(treated / one), rng.poisson(control / other)
    error = np.sqrt(counts * one**2 + against * other**2)
    return np.round(counts * one - against * other, 3), np.round(error, 3), against * other
