"""What has been run: the folders below ``runs/`` and the records of the tracker, side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.errors import DataError, did_you_mean
from understudy.tracking import Record, open_records

STATE = "run.json"
_STATUS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped", "RUNNING": "running"}


@dataclass(frozen=True)
class Known:
    """One run.

    Args:
        name: of its folder, with that of the sweep before it.
        folder: None where it is in the tracker only.
        record: its id in the tracker; empty where it is on disk only.
        status: finished, running, stopped, pruned or failed; "unfinished" where only an old folder tells.
        metrics: the last value of each; of a folder without a record, those of ``metrics.json``.
    """

    name: str
    folder: str | None
    record: str
    status: str
    reason: str
    started: str
    sweep: str
    model: str
    dataset: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return " + ".join(p for p, there in (("disk", self.folder), ("tracker", self.record)) if there)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def known_runs(base: Path, uri: str | None) -> list[Known]:
    """All runs below ``base`` and in the store ``uri`` (None: no tracker), the newest first.

    Raises:
        ConfigError: the tracking store cannot be read.
    """
    records = {r.run_id: r for r in (open_records(uri).all() if uri else ())}
    runs = []
    for folder in _folders(base):
        state = _read(folder / STATE)
        record = records.pop(state.get("mlflow_run_id", ""), None)
        runs.append(_from_folder(base, folder, state, record))
    runs += [_from_record(record) for record in records.values()]
    return sorted(runs, key=lambda r: r.started, reverse=True)


def _folders(base: Path) -> Iterator[Path]:
    """Runs, and one level deeper those of sweeps."""
    for path in sorted([*base.glob(f"*/{STATE}"), *base.glob(f"*/*/{STATE}")]):
        yield path.parent


def _from_folder(base: Path, folder: Path, state: Mapping[str, Any], record: Record | None) -> Known:
    config = _config(folder)
    flat = dict(_flat(config))
    inside = folder.relative_to(base)
    finished = (folder / "report.html").exists()
    status = state.get("status") or ("finished" if finished else "unfinished")
    if record is not None and status in ("running", "unfinished"):
        status = _STATUS.get(record.status, status)
    metrics = dict(record.metrics) if record else {}
    with suppress(FileNotFoundError, json.JSONDecodeError):
        result = json.loads((folder / "checkpoints" / "result.json").read_text(encoding="utf-8"))
        metrics.setdefault("val/rollout", result["result"]["best_error"])
    return Known(
        name=str(inside),
        folder=str(folder),
        record=str(state.get("mlflow_run_id", "")) if record else "",
        status=status,
        reason=str(state.get("reason", "")) or (record.tags.get("error", "") if record else ""),
        started=_time((folder / STATE).stat().st_mtime if record is None else record.started),
        sweep=inside.parts[0] if len(inside.parts) > 1 else "",
        model=str(flat.get("model.name", "")),
        dataset=str(flat.get("dataset.path") or flat.get("dataset.name", "")),
        parameters=flat,
        metrics=metrics,
    )


def _from_record(record: Record) -> Known:
    status = "pruned" if "pruned" in record.tags else _STATUS.get(record.status, record.status.lower())
    return Known(
        name=record.name,
        folder=None,
        record=record.run_id,
        status=status,
        reason=record.tags.get("error", record.tags.get("pruned", "")),
        started=_time(record.started),
        sweep=record.tags.get("sweep", ""),
        model=record.parameters.get("model.name", "sweep" if "sweep" in record.tags else ""),
        dataset=record.parameters.get("dataset.name", ""),
        parameters=record.parameters,
        metrics=record.metrics,
    )


def find(runs: Sequence[Known], name: str) -> Known:
    """The run that is meant by a name, a folder, or the beginning of a record's id.

    Raises:
        DataError: none or several.
    """
    folder = str(Path(name).expanduser().resolve())
    found = [r for r in runs if r.folder is not None and str(Path(r.folder).resolve()) == folder]
    found = found or [r for r in runs if name.rstrip("/") in (r.name, r.record)]
    found = found or [
        r for r in runs if r.name.startswith(name) or (len(name) > 5 and r.record.startswith(name))
    ]
    if not found:
        near = did_you_mean(name, [r.name for r in runs])
        raise DataError(f"no run is called {name!r}{near}; `understudy runs list` shows them")
    if len(found) > 1:
        names = ", ".join(r.name if r.folder else r.record[:8] for r in found[:5])
        raise DataError(f"{name!r} may be any of {len(found)} runs: {names}, …")
    return found[0]


def differing(runs: Iterable[Known]) -> list[str]:
    """Parameters that are not the same in all of ``runs``."""
    every = list(runs)
    keys = dict.fromkeys(key for run in every for key in run.parameters)
    return [key for key in keys if len({run.parameters.get(key) for run in every}) > 1]


def remove(run: Known, uri: str | None, *, keep_record: bool) -> None:
    """Delete the folder of a run, and mark its record as deleted."""
    if run.folder is not None:
        shutil.rmtree(run.folder)
        parent = Path(run.folder).parent
        if run.sweep and not any(p.is_dir() for p in parent.iterdir()):
            shutil.rmtree(parent)
    if run.record and uri and not keep_record:
        open_records(uri).delete(run.record)


def _read(path: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError, json.JSONDecodeError):
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return state
    return {}


def _config(folder: Path) -> Any:
    from omegaconf import OmegaConf

    path = folder / ".hydra" / "config.yaml"
    return OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in (data or {}).items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="seconds")
