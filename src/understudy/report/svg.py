"""Figures that live inside the page: their colours follow its theme, their text is text."""

from __future__ import annotations

import io
import re
from itertools import count

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from understudy.report.draw import Palette, lettering

# Matplotlib knows no CSS variables, so figures are drawn in stand-in colours that are replaced afterwards.
THEMED = Palette("#010101", "#010102", "#010103", "#010104", "#010105", "#010106")
METHODS = tuple(f"#0102{i:02x}" for i in range(6))
LINES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1)))
_VARIABLES = {
    THEMED.ink: "--ink",
    THEMED.muted: "--muted",
    THEMED.grid: "--line",
    THEMED.truth: "--truth",
    THEMED.prediction: "--m0",
    THEMED.alarm: "--alarm",
    **{colour: f"--m{i}" for i, colour in enumerate(METHODS)},
}
_STAND_IN = re.compile("|".join(_VARIABLES))
_TAG = re.compile(r"<[^>]+>")
_FONT = re.compile(r"font-family: [^;\"]*;? ?")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches without a background of its own."""
    figure = Figure(figsize=(width, height))
    figure.patch.set_visible(False)
    return figure


class Svgs:
    """Turns figures into inline SVG; ids of one page never meet."""

    def __init__(self) -> None:
        self._count = count(1)

    def render(self, figure: Figure, description: str) -> Markup:
        """``figure`` as an ``<svg>`` element that screen readers announce as ``description``."""
        for axes in figure.axes:
            axes.patch.set_visible(False)
        buffer = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}), lettering():
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        text = buffer.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        view = re.search(r'viewBox="([^"]*)"', text)
        assert view is not None  # matplotlib always writes one
        own = f"s{next(self._count)}-"
        body = _TAG.sub(lambda tag: _themed(tag[0], own), text[text.index(">") + 1 :])
        # Safe: matplotlib escapes what it writes, and the description is escaped here.
        return Markup(f'<svg role="img" viewBox="{view[1]}" aria-label="{escape(description)}">{body}')


def _themed(tag: str, own: str) -> str:
    """A tag without what the page decides; texts between tags are left alone, whatever they look like."""
    tag = re.sub(r'^<g id="[^"]*"', "<g", tag)
    tag = re.sub(r'\bid="', f'id="{own}', tag)
    tag = tag.replace('xlink:href="#', f'href="#{own}').replace("url(#", f"url(#{own}")
    tag = _STAND_IN.sub(lambda found: f"var({_VARIABLES[found[0]]})", tag)
    return " ".join(_FONT.sub("", tag).split())
