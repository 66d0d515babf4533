"""The files of a report that programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.core.files import atomic_path, write_json, write_text
from understudy.report.numbers import finite_or_none
from understudy.rna.evaluate import ProfileEvaluation
from understudy.rna.molecules import ALPHABET, CHEMICALS
from understudy.rna.tallies import Breakdown, Calibration

_CHUNK = 4096  # molecules of a row group
_DECIMALS = 5  # of predictions: what is noise does not compress


def write_metrics(path: Path, evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation]) -> Path:
    """Every figure of the network and its baselines, as strict JSON."""
    write_json(path, {"model": _metrics(evaluation), "baselines": [_metrics(b) for b in baselines]})
    return path


def _metrics(e: ProfileEvaluation) -> dict[str, Any]:
    return {
        "name": e.name,
        "mae": finite_or_none(e.mae),
        **{c: finite_or_none(v) for c, v in zip(CHEMICALS, e.overall.by_chemical[0], strict=True)},
        "molecules": len(e.index),
        "scored_molecules": e.n_scored,
        "nucleotides": int(e.overall.count[0]),
        "seconds_per_molecule": finite_or_none(e.seconds_per_molecule),
        "by": {kind.replace(" ", "_"): _breakdown(found) for kind, found in e.by.items()},
        "predicted_error": {
            c: found and _calibration(found) for c, found in zip(CHEMICALS, e.calibration, strict=True)
        },
        "intervals": _intervals(e),
    }


def _intervals(e: ProfileEvaluation) -> dict[str, Any] | None:
    """By asked coverage, chemical and nucleotide: the share that the intervals hold, and their mean width."""
    if e.intervals is None:
        return None
    table: dict[str, Any] = {}
    for asked in e.intervals.coverages:
        if (found := e.held(asked)) is None:
            continue
        table[f"{asked:g}"] = {
            chemical: {
                name: {
                    "coverage": finite_or_none(found.coverage[g, c]),
                    "width": finite_or_none(found.width[g, c]),
                }
                for g, name in enumerate([*ALPHABET, "all"])
            }
            for c, chemical in enumerate(CHEMICALS)
        }
    return table


def _breakdown(found: Breakdown) -> dict[str, Any]:
    rows = zip(found.labels, found.mae, found.by_chemical, found.count, strict=True)
    return {
        label: {
            "mae": finite_or_none(pooled),
            **{c: finite_or_none(v) for c, v in zip(CHEMICALS, values, strict=True)},
            "nucleotides": int(count),
        }
        for label, pooled, values, count in rows
        if count
    }


def _calibration(found: Calibration) -> dict[str, Any]:
    return {
        "within_one_predicted_error": finite_or_none(found.within),
        "correlation_with_reported": finite_or_none(found.correlation),
        "bins": [
            {"predicted": float(p), "reported": float(r), "residual": float(a), "nucleotides": int(n)}
            for p, r, a, n in zip(found.predicted, found.reported, found.residual, found.count, strict=True)
        ],
    }


def write_losses(folder: Path, evaluation: ProfileEvaluation) -> list[Path]:
    """``loss_<chemical>.csv``: molecules and their errors, the best first, those that do not count last."""
    written = []
    molecules = evaluation.molecules
    for k, chemical in enumerate(CHEMICALS):
        values = evaluation.molecule.by_chemical[:, k]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["sequence_id", "dataset_name", "value"])
        for row in np.argsort(values, kind="stable"):  # numpy sorts NaN to the end
            m = int(evaluation.index[row])
            value = "" if np.isnan(values[row]) else repr(float(values[row]))
            writer.writerow([molecules.ids[m], molecules.dataset_names[molecules.dataset[m]], value])
        written.append(folder / f"loss_{chemical}.csv")
        write_text(written[-1], text.getvalue())
    return written


def write_profiles(path: Path, evaluation: ProfileEvaluation) -> Path:
    """``profiles.parquet``: a row a nucleotide, measured and predicted values beside one another.

    Measured values are as they were measured, not clipped; what was not measured or not predicted is null.
    ``counted`` says whether the nucleotide counts for the official figure.
    """
    import pyarrow.parquet as pq

    n = len(evaluation.index)
    first = _profiles(evaluation, 0, min(_CHUNK, n))
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, first.schema, compression="zstd") as out:
        out.write_table(first)
        for start in range(_CHUNK, n, _CHUNK):
            out.write_table(_profiles(evaluation, start, min(start + _CHUNK, n)))
    return path


def _profiles(e: ProfileEvaluation, first: int, last: int) -> Any:
    import pyarrow as pa

    from understudy.rna.features import rows_of

    molecules, which = e.molecules, e.index[first:last]
    source = rows_of(molecules.offsets, which)
    lengths = np.diff(e.offsets[first : last + 1])
    own = slice(int(e.offsets[first]), int(e.offsets[last]))
    begin = np.repeat(molecules.offsets[which], lengths)
    molecule = np.repeat(np.arange(len(which)), lengths)

    def named(names: Sequence[str], at: Any) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(at, pa.int32()), pa.array(names)).cast(pa.string())

    columns: dict[str, Any] = {
        "sequence_id": named([molecules.ids[m] for m in which], molecule),
        "dataset_name": named(list(molecules.dataset_names), molecules.dataset[which][molecule]),
        "position": pa.array((source - begin + 1).astype(np.int32)),
        "nucleotide": named(list(ALPHABET), molecules.tokens[source]),
        "counted": pa.array(e.counted[own]),
    }
    for k, chemical in enumerate(CHEMICALS):
        columns |= {
            f"{chemical}_measured": _column(molecules.reactivity[source, k]),
            f"{chemical}_measured_error": _column(molecules.error[source, k]),
            f"{chemical}_predicted": _column(e.prediction[own, k]),
            f"{chemical}_predicted_error": _column(e.prediction[own, 2 + k]),
        }
    if e.pairing is not None:
        columns["pairing_probability"] = _column(e.pairing[own, 0])
    return pa.table(columns)


def _column(values: Any) -> Any:
    import pyarrow as pa

    return pa.array(np.round(np.asarray(values, np.float32), _DECIMALS), from_pandas=True)
