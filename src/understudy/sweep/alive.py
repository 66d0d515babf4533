"""Which process a trial belongs to, and whether that process still lives."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

OWNER, SIGN = "understudy:owner", "understudy:sign"


def owner() -> dict[str, Any]:
    """This process: host, boot, number and start time, so that a number that is used again is no sign of life."""
    pid = os.getpid()
    return {"host": platform.node(), "boot": _boot(), "pid": pid, "started": _started(pid)}


def lives(attributes: Mapping[str, Any], stale_after: float, now: Callable[[], float] = time.time) -> bool:
    """Whether the process that a trial's attributes name still lives.

    On this machine the kernel knows. Of another machine only its last sign of life is known.
    """
    who = attributes.get(OWNER)
    here = owner()
    if who and who["host"] == here["host"] and who["boot"] == here["boot"]:
        return bool(_started(who["pid"]) == who["started"])
    if who and who["host"] == here["host"]:
        return False  # the machine was started again since
    return now() - float(attributes.get(SIGN, 0.0)) < stale_after


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _started(pid: int) -> str:
    """When the process was started, in the kernel's ticks; empty where there is none (any more)."""
    if not Path("/proc/self/stat").exists():  # not Linux: a process with this number has to do
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "lives"
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]  # a zombie has ended; its parent just has not noticed


class Heart:
    """Gives a sign of life every ``every`` seconds while the block runs, in a thread of its own.

    Signs that cannot be written are left out: a database that is away for a minute must not end a training.
    """

    def __init__(self, sign: Callable[[float], None], every: float) -> None:
        self._sign = sign
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sign of life", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            with suppress(Exception):
                self._sign(time.time())
