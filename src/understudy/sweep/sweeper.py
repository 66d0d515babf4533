"""The loop that Hydra calls for ``-m``: ask for trials, launch them, see how they ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from understudy.errors import ConfigError, ModelError
from understudy.sweep.alive import Heart
from understudy.sweep.options import SweepOptions, check_objectives, options_of
from understudy.sweep.ray import RayLaunching
from understudy.sweep.space import Space, space_of

if TYPE_CHECKING:
    import optuna

    from understudy.sweep.study import Search

log = logging.getLogger(__name__)

Listener = Callable[[str], None]


class Sweeping(Sweeper):
    """A sweep on one study. The arguments are the keys of ``hydra.sweeper``."""

    def __init__(self, **values: Any) -> None:
        self._values = values
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self._task: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self._task = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has as many as were asked for.

        Raises:
            ConfigError: a mistake in the command, found before the first trial.
            ModelError: no trial came to an end with a value, or process after process dies.
            StoppedByUser: Ctrl-C or SIGTERM; the same command goes on.
        """
        options = options_of(self._values)
        search, example = self._prepare(arguments, options)
        loop = _Loop(self._config, self._launcher(search), search, self._say)
        # Everything that is slow to import comes after the checks.
        from understudy.sweep.ending import finish
        from understudy.sweep.parent import open_parent

        parent = open_parent(search, example)
        folder = Path(str(self._config.hydra.sweep.dir))
        try:
            loop.run(parent.run_id)
        except BaseException:
            with suppress(Exception):  # the first error is the one to show
                finish(search, parent, folder, self._compose, self._say)
                parent.close("KILLED", "the sweep was stopped; the same command goes on")
            raise
        finish(search, parent, folder, self._compose, self._say)
        loop.complain_if_nothing_worked()
        return [t.values for t in search.study.get_trials(deepcopy=False)]

    @property
    def _config(self) -> DictConfig:
        assert self.config is not None
        return self.config

    @staticmethod
    def _say(line: str) -> None:
        from understudy.display import Terminal

        Terminal().say(line)

    def _prepare(self, arguments: Sequence[str], options: SweepOptions) -> tuple[Search, DictConfig]:
        """All checks; the study, and a trial's configuration as an example."""
        from understudy.sweep.samplers import check_sampler, make_pruner
        from understudy.sweep.study import Purpose, open_search

        space = self._space([f"{k}={v}" for k, v in options.params.items()], arguments)
        first: DictConfig | None = None
        for probe in space.probes():
            composed = self._checked(probe)
            first = composed if first is None else first
        assert first is not None
        objective = OmegaConf.select(first, "settings.objective")
        plain: Any = OmegaConf.to_object(objective) if OmegaConf.is_list(objective) else objective
        names = check_objectives(plain, options)
        sampler = check_sampler(options.sampler, len(options.direction))
        make_pruner(options.pruner, int(OmegaConf.select(first, "settings.epochs") or 1))
        search = open_search(Purpose(space, names, options.direction), options, sampler)
        self._place(search)
        return search, first

    def _space(self, defaults: Sequence[str], arguments: Sequence[str]) -> Space:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*defaults, *arguments])
        return space_of(overrides, self._current(overrides))

    def _current(self, overrides: Sequence[Override]) -> dict[str, Any]:
        """What the swept keys would be without the sweep."""
        known: list[str] = []
        for override in overrides:
            if not override.is_sweep_override():
                known.append(str(override.input_line))
            elif override.is_discrete_sweep():
                first = next(iter(override.sweep_string_iterator()), None)
                known += [f"{override.get_key_element()}={first}"] if first is not None else []
        try:
            composed = self._compose(known)
        except (HydraException, OmegaConfBaseException, ConfigError):
            return {}  # the checks will say what is wrong
        swept = [o.get_key_element().lstrip("+~") for o in overrides if o.is_sweep_override()]
        return {key: OmegaConf.select(composed, key) for key in swept if "/" not in key and "@" not in key}

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        assert self.hydra_context is not None
        return self.hydra_context.config_loader.load_sweep_config(self._config, list(overrides))

    def _checked(self, overrides: Sequence[str]) -> DictConfig:
        """Compose a trial and bind it to the types, so that a mistake is found before the first one runs.

        Raises:
            ConfigError: a key, a group or a value that does not exist or does not fit.
        """
        from understudy.config import build, explain

        try:
            composed = self._compose(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            swept = [o for o in overrides if "=" in o and "." not in o.partition("=")[0]]
            raise ConfigError(f"{explain(error)}; tried with {' '.join(swept) or 'the defaults'}") from error
        task = OmegaConf.masked_copy(composed, [str(k) for k in composed if k != "hydra"])
        OmegaConf.set_struct(task, True)
        build(task, Path())
        return composed

    def _place(self, search: Search) -> None:
        """Name the study in the configuration, and give a new study a folder of its own."""
        from understudy.sweep.storage import hide_password
        from understudy.sweep.study import FOLDER

        sweep = self._config.hydra.sweep
        with open_dict(self._config):
            self._config.hydra.sweeper.study_name = search.study.study_name
        chosen = any(str(o).startswith("hydra.sweep.dir=") for o in self._config.hydra.overrides.hydra)
        before = search.study.user_attrs.get(FOLDER)
        if not chosen and before is not None:
            folder = str(before)
        else:
            folder = str(sweep.dir)
            n = 1
            while not chosen and any(Path(folder).glob("*/.hydra")):
                n += 1
                folder = f"{sweep.dir}-{n}"  # runs of an earlier study of this name
            search.study.set_user_attr(FOLDER, folder)
        with open_dict(self._config):
            sweep.dir = folder
        Path(folder).mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, Path(folder) / "multirun.yaml")
        hide_password(search.options.storage, Path(folder) / "multirun.yaml")

    def _launcher(self, search: Search) -> Launcher:
        assert self.hydra_context is not None
        assert self._task is not None
        return Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self._task, config=self._config
        )


