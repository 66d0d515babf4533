"""The network beside its baselines: the rows of the table on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.report.compare import Cell
from understudy.rna.evaluate import PAIRED_FROM, ProfileEvaluation
from understudy.rna.molecules import CHEMICALS
from understudy.rna.report import texts
from understudy.rna.tallies import Doubles


@dataclass(frozen=True)
class Row:
    """One group of values: a cell for each method, and how many values there are."""

    name: str
    cells: tuple[Cell, ...]
    count: str


@dataclass(frozen=True)
class Block:
    name: str
    note: str
    rows: tuple[Row, ...]


def blocks(methods: Sequence[ProfileEvaluation]) -> list[Block]:
    """Everything, then by nucleotide, pairing, data set and length; the network is the first of ``methods``."""
    first = methods[0]
    n = int(first.overall.count[0])
    everything = [("both chemicals", [float(m.overall.mae[0]) for m in methods], 2 * n)]
    for k, chemical in enumerate(CHEMICALS):
        everything.append((chemical, [float(m.overall.by_chemical[0, k]) for m in methods], n))
    found = [Block("All scored molecules", "", _rows(everything))]
    nucleotides = []
    for g, letter in enumerate(first.by["nucleotide"].labels):
        for k, chemical in enumerate(CHEMICALS):
            values = [float(m.by["nucleotide"].by_chemical[g, k]) for m in methods]
            nucleotides.append((f"{letter}, {chemical}", values, int(first.by["nucleotide"].count[g])))
    found.append(Block("By nucleotide", "", _rows(nucleotides)))
    for kind, title, note in (
        ("pairing", "By pairing", f"paired: probability of {PAIRED_FROM:g} or more"),
        ("data set", "By data set", "both chemicals"),
        ("length", "By length", "both chemicals"),
    ):
        if kind in first.by:
            found.append(Block(title, note, _rows(_groups(methods, kind))))
    return [block for block in found if block.rows]


def _groups(methods: Sequence[ProfileEvaluation], kind: str) -> list[tuple[str, list[float], int]]:
    errors: list[Doubles] = [m.by[kind].mae for m in methods]
    first = methods[0].by[kind]
    return [
        (
            label.replace("-", "–") if kind == "length" else label,
            [float(e[g]) for e in errors],
            2 * int(count),
        )
        for g, (label, count) in enumerate(zip(first.labels, first.count, strict=True))
    ]


def _rows(groups: Sequence[tuple[str, list[float], int]]) -> tuple[Row, ...]:
    kept = [(name, values, count) for name, values, count in groups if count]
    if not kept:
        return ()
    table = np.array([values for _, values, _ in kept])
    several = table.shape[1] > 1
    finite = np.where(np.isfinite(table), table, np.inf)
    best = np.isfinite(table) & (finite == finite.min(axis=1, keepdims=True)) & several
    return tuple(
        Row(
            name,
            tuple(Cell(texts.error(v, 4), bool(best[r, m])) for m, v in enumerate(values)),
            texts.count(count),
        )
        for r, (name, values, count) in enumerate(kept)
    )
