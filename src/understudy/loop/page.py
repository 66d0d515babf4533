"""``loop.html``: what every round added and what it was good for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from understudy.core.acquire import VALUES
from understudy.core.files import write_text
from understudy.core.spec import Signal
from understudy.loop.rounds import Loop, Round
from understudy.report.charts import Chart
from understudy.report.draw import plain_numbers, style_axes
from understudy.report.names import shorten
from understudy.report.numbers import column, listing, number, percent
from understudy.report.svg import METHODS, THEMED, Svgs, new_figure
from understudy.report.template import render_page

_SIZE = 9.0
_MOST_SHOWN = 3  # ids of chosen cases in a cell


@dataclass(frozen=True)
class Row:
    """A round in the table."""

    number: int
    cases: int
    score: str
    ade: tuple[str, ...]
    chosen: str
    value: str


def write_loop_page(path: Path, loop: Loop, rounds: Sequence[Round]) -> None:
    """Write the page of ``rounds``, all of them done, to ``path``."""
    spec = loop.source.candidates([1]).spec
    targets = [spec.predicted[i] for i in spec.target_columns]
    counts = list(accumulate(len(r.chosen) for r in rounds))
    svgs = Svgs()
    content = {
        "title": path.parent.resolve().name,
        "by": loop.order.by,
        "verdict": _verdict(counts, rounds),
        "charts": [ade_chart(svgs, counts, rounds, signal) for signal in targets],
        "names": [signal.label for signal in targets],
        "value": VALUES[loop.order.by].replace("_", " "),
        "rows": _rows(loop, counts, rounds, targets),
        "facts": {
            "strategy": loop.order.by,
            "candidates": loop.source.n_candidates,
            "trainings a round": loop.order.runs,
            "seed": loop.order.seed,
            "keys of every training": " ".join(loop.order.overrides) or "none",
        },
    }
    write_text(path, render_page("understudy.loop", "loop.html.j2", content))


def _verdict(counts: Sequence[int], rounds: Sequence[Round]) -> str:
    first, last = rounds[0].score, rounds[-1].score
    if len(rounds) == 1 or first is None or last is None:
        shown = "not a number" if last is None else f"{number(last)} deviations"
        return f"With {counts[-1]} cases the mean absolute error on the test cases is {shown}."
    change = last / first - 1
    word = "falls" if change < 0 else "rises"
    return (
        f"From {counts[0]} to {counts[-1]} cases the mean absolute error on the test cases {word} by "
        f"{percent(abs(change))}, from {number(first)} to {number(last)} deviations."
    )


def ade_chart(svgs: Svgs, counts: Sequence[int], rounds: Sequence[Round], signal: Signal) -> Chart:
    """A box a round: ADE of the test cases."""
    boxes = [np.array([x for x in r.ade[signal.name] if x is not None]) for r in rounds]
    figure = new_figure(4.9, 2.9)
    ax = figure.add_subplot()
    figure.subplots_adjust(left=0.155, right=0.97, top=0.97, bottom=0.17)
    style_axes(ax, THEMED, _SIZE)
    line = {"color": METHODS[0], "lw": 1.2}
    ax.boxplot(
        boxes, tick_labels=[str(n) for n in counts], widths=0.5, medianprops={"color": METHODS[1], "lw": 1.8},
        boxprops=line, whiskerprops=line, capprops=line,
        flierprops={"marker": "o", "ms": 2.5, "mec": THEMED.muted, "mew": 0.8},
    )  # fmt: skip
    ax.set_ylim(0, 1.05 * max((float(b.max()) for b in boxes if len(b)), default=1.0))
    plain_numbers(ax, 6, 5)
    ax.set_xticks(range(1, len(counts) + 1), [str(n) for n in counts])
    ax.grid(False, axis="x")
    ax.set_xlabel("cases that were run", size=_SIZE, color=THEMED.muted)
    ax.set_ylabel(shorten(f"ADE [{signal.unit}]", 34), size=_SIZE, color=THEMED.muted, parse_math=False)
    caption = "A box holds the middle half of the test cases, its line is the median."
    return Chart(svgs.render(figure, f"ADE of {signal.name} by round"), signal.label, caption)


def _rows(loop: Loop, counts: Sequence[int], rounds: Sequence[Round], targets: Sequence[Signal]) -> list[Row]:
    scores = column([float("nan") if r.score is None else r.score for r in rounds])
    means = [column([_mean(r.ade[signal.name]) for r in rounds]) for signal in targets]
    rows = []
    for k, r in enumerate(rounds):
        names = [loop.source.name(i) for i in r.chosen]
        known = [v for v in r.values if v is not None]
        value = f"{number(known[0], 3)} … {number(known[-1], 3)}" if known else ""
        ade = tuple(m[k] for m in means)
        rows.append(Row(k + 1, counts[k], scores[k], ade, listing(names, _MOST_SHOWN), value))
    return rows


def _mean(values: Sequence[float | None]) -> float:
    return float("inf") if None in values else float(np.mean([v for v in values if v is not None]))
