"""How truth and prediction of a signal look, on paper and on the page.

Worker processes import this module: it must stay free of torch. Figures are made with matplotlib's objects
alone, without pyplot, which would keep every figure alive.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from understudy.report.curves import Curves, Window, clipped, thin, window
from understudy.report.names import shorten
from understudy.report.numbers import number


@dataclass(frozen=True)
class Palette:
    """Colours by meaning. They stay apart for colour-blind readers, and in lightness as well as in hue."""

    ink: str = "#1b1f24"
    muted: str = "#5b6470"
    grid: str = "#e3e6ea"
    truth: str = "#9aa3ae"
    prediction: str = "#0a5fb4"
    alarm: str = "#c2410c"


PAPER = Palette()


def style_axes(ax: Axes, palette: Palette, size: float) -> None:
    """Quiet axes: left and bottom spines, horizontal and vertical hair lines, plain numbers."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(palette.muted)
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(colors=palette.muted, labelsize=size, length=3, width=0.8)
    ax.grid(True, color=palette.grid, linewidth=0.8)
    ax.set_axisbelow(True)


def plain_numbers(ax: Axes, n_x: int, n_y: int) -> None:
    """Few round ticks, written out in full: no offset text that could hide in a corner."""
    for axis, most in ((ax.xaxis, n_x), (ax.yaxis, n_y)):
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _position: int | None = None) -> str:
    text = f"{value:.6g}"
    return "0" if text == "-0" else text.replace("e+0", "e").replace("e-0", "e-")


class SignalPlot:
    """Truth as a broad grey line and prediction as a fine blue one on top of it.

    The artists are made once and moved for every signal: making axes costs more than drawing them.
    """

    def __init__(self, ax: Axes, palette: Palette = PAPER, *, size: float = 8.5, buckets: int = 2000) -> None:
        self.ax = ax
        self.buckets = buckets
        style_axes(ax, palette, size)
        plain_numbers(ax, 8, 5)
        self.band = ax.fill([], [], color=palette.prediction, alpha=0.16, lw=0, label="90 % interval")[0]
        self.truth = ax.plot([], [], color=palette.truth, lw=3.0, label="truth", solid_capstyle="round")[0]
        self.prediction = ax.plot([], [], color=palette.prediction, lw=1.3, label="prediction")[0]
        self.gone = ax.axvline(0, color=palette.alarm, lw=1.2, ls=(0, (4, 2)), label="diverged")
        self.cut = ax.text(
            0.995, 0.98, "", transform=ax.transAxes, ha="right", va="top", size=size, color=palette.alarm
        )

    @property
    def artists(self) -> list[Artist]:
        """What changes with the signal, in the order of painting."""
        return [self.band, self.truth, self.prediction, self.gone, self.cut]

    def show(self, curves: Curves, i: int) -> Window:
        """Draw signal ``i``; the window that was chosen for it."""
        truth, prediction = curves.truth[:, i], curves.prediction[:, i]
        seen = window(truth, prediction, float(curves.scale[i]), curves.diverged_at is not None)
        for line, values in ((self.truth, truth), (self.prediction, prediction)):
            line.set_data(*thin(curves.time, clipped(values, seen), self.buckets))
            line.set_marker("o" if len(values) < 3 else "")
        self.band.set_xy(_band(curves, i, seen, self.buckets))
        self.ax.set_ylim(seen.low, seen.high)
        self.ax.set_xlim(*time_range(curves.time))
        mark_divergence(self.gone, curves.diverged_time)
        notes = [] if np.isfinite(truth).any() else ["never measured"]
        notes += ["prediction leaves the axis"] if seen.cut else []
        self.cut.set_text(", ".join(notes))
        return seen


def _band(curves: Curves, i: int, seen: Window, buckets: int) -> NDArray[np.float64]:
    """Corners ``(P, 2)`` of the interval around the prediction; none where it is unknown."""
    if curves.half is None:
        return np.zeros((1, 2))
    half = curves.half[:, i].astype(np.float64)
    time, prediction = thin(curves.time, clipped(curves.prediction[:, i], seen), buckets)
    half = np.interp(time, curves.time, half)
    known = np.isfinite(prediction) & np.isfinite(half)
    time, low, high = time[known], (prediction - half)[known], (prediction + half)[known]
    there, back = np.stack([time, low], 1), np.stack([time, high], 1)[::-1]
    return np.concatenate([there, back]) if len(there) else np.zeros((1, 2))


