"""The command line as a user meets it: exit status, standard output, standard error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import Done, Run, own_folder
from understudy import cli


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with own_folder(tmp_path, monkeypatch):
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``understudy …`` in this process."""

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        try:
            cli.main(list(arguments))
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return call


@pytest.fixture
def folder(tmp_path: Path, run: Run) -> Path:
    """Ten short tank cases as CSV files."""
    assert run("simulate", "tanks", "--cases", "10", "--seconds", "200", "--out", "cases").status == 0
    return tmp_path / "cases"
