"""``hydra/launcher=ray``: trials as tasks of a Ray cluster."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from understudy.errors import ConfigError

log = logging.getLogger(__name__)

GOODBYE = 20.0  # seconds that trials have to leave in order when the sweep is stopped
CONNECT = 20.0  # seconds to wait for a machine that does not answer
OBJECT_STORE = 100 * 2**20  # bytes; configurations and results are all that is passed


class RayLaunching(Launcher):
    """Runs the jobs of a batch side by side on a Ray cluster.

    Args:
        n_jobs: most trials at a time; None for as many as the cluster has room for when the sweep starts.
        cpus_per_trial: processors that a trial takes; also its threads, where ``OMP_NUM_THREADS`` is unset.
        gpus_per_trial: GPUs that a trial takes; a part such as 0.5 lets two share one.
        address: ``auto`` or ``HOST:PORT`` of a running cluster; None for the one that ``RAY_ADDRESS`` names, or
            else a cluster of this machine alone that ends with the sweep.
        init: further arguments of ``ray.init``.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        cpus_per_trial: float = 1,
        gpus_per_trial: float = 0,
        address: str | None = None,
        init: Mapping[str, Any] | None = None,
    ) -> None:
        self._n_jobs = n_jobs
        self._needs = {"CPU": cpus_per_trial, "GPU": gpus_per_trial}
        self._address = address
        self._init = dict(init or {})
        self._hydra_context: HydraContext | None = None
        self._task: TaskFunction | None = None
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._hydra_context = hydra_context
        self._task = task_function
        self._config = config

    def at_once(self) -> int:
        """How many trials run at a time. Joins the cluster or starts it.

        Raises:
            ConfigError: Ray is not installed, the cluster does not answer, or no trial would ever fit into it.
        """
        self._join()
        import ray

        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        have = ray.cluster_resources()  # type: ignore[no-untyped-call]
        wanted = {name: n for name, n in self._needs.items() if n > 0}
        for name, n in wanted.items():
            # One trial runs on one machine: the sum of several does not help it.
            if not any(machine.get(name, 0) >= n for machine in machines):
                raise ConfigError(
                    f"hydra.launcher.{name.lower()}s_per_trial={n:g}: no machine of the Ray cluster has that many; "
                    f"together they have {have.get(name, 0):g}"
                )
        room = min((int(have[name] / n) for name, n in wanted.items()), default=os.cpu_count() or 1)
        return max(1, min(room, self._n_jobs or room))

    def _join(self) -> None:
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of different epochs are not the same line
        try:
            import ray
        except ImportError as error:
            raise ConfigError("hydra/launcher=ray needs Ray: pip install 'understudy[ray]'") from error
        if ray.is_initialized():
            return
        address = self._address or os.environ.get("RAY_ADDRESS")
        where = address or "of this machine"
        _check_that_it_listens(address or "")
        arguments: dict[str, Any] = {"configure_logging": False, **self._init}
        if address is None:
            arguments = {"include_dashboard": False, "object_store_memory": OBJECT_STORE, **arguments}
        at_term = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=self._address, **arguments)
        except (ConnectionError, RuntimeError, ValueError, TypeError) as error:
            reason = str(error).strip().splitlines()
            raise ConfigError(
                f"the Ray cluster {where} cannot be used: {reason[0] if reason else type(error).__name__}"
            ) from error
        signal.signal(signal.SIGTERM, at_term)  # Ray has put one of its own, which aborts the process

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, each one with its overrides; a job whose process died returns without a result."""
        assert self._hydra_context is not None
        assert self._config is not None
        assert self._task is not None
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        self._join()
        import ray

        # A job that dies is for the sweep to repeat: Ray would run it again as the same trial.
        remote = ray.remote(max_retries=0)(trial).options(
            num_cpus=self._needs["CPU"], num_gpus=self._needs["GPU"]
        )
        shared = ray.put((self._hydra_context, self._config, self._task, Singleton.get_state()))
        jobs = [
            remote.remote(shared, initial_job_idx + i, list(overrides), os.getcwd())
            for i, overrides in enumerate(job_overrides)
        ]
        try:
            return [_result(job) for job in jobs]
        except BaseException:
            with suppress(Exception):
                _stop(jobs)
            raise


def _check_that_it_listens(address: str) -> None:
    """
    Raises:
        ConfigError: nobody listens at ``HOST:PORT``; Ray itself would try for many minutes.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        if place.hostname and place.port:
            socket.create_connection((place.hostname, place.port), timeout=CONNECT).close()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the Ray cluster {address} cannot be used: {error}") from error


def _result(job: Any) -> JobReturn:
    import ray

    try:
        returned = ray.get(job)
        assert isinstance(returned, JobReturn)
        return returned
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        log.info("a worker of Ray died", exc_info=error)
        return JobReturn()
    except ray.exceptions.RayTaskError as error:
        returned = JobReturn()
        returned.return_value = error.cause if isinstance(error.cause, Exception) else error
        return returned


def _stop(jobs: Sequence[Any]) -> None:
    """Let trials end as they do at Ctrl-C; those that do not are killed."""
    import ray

    for job in jobs:
        ray.cancel(job, force=False)
    _, still = ray.wait(list(jobs), num_returns=len(jobs), timeout=GOODBYE)
    for job in still:
        ray.cancel(job, force=True)


def trial(
    shared: tuple[HydraContext, DictConfig, TaskFunction, Any], number: int, overrides: list[str], folder: str
) -> JobReturn:
    """One job, in a process of Ray's, which writes the name of this function before every line of the job."""
    context, config, task, singletons = shared
    with suppress(OSError):  # another machine need not have the folder; paths of runs are absolute
        os.chdir(folder)
    setup_globals()
    Singleton.set_state(singletons)
    composed = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
        composed.hydra.job.num = number
    HydraConfig.instance().set_config(composed)
    return run_job(
        task_function=task,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=context,
    )
