"""Sweeps on a Ray cluster of this machine; Ray itself is real."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from helpers import Run
from sweep.conftest import Start, ended, states, the_study

pytest.importorskip("ray", reason="Ray is not installed")


def test_trials_run_in_processes_of_ray(start: Start, tmp_path: Path) -> None:
    process = start("settings.seed=1,13,2,3", "hydra/launcher=ray")
    out = ended(process)
    assert "trial 1 failed: DataError: an unlucky number" in out
    study = the_study(tmp_path)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    owners = {t.user_attrs["understudy:owner"]["pid"] for t in study.trials}
    assert process.pid not in owners
    best = [t for t in study.trials if t.params["settings.seed"] == 2]
    assert [len(t.intermediate_values) for t in best] == [2], "each epoch was reported from over there"


def test_sigterm_ends_the_sweep_and_its_cluster(start: Start, tmp_path: Path) -> None:
    """Ray's own handler would abort the process, with a trace of its stack."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = start("settings.seed=666,1", "hydra/launcher=ray", TOY_FIFO=str(fifo))
    worker = int(fifo.read_text())  # waits until the trial is in the middle
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM, out
    assert "SIGTERM received" not in out
    assert states(the_study(tmp_path))[0] == "RUNNING"  # found dead by whoever comes next
    assert worker != process.pid


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (
            ["hydra.launcher.cpus_per_trial=100000"],
            "hydra.launcher.cpus_per_trial=100000: no machine of the Ray",
        ),
        (
            ["hydra.launcher.gpus_per_trial=100"],
            "hydra.launcher.gpus_per_trial=100: no machine of the Ray cluster",
        ),
        (["hydra.launcher.address=nonsense"], "the Ray cluster nonsense cannot be used"),
        (["hydra.launcher.address=127.0.0.1:9"], "the Ray cluster 127.0.0.1:9 cannot be used: [Errno 111]"),
        (["+hydra.launcher.init.nonsense=1"], "the Ray cluster of this machine cannot be used"),
    ],
)
def test_what_cannot_run_is_said_before_the_first_trial(
    start: Start, tmp_path: Path, overrides: list[str], complaint: str
) -> None:
    process = start("settings.seed=1,2", "hydra/launcher=ray", *overrides)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 2, out
    assert complaint in out
    assert "Traceback" not in out
    assert not list(tmp_path.glob("runs/*/*/started"))


def test_without_ray_it_says_how_to_install_it(sweep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    done = sweep("settings.seed=1,2", "hydra/launcher=ray")
    assert done.status == 2
    assert (
        done.err.strip()
        .splitlines()[-1]
        .endswith("hydra/launcher=ray needs Ray: pip install 'understudy[ray]'")
    )
