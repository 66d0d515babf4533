"""The main job: from a folder of CSV files to a surrogate, its report and its record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import understudy
from helpers import Done, Run

ROLES = ("dataset.num_control=2", "dataset.num_pred=3", "dataset.num_target=2")
TINY = ("model.trunk_dim=16", "model.fc_dim=16", "model.branch_dim=8", "model.width=2", "model.heads=2")
QUICK = ("settings.is_debug=true", "report.jobs=1", *TINY)


def only_run(base: Path) -> Path:
    (folder,) = (base / "runs").iterdir()
    return folder


@pytest.fixture
def trained(run: Run, folder: Path, tmp_path: Path) -> tuple[Path, Done]:
    done = run(
        "train", "dataset=csv", f"dataset.path={folder}", *ROLES, *QUICK, "settings.is_save_model=true"
    )
    assert done.status == 0, done.err
    return only_run(tmp_path), done


def test_artefacts_record_and_use(trained: tuple[Path, Done], run: Run, folder: Path, tmp_path: Path) -> None:
    """One training, looked at from all sides: trainings are what costs time here."""
    place, done = trained
    assert "arx" in done.err
    assert "persistence" in done.err
    _look_at_artefacts(place)
    _look_at_mlflow(place, tmp_path)
    _look_at_saved_model(place)
    _look_at_evaluate(place, run, folder)
    _look_at_predict(place, run, folder, tmp_path)


def _look_at_artefacts(place: Path) -> None:
    split = json.loads((place / "split.json").read_text())
    assert len(split["train"]) + len(split["val"]) + len(split["test"]) == 8
    for case in split["test"]:
        for name in ("LowerLevel.png", "Outflow.png", "overview.png", "loss.txt"):
            assert (place / "figure" / case / name).stat().st_size > 0
        assert not (place / "figure" / case / "UpperLevel.png").exists()  # a byproduct
        assert (place / "csv" / f"{case}.csv").exists()
    for name in ("UpperLevel", "LowerLevel", "Outflow"):
        assert (place / "loss" / f"loss_{name}_ADE.csv").exists()
        assert (place / "loss" / f"loss_{name}_FDE.csv").exists()
    for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
        assert (place / ".hydra" / name).exists()
    assert (place / "report.html").read_text().count("<html") == 1
    metrics = json.loads((place / "metrics.json").read_text())
    assert metrics


def _look_at_mlflow(place: Path, base: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{base / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pytorch_lightning_test")
    assert experiment is not None
    (record,) = client.search_runs([experiment.experiment_id])
    assert record.info.status == "FINISHED"
    assert record.data.params["model.name"] == "dot"
    assert record.data.params["settings.batch_size"] == "1024"
    assert (
        record.data.tags["data.fingerprint"] == json.loads((place / "split.json").read_text())["fingerprint"]
    )
    assert record.data.tags["version.torch"] == version("torch")
    assert len(client.get_metric_history(record.info.run_id, "val/rollout")) == 2
    assert record.data.metrics["test/ADE_mean/LowerLevel"] > 0
    assert record.data.metrics["baseline/arx/score"] > 0
    uploaded = {f.path for f in client.list_artifacts(record.info.run_id)}
    assert {
        "report.html",
        "bundle",
        "csv",
        "figure",
        "loss",
        ".hydra",
        "split.json",
        "lit_model.pth",
    } <= uploaded
    assert "checkpoints" not in uploaded
    stored = Path(record.info.artifact_uri.removeprefix("file://"))
    assert (stored / "report.html").read_bytes() == (place / "report.html").read_bytes()


def _look_at_saved_model(place: Path) -> None:
    surrogate = understudy.load(place)
    content = torch.load(place / "lit_model.pth", weights_only=True)
    state = surrogate.bundle.model.state_dict()
    assert all(torch.equal(state[k], v) for k, v in content["state_dict"].items())
    best = torch.load(place / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(state[k.removeprefix("model.")], v) for k, v in best.items())


def _look_at_evaluate(place: Path, run: Run, folder: Path) -> None:
    done = run("evaluate", str(place), str(folder), "--out", "again")
    assert done.status == 0, done.err
    assert "arx" in done.err
    again = json.loads(Path("again/metrics.json").read_text())
    assert again
    test_case = json.loads((place / "split.json").read_text())["test"][0]
    first, second = (
        pd.read_csv(p / "csv" / f"{test_case}.csv", skiprows=[1]) for p in (place, Path("again"))
    )
    np.testing.assert_allclose(first.to_numpy(), second.to_numpy(), rtol=2e-4, atol=2e-4)


def _look_at_predict(place: Path, run: Run, folder: Path, base: Path) -> None:
    """What `predict` writes is what `Surrogate.predict` says, also where the outputs are not measured any more."""
    case = json.loads((place / "split.json").read_text())["test"][0]
    rows = pd.read_csv(folder / f"{case}.csv", skiprows=[1])
    (base / "asked").mkdir()
    lines = (folder / f"{case}.csv").read_text().splitlines()
    short = [line if i < 12 else ",".join([*line.split(",")[:3], "", "", ""]) for i, line in enumerate(lines)]
    (base / "asked" / f"{case}.csv").write_text("\n".join(short) + "\n")
    done = run("predict", str(place), "asked", "--out", "predicted")
    assert done.status == 0, done.err
    written = pd.read_csv(base / "predicted" / f"{case}.csv", skiprows=[1])
    surrogate = understudy.load(place)
    expected = surrogate.predict(rows.iloc[10:], rows.iloc[:10])
    assert list(written.columns[1:]) == list(expected.columns)
    np.testing.assert_allclose(written.iloc[:, 0], rows.iloc[10:, 0])
    np.testing.assert_allclose(written.iloc[:, 1:], expected, rtol=1e-4, atol=1e-4)
    assert run("predict", str(place), "asked", "--out", "predicted.parquet").status == 0
    assert (base / "predicted.parquet").exists()
    assert run("predict", str(place), "asked", "--out", "sure", "--coverage", "0.8").status == 0
    sure = pd.read_csv(base / "sure" / f"{case}.csv", skiprows=[1])
    assert list(sure.columns[1:4]) == ["UpperLevel", "UpperLevel_low", "UpperLevel_high"]
    half = surrogate.half_width(len(rows) - 10, 0.8)
    np.testing.assert_allclose(sure.iloc[:, 3::3].to_numpy() - sure.iloc[:, 1::3], half, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(sure.iloc[:, 1::3].to_numpy() - sure.iloc[:, 2::3], half, rtol=1e-2, atol=1e-3)
    done = run("predict", str(place), "asked", "--out", "x", "--coverage", "0.99")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "not of 0.99" in done.err
    metrics = json.loads((place / "metrics.json").read_text())["model"]["intervals"]
    assert set(metrics) == {"0.5", "0.8", "0.9", "0.95"}
    assert metrics["0.95"]["Outflow"]["width"] >= metrics["0.5"]["Outflow"]["width"] > 0


def test_parquet_trains_like_the_folder_it_was_made_of(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("ingest", str(folder), *ROLES, "--out", "cases.parquet").status == 0
    weights = []
    for source in (folder, tmp_path / "cases.parquet"):
        done = run(
            "train",
            "dataset=csv",
            f"dataset.path={source}",
            *ROLES,
            *QUICK,
            "tracking=none",
            f"hydra.run.dir={source.stem}-{source.suffix[1:]}",
            "report.figures=false",
        )
        assert done.status == 0, done.err
        weights.append(
            understudy.load(tmp_path / f"{source.stem}-{source.suffix[1:]}").bundle.model.state_dict()
        )
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_baselines_can_be_asked_for_by_name(run: Run, tmp_path: Path) -> None:
    done = run("train", "model=arx", "settings.is_debug=true", "report.figures=false", "tracking=none")
    assert done.status == 0, done.err
    assert understudy.load(only_run(tmp_path)).bundle.network == "arx"


def drains(folder: Path) -> Path:
    """Three cases of one tank that drains."""
    lines = ["t,u,y", "s,V,V"]
    level = 3.0
    for k in range(60):
        u = 0.2 + 0.2 * (k // 10 % 2)
        level += u - 0.06 * (level + u / 2) ** 0.8
        lines.append(f"{k},{u},{level}")
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


DRAINS = (
    "dataset=csv", "dataset.controls=[u]", "dataset.targets=[y]", "dataset.val_size=1", "dataset.test_size=1",
    "settings.in_len=3", "settings.use_decimate=false", "tracking=none", "report.figures=false",
)  # fmt: skip


def test_reservoirs_are_fitted_and_then_not_trained(run: Run, tmp_path: Path) -> None:
    cases = drains(tmp_path / "cases")
    done = run("train", "model=reservoirs", "model.n_stores=1", f"dataset.path={cases}", *DRAINS)
    assert done.status == 0, done.err
    folder = only_run(tmp_path)
    net = understudy.load(folder).model.net  # type: ignore[union-attr]
    exponent = net.stores[0].law(net.gauge.rim).exponent.item()  # begun at a half and at one, and found
    assert exponent == pytest.approx(0.8, abs=0.1)
    assert "fitted by least squares" in done.out + done.err
    assert not (folder / "checkpoints").exists()


def test_a_refitted_network_has_learnt_from_the_validation_cases(run: Run, tmp_path: Path) -> None:
    """It is the network that the same settings give where they train; intervals are those of the judged one."""
    cases = drains(tmp_path / "cases")
    small = ("model=gru", "model.dim=4", "model.encoder_dim=4", "settings.epochs=3", "settings.stretch=20")
    common = ("train", f"dataset.path={cases}", *small, *DRAINS, "settings.batch_size=4")
    for name, extra in (("plain", ()), ("again", ("settings.refit=true",))):
        done = run(*common, f"hydra.run.dir={tmp_path / name}", *extra)
        assert done.status == 0, done.err
    plain, again = (understudy.load(tmp_path / name).bundle for name in ("plain", "again"))
    assert plain.intervals == again.intervals
    assert "training and validation" in again.facts["learnt from"]
    assert "learnt from" not in plain.facts
    weights = [dict(b.model.state_dict()) for b in (plain, again)]
    assert not torch.equal(weights[0]["net.head.linear.weight"], weights[1]["net.head.linear.weight"])
    histories = [
        json.loads((tmp_path / name / "checkpoints" / "result.json").read_text())
        for name in ("plain", "again")
    ]
    assert histories[0]["result"]["history"] == histories[1]["result"]["history"]
    refit = json.loads((tmp_path / "again" / "checkpoints-refit" / "result.json").read_text())
    assert refit["options"]["epochs"] == histories[0]["result"]["best_epoch"] + 1
    assert len(json.loads((tmp_path / "again" / "split.json").read_text())["val"]) == 1


def test_several_runs_with_multirun(run: Run, tmp_path: Path) -> None:
    done = run(
        "train",
        "-m",
        "model=choice(arx, persistence)",
        "dataset=tanks",
        "settings.is_debug=true",
        "report.figures=false",
    )
    assert done.status == 0, done.err
    (sweep,) = (tmp_path / "runs").iterdir()
    assert sorted(p.name for p in sweep.iterdir() if p.is_dir()) == ["0-arx", "1-persistence", "experiment"]


def program(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """The installed command in a process of its own."""
    command = [str(Path(sys.executable).with_name("understudy")), *arguments]
    return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_and_resumed(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, a polite end and kill -9 in the middle; the record says so, and `resume` goes on in the same one."""
    options = (
        "dataset=tanks",
        "dataset.cases=8",
        "dataset.val_size=2",
        "dataset.test_size=2",
        "dataset.seconds=400",
        "settings.batch_size=16",
        "settings.max_minutes=null",
        *TINY,
    )
    process = program("train", *options, "settings.epochs=2000", "report.jobs=1", cwd=tmp_path)
    assert process.stderr is not None
    seen = ""
    while "epoch    2" not in seen:
        seen = process.stderr.readline()
        assert process.poll() is None, seen
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    place = only_run(tmp_path)
    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert f"understudy train resume=runs/{place.name}" in err
    resumed = program("train", f"resume=runs/{place.name}", "settings.epochs=4", cwd=tmp_path)
    _, err = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, err
    assert only_run(tmp_path) == place
    assert (place / "report.html").exists()
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (record,) = client.search_runs(["1"])
    assert record.info.status == "FINISHED"
    epochs = [m.step for m in client.get_metric_history(record.info.run_id, "val/rollout")]
    assert sorted(set(epochs)) == list(range(max(epochs) + 1))


@pytest.mark.slow
def test_full_disk(tmp_path: Path) -> None:
    """No file can grow beyond 200 kB: one line, status 2, and the record of the earlier run stands."""
    import resource

    command = [
        str(Path(sys.executable).with_name("understudy")),
        "train",
        "dataset=tanks",
        "settings.is_debug=true",
        "tracking=none",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
        check=False,
    )
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("understudy: error: cannot write")
    assert "Traceback" not in done.stderr
    assert not list(only_run(tmp_path).rglob("*.ckpt"))


@pytest.mark.slow
def test_train_py_is_the_same_program(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "train.py"
    command = [
        sys.executable,
        str(script),
        "model=bt",
        "model.dim=16",
        "model.heads=2",
        "settings.is_debug=true",
    ]
    done = subprocess.run(
        [*command, "settings.mlflow_exp_name=bt_test"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (only_run(tmp_path) / "report.html").exists()
    assert (tmp_path / "mlruns" / "bt_test").is_dir()
    assert os.listdir(tmp_path / "runs")
