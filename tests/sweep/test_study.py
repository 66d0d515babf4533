"""Asking a study for trials: nothing twice, nothing lost, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import TrialState

from understudy.errors import ConfigError
from understudy.sweep import alive
from understudy.sweep.alive import OWNER, SIGN, Heart, lives, owner
from understudy.sweep.options import SweepOptions
from understudy.sweep.samplers import check_sampler, make_pruner
from understudy.sweep.space import space_of
from understudy.sweep.storage import StorageLost, locate, open_storage, patiently, redact
from understudy.sweep.study import DIED, STARTED, Purpose, Search, open_search

MIXED = ("a=tag(log,interval(1e-5,1e-1))", "b=range(0,9)", "c=interval(0,1)")
GONE = {**owner(), "pid": 2**22 - 1, "started": "1"}
ELSEWHERE = {"host": "another", "boot": "x", "pid": 1, "started": "1"}


def search(
    folder: Path, *overrides: str, sampler: Mapping[str, Any] = {"name": "auto", "seed": 1}, **options: Any
) -> Search:
    open_storage.cache_clear()  # as in a new process
    space = space_of(OverridesParser.create().parse_overrides(list(overrides)), {})
    plain = SweepOptions(
        n_trials=None, n_jobs=None, direction=("minimize",), storage=f"sqlite:///{folder / 'study.db'}",
        study_name=None, params={}, sampler=sampler, pruner={"name": "none"}, repeat_died=False, stale_after=600.0,
    )  # fmt: skip
    wanted = replace(plain, **options)
    name = check_sampler(wanted.sampler, len(wanted.direction))
    return open_search(Purpose(space, (), wanted.direction), wanted, name)


def run_all(found: Search, most: int = 1) -> list[dict[str, Any]]:
    """Ask and answer until there is nothing to ask; the parameters in order."""
    asked = []
    while trials := found.ask(most):
        for trial in trials:
            asked.append(trial.params)
            found.study.tell(trial.number, sum(float(v) for v in trial.params.values()))
    return asked


@pytest.mark.parametrize("name", ["tpe", "random", "cmaes", "nsgaii", "nsgaiii", "gp", "qmc"])
def test_a_sweep_in_two_parts_asks_what_a_whole_one_asks(tmp_path: Path, name: str) -> None:
    sampler = {"name": name, "seed": 3, **({"n_startup_trials": 3} if name in ("tpe", "gp") else {})}
    whole = run_all(search(tmp_path / "whole", *MIXED, sampler=sampler, n_trials=8))
    parts = run_all(search(tmp_path / "parts", *MIXED, sampler=sampler, n_trials=5))
    parts += run_all(search(tmp_path / "parts", *MIXED, sampler=sampler, n_trials=8))
    assert parts == whole
    assert len({tuple(p.values()) for p in whole}) == 8


def test_two_that_ask_at_once_never_get_the_same(tmp_path: Path) -> None:
    one = search(tmp_path, *MIXED, sampler={"name": "random", "seed": 1}, n_trials=10)
    other = search(tmp_path, *MIXED, sampler={"name": "random", "seed": 1}, n_trials=10)
    trials = [t for _ in range(9) for s in (one, other) for t in s.ask(2)]
    assert len(trials) == 10, "together as many as were asked for"
    assert len({t.number for t in trials}) == len({tuple(t.params.values()) for t in trials}) == 10


def test_a_grid_is_shared(tmp_path: Path) -> None:
    one, other = search(tmp_path, "a=1,2,3", "b=1,2"), search(tmp_path, "a=1,2,3", "b=1,2")
    points = [tuple(t.params.values()) for _ in range(4) for s in (one, other) for t in s.ask(1)]
    assert sorted(points) == [(a, b) for a in (1, 2, 3) for b in (1, 2)]


def test_a_trial_whose_process_died_does_not_count(tmp_path: Path) -> None:
    found = search(tmp_path, *MIXED, n_trials=3)
    (dead,) = found.ask(1)
    dead.set_user_attr(OWNER, GONE)
    dead.set_user_attr(STARTED, "folder")
    again = search(tmp_path, *MIXED, n_trials=3)
    asked = run_all(again)
    trials = again.study.trials
    assert len(asked) == 3
    assert [t.state for t in trials] == [TrialState.FAIL] + [TrialState.COMPLETE] * 3
    assert trials[0].user_attrs[DIED]
    assert "process died" in trials[0].user_attrs["understudy:error"]
    assert dead.params not in asked


def test_it_is_repeated_where_asked(tmp_path: Path) -> None:
    found = search(tmp_path, *MIXED, n_trials=2)
    (dead,) = found.ask(1)
    dead.set_user_attr(OWNER, GONE)
    dead.set_user_attr(STARTED, "folder")
    asked = run_all(search(tmp_path, *MIXED, n_trials=2, repeat_died=True))
    assert len(asked) == 2
    assert asked[0] == dead.params


def test_one_that_kills_every_process_is_not_repeated_for_ever(tmp_path: Path) -> None:
    found = search(tmp_path, *MIXED, n_trials=2, repeat_died=True)
    seen = []
    for _ in range(6):
        (trial,) = found.ask(1)
        seen.append(tuple(trial.params.values()))
        trial.set_user_attr(OWNER, GONE)
        trial.set_user_attr(STARTED, "folder")
    assert seen.count(seen[0]) == 4
    assert found.deaths == 5


def test_a_point_of_a_grid_that_died_is_tried_again(tmp_path: Path) -> None:
    found = search(tmp_path, "a=1,2")
    (dead,) = found.ask(1)
    dead.set_user_attr(OWNER, GONE)
    assert sorted(p["a"] for p in run_all(search(tmp_path, "a=1,2"))) == [1, 2]


def test_one_that_never_began_is_run_later(tmp_path: Path) -> None:
    """The sweep was killed between asking for a trial and launching it."""
    (lost,) = search(tmp_path, *MIXED, n_trials=2).ask(1)
    lost.set_user_attr(OWNER, GONE)
    assert lost.params in run_all(search(tmp_path, *MIXED, n_trials=2))


def test_what_runs_elsewhere_is_left_alone(tmp_path: Path) -> None:
    found = search(tmp_path, *MIXED, n_trials=2)
    (theirs,) = found.ask(1)
    theirs.set_user_attr(OWNER, ELSEWHERE)
    theirs.set_user_attr(SIGN, 1e12)
    assert len(run_all(search(tmp_path, *MIXED, n_trials=2))) == 1
    theirs.set_user_attr(SIGN, 0.0)
    assert len(run_all(search(tmp_path, *MIXED, n_trials=2))) == 1
    states = [t.state for t in found.study.trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def test_signs_of_life() -> None:
    assert lives({OWNER: owner()}, 1.0)
    assert not lives({OWNER: GONE}, 1.0)
    assert not lives({OWNER: {**owner(), "started": "7"}}, 1.0), "the number belongs to another process now"
    assert not lives({OWNER: {**owner(), "boot": "before"}, SIGN: 1e12}, 1.0), "started again since"
    assert lives({OWNER: ELSEWHERE, SIGN: 100.0}, 60.0, now=lambda: 150.0)
    assert not lives({OWNER: ELSEWHERE, SIGN: 100.0}, 60.0, now=lambda: 170.0)
    assert not lives({}, 600.0), "its process died before it could say who it is"


def test_a_heart_beats_through_errors() -> None:
    import threading

    enough, beats = threading.Event(), []

    def sign(now: float) -> None:
        beats.append(now)
        if len(beats) > 2:
            enough.set()
        raise OSError("the database is away")

    with Heart(sign, every=0.001):
        assert enough.wait(timeout=30)


def test_zombies_are_dead() -> None:
    import os

    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it has ended and nobody has taken notice
    assert alive._started(pid) == ""
    os.waitpid(pid, 0)


def test_storages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate(None, "a/b") == f"sqlite:///{tmp_path}/sweeps/a_b.db"
    assert locate("sqlite:///x/a.db", "s") == f"sqlite:///{tmp_path}/x/a.db"
    assert locate("sqlite:////x/a.db", "s") == "sqlite:////x/a.db"
    assert locate("journal:///a.log", "s") == f"journal:///{tmp_path}/a.log"
    assert locate("journal:////x/a.log", "s") == "journal:////x/a.log"
    assert locate("postgresql://me@host/x", "s") == "postgresql+psycopg://me@host/x"
    for bad in ("sqlite://", "sqlite:///:memory:", "redis://x", "study.db"):
        with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage"):
            locate(bad, "s")
    assert redact("postgresql://me:p@ss@host/x") == "postgresql://me@host/x"


def test_patience() -> None:
    from sqlalchemy.exc import OperationalError

    calls = []

    def away() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("commit") from OperationalError("", {}, OSError("connection refused"))
        return 7

    assert patiently(away, 60.0) == 7
    calls.clear()
    with pytest.raises(StorageLost, match="connection refused; the same command goes on"):
        patiently(away, -1.0)
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, 60.0)


def test_pruners() -> None:
    assert isinstance(make_pruner({"name": "none"}, 5), NopPruner)
    assert isinstance(make_pruner({"name": "median", "n_startup_trials": 2}, 5), MedianPruner)
    hyperband = make_pruner({"name": "hyperband", "max_resource": None}, 27)
    assert isinstance(hyperband, HyperbandPruner)
    assert hyperband._max_resource == 27
