"""File names for signals and cases: safe on every file system, and never shared by two of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

_UNSAFE = re.compile(r"[^\w.+=@-]+")
# Windows opens a device of this name whatever its suffix is.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_MOST_BYTES = 120  # a file name holds 255; the writers put prefixes and suffixes around a slug


def slug(name: str) -> str:
    """``name`` as a file name: letters of any script, digits and ``.+=@-_``; the rest becomes ``_``."""
    safe = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).lstrip(".-").rstrip(".")
    safe = safe.encode()[:_MOST_BYTES].decode(errors="ignore")
    if _DEVICE.match(safe):
        safe = f"_{safe}"
    return safe or "_"


def slugs(names: Iterable[str], taken: Iterable[str] = ()) -> Mapping[str, str]:
    """A slug of its own for each of the different ``names``; none of them is ``taken``.

    Names that are safe as they stand keep their name; the others get out of their way with ``-2``, ``-3``, …
    Case does not tell two slugs apart, because some file systems do not either.
    """
    used = {t.casefold() for t in taken}
    chosen: dict[str, str] = {}
    every = list(names)
    for name in every:
        if slug(name) == name and name.casefold() not in used:
            chosen[name] = name
            used.add(name.casefold())
    for name in (n for n in every if n not in chosen):
        base = candidate = slug(name)
        count = 1
        while candidate.casefold() in used:
            count += 1
            candidate = f"{base}-{count}"
        used.add(candidate.casefold())
        chosen[name] = candidate
    return {name: chosen[name] for name in every}


def shorten(text: str, most: int) -> str:
    """``text`` on one line and in at most ``most`` characters; the middle is left out where it is longer."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[head - most + 1 :]}"
