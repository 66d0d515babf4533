"""The seam between the engine and a field of use, looked up by entry point on first use.

A domain is found in the entry-point group ``understudy.domains``; a third field is a new distribution with a
line there, not a new branch here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from understudy.core.cases import Case, CaseTable
from understudy.core.spec import DataSpec
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

    def surrogate(self, bundle: Bundle) -> Any:
        """What :func:`understudy.load` gives a user for a bundle of this domain."""

    def read_like(
        self, path: Path, spec: DataSpec, *, n_measured: int | None, on_progress: OnProgress, **options: Any
    ) -> Loaded:
        """Cases for a trained model; with ``n_measured``, only that many rows need measured predicted signals."""

    def write_case(self, folder: Path, spec: DataSpec, case: Case) -> Path:
        """Write a case in the file format of the field; returns the file."""

    def predict(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """Write what the runs at the first of ``paths`` predict for what the last one holds.

        ``options`` are those of ``predict_options`` that were given.
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
