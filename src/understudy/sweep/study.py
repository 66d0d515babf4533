"""One study: made or found again, its dead trials found out, the next trials asked for."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from understudy.errors import ConfigError
from understudy.sweep.alive import OWNER, SIGN, lives, owner
from understudy.sweep.options import DEFAULT_TRIALS, SweepOptions
from understudy.sweep.samplers import make_sampler
from understudy.sweep.space import Space
from understudy.sweep.storage import exclusive, locate, open_storage

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

MADE_FOR, FOLDER, PARENT = "understudy:made for", "understudy:folder", "understudy:parent"
ERROR, DIED, STARTED, REPEATS = (f"understudy:{n}" for n in ("error", "died", "started", "repeats"))
MOST_REPEATS = 3
MOST_COMBINATIONS = 2000
# What says where and how fast a run works or is shown, but not what comes out of it.
_ELSEWHERE = ("tracking", "report", "trainer", "hydra", "resume", "settings.mlflow_exp_name")


@dataclass(frozen=True)
class Purpose:
    """What a study is made for; another purpose is another study."""

    space: Space
    objectives: tuple[str, ...]
    directions: tuple[str, ...]

    def described(self) -> dict[str, Any]:
        return {
            "space": self.space.describe(),
            "fixed": sorted(o for o in self.space.fixed if not _is_elsewhere(o)),
            "objectives": list(self.objectives),
            "directions": list(self.directions),
        }

    def name(self) -> str:
        """The swept keys, and a number that differs where anything else does."""
        digest = hashlib.sha256(json.dumps(self.described(), sort_keys=True).encode()).hexdigest()[:8]
        keys = "-".join(
            p.key.lstrip("+~").rpartition(".")[2].replace("/", "_") for p in self.space.parameters
        )
        return f"{keys[:48] or 'single'}-{digest}"


def _is_elsewhere(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0].partition("@")[0]
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in _ELSEWHERE)


@dataclass
class Search:
    """A study and what this process wants of it."""

    study: optuna.Study
    url: str
    purpose: Purpose
    options: SweepOptions
    sampler: str
    is_new: bool
    deaths: int = field(default=0)

    @property
    def grid(self) -> bool:
        """Whether every combination is tried once instead of asking a sampler."""
        if self.sampler == "grid":
            return True
        combinations, wanted = self.purpose.space.combinations, self.options.n_trials
        return (
            self.sampler == "auto" and combinations is not None and (wanted is None or combinations <= wanted)
        )

    @property
    def n_trials(self) -> int:
        """How many trials are to end by themselves."""
        if self.grid:
            combinations = self.purpose.space.combinations or 0
            return min(combinations, self.options.n_trials or combinations)
        return self.options.n_trials or DEFAULT_TRIALS

    def ask(self, most: int) -> list[optuna.Trial]:
        """Up to ``most`` new trials that belong to this process; empty: the study has all it needs.

        Counted are trials that ended by themselves and those that still run, here or in other processes.
        """
        with exclusive(self.url):
            self.bury()
            trials = self.study.get_trials(deepcopy=False)
            free = min(most, self.n_trials - sum(counts(t) for t in trials))
            if self.grid:
                self._enqueue_missing(trials, free)
            return [self._ask_one(len(trials) + i) for i in range(free)]

    def _ask_one(self, asked: int) -> optuna.Trial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's advice about parameters that it cannot relate
            self.study.sampler = make_sampler(self.options.sampler, asked)
            trial = self.study.ask(self.purpose.space.distributions)
        trial.set_user_attr(OWNER, owner())
        return trial

    def _enqueue_missing(self, trials: Sequence[FrozenTrial], most: int) -> None:
        from optuna.trial import TrialState

        seen = {_point(t) for t in trials if counts(t) or t.state == TrialState.WAITING}
        waiting = sum(t.state == TrialState.WAITING for t in trials)
        for point in self.purpose.space.points():
            if waiting >= most:
                return
            if json.dumps(point, sort_keys=True) not in seen:
                self.study.enqueue_trial(point)
                waiting += 1

    def bury(self) -> list[int]:
        """Mark the running trials whose process is gone as failed; where asked, queue them once more."""
        from optuna.trial import TrialState

        dead = [
            t
            for t in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if not lives(t.user_attrs, self.options.stale_after)
        ]
        for trial in dead:
            self.give_up(trial, "its process died")
        return [t.number for t in dead]

    def give_up(self, trial: FrozenTrial, why: str) -> None:
        """Mark a trial that cannot end by itself any more as failed; where asked, queue it once more."""
        started = STARTED in trial.user_attrs
        words = why if started else "the sweep ended before it began"
        if not fail(self.study, trial, words, died=True):
            return
        self.deaths += 1
        log.warning("trial %d is marked failed: %s", trial.number, words)
        repeats = int(trial.user_attrs.get(REPEATS, 0))
        again = (self.options.repeat_died and repeats < MOST_REPEATS) or not started
        if again and not self.grid and len(trial.params) == len(self.purpose.space.parameters):
            self.study.enqueue_trial(trial.params, user_attrs={REPEATS: repeats + bool(started)})

    def sign(self, trial_ids: Sequence[int], now: float) -> None:
        """Signs of life for trials that wait in a queue and cannot give one themselves."""
        for trial_id in trial_ids:
            with suppress(Exception):  # it has ended meanwhile
                self.study._storage.set_trial_user_attr(trial_id, SIGN, now)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the ``n_trials``: it ended by itself, or it runs."""
    from optuna.trial import TrialState

    return trial.state != TrialState.WAITING and DIED not in trial.user_attrs


