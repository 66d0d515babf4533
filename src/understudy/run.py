"""One training run from its plan to its report: load, split, train, evaluate, write, track."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from understudy.config import Plan
from understudy.core.bundle import Bundle, save_bundle
from understudy.core.domain import domain
from understudy.core.facts import RunFacts
from understudy.core.files import atomic_path, write_json
from understudy.core.study import Parts, Request, Study
from understudy.follow import followers, is_follower
from understudy.objective import recorded
from understudy.progress import Progress, Pruned
from understudy.ranks import Followed
from understudy.tracking import NoTracker, Tracker, open_tracker, provenance
from understudy.training import FitOptions, FitResult, StoppedByUser, fit
from understudy.training.callbacks import OnBatch, ShowProgress
from understudy.training.transfer import check_transfer, learning_layers, start_from

log = logging.getLogger(__name__)

CHECKPOINTS, SCRATCH, REFIT, STATE = "checkpoints", "checkpoints-scratch", "checkpoints-refit", "run.json"


def execute(plan: Plan, progress: Progress) -> float | list[float]:
    """Carry out ``plan``; returns the validation rollout error of the best epoch (smaller is better).

    With ``settings.objective`` it returns the metrics named there instead, as a list.

    Raises:
        UnderstudyError: whatever a person can mend; the tracker then shows the run as failed, with the error.
        StoppedByUser: Ctrl-C or SIGTERM in training; the run can be resumed.
    """
    study = domain(plan.domain).study(_request(plan))  # a wrong setting is found before anything is written
    check_transfer(plan.transfer, plan.settings.unfreeze_epochs)
    _options(plan)
    if is_follower(plan):
        return _run(plan, study, NoTracker(), progress)
    state = _state(plan)
    settings = plan.settings
    tracker = open_tracker(
        plan.tracking.name,
        plan.tracking.uri,
        settings.mlflow_exp_name,
        plan.folder.name,
        state.get("mlflow_run_id", ""),
    )
    record = recorded(tracker, settings.objective)
    state |= {"mlflow_run_id": tracker.run_id, "status": "running"}
    write_json(plan.folder / STATE, state)
    try:
        tracker.parameters(plan.parameters)
        tracker.tags({**provenance(), **plan.tags})
        with followers(plan):
            error = _run(plan, study, record, progress)
        values = record.objective(error)
    except BaseException as problem:
        with suppress(Exception):  # the first error is the one to show
            _close_unfinished(plan, tracker, state, problem)
        raise
    write_json(plan.folder / STATE, {**state, "status": "finished"})
    tracker.close("FINISHED")
    return values


def _close_unfinished(plan: Plan, tracker: Tracker, state: dict[str, Any], problem: BaseException) -> None:
    """Say in the tracker and in the folder how the run ended. A pruned one is no failure and has no error."""
    if isinstance(problem, Pruned):
        write_json(plan.folder / STATE, {**state, "status": "pruned", "reason": str(problem)})
        tracker.tags({"pruned": str(problem)})
        tracker.close("KILLED")
        return
    killed = isinstance(problem, (KeyboardInterrupt, StoppedByUser))
    words = f"{type(problem).__name__}: {problem}"
    write_json(plan.folder / STATE, {**state, "status": "stopped" if killed else "failed", "reason": words})
    tracker.close("KILLED" if killed else "FAILED", words)


def _request(plan: Plan) -> Request:
    return Request(
        plan.network,
        plan.dataset,
        plan.dataset_name,
        plan.preprocess,
        plan.settings,
        plan.report,
        plan.folder,
    )


def _state(plan: Plan) -> dict[str, Any]:
    path = plan.folder / STATE
    if plan.resume and path.exists():
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return state
    return {}


def _run(plan: Plan, study: Study, tracker: Tracker, progress: Progress) -> float:
    parts = study.load(progress)
    write_json(plan.folder / "split.json", parts.split)
    for line in [*parts.notes, parts.summary]:
        progress.say(line)
    tracker.tags({"data.fingerprint": parts.fingerprint, "dataset": plan.dataset_name})
    study.fit_baselines(parts, progress)
    others: dict[str, nn.Module] = {}
    model = study.closed_form(plan.network)
    again = plan.settings.refit and model is None
    if model is not None:
        if plan.settings.refit:
            progress.say(f"settings.refit is for networks; {plan.network} stays fitted to the training cases")
        result = _fitted(plan, study, parts, model, "fitted in closed form", progress)
    else:
        torch.manual_seed(plan.settings.seed)
        begun = time.monotonic()
        model = study.build(parts, plan.network, plan.arguments, progress)
        result = _train(plan, study, parts, model, tracker, progress)
        if not result.history:
            result = replace(result, seconds=time.monotonic() - begun)
        if plan.init_from and plan.compare_scratch:
            others["from scratch"] = _from_scratch(plan, study, parts, progress)
    cost = {"train/seconds": result.seconds, "parameters": float(sum(p.numel() for p in model.parameters()))}
    if not result.history:
        cost[study.task.monitor] = result.best_error
    tracker.metrics(cost, step=result.best_epoch)
    facts = _facts(plan, parts, model, result)
    intervals = study.calibrate(parts, model)  # of a model that has not learnt from the validation cases
    if again:
        facts["learnt from"] = "training and validation cases; judged before, without the latter"
        model = _refit(plan, study, parts, result, progress)
    _save(plan, study, parts, model, intervals, facts)
    _report(plan, study, parts, model, others, result, facts, tracker, progress)
    return result.best_error


def _train(
    plan: Plan,
    study: Study,
    parts: Parts,
    model: nn.Module,
    tracker: Tracker,
    progress: Progress,
    folder: str = CHECKPOINTS,
) -> FitResult:
    parameters = sum(p.numel() for p in model.parameters())
    callbacks: list[Any] = []
    if plan.init_from:
        progress.say(start_from(model, plan.init_from, plan.network, parts.spec))
        callbacks = learning_layers(model, plan.transfer, unfreeze_epochs=plan.settings.unfreeze_epochs)
    if not any(p.requires_grad for p in model.parameters()):
        return _fitted(plan, study, parts, model, "fitted by least squares", progress)
    progress.say(f"training {plan.network} with {parameters:,} parameters")
    result = _fit(plan, study, parts, model, plan.folder / folder, tracker, progress, callbacks)
    progress.say(
        f"best {study.task.error_name} error {result.best_error:.4g} in epoch {result.best_epoch + 1} "
        f"of {result.epochs}; stopped by {result.stopped_by}"
    )
    return result


def _fitted(
    plan: Plan, study: Study, parts: Parts, model: nn.Module, how: str, progress: Progress
) -> FitResult:
    """What a model is worth that training has nothing to add to."""
    if is_follower(plan):
        raise Followed  # there is nothing to help with
    error = study.task.validation_error(model.eval(), parts.table, parts.val)
    progress.say(f"{plan.network}, {how}: {study.task.error_name} error {error:.4g}")
    return FitResult(0, error, how, 0.0)


def _from_scratch(plan: Plan, study: Study, parts: Parts, progress: Progress) -> nn.Module:
    """The same network, data and budget without the weights of another run."""
    progress.say(f"training {plan.network} again from scratch, to compare")
    return _again(replace(plan, init_from=None), study, parts, SCRATCH, progress)


def _refit(plan: Plan, study: Study, parts: Parts, result: FitResult, progress: Progress) -> nn.Module:
    """The same network from training and validation cases together, for as many epochs as were best.

    Of these the best by the validation cases is kept again, which by now it has seen: the last, or nearly so.
    """
    progress.say(
        f"{plan.network} learns again, from the validation cases too, which then are no test any more"
    )
    settings = replace(plan.settings, epochs=result.best_epoch + 1, patience=None)
    whole = replace(parts, train=[*parts.train, *parts.val])
    return _again(replace(plan, settings=settings), study, whole, REFIT, progress)


def _again(plan: Plan, study: Study, parts: Parts, folder: str, progress: Progress) -> nn.Module:
    """One more network of the run, which is neither tracked nor pruned."""
    alone = replace(plan.trainer, devices=1, num_nodes=1, strategy="auto")  # helpers have left
    plan = replace(plan, watcher=None, trainer=alone)
    torch.manual_seed(plan.settings.seed)
    model = study.build(parts, plan.network, plan.arguments, progress)
    _train(plan, study, parts, model, NoTracker(), progress, folder)
    return model


def _fit(
    plan: Plan,
    study: Study,
    parts: Parts,
    model: nn.Module,
    folder: Path,
    tracker: Tracker,
    progress: Progress,
    callbacks: list[Any],
) -> FitResult:
    task = study.task
    with progress.training() as show:
        return fit(
            model,
            task,
            parts.table,
            parts.train,
            parts.val,
            _options(plan),
            folder,
            on_epoch=lambda epoch, metrics: tracker.metrics(metrics, epoch),
            callbacks=lambda: [
                *callbacks,
                ShowProgress(_describe(show), progress.say, task.monitor, task.error_name),
            ],
            resume=plan.resume,
            watcher=plan.watcher,
        )


def _options(plan: Plan) -> FitOptions:
    s = plan.settings
    return FitOptions(
        epochs=min(s.epochs, 2) if s.is_debug else s.epochs,
        batch_size=s.batch_size,
        lr=s.lr,
        seed=s.seed,
        max_minutes=s.max_minutes,
        patience=s.patience,
        grad_clip=s.grad_clip,
        accelerator=plan.trainer.accelerator,
        devices=plan.trainer.devices,
        num_nodes=plan.trainer.num_nodes,
        strategy=plan.trainer.strategy,
        precision=plan.trainer.precision,
        max_batches=3 if s.is_debug else None,
        weight_decay=s.weight_decay,
        schedule=s.schedule,
        pct_start=s.pct_start,
        layer_decay=s.layer_decay if plan.init_from and plan.transfer == "full" else 1.0,
        ema=s.ema,
    )


def _describe(show: Any) -> OnBatch:
    return lambda epoch, epochs, done, total: show(f"epoch {epoch + 1}/{epochs}", done, total)


def _facts(plan: Plan, parts: Parts, model: nn.Module, result: FitResult) -> dict[str, str]:
    known = provenance()
    start = {"started from": f"{plan.init_from} (transfer: {plan.transfer})"} if plan.init_from else {}
    return {
        "network": plan.network,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        **start,
        "data set": plan.dataset_name,
        **parts.facts,
        **({"best epoch": f"{result.best_epoch + 1} of {result.epochs}"} if result.history else {}),
        "stopped by": result.stopped_by,
        "training time": f"{result.seconds:.0f} s",
        "data fingerprint": parts.fingerprint,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "git commit": known.pop("git.commit", "not in a repository"),
        "versions": ", ".join(f"{k.removeprefix('version.')} {v}" for k, v in known.items()),
    }


def _save(
    plan: Plan,
    study: Study,
    parts: Parts,
    model: Any,
    intervals: dict[str, Any] | None,
    facts: dict[str, str],
) -> None:
    bundle = Bundle(model, parts.spec, plan.network, dict(plan.arguments), dict(facts), intervals)
    save_bundle(plan.folder / "bundle", bundle)
    for name, baseline in study.baselines().items():
        save_bundle(
            plan.folder / "baselines" / name, Bundle(cast(Any, baseline), parts.spec, name, {}, dict(facts))
        )
    if plan.settings.is_save_model:
        # The reference's file: here a state dict with what is needed to rebuild the network, readable with
        # torch.load(weights_only=True). The bundle holds the same in a form for the long run.
        content = {
            "network": plan.network,
            "arguments": dict(plan.arguments),
            "sizes": model.net.sizes._asdict(),
            "spec": parts.spec.dumps(),
            "state_dict": model.state_dict(),
        }
        with atomic_path(plan.folder / "lit_model.pth") as temporary:
            torch.save(content, temporary)


def _report(
    plan: Plan,
    study: Study,
    parts: Parts,
    model: nn.Module,
    others: dict[str, nn.Module],
    result: FitResult,
    facts: dict[str, str],
    tracker: Tracker,
    progress: Progress,
) -> None:
    notes = list(parts.notes)
    if plan.settings.is_debug:
        notes.append("settings.is_debug: a few cases and batches only; the numbers mean nothing")
    run = RunFacts(
        title=f"{plan.network} on {plan.dataset_name}",
        facts=facts,
        config=plan.config,
        history=result.history,
        notes=notes,
    )
    outcome = study.report(parts, plan.network, model, others, run, progress)
    tracker.metrics(dict(outcome.metrics), step=result.best_epoch)
    with progress.bar("recording the run"):
        tracker.files(plan.folder)
    for line in outcome.lines:
        progress.say(line)
    progress.say(f"report: {plan.folder / 'report.html'}")
