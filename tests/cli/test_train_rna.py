"""RNA from the command line: train, look at what remains, go on with it, evaluate and predict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import understudy
from helpers import Run, counted_mutations, sparse_control
from understudy.core.bundle import load_bundle
from understudy.report.numbers import percent
from understudy.rna.baselines import read_baselines
from understudy.rna.batches import Probed
from understudy.rna.demo import made_molecules
from understudy.rna.features import ZONE, places_of
from understudy.rna.intervals import ProfileIntervals
from understudy.rna.loader import MoleculeLoader
from understudy.rna.molecules import Molecules, write_molecules
from understudy.rna.pairing import available
from understudy.rna.trees import Trees

TINY = ("model.dim=16", "model.depth=1", "model.heads=2", "model.width=16")
QUICK = (
    "settings.is_debug=true",
    "tracking=none",
    "report.figures=false",
    "dataset.trees=false",
    "dataset.pairing=none",
    "experiment=ribonanza_demo",
    *TINY,
)


def only_run(base: Path) -> Path:
    (folder,) = (base / "runs").iterdir()
    return folder


def with_twins(molecules: Molecules) -> Molecules:
    """Every molecule in a second data set too, as PK50 and PK90 are in the competition's file."""
    index = np.concatenate([np.arange(len(molecules)), np.arange(len(molecules))])
    twice = molecules.take(index)
    dataset = np.repeat([0, 1], len(molecules)).astype(np.int16)
    return Molecules(**{**vars(twice), "dataset": dataset, "dataset_names": ("first", "second")})


