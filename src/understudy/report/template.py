"""Pages from templates: one layout, and for each kind of page a template that extends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

_OWN = "understudy.report"


def render_page(package: str, template: str, content: Mapping[str, Any]) -> str:
    """The page that ``template``, a file of ``package``, makes of ``content``.

    It may extend ``layout.html.j2`` and import from ``macros.html.j2``, which are files of this package. Every
    text is escaped; a name that ``content`` lacks is an error.
    """

    def source(name: str) -> str:
        home = package if name == template else _OWN
        return resources.files(home).joinpath(name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    return environment.get_template(template).render(content)


def _code(text: str) -> Markup:
    """Plain text in which `names` stand in backticks, as HTML."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
