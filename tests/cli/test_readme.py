"""Every command and every example of the README is run, in the order in which they stand."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
BIN = Path(sys.executable).parent


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )


def test_installation_commands_are_the_two_that_ci_runs() -> None:
    installing = [c for c in COMMANDS if "pip install" in c]
    assert len(installing) == 2
    assert installing[0].endswith("&& .venv/bin/understudy train")
    assert installing[1].endswith("&& .venv/bin/pytest -n auto")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "grep" in script
    assert "README.md" in script


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_commands_and_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in COMMANDS:
        if "pip install" in command or command == "understudy ui":
            continue
        run = max(tmp_path.glob("runs/*"), default=None)
        done = shell(command.replace("runs/RUN", str(run)), tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert len((tmp_path / "reactivities.tsv").read_text().splitlines()) == 1 + 22
    assert (tmp_path / "structures.dbn").read_text().startswith(">hairpin")
    run = max(run for run in tmp_path.glob("runs/*") if "ribo" not in run.name)
    assert (tmp_path / "evaluation" / "report.html").exists()
    assert list((tmp_path / "predicted").glob("*.csv"))
    (example,) = (text for kind, text in BLOCKS if kind == "python")
    rows = pd.read_csv(tmp_path / "cases" / "case0001.csv", skiprows=[1])
    known: dict[str, object] = {"controls": rows.iloc[10:], "history": rows.iloc[:10]}
    exec(example.replace("runs/RUN", str(run)), known)  # the README's own lines
    assert len(known["y"]) == len(rows) - 10  # type: ignore[arg-type]


@pytest.mark.slow
def test_table_of_more_commands(tmp_path: Path) -> None:
    table = [
        re.sub(r"\\\|", "|", c) for c in re.findall(r"`((?:understudy|python train\.py|eval) [^`]*)`", README)
    ]
    assert len(table) >= 5
    shutil.copy(ROOT / "train.py", tmp_path)
    for command in table:
        if "RUN" in command:
            continue  # what resuming does is tested in test_train.py
        small = " settings.is_debug=true tracking=none report.figures=false" if " train" in command else ""
        small = small or (" settings.is_debug=true tracking=none" if "train.py" in command else "")
        done = shell(command + small, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.slow
def test_ui_serves_the_runs_of_the_folder(tmp_path: Path) -> None:
    done = shell(
        "understudy train dataset=tanks model=persistence settings.is_debug=true report.figures=false",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(BIN / "understudy"), "ui", "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # "startup complete" is logged before the socket listens: only a connection tells that it does.
        patient = requests.Session()
        patient.mount(
            "http://",
            HTTPAdapter(max_retries=Retry(total=None, connect=120, backoff_factor=0.1, backoff_max=1)),
        )
        answer = patient.get(f"http://127.0.0.1:{port}/", timeout=60)
        assert b"MLflow" in answer.content
    finally:
        os.killpg(process.pid, 15)
        process.wait()
