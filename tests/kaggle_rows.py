"""Files in the competition's format, as a test wants them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

POSITIONS = 8
METADATA = (
    "sequence_id",
    "sequence",
    "experiment_type",
    "dataset_name",
    "reads",
    "signal_to_noise",
    "SN_filter",
)


def header(positions: int = POSITIONS) -> list[str]:
    values = [f"{kind}_{p + 1:04d}" for kind in ("reactivity", "reactivity_error") for p in range(positions)]
    return [*METADATA, *values]


def experiment(
    name: str,
    sequence: str = "GACUGACU",
    chemical: str = "2A3",
    dataset: str = "lib",
    *,
    reads: object = 500,
    signal_to_noise: object = 2.5,
    sn_filter: object = 1,
    reactivity: Sequence[object] | None = None,
    error: Sequence[object] | None = None,
    positions: int = POSITIONS,
) -> list[str]:
    """A row as its cells; values that are not given are made of the name and the position."""
    n = min(len(sequence), positions)
    seed = sum(map(ord, name + chemical))
    made = [f"{(seed * 7 + p * 13) % 100 / 100:.3f}" for p in range(n)]
    values = [*(made if reactivity is None else reactivity)]
    errors = [*(["0.1"] * n if error is None else error)]
    cells: list[Any] = [
        name,
        sequence,
        f"{chemical}_MaP",
        f"{dataset}_{chemical}",
        reads,
        signal_to_noise,
        sn_filter,
    ]
    for column in (values, errors):
        cells += [*column, *[""] * (positions - len(column))]
    return [str(c) for c in cells]


def pair(name: str, sequence: str = "GACUGACU", dataset: str = "lib", **known: Any) -> list[list[str]]:
    return [experiment(name, sequence, chemical, dataset, **known) for chemical in ("2A3", "DMS")]


def write(path: Path, rows: Sequence[Sequence[str]], positions: int = POSITIONS, *, end: str = "\n") -> Path:
    """As CSV, gzip where the name says so."""
    text = "".join(",".join(row) + end for row in [header(positions), *rows]).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path
