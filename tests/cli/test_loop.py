"""``understudy loop``: rounds that can be left at any moment, and that look at nothing before they may."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import Run
from understudy.cae.simulate.tanks import Tanks, simulate_tanks
from understudy.core.cases import CaseTable
from understudy.core.parquet import read_parquet, write_parquet
from understudy.training import StoppedByUser

NETWORK = (
    "model=gru", "model.dim=8", "model.members=2", "settings.epochs=2", "settings.batch_size=4",
    "settings.use_decimate=false", "settings.stretch=20", "tracking=none",
)  # fmt: skip
SIZES = ("--start", "5", "--add", "2", "--rounds", "3", "--test", "3")
EXPERIMENT = ("tanks", "--seconds", "200", "--candidates", "14", *SIZES)


def rounds(folder: str | Path) -> list[dict[str, Any]]:
    return json.loads((Path(folder) / "loop.json").read_text())["rounds"]  # type: ignore[no-any-return]


@pytest.fixture
def cases() -> CaseTable:
    """Fifteen cases that were simulated, in ``cases.parquet``."""
    table = simulate_tanks(15, seconds=200)
    write_parquet(table, Path("cases.parquet"))
    return table


@pytest.mark.parametrize("by", ["random", "k-center", "learning-loss", "disagreement"])
def test_rounds_add_what_was_not_there(run: Run, by: str) -> None:
    done = run("loop", *EXPERIMENT, "--by", by, "--out", "study", *NETWORK)
    assert done.status == 0, done.err
    found = rounds("study")
    chosen = [r["chosen"] for r in found]
    assert [len(c) for c in chosen] == [5, 2, 2]
    known = sorted(number for c in chosen for number in c)
    assert len(set(known)) == 9
    assert set(known) <= set(range(1, 15))
    for r in found:
        assert set(r["ade"]) == {"LowerLevel", "Outflow"}
        assert all(len(values) == 3 and min(values) > 0 for values in r["ade"].values())
    simulated = read_parquet(Path("study/cases/cases.parquet"))
    assert simulated.ids == tuple(f"case{i:04d}" for i in known)
    names = json.loads(Path("study/round03/run1/split.json").read_text())
    assert set(names["test"]) == {f"test-case{i:04d}" for i in (1, 2, 3)}
    assert set(names["train"]) | set(names["val"]) == set(simulated.ids)
    page = Path("study/loop.html").read_text()
    assert re.search(r"From 5 to 9 cases .* (falls|rises) by", page, re.S)
    assert "study/loop.html" in done.err
    assert len(list(Path("study/cases/.understudy").glob("*.npy"))) == 1  # arrays of earlier rounds are gone


def test_the_same_command_does_nothing_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("loop", *EXPERIMENT, "--by", "k-center", "--out", "study", *NETWORK)
    assert run(*command).status == 0
    before = Path("study/loop.json").read_bytes()
    weights = Path("study/round03/run1/bundle/weights.safetensors").stat().st_mtime_ns

    def never(*arguments: object) -> None:
        raise AssertionError("nothing is left to simulate")

    monkeypatch.setattr(Tanks, "run", never)
    assert run(*command).status == 0
    assert Path("study/loop.json").read_bytes() == before
    assert Path("study/round03/run1/bundle/weights.safetensors").stat().st_mtime_ns == weights


def test_more_rounds_go_on(run: Run) -> None:
    command = ["loop", *EXPERIMENT, "--by", "k-center", "--out", "one", *NETWORK]
    assert run(*command).status == 0
    command[command.index("--rounds") + 1] = "2"
    command[command.index("one")] = "two"
    assert run(*command).status == 0
    assert rounds("two") == rounds("one")[:2]
    command[command.index("--rounds") + 1] = "3"
    assert run(*command).status == 0
    assert rounds("two") == rounds("one")


def test_stopped_in_a_training_it_goes_on_to_the_same_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy.loop import command as module

    command = ("loop", *EXPERIMENT, "--by", "disagreement", *NETWORK, "--out")
    assert run(*command, "straight").status == 0
    real, calls = module.execute, []

    def stopped(plan: Any, progress: Any) -> Any:
        calls.append(plan.folder)
        if len(calls) == 2:
            raise StoppedByUser("stopped by Ctrl-C")
        return real(plan, progress)

    monkeypatch.setattr(module, "execute", stopped)
    done = run(*command, "left")
    assert done.status == 130
    assert "go on with: the same command" in done.err
    assert run(*command, "left").status == 0
    assert len(calls) == 4  # the first training was not repeated
    assert rounds("left") == rounds("straight")


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_end(run: Run, tmp_path: Path) -> None:
    command = ["loop", *EXPERIMENT, "--by", "k-center", *NETWORK, "--out"]
    assert run(*command, "straight").status == 0
    for line in ("epoch    1", "round 1:", "best validation"):
        with subprocess.Popen(
            [sys.executable, "-m", "understudy", *command, "left"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process:
            assert process.stderr is not None
            assert any(line in text for text in process.stderr)
            os.kill(process.pid, signal.SIGKILL)
    assert run(*command, "left").status == 0
    assert rounds("left") == rounds("straight")


@pytest.mark.parametrize("by", ["k-center", "disagreement"])
def test_cases_that_were_run_before_are_looked_at_only_once_chosen(
    run: Run, cases: CaseTable, by: str
) -> None:
    command = ("loop", "cases.parquet", *SIZES, "--by", by, *NETWORK, "--out")
    assert run(*command, "one").status == 0
    ids = [name for name in cases.ids if f"test-{name}" in _test_ids("one")]
    assert len(ids) == 3
    chosen = {name for place in ("cases", "round03/run1") for name in _known_ids(f"one/{place}")}
    # The same pool with other outputs in all cases that were never chosen: the same choices.
    changed = cases.only(range(len(cases)))
    for case in changed:
        if case.id not in chosen and case.id not in ids:
            case.values[:, 2:] += 5.0
    write_parquet(changed, Path("cases.parquet"))
    assert run(*command, "two").status == 0
    assert [r["chosen"] for r in rounds("two")] == [r["chosen"] for r in rounds("one")]
    np.testing.assert_array_equal(rounds("two")[2]["ade"]["Outflow"], rounds("one")[2]["ade"]["Outflow"])


def _test_ids(folder: str) -> list[str]:
    return json.loads(Path(folder, "round01/run1/split.json").read_text())["test"]  # type: ignore[no-any-return]


def _known_ids(folder: str) -> list[str]:
    path = Path(folder, "split.json")
    if not path.exists():
        return []
    split = json.loads(path.read_text())
    return [*split["train"], *split["val"]]


def test_several_trainings_a_round_are_one_surrogate(run: Run, cases: CaseTable) -> None:
    plain = [key for key in NETWORK if "members" not in key]
    done = run("loop", "cases.parquet", *SIZES, "--out", "study", *plain)
    assert done.status == 0, done.err
    assert [p.name for p in sorted(Path("study/round01").iterdir())] == ["run1", "run2", "run3"]
    weights = [Path(f"study/round01/run{k}/bundle/weights.safetensors").read_bytes() for k in (1, 2, 3)]
    assert len(set(weights)) == 3


def test_equal_steps(run: Run, cases: CaseTable) -> None:
    done = run("loop", "cases.parquet", *SIZES, "--by", "random", "--equal-steps", "--out", "study", *NETWORK)
    assert done.status == 0, done.err
    assert re.findall(r"of (\d+); stopped", done.err) == [str(round(2 * 12 / n)) for n in (5, 7, 9)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tankz", "--out", "x"), "did you mean 'tanks'"),
        (("tanks", "--out", "x", "--by", "kcenter"), "did you mean 'k-center'"),
        (("tanks", "--out", "x", "--start", "2"), "--start must be at least 4"),
        (("tanks", "--out", "x", "--candidates", "30"), "5 rounds ask for 100 cases, and there are 30"),
        (("tanks", "--out", "x", "dataset.path=y"), "the loop decides this"),
        (("tanks", "--out", "x", "settings.epoch=3"), "did you mean 'settings.epochs'"),
        (("tanks", "--out", "x", "--runs", "1"), "disagreement needs several networks"),
        (("tanks", "--out", "x", "--suite", "hot"), "--suite is an option of refrigerant"),
        (("cases.parquet", "--out", "x", "--test", "15"), "--test 15 leaves no candidate"),
        ((".", "--out", "x"), "give a Parquet file"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_runs(
    run: Run, cases: CaseTable, arguments: tuple[str, ...], words: str
) -> None:
    done = run("loop", *arguments)
    assert (done.status, Path("x").exists()) == (2, False)
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_folder_of_another_loop_is_left_alone(run: Run, cases: CaseTable) -> None:
    command = ["loop", "cases.parquet", *SIZES, "--out", "study", *NETWORK]
    assert run(*command, "--by", "random").status == 0
    before = Path("study/loop.json").read_bytes()
    done = run(*command, "--by", "k-center")
    assert done.status == 2
    assert "another by ('random', not 'k-center')" in done.err
    assert Path("study/loop.json").read_bytes() == before
    Path("study/loop.json").write_text("{")
    done = run(*command, "--by", "random")
    assert (done.status, Path("study/loop.json").read_text()) == (2, "{")
    assert "loop.json" in done.err