class _Loop:
    """Batches of trials through a launcher."""

    def __init__(self, config: DictConfig, launcher: Launcher, search: Search, say: Listener) -> None:
        self.config = config
        self.launcher = launcher
        self.search = search
        self.say = say
        self.batch = slots(launcher, config.hydra.launcher, search)

    def run(self, parent: str) -> None:
        search = self.search
        if (done := self._ended()) and not search.is_new:
            self.say(
                f"going on with study {search.study.study_name}: {done} of {search.n_trials} trials done"
            )
        every = min(60.0, search.options.stale_after / 5)
        limit = MOST_DEATHS + 2 * self.batch
        while trials := search.ask(self.batch):
            ids = [t._trial_id for t in trials]
            with Heart(lambda now, ids=ids: search.sign(ids, now), every):  # type: ignore[misc]
                self._launch(trials, parent)
            if search.deaths > limit:
                raise ModelError(
                    f"the processes of {search.deaths} trials died; look at the log of the last one, "
                    "then the same command goes on"
                )

    def _launch(self, trials: Sequence[optuna.Trial], parent: str) -> None:
        space, problem = self.search.purpose.space, ""
        jobs = [[*space.overrides(t.params), *self._hydra_overrides(t, parent)] for t in trials]
        returned: Sequence[JobReturn] = []
        try:
            returned = self.launcher.launch(jobs, initial_job_idx=trials[0].number)
        except (KeyboardInterrupt, SystemExit):
            self._settle(trials, "the sweep was stopped", died=True)
            raise
        except Exception as error:  # a launcher whose worker was killed; the trials tell what they know
            log.info("the launcher gave up", exc_info=True)
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
            if not self.search.study.get_trials(deepcopy=False):
                raise
        self._settle(trials, problem or "its process died", died=True, returned=returned)
        for job in returned:
            if job.status == JobStatus.FAILED and hasattr(job._return_value, "resume_with"):
                stop = job._return_value
                stop.resume_with = "the same command"
                raise stop

    def _settle(
        self, trials: Sequence[optuna.Trial], why: str, *, died: bool, returned: Sequence[JobReturn] = ()
    ) -> None:
        """Trials that have not recorded an end by now never will."""
        from understudy.sweep.study import fail

        known = {t.number: t for t in self.search.study.get_trials(deepcopy=False)}
        for i, trial in enumerate(trials):
            frozen = known[trial.number]
            if frozen.state.is_finished():
                if frozen.user_attrs.get("understudy:error"):
                    self.say(f"trial {trial.number} failed: {frozen.user_attrs['understudy:error']}")
                continue
            error = returned[i]._return_value if i < len(returned) else None
            if isinstance(error, Exception):  # it failed before it knew that it was a trial
                fail(self.search.study, trial, f"{type(error).__name__}: {error}")
                self.say(f"trial {trial.number} failed: {error}")
            else:
                self.search.give_up(frozen, why)

    def _hydra_overrides(self, trial: optuna.Trial, parent: str) -> list[str]:
        from understudy.sweep.parent import store_of
        from understudy.sweep.trial import VARIABLE, Ticket

        search = self.search
        is_file = not search.url.startswith("postgresql")
        ticket = Ticket(
            search.study.study_name,
            trial.number,
            search.url if is_file else None,
            parent,
            store_of(self.config),
        )
        subdir = str(OmegaConf.to_container(self.config.hydra.sweep, resolve=False)["subdir"])  # type: ignore[index,call-overload]
        return [
            f"hydra.sweeper.study_name={_quoted(search.study.study_name)}",
            f"hydra.sweep.dir={_quoted(os.path.abspath(str(self.config.hydra.sweep.dir)))}",
            # Other processes take numbers too: those of a batch need not follow one another.
            f"hydra.sweep.subdir={_quoted(subdir.replace('${hydra.job.num}', str(trial.number)))}",
            f"++hydra.job.env_set.{VARIABLE}={_quoted(ticket.dumps())}",
        ]

    def _ended(self) -> int:
        from understudy.sweep.study import counts

        return sum(t.state.is_finished() and counts(t) for t in self.search.study.get_trials(deepcopy=False))

    def complain_if_nothing_worked(self) -> None:
        """
        Raises:
            ModelError: every trial failed.
        """
        trials = self.search.study.get_trials(deepcopy=False)
        ended = [t for t in trials if t.state.is_finished()]
        if ended and not any(t.values for t in ended):
            errors = [t.user_attrs.get("understudy:error", "no reason known") for t in ended]
            raise ModelError(f"all {len(ended)} trials failed; the first: {errors[0]}")


MOST_DEATHS = 3


def slots(launcher: Launcher, options: Mapping[str, Any], search: Search) -> int:
    """How many trials are launched together.

    A sampler that learns is asked for as few as possible at a time. Points that are known beforehand go in
    larger batches, so that no worker waits for the slowest one of its batch.
    """
    room = (
        launcher.at_once() if isinstance(launcher, RayLaunching) else 0
    )  # also where it is not needed: it checks
    if search.options.n_jobs:
        return search.options.n_jobs
    if str(options.get("_target_", "")).endswith("BasicLauncher"):
        return 1
    room = room or int(options.get("n_jobs") or options.get("array_parallelism") or 0)
    if room <= 0:
        room = os.cpu_count() or 1
    learns = not search.grid and search.sampler not in ("random", "qmc")
    return min(room, 16) if learns else 8 * room


def _quoted(text: str) -> str:
    """``text`` as a quoted value of Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
