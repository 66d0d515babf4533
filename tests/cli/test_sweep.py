"""A sweep of real trainings: on disk, in the tracker, and its winner once more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import Run

TINY = (
    "dataset=tanks", "dataset.cases=8", "dataset.val_size=2", "dataset.test_size=2", "dataset.seconds=400",
    "settings.batch_size=64", "settings.epochs=2", "settings.max_minutes=null", "report.figures=false",
    "model=lstm", "model.dim=8",
)  # fmt: skip


def records(base: Path) -> list[Any]:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{base / 'mlflow.db'}")
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


@pytest.mark.slow
def test_a_sweep_in_two_processes(run: Run, tmp_path: Path) -> None:
    """Everything about one sweep: trainings are what costs time here."""
    pytest.importorskip(
        "hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed"
    )
    done = run(
        "train", "-m", *TINY, "settings.lr=choice(1e-3,1e-2)", "settings.in_len=choice(5,400)",
        "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.study_name=tiny",
    )  # fmt: skip
    assert done.status == 0, done.err
    _look_at_tracker(tmp_path)
    _look_at_winner(run, tmp_path)
    _look_at_runs(run, tmp_path)


def _look_at_tracker(base: Path) -> None:
    import mlflow

    (parent,) = [r for r in records(base) if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in records(base) if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert parent.info.status == "FINISHED"
    assert (parent.info.run_name, len(children)) == ("tiny", 4)
    failed = [r for r in children if r.info.status == "FAILED"]
    assert len(failed) == 2, "histories that are longer than the cases"
    assert all("settings.in_len 400" in r.data.tags["error"] for r in failed)
    assert sorted(r.data.tags["trial"] for r in children) == ["0", "1", "2", "3"]
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{base / 'mlflow.db'}")
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} == {"sweep.html", "experiment"}
    best = min(r.data.metrics["val/rollout"] for r in children if r.info.status == "FINISHED")
    assert parent.data.metrics["best"] <= best


def _look_at_winner(run: Run, base: Path) -> None:
    """The winner reruns to the same result."""
    (winner,) = base.glob("runs/tiny/experiment/*.yaml")
    assert winner.name == "tiny_best.yaml"
    command = (
        "--config-dir",
        "runs/tiny",
        "experiment=tiny_best",
        "hydra.run.dir=again",
        "report.figures=false",
    )
    done = run("train", *command, "tracking=none")
    assert done.status == 0, done.err
    again = json.loads((base / "again" / "checkpoints" / "result.json").read_text())["result"]["best_error"]
    errors = [
        json.loads(p.read_text())["result"]["best_error"]
        for p in base.glob("runs/tiny/*/checkpoints/result.json")
    ]
    assert again == min(errors)


def _look_at_runs(run: Run, base: Path) -> None:
    listed = json.loads(run("runs", "list", "--json").out)
    places = [(r["status"], r["folder"] is not None, bool(r["record"])) for r in listed]
    assert (
        sorted(places)
        == [("failed", True, True)] * 2 + [("finished", False, True)] + [("finished", True, True)] * 2
    )
    assert "settings.in_len 400" in next(r["reason"] for r in listed if r["status"] == "failed")
    names = [r["name"] for r in listed if r["status"] == "finished" and r["folder"]]
    compared = json.loads(run("runs", "compare", *names, "--json").out)
    assert list(compared["parameters"]) == ["settings.lr"]
    assert "val/rollout" in compared["metrics"]
    assert names[0] in run("runs", "list").out
    assert "settings.lr" in run("runs", "show", f"runs/{names[0]}").out
    refused = run("runs", "rm", names[0])
    assert refused.status == 2
    assert "--yes" in refused.err
    assert run("runs", "rm", names[0], "--yes").status == 0
    assert not (base / "runs" / names[0]).exists()
    assert names[0] not in [r["name"] for r in json.loads(run("runs", "list", "--json").out)]
    assert (base / "runs" / names[1]).exists()
    assert len(records(base)) == 4
    missing = run("runs", "show", "nowhere")
    assert missing.status == 2
    assert "no run is called 'nowhere'" in missing.err
