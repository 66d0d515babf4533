"""Whose a folder is, and which cases it holds already: what lets a campaign go on after any kind of end.

While a campaign runs, ``.campaign.jsonl`` has its identity in the first line and a line for every finished case;
when it has ended, ``manifest.json`` says the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from understudy.cae.simulate.manifest import MANIFEST, SPEC, CaseRecord, Manifest
from understudy.errors import ConfigError

if sys.platform != "win32":
    import fcntl

JOURNAL = ".campaign.jsonl"


class Journal:
    """The records of a campaign's finished cases by name; each is on the disk before it counts."""

    def __init__(self, descriptor: int, records: dict[str, CaseRecord]) -> None:
        self._descriptor = descriptor
        self.records = records

    def add(self, record: CaseRecord) -> None:
        self.records[record.name] = record
        _append(self._descriptor, asdict(record))


def _append(descriptor: int, line: dict[str, Any]) -> None:
    os.write(descriptor, (json.dumps(line, ensure_ascii=False) + "\n").encode())
    os.fsync(descriptor)


class Recorded(NamedTuple):
    """What a folder says of its campaign: cases by name, the journal's whole bytes, and whether it has one."""

    records: dict[str, CaseRecord]
    n_bytes: int
    running: bool


def recorded(folder: Path, identity: dict[str, Any], taken: Iterable[str]) -> Recorded:
    """What earlier runs of this campaign left in ``folder``. ``taken`` are patterns of names that it will use.

    Raises:
        ConfigError: the folder is another campaign's, or holds such files that are no campaign's.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; a campaign needs a folder")
    records: dict[str, CaseRecord] = {}
    lines, n_bytes = _lines(folder / JOURNAL)
    if (folder / MANIFEST).exists():
        manifest = Manifest.read(folder)
        _same(folder, manifest.identity, identity)
        records = {case.name: case for case in manifest.cases}
    else:
        cases = _visible(folder, taken)
        if not cases and len(lines) < 2:  # killed before its first case: nothing to keep, nothing to protect
            return Recorded({}, 0, False)
        if not lines:
            raise ConfigError(f"{folder} holds {cases[0]}, which no campaign wrote; choose another folder")
    if lines:
        _same(folder, lines[0], identity)
    for line in lines[1:]:
        with suppress(KeyError, TypeError):  # a damaged line: that case is made again
            record = CaseRecord.from_json(line)
            records[record.name] = record
    return Recorded(records, n_bytes, bool(lines))


@contextmanager
def claimed(folder: Path, identity: dict[str, Any], taken: Iterable[str]) -> Iterator[Journal]:
    """The journal of ``folder``, which is this process's alone while the block runs.

    It is removed when the block ends well: the manifest has everything then.

    Raises:
        ConfigError: as :func:`recorded`; or another process is at work there.
    """
    there = recorded(folder, identity, taken)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        _lock(descriptor, folder)
        os.ftruncate(descriptor, there.n_bytes)  # a line that a kill cut short
        if not there.n_bytes:
            _append(descriptor, identity)
        yield Journal(descriptor, there.records)
        path.unlink()
    finally:
        os.close(descriptor)  # which gives the lock back


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The journal's whole lines, and how many bytes they take; damaged ones are empty."""
    data = path.read_bytes() if path.is_file() else b""
    whole = data.rfind(b"\n") + 1
    lines = []
    for text in data[:whole].splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            line = {}
        lines.append(line if isinstance(line, dict) else {})
    return lines, whole


def _visible(folder: Path, patterns: Iterable[str]) -> list[str]:
    paths = [path for pattern in (*patterns, SPEC) for path in folder.glob(pattern)]
    return sorted(path.name for path in paths if not path.name.startswith("."))


def _same(folder: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    different = next(_differences(theirs, ours), None)
    if different is not None:
        where, there, here = different
        raise ConfigError(
            f"{folder} holds another campaign: {where} is {there} there and {here} here; choose another folder"
        )


def _differences(theirs: Any, ours: Any, where: str = "") -> Iterator[tuple[str, str, str]]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*ours, *(k for k in theirs if k not in ours)]:
            inner = f"{where}.{key}" if where else str(key)
            yield from _differences(theirs.get(key), ours.get(key), inner)
    elif theirs != ours:
        yield where, _short(theirs), _short(ours)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lock(descriptor: int, folder: Path) -> None:
    """Held until the descriptor is closed, by the end of the process at the latest."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{folder}: another process is running this campaign") from error
