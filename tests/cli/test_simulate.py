"""``understudy simulate`` as a user meets it: a folder of cases that trains, or one line that says why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fmus
from helpers import Run
from understudy.core.parquet import read_parquet

CONTROLS = """
step: 0.1
controls:
  u: {range: [-1, 4], slew: 8, kinds: [hold, step, ramp, sine], dwell: [1, 3], period: [1, 4], unit: "%"}
parameters: {gain: 3, crash_above: 3.2}
targets: [y]
"""


def assert_one_line(done: object, *words: str) -> None:
    status, out, err = done  # type: ignore[misc]
    lines = [line for line in err.splitlines() if line.strip()]
    assert status == 2, err
    assert len(lines) == 1
    assert lines[0].startswith("understudy: error: ")
    assert out == ""
    for word in words:
        assert word in lines[0]


@pytest.fixture
def fmu(tmp_path: Path) -> str:
    (tmp_path / "controls.yaml").write_text(CONTROLS)
    fmus.build_fmu(2, tmp_path).write(tmp_path / "lag.fmu")
    return "lag.fmu"


def test_an_fmu_gives_cases_that_train(run: Run, fmu: str, tmp_path: Path) -> None:
    command = ("simulate", fmu, "--controls", "controls.yaml", "--seconds", "5", "--out", "cases", "--seed=1")
    first = run(*command, "--cases", "4", "--workers", "2")
    assert first.status == 0, first.err
    assert "4 cases in cases: 1 controls, 4 predicted signals (the last 1 are targets)" in first.err
    assert "resampled: the process died: SIGABRT" in first.err
    more = run(*command, "--cases", "10")
    assert "10 cases in cases" in more.err
    assert "4 were there already" in more.err
    assert "nothing to do, all checksums are right" in run(*command, "--cases", "10").err
    head = (tmp_path / "cases" / "case0001.csv").read_text().splitlines()[:2]
    assert head == ["Time,u,through,steps,high,y", "s,%,,,,m"]
    roles = ("dataset.num_control=1", "dataset.num_pred=4", "dataset.num_target=1")
    fast = (
        "settings.is_debug=true",
        "tracking=none",
        "report.figures=false",
        "model=arx",
        "settings.use_decimate=false",
    )
    assert run("train", "dataset=csv", "dataset.path=cases", *roles, *fast).status == 0


def test_tanks_in_parquet_are_the_tanks_in_csv(run: Run, tmp_path: Path) -> None:
    options = ("simulate", "tanks", "--cases", "3", "--seconds", "80", "--seed", "5")
    assert run(*options, "--out", "csv").status == 0
    assert run(*options, "--out", "one", "--format", "parquet").status == 0
    table = read_parquet(tmp_path / "one" / "cases.parquet")
    lines = (tmp_path / "csv" / "case0002.csv").read_text().splitlines()
    assert len(lines) == 2 + len(table[1].values) == 23
    assert [f"{x:.6g}" for x in table[1].values[7]] == lines[9].split(",")[1:]


def test_the_refrigerant_circuit_gives_the_same_bytes_in_one_process_and_in_two(
    run: Run, tmp_path: Path
) -> None:
    small = ("simulate", "refrigerant", "--variant", "refrig_only", "--cases", "3", "--seconds", "20")
    one = run(*small, "--workers", "1", "--out", "one")
    assert one.status == 0, one.err
    assert "15 controls, 47 predicted signals (the last 7 are targets)" in one.err
    assert run(*small, "--workers", "2", "--out", "two").status == 0
    files = sorted(p.name for p in (tmp_path / "one").glob("*.*"))
    assert files == ["case0001.csv", "case0002.csv", "case0003.csv", "manifest.json", "spec.json"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    names, units, first = (tmp_path / "one" / "case0001.csv").read_text().splitlines()[:3]
    assert names.startswith("Time,Comp_rpm,ACDS_AirT,")
    assert units.startswith("s,rpm,degC,")
    assert first.startswith("0,")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tnks"], ["did you mean 'tanks'"]),
        (["engine"], ["'engine'", "refrigerant, tanks, PATH.fmu"]),
        (["nowhere.fmu"], ["nowhere.fmu", "no such file"]),
        (["broken.fmu"], ["broken.fmu", "cannot be read as an FMU"]),
        (["tanks", "--controls", "c.yaml"], ["--controls is an option of PATH.fmu"]),
        (["tanks", "--step", "1"], ["--step", "every 4 s"]),
        (["tanks", "--seconds", "4"], ["--seconds"]),
        (["tanks", "--seconds", "-4"], ["--seconds must be positive"]),
        (["tanks", "--seconds", "nan"], ["--seconds must be positive"]),
        (["tanks", "--cases", "0"], ["--cases must be at least"]),
        (["tanks", "--seed", "-1"], ["--seed must be at least"]),
        (["tanks", "--workers", "0"], ["--workers must be at least"]),
        (["tanks", "--format", "cvs"], ["did you mean 'csv'"]),
        (["tanks", "--suite", "hot"], ["--suite is an option of refrigerant"]),
        (["refrigerant", "--suite", "hott"], ["did you mean 'hot'"]),
        (["refrigerant", "--variant", "step1"], ["did you mean 'step2'"]),
        (["refrigerant", "--refrigerant", "R12"], ["R1234yf, R134a"]),
        (["refrigerant", "--step", "2"], ["between 0.01 and 1 s"]),
        (["refrigerant", "--seconds", "0.5"], ["too short"]),
    ],
)
def test_bad_input_is_one_line(run: Run, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "broken.fmu").write_text("no archive")
    assert_one_line(run("simulate", *arguments, "--out", "cases"), *words)
    assert not (tmp_path / "cases").exists()


def test_folders_and_models_that_do_not_fit(run: Run, fmu: str, tmp_path: Path) -> None:
    small = ("--cases", "2", "--seconds", "80", "--out")
    assert run("simulate", "tanks", *small, "cases").status == 0
    assert_one_line(run("simulate", "tanks", *small, "cases", "--seed", "1"), "another campaign", "seed")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "measured.csv").write_text("precious")
    assert_one_line(run("simulate", "tanks", *small, "mine"), "measured.csv")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["measured.csv"]
    assert_one_line(run("simulate", fmu, *small, "x", "--controls", "nowhere.yaml"), "nowhere.yaml")
    (tmp_path / "controls.yaml").write_text("controls: {speed: {}}")
    assert_one_line(run("simulate", fmu, *small, "x", "--controls", "controls.yaml"), "'speed'")
    (tmp_path / "controls.yaml").write_text(CONTROLS.replace("crash_above: 3.2", "error_above: -20"))
    done = run("simulate", fmu, *small, "x", "--controls", "controls.yaml")
    assert_one_line(done, "2 of 2 cases failed in 5 attempts each", "u is too large")


def test_ctrl_c_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy.cae.simulate.tanks import Tanks

    command = ("simulate", "tanks", "--cases", "3", "--seconds", "80", "--out", "cases")
    running, calls = Tanks.run, iter([False, True])

    def interrupted(self: Tanks, rng: object) -> object:
        if next(calls):
            raise KeyboardInterrupt
        return running(self, rng)  # type: ignore[arg-type]

    monkeypatch.setattr(Tanks, "run", interrupted)
    done = run(*command)
    assert done.status == 130
    assert "1 of 3 cases are kept in cases; go on with: the same command" in done.err
    monkeypatch.setattr(Tanks, "run", running)
    assert "1 were there already" in run(*command).err


def test_the_help_names_experiments_and_imports_nothing_heavy(run: Run) -> None:
    text = run("simulate", "--help").out
    for word in ("refrigerant", "tanks", "PATH.fmu", "--controls", "--suite", "--workers"):
        assert word in text
    code = (
        "import sys\nfrom understudy.cli import main\n"
        "try:\n    main(['simulate', '--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'fmpy', 'yaml', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_page_about_fmus_is_a_complete_example(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "simulate-an-fmu.md").read_text(encoding="utf-8")
    names = {"u": "valve", "gain": "leak", "through": "outflow", "y": "level"}
    model = {names.get(name, name): variable for name, variable in fmus.VARIABLES.items()}
    model["valve"] = (*model["valve"][:4], 'start="0" min="0" max="100"')
    monkeypatch.setattr(fmus, "VARIABLES", model)
    fmus.build_fmu(2, tmp_path).write(tmp_path / "model.fmu")
    (tmp_path / "controls.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    commands = [line for line in page.splitlines() if line.startswith("understudy simulate")]
    assert len(commands) == 2
    for command in commands:
        done = run(*command.replace("--cases 500", "--cases 1").split()[1:])
        assert done.status == 0, done.err
    assert (
        (tmp_path / "cases" / "case0001.csv").read_text().startswith("Time,valve,outflow,steps,high,level\n")
    )
