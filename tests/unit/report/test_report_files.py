"""The files of a report say what the evaluation says."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from understudy.core.metrics import METRICS, STATISTICS
from understudy.core.spec import DataSpec, Role, Signal
from understudy.report import RunFacts, write_report
from understudy.report.curves import curves_of
from understudy.report.sheets import CaseCsv
from understudy.report.tables import write_case_losses, write_loss_tables, write_metrics

RUN = RunFacts("dot on tanks")


@pytest.fixture(scope="module")
def evaluation(make_evaluation, spec, lasting_truths, shifted):
    return make_evaluation("dot", spec, lasting_truths, shifted(lasting_truths, [0.5, 0.25, 1.0]))


@pytest.fixture(scope="module")
def baseline(make_evaluation, spec, lasting_truths, shifted):
    return make_evaluation("persistence", spec, lasting_truths, shifted(lasting_truths, [1.5, 2.0, 0.5]))


@pytest.fixture(scope="module")
def report(tmp_path_factory, evaluation, baseline):
    """A report that one process wrote, byproducts included."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, evaluation, [baseline], RUN, byproducts=True, jobs=1)
    return folder


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def read_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def expected_tree(signals: list[str]) -> set[str]:
    cases = ["case0000", "case0001", "case0002"]
    return (
        {"report.html", "metrics.json"}
        | {f"csv/{c}.csv" for c in cases}
        | {f"figure/{c}/{name}" for c in cases for name in ("overview.png", "loss.txt")}
        | {f"figure/{c}/{s}.png" for c in cases for s in signals}
        | {f"loss/loss_{s}_{m}.csv" for s in ("shell", "level_upper", "power") for m in ("ADE", "FDE")}
    )


def test_writes_the_promised_tree_and_reports_progress(tmp_path, evaluation, baseline):
    seen = []
    written = write_report(
        tmp_path, evaluation, [baseline], RUN, jobs=1, on_progress=lambda *x: seen.append(x)
    )
    assert tree(tmp_path) == expected_tree(["level_upper", "power"])
    assert {str(p.relative_to(tmp_path)) for p in written} == tree(tmp_path)
    assert len(written) == len(set(written))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(set(done))
    assert set(totals) == {done[-1]} == {3 * (1 + 1 + 2)}


def test_worker_processes_write_what_one_process_writes(tmp_path, report, evaluation, baseline):
    write_report(tmp_path, evaluation, [baseline], RUN, byproducts=True, jobs=2)
    assert tree(tmp_path) == expected_tree(["shell", "level_upper", "power"])
    for name in sorted(tree(report)):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes(), name


def test_case_csv_holds_the_arrays(report, evaluation):
    for case in evaluation.cases:
        rows = read_csv(report / "csv" / f"{case.id}.csv")
        assert rows[0] == [
            "time",
            *("shell", "shell_truth", "level/upper", "level/upper_truth", "power", "power_truth"),
        ]
        assert rows[1] == ["s", "°C", "°C", "m", "m", "m/s^2", "m/s^2"]
        values = np.array(rows[2:], np.float64)
        np.testing.assert_allclose(values[:, 0], case.time, rtol=1e-9)
        np.testing.assert_allclose(values[:, 1::2], case.prediction, rtol=6e-8)
        np.testing.assert_allclose(values[:, 2::2], case.truth, rtol=6e-8)


def test_what_was_not_measured_is_an_empty_cell(tmp_path, make_evaluation, spec, truths, shifted):
    predictions = shifted(truths, 0.5)
    truths[1][10:20, 1] = np.nan
    truths[2][:, 2] = np.nan
    evaluation = make_evaluation("dot", spec, truths, predictions)
    write_loss_tables(tmp_path / "loss", evaluation, {s.name: s.name[:5] for s in spec.predicted})
    CaseCsv(curves_of(evaluation, 1), tmp_path / "csv" / "case0001.csv").run()
    rows = read_csv(tmp_path / "csv" / "case0001.csv")[2:]
    assert [i for i, row in enumerate(rows) if row[4] == ""] == list(range(10, 20))
    losses = read_csv(tmp_path / "loss" / "loss_power_ADE.csv")
    assert losses[-1] == ["case0002", ""]


def test_a_name_that_looks_like_a_truth_column_does_not_double_it(tmp_path, make_evaluation, truths, shifted):
    spec = DataSpec(tuple(Signal(n) for n in ("a", "a_truth", "b,c")))
    evaluation = make_evaluation("dot", spec, truths, shifted(truths, 1))
    CaseCsv(curves_of(evaluation, 0), tmp_path / "csv" / "case0000.csv").run()
    head = read_csv(tmp_path / "csv" / "case0000.csv")[0]
    assert len(head) == len(set(head)) == 7
    assert "b,c" in head


