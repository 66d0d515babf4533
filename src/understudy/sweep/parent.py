"""The run in the tracker that stands for the whole sweep; the runs of the trials are its children."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from understudy.sweep.storage import exclusive, redact
from understudy.sweep.study import PARENT
from understudy.tracking import Tracker, default_uri, open_tracker

if TYPE_CHECKING:
    from understudy.sweep.study import Search


def open_parent(search: Search, config: DictConfig) -> Tracker:
    """The parent of a study, made by whoever comes first and found by all others.

    Raises:
        ConfigError: the tracking store cannot be used.
    """
    tracking = config.tracking
    uri = tracking.uri or default_uri()
    with exclusive(search.url, "parent"):
        known: dict[str, str] = search.study.user_attrs.get(PARENT, {})
        parent = open_tracker(
            tracking.name,
            tracking.uri,
            config.settings.mlflow_exp_name,
            search.study.study_name,
            known.get(uri, ""),
        )
        if parent.run_id and uri not in known:
            search.study.set_user_attr(PARENT, {**known, uri: parent.run_id})
            parent.parameters(_described(search))
            parent.tags({"sweep": search.study.study_name, "storage": redact(search.url)})
    return parent


def _described(search: Search) -> dict[str, Any]:
    space: Mapping[str, str] = {
        p.key.lstrip("+"): p.override("…").partition("=")[0] for p in search.purpose.space.parameters
    }
    return {
        **{
            f"swept.{key}": str(search.purpose.space.distributions[p.key])
            for p, key in zip(search.purpose.space.parameters, space, strict=True)
        },
        "fixed": " ".join(search.purpose.space.fixed),
        "sampler": "grid" if search.grid else search.sampler,
        "pruner": search.options.pruner.get("name", "none"),
        "direction": " ".join(search.options.direction),
    }


def store_of(config: DictConfig) -> str | None:
    """The tracker's store where it is a file of this folder: a job may run in another folder."""
    uri = default_uri()
    return (
        uri if uri.startswith("sqlite:///") and Path(uri.removeprefix("sqlite:///")).is_absolute() else None
    )


def tracked(config: DictConfig) -> bool:
    return str(OmegaConf.select(config, "tracking.name")) != "none"
