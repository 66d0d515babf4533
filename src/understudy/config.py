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

CONFIG_MODULE, CONFIG_NAME = "understudy.conf", "train"


@dataclass
class Settings:
    """How to train; the names are those of the reference system."""

    is_debug: bool = False  # a few cases, a few batches, everything exercised
    use_decimate: bool = True  # interpolate the cases to a coarser grid
    decimate_range: float = 1.0  # step of that grid, s
    lowpass: float | None = None  # Hz; a zero-phase filter before the coarser grid
    in_len: int = 10  # rows of history that a prediction starts from
    out_len: int = 1  # rows of one prediction
    seed: int = 42
    epochs: int = 500
    batch_size: int = 1024
    lr: float = 0.001
    criterion: str = "mse"  # mse, l1 or smoothl1
    unroll: int = 0  # predictions fed back within a training window
    unroll_epochs: int = 0  # epochs over which that number grows from 0
    noise: float = 0.0  # on the predicted signals of the history, in deviations
    grad_clip: float | None = 1.0  # largest norm of the gradient
    patience: int | None = 50  # epochs without a better validation rollout until training stops
    max_minutes: float | None = None  # ends training in time and keeps the best
    is_save_model: bool = False  # also write lit_model.pth
    mlflow_exp_name: str = "pytorch_lightning_test"
    objective: Any = None  # what a sweep goes by: a logged metric or a list; null: the validation error


@dataclass
class Trainer:
    """Where to train; see Lightning's Trainer for the values."""

    accelerator: str = "auto"
    precision: str = "auto"  # bf16-mixed where the hardware is faster with it (GPU, AMX), else 32-true
    devices: int = 1  # processes of a machine that train together, each on a device of its own
    num_nodes: int = 1  # machines; each runs the command, started by srun or torchrun
    strategy: str = "auto"  # how they train together; auto: ddp


@dataclass
class Tracking:
    """Where runs are recorded."""

    name: str = "mlflow"  # mlflow or none
    uri: str | None = None  # null: MLFLOW_TRACKING_URI, or mlflow.db in the working folder


@dataclass
class Report:
    """What is drawn."""

    figures: bool = True  # a picture for every target signal and an overview of every case
    byproducts: bool = False  # pictures of the byproducts too
    jobs: int | None = None  # worker processes; null: the cores


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
class Split:
    """How to part the cases; see :func:`understudy.core.splits.split_by_case`."""

    val_size: float
    test_size: float
    val_cases: tuple[str, ...]
    test_cases: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A run in plain values: all that is left of the configuration below the edge."""

    dataset: Dataset
    dataset_name: str
    preprocess: Preprocess
    split: Split
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
    tags: Mapping[str, str] = field(default_factory=dict)  # for the tracker
    watcher: Watcher | None = None  # compares this training with others


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
        dataset, name = _dataset(cfg.dataset)
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
        preprocess=Preprocess(
            step=settings.decimate_range if settings.use_decimate else None,
            lowpass=settings.lowpass,
            max_cases=8 if settings.is_debug else None,
        ),
        split=Split(dataset.val_size, dataset.test_size, tuple(dataset.val_cases), tuple(dataset.test_cases)),
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


def _dataset(node: DictConfig) -> tuple[Dataset, str]:
    """The dataclass of the data set called ``node.name``, its fields checked, and what to call it in a report."""
    known = {name: schema for domain in domains().values() for name, schema in domain.datasets.items()}
    name = str(node.get("name", ""))
    if name not in known:
        raise ConfigError(
            f"no data set is called {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
        )
    dataset: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(known[name]), node))
    source = getattr(dataset, "path", None)  # a folder's own name says more than "csv"
    return dataset, Path(source).expanduser().resolve().stem if source else name


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
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        for model in ("dot", "bt", "dol", "don", "lstm"):
            node = hydra_compose(CONFIG_NAME, overrides=[f"model={model}", "dataset=csv"])
            keys += [f"{g}.{k}" for g in ("model", "dataset") for k in node[g]]
    return sorted({*keys, "resume", *GROUPS})
