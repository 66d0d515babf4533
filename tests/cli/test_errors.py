"""Bad input: one clear line, exit status 2, and nothing that existed is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import Run

ROLES = ("dataset.num_control=2", "dataset.num_pred=3")
HALVES = ("dataset.val_size=20", "dataset.test_size=20")
FAST = ("settings.is_debug=true", "tracking=none", "report.figures=false")


def assert_one_line(done: object, *words: str) -> None:
    status, out, err = done  # type: ignore[misc]
    lines = [line for line in err.splitlines() if line.strip()]
    assert status == 2, err
    assert lines[-1].startswith("understudy: error: ")
    assert "Traceback" not in err
    assert out == ""
    for word in words:
        assert word in lines[-1]


def edit(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change the cells of a CSV file in place."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def put(row: int, column: int, text: str) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = text

    return change


def rename(rows: list[list[str]]) -> None:
    rows[0][3] = "Level"


def other_unit(rows: list[list[str]]) -> None:
    rows[1][3] = "m"


def cut(rows: list[list[str]]) -> None:
    del rows[9:]


def empty(rows: list[list[str]]) -> None:
    rows[:] = [[""]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put(20, 4, "broken"), ["case0002.csv", "LowerLevel", "broken", "21"]),
        (put(20, 1, ""), ["case0002.csv", "Pump", "21"]),
        (put(20, 1, "nan"), ["case0002.csv", "Pump", "21"]),
        (put(20, 0, "3.0"), ["case0002.csv", "time", "21"]),
        (rename, ["case0002.csv", "UpperLevel"]),
        (other_unit, ["case0002.csv", "UpperLevel", "'m'"]),
        (cut, ["case0002", "7 rows", "settings.in_len"]),
    ],
    ids=["text", "empty control", "NaN control", "time goes back", "columns", "units", "too short"],
)
def test_a_bad_case_is_named(
    run: Run, folder: Path, tmp_path: Path, change: object, words: list[str]
) -> None:
    edit(folder / "case0002.csv", change)  # type: ignore[arg-type]
    done = run("train", "dataset=csv", f"dataset.path={folder}", *ROLES, *FAST)
    assert_one_line(done, *words)
    assert not list((tmp_path / "runs").glob("*/bundle"))


def test_folders_without_cases(run: Run, tmp_path: Path) -> None:
    assert_one_line(run("train", "dataset=csv", *ROLES, *FAST), "dataset.path=FOLDER")
    assert_one_line(run("train", "dataset=csv", "dataset.path=nowhere", *ROLES, *FAST), "nowhere")
    (tmp_path / "hollow").mkdir()
    assert_one_line(run("train", "dataset=csv", "dataset.path=hollow", *ROLES, *FAST), "hollow", "csv")
    (tmp_path / "hollow" / "a.csv").write_text("")
    assert_one_line(run("train", "dataset=csv", "dataset.path=hollow", *ROLES, *FAST), "a.csv", "empty")


def test_roles_are_missing_or_do_not_fit(run: Run, folder: Path) -> None:
    source = ("dataset=csv", f"dataset.path={folder}")
    assert_one_line(run("train", *source, *FAST), "dataset.")
    assert_one_line(run("train", *source, *FAST, "dataset.num_control=2", "dataset.num_pred=4"), "5")
    names = ("dataset.controls=[Pump,Valv]", "dataset.targets=[LowerLevel]")
    assert_one_line(run("train", *source, *FAST, *names), "did you mean 'Valve'")


def test_bad_cases_can_be_skipped(run: Run, folder: Path, tmp_path: Path) -> None:
    edit(folder / "case0002.csv", put(20, 4, "broken"))
    done = run("train", "dataset=csv", f"dataset.path={folder}", "dataset.on_bad_case=skip", *ROLES, *FAST)
    assert done.status == 0, done.err
    assert "left out: case0002.csv" in done.err
    (report,) = tmp_path.glob("runs/*/report.html")
    assert "case0002.csv" in report.read_text()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["settings.is_debug=false", *HALVES], ["val_size (20)", "cases (40)"]),
        (["model=dott"], ["did you mean 'dot'"]),
        (["model.widht=3"], ["did you mean 'model.width'"]),
        (["model.heads=7"], ["model.trunk_dim 256", "model.heads 7"]),
        (["settings.criterion=mae"], ["criterion", "mse, l1, smoothl1"]),
        (["settings.in_len=0"], ["settings.in_len must be at least 1"]),
        (["settings.in_len=400"], ["settings.in_len 400"]),
        (["settings.lr=-1"], ["settings.lr must be above 0"]),
        (["resume=nowhere"], ["resume=nowhere"]),
        (["tracking.name=mlflw"], ["did you mean 'mlflow'"]),
        (["settings.unroll=-1"], ["settings.unroll"]),
    ],
)  # fmt: skip
def test_bad_settings(run: Run, tmp_path: Path, overrides: list[str], words: list[str]) -> None:
    assert_one_line(run("train", "dataset=tanks", *FAST, *overrides), *words)
    assert not list(tmp_path.glob("runs/*/checkpoints"))


def test_unwritable_output(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file, not a folder")
    assert_one_line(run("train", "dataset=tanks", *FAST), "cannot write", "runs")
    assert (tmp_path / "runs").read_text() == "a file, not a folder"


def test_unusable_store(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database at all, but somebody's file")
    assert_one_line(run("train", "dataset=tanks", "settings.is_debug=true"), "mlflow.db", "tracking=none")
    assert (tmp_path / "mlflow.db").read_text() == "not a database at all, but somebody's file"


def test_a_failed_run_is_recorded_as_failed(run: Run, folder: Path, tmp_path: Path) -> None:
    import mlflow

    edit(folder / "case0002.csv", put(20, 4, "broken"))
    run("train", "dataset=csv", f"dataset.path={folder}", *ROLES, "settings.is_debug=true")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (record,) = client.search_runs(["1"])
    assert record.info.status == "FAILED"
    assert "broken" in record.data.tags["error"]


def test_other_commands(run: Run, folder: Path, tmp_path: Path) -> None:
    assert_one_line(run("trian"), "did you mean 'train'")
    assert_one_line(run("evaluate", "nowhere", str(folder)), "nowhere")
    assert_one_line(run("predict", str(folder), str(folder), "--out", "x"), "holds no bundle")
    assert_one_line(run("ingest", str(folder), *ROLES, "--out", "cases.csv"), ".parquet")
    assert_one_line(run("ingest", "nowhere", *ROLES, "--out", "cases.parquet"), "nowhere")
    assert_one_line(run("ui"), "train first")
    assert_one_line(run("config", "check", "model=dott"), "did you mean 'dot'")
    assert_one_line(run("simulate", "tanks", "--cases", "0", "--out", "x"), "--cases")


def test_a_model_refuses_cases_that_do_not_fit(run: Run, folder: Path, tmp_path: Path) -> None:
    options = ("dataset=csv", f"dataset.path={folder}", *ROLES, *FAST, "hydra.run.dir=trained", "model=arx")
    assert run("train", *options).status == 0
    shutil.copytree(folder, tmp_path / "other")
    for file in (tmp_path / "other").glob("*.csv"):
        edit(file, other_unit)
    assert_one_line(run("evaluate", "trained", "other"), "UpperLevel", "'m'")
    assert_one_line(run("evaluate", "trained", "nowhere"), "nowhere")
    for file in (tmp_path / "other").glob("*.csv"):
        edit(file, rename)
    assert_one_line(run("evaluate", "trained", "other"), "UpperLevel")


def test_help_and_version(run: Run) -> None:
    for arguments in ([], ["--help"], ["train", "--help"], ["evaluate", "--help"]):
        done = run(*arguments)
        assert done.status == 0
        assert "usage: understudy" in done.out
    assert run("--version").out.startswith("understudy ")
    assert "complete -F _understudy understudy" in run("completion", "bash").out
    assert "decimate_range: 1.0" in run("config", "show").out
    assert run("config", "check", "model=bt").out == "the configuration is right\n"
