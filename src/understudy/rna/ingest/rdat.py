"""RDAT, the text format of the RNA Mapping Database (version 0.3x): what of it holds reactivities to 2A3 and DMS.

A file holds one or more constructs, each begun by ``NAME``; ``SEQUENCE``, ``OFFSET``, ``SEQPOS`` and ``ANNOTATION``
belong to the construct, ``ANNOTATION_DATA:k``, ``REACTIVITY:k``, ``REACTIVITY_ERROR:k`` and ``READS:k`` to row k of
its data. A position ``p`` of ``SEQPOS`` is nucleotide ``p - OFFSET`` of the sequence, counted from 1.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError
from understudy.rna.ingest.summary import LARGEST, Summary, histogram_of, passes, stock_of
from understudy.rna.molecules import Molecules, MoleculeWriter
from understudy.rna.sequences import encode
from understudy.rna.table import CHEMICALS, Floats

_LINE = re.compile(r"([A-Z_]+)(?::(\d+))?\s*(.*)", re.DOTALL)
_POSITION = re.compile(r"([A-Za-z]?)(-?\d+)")


@dataclass
class _Row:
    """A row of data, from its lines."""

    annotations: list[str] = field(default_factory=list)
    reactivity: str = ""
    error: str = ""
    line: int = 0


@dataclass
class _Construct:
    """What is said once for all rows."""

    name: str = ""
    sequence: str = ""
    offset: int = 0
    positions: str = ""
    line: int = 0  # of SEQPOS
    annotations: list[str] = field(default_factory=list)
    rows: dict[int, _Row] = field(default_factory=dict)


@dataclass(frozen=True)
class _Experiment:
    """A row that is understood; arrays are as long as the sequence."""

    where: str
    sequence: str
    chemical: int
    reactivity: Floats
    error: Floats
    signal_to_noise: float
    reads: float


class _BadRow(Exception):
    """Why a row cannot be used."""


class _Foreign(Exception):
    """The row is of another chemical."""


def ingest_rdat(files: Sequence[Path], out: Path, *, on_bad_case: str = "error") -> Summary:
    """Read RDAT files, pair the experiments on a sequence, and write ``out``; every file is a data set.

    The id of a molecule is what the Ribonanza competition would call it: 12 digits of the MD5 of its sequence.
    Where a row does not tell its signal to noise, it is the mean of its values over that of their errors.

    Raises:
        DataError: a file cannot be read or holds nothing of 2A3 or DMS; or a row is bad or stands twice, unless
            ``on_bad_case`` is ``skip``: then it is left out, counted and listed.
    """
    summary = Summary()
    names = tuple(path.name.split(".")[0] for path in files)
    if len(set(names)) < len(names):
        raise DataError("two of the files have the same name, which is that of their data set; rename one")
    found: dict[tuple[int, str], dict[int, _Experiment]] = {}
    for k, path in enumerate(files):
        for experiment in _experiments(path, summary, on_bad_case):
            pair = found.setdefault((k, experiment.sequence), {})
            if experiment.chemical in pair:
                earlier = pair[experiment.chemical].where
                chemical = CHEMICALS[experiment.chemical]
                line = f"{experiment.where}: the {chemical} experiment on this sequence stands in {earlier} already"
                if on_bad_case != "skip":
                    raise DataError(f"{line}; --skip-bad keeps the first")
                summary.duplicates += 1
                summary.name([line])
            else:
                pair[experiment.chemical] = experiment
    if not found:
        known = " or ".join(CHEMICALS)
        raise DataError(f"{', '.join(map(str, files))}: no experiment with {known}{_others(summary)}")
    molecules, present = _molecules(found, names)
    with MoleculeWriter(out) as writer:
        writer.write(molecules)
    summary.histogram = histogram_of(molecules.reactivity)
    summary.stock = stock_of(molecules, present)
    summary.notes.append(
        "reactivities are as the files have them; this program expects about 1 for a reactive one"
    )
    summary.fingerprint = writer.fingerprint
    return summary


def _others(summary: Summary) -> str:
    return f"; {summary.notes[0]}" if summary.notes else ""


def _molecules(
    found: dict[tuple[int, str], dict[int, _Experiment]], names: tuple[str, ...]
) -> tuple[Molecules, NDArray[np.bool_]]:
    m = len(found)
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for _, sequence in found])]).astype(np.int64)
    values = {name: np.full((int(offsets[-1]), 2), np.nan, np.float32) for name in ("reactivity", "error")}
    figures = {name: np.full((m, 2), np.nan, np.float32) for name in ("signal_to_noise", "reads")}
    present = np.zeros((m, 2), bool)
    for i, pair in enumerate(found.values()):
        for k, experiment in pair.items():
            present[i, k] = True
            for name in values:
                values[name][offsets[i] : offsets[i + 1], k] = getattr(experiment, name)
            for name in figures:
                figures[name][i, k] = getattr(experiment, name)
    molecules = Molecules(
        ids=tuple(hashlib.md5(s.encode(), usedforsecurity=False).hexdigest()[:12] for _, s in found),
        offsets=offsets,
        tokens=np.concatenate([encode(s, s) for _, s in found]),
        **values,
        **figures,
        sn_filter=passes(figures["signal_to_noise"], figures["reads"]) & present,
        dataset=np.array([k for k, _ in found], np.int16),
        dataset_names=names,
    )
    return molecules, present


def _experiments(path: Path, summary: Summary, on_bad_case: str) -> Iterator[_Experiment]:
    """All rows of 2A3 and DMS; the others are counted in a note."""
    others: dict[str, int] = {}
    for construct in _constructs(path):
        positions = _positions(path, construct)
        for k, row in construct.rows.items():
            where = f"{path}: line {row.line}"
            try:
                yield _experiment(where, construct, positions, row)
            except _Foreign as other:
                others[str(other)] = others.get(str(other), 0) + 1
            except (_BadRow, DataError) as error:
                line = f"{where}: row {k} of {construct.name or 'the data'}: {error}"
                if on_bad_case != "skip":
                    raise DataError(f"{line}; --skip-bad leaves such rows out") from error
                summary.leave_out([line])
    if others:
        told = ", ".join(f"{n:,} of {name}" for name, n in others.items())
        summary.notes.append(f"{path}: rows of other chemicals are not read: {told}")


def _constructs(path: Path) -> Iterator[_Construct]:
    """
    Raises:
        DataError: the file cannot be read, is no RDAT, or is of a version that is not known.
    """
    construct = _Construct()
    version = ""
    for number, line in _lines(path):
        key, index, rest = line
        if key == "RDAT_VERSION":
            version = rest.strip()
            if not version.startswith("0.3"):
                raise DataError(f"{path}: line {number}: RDAT version {version!r}; known: 0.3x, such as 0.34")
        elif not version:
            break
        elif key == "NAME":
            if construct.rows:
                yield construct
            construct = _Construct(name=rest.strip())
        elif key == "SEQUENCE" and index is None:
            construct.sequence = "".join(rest.split())
        elif key == "OFFSET":
            construct.offset = _whole(path, number, key, rest)
        elif key == "SEQPOS":
            construct.positions, construct.line = rest, number
        elif key == "ANNOTATION":
            construct.annotations = rest.split()
        elif index is not None:
            row = construct.rows.setdefault(index, _Row())
            row.line = row.line or number
            if key == "ANNOTATION_DATA":
                row.annotations = rest.split()
            elif key == "REACTIVITY":
                row.reactivity, row.line = rest, number
            elif key == "REACTIVITY_ERROR":
                row.error = rest
    if not version:
        raise DataError(f"{path}: not an RDAT file: it does not begin with RDAT_VERSION")
    if construct.rows:
        yield construct


def _lines(path: Path) -> Iterator[tuple[int, tuple[str, int | None, str]]]:
    """Line number, key, row number and what follows, of every line that has a key."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
            if packed
            else path.open(encoding="utf-8-sig", errors="replace") as file
        ):
            for number, text in enumerate(file, 1):
                match = _LINE.fullmatch(text.strip())
                if match:
                    yield number, (match[1], int(match[2]) if match[2] else None, match[3])
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut off ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _whole(path: Path, number: int, key: str, text: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise DataError(
            f"{path}: line {number}: {key} is {text.strip()!r}, which is no whole number"
        ) from None


def _positions(path: Path, construct: _Construct) -> NDArray[np.int64]:
    """Nucleotides, from 0, that the columns of data belong to.

    Raises:
        DataError: there are none, one is no position, or the letters beside them say that OFFSET is wrong.
    """
    cells = construct.positions.split()
    if not cells:
        raise DataError(f"{path}: {construct.name or 'the construct'} has no SEQPOS")
    matches = [_POSITION.fullmatch(cell) for cell in cells]
    bad = next((cell for cell, match in zip(cells, matches, strict=True) if not match), None)
    if bad is not None:
        raise DataError(f"{path}: line {construct.line}: {bad!r} in SEQPOS is no position")
    at = np.array([int(match[2]) for match in matches if match]) - construct.offset - 1
    sequence = construct.sequence.upper().replace("T", "U")
    letters = [match[1].upper().replace("T", "U") for match in matches if match]
    named = [
        (c, sequence[p])
        for c, p in zip(letters, at, strict=True)
        if c in "ACGU" and c and 0 <= p < len(sequence)
    ]
    if sum(c != s for c, s in named) > len(named) / 2:
        raise DataError(
            f"{path}: line {construct.line}: most letters of SEQPOS are not those of SEQUENCE: "
            f"OFFSET {construct.offset} does not fit"
        )
    return at


def _experiment(where: str, construct: _Construct, at: NDArray[np.int64], row: _Row) -> _Experiment:
    """
    Raises:
        _Foreign: of another chemical.
        _BadRow: values do not fit the positions or the sequence.
        DataError: the sequence has unknown letters.
    """
    facts = _facts([*construct.annotations, *row.annotations])
    modifier = facts.get("modifier", "no modifier").split(":")[0]
    if modifier not in CHEMICALS:
        raise _Foreign(modifier)
    if (
        "sequence" not in facts
        and "mutation" in facts
        and facts["mutation"].upper() not in ("WT", "WILDTYPE")
    ):
        raise _BadRow(f"mutation {facts['mutation']} without the sequence that it gives")
    sequence = facts.get("sequence", construct.sequence).upper().replace("T", "U")
    encode(sequence, "of this row")
    if at.min() < 0 or at.max() >= len(sequence):
        raise _BadRow(f"SEQPOS and OFFSET point beyond the {len(sequence)} nucleotides of the sequence")
    reactivity = _values(row.reactivity, "REACTIVITY", at, len(sequence))
    error = (
        _values(row.error, "REACTIVITY_ERROR", at, len(sequence))
        if row.error
        else np.full_like(reactivity, np.nan)
    )
    if (np.abs(reactivity) > LARGEST).any():
        raise _BadRow(
            f"a reactivity of {reactivity[np.nanargmax(np.abs(reactivity))]:g}, which the assay cannot give"
        )
    if (error < 0).any():
        raise _BadRow("an error that is negative")
    return _Experiment(
        where,
        sequence,
        CHEMICALS.index(modifier),
        reactivity,
        error,
        _signal_to_noise(facts.get("signal_to_noise"), reactivity, error),
        _number(facts.get("reads")),
    )


def _facts(annotations: Sequence[str]) -> dict[str, str]:
    """``key:value`` pairs; later ones, those of the row, win."""
    return {key: value for key, _, value in (a.partition(":") for a in annotations)}


def _number(text: str | None) -> float:
    try:
        return float(text) if text is not None else float("nan")
    except ValueError:
        return float("nan")


def _signal_to_noise(told: str | None, reactivity: Floats, error: Floats) -> float:
    """``strong:12.3`` or ``12.3``; else by its definition."""
    value = _number(told.rpartition(":")[2]) if told is not None else float("nan")
    both = ~np.isnan(reactivity) & ~np.isnan(error)
    if np.isnan(value) and both.any() and error[both].mean() > 0:
        value = float(reactivity[both].mean() / error[both].mean())
    return value


def _values(text: str, key: str, at: NDArray[np.int64], length: int) -> Floats:
    """``(length,)``, NaN where no column is."""
    cells = text.split()
    if len(cells) != len(at):
        raise _BadRow(f"{key} has {len(cells)} values for the {len(at)} positions of SEQPOS")
    try:
        found = np.array(cells, np.float64)
    except ValueError:
        bad = next(cell for cell in cells if np.isnan(_number(cell)) and cell.lower() != "nan")
        raise _BadRow(f"{key} has {bad!r}, which is no number") from None
    if np.isinf(found).any():
        raise _BadRow(f"{key} has a value that is not finite")
    values = np.full(length, np.nan, np.float32)
    values[at] = found
    return values
