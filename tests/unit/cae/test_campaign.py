"""A campaign gives the same bytes however it came about, and loses nothing of its own or of others."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import Unready, Walk
from understudy.cae.simulate.campaign import CampaignStopped, run_campaign
from understudy.cae.simulate.journal import claimed
from understudy.cae.simulate.manifest import Manifest, verify
from understudy.core.parquet import read_parquet
from understudy.errors import ConfigError, DataError

TESTS = Path(__file__).parents[2]
FORMATS = ("csv", "parquet")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def made(folder: Path, n_cases: int = 6, experiment: Walk = Walk(fails=0.4), **options: object) -> object:  # noqa: B008
    options = {"n_workers": 1, "max_attempts": 50, **options}
    return run_campaign(experiment, folder, n_cases, **options)  # type: ignore[arg-type]


@pytest.fixture(params=FORMATS)
def file_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_case_is_its_own_draw(tmp_path, file_format):
    campaign = made(tmp_path / "a", seed=3, file_format=file_format)
    draws = {}
    for i in range(1, 7):
        firsts = [np.random.default_rng([3, i, a]).random() for a in range(5)]
        draws[f"case{i:04d}"] = next(a for a, first in enumerate(firsts) if first >= 0.4)
    assert {c.name: c.attempts - 1 for c in campaign.manifest.cases} == draws
    assert {c.name: len(c.failures) for c in campaign.manifest.cases} == draws
    assert set(campaign.manifest.reasons) == {"it diverged"}
    assert max(draws.values()) > 0, "the seed makes at least one case fail"


def test_both_formats_hold_the_same_values_and_notes(tmp_path):
    csv = made(tmp_path / "csv").manifest
    parquet = made(tmp_path / "parquet", file_format="parquet").manifest
    table = read_parquet(tmp_path / "parquet" / "cases.parquet")
    assert [case.notes for case in csv.cases] == [case.metadata for case in table]
    for case, record in zip(table, parquet.cases, strict=True):
        rows = np.loadtxt(tmp_path / "csv" / f"{case.id}.csv", delimiter=",", skiprows=2)
        np.testing.assert_allclose(case.values, rows[:, 1:], rtol=1e-5)
        assert record.sha256 == hashlib.sha256(np.ascontiguousarray(case.values).tobytes()).hexdigest()
        assert record.rows == len(rows)


def test_the_number_of_workers_changes_no_byte(tmp_path, file_format):
    made(tmp_path / "one", file_format=file_format)
    made(tmp_path / "two", file_format=file_format, n_workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_gives_other_values(tmp_path):
    made(tmp_path / "a")
    made(tmp_path / "b", seed=1)
    ours, theirs = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert all(ours[name] != theirs[name] for name in ours if name.endswith(".csv"))


SCRIPT = """
import os, signal, sys
from pathlib import Path
from experiments import Walk
from understudy.cae.simulate.campaign import run_campaign

