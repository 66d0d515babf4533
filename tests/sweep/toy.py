"""A sweep through Hydra's real machinery whose trials cost nothing: `python toy.py -m 'settings.lr=interval(…)'`.

The value of a trial is ``(log10(lr) + 3)^2 + noise`` and falls to it over ``settings.epochs`` epochs. What else a
trial does is said by the configuration: ``settings.seed=13`` fails, ``settings.seed=666`` writes its process
to the fifo in ``TOY_FIFO`` and then waits for ever; ``settings.seed=667`` does so the first time only,
``settings.seed=668`` too, and then goes on when somebody closes the fifo ``TOY_FIFO.go``.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from understudy import cli
from understudy.config import Plan, build
from understudy.errors import DataError
from understudy.progress import Pruned
from understudy.sweep.job import run_job


def execute(plan: Plan) -> float | list[float]:
    s = plan.settings
    (plan.folder / "started").write_text(str(os.getpid()))
    if s.seed == 13:
        raise DataError("an unlucky number")
    if s.seed == 666:
        _wait_for_ever()
    if s.seed == 667 and not (flag := Path(os.environ["TOY_FIFO"]).with_suffix(".once")).exists():
        flag.touch()  # only the first time
        _wait_for_ever()
    if s.seed == 668 and not (flag := Path(os.environ["TOY_FIFO"]).with_suffix(".held")).exists():
        flag.touch()
        with open(os.environ["TOY_FIFO"], "w") as fifo:
            fifo.write(f"{os.getpid()}\n")
        with open(os.environ["TOY_FIFO"] + ".go") as fifo:
            fifo.read()
    target = (math.log10(s.lr) + 3) ** 2 + s.noise
    for epoch in range(s.epochs):
        value = target + 10.0 / (epoch + 1)
        (plan.folder / "epochs").write_text(str(epoch + 1))
        if plan.watcher is not None and plan.watcher.report(epoch, value):
            raise Pruned(f"pruned after epoch {epoch + 1}")
    return target if s.objective is None else [target, s.noise]


def _wait_for_ever() -> None:
    with open(os.environ["TOY_FIFO"], "w") as fifo:
        fifo.write(f"{os.getpid()}\n")
    while True:
        signal.pause()


@hydra.main(config_path="pkg://understudy.conf", config_name="train", version_base="1.3")
def job(cfg: DictConfig) -> Any:
    plan = build(cfg, Path(HydraConfig.get().runtime.output_dir))
    assert HydraConfig.get().mode is RunMode.MULTIRUN
    return run_job(plan, HydraConfig.get().sweeper, execute)


def main() -> None:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from understudy.config import explain

    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error


if __name__ == "__main__":
    cli.guarded(main, debug="--debug" in sys.argv)
