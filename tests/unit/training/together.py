"""Trains a small network on known data, alone or with others: ``python together.py FOLDER PROCESSES``.

The first process starts the others with the same command; they find themselves numbered.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from helpers import SMALL_NETS, linear_table
from understudy.core.baselines import fit_scaler, sizes_of
from understudy.core.model import Model
from understudy.core.nets import build_net
from understudy.core.tasks import Rollout
from understudy.ranks import Followed, helpers
from understudy.training import FitOptions, fit

CASES, ROWS, IN_LEN, BATCH = 6, 68, 4, 32  # 64 windows a case: every batch is full


def train(folder: Path, processes: int, *, epochs: int = 2) -> Model:
    """The trained network, its checkpoints in ``folder``.

    Raises:
        Followed: this was not the first process.
    """
    task = Rollout(IN_LEN, 1)
    table = linear_table(CASES, ROWS)
    torch.manual_seed(1)
    network = build_net("lstm", sizes_of(table, task), {**SMALL_NETS["lstm"], "dropout": 0.0})
    model = Model(network, fit_scaler(table, [0, 1, 2, 3]))
    options = FitOptions(
        epochs=epochs,
        batch_size=BATCH,
        lr=1e-3,
        seed=1,
        accelerator="cpu",
        devices=processes,
        precision="32-true",
    )
    fit(model, task, table, [0, 1, 2, 3], [4, 5], options, folder)
    return model


if __name__ == "__main__":
    command = [sys.executable, *sys.argv]
    try:
        with helpers(command, "", int(sys.argv[2]), 1):
            trained = train(Path(sys.argv[1]), int(sys.argv[2]))
            torch.save(trained.state_dict(), Path(sys.argv[1]) / "weights.pt")
    except Followed:
        pass
