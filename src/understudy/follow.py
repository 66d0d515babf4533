"""A process that helps another one to train: ``python -m understudy.follow FOLDER < config.yaml``.

It does what the first process does up to the end of training, and shows and records nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from understudy.config import Plan
from understudy.progress import Silent
from understudy.ranks import Followed, helpers, python_module, rank


def world(plan: Plan) -> int:
    """How many processes train the network of this plan."""
    return plan.trainer.devices * plan.trainer.num_nodes


def is_follower(plan: Plan) -> bool:
    """Whether another process is the first one of this training."""
    return world(plan) > 1 and rank() > 0


@contextmanager
def followers(plan: Plan) -> Iterator[None]:
    """The helping processes of this machine, while the block runs.

    Raises:
        ConfigError: several machines without anything that has started processes there.
        ModelError: one of them failed.
    """
    if world(plan) == 1 or is_follower(plan):
        yield
        return
    command = python_module("understudy.follow", str(plan.folder))
    with helpers(command, plan.config, plan.trainer.devices, plan.trainer.num_nodes):
        yield


def follow(plan: Plan) -> float:
    """Help to train; there is no result here."""
    from understudy.run import execute

    if world(plan) > 1:
        with suppress(Followed):
            execute(replace(plan, tracking=replace(plan.tracking, name="none"), watcher=None), Silent())
    return float("inf")


def main(folder: str) -> None:
    from omegaconf import DictConfig, OmegaConf

    from understudy.config import build

    config = OmegaConf.create(sys.stdin.read())
    assert isinstance(config, DictConfig)
    follow(build(config, Path(folder)))


if __name__ == "__main__":
    from understudy.cli import guarded

    guarded(lambda: main(sys.argv[1]), debug=False)
