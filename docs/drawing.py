"""What the figures of docs/explanation have in common: the card, its colours and how it is written.

Units are points from the top left corner of a card. Equal input gives equal files: the identifiers inside
an SVG come from a fixed salt, no date is written, and text is stored as outlines.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

OUT = Path(__file__).parent / "explanation" / "img"
WIDTH = 780
Point = tuple[float, float]
Part = tuple[float, str, str, float, str]  # width, kind, words, gap after it, shape in the gap
SIZE = 10.5
INK, SOFT, PAPER, EDGE = "#1f2328", "#59636e", "#ffffff", "#d0d7de"
# kind of box: (fill, line)
KINDS = {
    "past": ("#e6eaef", "#6e7781"),  # past rows
    "control": ("#ffe3b3", "#9a6700"),  # controls of the rows to predict
    "learned": ("#d6e8fb", "#0a5cad"),  # has weights
    "fixed": ("#ffffff", "#6e7781"),  # has none
    "predicted": ("#ccebd0", "#1a7f37"),  # the prediction
}
mpl.rcParams.update({"svg.hashsalt": "understudy", "svg.fonttype": "path", "font.family": "DejaVu Sans"})


class Card:
    """A white card with a border, so that a figure reads on a dark page too."""

    creator = "docs/drawing.py"

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(WIDTH / 72, height / 72))
        self.figure.patch.set_alpha(0)
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set_xlim(0, WIDTH)
        self.ax.set_ylim(height, 0)
        self.ax.axis("off")
        style = "round,pad=0,rounding_size=8"
        self.ax.add_patch(FancyBboxPatch((1, 1), WIDTH - 2, height - 2, boxstyle=style, fc=PAPER, ec=EDGE))

    def text(self, x: float, y: float, words: str, *, size: float = SIZE, **style: str) -> None:
        """One line, centred at ``y`` by the height of its capitals, so that neighbours share a baseline."""
        style = {"ha": "center", "va": "baseline", "color": INK, **style}
        self.ax.text(x, y + 0.36 * size, words, fontsize=size, **style)

    def box(self, x: float, y: float, width: float, height: float, kind: str, words: str) -> None:
        """A box with its left edge at ``x`` and its middle at height ``y``; the first line is bold."""
        fill, line = KINDS[kind]
        corner, style = (x, y - height / 2), "round,pad=0,rounding_size=5"
        self.ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=fill, ec=line, lw=1.2))
        lines = words.split("\n")
        for i, part in enumerate(lines):
            weight = "bold" if i == 0 else "normal"
            self.text(x + width / 2, y + (i - (len(lines) - 1) / 2) * 14.5, part, weight=weight)

    def cell(self, x: float, y: float, width: float, height: float, fill: str, line: str) -> None:
        self.ax.add_patch(Rectangle((x, y), width, height, fc=fill, ec=line, lw=1.1))

    def arrow(self, *points: Point, shape: str = "", at: Point | None = None) -> None:
        """A line through ``points`` with a head; ``shape`` stands above its first stretch, or at ``at``."""
        xs, ys = zip(*points, strict=True)
        self.ax.plot(xs[:-1], ys[:-1], color=SOFT, lw=1.3, solid_joinstyle="round", solid_capstyle="butt")
        style = {"arrowstyle": "-|>,head_width=0.22,head_length=0.45", "color": SOFT, "lw": 1.3}
        self.ax.annotate("", points[-1], points[-2], arrowprops={**style, "shrinkA": 0, "shrinkB": 0})
        if shape:
            x, y = at or ((xs[0] + xs[1]) / 2, ys[0] - 10)
            self.text(x, y, shape, size=SIZE - 0.5)

    def chain(self, y: float, *parts: Part, x: float | None = None) -> list[Point]:
        """Boxes from left to right, from ``x`` on or centred; returns where each begins and ends."""
        if x is None:
            x = (WIDTH - sum(part[0] + part[3] for part in parts)) / 2
        spans = []
        for i, (width, kind, words, gap, shape) in enumerate(parts):
            height = 14.5 * (words.count("\n") + 1) + 18
            self.box(x, y, width, height, kind, words)
            if i + 1 < len(parts):
                self.arrow((x + width, y), (x + width + gap, y), shape=shape)
            spans.append((x, x + width))
            x += width + gap
        return spans

    def note(self, x: float, y: float, words: str, **style: str) -> None:
        self.text(x, y, words, size=SIZE - 1, **{"color": SOFT, "style": "italic", **style})

    def save(self, name: str) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(
            OUT / f"{name}.svg", transparent=True, metadata={"Date": None, "Creator": self.creator}
        )
