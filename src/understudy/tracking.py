"""Where runs are recorded: one narrow interface, MLflow and nothing behind it."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from understudy.errors import ConfigError, did_you_mean

log = logging.getLogger(__name__)

PACKAGES = ("understudy", "torch", "lightning", "hydra-core", "mlflow", "numpy", "pyarrow")


class Tracker(Protocol):
    """What a run tells about itself."""

    run_id: str

    def parameters(self, values: Mapping[str, Any]) -> None: ...

    def tags(self, values: Mapping[str, str]) -> None: ...

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None: ...

    def files(self, folder: Path) -> None:
        """Upload everything below ``folder`` but checkpoints."""

    def close(self, status: str, error: str = "") -> None:
        """``FINISHED``, ``FAILED`` or ``KILLED``, with the error in words."""


class NoTracker:
    """Records nothing."""

    run_id = ""

    def parameters(self, values: Mapping[str, Any]) -> None:
        return None

    def tags(self, values: Mapping[str, str]) -> None:
        return None

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        return None

    def files(self, folder: Path) -> None:
        return None

    def close(self, status: str, error: str = "") -> None:
        return None


class MlflowTracker:
    """A run in an MLflow store.

    Args:
        uri: of the store; ``sqlite:///…`` or a server.
        experiment: made where it does not exist.
        run_name: of a new run.
        run_id: of a run to go on with, or empty.

    Raises:
        ConfigError: the store cannot be used.
    """

    def __init__(self, uri: str, experiment: str, run_name: str, run_id: str = "") -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow
        from mlflow.entities import Metric, Param, RunTag

        self._entities = {"metric": Metric, "param": Param, "tag": RunTag}
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.uri = uri
        try:
            with _one_at_a_time(uri):
                self._client = mlflow.MlflowClient(tracking_uri=uri)
                self._experiment = self._find_or_make(experiment)
            self.run_id = run_id or self._new_run(run_name)
            if run_id:
                self._client.update_run(run_id, status="RUNNING")
        except Exception as error:  # MLflow lets through whatever its store or its server raises
            first = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"the tracking store {uri} cannot be used: {first}; set tracking.uri, or tracking=none"
            ) from error

    def _find_or_make(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.uri.startswith("sqlite:///"):
            # By default artefacts would go to a folder relative to wherever the next command is run.
            location = (Path(self.uri.removeprefix("sqlite:///")).parent / "mlruns" / name).resolve().as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))

    def _new_run(self, name: str) -> str:
        tags = {"mlflow.runName": name, "mlflow.source.name": "understudy", "mlflow.source.type": "LOCAL"}
        return str(self._client.create_run(self._experiment, tags=tags).info.run_id)

    def parameters(self, values: Mapping[str, Any]) -> None:
        known = self._client.get_run(self.run_id).data.params  # a resumed run has them; they cannot change
        new = [self._entities["param"](k, str(v)[:6000]) for k, v in values.items() if k not in known]
        for first in range(0, len(new), 100):  # the store's limit for one request
            self._client.log_batch(self.run_id, params=new[first : first + 100])

    def tags(self, values: Mapping[str, str]) -> None:
        self._client.log_batch(self.run_id, tags=[self._entities["tag"](k, v) for k, v in values.items()])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        rows = [
            self._entities["metric"](_metric_name(k), v, now, step)
            for k, v in values.items()
            if math.isfinite(v)
        ]
        for first in range(0, len(rows), 1000):
            self._client.log_batch(self.run_id, metrics=rows[first : first + 1000])

    def files(self, folder: Path) -> None:
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("checkpoints"):  # and those of a comparison or a refit
                continue
            if entry.is_dir():
                self._client.log_artifacts(self.run_id, str(entry), entry.name)
            else:
                self._client.log_artifact(self.run_id, str(entry))

    def close(self, status: str, error: str = "") -> None:
        if error:
            self._client.set_tag(self.run_id, "error", error[:5000])
        self._client.set_terminated(self.run_id, status)


def _metric_name(name: str) -> str:
    """MLflow allows letters, digits and ``_-. :/``; units and brackets of signal names are not among them."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Two processes that make the same SQLite store at once break each other; the second one waits."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def default_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def open_tracker(name: str, uri: str | None, experiment: str, run_name: str, run_id: str = "") -> Tracker:
    """The tracker called ``name``.

    Raises:
        ConfigError: no such tracker, or its store cannot be used.
    """
    if name == "none":
        return NoTracker()
    if name != "mlflow":
        raise ConfigError(
            f"tracking.name is 'mlflow' or 'none', not {name!r}{did_you_mean(name, ['mlflow', 'none'])}"
        )
    return MlflowTracker(uri or default_uri(), experiment, run_name, run_id)


@dataclass(frozen=True)
class Record:
    """A run as the tracker knows it; ``started`` in seconds since 1970."""

    run_id: str
    name: str
    status: str
    started: float
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class Records:
    """All runs of an MLflow store.

    Raises:
        ConfigError: the store cannot be read.
    """

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._uri = uri
        with self._explained(), _one_at_a_time(uri):
            self._client = mlflow.MlflowClient(tracking_uri=uri)

    def all(self) -> list[Record]:
        with self._explained():
            experiments = [e.experiment_id for e in self._client.search_experiments()]
            found: list[Any] = []
            token = None
            while experiments:
                page = self._client.search_runs(experiments, max_results=1000, page_token=token)
                found += page
                if not (token := page.token):
                    break
        return [
            Record(
                r.info.run_id,
                r.info.run_name,
                r.info.status,
                (r.info.start_time or 0) / 1000,
                dict(r.data.params),
                dict(r.data.metrics),
                dict(r.data.tags),
            )
            for r in found
        ]

    def delete(self, run_id: str) -> None:
        """Mark a run as deleted; MLflow keeps it until ``mlflow gc``."""
        with self._explained():
            self._client.delete_run(run_id)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # MLflow lets through whatever its store or its server raises
            first = " ".join(str(error).split())[:300]
            raise ConfigError(f"the tracking store {self._uri} cannot be read: {first}") from error


def open_records(uri: str) -> Records:
    """
    Raises:
        ConfigError: the store cannot be read.
    """
    return Records(uri)


def provenance() -> dict[str, str]:
    """What a result depends on beside data and configuration: the commit and the versions of packages."""
    facts = {f"version.{name}": version(name) for name in PACKAGES}
    commit = _git("rev-parse", "HEAD")
    if commit:
        facts["git.commit"] = commit + (" (with changes)" if _git("status", "--porcelain") else "")
    return facts


def _git(*arguments: str) -> str:
    """What git says of the working folder; empty where it is no repository or git is absent."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