def kill(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

run_campaign(Walk(fails=0.4), Path(sys.argv[1]), 6, file_format=sys.argv[2], n_workers=2, on_progress=kill)
"""


def test_killed_in_the_middle_and_continued(tmp_path, file_format):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    made(whole, file_format=file_format)
    path = os.pathsep.join(str(p) for p in (TESTS, *filter(None, sys.path)))
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, broken, file_format],
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (broken / "manifest.json").exists()
    again = made(broken, file_format=file_format)
    assert again.n_simulated <= 3
    assert contents(broken) == contents(whole)


class Died(BaseException):
    """Stands for a process that is gone."""


def test_stopped_before_any_write_to_the_disk_and_continued(tmp_path, file_format, monkeypatch):
    made(tmp_path / "whole", 3, file_format=file_format)
    fsync, left = os.fsync, 0

    def dying(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Died
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", dying)
    n_stops = 0
    while True:
        folder = tmp_path / f"after{n_stops}"
        left = n_stops
        try:
            made(folder, 3, file_format=file_format)
        except Died:
            n_stops += 1
            left = 1000
            made(folder, 3, file_format=file_format)
        else:
            break
        assert contents(folder) == contents(tmp_path / "whole")
    assert n_stops >= 8


def test_a_damaged_journal_costs_only_its_cases(tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "cases"
    made(whole)
    with pytest.raises(CampaignStopped):
        made(folder, on_progress=_stop_at(4))
    journal = folder / ".campaign.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b"\xff{broken\n", b"{}\n", *lines[3:]]) + b'{"name": "case00')
    with pytest.raises(CampaignStopped):
        made(folder, on_progress=_stop_at(5))
    assert made(folder).n_simulated == 1, "what follows a line that was cut short counts"
    assert contents(folder) == contents(whole)


def test_half_written_files_of_a_killed_process_go(tmp_path, file_format):
    with pytest.raises(CampaignStopped):
        made(tmp_path / "a", file_format=file_format, on_progress=_stop_at(2))
    for name in (".case0003.0123abcd.csv", ".manifest.0123abcd.json", ".cases.0123abcd.parquet"):
        (tmp_path / "a" / name).write_text("half")
    made(tmp_path / "a", file_format=file_format)
    made(tmp_path / "b", file_format=file_format)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def _stop_at(wanted: int) -> object:
    def stop(done: int, total: int) -> None:
        if done == wanted:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("n_workers", [1, 2])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, n_workers):
    with pytest.raises(CampaignStopped, match="of 6 cases are kept") as stopped:
        made(tmp_path / "a", n_workers=n_workers, on_progress=_stop_at(2))
    assert stopped.value.resume_with
    assert made(tmp_path / "a").n_simulated == 4
    made(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_more_cases_later_are_the_same_as_all_at_once(tmp_path, file_format):
    made(tmp_path / "a", 3, file_format=file_format)
    assert made(tmp_path / "a", 6, file_format=file_format).n_simulated == 3
    made(tmp_path / "b", 6, file_format=file_format)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_finished_campaign_is_checked_and_left_alone(tmp_path, file_format):
    made(tmp_path, file_format=file_format)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert made(tmp_path, file_format=file_format).n_simulated == 0
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}


def test_a_changed_or_missing_file_is_found_and_made_again(tmp_path, file_format):
    made(tmp_path, file_format=file_format)
    good = contents(tmp_path)
    victim = tmp_path / ("case0002.csv" if file_format == "csv" else "cases.parquet")
    assert verify(tmp_path) == Manifest.read(tmp_path)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    for damage in (lambda: victim.write_bytes(data), victim.unlink):
        damage()
        with pytest.raises(DataError, match=victim.name):
            verify(tmp_path)
        assert made(tmp_path, file_format=file_format).n_simulated > 0
        assert contents(tmp_path) == good
    with pytest.raises(DataError, match="manifest"):
        verify(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="manifest"):
        verify(tmp_path)


def test_a_dying_process_is_a_draw_that_failed(tmp_path, file_format):
    fails = made(tmp_path / "fails", file_format=file_format).manifest
    dying = Walk(dies=0.4, may_crash=True)
    one = made(tmp_path / "one", experiment=dying, file_format=file_format).manifest
    made(tmp_path / "two", experiment=dying, n_workers=2, file_format=file_format)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(one.reasons) == {"the process died: SIGABRT"}
    assert [(c.sha256, c.attempts) for c in one.cases] == [(c.sha256, c.attempts) for c in fails.cases]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_cases_that_always_fail_do_not_end_the_others(tmp_path, n_workers):
    with pytest.raises(DataError, match=r"\d of 8 cases failed in 2 attempts each.*it diverged"):
        made(tmp_path, 8, Walk(fails=0.6), max_attempts=2, n_workers=n_workers)
    manifest = verify(tmp_path)
    assert manifest.failed
    assert len(manifest.cases) + len(manifest.failed) == 8
    assert all(case.failures == ("it diverged",) * 2 for case in manifest.failed)
    assert {p.stem for p in tmp_path.glob("*.csv")} == {case.name for case in manifest.cases}
    with pytest.raises(DataError, match="2 of 2 cases"):
        made(tmp_path / "none", 2, Walk(fails=2.0), file_format="parquet")
    assert made(tmp_path, 8, Walk(fails=0.6), max_attempts=50).n_simulated == len(manifest.failed)


def test_values_that_are_not_finite_are_no_case(tmp_path):
    with pytest.raises(DataError, match="y is inf in row 0"):
        made(tmp_path, 1, Walk(infinite=True))


def test_a_folder_of_another_campaign_is_not_touched(tmp_path):
    made(tmp_path)
    before = contents(tmp_path)
    for options, words in [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"experiment": Walk(rows=31)}, "experiment.rows is 30 there and 31 here"),
        ({"file_format": "parquet"}, 'format is "csv" there'),
    ]:
        with pytest.raises(ConfigError, match=words):
            made(tmp_path, **options)
    with pytest.raises(DataError, match="up to case0006"):
        made(tmp_path, 5)
    assert contents(tmp_path) == before


def test_an_unfinished_campaign_of_others_is_not_touched(tmp_path, file_format):
    with pytest.raises(CampaignStopped):
        made(tmp_path, file_format=file_format, on_progress=_stop_at(2))
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="seed"):
        made(tmp_path, file_format=file_format, seed=1)
    assert contents(tmp_path) == before


def test_files_that_no_campaign_wrote_stay(tmp_path, file_format):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".case1.csv").write_text("mine too")
    made(tmp_path, file_format=file_format)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / ".case1.csv").read_text() == "mine too"
    other = tmp_path / "other"
    other.mkdir()
    (other / f"summer.{file_format}").write_text("measured")
    with pytest.raises(ConfigError, match="summer"):
        made(other, file_format=file_format)
    assert contents(other) == {f"summer.{file_format}": b"measured"}
    with pytest.raises(ConfigError, match="is a file"):
        made(tmp_path / "notes.txt")


def test_two_processes_do_not_write_one_folder(tmp_path):
    with pytest.raises(CampaignStopped):
        made(tmp_path, on_progress=_stop_at(2))
    identity = json.loads((tmp_path / ".campaign.jsonl").read_text().splitlines()[0])
    with pytest.raises(ConfigError, match="another process"), claimed(tmp_path, identity, ()):
        made(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_cases": 0}, "cases"),
        ({"seed": -1}, "seed"),
        ({"n_workers": 0}, "workers"),
        ({"max_attempts": 0}, "attempts"),
        ({"file_format": "parket"}, "did you mean 'parquet'"),
    ],
)
def test_impossible_arguments(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        made(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_workers_that_cannot_start_are_not_tried_for_ever(tmp_path, capfd):
    with pytest.raises(DataError, match="could not start"):
        made(tmp_path, experiment=Unready(), n_workers=2)
    assert "this is no number" in capfd.readouterr().err


def test_some_cases_are_those_of_the_whole_campaign(tmp_path, file_format):
    options = {"n_workers": 1, "max_attempts": 50, "file_format": file_format}
    whole = made(tmp_path / "whole", 6, file_format=file_format).manifest
    part = run_campaign(Walk(fails=0.4), tmp_path / "part", [5, 2, 5], **options)
    assert [c.name for c in part.manifest.cases] == ["case0002", "case0005"]
    sums = {c.name: c.sha256 for c in whole.cases}
    assert all(c.sha256 == sums[c.name] for c in part.manifest.cases)
    more = run_campaign(Walk(fails=0.4), tmp_path / "part", [1, 2, 5], **options)
    assert more.n_simulated == 1
    assert [c.name for c in more.manifest.cases] == ["case0001", "case0002", "case0005"]
    with pytest.raises(DataError, match="case0005"):  # what is there is never dropped
        run_campaign(Walk(fails=0.4), tmp_path / "part", [1, 2], **options)
    with pytest.raises(ConfigError, match="numbers from 1"):
        run_campaign(Walk(fails=0.4), tmp_path / "other", [0, 2], **options)
