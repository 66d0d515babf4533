"""Worker processes read what threads read, bit for bit, and fail as threads fail."""

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from understudy.cae import ahead, read
from understudy.cae.read import BadCase, ReadOptions, Roles, read_cases, read_like
from understudy.errors import DataError

ROLES = Roles(num_control=1, num_pred=2)
AT_WORK = ReadOptions(step=0.5, jobs=2)


def folder(path, n_files=6):
    """Cases of unequal lengths; gaps in the last column, which keep the third file from being plain."""
    for i in range(n_files):
        rows = np.random.default_rng(i).normal(size=(40 + i, 3))
        lines = [f"{0.1 * k:.12g},{u:.9g},{y:.9g},{z:.9g}" for k, (u, y, z) in enumerate(rows)]
        if i == 2:
            lines[10] = "1.0,0.5,0.25,"
        (path / f"{i:02d}.csv").write_text("\n".join(["t,u,y,z", "s,V,A,K", *lines]) + "\n")


@pytest.fixture
def processes(monkeypatch):
    """Any folder is large enough, on any machine; the names of the pools that were made."""
    made = []

    class Pool(ahead.ProcessPoolExecutor):
        def __init__(self, *args, **kwargs):
            made.append(args)
            super().__init__(*args, **kwargs)

    # Readers of this module are found by name in a worker, which needs the folder of the module for it.
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(ahead, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(ahead, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(ahead, "n_cores", lambda: 2)
    return made


def test_processes_and_threads_give_the_same_table(tmp_path, processes, monkeypatch):
    folder(tmp_path)
    seen = []
    table, bad = read_cases(tmp_path, ROLES, AT_WORK, on_progress=lambda *p: seen.append(p))
    like, _ = read_like(tmp_path, table.spec, ReadOptions(jobs=2), n_measured=1)
    assert (bad, seen, len(processes)) == ([], [(i, 6) for i in range(1, 7)], 2)
    monkeypatch.setattr(ahead, "_WORTH_PROCESSES", 10**9)
    threads, _ = read_cases(tmp_path, ROLES, AT_WORK)
    assert len(processes) == 2
    assert table.values.tobytes() == threads.values.tobytes() == like.values.tobytes()
    assert np.isnan(table.values).sum() == 1
    assert (table.ids, table.metadata, table.spec) == (threads.ids, threads.metadata, threads.spec)
    assert table.fingerprint == threads.fingerprint


@pytest.mark.parametrize(
    ("cores", "options", "enough"),
    [
        (1, AT_WORK, 0),
        (2, ReadOptions(jobs=2), 0),
        (2, AT_WORK, 10**9),
        (2, ReadOptions(step=0.5, jobs=1), 0),
    ],
    ids=["one core", "every row", "a small folder", "one reader"],
)
def test_no_processes_where_they_cannot_pay(tmp_path, processes, monkeypatch, cores, options, enough):
    folder(tmp_path, 3)
    monkeypatch.setattr(ahead, "n_cores", lambda: cores)
    monkeypatch.setattr(ahead, "_WORTH_PROCESSES", enough)
    assert len(read_cases(tmp_path, ROLES, options)[0]) == 3
    assert processes == []


def test_the_error_of_a_file_is_that_of_threads(tmp_path, processes, monkeypatch):
    folder(tmp_path)
    file = tmp_path / "04.csv"
    file.write_text(file.read_text().replace("\n0.7,", "\n0.7,x"))
    with pytest.raises(DataError) as of_processes:
        read_cases(tmp_path, ROLES, AT_WORK)
    skipped, bad = read_cases(tmp_path, ROLES, ReadOptions(step=0.5, jobs=2, on_bad_case="skip"))
    assert len(processes) == 2
    monkeypatch.setattr(ahead, "_WORTH_PROCESSES", 10**9)
    with pytest.raises(DataError) as of_threads:
        read_cases(tmp_path, ROLES, AT_WORK)
    message = str(of_processes.value)
    assert message == str(of_threads.value)
    assert message.startswith("04.csv, line 10, column 'u': 'x")
    assert bad == [BadCase(file, message.removesuffix(" (dataset.on_bad_case=skip leaves such files out)"))]
    assert skipped.ids == ("00", "01", "02", "03", "05")


def test_a_first_bad_file_and_a_limit_count_as_with_threads(tmp_path, processes):
    folder(tmp_path)
    (tmp_path / "00.csv").write_text("")
    options = ReadOptions(step=0.5, jobs=2, on_bad_case="skip", max_cases=4)
    table, bad = read_cases(tmp_path, ROLES, options)
    assert (table.ids, len(bad), len(processes)) == (("01", "02", "03"), 1, 1)


@dataclass(frozen=True)
class Killed(read._ByRoles):
    """Is killed when it reads the fourth file."""

    def __call__(self, file, pattern, threads):
        if file.name == "03.csv":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(file, pattern, threads)


def test_a_killed_worker_is_one_clear_error(tmp_path, processes, monkeypatch):
    folder(tmp_path)
    monkeypatch.setattr(read, "_ByRoles", Killed)
    options = ReadOptions(step=0.5, jobs=2, on_bad_case="skip")
    with pytest.raises(DataError, match="a process that reads case files was killed") as caught:
        read_cases(tmp_path, ROLES, options)
    assert "\n" not in str(caught.value)


def test_a_stop_in_the_middle_ends_the_workers(tmp_path, processes):
    folder(tmp_path)
    before = set(multiprocessing.active_children())  # other tests' pools live on for a while

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_cases(tmp_path, ROLES, AT_WORK, on_progress=stop)
    assert len(processes) == 1
    assert set(multiprocessing.active_children()) <= before


def test_reading_does_not_import_what_a_worker_would_wait_for(tmp_path):
    folder(tmp_path, 3)
    script = (
        "import sys; from pathlib import Path; from understudy.cae.read import *;"
        "read_cases(Path(sys.argv[1]), Roles(num_control=1, num_pred=2), ReadOptions(step=0.5));"
        "print([name for name in ('pandas', 'scipy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
