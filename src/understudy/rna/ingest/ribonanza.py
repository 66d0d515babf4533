"""From the competition's CSV, a row an experiment, to a Parquet file, a row a molecule, in little memory.

Partners may be half a million rows apart. Everything but the values of a row stays in memory; the values go to
temporary files as they are read and come back when all rows have been paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.errors import DataError
from understudy.rna.ingest.join import Joined, Rows, join
from understudy.rna.ingest.rows import Part, names_of, parts
from understudy.rna.ingest.spill import Spill
from understudy.rna.ingest.summary import LISTED, Stock, Summary
from understudy.rna.molecules import MoleculeWriter
from understudy.rna.table import CHEMICALS, Molecules

OnProgress = Callable[[int, int], None]

_MOLECULES_A_STEP = 4096


def ingest_ribonanza(
    files: Sequence[Path],
    out: Path,
    *,
    on_bad_case: str = "error",
    on_progress: OnProgress = lambda done, total: None,
    on_counted: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Read ``train_data.csv`` or what has its columns, check it, pair the experiments and write ``out``.

    Args:
        files: CSV, gzip or not; they are read as if they were one.
        out: the Parquet file, replaced once the new one is whole.
        on_bad_case: ``error``: the first bad row ends it; ``skip``: bad rows are left out, counted and listed.
        on_progress: told thousandths of the work.
        on_counted: given the summary once all rows are read and paired, before ``out`` is written.

    Raises:
        DataError: a file cannot be read, columns are missing, a row is bad, or no row is good.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    summary = Summary()
    with Spill(out.parent, {"tokens": np.uint8, "reactivity": np.float32, "error": np.float32}) as spill:
        rows, names = _collect(files, spill, summary, on_bad_case, lambda x: on_progress(int(600 * x), 1000))
        joined = join(rows)
        _contradictions(files, rows, names, joined, summary, on_bad_case)
        summary.stock = _stock(rows, names, joined)
        on_counted(summary)
        _write(out, spill, rows, names, joined, summary, lambda x: on_progress(int(600 + 400 * x), 1000))
    return summary


def _collect(
    files: Sequence[Path],
    spill: Spill,
    summary: Summary,
    on_bad_case: str,
    on_progress: Callable[[float], None],
) -> tuple[Rows, list[str]]:
    """All good rows, their values in the spill, and the names of the data sets."""
    sizes = [path.stat().st_size if path.exists() else 0 for path in files]
    found: list[tuple[int, Part]] = []
    datasets: list[NDArray[np.int16]] = []
    starts: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for k, path in enumerate(files):
        for part in parts(path):
            if part.bad and on_bad_case != "skip":
                raise DataError(f"{part.bad[0]}; --skip-bad leaves such rows out")
            summary.leave_out(part.bad)
            summary.histogram += part.histogram
            starts.append(part.rows["at"] + spill.length)
            datasets.append(_numbered(part.datasets, names))
            spill.append(tokens=part.tokens, reactivity=part.reactivity, error=part.error)
            found.append((k, part.without_values()))
            on_progress((sum(sizes[:k]) + part.end) / max(1, sum(sizes)))
    return _rows(found, np.concatenate(datasets), np.concatenate(starts), files), list(names)


def _numbered(datasets: pa.DictionaryArray, names: dict[str, int]) -> NDArray[np.int16]:
    """(R,) numbers of the data sets; new names join ``names``."""
    numbers = [names.setdefault(name, len(names)) for name in names_of(datasets.dictionary.to_pylist())]
    if len(names) > np.iinfo(np.int16).max:
        raise DataError(
            f"more than {len(names) - 1} different values of dataset_name: is this the right column?"
        )
    taken: NDArray[np.int16] = np.array(numbers, np.int16)[datasets.indices.to_numpy()]
    return taken


def _rows(
    found: Sequence[tuple[int, Part]],
    dataset: NDArray[np.int16],
    at: NDArray[np.int64],
    files: Sequence[Path],
) -> Rows:
    if len(dataset) == 0:
        raise DataError(f"{', '.join(map(str, files))}: no row with data")

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([part.rows[name] for _, part in found])

    return Rows(
        ids=pa.concat_arrays([part.ids for _, part in found]),
        dataset=dataset,
        at=at,
        file=np.concatenate([np.full(len(part.rows), k, np.int16) for k, part in found]),
        line=np.concatenate([part.lines for _, part in found]),
        **{
            name: column(name)
            for name in (
                "chemical",
                "sequence_hash",
                "length",
                "measured",
                "signal_to_noise",
                "reads",
                "sn_filter",
            )
        },
    )


def _contradictions(
    files: Sequence[Path],
    rows: Rows,
    names: Sequence[str],
    joined: Joined,
    summary: Summary,
    on_bad_case: str,
) -> None:
    """
    Raises:
        DataError: an experiment stands twice, or an id has two sequences, and such rows are not to be left out.
    """

    def place(row: int) -> str:
        return f"{files[rows.file[row]]}: line {rows.line[row]}"

    def why(row: int, other: int, twice: bool) -> str:
        name = rows.ids[row].as_py()
        earlier = f"line {rows.line[other]}"
        if rows.file[other] != rows.file[row]:
            earlier += f" of {files[rows.file[other]]}"
        if not twice:
            return f"{place(row)}: {name} has another sequence than in {earlier}"
        chemical, dataset = CHEMICALS[rows.chemical[row]], names[rows.dataset[row]]
        return f"{place(row)}: the {chemical} experiment on {name} in {dataset} stands in {earlier} already"

    contradicting = [
        *((*pair, False) for pair in joined.other_sequence),
        *((*pair, True) for pair in joined.twice),
    ]
    contradicting.sort()
    if contradicting and on_bad_case != "skip":
        raise DataError(f"{why(*contradicting[0])}; --skip-bad leaves such rows out")
    summary.duplicates, summary.other_sequence = len(joined.twice), len(joined.other_sequence)
    summary.name([why(*found) for found in contradicting[:LISTED]])


def _both(joined: Joined, values: NDArray[Any], absent: float) -> NDArray[Any]:
    """(M, 2) of what is known of each row."""
    return np.where(joined.row >= 0, values[joined.row], np.array(absent, values.dtype))


def _stock(rows: Rows, names: Sequence[str], joined: Joined) -> Stock:
    one = joined.any_row
    return Stock(
        lengths=rows.length[one].astype(np.int64),
        sequence=rows.sequence_hash[one],
        dataset=rows.dataset[one],
        dataset_names=names,
        present=joined.row >= 0,
        measured=_both(joined, rows.measured, 0).astype(np.int64),
        signal_to_noise=_both(joined, rows.signal_to_noise, np.nan),
        reads=_both(joined, rows.reads, np.nan),
        sn_filter=_both(joined, rows.sn_filter, False),
    )


def _write(
    out: Path,
    spill: Spill,
    rows: Rows,
    names: Sequence[str],
    joined: Joined,
    summary: Summary,
    on_progress: Callable[[float], None],
) -> None:
    """A row a molecule, in steps."""
    n = len(joined.row)
    with MoleculeWriter(out) as writer:
        for first in range(0, n, _MOLECULES_A_STEP):
            writer.write(_molecules(spill, rows, names, joined, slice(first, first + _MOLECULES_A_STEP)))
            on_progress(min(1.0, (first + _MOLECULES_A_STEP) / n))
    summary.fingerprint = writer.fingerprint


def _molecules(spill: Spill, rows: Rows, names: Sequence[str], joined: Joined, which: slice) -> Molecules:
    joined = Joined(joined.row[which], joined.twice, joined.other_sequence)
    row, one = joined.row, joined.any_row
    lengths = rows.length[one].astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    # A chemical's values lie together, as they come and as they are written.
    pair = {
        name: np.empty((len(CHEMICALS), int(offsets[-1])), np.float32) for name in ("reactivity", "error")
    }
    for k in range(len(CHEMICALS)):
        there = row[:, k] >= 0
        for name, values in pair.items():
            if there.all():
                spill.gather(name, rows.at[row[:, k]], lengths, out=values[k])
            else:
                values[k] = np.nan
                values[k, np.repeat(there, lengths)] = spill.gather(
                    name, rows.at[row[there, k]], lengths[there]
                )
    return Molecules(
        ids=tuple(rows.ids.take(pa.array(one)).to_numpy(zero_copy_only=False)),
        offsets=offsets,
        tokens=spill.gather("tokens", rows.at[one], lengths),
        reactivity=pair["reactivity"].T,
        error=pair["error"].T,
        signal_to_noise=_both(joined, rows.signal_to_noise, np.nan),
        reads=_both(joined, rows.reads, np.nan),
        sn_filter=_both(joined, rows.sn_filter, False),
        dataset=rows.dataset[one],
        dataset_names=tuple(names),
    )
