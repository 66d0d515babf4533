"""One molecule: what was measured at each nucleotide, and what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from understudy.report.draw import plain_numbers, style_axes
from understudy.report.names import shorten
from understudy.report.svg import new_figure
from understudy.rna.evaluate import ProfileEvaluation
from understudy.rna.molecules import ALPHABET, CHEMICALS
from understudy.rna.report import texts
from understudy.rna.report.look import Look, Plot, quiet

_INCHES = 0.082  # of a nucleotide, at least
_LEAST_WIDTH = 10.4
_LOW, _HIGH = -0.35, 1.6  # beyond these, the axis ends and a mark says so


@dataclass(frozen=True, eq=False)
class Profile:
    """The part of a molecule that was measured; n nucleotides from position ``first`` (counted from 1)."""

    id: str
    dataset: str
    length: int
    first: int
    tokens: NDArray[np.uint8]  # (n,)
    measured: NDArray[np.float32]  # (n, 2)
    reported: NDArray[np.float32]  # (n, 2)
    predicted: NDArray[np.float32]  # (n, 4)
    paired: NDArray[np.float32] | None  # (n,)
    mae: tuple[float, float, float]  # both chemicals, 2A3, DMS
    pearson: tuple[float, float]

    @property
    def caption(self) -> str:
        """The numbers of the molecule in one line."""
        by = ", ".join(f"{c} {texts.error(v)}" for c, v in zip(CHEMICALS, self.mae[1:], strict=True))
        last = self.first + len(self.tokens) - 1
        where = "" if len(self.tokens) == self.length else f", of which {self.first} to {last} were measured"
        return f"Mean absolute error {texts.error(self.mae[0])} ({by}); {self.length} nucleotides{where}"

    @property
    def width(self) -> int:
        """Of its figure, in points."""
        return round(72 * _width(len(self.tokens)))


def profile_of(evaluation: ProfileEvaluation, k: int) -> Profile:
    """Row ``k`` of the selected molecules, without the ends that were not measured."""
    molecules, m = evaluation.molecules, int(evaluation.index[k])
    start, end = int(molecules.offsets[m]), int(molecules.offsets[m + 1])
    measured = molecules.reactivity[start:end]
    seen = np.flatnonzero(np.isfinite(measured).any(axis=1))
    a, b = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, end - start)
    own = int(evaluation.offsets[k])
    by_chemical = evaluation.molecule.by_chemical[k]
    return Profile(
        molecules.ids[m],
        molecules.dataset_names[molecules.dataset[m]],
        end - start,
        a + 1,
        molecules.tokens[start + a : start + b],
        measured[a:b],
        molecules.error[start + a : start + b],
        evaluation.prediction[own + a : own + b],
        None if evaluation.pairing is None else evaluation.pairing[own + a : own + b, 0],
        (float(evaluation.molecule.mae[k]), float(by_chemical[0]), float(by_chemical[1])),
        (float(evaluation.pearson[k, 0]), float(evaluation.pearson[k, 1])),
    )


def profile_plot(profile: Profile, file: str) -> Plot:
    """Both chemicals above one another, the letters below them, and the pairing where it is known."""
    return Plot(
        file,
        f"{shorten(profile.id, 40)} · {shorten(profile.dataset, 30)}   {profile.caption}",
        f"Measured and predicted reactivities of {profile.id} at each nucleotide",
        partial(_draw, profile),
        headroom=0.2,
    )


def _width(n: int) -> float:
    return max(_LEAST_WIDTH, 0.75 + _INCHES * n)


def _draw(profile: Profile, look: Look) -> Figure:
    n = len(profile.tokens)
    width = _width(n)
    track = profile.paired is not None
    height = 4.0 + 0.4 * track
    figure = new_figure(width, height)
    ratios = [3.0, 3.0, 0.36] + [0.62] * track
    axes = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    figure.subplots_adjust(
        left=0.62 / width, right=1 - 0.08 / width, top=1 - 0.09 / height, bottom=0.45 / height, hspace=0.12
    )
    for k, chemical in enumerate(CHEMICALS):
        _chemical(axes[k], profile, k, look)
        axes[k].set_ylabel(chemical, size=look.size, color=look.palette.ink)
    _letters(axes[2], profile, look)
    if profile.paired is not None:
        _pairing(axes[3], profile.first, profile.paired, look)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    # The letters have no spine: without a track, the numbers stand below them on their own.
    axes[-1].tick_params(bottom=True, labelbottom=True)
    axes[-1].set_xlabel("position from the 5' end", size=look.size, color=look.palette.muted)
    axes[-1].set_xlim(profile.first - 1, profile.first + n)
    figure.align_ylabels(axes)
    if look.legends:
        _legend(axes[0], look)
    return figure


def _chemical(ax: Axes, profile: Profile, k: int, look: Look) -> None:
    style_axes(ax, look.palette, look.size)
    ax.grid(False, axis="x")
    plain_numbers(ax, 12, 4)
    measured, reported, predicted = profile.measured[:, k], profile.reported[:, k], profile.predicted[:, k]
    x = profile.first + np.arange(len(measured))
    for token, colour in enumerate(look.nucleotides):
        own = (profile.tokens == token) & np.isfinite(measured)
        ax.bar(x[own], measured[own], 0.84, color=colour, alpha=0.6, lw=0)
    known = np.isfinite(measured) & np.isfinite(reported)
    ax.vlines(
        x[known],
        (measured - reported)[known],
        (measured + reported)[known],
        color=look.palette.muted,
        lw=0.7,
        alpha=0.8,
    )
    edges, guess = _steps(x, predicted)
    ax.plot(edges, guess, color=look.palette.prediction, lw=1.4)
    spread = profile.predicted[:, 2 + k]
    if np.isfinite(spread).any():
        _, floor = _steps(x, np.clip(predicted - spread, 0.0, 1.0))
        _, ceiling = _steps(x, np.clip(predicted + spread, 0.0, 1.0))
        ax.fill_between(edges, floor, ceiling, color=look.palette.prediction, alpha=0.18, lw=0)
    values = np.concatenate([measured[np.isfinite(measured)], predicted[np.isfinite(predicted)], [0.0, 1.0]])
    low, high = max(float(values.min()), _LOW), min(float(values.max()), _HIGH)
    room = 0.04 * (high - low)
    ax.set_ylim(low - room, high + room)
    ax.axhline(0, color=look.palette.muted, lw=0.8)
    ax.axhline(1, color=look.palette.muted, lw=0.8, ls=(0, (2, 3)))
    over, under = measured > high, measured < low
    ax.plot(x[over], np.full(over.sum(), high + room), "^", color=look.palette.ink, ms=4, clip_on=False)
    ax.plot(x[under], np.full(under.sum(), low - room), "v", color=look.palette.ink, ms=4, clip_on=False)


def _steps(
    x: NDArray[np.int64], values: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A line that is level over each nucleotide."""
    edges = np.stack([x - 0.5, x + 0.5], axis=1).ravel()
    return edges, np.repeat(values.astype(np.float64), 2)


