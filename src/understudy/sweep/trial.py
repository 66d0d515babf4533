"""A trial as its own process sees it: it says that it lives, reports, and records how it ended.

The process that trains records the result itself. A sweep that was killed therefore loses nothing of the jobs
that it had sent to a cluster.
"""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.errors import UnderstudyError
from understudy.progress import Pruned
from understudy.sweep.alive import OWNER, SIGN, Heart, owner
from understudy.sweep.options import SweepOptions
from understudy.sweep.samplers import make_pruner
from understudy.sweep.storage import locate, open_storage, patiently
from understudy.sweep.study import STARTED, fail, tell

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

VARIABLE = "UNDERSTUDY_TRIAL"


@dataclass(frozen=True)
class Ticket:
    """What a job must know to find its trial; it travels in an environment variable.

    Args:
        url: of the storage where it is a file; None: where ``hydra.sweeper.storage`` says, because an address
            may hold a password and the variable is written to the folder of the run.
        parent: the tracker's run that holds those of the trials; empty: none.
        tracking: the tracker's store, where it is a file of the folder that the sweep was started in.
    """

    study: str
    number: int
    url: str | None
    parent: str
    tracking: str | None

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def received(cls) -> Ticket | None:
        """The ticket of this job; None: it is no trial."""
        text = os.environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None


class Trial:
    """The trial of a ticket."""

    def __init__(self, ticket: Ticket, options: SweepOptions, epochs: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        url = ticket.url or locate(options.storage, ticket.study)
        storage = patiently(lambda: open_storage(url))
        self.ticket = ticket
        self.number = ticket.number
        self._pruner = make_pruner(options.pruner, epochs)
        self._prunes = options.pruner.get("name", "none") != "none"
        self._study = optuna.load_study(study_name=ticket.study, storage=storage, pruner=self._pruner)
        trial_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, ticket.number)
        self._trial = _resumed(self._study, trial_id)
        self._every = min(60.0, options.stale_after / 5)

    def report(self, step: int, value: float) -> bool:
        """Tell the study a validation error; True: stop, others were better at this step."""
        if len(self._study.directions) > 1:
            return False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a step that a resumed training reports again
                self._trial.report(value, step)
            return self._prunes and self._trial.should_prune()
        except RuntimeError as error:  # it was given up meanwhile: nobody waits for its result
            log.warning("trial %d goes on for nobody: %s", self.number, error)
            return True

    def run(self, work: Callable[[], float | Sequence[float]], folder: Path) -> list[float] | None:
        """Do ``work`` and record how it ended: with values, pruned or failed. Only a stop is passed on."""
        from optuna.trial import TrialState

        storage, trial_id = self._study._storage, self._trial._trial_id
        for key, value in {OWNER: owner(), STARTED: str(folder)}.items():
            storage.set_trial_user_attr(trial_id, key, value)
        with Heart(lambda now: storage.set_trial_user_attr(trial_id, SIGN, now), self._every):
            try:
                result = work()
                values = [float(v) for v in (result if isinstance(result, Sequence) else [result])]
                if any(math.isnan(v) for v in values):
                    raise UnderstudyError("the objective is not a number")
            except Pruned:
                tell(self._study, self.number, None, TrialState.PRUNED)
                return None
            except Exception as error:
                stopped = hasattr(error, "resume_with")
                fail(self._study, self._trial, f"{type(error).__name__}: {error}", died=stopped)
                if stopped:
                    raise
                # A mistake in a value needs no traceback, a defect does; the sweep goes on after both.
                log.info("trial %d failed", self.number, exc_info=error)
                return None
            except KeyboardInterrupt:
                fail(self._study, self._trial, "stopped", died=True)
                raise
            tell(self._study, self.number, values, TrialState.COMPLETE)
            return values


def _resumed(study: optuna.Study, trial_id: int) -> optuna.Trial:
    """A handle on a trial that another process asked for."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.Trial(study, trial_id)
