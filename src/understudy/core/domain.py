"""The seam between the engine and a field of use, looked up by entry point on first use.

A domain is found in the entry-point group ``understudy.domains``; a third field is a new distribution with a
line there, not a new branch here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from understudy.core.cases import CaseTable
from understudy.errors import ConfigError, did_you_mean
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.core.bundle import Bundle
    from understudy.core.study import Request, Study

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Preprocess:
    """What happens to a case on its way in.

    Args:
        step: grid to interpolate to, in units of the time axis; None: the data's own.
        lowpass: cut-off frequency of a zero-phase filter before a coarser grid, per unit of the time axis.
        max_cases: read no more than so many, for a quick look.
    """

    step: float | None = None
    lowpass: float | None = None
    max_cases: int | None = None


@dataclass(frozen=True)
class Loaded:
    """Cases, and the lines a person must see about those that were left out."""

    table: CaseTable
    skipped: Sequence[str] = field(default_factory=tuple)


class Chosen(NamedTuple):
    """What to do next, the most wanted first, with what each was chosen for."""

    ids: list[str]
    values: list[float]


class Dataset(Protocol):
    """A dataclass whose fields are the keys of ``conf/dataset/<name>.yaml``; how to split is among them.

    What else it can do is between it and the study of its domain.
    """

    name: str


class Domain(Protocol):
    """A field of use."""

    name: str
    datasets: Mapping[str, Callable[..., Dataset]]
    predict_options: Collection[str]  # of `understudy predict`, those that mean something here

    def study(self, request: Request) -> Study:
        """A training run on one of the data sets.

        Raises:
            ConfigError: settings that do not fit.
        """

    def surrogate(self, bundles: Sequence[Bundle]) -> Any:
        """What :func:`understudy.load` gives a user for bundles of this domain: of several their mean."""

    def predict(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """Write what the runs at the first of ``paths`` predict for what the last one holds.

        ``options`` are those of ``predict_options`` that were given.
        """

    def evaluate(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """Compare the run at the first of ``paths`` with the measured cases at the last one.

        Several runs are compared as their mean. The report goes to ``options["out"]``.
        """

    def acquire(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> Chosen:
        """Choose from the candidates at the last of ``paths`` by what the runs before it say of them.

        ``options`` are ``by``, ``n``, ``seed``, and of ``known`` and ``pairing`` what was given.
        """


@cache
def domains() -> Mapping[str, Domain]:
    """All installed domains by name."""
    return {point.name: point.load()() for point in entry_points(group="understudy.domains")}


def domain(name: str) -> Domain:
    """
    Raises:
        ConfigError: no such domain is installed.
    """
    known = domains()
    if name not in known:
        raise ConfigError(
            f"no domain is called {name!r}{did_you_mean(name, known)}; installed: {', '.join(known)}"
        )
    return known[name]