def fail(study: optuna.Study, trial: FrozenTrial | optuna.Trial, why: str, *, died: bool = False) -> bool:
    """Mark a running trial as failed, with the reason; False where it had ended already."""
    from optuna.trial import TrialState

    storage, trial_id = study._storage, trial._trial_id
    try:
        storage.set_trial_user_attr(trial_id, ERROR, why[:1000])
        if died:
            storage.set_trial_user_attr(trial_id, DIED, True)
    except RuntimeError:  # Optuna's way of saying that a finished trial does not change
        return False
    state, _, _ = tell(study, trial.number, None, TrialState.FAIL)
    return bool(state == TrialState.FAIL)


def tell(study: optuna.Study, number: int, values: Any, state: Any) -> tuple[Any, Any, Any]:
    """Record how a trial ended; what had ended already stays as it is. Returns state, values and a message."""
    from optuna.study._tell import _tell_with_warning

    return _tell_with_warning(study, number, values, state, skip_if_finished=True, suppress_warning=True)


def _point(trial: FrozenTrial) -> str:
    return json.dumps(trial.params or trial.system_attrs.get("fixed_params", {}), sort_keys=True)


def open_search(purpose: Purpose, options: SweepOptions, sampler: str) -> Search:
    """The study of this purpose, made where there is none.

    Raises:
        ConfigError: the storage cannot be used, or the study was made for something else.
    """
    import optuna
    from optuna.study import StudyDirection

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    combinations = purpose.space.combinations
    if options.n_trials is None and sampler in ("auto", "grid") and (combinations or 0) > MOST_COMBINATIONS:
        raise ConfigError(
            f"there are {combinations:,} combinations; say with hydra.sweeper.n_trials how many to try"
        )
    if sampler == "grid" and combinations is None:
        raise ConfigError(
            "hydra/sweeper/sampler=grid needs choices and ranges; an interval has no end of values"
        )
    name = options.study_name or purpose.name()
    url = locate(options.storage, name)
    storage = open_storage(url)
    with exclusive(url):
        known = {s.study_name: s for s in storage.get_all_studies()}
        is_new = name not in known
        if is_new:
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[StudyDirection[d.upper()] for d in purpose.directions],
            )
            study.set_user_attr(MADE_FOR, purpose.described())
        else:
            study = optuna.load_study(storage=storage, study_name=name)
            _check_purpose(study, purpose)
    return Search(study, url, purpose, options, sampler, is_new)


def _check_purpose(study: optuna.Study, purpose: Purpose) -> None:
    """
    Raises:
        ConfigError: the study was made for other parameters, objectives or fixed values.
    """
    before, now = study.user_attrs.get(MADE_FOR), purpose.described()
    remedy = "choose another hydra.sweeper.study_name"
    if before is None:
        if not study.get_trials(deepcopy=False):  # its maker was killed right after making it
            study.set_user_attr(MADE_FOR, now)
            return
        raise ConfigError(f"the study {study.study_name!r} was not made by understudy; {remedy}")
    for what, words in (
        ("space", "parameters"),
        ("fixed", "settings"),
        ("objectives", "objectives"),
        ("directions", "directions"),
    ):
        if before[what] != now[what]:
            old, new = _differing(before[what], now[what])
            raise ConfigError(
                f"the study {study.study_name!r} was made for other {words} ({old}, now {new}); {remedy}"
            )


def _differing(before: Any, now: Any) -> tuple[str, str]:
    """What differs, in a few words each."""
    if isinstance(before, dict):
        keys = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        if set(before) != set(now):
            return ", ".join(before), ", ".join(now)
        return _written(keys[0], before[keys[0]]), _written(keys[0], now[keys[0]])
    if sorted(before) == sorted(now):  # the same in another order
        return ", ".join(before), ", ".join(now)
    old, new = [b for b in before if b not in now], [n for n in now if n not in before]
    return ", ".join(old) or "nothing", ", ".join(new) or "nothing"


def _written(key: str, distribution: str) -> str:
    attributes = json.loads(distribution)["attributes"]
    if "choices" in attributes:
        return f"{key} of {', '.join(map(str, attributes['choices']))}"
    return f"{key} from {attributes['low']} to {attributes['high']}"
