"""One job of a sweep, in whatever process the launcher runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from understudy.config import Plan
from understudy.sweep.options import options_of
from understudy.sweep.storage import hide_password
from understudy.sweep.trial import Ticket, Trial

Result = float | Sequence[float]


def run_job(plan: Plan, sweeper: Mapping[str, Any], execute: Callable[[Plan], Result]) -> Result | None:
    """Carry out ``plan`` as the trial that this job is; returns its values, None where it has none.

    Where no trial is known (``hydra/sweeper=basic``), the plan is simply carried out, and errors are raised.
    """
    ticket = Ticket.received()
    if ticket is None:
        return execute(plan)
    options = options_of(sweeper)
    hide_password(options.storage, plan.folder / ".hydra" / "hydra.yaml")
    trial = Trial(ticket, options, plan.settings.epochs)
    tags = {"sweep": ticket.study, "trial": str(ticket.number)}
    if ticket.parent:
        tags["mlflow.parentRunId"] = ticket.parent
    plan = replace(
        plan,
        watcher=trial,
        tags=tags,
        tracking=replace(plan.tracking, uri=plan.tracking.uri or ticket.tracking),
    )
    return trial.run(lambda: execute(plan), plan.folder)