class ErrorStrip:
    """Prediction minus truth over time, filled from zero."""

    def __init__(self, ax: Axes, palette: Palette = PAPER, *, size: float = 8.5, buckets: int = 2000) -> None:
        self.ax = ax
        self.buckets = buckets
        self.palette = palette
        style_axes(ax, palette, size)
        plain_numbers(ax, 8, 3)
        ax.axhline(0, color=palette.muted, lw=0.8)
        self.line = ax.plot([], [], color=palette.alarm, lw=1.0)[0]
        self.gone = ax.axvline(0, color=palette.alarm, lw=1.2, ls=(0, (4, 2)))

    def show(self, curves: Curves, i: int, seen: Window) -> None:
        """Draw the error of signal ``i`` while the prediction is within ``seen``; beyond, nothing."""
        prediction = curves.prediction[:, i].astype(np.float64)
        inside = (prediction >= seen.low) & (prediction <= seen.high)
        error = np.where(inside, prediction, np.nan) - curves.truth[:, i]
        self.line.set_data(*thin(curves.time, error, self.buckets))
        self.line.set_marker("o" if len(error) < 3 else "")
        finite = np.abs(error[np.isfinite(error)])
        largest = float(finite.max()) if len(finite) else 0.0
        largest = 1.15 * largest or 0.05 * (seen.high - seen.low)
        self.ax.set_ylim(-largest, largest)
        self.ax.set_xlim(*time_range(curves.time))
        mark_divergence(self.gone, curves.diverged_time)


def mark_divergence(line: Any, at: float | None) -> None:
    line.set_visible(at is not None)
    if at is not None:
        line.set_xdata([at, at])


def time_range(time: NDArray[np.float64]) -> tuple[float, float]:
    """First and last value with a little room, apart even where a case has a single row."""
    first, last = float(time[0]), float(time[-1])
    room = 0.01 * (last - first) or 0.5
    return first - room, last + room


def caption(curves: Curves, i: int) -> str:
    """The numbers of a signal in one line: ``ADE 0.0123 MPa, FDE 0.0210 MPa``."""
    unit = shorten(curves.units[i], 16)
    unit = "" if unit in ("", "1") else f" {unit}"
    text = f"ADE {number(curves.ade[i])}{unit}, FDE {number(curves.fde[i])}{unit}"
    if curves.diverged_time is not None:
        text += f", rollout diverged at {curves.divergence}"
    return text


def label(curves: Curves, i: int, most: int) -> str:
    """Name and unit, shortened in the name only."""
    unit = shorten(curves.units[i], 16)
    name = shorten(curves.names[i], max(8, most - len(unit) - 3))
    return f"{name} [{unit}]" if unit else name


# Families with Japanese, Chinese and Korean letters, as they come with the usual systems.
_EAST_ASIAN = (
    "Noto Sans CJK JP", "Noto Sans JP", "IPAGothic", "IPAPGothic", "IPAexGothic", "TakaoGothic", "Hiragino Sans",
    "Yu Gothic", "Meiryo", "MS Gothic", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "Malgun Gothic",
)  # fmt: skip


@cache
def _families() -> list[str]:
    """The usual font, and behind it one that has the letters which it lacks, where one is installed."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *[name for name in _EAST_ASIAN if name in installed][:1]]


@contextmanager
def lettering() -> Iterator[None]:
    """Fonts for names in any script; a letter that none of them has is a box, worth no warning a figure."""
    font_log = logging.getLogger("matplotlib.font_manager")  # says so for every weight that a font lacks
    level = font_log.level
    font_log.setLevel(logging.ERROR)
    with warnings.catch_warnings(), rc_context({"font.family": _families()}):
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        try:
            yield
        finally:
            font_log.setLevel(level)
