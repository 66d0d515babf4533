"""Several processes that train one network: which one this is, and starting those of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from understudy.errors import ConfigError, ModelError


class Followed(Exception):
    """This process has helped to train; the first one has the result and does all that comes after."""


def is_launched() -> bool:
    """Whether something else (srun, torchrun, the first process) has started the processes of this training."""
    in_slurm = int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ
    return "LOCAL_RANK" in os.environ or in_slurm


def rank() -> int:
    """The number of this process among those that train together; 0: the first, or the only one."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


@contextmanager
def helpers(command: Sequence[str], text: str, devices: int, num_nodes: int) -> Iterator[None]:
    """The other processes of this machine while the block runs; nothing where they are there already.

    Args:
        command: starts one; it reads ``text`` from its standard input.

    Raises:
        ConfigError: there are to be several machines, and nothing has started processes on them.
        ModelError: one of them failed; its own message stands above.
    """
    if devices * num_nodes == 1 or is_launched():
        yield
        return
    if num_nodes > 1:
        raise ConfigError(
            f"trainer.num_nodes={num_nodes}: start the command on every node, with srun or torchrun; "
            "see docs/how-to/cluster.md"
        )
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    before = {name: os.environ.get(name) for name in (*shared, "LOCAL_RANK")}
    started: list[subprocess.Popen[str]] = []
    try:
        for number in range(1, devices):
            environment = {**os.environ, **shared, "LOCAL_RANK": str(number)}
            process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)
            started.append(process)
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.close()
        os.environ.update(shared, LOCAL_RANK="0")
        yield
        if any(process.wait(timeout=300) for process in started):
            raise ModelError("a process of trainer=ddp failed; its message stands above")
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def python_module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
