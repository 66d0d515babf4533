"""What stands beside the numbers of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RunFacts:
    """Where the numbers of a report come from.

    ``facts`` are shown in their order. ``history`` holds one mapping an epoch, with ``epoch`` and logged
    values by name (``train/loss``). ``notes`` are warnings a person must see.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    history: Sequence[Mapping[str, float]] = ()
    notes: Sequence[str] = ()
