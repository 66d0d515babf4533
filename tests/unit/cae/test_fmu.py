"""An FMU's cases are its own response, whichever version, process or instance gave them."""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from fmus import Build, build_fmu
from understudy.cae.simulate.campaign import run_campaign
from understudy.cae.simulate.controls import parse_controls, read_controls
from understudy.cae.simulate.experiment import CaseFailed
from understudy.cae.simulate.fmu import FmuExperiment
from understudy.cae.simulate.manifest import Manifest
from understudy.errors import ConfigError, DataError

CONTROLS = {
    "step": 0.1,
    "controls": {
        "u": {"range": [-1, 4], "slew": 5, "dwell": [1, 3], "period": [1, 4]},
        "mode": {"kinds": ["step"], "dwell": [1, 3]},
        "enabled": {"kinds": ["step"], "dwell": [1, 3]},
    },
    "parameters": {"gain": 3, "tau": 0.7},
    "outputs": ["steps", "high", "through", "rate", "y"],
    "targets": ["y", "through"],
}


@pytest.fixture(scope="module", params=[2, 3])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_fmu(request.param, tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def fmu(build: Build, tmp_path: Path) -> Path:
    return build.write(tmp_path / "lag.fmu")


def experiment(path: Path, *, seconds: float = 12.0, **changes: object) -> FmuExperiment:
    return FmuExperiment(path, parse_controls(CONTROLS | changes), seconds=seconds)


def test_rows_are_the_response_to_the_controls_beside_them(fmu):
    model = experiment(fmu)
    names = ("u", "mode", "enabled", "steps", "high", "rate", "y", "through")
    assert model.spec.names == names
    assert [s.role for s in model.spec.signals] == ["control"] * 3 + ["byproduct"] * 3 + ["target"] * 2
    assert {s.name: s.unit for s in model.spec.signals if s.unit} == {"u": "V", "y": "m"}
    rows = model.run(np.random.default_rng(0)).values.astype(float)
    assert rows.shape == (121, 8)
    u, mode, enabled, steps, high, rate, y, through = rows.T
    x, expected = 0.0, []
    for k in range(len(u)):
        expected.append(x)
        wanted = 3 * u[k] + mode[k] if enabled[k] else 0.0
        x += (wanted - x) * (1 - np.exp(-0.1 / 0.7))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(through, y + u, atol=1e-5)  # the control of the same row
    np.testing.assert_allclose(rate, (3 * u - y) / 0.7, atol=1e-4)
    assert steps.tolist() == list(range(121))
    assert high.tolist() == (y > 0.5).tolist()
    assert set(mode) <= {0.0, 1.0, 2.0, 3.0}
    assert set(enabled) == {0.0, 1.0}
    assert np.abs(np.diff(u)).max() <= 0.5 + 1e-6


def test_an_instance_carries_nothing_from_case_to_case(fmu):
    model, keeps = experiment(fmu), experiment(fmu, parameters=CONTROLS["parameters"] | {"no_reset": 1})
    fresh = [experiment(fmu).run(np.random.default_rng(i)).values for i in range(3)]
    for i in (2, 0, 1):
        assert np.array_equal(model.run(np.random.default_rng(i)).values, fresh[i])
        assert np.array_equal(keeps.run(np.random.default_rng(i)).values, fresh[i])


def test_the_fmu_itself_gives_what_is_not_said(fmu):
    model = FmuExperiment(fmu)
    assert model.spec.names == ("u", "mode", "enabled", "y", "through", "steps", "high")
    assert (model.step, model.seconds, model.n_rows) == (0.25, 8.0, 33)
    assert all(s.role != "byproduct" for s in model.spec.signals)
    assert len(model.run(np.random.default_rng(0)).values) == 33
    limits = {c["name"]: (c["low"], c["high"]) for c in model.describe()["controls"]}
    assert limits == {"u": (-10, 10), "mode": (0, 3), "enabled": (0, 1)}


@pytest.mark.parametrize(
    ("parameter", "words"),
    [("error_above", "DoStep.* s: u is too large"), ("fatal_above", "much too large"), ("nan_above", "is nan at")],
)  # fmt: skip
def test_errors_of_the_model_are_failed_cases(fmu, parameter, words):
    good = experiment(fmu).run(np.random.default_rng(1)).values
    model = experiment(fmu, parameters=CONTROLS["parameters"] | {parameter: 0.5})
    reasons = []
    for _ in range(2):
        with pytest.raises(CaseFailed, match=words) as failed:
            model.run(np.random.default_rng(1))
        reasons.append(str(failed.value))
        assert tempfile.gettempdir() not in reasons[-1], "folders differ from process to process"
    assert reasons[0] == reasons[1]
    model._parameters = experiment(fmu)._parameters
    assert np.array_equal(model.run(np.random.default_rng(1)).values, good), "the next case is not affected"


def test_a_model_that_cannot_be_reset_gives_the_same_reasons(fmu):
    parameters = CONTROLS["parameters"] | {"no_reset": 1, "silent_above": 0.5}
    model, reasons = experiment(fmu, parameters=parameters), set()
    for _ in range(2):
        with pytest.raises(CaseFailed) as failed:
            model.run(np.random.default_rng(1))
        reasons.add(str(failed.value))
    assert len(reasons) == 1
    assert "no reset" not in reasons.pop()


def test_temporary_folders_are_removed(fmu, monkeypatch, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    model = experiment(fmu)
    model.run(np.random.default_rng(0))
    assert len(list(scratch.iterdir())) == 1
    assert pickle.loads(pickle.dumps(model)).spec == model.spec, "what is loaded stays behind"
    del model
    assert list(scratch.iterdir()) == []


def test_a_crash_costs_one_draw_and_no_byte_depends_on_workers(fmu, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    wild = CONTROLS["parameters"] | {"crash_above": 3.0, "error_above": 2.5}
    folders = [tmp_path / "one", tmp_path / "two"]
    for n_workers, folder in enumerate(folders, start=1):
        model = experiment(fmu, seconds=4.0, parameters=wild)
        run_campaign(model, folder, 4, seed=7, n_workers=n_workers)
    contents = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders]
    assert contents[0] == contents[1]
    manifest = Manifest.read(folders[0])
    reasons = " ".join(manifest.reasons)
    assert "SIGABRT" in reasons
    assert "u is too large" in reasons
    assert str(tmp_path) not in json.dumps(manifest.to_json())
    assert list((tmp_path / "scratch").iterdir()) == [], "not even crashes leave files behind"


def test_the_description_tells_models_and_controls_apart(build, fmu, tmp_path):
    said = experiment(fmu).describe()
    assert said == experiment(fmu).describe()
    assert json.loads(json.dumps(said, allow_nan=False)) == said | {
        "controls": json.loads(json.dumps(said["controls"]))
    }
    other = build.write(tmp_path / "other.fmu", experiment="")
    others = [
        experiment(other),
        experiment(fmu, parameters={"gain": 3}),
        experiment(fmu, step=0.2),
        experiment(fmu, seconds=13.0),
        experiment(fmu, controls={"u": {"range": [-1, 4]}}),
        experiment(fmu, targets=["y"]),
    ]
    assert all(model.describe() != said for model in others)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"controls": {"v": {}}}, "no scalar variable 'v'"),
        ({"controls": {"enabeld": {}}}, "did you mean 'enabled'"),
        ({"controls": {"gain": {"range": [0, 1]}}}, "'gain' is not an input"),
        ({"controls": {}}, "no control"),
        ({"controls": {"u": {"range": [-1, 11]}}}, "-1 to 11 exceeds .* -10 to 10"),
        ({"controls": {"u": {"range": [4, -1]}}}, "no values lie between 4 and -1"),
        ({"controls": {"u": {"kinds": ["stp"]}}}, "did you mean 'step'"),
        ({"outputs": ["z"]}, "no scalar variable 'z'"),
        ({"outputs": ["note"], "targets": None}, "'note' .* a text"),
        ({"outputs": ["u"], "targets": None}, "'u' .* an input"),
        ({"outputs": ["y"]}, "'through' is not one of the outputs"),
        ({"outputs": []}, "no output"),
        ({"parameters": {"gian": 1}}, "did you mean 'gain'"),
        ({"parameters": {"gain": -1}}, "allows 0 to inf"),
        ({"parameters": {"gain": "much"}}, "must be a number"),
        ({"parameters": {"u": 1}}, "is a control"),
        ({"parameters": {"y": 1}}, "causality 'output'"),
        ({"seconds": 0.01}, "shorter than one step"),
    ],
)  # fmt: skip
def test_controls_that_the_model_does_not_have_or_allow(fmu, changes, words):
    with pytest.raises(ConfigError, match=words):
        experiment(fmu, **changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be names with values"),
        ("a: [", "cannot be read as YAML"),
        ("contrls: {}", "did you mean 'controls'"),
        ("controls: {u: {rnge: [0, 1]}}", "did you mean 'range'"),
        ("controls: [u]", "must be names with values"),
        ("controls: {on: {}}", "put it in quotes"),
        ("controls: {u: {range: [0]}}", r"controls.u.range must be a pair"),
        ("controls: {u: {range: [0, x]}}", "must be a number, not 'x'"),
        ("controls: {u: {slew: true}}", "must be a number, not True"),
        ("step: 0", "must be positive"),
        ("outputs: y", "list of names"),
        ("parameters: {a: [1]}", "parameters.a"),
    ],
)
def test_files_of_controls_that_say_nothing_sensible(tmp_path, text, words):
    path = tmp_path / "controls.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as error:
        read_controls(path)
    assert "controls.yaml" in str(error.value)
    with pytest.raises(ConfigError, match="no such file"):
        read_controls(tmp_path / "nowhere.yaml")


