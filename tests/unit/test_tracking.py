"""Tracking on a real MLflow store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from understudy.errors import ConfigError
from understudy.tracking import MlflowTracker, NoTracker, default_uri, open_tracker, provenance


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


def test_what_was_told_is_recorded(uri: str, tmp_path: Path) -> None:
    tracker = MlflowTracker(uri, "first", "a run")
    tracker.parameters({"model.name": "dot", "long": "x" * 10_000})
    tracker.metrics({"test/ADE_mean/P [MPa] °C": 1.5, "nothing": float("nan"), "far": float("inf")}, step=3)
    (tmp_path / "figure" / "case0001").mkdir(parents=True)
    (tmp_path / "figure" / "case0001" / "P.png").write_text("a picture")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_text("large")
    (tmp_path / "checkpoints-refit").mkdir()
    (tmp_path / "checkpoints-refit" / "best.ckpt").write_text("large")
    tracker.files(tmp_path)
    tracker.close("FAILED", "DataError: too short")
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.info.run_name) == ("FAILED", "a run")
    assert run.data.params["model.name"] == "dot"
    assert run.data.metrics == {"test/ADE_mean/P _MPa_ _C": 1.5}
    assert run.data.tags["error"] == "DataError: too short"
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["figure"]


def test_a_resumed_run_goes_on_in_the_same_record(uri: str) -> None:
    first = MlflowTracker(uri, "second", "a run")
    first.parameters({"settings.epochs": 3})
    first.close("KILLED")
    again = MlflowTracker(uri, "second", "a run", first.run_id)
    again.parameters({"settings.epochs": 5, "settings.lr": 0.1})  # what was recorded cannot change
    again.close("FINISHED")
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("second")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"settings.epochs": "3", "settings.lr": "0.1"}


@pytest.mark.slow
def test_processes_that_make_the_store_at_once_do_not_break_each_other(tmp_path: Path) -> None:
    code = (
        "import sys; from understudy.tracking import MlflowTracker as T; "
        "t = T(sys.argv[1], 'shared', sys.argv[2]); t.metrics({'a': 1.0}); t.close('FINISHED')"
    )
    store = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    processes = [subprocess.Popen([sys.executable, "-c", code, store, str(i)]) for i in range(3)]
    assert [p.wait(timeout=200) for p in processes] == [0, 0, 0]
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("shared")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(r.info.run_name for r in runs) == ["0", "1", "2"]


def test_where_runs_are_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert default_uri() == "http://tracker:5000"
    assert isinstance(open_tracker("none", None, "e", "r"), NoTracker)
    with pytest.raises(ConfigError, match="did you mean 'mlflow'"):
        open_tracker("mlfow", None, "e", "r")


def test_provenance_names_versions() -> None:
    facts = provenance()
    assert facts["version.understudy"]
    assert facts["version.torch"]
