"""Training: reproducible to the bit, resumable, chosen by free rollouts, ended in time."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from helpers import SMALL_NETS, linear_table
from understudy.core.baselines import fit_scaler, sizes_of
from understudy.core.cases import CaseTable
from understudy.core.model import Model
from understudy.core.nets import build_net
from understudy.core.tasks import Rollout
from understudy.errors import ConfigError, ModelError
from understudy.training import FitOptions, FitResult, StoppedByUser, fit
from understudy.training.fit import automatic_precision, load_weights

TABLE = linear_table(8, 60)
TRAIN, VAL = list(range(6)), [6, 7]
TASK = Rollout(4, 1, unroll=2, unroll_epochs=2, noise=0.05)


def new_model(task: Rollout = TASK, name: str = "dot", table: CaseTable = TABLE) -> Model:
    torch.manual_seed(0)
    return Model(build_net(name, sizes_of(table, task), dict(SMALL_NETS[name])), fit_scaler(table, TRAIN))


def train(
    folder: Path,
    *,
    task: Rollout = TASK,
    name: str = "dot",
    resume: bool = False,
    callbacks: Any = list,
    **options: Any,
) -> tuple[Model, FitResult]:
    model = new_model(task, name)
    chosen = FitOptions(**{"epochs": 3, "batch_size": 32, "lr": 1e-2, "seed": 42, **options})
    return model, fit(model, task, TABLE, TRAIN, VAL, chosen, folder, resume=resume, callbacks=callbacks)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a | b)


class Interrupt(pl.Callback):
    """Ctrl-C in the given step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


