"""``understudy acquire`` and runs that are averaged, in both fields."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import understudy
from helpers import Run
from understudy.cae.simulate.tanks import simulate_tanks
from understudy.core.parquet import write_parquet
from understudy.rna.demo import made_molecules
from understudy.rna.molecules import write_molecules

TRAIN = (
    "dataset=tanks", "dataset.cases=8", "dataset.val_size=2", "dataset.test_size=2", "dataset.seconds=200",
    "model=gru", "model.dim=8", "settings.epochs=2", "settings.batch_size=4", "settings.use_decimate=false",
    "settings.stretch=20", "tracking=none", "report.figures=false",
)  # fmt: skip
RNA = (
    "settings.is_debug=true", "tracking=none", "report.figures=false", "dataset.trees=false",
    "dataset.pairing=none", "experiment=ribonanza_demo", "model.dim=16", "model.depth=1", "model.heads=2",
    "model.width=16",
)  # fmt: skip


def train(run: Run, keys: tuple[str, ...], name: str, seed: int) -> None:
    done = run("train", *keys, f"settings.seed={seed}", "settings.split_seed=7", f"hydra.run.dir={name}")
    assert done.status == 0, done.err


def same_split_other_weights(*names: str) -> None:
    splits = [json.loads(Path(name, "split.json").read_text()) for name in names]
    assert splits[0] == splits[1]
    assert splits[0]["seed"] == 7
    weights = [Path(name, "bundle", "weights.safetensors").read_bytes() for name in names]
    assert weights[0] != weights[1]


@pytest.fixture
def runs(run: Run) -> tuple[str, str]:
    for seed, name in enumerate(("one", "two")):
        train(run, TRAIN, name, seed)
    same_split_other_weights("one", "two")
    return "one", "two"


def controls(folder: str, columns: tuple[str, ...] = ("Pump", "Valve")) -> Path:
    """Twelve cases of which only controls are known, as CSV files."""
    table = simulate_tanks(12, seconds=200, seed=9)
    Path(folder).mkdir()
    for case in table:
        frame = pd.DataFrame(case.values[:, : len(columns)], columns=list(columns))
        units = pd.DataFrame([["s", "V", "%"][: len(columns) + 1]], columns=["time", *columns])
        frame.insert(0, "time", table.spec.step * np.arange(len(frame)))
        pd.concat([units, frame]).to_csv(f"{folder}/{case.id}.csv", index=False)
    return Path(folder)


@pytest.fixture
def candidates() -> Path:
    return controls("ask")


def test_cases_from_their_controls(run: Run, runs: tuple[str, str], candidates: Path) -> None:
    known = simulate_tanks(5, seconds=200, seed=9)  # five of the candidates are there already
    write_parquet(known, Path("known.parquet"))
    for by, column in (
        ("random", None),
        ("k-center", "distance"),
        ("learning-loss", "expected_error"),
        ("disagreement", "disagreement"),
    ):
        done = run("acquire", *runs, "ask", "--by", by, "--n", "4", "--known", "known.parquet")
        assert done.status == 0, done.err
        Path("table.csv").write_text(done.out)
        table = pd.read_csv("table.csv")
        assert list(table) == ["rank", "id", *([column] if column else [])]
        assert list(table["rank"]) == [1, 2, 3, 4]
        assert table["id"].is_unique
        assert not set(table["id"]) & set(known.ids)
        if column:
            assert table[column].is_monotonic_decreasing
    done = run("acquire", *runs, "ask", "--by", "disagreement", "--n", "4", "--out", "picked.csv")
    assert (done.status, done.out) == (0, "")
    assert len(pd.read_csv("picked.csv")) == 4


def test_runs_are_predicted_and_evaluated_as_their_mean(
    run: Run, runs: tuple[str, str], folder: Path
) -> None:
    for name, which in (("a", runs[:1]), ("b", runs[1:]), ("both", runs)):
        done = run("predict", *which, str(folder), "--out", f"{name}.parquet", "--coverage", "0.9")
        assert done.status == 0, done.err
    a, b, both = (pd.read_parquet(f"{name}.parquet") for name in ("a", "b", "both"))
    for column in ("LowerLevel", "LowerLevel_low", "Outflow_high"):
        mean = (np.stack(a[column]) + np.stack(b[column])) / 2
        np.testing.assert_allclose(np.stack(both[column]), mean, atol=1e-4)
    done = run("evaluate", *runs, str(folder), "--out", "report")
    assert done.status == 0, done.err
    page = Path("report/report.html").read_text()
    assert "mean of 2 gru" in page
    score = json.loads(Path("report/metrics.json").read_text())["model"]["score"]
    surrogate = understudy.load(*runs)
    assert repr(surrogate).startswith("Surrogate(mean of 2 gru")
    assert 0 < score < 5


def test_molecules(run: Run) -> None:
    for seed, name in enumerate(("one", "two")):
        train(run, RNA, name, seed)
    same_split_other_weights("one", "two")
    molecules = made_molecules(40, 3, jobs=1)
    write_molecules(molecules, Path("probed.parquet"))
    lines = [f">{molecules.ids[i]}\n{molecules.sequence(i)}\n" for i in range(8)]
    fresh = made_molecules(12, 4, jobs=1)
    lines += [f">new{i}\n{fresh.sequence(i)}\n" for i in range(12)]
    Path("ask.fa").write_text("".join(lines))
    for by in ("random", "k-center", "learning-loss", "disagreement"):
        done = run(
            "acquire",
            "one",
            "two",
            "ask.fa",
            "--by",
            by,
            "--n",
            "5",
            "--known",
            "probed.parquet",
            "--pairing",
            "none",
        )
        assert done.status == 0, done.err
        names = [line.split(",")[1] for line in done.out.splitlines()[1:]]
        assert len(set(names)) == 5
        assert all(name.startswith("new") for name in names)  # what was probed is left out
    done = run("evaluate", "one", "two", "probed.parquet", "--out", "report")
    assert done.status == 0, done.err
    assert "mean of 2 ribo" in Path("report/report.html").read_text()
    assert "intervals of 90" in done.err
    # A molecule is the same beside any others.
    one = run("acquire", "one", "two", "ask.fa", "--by", "disagreement", "--n", "20", "--pairing", "none").out
    Path("few.fa").write_text("".join(lines[9:11]))
    two = run("acquire", "one", "two", "few.fa", "--by", "disagreement", "--n", "2", "--pairing", "none").out
    every = dict(line.split(",")[1:] for line in one.splitlines()[1:])
    for line in two.splitlines()[1:]:
        _, name, value = line.split(",")
        assert float(value) == pytest.approx(float(every[name]), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one", "--by", "random"), "acquire takes a RUN"),
        (("one", "ask", "--by", "randon"), "did you mean 'random'"),
        (("one", "ask", "--by", "disagreement"), "disagreement needs several runs"),
        (("one", "ask", "--by", "learning-loss"), "--known"),
        (("one", "ask", "--by", "random", "--n", "13"), "13 of 12 candidates"),
        (("one", "ask", "--by", "random", "--n", "0"), "--n must be at least 1"),
        (
            ("one", "ask", "--by", "random", "--pairing", "none"),
            "--pairing means nothing for a run of CAE",
        ),
        (("one", "absent.parquet", "--by", "random"), "no such folder or file"),
        (("one", "less", "--by", "random"), "'Valve'"),
        (("one", "ask", "--by", "random", "--known", "ask"), "'UpperLevel'"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Run, candidates: Path, arguments: tuple[str, ...], words: str
) -> None:
    controls("less", ("Pump",))
    train(run, TRAIN, "one", 0)
    done = run("acquire", *arguments, "--out", "picked.csv")
    assert (done.status, Path("picked.csv").exists()) == (2, False)
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
