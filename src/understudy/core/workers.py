"""Worker processes that start quickly and know nothing of the program that started them.

For ``concurrent.futures.ProcessPoolExecutor(n, mp_context=SpawnQuietly(), initializer=settle)``. Processes are
spawned, never forked: a fork of a program whose libraries run threads may hang.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, cast

__all__ = ["SpawnQuietly", "n_cores", "settle"]


def n_cores() -> int:
    """The cores that this process may use, which in a container are fewer than those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Process(SpawnProcess):
    """A spawned process that does not run the main script of its parent again.

    Python imports that script into every spawned process, for functions defined in it. Ours are not, the
    script may have no ``__name__`` guard, and it probably imports torch, which takes seconds.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _nameless_main():
            return cast(Any, SpawnProcess)._Popen(process_obj)


class SpawnQuietly(SpawnContext):
    """Starts processes that leave the main script of their parent alone."""

    Process = _Process


@contextmanager
def _nameless_main() -> Iterator[None]:
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {key: vars(main)[key] for key in ("__spec__", "__file__") if key in vars(main)}
    vars(main)["__spec__"] = None
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)


def settle() -> None:
    """In a worker: leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
