"""What was read, as a picture: lengths, signal to noise and reactivities."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from understudy.report.draw import PAPER, lettering, style_axes
from understudy.rna.ingest.summary import BIN, BINS, FIRST_BIN, Stock, Summary
from understudy.rna.table import CHEMICALS

_COLOURS = ("#0a66b7", "#d55e00")
_SHOWN = (-0.5, 2.0)  # reactivities; 0 to 1 is what the official figure sees


def draw_summary(summary: Summary, title: str) -> bytes:
    """The figure as PNG. Panels of what was not measured are left out."""
    stock = summary.stock
    if stock is None:
        raise ValueError("nothing was counted")
    measured = bool(summary.histogram.sum())
    with lettering():
        figure = Figure(figsize=(11.5, 3.4) if measured else (4.4, 3.4), dpi=130, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 3 if measured else 1, squeeze=False)[0]
        for ax in axes:
            style_axes(ax, PAPER, 8.5)
        _lengths(axes[0], stock)
        if measured:
            _signal_to_noise(axes[1], stock)
            _reactivities(axes[2], summary)
        figure.suptitle(
            title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=PAPER.ink, parse_math=False
        )
        # Fixed margins: to measure every label costs as much as to draw it.
        left = 0.07 if measured else 0.19
        figure.subplots_adjust(left=left, right=0.985, bottom=0.16, top=0.86, wspace=0.24)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
    return picture.getvalue()


def _label(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=9, color=PAPER.ink)
    ax.set_ylabel(y, fontsize=9, color=PAPER.ink)


def _plain_ticks(axis: Axis) -> None:
    """Numbers as people write them; the ticks between them would take half of the time of the figure."""
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def _lengths(ax: Axes, stock: Stock) -> None:
    first, last = int(stock.lengths.min()), int(stock.lengths.max())
    step = max(1, -(-(last - first + 1) // 60))
    edges = np.arange(first, last + step + 1, step) - 0.5
    counts, _ = np.histogram(stock.lengths, edges)
    there = counts > 0
    # A bar is never thinner than can be seen, however far apart the lengths are.
    width = max(step, (last - first) / 60, 1.0)
    ax.bar((edges[:-1] + step / 2)[there], counts[there], width=width, color=PAPER.muted)
    ax.set_yscale("log")
    _plain_ticks(ax.yaxis)
    ax.set_ylim(bottom=0.7)
    ax.set_xlim(first - max(5, 2 * width), last + max(5, 2 * width))
    _label(ax, "length, nucleotides", "molecules")


def _signal_to_noise(ax: Axes, stock: Stock) -> None:
    edges = np.geomspace(0.05, 100, 61)
    for k, chemical in enumerate(CHEMICALS):
        values = stock.signal_to_noise[:, k]
        known = values[~np.isnan(values)].clip(edges[0], edges[-1])
        if len(known):
            counts, _ = np.histogram(known, edges)
            ax.stairs(counts, edges, color=_COLOURS[k], lw=1.6, label=chemical)
    ax.axvline(1, color=PAPER.alarm, lw=1, ls=(0, (4, 3)))
    ax.set_xscale("log")
    _plain_ticks(ax.xaxis)
    ax.set_xlim(edges[0], edges[-1])
    ax.text(1, 1.01, "filter", transform=ax.get_xaxis_transform(), ha="center", fontsize=8, color=PAPER.alarm)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8.5, loc="upper left")
    _label(ax, "signal to noise (ends hold the rest)", "experiments")


def _reactivities(ax: Axes, summary: Summary) -> None:
    edges = FIRST_BIN + BIN * np.arange(BINS + 1)
    for k, chemical in enumerate(CHEMICALS):
        counts = summary.histogram[k]
        if counts.sum():
            ax.stairs(100 * counts / counts.sum(), edges, color=_COLOURS[k], lw=1.6, label=chemical)
    ax.axvspan(0, 1, color=PAPER.grid, alpha=0.5, lw=0, zorder=0)
    ax.set_xlim(*_SHOWN)
    ax.legend(frameon=False, fontsize=8.5)
    outside = [_share_outside(counts) for counts in summary.histogram]
    told = ", ".join(f"{c} {x:.0%}" for c, x in zip(CHEMICALS, outside, strict=True) if not np.isnan(x))
    ax.text(
        0.99,
        0.72,
        f"outside 0 to 1:\n{told}",
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=8,
        color=PAPER.muted,
    )
    _label(ax, "reactivity", f"% of values in {BIN:g}")


def _share_outside(counts: np.ndarray) -> float:
    """Of the values below 0 or above 1; NaN where there is none."""
    total = counts.sum()
    zero, one = round(-FIRST_BIN / BIN), round((1 - FIRST_BIN) / BIN)
    return float(1 - counts[zero:one].sum() / total) if total else float("nan")
