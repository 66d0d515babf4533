"""What a person wants to know first, in one or two sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from understudy.core.intervals import DEFAULT
from understudy.report.numbers import listing, percent

if TYPE_CHECKING:
    from understudy.core.evaluate import Evaluation

_MOST_NAMES = 5
MAY_LACK = 0.1  # of the points that an interval was asked to hold


def verdict(evaluation: Evaluation, baselines: Sequence[Evaluation]) -> str:
    """How the network compares with its baselines, by mean ADE of each target; names in backticks.

    Two methods are compared over the cases in which neither of them diverged: leaving out only its own
    failures would make a method that fails on the hard cases look good.
    """
    name, n = evaluation.name, len(evaluation.cases)
    gone = len(evaluation.diverged)
    if gone == n:
        where = "in its only test case" if n == 1 else f"in all {n} test cases"
        return f"{name} diverged {where}: it cannot be used as it is."
    head = ""
    if gone:
        head = f"{name} diverged in {gone} of {n} test cases. In the {_others(n - gone)} "
        name = "it"
    return head + _comparison(name, evaluation, baselines)


def broken_promise(evaluation: Evaluation) -> str:
    """The targets whose intervals hold far less of the test cases than was asked, in a sentence; else nothing."""
    found = evaluation.held(DEFAULT)
    if found is None:
        return ""
    broken = [
        f"`{evaluation.spec.predicted[i].name}` ({percent(float(found.coverage[i]), 0)})"
        for i in evaluation.spec.target_columns
        if found.coverage[i] < DEFAULT - MAY_LACK
    ]
    if not broken:
        return ""
    return (
        f"Intervals of {percent(DEFAULT)} hold too few points of {listing(broken, _MOST_NAMES)}: "
        "the test cases are not like those that validated, or these were too few. Do not rely on them."
    )


def _others(count: int) -> str:
    return "other one" if count == 1 else f"other {count}"


def _comparison(name: str, evaluation: Evaluation, baselines: Sequence[Evaluation]) -> str:
    signals = evaluation.spec.predicted
    columns = list(evaluation.spec.target_columns)
    ade = evaluation.errors["ADE"]
    measured = [c for c in columns if np.isfinite(ade[_stable(evaluation), c]).any()]
    unmeasured = [f"`{signals[c].name}`" for c in columns if c not in measured]
    were = "was" if len(unmeasured) == 1 else "were"
    where = "not measured in these cases" if evaluation.diverged else "never measured"
    tail = f" {listing(unmeasured, _MOST_NAMES)} {were} {where}." if unmeasured else ""
    if not measured:
        return f"{name} cannot be judged: no target was measured."
    if not baselines:
        count = f"{len(evaluation.cases)} cases" if len(evaluation.cases) > 1 else "one case"
        return f"{name} was tested on {count}, without a baseline to compare it with.{tail}"

    better: dict[str, list[str]] = {}  # "persistence is better": targets of which that is to be said
    for c in measured:
        ratio, rival = max((_ratio(evaluation, b, c), b.name) for b in baselines)
        if ratio >= 1.0:
            phrase = f"{rival} is {'better' if ratio > 1.0 else 'as good'}"
            better.setdefault(phrase, []).append(f"`{signals[c].name}`")
    wins = len(measured) - sum(map(len, better.values()))
    all_of_them = _all_baselines(baselines)
    if not better:
        many = "both targets" if len(measured) == 2 else f"all {len(measured)} targets"
        what = f"`{signals[measured[0]].name}`" if len(measured) == 1 else many
        return f"{name} beats {all_of_them} on {what}.{tail}"
    losses = ", ".join(f"on {listing(names, _MOST_NAMES)} {phrase}" for phrase, names in better.items())
    if len(measured) == 1:
        start = f"{name} does not beat {all_of_them}"
    elif wins:
        start = f"{name} beats {all_of_them} on {wins} of {len(measured)} targets"
    else:
        start = f"{name} beats {all_of_them} on none of {len(measured)} targets"
    return f"{start}; {losses}.{tail}"


def _all_baselines(baselines: Sequence[Evaluation]) -> str:
    if len(baselines) == 1:
        return baselines[0].name
    return "both baselines" if len(baselines) == 2 else f"all {len(baselines)} baselines"


def _ratio(evaluation: Evaluation, baseline: Evaluation, column: int) -> float:
    """Error of the network over error of the baseline, on common ground; 0 where the baseline has none."""
    rows = {case.id: k for k, case in enumerate(baseline.cases)}
    theirs, ours = baseline.errors["ADE"][:, column], evaluation.errors["ADE"][:, column]
    stands = _stable(baseline)
    common = [
        (k, rows[case.id])
        for k, case in enumerate(evaluation.cases)
        if case.diverged_at is None and case.id in rows and stands[rows[case.id]] and np.isfinite(ours[k])
    ]
    if not common:
        return 0.0
    mine = float(np.mean([ours[k] for k, _ in common]))
    other = float(np.mean([theirs[k] for _, k in common]))
    return 1.0 if mine == other else mine / other if other > 0 else float("inf")


def _stable(evaluation: Evaluation) -> np.ndarray:
    return np.array([case.diverged_at is None for case in evaluation.cases])