class Kill(pl.Callback):
    """The end without a word: nothing after this step is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise SystemExit("killed")


def test_same_seed_same_weights_other_seed_others(tmp_path: Path) -> None:
    _, result = train(tmp_path / "a")
    train(tmp_path / "b")
    train(tmp_path / "c", seed=43)
    assert result.epochs == 3
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("step", [3, 11, 14, 25])
def test_interrupted_and_resumed_is_the_same_as_straight(tmp_path: Path, step: int) -> None:
    """Steps in the first epoch, at the end of one, at the start of one, and in the middle of the last."""
    straight, straight_result = train(tmp_path / "straight")
    assert len(straight_result.history) == 3
    with pytest.raises(StoppedByUser):
        train(tmp_path / "run", callbacks=lambda: [Interrupt(step)])
    resumed, result = train(tmp_path / "run", resume=True)
    assert same(weights(tmp_path / "straight"), weights(tmp_path / "run"))
    assert same(straight.state_dict(), resumed.state_dict())
    assert [row["val/rollout"] for row in result.history] == [
        row["val/rollout"] for row in straight_result.history
    ]


@pytest.mark.parametrize("step", [5, 13, 29])
def test_killed_and_resumed_is_the_same_as_straight(tmp_path: Path, step: int) -> None:
    train(tmp_path / "straight")
    with pytest.raises(SystemExit):
        train(tmp_path / "run", callbacks=lambda: [Kill(step)])
    _, result = train(tmp_path / "run", resume=True)
    assert same(weights(tmp_path / "straight"), weights(tmp_path / "run"))
    assert result.epochs == 3


@pytest.mark.parametrize("options", [{}, {"epochs": 50, "lr": 1e-12, "patience": 2}])
def test_a_finished_run_resumes_to_itself(tmp_path: Path, options: dict[str, Any]) -> None:
    model, result = train(tmp_path, **options)
    again, repeated = train(tmp_path, resume=True, callbacks=lambda: [Kill(0)], **options)  # no step is made
    assert same(model.state_dict(), again.state_dict())
    assert repeated == result


def test_more_epochs_go_on_from_the_last(tmp_path: Path) -> None:
    train(tmp_path / "five", epochs=5)
    train(tmp_path / "run", epochs=3)
    _, result = train(tmp_path / "run", epochs=5, resume=True)
    assert result.epochs == 5
    assert same(weights(tmp_path / "five"), weights(tmp_path / "run"))


def test_a_run_that_was_moved_knows_its_best_epoch(tmp_path: Path) -> None:
    """Without time left nothing is trained: the best one must come from the checkpoint, wherever it lies now."""
    first, result = train(tmp_path / "here", epochs=2)
    (tmp_path / "here").rename(tmp_path / "there")
    again, kept = train(tmp_path / "there", resume=True, epochs=9, max_minutes=1e-6)
    assert kept.best_error == result.best_error
    assert kept.best_epoch == result.best_epoch
    assert same(first.state_dict(), again.state_dict())
    assert not (tmp_path / "here").exists()


def test_the_best_epoch_by_free_rollouts_is_kept(tmp_path: Path) -> None:
    model, result = train(tmp_path, epochs=6, lr=0.1)  # jumps about
    errors = [row["val/rollout"] for row in result.history]
    assert result.best_error == min(errors)
    assert result.history[result.best_epoch]["val/rollout"] == min(errors)
    assert TASK.validation_error(model, TABLE, VAL) == pytest.approx(min(errors), rel=1e-6)


def test_early_stopping(tmp_path: Path) -> None:
    _, result = train(tmp_path, epochs=50, lr=1e-12, patience=2)
    assert result.epochs < 10
    assert "no better validation rollout in 2 epochs" in result.stopped_by


def test_max_minutes_ends_in_time_and_keeps_the_best(tmp_path: Path) -> None:
    _, result = train(tmp_path, epochs=100_000, max_minutes=0.002)
    assert "max_minutes" in result.stopped_by
    assert result.best_error < float("inf")  # validated even though the first epoch was cut short


def test_a_loss_that_is_no_number_ends_training(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lower settings\.lr"):
        train(tmp_path, lr=1e30, grad_clip=None, name="don", task=Rollout(4, 1))


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(ModelError, match="another network"):
        train(tmp_path, name="lstm", resume=True, epochs=4)


def test_gradient_is_clipped(tmp_path: Path) -> None:
    seen: list[float] = []

    class Look(pl.Callback):
        def on_before_optimizer_step(
            self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any
        ) -> None:
            norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
            seen.append(float(torch.stack(norms).norm()))

    train(tmp_path / "a", callbacks=lambda: [Look()], grad_clip=None, epochs=1)
    assert max(seen) > 0.01
    seen.clear()
    before = weights(tmp_path / "a")
    train(tmp_path / "b", grad_clip=1e-3, epochs=1)
    assert not same(before, weights(tmp_path / "b"))


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains(tmp_path: Path, precision: str) -> None:
    model, result = train(tmp_path, precision=precision, epochs=4)
    assert result.best_error < result.history[0]["val/rollout"] * 1.01
    assert all(p.dtype is torch.float32 for p in model.parameters())


@pytest.mark.parametrize(
    ("accelerator", "fast", "gpu", "chosen"),
    [
        ("cpu", "amx_bf16", False, "bf16-mixed"),
        ("cpu", "avx512_bf16", False, "bf16-mixed"),
        ("cpu", "avx512_f", True, "32-true"),
        ("gpu", "avx512_f", True, "bf16-mixed"),
        ("gpu", "amx_bf16", False, "32-true"),
        ("mps", "amx_bf16", True, "32-true"),
    ],
)
def test_mixed_precision_is_chosen_where_the_hardware_has_it(
    accelerator: str, fast: str, gpu: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = {"amx_bf16": False, "avx512_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: slow | {fast: True}, raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: gpu)
    assert automatic_precision(accelerator) == chosen


def test_automatic_precision_is_what_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Look(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            seen.append(str(trainer.precision))

    for amx in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda amx=amx: {"amx_bf16": amx}, raising=False)
        train(tmp_path / str(amx), epochs=1, accelerator="cpu", callbacks=lambda: [Look()])
    assert seen == ["bf16-mixed", "32-true"]


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save({"state_dict": {}, "evil": Evil()}, tmp_path / "last.ckpt")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        load_weights(new_model(), tmp_path / "last.ckpt")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        train(tmp_path, resume=True)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("key", ["epochs", "batch_size", "lr", "max_minutes", "patience", "grad_clip"])
def test_values_out_of_range(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"settings\.{key} must be above 0"):
        FitOptions(**{"epochs": 1, "batch_size": 1, "lr": 1.0, "seed": 0, key: 0})


def one_cycle(epochs: int = 4) -> dict[str, Any]:
    return {"epochs": epochs, "schedule": "one_cycle", "weight_decay": 0.05, "ema": 0.9}


def test_a_resumed_run_with_schedule_and_average_ends_as_a_straight_one(tmp_path: Path) -> None:
    straight, _ = train(tmp_path / "a", **one_cycle())
    with pytest.raises(StoppedByUser):
        train(tmp_path / "b", callbacks=lambda: [Interrupt(12)], **one_cycle())
    resumed, _ = train(tmp_path / "b", resume=True, **one_cycle())
    assert same(straight.state_dict(), resumed.state_dict())
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_what_is_kept_is_the_average_of_the_weights(tmp_path: Path) -> None:
    train(tmp_path / "plain", **{**one_cycle(1), "ema": None})
    train(tmp_path / "average", **one_cycle(1))
    checkpoint = torch.load(tmp_path / "average" / "last.ckpt", weights_only=True)
    plain = weights(tmp_path / "plain")
    assert same(checkpoint["current_model_state"], plain)  # the steps are those without an average
    assert not same(checkpoint["state_dict"], plain)


def test_the_rate_rises_and_falls_to_nothing(tmp_path: Path) -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    train(tmp_path, callbacks=lambda: [Watch()], **{**one_cycle(), "lr": 1e-2, "pct_start": 0.25})
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1e-2, rel=0.05)
    assert 0.15 < top / len(rates) < 0.35
    assert rates[-1] < 1e-2 * max(rates)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"schedule": "onecycle"}, "did you mean 'one_cycle'"),
        ({"ema": 1.0}, "settings.ema"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"pct_start": 0}, "pct_start"),
    ],
)
def test_optimizer_settings_out_of_range(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        FitOptions(**{"epochs": 1, "batch_size": 1, "lr": 1.0, "seed": 0, **options})
