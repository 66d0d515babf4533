"""Write docs/reference/settings.md from the sources of the configuration: ``python docs/write_settings.py``."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "understudy"
HEAD = """\
# Every setting

Written by `python docs/write_settings.py` from the sources. Any key can be given to `understudy train` as
`key=value`; `understudy config show` prints the values that a command line composes to.
"""
FIELD = re.compile(r"^    (\w+): ([^=\n]+?) = (?:\(\n +)?(.+?)(?:  # (.*))?$", re.M)


def typed_groups() -> list[str]:
    """Tables of the dataclasses in ``settings.py``."""
    text = (SOURCE / "settings.py").read_text(encoding="utf-8")
    parts = []
    for name in ("Settings", "Trainer", "Tracking", "Report"):
        body = re.search(rf"class {name}:\n    \"\"\"(.*?)\"\"\"\n(.*?)(?:\n\n\n|\Z)", text, re.S)
        assert body
        parts += [f"\n## `{name.lower()}`\n\n{body[1]}\n", "| key | type | default | |", "|---|---|---|---|"]
        for key, kind, default, words in FIELD.findall(body[2]):
            shown = {"True": "true", "False": "false", "None": "null"}.get(default, default.strip('"'))
            parts.append(f"| `{name.lower()}.{key}` | {kind.replace('|', 'or')} | `{shown}` | {words} |")
    return parts


def family(group: str) -> list[str]:
    """Tables of the yaml files of an open family."""
    parts = [f"\n## `{group}=…`"]
    for path in sorted((SOURCE / "conf" / group).glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        about = " ".join(
            line[2:] for line in text.splitlines() if line.startswith("# ") and "@package" not in line
        )
        parts += [f"\n### `{group}={path.stem}`\n\n{about}\n", "```yaml"]
        parts += [line for line in text.splitlines() if not line.startswith("#")]
        parts.append("```")
    return parts


def page() -> str:
    """The whole page."""
    return (
        "\n".join([HEAD, *typed_groups(), *family("model"), *family("dataset"), *family("experiment")]) + "\n"
    )


if __name__ == "__main__":
    (ROOT / "docs" / "reference" / "settings.md").write_text(page(), encoding="utf-8")
