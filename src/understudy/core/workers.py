"""Worker processes that start quickly, know nothing of the program that started them, and may die alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, cast

from understudy.errors import DataError

_READY = "ready"
_LEAVE_S = 5.0  # how long a worker may take to clean up after its last task


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


class Context(SpawnContext):
    """Makes such processes; for pools of :mod:`concurrent.futures` and for :class:`Worker`."""

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


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while a process is started: it inherits that, and is not interrupted before it settles."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which starting would do otherwise, and which lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settle(scratch: Path | None = None) -> None:
    """In a worker: leave Ctrl-C to the parent, and do not outlive it; ``scratch`` goes with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, args=(scratch,), daemon=True).start()


def _follow_parent(scratch: Path | None) -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)


class WorkerDied(Exception):
    """The process ended in the middle of a task; the message says how."""


class Worker:
    """One process that applies ``task`` to what it is given, one thing at a time.

    Unlike a pool of :mod:`concurrent.futures` it can be killed at once, and its death concerns nobody else.

    Args:
        task: a picklable callable; it stays in the process, so that what it keeps serves the next call too.
        scratch: folder of its temporary files, which a process that dies cannot remove itself.
    """

    def __init__(self, task: Callable[[Any], Any], scratch: Path) -> None:
        self._connection, theirs = Context().Pipe()
        self._ready = False
        self._process = _Process(target=_serve, args=(theirs, task, scratch), daemon=True)
        with _no_interrupts():
            self._process.start()
        theirs.close()  # the worker's death then closes the pipe

    @property
    def alive(self) -> bool:
        """Whether it can be given another task."""
        return self._process.exitcode is None

    def send(self, argument: Any) -> None:
        with suppress(OSError):  # dead already: receive tells
            self._connection.send(argument)

    def receive(self) -> tuple[bool, Any]:
        """``(True, what the task returned)``; ``(False, None)`` for the sign that the process has started.

        Raises:
            WorkerDied: it ended in the middle of a task.
            DataError: it ended before it could begin.
            Exception: what the task raised.
        """
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            how = _ending(self._process.exitcode)
            if not self._ready:
                raise DataError(f"a worker process could not start: {how}") from None
            raise WorkerDied(f"the process died: {how}") from None
        if kind == _READY:
            self._ready = True
            return False, None
        if isinstance(value, BaseException):
            raise value
        return True, value

    def leave(self) -> None:
        """Let it end by itself, which removes its temporary files, but not wait for ever."""
        self._connection.close()
        self._process.join(_LEAVE_S)
        self.kill()

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()


def first_of(workers: Sequence[Worker]) -> list[Worker]:
    """Wait until at least one has something to :meth:`Worker.receive`, which may be its death."""
    by_connection = {worker._connection: worker for worker in workers}
    return [by_connection[cast(Connection, connection)] for connection in wait(list(by_connection))]


def _ending(status: int | None) -> str:
    if status is None or status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def _serve(connection: Connection, task: Callable[[Any], Any], scratch: Path) -> None:
    settle(scratch)
    tempfile.tempdir = str(scratch)
    connection.send((_READY, None))
    while True:
        try:
            argument = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = task(argument)
        except Exception as error:
            answer = error
        connection.send(("done", answer))
