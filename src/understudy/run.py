"""One training run from its plan to its report: load, split, train, evaluate, write, track."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from understudy.config import Plan
from understudy.core.baselines import fit_arx, fit_scaler, persistence, sizes_of
from understudy.core.bundle import Bundle, save_bundle
from understudy.core.cases import CaseTable
from understudy.core.evaluate import Evaluation, evaluate
from understudy.core.files import atomic_path, write_json
from understudy.core.metrics import METRICS
from understudy.core.model import Model
from understudy.core.nets import BASELINES, build_net
from understudy.core.splits import Split, split_by_case
from understudy.core.tasks import Rollout
from understudy.follow import followers, is_follower
from understudy.objective import recorded
from understudy.progress import Progress, Pruned
from understudy.report import RunFacts, write_report
from understudy.tracking import NoTracker, Tracker, open_tracker, provenance
from understudy.training import FitOptions, FitResult, StoppedByUser, fit
from understudy.training.callbacks import OnBatch, ShowProgress

log = logging.getLogger(__name__)

CHECKPOINTS, STATE = "checkpoints", "run.json"


@dataclass(frozen=True)
class Data:
    """The cases of a run and who does what."""

    table: CaseTable
    split: Split
    skipped: Sequence[str]

    @property
    def train(self) -> list[int]:
        return self.table.index(self.split.train)

    @property
    def val(self) -> list[int]:
        return self.table.index(self.split.val)

    @property
    def test(self) -> list[int]:
        return self.table.index(self.split.test)


def execute(plan: Plan, progress: Progress) -> float | list[float]:
    """Carry out ``plan``; returns the validation rollout error of the best epoch (smaller is better).

    With ``settings.objective`` it returns the metrics named there instead, as a list.

    Raises:
        UnderstudyError: whatever a person can mend; the tracker then shows the run as failed, with the error.
        StoppedByUser: Ctrl-C or SIGTERM in training; the run can be resumed.
    """
    task = _task(plan)  # a wrong setting is found before anything is written
    if is_follower(plan):
        return _run(plan, task, NoTracker(), progress)
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
            error = _run(plan, task, record, progress)
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


def _task(plan: Plan) -> Rollout:
    s = plan.settings
    return Rollout(
        s.in_len,
        s.out_len,
        criterion=s.criterion,
        unroll=s.unroll,
        unroll_epochs=s.unroll_epochs,
        noise=s.noise,
    )


def _state(plan: Plan) -> dict[str, Any]:
    path = plan.folder / STATE
    if plan.resume and path.exists():
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return state
    return {}


def _run(plan: Plan, task: Rollout, tracker: Tracker, progress: Progress) -> float:
    data = _load(plan, task, progress)
    tracker.tags({"data.fingerprint": data.table.fingerprint, "dataset": plan.dataset_name})
    scaler = fit_scaler(data.table, data.train)
    with progress.bar("fitting the baselines") as on_progress:
        baselines = {"persistence": persistence(data.table, task, scaler)}
        on_progress(1, 2)
        baselines["arx"] = fit_arx(data.table, task, scaler, data.train, data.val)
        on_progress(2, 2)
    if plan.network in BASELINES:
        model = baselines.pop(plan.network)
        error = task.validation_error(model, data.table, data.val)
        result = FitResult(0, error, "fitted in closed form", 0.0)
    else:
        torch.manual_seed(plan.settings.seed)
        model = Model(build_net(plan.network, sizes_of(data.table, task), dict(plan.arguments)), scaler)
        result = _train(plan, task, data, model, tracker, progress)
    cost = {"train/seconds": result.seconds, "parameters": sum(p.numel() for p in model.parameters())}
    if not result.history:
        cost["val/rollout"] = result.best_error
    tracker.metrics(cost, step=result.best_epoch)
    facts = _facts(plan, data, model, result)
    _save(plan, data, model, baselines, facts)
    _evaluate(plan, task, data, model, baselines, result, facts, tracker, progress)
    return result.best_error


def _load(plan: Plan, task: Rollout, progress: Progress) -> Data:
    with progress.bar(getattr(plan.dataset, "activity", "reading the cases")) as on_progress:
        loaded = plan.dataset.load(plan.preprocess, on_progress)
    table, skipped = loaded.table, loaded.skipped
    task.check(table)
    part = plan.split
    if plan.settings.is_debug:  # the few cases that were read need not be those that the split names
        part = replace(part, val_size=0.2, test_size=0.25, val_cases=(), test_cases=())
    split = split_by_case(
        table.ids,
        val_size=part.val_size,
        test_size=part.test_size,
        val_cases=part.val_cases,
        test_cases=part.test_cases,
        seed=plan.settings.seed,
    )
    write_json(
        plan.folder / "split.json",
        {
            **split.to_json(),
            "seed": plan.settings.seed,
            "fingerprint": table.fingerprint,
            "skipped": list(skipped),
        },
    )
    for line in skipped:
        progress.say(f"left out: {line}")
    spec = table.spec
    progress.say(
        f"{len(table)} cases ({len(split.train)} train, {len(split.val)} validate, {len(split.test)} test), "
        f"{len(table.values):,} rows every {spec.step:g} {spec.step_unit}, {len(spec.controls)} controls → "
        f"{len(spec.predicted)} signals"
    )
    return Data(table, split, skipped)


def _train(
    plan: Plan, task: Rollout, data: Data, model: Model, tracker: Tracker, progress: Progress
) -> FitResult:
    s = plan.settings
    options = FitOptions(
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
    )
    parameters = sum(p.numel() for p in model.parameters())
    progress.say(f"training {plan.network} with {parameters:,} parameters")
    with progress.training() as show:
        result = fit(
            model,
            task,
            data.table,
            data.train,
            data.val,
            options,
            plan.folder / CHECKPOINTS,
            on_epoch=lambda epoch, metrics: tracker.metrics(metrics, epoch),
            callbacks=lambda: [ShowProgress(_describe(show), progress.say)],
            resume=plan.resume,
            watcher=plan.watcher,
        )
    progress.say(
        f"best validation rollout error {result.best_error:.4g} in epoch {result.best_epoch + 1} "
        f"of {result.epochs}; stopped by {result.stopped_by}"
    )
    return result


def _describe(show: Any) -> OnBatch:
    return lambda epoch, epochs, done, total: show(f"epoch {epoch + 1}/{epochs}", done, total)


def _facts(plan: Plan, data: Data, model: Model, result: FitResult) -> dict[str, str]:
    spec, sizes, split = data.table.spec, model.net.sizes, data.split
    known = provenance()
    return {
        "network": plan.network,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "data set": plan.dataset_name,
        "cases": f"{len(split.train)} train, {len(split.val)} validation, {len(split.test)} test",
        "step": f"{spec.step:g} {spec.step_unit}",
        "in_len / out_len": f"{sizes.in_len} / {sizes.out_len}",
        "best epoch": f"{result.best_epoch + 1} of {result.epochs}",
        "stopped by": result.stopped_by,
        "training time": f"{result.seconds:.0f} s",
        "data fingerprint": data.table.fingerprint,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "git commit": known.pop("git.commit", "not in a repository"),
        "versions": ", ".join(f"{k.removeprefix('version.')} {v}" for k, v in known.items()),
    }


def _save(plan: Plan, data: Data, model: Model, baselines: dict[str, Model], facts: dict[str, str]) -> None:
    spec = data.table.spec
    save_bundle(plan.folder / "bundle", Bundle(model, spec, plan.network, dict(plan.arguments), dict(facts)))
    for name, baseline in baselines.items():
        save_bundle(plan.folder / "baselines" / name, Bundle(baseline, spec, name, {}, dict(facts)))
    if plan.settings.is_save_model:
        # The reference's file: here a state dict with what is needed to rebuild the network, readable with
        # torch.load(weights_only=True). The bundle holds the same in a form for the long run.
        content = {
            "network": plan.network,
            "arguments": dict(plan.arguments),
            "sizes": model.net.sizes._asdict(),
            "spec": spec.dumps(),
            "state_dict": model.state_dict(),
        }
        with atomic_path(plan.folder / "lit_model.pth") as temporary:
            torch.save(content, temporary)


def _evaluate(
    plan: Plan,
    task: Rollout,
    data: Data,
    model: Model,
    baselines: dict[str, Model],
    result: FitResult,
    facts: dict[str, str],
    tracker: Tracker,
    progress: Progress,
) -> None:
    with progress.bar("rolling out the test cases") as on_progress:
        evaluation = evaluate(plan.network, model, task, data.table, data.test, on_progress=on_progress)
    others = [evaluate(name, baseline, task, data.table, data.test) for name, baseline in baselines.items()]
    tracker.metrics(metrics_of(evaluation), step=result.best_epoch)
    for other in others:
        tracker.metrics({f"baseline/{other.name}/score": other.score()}, step=result.best_epoch)
    notes = [f"left out: {line}" for line in data.skipped]
    if plan.settings.is_debug:
        notes.append("settings.is_debug: a few cases and batches only; the numbers mean nothing")
    run = RunFacts(
        title=f"{plan.network} on {plan.dataset_name}",
        facts=facts,
        config=plan.config,
        history=result.history,
        notes=notes,
    )
    with progress.bar("drawing the figures") as on_progress:
        write_report(
            plan.folder,
            evaluation,
            others,
            run,
            figures=plan.report.figures,
            byproducts=plan.report.byproducts,
            jobs=plan.report.jobs,
            on_progress=on_progress,
        )
    with progress.bar("recording the run") as on_progress:
        tracker.files(plan.folder)
    for line in table_lines(evaluation, others):
        progress.say(line)
    progress.say(f"report: {plan.folder / 'report.html'}")


def metrics_of(evaluation: Evaluation) -> dict[str, float]:
    """``test/<metric>_<statistic>/<signal>`` for every predicted signal, and the summary numbers."""
    metrics = {
        f"test/{metric}_{statistic}/{signal.name}": value
        for metric in METRICS
        for i, signal in enumerate(evaluation.spec.predicted)
        for statistic, value in evaluation.summary(metric, i).items()
    }
    metrics["test/score"] = evaluation.score()
    metrics["test/diverged"] = float(len(evaluation.diverged))
    metrics["test/seconds_per_case"] = evaluation.seconds_per_case
    return metrics


def table_lines(evaluation: Evaluation, others: Sequence[Evaluation]) -> list[str]:
    """Mean ADE of every target signal, the model and the baselines side by side, for the terminal."""
    everyone = [evaluation, *others]
    width = max(len(evaluation.spec.predicted[i].label) for i in evaluation.spec.target_columns)
    lines = [f"{'mean ADE on the test cases':{max(width, 26)}}" + "".join(f"{e.name:>14}" for e in everyone)]
    for i in evaluation.spec.target_columns:
        values = "".join(f"{e.summary('ADE', i)['mean']:>14.4g}" for e in everyone)
        lines.append(f"{evaluation.spec.predicted[i].label:{max(width, 26)}}{values}")
    if any(e.diverged for e in everyone):
        counts = "".join(f"{len(e.diverged):>14}" for e in everyone)
        lines.append(f"{'diverged, not in the mean':{max(width, 26)}}{counts}")
    return lines
