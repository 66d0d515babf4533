"""The best trial as an experiment that anybody can run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from understudy.core.files import write_text

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

# What decides the result. Where it is recorded and what is drawn stays with whoever runs it.
_PARTS = ("dataset", "model", "settings", "trainer")


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The best trial; with several objectives all that nothing beats, the most balanced one first."""
    complete = [t for t in study.get_trials(deepcopy=False) if t.values and t.state.name == "COMPLETE"]
    if not complete:
        return []
    if len(study.directions) == 1:
        return [study.best_trial]
    front = study.best_trials
    signs = [1.0 if d.name == "MINIMIZE" else -1.0 for d in study.directions]
    points = [[s * v for s, v in zip(signs, t.values, strict=True)] for t in front]
    low = [min(column) for column in zip(*points, strict=True)]
    width = [(max(column) - min(column)) or 1.0 for column in zip(*points, strict=True)]

    def distance(i: int) -> float:
        return sum(float((p - a) / w) ** 2 for p, a, w in zip(points[i], low, width, strict=True))

    return [front[i] for i in sorted(range(len(front)), key=distance)]


def write_winner(path: Path, config: DictConfig, trial: FrozenTrial, study_name: str, remark: str) -> None:
    """Write the configuration of ``trial`` to ``path``, an experiment of Hydra's tree.

    All values that decide the result stand in it, so that it gives the same one when a default has changed.
    """
    choices: Mapping[str, Any] = config.hydra.runtime.choices
    named = [(part, choices.get(part)) for part in _PARTS]
    defaults = [
        {f"override /{part}": str(choice)} for part, choice in named if choice not in (None, "default")
    ]
    values = {
        part: OmegaConf.to_container(config[part], resolve=True)
        for part in _PARTS
        if config.get(part) is not None
    }
    swept = [f"#   {key.lstrip('+')} = {value}" for key, value in trial.params.items()]
    head = [
        "# @package _global_",
        f"# Trial {trial.number} of the sweep {study_name}: {remark}.",
        "# It was chosen by validation cases. What was searched:",
        *swept,
        "# Run it again:",
        f"#   understudy train --config-dir {path.parent.parent} experiment={path.stem}",
    ]
    body = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults, **values}))
    write_text(path, "\n".join(head) + "\n" + body)


def write_winners(
    folder: Path, study: optuna.Study, trials: Sequence[FrozenTrial], compose: Any, names: Sequence[str]
) -> list[Path]:
    """``<study>_best.yaml`` for the first trial and ``<study>_best_<number>.yaml`` for the others of a front."""
    paths = []
    for i, trial in enumerate(trials[:20]):
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in study.study_name)
        path = folder / "experiment" / f"{safe}_best{f'_{trial.number}' if i else ''}.yaml"
        remark = ", ".join(f"{name} {value:.6g}" for name, value in zip(names, trial.values, strict=True))
        write_winner(path, compose(trial.params), trial, study.study_name, remark)
        paths.append(path)
    return paths
