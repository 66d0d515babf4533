"""Configuration: the typed half of it, composing it, and turning it into a plan.

The only module below the command line that knows Hydra. Nothing that it builds from takes a ``cfg``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from understudy.core.domain import Dataset, Preprocess, domains
from understudy.errors import ConfigError, did_you_mean
from understudy.progress import Watcher
from understudy.settings import Report, Settings, Tracking, Trainer

CONFIG_MODULE, CONFIG_NAME = "understudy.conf", "train"


@dataclass
class Train:
    """The whole configuration; `dataset` and `model` are open families with their keys in yaml."""

    settings: Settings = field(default_factory=Settings)
    trainer: Trainer = field(default_factory=Trainer)
    tracking: Tracking = field(default_factory=Tracking)
    report: Report = field(default_factory=Report)
    dataset: Any = MISSING
    model: Any = MISSING
    resume: str | None = None  # the folder of a run that was stopped
    init_from: str | None = None  # a run or bundle whose weights training starts from
    transfer: str = "full"  # what of them learns: full, head or gradual
    compare_scratch: bool = False  # with init_from: also train from scratch, and show both


def register() -> None:
    """Make the typed groups known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Train)
    store.store(group="settings", name="default", node=Settings)
    store.store(group="trainer", name="default", node=Trainer)
    store.store(group="trainer", name="ddp", node=Trainer(devices=2, strategy="ddp"))
    store.store(group="tracking", name="mlflow", node=Tracking)
    store.store(group="tracking", name="none", node=Tracking(name="none"))
    store.store(group="report", name="default", node=Report)


register()


@dataclass(frozen=True)
class Plan:
    """A run in plain values: all that is left of the configuration below the edge."""

    dataset: Dataset
    dataset_name: str
    domain: str
    preprocess: Preprocess
    network: str
    arguments: Mapping[str, Any]
    settings: Settings
    trainer: Trainer
    tracking: Tracking
    report: Report
    config: str  # resolved, as YAML
    parameters: Mapping[str, Any]  # flat, for the tracker
    folder: Path
    resume: bool
    init_from: Path | None = None
    transfer: str = "full"
    compare_scratch: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)  # for the tracker
    watcher: Watcher | None = None  # compares this training with others