def _letters(ax: Axes, profile: Profile, look: Look) -> None:
    quiet(ax, look)
    ax.set_ylim(0, 1)
    ax.set_yticks([])
    ax.tick_params(bottom=False)
    size = min(9.0, 70 * (_width(len(profile.tokens)) - 0.7) / len(profile.tokens))
    for x, token in enumerate(profile.tokens, start=profile.first):
        ax.text(
            x, 0.5, ALPHABET[token], size=size, weight="bold", color=look.nucleotides[token], ha="center",
            va="center_baseline",
        )  # fmt: skip


def _pairing(ax: Axes, first: int, paired: NDArray[np.float32], look: Look) -> None:
    style_axes(ax, look.palette, look.size)
    ax.grid(False)
    edges, values = _steps(first + np.arange(len(paired)), paired)
    ax.fill_between(edges, 0.0, values, color=look.palette.muted, alpha=0.55, lw=0)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 1])
    ax.set_ylabel("paired", size=look.size, color=look.palette.muted)


def _legend(ax: Axes, look: Look) -> None:
    bars = [
        ax.bar([np.nan], [np.nan], color=c, alpha=0.6, label=f"measured, {a}")
        for a, c in zip(ALPHABET, look.nucleotides, strict=True)
    ]
    line = ax.plot([], [], color=look.palette.prediction, lw=1.4, label="predicted")[0]
    ax.legend(
        handles=[*bars, line],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=5,
        frameon=False,
        fontsize=8,
    )
