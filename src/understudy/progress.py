"""How long work tells that it goes on; what is shown is decided at the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Shows bars and lines to whoever started the work."""

    def say(self, line: str) -> None:
        """A line that stays."""

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A bar while the block runs; the function it gives takes how much is done and how much there is."""

    @contextmanager
    def training(self) -> Iterator[Callable[[str, int, int], None]]:
        """Like :meth:`bar`, for training: the function takes a description, batches done and batches in all."""


class Silent:
    """Shows nothing."""

    def say(self, line: str) -> None:
        return None

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: None

    @contextmanager
    def training(self) -> Iterator[Callable[[str, int, int], None]]:
        yield lambda text, done, total: None


class Watcher(Protocol):
    """Somebody who compares a training with others while it goes on."""

    def report(self, step: int, value: float) -> bool:
        """Takes the validation error of an epoch; True: the training may stop, it is not among the good ones."""


class Pruned(Exception):
    """A training was ended because its :class:`Watcher` had seen enough; not an error."""
