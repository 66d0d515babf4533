"""Reading and thinning a folder of case files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import made, reference_way
from benchmarks.measure import Ratio, Report, alternate
from understudy.cae.read import ReadOptions, Roles, read_cases

ROWS = 33_000


def run(quick: bool) -> Report:
    """Files of 33,000 rows x 63 columns at 0.1 s onto a grid of 1 s; all files are in the page cache."""
    n_files, n_many, repeats = (2, 4, 1) if quick else (6, 500, 5)  # the reference system had 500
    roles = Roles(num_control=made.LARGE[0], num_pred=made.LARGE[1], num_target=4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = made.folder(Path(temporary) / "few", n_files, ROWS)
        many = made.folder(Path(temporary) / "many", n_many, ROWS, distinct=n_files)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6 / n_files
        ours = read_cases(folder, roles, ReadOptions(step=1.0))[0]
        theirs = reference_way.read_cases(folder, 1.0)
        _compare(ours.values.reshape(n_files, -1, ours.values.shape[1]), np.array(theirs))
        seconds = alternate(
            {
                "many": lambda: read_cases(many, roles, ReadOptions(step=1.0)),
                "ours": lambda: read_cases(folder, roles, ReadOptions(step=1.0)),
                "theirs": lambda: reference_way.read_cases(folder, 1.0),
                "one thread": lambda: read_cases(folder, roles, ReadOptions(step=1.0, jobs=1)),
                "every row": lambda: read_cases(folder, roles, ReadOptions()),
                "every row, theirs": lambda: reference_way.read_cases(folder, None),
            },
            repeats,
        )
    ms = {name: taken.wall / (n_many if name == "many" else n_files) * 1e3 for name, taken in seconds.items()}
    cpu = {name: taken.processor / n_files * 1e3 for name, taken in seconds.items()}
    report = Report("Read")
    report.ratios = [
        _ratio(f"read and thin 0.1 s to 1 s, {n_many} files", ms["many"], ms["theirs"], 10),
        _ratio(f"the same, {n_files} files", ms["ours"], ms["theirs"]),
        _ratio("the same, one thread, processor time", cpu["one thread"], cpu["theirs"]),
        _ratio("read every row", ms["every row"], ms["every row, theirs"]),
    ]
    report.text = (
        f"Files of {ROWS:,} rows x 63 columns, {megabytes:.0f} MB each, in the page cache; medians of {repeats}"
        f" alternating runs. {n_many} files are read by worker processes, whose start counts, {n_files} by"
        f" threads; the reference way reads {n_files}. The values of both agree to float32 rounding. Ours keeps"
        " the first sample, the reference way drops it; that row is left out of the comparison."
    )
    return report


def _compare(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Row k of theirs is row k + 1 of ours."""
    n = min(ours.shape[1] - 1, theirs.shape[1])
    np.testing.assert_allclose(ours[:, 1 : n + 1], theirs[:, :n], rtol=1e-5, atol=1e-5)


def _ratio(what: str, mine: float, others: float, goal: float | None = None) -> Ratio:
    """Milliseconds a file."""
    reached = others / mine >= (goal or 0)
    text = f"at least {goal}x" if goal else ""
    return Ratio(what, f"{mine:.0f} ms a file", f"{others:.0f} ms", others / mine, text, reached)
