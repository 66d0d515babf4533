"""``understudy acquire``: which of the candidates to simulate or to probe next, as a table."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

from understudy.core.acquire import VALUES, strategy_of
from understudy.core.bundle import domain_of
from understudy.core.domain import Chosen, domain
from understudy.core.files import atomic_path
from understudy.errors import ConfigError
from understudy.progress import Progress


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Choose, and write a row for each choice, the most wanted first: rank, id and what it was chosen for.

    Raises:
        ConfigError: no run or no candidates, no such strategy, or it lacks what it goes by.
        DataError, ModelError: candidates or runs that cannot be used.
    """
    if len(options.paths) < 2:
        raise ConfigError("acquire takes a RUN, or several, and the CANDIDATES after them")
    strategy_of(options.by)
    if options.n < 1:
        raise ConfigError(f"--n must be at least 1, not {options.n}")
    field = domain(domain_of(Path(options.paths[0])))
    given = {key: getattr(options, key) for key in ("by", "n", "seed", "known", "pairing")}
    if given["pairing"] is not None and field.name != "rna":
        raise ConfigError(f"--pairing means nothing for a run of {field.name.upper()}")
    chosen = field.acquire(options.paths, given, progress)
    text = table(chosen, VALUES[options.by])
    if options.out is None:
        sys.stdout.write(text)
        return
    with atomic_path(Path(options.out)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    progress.say(f"{len(chosen.ids)} candidates in {options.out}")


def table(chosen: Chosen, value: str) -> str:
    """CSV with the columns ``rank``, ``id`` and, where candidates were chosen for something, ``value``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "id", value] if value else ["rank", "id"])
    for rank, (name, number) in enumerate(zip(*chosen, strict=True), 1):
        shown = "" if number != number else f"{number:.5g}"
        writer.writerow([rank, name, shown] if value else [rank, name])
    return text.getvalue()