def test_files_that_cannot_be_run_here(build, tmp_path):
    path = tmp_path / "lag.fmu"
    with pytest.raises(DataError, match="no such file"):
        FmuExperiment(path)
    path.write_text("no archive")
    with pytest.raises(DataError, match="cannot be read as an FMU"):
        FmuExperiment(path)
    whole = build.write(tmp_path / "whole.fmu").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as an FMU"):
        FmuExperiment(path)
    with pytest.raises(ConfigError, match=r"has no binary for .* only for amiga"):
        FmuExperiment(build.write(path, platform="amiga"))
    with pytest.raises(ConfigError, match="only for model exchange"):
        FmuExperiment(build.write(path, interface="ModelExchange"))
    with pytest.raises(DataError, match=r"no number.*soon"):
        FmuExperiment(build.write(path, experiment='<DefaultExperiment stopTime="soon"/>'))
    with pytest.raises(ConfigError, match="--seconds"):
        FmuExperiment(build.write(path, experiment=""))
    assert FmuExperiment(path, seconds=1.0).step == 0.1


def test_a_model_without_limits_needs_a_range(build, tmp_path, monkeypatch):
    import fmus

    unlimited = (0, "Real", "input", "continuous", 'start="0"')
    monkeypatch.setitem(fmus.VARIABLES, "u", unlimited)
    path = build.write(tmp_path / "lag.fmu")
    with pytest.raises(ConfigError, match=r"'u'.*give its range"):
        FmuExperiment(path)
    controls = parse_controls({"controls": {"u": {"range": [0, 1], "unit": "mV"}}})
    assert FmuExperiment(path, controls).spec.controls[0].unit == "mV"


def test_without_fmpy_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fmpy", None)
    with pytest.raises(ConfigError, match=r"pip install 'understudy\[fmu\]'"):
        FmuExperiment(tmp_path / "lag.fmu")


def test_the_plan_of_a_case_is_what_it_does(fmu):
    model = experiment(fmu)
    for seed in range(3):
        planned = model.plan(np.random.default_rng(seed))
        rows = model.run(np.random.default_rng(seed)).values
        np.testing.assert_array_equal(planned.astype(np.float32), rows[:, :3])
