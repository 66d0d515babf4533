"""Colours by meaning, for figures on the page (they follow its theme) and for files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from understudy.core.files import atomic_path
from understudy.report.charts import Chart
from understudy.report.draw import PAPER, Palette, lettering
from understudy.report.svg import LINES, METHODS, THEMED, Svgs

_DPI = 130
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

    ``legend`` names the lines in the order of the methods' colours; ``file`` has no suffix.
    """

    file: str
    title: str
    description: str
    draw: Callable[[Look], Figure]
    caption: str = ""
    legend: tuple[str, ...] = ()

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
            above = 1 + (0.3 if self.legend else 0.1) / height
            figure.text(
                0.01, above, self.title, size=11, weight="bold", color=PAPER.ink, va="bottom", parse_math=False
            )
            if self.legend:
                lines = [
                    Line2D([], [], color=PRINT.methods[m], ls=LINES[m], lw=1.8) for m in range(len(self.legend))
                ]
                figure.legend(
                    lines, self.legend, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False,
                    fontsize=8,
                )  # fmt: skip
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=_DPI, bbox_inches="tight", pad_inches=0.15)
        return path


def quiet(ax: Axes, look: Look) -> None:
    """Axes without a frame, ticks or grid: an image speaks for itself."""
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(colors=look.palette.muted, labelsize=look.size, length=3, width=0.8)
    ax.grid(False)