def with_a_poor_control(molecules: Molecules) -> Molecules:
    """The same, DMS counted anew: at a fifth of the nucleotides a control far too high was subtracted.

    From 30 to 40 nucleotides from the 3' end, reads of other molecules are counted.
    """
    rng = np.random.default_rng(0)
    place = places_of(molecules, np.arange(len(molecules)))
    mean = np.maximum(molecules.reactivity[:, 1].astype(float), 0.02) + 0.8 * (place // ZONE == 3)
    known = np.isfinite(mean)
    reads = np.repeat(molecules.reads[:, 1].astype(float), molecules.lengths)[known]
    reactivity, error = molecules.reactivity.copy(), molecules.error.copy()
    made = counted_mutations(mean[known], sparse_control(rng, reads.shape), rng, reads)
    reactivity[known, 1], error[known, 1] = made[:2]
    return Molecules(**{**vars(molecules), "reactivity": reactivity, "error": error})


def test_everything_of_a_run(run: Run, tmp_path: Path) -> None:
    done = run("train", *QUICK)
    assert done.status == 0, done.err
    place = only_run(tmp_path)
    split = json.loads((place / "split.json").read_text())
    assert not set(split["train"]) & set(split["val"]) | set(split["test"]) & set(
        split["train"] + split["val"]
    )
    assert "median per nucleotide" in done.err
    assert "validation MAE" in done.err
    page = (place / "report.html").read_text()
    assert "median per nucleotide" in page
    metrics = json.loads((place / "metrics.json").read_text())
    assert 0 < metrics["model"]["mae"] < 1

    surrogate = understudy.load(place)
    (y,) = surrogate.predict(["GGGAAACGCUUCGGCGAAACCC"], pairing=False)
    assert y.shape == (22, 4)
    assert ((y[:, :2] >= 0) & (y[:, :2] <= 1)).all()

    Path("hairpin.fa").write_text(">h\nGGGAAACGCUUCGGCGAAACCC\n")
    done = run("predict", str(place), "hairpin.fa", "--pairing", "none", "--out", "y.tsv")
    assert done.status == 0, done.err
    table = pd.read_csv("y.tsv", sep="\t")
    np.testing.assert_allclose(table[["2A3", "DMS"]], y[:, :2], atol=1e-4)

    _look_at_intervals(run, place, y)

    molecules = made_molecules(60, 5, jobs=1)
    write_molecules(molecules, Path("other.parquet"))
    done = run("evaluate", str(place), "other.parquet", "--out", "other")
    assert done.status == 0, done.err
    other = json.loads(Path("other/metrics.json").read_text())
    assert {b["name"] for b in other["baselines"]} == {"median", "median per nucleotide"}


def test_the_trees_of_a_run_belong_to_the_mean_if_asked(run: Run, tmp_path: Path) -> None:
    given = [o for o in QUICK if not o.startswith("dataset.trees")]
    done = run("train", *given, "dataset.trees=true")
    assert done.status == 0, done.err
    place = only_run(tmp_path)
    molecules = made_molecules(30, 5, jobs=1)
    write_molecules(molecules, Path("other.parquet"))
    scores, means = {}, {}
    for options in ([], ["--with-trees"]):
        done = run("evaluate", str(place), "other.parquet", "--out", "other", *options)
        assert done.status == 0, done.err
        metrics = json.loads(Path("other/metrics.json").read_text())
        scores[metrics["model"]["name"]] = metrics["model"]["mae"]
        assert "boosted trees" in {b["name"] for b in metrics["baselines"]}
        done = run(
            "predict", str(place), "other.parquet", "--out", "y.parquet", "--pairing", "none", *options
        )
        assert done.status == 0, done.err
        means[len(options)] = pd.read_parquet("y.parquet")
    assert list(scores) == ["ribo", "mean of ribo and boosted trees"]
    assert len(set(scores.values())) == 2
    (trees,) = [b for b in read_baselines(place, with_pairing=False) if isinstance(b, Trees)]
    alone = trees.predict(molecules.tokens, molecules.offsets)[:, :2]
    for k, chemical in enumerate(("2A3", "DMS")):
        network, mean = (np.concatenate(means[n][chemical].to_list()) for n in (0, 1))
        np.testing.assert_allclose(mean, (network + alone[:, k]) / 2, atol=1e-5)
    if available() is None:  # it has learnt without pairs, and is given them here
        maes = {}
        for pairing in ("none", "auto", "all"):
            done = run("evaluate", str(place), "other.parquet", "--out", "other", "--pairing", pairing)
            assert done.status == 0, done.err
            maes[pairing] = json.loads(Path("other/metrics.json").read_text())["model"]["mae"]
            assert ("langdon2018, averaged" in Path("other/report.html").read_text()) == (pairing == "all")
        assert len(set(maes.values())) == 3
        assert maes["auto"] == scores["ribo"]
    for file in (place / "baselines").glob("*.skops"):
        file.write_bytes(b"of another version")
    done = run("evaluate", str(place), "other.parquet", "--out", "other")
    assert done.status == 0, done.err
    assert "the boosted trees cannot be read" in done.err
    assert json.loads(Path("other/metrics.json").read_text())["model"]["mae"] == scores["ribo"]
    for file in (place / "baselines").glob("*.skops"):
        file.unlink()
    done = run("predict", str(place), "other.parquet", "--with-trees", "--out", "z.tsv")
    assert (done.status, Path("z.tsv").exists()) == (2, False)
    assert "holds no boosted trees" in done.err


def _look_at_intervals(run: Run, place: Path, y: np.ndarray) -> None:
    held = json.loads((place / "metrics.json").read_text())["model"]["intervals"]["0.9"]
    assert 0 < held["2A3"]["all"]["coverage"] <= 1
    assert f"hold 2A3 {percent(held['2A3']['all']['coverage'], 1)}" in (place / "train.log").read_text()
    assert "How sure it is" in (place / "report.html").read_text()
    for name in ("ends.tsv", "ends.parquet"):
        done = run(
            "predict", str(place), "hairpin.fa", "--pairing", "none", "--coverage", "0.9", "--out", name
        )
        assert done.status == 0, done.err
    table, lists = pd.read_csv("ends.tsv", sep="\t"), pd.read_parquet("ends.parquet")
    assert list(table)[-4:] == ["2A3_low", "2A3_high", "DMS_low", "DMS_high"]
    bundle = load_bundle(place)
    assert bundle.intervals is not None
    tokens = np.array(["ACGU".index(letter) for letter in table["nucleotide"]], np.uint8)
    half = ProfileIntervals.from_json(bundle.intervals).half_width(0.9, y, tokens)
    for c, chemical in enumerate(("2A3", "DMS")):
        for sign, end in ((-1, "low"), (1, "high")):
            expected = np.clip(y[:, c] + sign * half[:, c], 0, 1)
            np.testing.assert_allclose(table[f"{chemical}_{end}"], expected, atol=1e-4)
            np.testing.assert_allclose(lists[f"{chemical}_{end}"][0], expected, atol=1e-4)
    done = run("predict", str(place), "hairpin.fa", "--coverage", "0.7", "--out", "z.tsv")
    assert (done.status, Path("z.tsv").exists()) == (2, False)
    assert "0.5, 0.8, 0.9, 0.95, not of 0.7" in done.err


def test_folds_are_disjoint_by_sequence_even_across_data_sets(run: Run, tmp_path: Path) -> None:
    write_molecules(with_twins(made_molecules(60, 0, jobs=1)), Path("twice.parquet"))
    quick = [o for o in QUICK if not o.startswith(("experiment", "settings.is_debug"))]
    tested: list[str] = []
    for fold in range(3):
        done = run(
            "train", "experiment=ribonanza", "dataset.path=twice.parquet", "settings.epochs=1", "settings.nfolds=3",
            f"settings.fold={fold}", f"hydra.run.dir=runs/{fold}", "dataset.similar=null", "model.kernel=3", *quick,
        )  # fmt: skip
        assert done.status == 0, done.err
        split = json.loads(Path(f"runs/{fold}/split.json").read_text())
        parts = [set(split[part]) for part in ("train", "val", "test")]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        assert len(split["test"]) == 2 * len(parts[2])  # both data sets
        tested += parts[2]
    assert len(tested) == len(set(tested)) == 60


def test_transfer_with_the_same_training_from_scratch_beside_it(run: Run, tmp_path: Path) -> None:
    assert run("train", *QUICK, "hydra.run.dir=first").status == 0
    done = run(
        "train", *QUICK, "hydra.run.dir=second", "init_from=first", "transfer=head", "compare_scratch=true",
        "dataset.error_weight=0",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "new: net.head.bias, net.head.weight" in done.err
    assert "from scratch" in (tmp_path / "second" / "report.html").read_text()
    names = [b["name"] for b in json.loads(Path("second/metrics.json").read_text())["baselines"]]
    assert names[0] == "from scratch"


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_a_poor_control_is_pointed_out_and_undone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[Probed] = []

    class Watched(MoleculeLoader):
        def __init__(self, data: Probed, *arguments: Any, **more: Any) -> None:
            learnt.append(data)
            super().__init__(data, *arguments, **more)

    monkeypatch.setattr("understudy.rna.task.MoleculeLoader", Watched)
    write_molecules(with_a_poor_control(made_molecules(200, 1, jobs=1)), tmp_path / "poor.parquet")
    quick = [o for o in QUICK if not o.startswith(("experiment", "dataset.pairing"))]
    quick += ["experiment=ribonanza", "dataset.path=poor.parquet", "model.kernel=3"]
    done = run("train", *quick, "hydra.run.dir=as_reported")
    assert done.status == 0, done.err
    assert done.err.count("looks poor") == 1
    assert "dataset.background=DMS undoes it" in done.err
    done = run("train", *quick, "hydra.run.dir=undone", "dataset.background=DMS")
    assert done.status == 0, done.err
    assert "looks poor" not in done.err
    assert "control of DMS is told from the errors" in done.err
    assert "background taken from the training reactivities: DMS" in done.err
    reported, undone = learnt
    assert reported.unknowable is None
    assert undone.unknowable is not None
    assert undone.unknowable[:, 1].any()
    assert np.isnan(undone.molecules.reactivity[undone.unknowable]).all()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["dataset.pairing=viena"], "did you mean 'vienna'"),
        (["settings.fold=7"], "settings.fold"),
        (["dataset.background=both"], "needs base-pairing probabilities"),
        (["model=dot"], "choose one of starter, ribo"),
        (["transfer=all", "init_from=x"], "transfer 'all'"),
        (["init_from=nowhere"], "no such run or bundle"),
        (["dataset=ribonanza"], "dataset.path is not set"),
        (["dataset=ribonanza", "dataset.path=none.parquet"], "none.parquet"),
        (["dataset.weighting=snr"], "dataset.weighting"),
        (["settings.ema=2"], "settings.ema"),
    ],
)
def test_bad_settings_are_one_line(run: Run, overrides: list[str], words: str) -> None:
    quick = [o for o in QUICK if not (o.startswith(TINY[0][:6]) and any("model=" in x for x in overrides))]
    done = run("train", *quick, *overrides)
    assert done.status == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()[-1]) > 0
    assert "Traceback" not in done.err
