"""Heat maps of whole sets of profiles: a row a molecule, a column a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from understudy.report.draw import plain_numbers
from understudy.report.svg import new_figure
from understudy.rna.evaluate import ProfileEvaluation
from understudy.rna.molecules import CHEMICALS
from understudy.rna.report import texts
from understudy.rna.report.look import Look, Plot, quiet

_MOST_ROWS = 200
_COLOURS = "viridis"
_GREY = (0.6, 0.62, 0.65, 0.45)


@dataclass(frozen=True, eq=False)
class Heat:
    """Some molecules (R rows) as matrices (R, L, 2) over the positions, NaN where there is no value.

    ``lengths`` (R,) says where the molecules end.
    """

    measured: NDArray[np.float32]
    predicted: NDArray[np.float32]
    lengths: NDArray[np.int64]
    n_scored: int

    @property
    def caption(self) -> str:
        rows = len(self.lengths)
        if rows == self.n_scored:
            shown = f"All {rows} scored molecules" if rows > 1 else "The only scored molecule"
        else:
            shown = f"{rows} of the {texts.count(self.n_scored)} scored molecules, evenly spread"
        return f"{shown}, sorted by length and within a length by error, the best predicted on top."


def heat_of(evaluation: ProfileEvaluation, most: int = _MOST_ROWS) -> Heat | None:
    """Scored molecules for a heat map, at most ``most``, evenly spread; None where nothing counts."""
    order = evaluation.order()
    if not len(order):
        return None
    lengths = np.diff(evaluation.offsets)
    order = order[np.argsort(lengths[order], kind="stable")]
    rows = order[np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.int64)]
    longest = int(lengths[rows].max())
    measured = np.full((len(rows), longest, 2), np.nan, np.float32)
    predicted = measured.copy()
    for r, k in enumerate(rows):
        n, own = lengths[k], evaluation.molecules.offsets[evaluation.index[k]]
        measured[r, :n] = evaluation.molecules.reactivity[own : own + n]
        predicted[r, :n] = evaluation.prediction[evaluation.offsets[k] : evaluation.offsets[k + 1], :2]
    return Heat(measured, predicted, lengths[rows], len(order))


def heat_plots(heat: Heat) -> list[Plot]:
    """For the page: measured and predicted one after the other, chemical by chemical."""
    return [
        Plot(
            f"heat_{chemical}_{name}",
            f"{chemical}, {name}",
            f"Heat map of {name} reactivities to {chemical}, a row a molecule, a column a position",
            partial(_draw_one, values[..., k], heat.lengths),
        )
        for k, chemical in enumerate(CHEMICALS)
        for name, values in (("measured", heat.measured), ("predicted", heat.predicted))
    ]


def heat_pairs(heat: Heat) -> list[Plot]:
    """For files: measured and predicted side by side, a figure for each chemical."""
    return [
        Plot(
            f"heat_{chemical}",
            f"{chemical}: {heat.caption[0].lower()}{heat.caption[1:-1]}",
            "",
            partial(_draw_pair, [heat.measured[..., k], heat.predicted[..., k]], heat.lengths),
        )
        for k, chemical in enumerate(CHEMICALS)
    ]


def gradient() -> str:
    """The colour scale as the stops of a CSS gradient."""
    return ", ".join(_hex(colormaps[_COLOURS](x)) for x in np.linspace(0, 1, 9))


def _hex(colour: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in colour[:3])


def _draw_one(values: NDArray[np.float32], lengths: NDArray[np.int64], look: Look) -> Figure:
    figure = new_figure(4.9, 3.4)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.01, right=0.99, top=0.98, bottom=0.14)
    _show(ax, values, lengths, look)
    return figure


def _draw_pair(panels: Sequence[NDArray[np.float32]], lengths: NDArray[np.int64], look: Look) -> Figure:
    figure = new_figure(11.0, 4.4)
    axes = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.02, right=0.93, top=0.93, bottom=0.11, wspace=0.04)
    for ax, values, name in zip(axes, panels, ("measured", "predicted"), strict=True):
        _show(ax, values, lengths, look)
        ax.set_title(name, loc="left", size=look.size, color=look.palette.ink)
    scale = ScalarMappable(cmap=colormaps[_COLOURS])
    scale.set_clim(0, 1)
    bar = figure.colorbar(scale, ax=list(axes), fraction=0.02, pad=0.015)
    bar.ax.tick_params(labelsize=look.size, colors=look.palette.muted)
    bar.set_label("reactivity (grey: not measured)", size=look.size, color=look.palette.muted)
    return figure


def _show(ax: Axes, values: NDArray[np.float32], lengths: NDArray[np.int64], look: Look) -> None:
    quiet(ax, look)
    rows, columns = values.shape
    missing = np.isnan(values)
    image = colormaps[_COLOURS](np.clip(np.where(missing, 0.0, values), 0.0, 1.0))
    image[missing] = _GREY
    image[np.arange(columns) >= lengths[:, None]] = 0.0  # behind the end of a molecule there is nothing
    ax.imshow(
        (255 * image).round().astype(np.uint8),
        extent=(0.5, columns + 0.5, rows, 0),
        interpolation="none",
        aspect="auto",
    )
    plain_numbers(ax, 8, 4)
    ax.set_yticks([])
    ax.set_xlabel("position from the 5' end", size=look.size, color=look.palette.muted)
