"""Jobs for worker processes: the files of one case, drawn and written.

Worker processes import this module: it must stay free of torch.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from understudy.core.files import atomic_path, write_text
from understudy.report.curves import Curves
from understudy.report.draw import (
    PAPER,
    ErrorStrip,
    SignalPlot,
    caption,
    label,
    lettering,
    plain_numbers,
    time_range,
)
from understudy.report.names import shorten
from understudy.report.numbers import number

_DPI = 90


@dataclass(frozen=True)
class SignalFigures:
    """One PNG for each signal of ``curves``."""

    curves: Curves
    paths: tuple[Path, ...]

    def run(self) -> None:
        with lettering():
            page = _signal_page()
            page.begin(self.curves)
            for i, path in enumerate(self.paths):
                page.write(self.curves, i, path)


@dataclass(frozen=True)
class Overview:
    """One PNG with all signals of ``curves``, each with its error below."""

    curves: Curves
    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def run(self) -> None:
        with lettering():
            _overview_page(len(self.curves.names)).write(self.curves, self.path)


@dataclass(frozen=True)
class CaseCsv:
    """Prediction and truth of every signal of ``curves`` as numbers: a row of names, a row of units, rows."""

    curves: Curves
    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def run(self) -> None:
        c = self.curves
        suffix = "_truth"
        while {f"{n}{suffix}" for n in c.names} & set(c.names):
            suffix += "_"
        head = io.StringIO()
        writer = csv.writer(head, lineterminator="\n")
        writer.writerow(["time", *(column for n in c.names for column in (n, f"{n}{suffix}"))])
        writer.writerow([c.time_unit, *(unit for unit in c.units for _ in range(2))])
        values = np.empty((len(c.time), 2 * len(c.names)), np.float32)
        values[:, 0::2], values[:, 1::2] = c.prediction, c.truth
        # Eight digits: within half a step of float32, and 0.1 stays 0.1. Not measured is an empty cell.
        row = ",".join(["%.8g"] * values.shape[1])
        rows = (f"{t:.10g},{row % tuple(v)}\n" for t, v in zip(c.time, values.tolist(), strict=True))
        write_text(self.path, head.getvalue() + "".join(rows).replace("nan", ""))


class _SignalPage:
    """A figure of one signal, used again and again.

    What the signals of a case share (time axis, frame, legend) is painted once and kept as an image: text
    is what costs most.
    """

    def __init__(self) -> None:
        self.figure = Figure(figsize=(8.0, 3.6), dpi=_DPI, facecolor="white")
        self.canvas: Any = FigureCanvasAgg(self.figure)  # its methods carry no types
        self.figure.subplots_adjust(left=0.105, right=0.985, top=0.83, bottom=0.14)
        self.plot = SignalPlot(self.figure.add_subplot())
        axes, text = self.plot.ax, self.figure.text
        self.title = text(0.105, 0.935, "", size=11, weight="bold", color=PAPER.ink, parse_math=False)
        self.numbers = text(0.105, 0.865, "", size=9, color=PAPER.muted, parse_math=False)
        axes.set_xlabel("", size=9, color=PAPER.muted, parse_math=False)
        axes.set_ylabel("", size=9, color=PAPER.muted, parse_math=False)
        handles = [self.plot.truth, self.plot.prediction]
        style = {"ncols": 2, "frameon": False, "fontsize": 9}
        self.figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.99, 0.93), **style)
        # In the order of painting; "animated" keeps them out of the shared image.
        self.own: list[Artist] = [axes.yaxis, *self.plot.artists, self.title, self.numbers]
        for artist in self.own:
            artist.set_animated(True)
        self.shared: Any = None

    def begin(self, curves: Curves) -> None:
        """Paint what the signals of ``curves`` share."""
        self.plot.ax.set_xlim(*time_range(curves.time))
        self.plot.ax.set_xlabel(curves.time_label)
        self.canvas.draw()
        self.shared = self.canvas.copy_from_bbox(self.figure.bbox)

    def write(self, curves: Curves, i: int, path: Path) -> None:
        self.plot.show(curves, i)
        self.title.set_text(f"{shorten(curves.names[i], 42)} · {shorten(curves.case, 22)}")
        shaded = "" if curves.half is None else ", shaded: 90 % interval"
        self.numbers.set_text(caption(curves, i) + shaded)
        self.plot.ax.set_ylabel(label(curves, i, 34))
        self.canvas.restore_region(self.shared)
        for artist in self.own:
            self.figure.draw_artist(artist)
        _save(self.canvas, path)


class _OverviewPage:
    """A page of ``n`` signals in columns: prediction over truth, and a strip of the error below each."""

    def __init__(self, n: int) -> None:
        columns = 1 if n < 3 else 2 if n < 13 else 4
        self.columns = columns
        n_rows = -(-n // columns)
        width, height = {1: 10.0, 2: 13.0, 4: 19.0}[columns], 0.9 + 2.7 * n_rows
        self.figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        self.canvas: Any = FigureCanvasAgg(self.figure)  # its methods carry no types
        gap = 0.9 / (width / columns - 0.9)
        grid = self.figure.add_gridspec(n_rows, columns, hspace=0.0, wspace=gap)
        grid.update(left=0.75 / width, right=1 - 0.15 / width, top=1 - 0.65 / height, bottom=0.1 / height)
        self.plots, self.strips = [], []
        for i in range(n):
            row, column = divmod(i, columns)
            cell = grid[row, column].subgridspec(4, 1, height_ratios=[0.45, 2.9, 1.0, 0.6], hspace=0.12)
            upper = self.figure.add_subplot(cell[1])
            self.plots.append(SignalPlot(upper, size=7.5))
            self.strips.append(ErrorStrip(self.figure.add_subplot(cell[2]), size=7.5))
            upper.tick_params(labelbottom=False)
            plain_numbers(upper, 6, 4)
            plain_numbers(self.strips[-1].ax, 6, 2)
            # A page of many signals names the time in its lowest row only.
            self.strips[-1].ax.tick_params(labelbottom=n < 13 or i + columns >= n)
            upper.set_title("", loc="left", size=9, color=PAPER.ink, pad=4, parse_math=False)
            self.strips[-1].ax.set_ylabel("error", size=7.5, color=PAPER.muted)
        self.title = self.figure.text(
            0.75 / width, 1 - 0.35 / height, "", size=13, weight="bold", color=PAPER.ink, parse_math=False
        )
        handles = [self.plots[0].truth, self.plots[0].prediction, self.strips[0].line]
        names = ["truth", "prediction", "error = prediction − truth"]
        corner = (1 - 0.1 / width, 1 - 0.12 / height)
        self.figure.legend(
            handles, names, loc="upper right", ncols=3, frameon=False, fontsize=9, bbox_to_anchor=corner
        )

    def write(self, curves: Curves, path: Path) -> None:
        for i, (plot, strip) in enumerate(zip(self.plots, self.strips, strict=True)):
            strip.show(curves, i, plot.show(curves, i))
            numbers = f"ADE {number(curves.ade[i])}, FDE {number(curves.fde[i])}"
            plot.ax.set_title(f"{label(curves, i, 44)}   {numbers}", loc="left")
            strip.ax.set_xlabel(curves.time_label if i >= len(self.plots) - self.columns else "", size=7.5)
        note = f" · rollout diverged at {curves.divergence}" if curves.divergence else ""
        self.title.set_text(f"{shorten(curves.case, 50)}{note}")
        self.canvas.draw()
        _save(self.canvas, path)


def _save(canvas: Any, path: Path) -> None:
    """The painted canvas as a PNG; compressing it harder takes longer and gains a twentieth."""
    with atomic_path(path) as temporary:
        imsave(temporary, np.asarray(canvas.buffer_rgba()), dpi=_DPI, pil_kwargs={"compress_level": 1})


@cache
def _signal_page() -> _SignalPage:
    return _SignalPage()


@cache
def _overview_page(n: int) -> _OverviewPage:
    return _OverviewPage(n)
