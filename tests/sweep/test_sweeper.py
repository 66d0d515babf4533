"""The commands of a sweep, through Hydra's own machinery, with trials that cost nothing."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from helpers import Run
from sweep.conftest import states, the_study

LR = "settings.lr=tag(log,interval(1e-5,1e-1))"
NOISE = "settings.noise=range(0.0,0.3,0.1)"


def test_plain_choices_are_each_tried_once(sweep: Run, tmp_path: Path) -> None:
    done = sweep("model=choice(dot, dol)")
    assert done.status == 0, done.err
    study = the_study(tmp_path)
    assert sorted(t.params["model"] for t in study.trials) == ["dol", "dot"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert sorted(p.name for p in folder.iterdir() if (p / ".hydra").exists()) == ["0-dot", "1-dol"]
    again = sweep("model=choice(dot, dol)")
    assert again.status == 0
    assert len(the_study(tmp_path).trials) == 2, "a sweep that is done is done"
    more = sweep("model=dot,dol", "hydra.sweeper.n_trials=10")
    assert more.status == 0, more.err
    assert len(the_study(tmp_path).trials) == 2, "there is no third combination"


def test_lists_make_every_combination(sweep: Run, tmp_path: Path) -> None:
    assert sweep("settings.lr=0.1,0.01", "settings.batch_size=range(1,4)").status == 0
    points = {(t.params["settings.lr"], t.params["settings.batch_size"]) for t in the_study(tmp_path).trials}
    assert points == {(lr, n) for lr in (0.1, 0.01) for n in (1, 2, 3)}


def test_a_limit_below_the_combinations_asks_the_sampler(sweep: Run, tmp_path: Path) -> None:
    assert sweep("settings.batch_size=range(1,100)", "hydra.sweeper.n_trials=3").status == 0
    study = the_study(tmp_path)
    assert states(study) == ["COMPLETE"] * 3
    assert [t.params["settings.batch_size"] for t in study.trials] != [1, 2, 3]


def test_defaults_of_the_parameters_stand_in_the_configuration(sweep: Run, tmp_path: Path) -> None:
    defaults = "hydra.sweeper.params={settings.lr:'choice(0.1,0.01)',settings.batch_size:'choice(1,2)'}"
    done = sweep(defaults, "settings.batch_size=7")
    assert done.status == 0, done.err
    study = the_study(tmp_path)
    assert sorted(t.params["settings.lr"] for t in study.trials) == [0.01, 0.1]
    assert "settings.batch_size" not in study.trials[0].params


def test_pruning_saves_epochs_and_keeps_the_best(sweep: Run, tmp_path: Path) -> None:
    command = (
        LR,
        "settings.epochs=9",
        "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.n_startup_trials=3",
    )
    assert sweep(*command, "hydra.sweeper.n_trials=8").status == 0
    study = the_study(tmp_path)
    pruned = [t for t in study.trials if t.state.name == "PRUNED"]
    assert pruned
    assert all(len(t.intermediate_values) < 9 for t in pruned)
    assert min(t.intermediate_values[0] for t in study.trials) == study.best_trial.intermediate_values[0]
    for trial in pruned:
        (folder,) = (tmp_path / "runs").glob(f"*/{trial.number}-*")
        assert int((folder / "epochs").read_text()) == len(trial.intermediate_values)


def test_two_objectives(sweep: Run, tmp_path: Path) -> None:
    done = sweep(
        LR, NOISE, "settings.objective=[val/rollout,val/noise]", "hydra.sweeper.direction=[minimize,maximize]",
        "hydra.sweeper.n_trials=4", "hydra/sweeper/sampler=nsgaii",
    )  # fmt: skip
    assert done.status == 0, done.err
    study = the_study(tmp_path)
    assert [d.name for d in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert all(len(t.values) == 2 for t in study.trials)
    (page,) = tmp_path.glob("runs/*/sweep.html")
    assert "Pareto front" in page.read_text()
    assert len(list(tmp_path.glob("runs/*/experiment/*.yaml"))) == len(study.best_trials)


def test_a_failed_trial_does_not_end_the_sweep(sweep: Run, tmp_path: Path) -> None:
    done = sweep("settings.seed=1,13,2")
    assert done.status == 0, done.err
    study = the_study(tmp_path)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "an unlucky number" in study.trials[1].user_attrs["understudy:error"]
    assert "trial 1 failed: DataError: an unlucky number" in done.err
    assert "Traceback" not in done.err
    assert "an unlucky number" in next(tmp_path.glob("runs/*/sweep.html")).read_text()
    assert "unlucky" in next(tmp_path.glob("runs/*/1-dot/train.log")).read_text()
    assert len(the_study(tmp_path).trials) == 3
    assert sweep("settings.seed=1,13,2").status == 0
    assert len(the_study(tmp_path).trials) == 3, "what failed by itself would fail again"


def test_when_all_trials_fail_the_command_does(sweep: Run) -> None:
    done = sweep("settings.seed=13")
    assert done.status == 2
    assert done.err.strip().splitlines()[-1].endswith("the first: DataError: an unlucky number")


def test_two_studies_of_one_name_do_not_share_folders(sweep: Run, tmp_path: Path) -> None:
    assert sweep("settings.lr=0.1,0.01").status == 0
    (database,) = (tmp_path / "sweeps").glob("*.db")
    for file in (tmp_path / "sweeps").iterdir():
        file.unlink()
    assert sweep("settings.lr=0.1,0.01").status == 0
    folders = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert folders == [database.stem, f"{database.stem}-2"]


def test_the_winner_composes_to_the_best_trial(sweep: Run, tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    from understudy.config import compose

    assert (
        sweep(LR, "model=lstm,bt", "hydra.sweeper.n_trials=2", "dataset=tanks", "settings.in_len=3").status
        == 0
    )
    best = the_study(tmp_path).best_trial
    (winner,) = tmp_path.glob("runs/*/experiment/*_best.yaml")
    (trial,) = tmp_path.glob(f"runs/*/{best.number}-*/.hydra/config.yaml")
    where = f"hydra.searchpath=[file://{winner.parent.parent}]"  # what --config-dir means
    composed, recorded = compose([where, f"experiment={winner.stem}"]), OmegaConf.load(trial)
    for part in ("dataset", "model", "settings", "trainer"):
        assert composed[part] == recorded[part], part


BAD = [
    (["settings.lrr=interval(0,1)"], ["settings.lrr", "did you mean 'settings.lr'"]),
    (["settings.lr=choice()"], ["settings.lr=choice()", "nothing to choose from"]),
    (["settings.lr=range(5,1)"], ["settings.lr", "empty"]),
    (["model=choice(dot,dolt)"], ["did you mean 'dot'"]),
    (["model=choice(dot,lstm)", "model.width=range(8,32,8)"], ["model.width", "model=lstm"]),
    (["settings.lr=choice(a,b)"], ["settings.lr", "Float"]),
    ([LR, "hydra.sweeper.direction=[minimize,maximize]"], ["direction has 2 entries", "one"]),
    ([LR, "settings.objective=[val/a,val/b]"], ["settings.objective names 2", "[minimize,minimize]"]),
    ([LR, "hydra.sweeper.direction=down"], ["direction", "'down'"]),
    ([LR, "settings.objective=test/score"], ["test/score", "choosing by test cases"]),
    ([LR, "settings.objective=[val/rollout,baseline/arx/score]", "hydra.sweeper.direction=[minimize,minimize]"],
     ["baseline/arx/score", "test cases"]),
    ([LR, "settings.objective=[val/a,val/b]", "hydra.sweeper.direction=[minimize,minimize]",
      "hydra/sweeper/pruner=median"], ["pruner", "one objective"]),
    ([LR, "hydra.sweeper.storage=mysqll://x"], ["mysqll://x", "sqlite:///"]),
    ([LR, "hydra.sweeper.storage=postgresql://me:secret@127.0.0.1:1/x"], ["me@127.0.0.1:1", "cannot be used"]),
    ([LR, "hydra.sweeper.storage=sqlite:////proc/none/a.db"], ["/proc/none", "cannot be used"]),
    ([LR, "hydra.sweeper.storage=journal:////proc/none/a.log"], ["/proc/none", "cannot be used"]),
    ([LR, "hydra/sweeper/sampler=tpee"], ["did you mean 'tpe'"]),
    ([LR, "hydra/sweeper/sampler=grid"], ["grid", "interval"]),
    ([LR, "hydra/sweeper/sampler=tpe", "+hydra.sweeper.sampler.sed=0"], ["sampler", "'sed'"]),
    ([LR, "hydra/sweeper/pruner=medan"], ["did you mean 'median'"]),
    ([LR, "hydra.sweeper.n_trials=0"], ["n_trials", "0"]),
    ([LR, "hydra.sweeper.n_trial=5"], ["hydra.sweeper.n_trial"]),
    (["settings.batch_size=range(1,100)", "settings.in_len=range(1,100)"], ["9,801", "n_trials"]),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "words"), BAD, ids=[" ".join(o)[:60] for o, _ in BAD])
def test_mistakes_are_one_line_before_any_trial(
    sweep: Run, tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    done = sweep(*overrides)
    assert done.status == 2
    (line,) = done.err.strip().splitlines()
    assert line.startswith("understudy: error: ")
    assert all(word in line for word in words), line
    assert "secret" not in line
    assert not list(tmp_path.glob("runs/*/*/started"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([LR.replace("1e-1", "1e-2")], ["settings.lr from 1e-05 to 0.1, now settings.lr from 1e-05 to 0.01"]),
        (["settings.batch_size=1,2"], ["other parameters (settings.lr, now settings.batch_size)"]),
        ([LR, "settings.in_len=3"], ["other settings (nothing, now settings.in_len=3)"]),
        ([LR, "hydra.sweeper.direction=maximize"], ["other directions (minimize, now maximize)"]),
        ([LR, "settings.objective=val/noise"], ["objective"]),
    ],
)
def test_a_study_of_another_purpose_is_refused(
    sweep: Run, tmp_path: Path, other: list[str], words: list[str]
) -> None:
    named = ("hydra.sweeper.study_name=mine", "hydra.sweeper.n_trials=1")
    assert sweep(LR, *named).status == 0
    done = sweep(*other, *named)
    assert done.status == 2
    assert all(word in done.err for word in ["'mine'", "another hydra.sweeper.study_name", *words]), done.err
    assert sweep(LR, *named, "report.figures=false", "tracking.uri=elsewhere").status == 0, "the same purpose"
    assert len(the_study(tmp_path).trials) == 1


def test_a_journal_keeps_a_study_too(sweep: Run, tmp_path: Path) -> None:
    command = ("settings.lr=0.1,0.01", "hydra.sweeper.storage=journal:///new/folder/study.log")
    assert sweep(*command).status == 0
    assert sweep(*command).status == 0
    lines = [
        json.loads(line) for line in (tmp_path / "new" / "folder" / "study.log").read_text().splitlines()
    ]
    assert lines
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(tmp_path / "new" / "folder" / "study.log")))
    (summary,) = optuna.get_all_study_summaries(storage)
    assert summary.n_trials == 2


def test_without_a_study_a_sweep_is_hydras_own(sweep: Run, tmp_path: Path) -> None:
    assert sweep("hydra/sweeper=basic", "settings.lr=0.1,0.01", "hydra.sweep.dir=plain").status == 0
    assert len(list((tmp_path / "plain").glob("*/started"))) == 2
    assert not (tmp_path / "sweeps").exists()
