"""A CAE training run: which cases do what, which baselines stand beside, what the report shows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from understudy.cae.datasets import CaseDataset
from understudy.core.baselines import fit_arx, fit_scaler, persistence, ranges, sizes_of
from understudy.core.care import Stays, error_weights, stays
from understudy.core.cases import CaseTable
from understudy.core.evaluate import Evaluation, evaluate
from understudy.core.facts import RunFacts
from understudy.core.intervals import DEFAULT, Intervals, fit_intervals
from understudy.core.losses import POWERS
from understudy.core.metrics import METRICS
from understudy.core.model import Model
from understudy.core.nets import (
    ARX,
    Committee,
    Corrector,
    Informed,
    StateNet,
    build_net,
    has_state,
    informed_of,
)
from understudy.core.nets.reservoirs import Reservoirs
from understudy.core.settle import settle
from understudy.core.splits import split_by_case
from understudy.core.study import Outcome, Parts, Request
from understudy.core.tasks import Rollout
from understudy.progress import Progress
from understudy.report import write_report
from understudy.report.verdict import broken_promise

_AHEAD = 50  # rows at least over which a signal may stay what it was or not


class RolloutStudy:
    """Free rollouts of the test cases, with persistence and a linear model beside the network."""

    def __init__(self, request: Request) -> None:
        s = request.settings
        self._request = request
        self._dataset = cast(CaseDataset, request.dataset)
        self._task = Rollout(
            s.in_len,
            s.out_len,
            criterion=s.criterion,
            unroll=s.unroll,
            unroll_epochs=s.unroll_epochs,
            noise=s.noise,
            stretch=s.stretch if has_state(request.network) else 0,
            truncate=s.truncate,
            passes=s.passes,
        )
        self._baselines: dict[str, Model] = {}
        self._stays: Stays | None = None
        self._closed = ""
        self._intervals: Intervals | None = None

    @property
    def task(self) -> Rollout:
        return self._task

    def load(self, progress: Progress) -> Parts:
        dataset, settings = self._dataset, self._request.settings
        with progress.bar(getattr(dataset, "activity", "reading the cases")) as on_progress:
            loaded = dataset.load(self._request.preprocess, on_progress)
        table, spec = loaded.table, loaded.table.spec
        self._task.check(table)
        debug = settings.is_debug  # the few cases that were read need not be those that the split names
        split = split_by_case(
            table.ids,
            val_size=0.2 if debug else dataset.val_size,
            test_size=0.25 if debug else dataset.test_size,
            val_cases=() if debug else tuple(dataset.val_cases),
            test_cases=() if debug else tuple(dataset.test_cases),
            seed=settings.seed_of_split,
        )
        self._weigh(table, table.index(split.train))
        counts = (len(split.train), len(split.val), len(split.test))
        return Parts(
            table=table,
            spec=spec,
            fingerprint=table.fingerprint,
            train=table.index(split.train),
            val=table.index(split.val),
            test=table.index(split.test),
            split={
                **split.to_json(),
                "seed": settings.seed_of_split,
                "fingerprint": table.fingerprint,
                "skipped": list(loaded.skipped),
            },
            summary=(
                f"{len(table)} cases ({counts[0]} train, {counts[1]} validate, {counts[2]} test), "
                f"{len(table.values):,} rows every {spec.step:g} {spec.step_unit}, {len(spec.controls)} controls → "
                f"{len(spec.predicted)} signals"
            ),
            notes=[f"left out: {line}" for line in loaded.skipped],
            facts={
                "cases": f"{counts[0]} train, {counts[1]} validation, {counts[2]} test",
                "step": f"{spec.step:g} {spec.step_unit}",
                "in_len / out_len": f"{settings.in_len} / {settings.out_len}",
            },
        )

    def _weigh(self, table: CaseTable, train: Sequence[int]) -> None:
        """From the training cases: which signals stay what they were, and what an error of each counts."""
        s = self._request.settings
        rows = max(_AHEAD, s.stretch if self._task.stretch else s.out_len * (1 + s.unroll))
        # A long look at all rows, which nobody else asks for.
        if self._task.stretch or s.error_scale != "deviation":
            self._stays = stays(table, train, history=s.in_len, horizon=rows)
        weights = error_weights(
            table.spec,
            None if self._stays is None else self._stays.left,
            scale=s.error_scale,
            power=POWERS[s.criterion],
            byproducts=s.byproduct_weight,
            own=s.weights,
        )
        self._task = replace(self._task, weights=() if len(set(weights)) == 1 else weights)

    def fit_baselines(self, parts: Parts, progress: Progress) -> None:
        table: CaseTable = parts.table
        self._scaler = scaler = fit_scaler(table, parts.train)
        with progress.bar("fitting the baselines") as on_progress:
            self._baselines["persistence"] = persistence(table, self._task, scaler)
            on_progress(1, 2)
            self._baselines["arx"] = fit_arx(table, self._task, scaler, parts.train, parts.val)
            on_progress(2, 2)

    def closed_form(self, network: str) -> Model | None:
        self._closed = network
        return self._baselines.get(network)

    def build(self, parts: Parts, network: str, arguments: Mapping[str, Any], progress: Progress) -> Model:
        net = build_net(network, sizes_of(parts.table, self._task), dict(arguments))
        if (told := informed_of(net)) is not None:
            told.locate([s.name for s in parts.spec.controls])
            told.fit(self._scaler, (parts.table[i].values for i in parts.train))
        learning = net.net if isinstance(net, Informed) else net
        if isinstance(learning, StateNet | Committee):
            assert self._stays is not None
            learning.expect(torch.from_numpy(self._stays.share))
        if isinstance(net, Reservoirs):
            self._settle(parts, net, progress)
        if isinstance(net, Corrector):
            self._correct(parts, net)
        return Model(net, copy.deepcopy(self._scaler))  # several models of one run must not share theirs

    def _settle(self, parts: Parts, net: Reservoirs, progress: Progress) -> None:
        _, top = ranges(parts.table, parts.train, self._scaler)
        zero = self._scaler(torch.zeros_like(self._scaler.mean))
        net.fill(zero, top[len(parts.table.spec.controls) :])
        with progress.bar("fitting the reservoirs by least squares") as on_progress:
            settle(net, parts.table, parts.train, self._scaler, on_progress)

    def _correct(self, parts: Parts, net: Corrector) -> None:
        """Tell the network of the linear model that it adds to, and of the range of the training cases."""
        table: CaseTable = parts.table
        arx = self._baselines["arx"]
        if self._task.out_len > 1:  # a network with a state goes row by row
            arx = fit_arx(table, replace(self._task, out_len=1), self._scaler, parts.train, parts.val)
        low, high = ranges(table, parts.train, self._scaler)
        n_controls = len(table.spec.controls)
        share = torch.from_numpy(cast(Stays, self._stays).share)
        net.correct(cast(ARX, arx.net), low[n_controls:], high[n_controls:], share)

    def calibrate(self, parts: Parts, model: nn.Module) -> dict[str, Any] | None:
        """Intervals from the free rollouts of the validation cases."""
        table: CaseTable = parts.table
        predictions = self._task.free_run(cast(Model, model.eval()), table, parts.val)
        truths = [table[i].values[self._task.in_len :, len(table.spec.controls) :] for i in parts.val]
        self._intervals = fit_intervals([p.numpy() for p in predictions], truths)
        return self._intervals.to_json()

    def baselines(self) -> Mapping[str, Model]:
        return {name: model for name, model in self._baselines.items() if name != self._closed}

    def report(
        self,
        parts: Parts,
        network: str,
        model: nn.Module,
        others: Mapping[str, nn.Module],
        facts: RunFacts,
        progress: Progress,
    ) -> Outcome:
        table: CaseTable = parts.table
        with progress.bar("rolling out the test cases") as on_progress:
            evaluation = evaluate(
                network,
                cast(Model, model),
                self._task,
                table,
                parts.test,
                intervals=self._intervals,
                on_progress=on_progress,
            )
        beside = [
            evaluate(name, cast(Model, other), self._task, table, parts.test)
            for name, other in {**self.baselines(), **others}.items()
        ]
        shown = self._request.report
        with progress.bar("drawing the figures") as on_progress:
            write_report(
                self._request.folder,
                evaluation,
                beside,
                facts,
                figures=shown.figures,
                byproducts=shown.byproducts,
                jobs=shown.jobs,
                on_progress=on_progress,
            )
        scores = {f"baseline/{other.name}/score": other.score() for other in beside}
        lines = table_lines(evaluation, beside)
        if broken := broken_promise(evaluation):
            lines.append(f"WARNING: {broken.replace('`', '')}")
        return Outcome({**metrics_of(evaluation), **scores}, lines)


def metrics_of(evaluation: Evaluation) -> dict[str, float]:
    """``test/<metric>_<statistic>/<signal>`` for every predicted signal, and the summary numbers."""
    metrics = {
        f"test/{metric}_{statistic}/{signal.name}": value
        for metric in METRICS
        for i, signal in enumerate(evaluation.spec.predicted)
        for statistic, value in evaluation.summary(metric, i).items()
    }
    if (found := evaluation.held(DEFAULT)) is not None:
        for i, signal in enumerate(evaluation.spec.predicted):
            metrics[f"test/coverage_{DEFAULT:g}/{signal.name}"] = float(found.coverage[i])
            metrics[f"test/width_{DEFAULT:g}/{signal.name}"] = float(found.width[i])
    metrics["test/score"] = evaluation.score()
    metrics["test/diverged"] = float(len(evaluation.diverged))
    metrics["test/seconds_per_case"] = evaluation.seconds_per_case
    return metrics


def table_lines(evaluation: Evaluation, others: Sequence[Evaluation]) -> list[str]:
    """Mean ADE of every target signal, the model and the baselines side by side, for the terminal."""
    everyone = [evaluation, *others]
    head, missing = "mean ADE on the test cases", "diverged, not in the mean"
    width = max(len(head), *(len(evaluation.spec.predicted[i].label) for i in evaluation.spec.target_columns))
    column = max(14, *(len(e.name) + 2 for e in everyone))
    lines = [f"{head:{width}}" + "".join(f"{e.name:>{column}}" for e in everyone)]
    for i in evaluation.spec.target_columns:
        values = "".join(f"{e.summary('ADE', i)['mean']:>{column}.4g}" for e in everyone)
        lines.append(f"{evaluation.spec.predicted[i].label:{width}}{values}")
    if any(e.diverged for e in everyone):
        counts = "".join(f"{len(e.diverged):>{column}}" for e in everyone)
        lines.append(f"{missing:{width}}{counts}")
    return lines