def test_loss_tables_rise(tmp_path, make_evaluation, spec, truths):
    predictions = [t + np.float32(e) for t, e in zip(truths, (3.0, 1.0, 2.0), strict=True)]
    evaluation = make_evaluation("dot", spec, truths, predictions)
    write_loss_tables(tmp_path, evaluation, {s.name: s.name[:5] for s in spec.predicted})
    for metric in ("ADE", "FDE"):
        rows = read_csv(tmp_path / f"loss_level_{metric}.csv")
        assert rows[0] == ["case", "value"]
        assert [row[0] for row in rows[1:]] == ["case0001", "case0002", "case0000"]
        np.testing.assert_array_equal(
            [float(row[1]) for row in rows[1:]], np.sort(evaluation.errors[metric][:, 1])
        )


def test_loss_text_holds_the_errors_of_the_case(report, evaluation):
    lines = (report / "figure" / "case0001" / "loss.txt").read_text(encoding="utf-8").splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("signal"))
    assert lines[head].split() == ["signal", "unit", "ADE", "FDE", "RMSE", "max", "error"]
    for i, line in enumerate(lines[head + 2 :]):
        name, unit, *errors = line.split()
        assert (name, unit) == [("shell", "°C"), ("level/upper", "m"), ("power", "m/s^2")][i]
        want = [evaluation.errors[m][1, i] for m in METRICS]
        np.testing.assert_allclose([float(e) for e in errors], want, rtol=5e-4)
    assert len({len(line) for line in lines[head:]}) == 1


def strict(text: str):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_metrics_are_those_of_the_evaluation(report, evaluation, baseline):
    data = strict((report / "metrics.json").read_text(encoding="utf-8"))
    assert [s["role"] for s in data["signals"]] == ["byproduct", "target", "target"]
    for found, e in ((data["model"], evaluation), (data["baselines"][0], baseline)):
        assert found["name"] == e.name
        assert found["score"] == e.score()
        assert found["seconds_per_case"] == 0.01
        assert found["diverged"] == {"count": 0, "cases": []}
        for i, signal in enumerate(e.spec.predicted):
            for metric in METRICS:
                assert found["errors"][signal.name][metric] == e.summary(metric, i)
                assert set(found["errors"][signal.name][metric]) == set(STATISTICS)


def test_divergence_is_marked_and_json_stays_strict(tmp_path, make_evaluation, spec, truths, shifted):
    predictions = shifted(truths, 0.5)
    predictions[2][30:] = np.float32(1e30)
    predictions[2][40:] = np.inf
    evaluation = make_evaluation("dot", spec, truths, predictions)
    data = strict(write_metrics(tmp_path / "m.json", evaluation, []).read_text(encoding="utf-8"))
    assert data["model"]["score"] is None
    assert data["model"]["score_of_case"]["case0002"] is None
    assert data["model"]["diverged"] == {"count": 1, "cases": ["case0002"]}
    texts = [write_case_losses(tmp_path / "t", evaluation, k).read_text(encoding="utf-8") for k in (0, 2)]
    assert "diverged" not in texts[0]
    assert "diverged at 20 s" in texts[1]


def test_names_that_share_a_slug_do_not_share_a_file(tmp_path, make_evaluation, truths, shifted):
    spec = DataSpec(tuple(Signal(n, role=Role.TARGET) for n in ("a/b", "a_b", "overview")))
    ids = ["x/1", "x_1", "X_1"]
    write_report(tmp_path, make_evaluation("dot", spec, truths, shifted(truths, 1), ids), [], RUN, jobs=1)
    folders = list((tmp_path / "figure").iterdir())
    assert len({folder.name.casefold() for folder in folders}) == 3
    assert all(len(list(folder.glob("*.png"))) == 4 for folder in folders)
    assert len(list((tmp_path / "csv").iterdir())) == 3
    assert len(list((tmp_path / "loss").iterdir())) == 6
    # The safe name keeps its file, whichever comes first.
    assert len((tmp_path / "csv" / "x_1.csv").read_text().splitlines()) == 2 + len(truths[1])


@pytest.mark.parametrize("rows", [1, 2, 5000])
def test_any_length_can_be_drawn(tmp_path, make_evaluation, spec, rows):
    truth = np.zeros((rows, 3), np.float32)
    truth[:, 2] = np.nan
    evaluation = make_evaluation("dot", spec, [truth], [np.ones_like(truth)])
    assert len(write_report(tmp_path, evaluation, [], RUN, byproducts=True, jobs=1)) == 14


def test_an_unwritable_folder_is_an_os_error(tmp_path, evaluation):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report(tmp_path / "file" / "run", evaluation, [], RUN, jobs=1)


def run_python(code: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, timeout=120
    )
    return result.stdout.strip()


def test_importing_the_report_is_cheap():
    heavy = "[m for m in ('torch', 'matplotlib', 'jinja2') if m in sys.modules]"
    assert run_python(f"import sys, understudy.report; print({heavy})") == "[]"


def test_importing_the_worker_module_leaves_torch_alone():
    assert run_python("import sys, understudy.report.sheets; print('torch' in sys.modules)") == "False"
