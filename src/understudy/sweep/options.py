"""What ``hydra.sweeper.*`` asks for, checked before anything else happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from understudy.errors import ConfigError, did_you_mean

DIRECTIONS = ("minimize", "maximize")
DEFAULT_TRIALS = 20


@dataclass(frozen=True)
class SweepOptions:
    """The values of ``conf/hydra/sweeper/understudy.yaml``.

    Args:
        n_trials: how many trials of the study end by themselves; None: all combinations where they can be
            counted and no sampler is named, else 20.
        n_jobs: trials launched together; None: as many as the launcher runs at once.
        direction: one, or one for each objective.
        storage: ``sqlite:///FILE``, ``postgresql://…``, ``journal:///FILE``; None: a file below ``sweeps/``.
        study_name: None: made of what is swept, so that the same command finds it again.
        params: what is swept where the command line says nothing else.
        sampler, pruner: ``name`` and the arguments of Optuna's class.
        repeat_died: run a trial whose process died once more with the same parameters.
        stale_after: seconds without a sign of life after which a trial on another machine counts as dead.

    Raises:
        ConfigError: a value out of range.
    """

    n_trials: int | None
    n_jobs: int | None
    direction: tuple[str, ...]
    storage: str | None
    study_name: str | None
    params: Mapping[str, str]
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    repeat_died: bool
    stale_after: float

    def __post_init__(self) -> None:
        for key in ("n_trials", "n_jobs"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"hydra.sweeper.{key} must be a whole number above 0, not {value!r}")
        for direction in self.direction:
            if direction not in DIRECTIONS:
                raise ConfigError(
                    f"hydra.sweeper.direction is minimize or maximize, not {direction!r}"
                    f"{did_you_mean(str(direction), DIRECTIONS)}"
                )
        if not isinstance(self.repeat_died, bool):
            raise ConfigError(f"hydra.sweeper.repeat_died is true or false, not {self.repeat_died!r}")
        if not isinstance(self.stale_after, (int, float)) or not self.stale_after > 0:
            raise ConfigError(f"hydra.sweeper.stale_after is a number of seconds, not {self.stale_after!r}")


def options_of(values: Mapping[str, Any]) -> SweepOptions:
    """From the keys that Hydra hands to the sweeper.

    Raises:
        ConfigError: a value out of range.
    """
    plain: dict[str, Any] = {
        k: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v
        for k, v in values.items()
        if not str(k).startswith("_")
    }
    direction = plain["direction"]
    listed: Sequence[Any] = direction if isinstance(direction, list) else [direction]
    params = plain["params"] or {}
    return SweepOptions(
        **{
            **plain,
            "direction": tuple(str(d) for d in listed),
            "params": {str(k): str(v) for k, v in params.items()},
            "sampler": plain["sampler"] or {},
            "pruner": plain["pruner"] or {},
        }
    )


def check_objectives(objective: str | Sequence[str] | None, options: SweepOptions) -> tuple[str, ...]:
    """The names of the objectives; empty: the error that training returns.

    Raises:
        ConfigError: their number and that of the directions differ, or a pruner was asked for several.
    """
    names = () if objective is None else (objective,) if isinstance(objective, str) else tuple(objective)
    count, given = max(len(names), 1), len(options.direction)
    if count != given:
        asked = f"settings.objective names {count}" if names else "the default objective is one"
        example = ",".join([*options.direction, *["minimize"] * count][:count])
        raise ConfigError(
            f"hydra.sweeper.direction has {given} entr{'y' if given == 1 else 'ies'}, but {asked}; "
            f"for example hydra.sweeper.direction=[{example}]"
        )
    if count > 1 and options.pruner.get("name", "none") != "none":
        raise ConfigError(
            "hydra/sweeper/pruner needs one objective; with several use hydra/sweeper/pruner=none"
        )
    return names
