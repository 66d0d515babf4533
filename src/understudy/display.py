"""Bars and lines on the terminal, and the same lines in the log of the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

log = logging.getLogger("understudy")


class Terminal:
    """Lines stay, bars go when they are done. Where no terminal is attached there are only lines."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        log.info(line)
        self._console.print(line, markup=False)

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int], None]]:
        with self._bar() as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    @contextmanager
    def training(self) -> Iterator[Callable[[str, int, int], None]]:
        with self._bar() as progress:
            task = progress.add_task("training", total=None)
            yield lambda text, done, total: progress.update(
                task, description=text, completed=done, total=total
            )

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
