"""kill -9 of a sweep, of a worker and of the database: nothing recorded is lost, the same command goes on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from sweep.conftest import Start, ended, states, the_study
from sweep.database import Server, postgresql
from understudy.sweep.study import DIED

pytestmark = pytest.mark.slow


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """Where a trial says that it is in the middle."""
    for name in ("fifo", "fifo.go"):
        os.mkfifo(tmp_path / name)
    return str(tmp_path / "fifo")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


def in_the_middle(process: subprocess.Popen[str], fifo: str) -> int:
    """Waits until a trial of this sweep is in the middle; the number of the process that runs it."""
    pipe, sweep = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), os.pidfd_open(process.pid)
    try:
        ready, _, _ = select.select([pipe, sweep], [], [], 120)
        assert pipe in ready, process.communicate()[0] if sweep in ready else "nothing happened"
        return int(os.read(pipe, 100))
    finally:
        os.close(pipe)
        os.close(sweep)


def completed(study: optuna.Study) -> Counter[int]:
    return Counter(t.params["settings.seed"] for t in study.trials if t.state.name == "COMPLETE")


def recorded(server: Server, name: str) -> list[FrozenTrial]:
    """The trials of a study, read anew; no connection stays open."""
    storage = RDBStorage(server.url.replace("postgresql", "postgresql+psycopg"))
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_kill_9_of_a_sweep(start: Start, tmp_path: Path, fifo: str) -> None:
    process = start("settings.seed=1,667,2", TOY_FIFO=fifo)
    assert in_the_middle(process, fifo) == process.pid
    process.kill()
    process.communicate()
    before = the_study(tmp_path).trials[0]
    assert states(the_study(tmp_path))[:2] == ["COMPLETE", "RUNNING"]
    out = ended(start("settings.seed=1,667,2", TOY_FIFO=fifo))
    assert "1 of 3 trials done" in out
    study = the_study(tmp_path)
    assert completed(study) == {1: 1, 667: 1, 2: 1}
    assert study.trials[0].values == before.values
    assert study.trials[0].datetime_complete == before.datetime_complete
    assert study.trials[1].user_attrs[DIED]
    assert len(list(tmp_path.glob("runs/*"))) == 1, "it goes on in the same folder"


LAUNCHERS = {"joblib": "hydra_plugins.hydra_joblib_launcher", "ray": "ray"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_kill_9_of_a_worker(start: Start, tmp_path: Path, fifo: str, launcher: str) -> None:
    pytest.importorskip(LAUNCHERS[launcher], reason=f"{launcher} is not installed")
    process = start(
        "settings.seed=1,667,2,3", f"hydra/launcher={launcher}", "hydra.launcher.n_jobs=2", TOY_FIFO=fifo
    )
    worker = in_the_middle(process, fifo)
    assert worker != process.pid
    os.kill(worker, signal.SIGKILL)
    ended(process)
    study = the_study(tmp_path)
    assert completed(study) == {1: 1, 667: 1, 2: 1, 3: 1}
    (died,) = [t for t in study.trials if DIED in t.user_attrs and t.params["settings.seed"] == 667]
    assert died.state.name == "FAIL"


def test_two_sweeps_on_one_database(start: Start, tmp_path: Path, server: Server) -> None:
    command = (
        "settings.lr=tag(log,interval(1e-5,1e-1))", "hydra.sweeper.n_trials=10", "hydra.sweeper.study_name=both",
        f"hydra.sweeper.storage={server.url}",
    )  # fmt: skip
    for process in [start(*command), start(*command)]:  # both make the tables and the study
        ended(process)
    trials = recorded(server, "both")
    assert [t.state.name for t in trials] == ["COMPLETE"] * 10
    assert len({t.params["settings.lr"] for t in trials}) == 10
    workers = {t.user_attrs["understudy:owner"]["pid"] for t in trials}
    assert len(workers) == 2, "both took part"


def test_kill_9_of_the_database(start: Start, tmp_path: Path, fifo: str, server: Server) -> None:
    command = (
        "settings.seed=1,668,2", "hydra.sweeper.study_name=lost", f"hydra.sweeper.storage={server.url}",
    )  # fmt: skip
    process = start(*command, TOY_FIFO=fifo)
    in_the_middle(process, fifo)
    server.kill()
    with open(f"{fifo}.go", "w"):
        pass  # the trial goes on and finds nobody to report to
    server.start()
    ended(process)
    trials = recorded(server, "lost")
    assert [t.state.name for t in trials] == ["COMPLETE"] * 3
    assert [len(t.intermediate_values) for t in trials] == [2, 2, 2]
    out = ended(start(*command, TOY_FIFO=fifo))
    assert "3 of 3 trials done" in out