def quoted(path: Path) -> str:
    """A path as a quoted value of Hydra's grammar."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration for these overrides, as the command line would compose it.

    Raises:
        ConfigError: a group, a key or a value that does not exist or does not fit.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            return hydra_compose(CONFIG_NAME, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error


def build(cfg: DictConfig, folder: Path) -> Plan:
    """Check the configuration and turn it into a plan.

    Raises:
        ConfigError: a value that does not fit.
    """
    try:
        typed = OmegaConf.merge(OmegaConf.structured(Train), cfg)
        dataset, name, domain = _dataset(cfg.dataset)
        values: Any = OmegaConf.to_object(typed)
        plain: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    settings: Settings = values.settings
    if settings.use_decimate and not settings.decimate_range > 0:
        raise ConfigError(f"settings.decimate_range must be above 0, not {settings.decimate_range}")
    check_objective(settings.objective)
    arguments = dict(plain["model"])
    return Plan(
        dataset=dataset,
        dataset_name=name,
        domain=domain,
        preprocess=Preprocess(
            step=settings.decimate_range if settings.use_decimate else None,
            lowpass=settings.lowpass,
            max_cases=8 if settings.is_debug else None,
        ),
        network=str(arguments.pop("name", "")),
        arguments=arguments,
        settings=settings,
        trainer=values.trainer,
        tracking=values.tracking,
        report=values.report,
        config=OmegaConf.to_yaml(cfg, resolve=True),
        parameters=_flat(plain),
        folder=folder,
        resume=values.resume is not None,
        init_from=Path(values.init_from).expanduser() if values.init_from else None,
        transfer=values.transfer,
        compare_scratch=values.compare_scratch,
    )


def check_objective(objective: Any) -> tuple[str, ...]:
    """The metrics that a sweep goes by; empty: what training returns.

    Raises:
        ConfigError: not a name or a list of names, or a metric of the test cases.
    """
    names = [] if objective is None else objective if isinstance(objective, list) else [objective]
    if objective == [] or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"settings.objective is the name of a metric or a list of names, not {objective!r}")
    for name in names:
        if name.startswith(("test/", "test_")) or name == "test":
            raise ConfigError(
                f"settings.objective={name}: choosing by test cases makes the test error meaningless, it is then "
                "an error of training; choose a validation metric, for example val/rollout"
            )
        if name.startswith("baseline/"):
            raise ConfigError(
                f"settings.objective={name}: that is an error of the test cases; choose val/rollout"
            )
    return tuple(names)


def _dataset(node: DictConfig) -> tuple[Dataset, str, str]:
    """The dataclass of the data set called ``node.name``, its fields checked, what to call it, and its domain."""
    known = {name: (d.name, schema) for d in domains().values() for name, schema in d.datasets.items()}
    name = str(node.get("name", ""))
    if name not in known:
        raise ConfigError(
            f"no data set is called {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
        )
    domain, schema = known[name]
    dataset: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), node))
    source = getattr(dataset, "path", None)  # a folder's own name says more than "csv"
    return dataset, Path(source).expanduser().resolve().stem if source else name, domain


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def explain(error: Exception) -> ConfigError:
    """What Hydra or OmegaConf has to say, in one line with a suggestion.

    The exceptions nest and span lines; the innermost ones name the key, the outermost ones the override.
    """
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    text = "\n".join(str(e) for e in chain)
    if found := re.search(
        r"(?:Could not override '([^']+)'|[Kk]ey '([^']+)' (?:is )?not in '?(?:struct|[A-Z]\w+))", text
    ):
        key = found[1] or found[2]
        if "not in" in text:
            full = re.search(r"full_key: (\S+)", text)
            key = full[1] if full else key
            hint = did_you_mean(key, [k for k in all_keys() if k != key])  # another network may well have it
            return ConfigError(f"no key is called {key!r}{hint}; `understudy config show` lists them")
    if found := re.search(r"Could not find '([^']+)'", text):
        group, _, choice = found[1].rpartition("/")
        if group == "hydra/launcher" and (extra := LAUNCHERS.get(choice)):
            return ConfigError(f"hydra/launcher={choice} needs a package: pip install {extra}")
        options = re.findall(r"^\t(\S+)$", text, re.M)
        listed = f"; there are {', '.join(options)}" if options else ""
        return ConfigError(
            f"no {group or 'config'} is called {choice!r}{did_you_mean(choice, options)}{listed}"
        )
    if found := re.search(r"Could not override '([^']+)'.\s*No match in the defaults list", text):
        return ConfigError(
            f"no group is called {found[1]!r}{did_you_mean(found[1], GROUPS)}; there are {', '.join(GROUPS)}"
        )
    if found := re.search(r"(Value .*)\n\s*full_key: (\S+)", text):
        return ConfigError(f"{found[2]}: {found[1]}")
    if isinstance(error, OverrideParseException) and "empty choice" in text:
        return ConfigError(f"{error.override}: nothing to choose from")
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{error.override!r} is not KEY=VALUE in Hydra's grammar; quote values with [ ] {{ }} , or ="
        )
    return ConfigError(" ".join(str(error).split()))


LAUNCHERS = {
    "joblib": "'understudy[joblib]'",
    "submitit_slurm": "'understudy[submitit]'",
    "submitit_local": "'understudy[submitit]'",
    "ray": "'understudy[ray]'",
}
GROUPS = ("model", "dataset", "settings", "trainer", "tracking", "report", "experiment")


def all_keys() -> list[str]:
    """Every key of the typed half of the configuration, with the common ones of the open families."""
    typed = {"settings": Settings, "trainer": Trainer, "tracking": Tracking, "report": Report}
    keys = [f"{name}.{leaf.name}" for name, group in typed.items() for leaf in fields(group)]
    running = (
        GlobalHydra.instance().hydra
    )  # a sweep explains mistakes while Hydra runs: it goes on afterwards
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            for model in ("dot", "bt", "dol", "don", "lstm"):
                node = hydra_compose(CONFIG_NAME, overrides=[f"model={model}", "dataset=csv"])
                keys += [f"{g}.{k}" for g in ("model", "dataset") for k in node[g]]
    finally:
        GlobalHydra.instance().hydra = running
    return sorted({*keys, "resume", "init_from", "transfer", "compare_scratch", *GROUPS})
