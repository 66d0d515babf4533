"""Two processes that share every batch learn what one learns from the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from understudy.core.windows import WindowLoader, Windows
from understudy.errors import ConfigError
from understudy.ranks import helpers, is_launched, rank
from understudy.training import FitOptions
from unit.training.together import BATCH, CASES, IN_LEN, ROWS, train

HERE = Path(__file__).parent


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    paths = [str(HERE.parents[1]), str(HERE.parents[2] / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(HERE / "together.py"), str(tmp_path / "two"), "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alone = train(tmp_path / "one", 1).state_dict()
    together = torch.load(tmp_path / "two" / "weights.pt", weights_only=True)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=0.0, atol=1e-5)
    first, second = (
        torch.load(tmp_path / run / "last.ckpt", weights_only=True)["callbacks"] for run in ("one", "two")
    )
    assert len(first) == len(second)
    assert not (tmp_path / "two" / "1").exists()


def test_the_shares_of_a_batch_are_the_batch() -> None:
    from helpers import linear_table

    windows = Windows(linear_table(CASES, ROWS), [0, 1, 2, 3], history=IN_LEN, horizon=1)
    whole = list(WindowLoader(windows, batch_size=BATCH, seed=1))
    shares = [
        list(WindowLoader(windows, batch_size=BATCH // 2, seed=1, rank=r, world_size=2)) for r in (0, 1)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        together = torch.stack(parts, dim=1).flatten(0, 1)
        assert torch.equal(together, batch)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"settings\.batch_size 33 is shared by 2 processes"):
        FitOptions(epochs=1, batch_size=33, lr=0.1, seed=0, devices=2)


def test_several_machines_need_somebody_who_starts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "RANK", "SLURM_NTASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert (is_launched(), rank()) == (False, 0)
    with pytest.raises(ConfigError, match="srun or torchrun"), helpers([], "", 1, 2):
        pass
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert (is_launched(), rank()) == (True, 3)
    with helpers([], "", 1, 4):
        pass
