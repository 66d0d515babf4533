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
    n_files, repeats = (2, 1) if quick else (6, 5)
    roles = Roles(num_control=made.LARGE[0], num_pred=made.LARGE[1], num_target=4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = made.folder(Path(temporary), n_files, ROWS)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6 / n_files
        ours = read_cases(folder, roles, ReadOptions(step=1.0))[0]
        theirs = reference_way.read_cases(folder, 1.0)
        _compare(ours.values.reshape(n_files, -1, ours.values.shape[1]), np.array(theirs))
        seconds = alternate(
            {
                "ours": lambda: read_cases(folder, roles, ReadOptions(step=1.0)),
                "theirs": lambda: reference_way.read_cases(folder, 1.0),
                "one thread": lambda: read_cases(folder, roles, ReadOptions(step=1.0, jobs=1)),
                "every row": lambda: read_cases(folder, roles, ReadOptions()),
                "every row, theirs": lambda: reference_way.read_cases(folder, None),
            },
            repeats,
        )
    ours_1, theirs_1 = seconds["one thread"].processor, seconds["theirs"].processor
    report = Report("Read")
    report.ratios = [
        _ratio("read and thin 0.1 s to 1 s", seconds["ours"].wall, seconds["theirs"].wall, n_files, 10),
        _ratio("the same, one thread, processor time", ours_1, theirs_1, n_files),
        _ratio("read every row", seconds["every row"].wall, seconds["every row, theirs"].wall, n_files),
    ]
    report.text = (
        f"{n_files} files of {ROWS:,} rows x 63 columns, {megabytes:.0f} MB each, in the page cache; medians of"
        f" {repeats} alternating runs. The values of both agree to float32 rounding. Ours keeps the first sample,"
        " the reference way drops it; that row is left out of the comparison."
    )
    return report


def _compare(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Row k of theirs is row k + 1 of ours."""
    n = min(ours.shape[1] - 1, theirs.shape[1])
    np.testing.assert_allclose(ours[:, 1 : n + 1], theirs[:, :n], rtol=1e-5, atol=1e-5)


def _ratio(what: str, ours: float, theirs: float, n_files: int, goal: float | None = None) -> Ratio:
    mine, others = ours / n_files * 1e3, theirs / n_files * 1e3
    reached = others / mine >= (goal or 0)
    text = f"at least {goal}x" if goal else ""
    return Ratio(what, f"{mine:.0f} ms a file", f"{others:.0f} ms", others / mine, text, reached)
