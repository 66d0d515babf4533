"""Workers hand errors back, and know nothing of the program that started them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from understudy.errors import DataError
from understudy.report.pool import run_jobs


@dataclass(frozen=True)
class Write:
    paths: tuple[Path, ...]

    def run(self) -> None:
        for path in self.paths:
            path.write_text("x")


@dataclass(frozen=True)
class Refuse(Write):
    def run(self) -> None:
        raise DataError("the third one is bad")


def some_jobs(folder: Path) -> list[Write]:
    return [Write((folder / f"{i}a", folder / f"{i}b")) for i in range(5)]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_a_job_comes_out_as_it_was(tmp_path, workers, monkeypatch):
    # Jobs of this module are found by name in a worker, which needs the folder of the module for it.
    monkeypatch.syspath_prepend(Path(__file__).parent)
    jobs = some_jobs(tmp_path)
    jobs[2] = Refuse(jobs[2].paths)
    with pytest.raises(DataError, match="the third one is bad"):
        run_jobs(jobs, workers)


def test_a_few_files_are_not_worth_a_pool(tmp_path, monkeypatch):
    monkeypatch.setattr("understudy.report.pool.ProcessPoolExecutor", None)
    run_jobs(some_jobs(tmp_path)[:3], 4)
    assert len(list(tmp_path.iterdir())) == 6


def test_an_error_in_the_progress_display_ends_the_pool(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(some_jobs(tmp_path), 2, fail)


SCRIPT = """
import sys, types
print("the script runs")
sys.modules["torch"] = types.ModuleType("torch")  # a worker that runs this script again shows it
from pathlib import Path
from helper import Look
from understudy.report.pool import run_jobs
folder = Path(sys.argv[1])
run_jobs([Look((folder / f"{i}a", folder / f"{i}b")) for i in range(5)], 2)
"""
HELPER = """
import sys
from dataclasses import dataclass
@dataclass(frozen=True)
class Look:
    paths: tuple
    def run(self):
        import understudy.report.sheets
        for path in self.paths:
            path.write_text(repr("torch" in sys.modules))
"""


def test_a_script_without_a_guard_runs_once_and_workers_have_no_torch(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text(HELPER)
    out = tmp_path / "out"
    out.mkdir()
    result = subprocess.run(
        [sys.executable, tmp_path / "script.py", out],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.splitlines() == ["the script runs"]
    assert {path.read_text() for path in out.iterdir()} == {"False"}
    assert len(list(out.iterdir())) == 10
