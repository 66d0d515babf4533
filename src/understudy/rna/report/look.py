"""Colours by meaning, for figures on the page (they follow its theme) and for files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from understudy.core.files import atomic_path
from understudy.report.charts import Chart
from understudy.report.draw import PAPER, Palette, lettering
from understudy.report.svg import LINES, METHODS, THEMED, Svgs

_DPI = 130
_COLUMNS = 3  # of a legend
# Of the colours of methods: A green, C amber, G grey, U pink, none of them the blue of the prediction.
_NUCLEOTIDES = (2, 4, 5, 3)


@dataclass(frozen=True)
class Look:
    """``methods`` are the colours of network and baselines, ``legends`` whether figures carry their own."""

    palette: Palette
    methods: tuple[str, ...]
    legends: bool
    size: float = 9.0

    @property
    def nucleotides(self) -> tuple[str, ...]:
        """Colours of A, C, G and U."""
        return tuple(self.methods[i] for i in _NUCLEOTIDES)


PAGE = Look(THEMED, METHODS, legends=False)
PRINT = Look(PAPER, ("#0a66b7", "#d55e00", "#008a63", "#b5568f", "#a87500", "#59626d"), legends=True)


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn for the page and as a file.

    ``legend`` names the lines in the order of the methods' colours; ``file`` has no suffix;
    ``headroom`` are the inches above the figure that it uses itself in a file.
    """

    file: str
    title: str
    description: str
    draw: Callable[[Look], Figure]
    caption: str = ""
    legend: tuple[str, ...] = ()
    headroom: float = 0.0

    def chart(self, svgs: Svgs) -> Chart:
        """The figure for the page."""
        return Chart(svgs.render(self.draw(PAGE), self.description), self.title, self.caption, self.legend)

    def save(self, path: Path) -> Path:
        """The figure as a PNG with its title, atomically."""
        with lettering():
            figure = self.draw(PRINT)
            FigureCanvasAgg(figure)
            figure.patch.set_visible(True)
            figure.patch.set_facecolor("white")
            height = figure.get_figheight()
            lines = [
                Line2D([], [], color=PRINT.methods[m], ls=LINES[m], lw=1.8) for m in range(len(self.legend))
            ]
            if lines:
                place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": _COLUMNS}
                figure.legend(lines, self.legend, frameon=False, fontsize=8, **place)
            above = 0.1 + self.headroom + 0.19 * -(-len(lines) // _COLUMNS)
            style: dict[str, Any] = {"size": 11, "weight": "bold", "color": PAPER.ink}
            figure.text(0.01, 1 + above / height, self.title, va="bottom", parse_math=False, **style)
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=_DPI, bbox_inches="tight", pad_inches=0.15)
        return path


def quiet(ax: Axes, look: Look) -> None:
    """Axes without a frame, ticks or grid: an image speaks for itself."""
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(colors=look.palette.muted, labelsize=look.size, length=3, width=0.8)
    ax.grid(False)
