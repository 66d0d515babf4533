"""Sweeps of toy trials: in this process, or in processes that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from helpers import Done, Run, own_folder
from sweep import toy
from understudy import cli
from understudy.sweep.storage import open_storage

TOY = Path(toy.__file__)
QUIET = ("tracking=none", "settings.epochs=2")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with own_folder(tmp_path, monkeypatch):
        yield


@pytest.fixture
def sweep(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``toy.py -m …`` in this process."""

    def call(*overrides: str) -> Done:
        open_storage.cache_clear()  # as in a new process
        monkeypatch.setattr(sys, "argv", [str(TOY), "-m", *QUIET, *overrides])
        capsys.readouterr()
        try:
            cli.guarded(toy.main, debug=False)
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return call


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``toy.py -m …`` in a process of its own; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def call(*overrides: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(TOY), "-m", *QUIET, *overrides],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    """What a process said until it ended well."""
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    return out


def the_study(folder: Path) -> optuna.Study:
    """The only study of a folder."""
    (database,) = (folder / "sweeps").glob("*.db")
    (name,) = optuna.get_all_study_names(f"sqlite:///{database}")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{database}")


def states(study: optuna.Study) -> list[str]:
    return [t.state.name for t in study.get_trials(deepcopy=False)]
