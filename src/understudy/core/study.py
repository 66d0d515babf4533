"""A training run as its domain sees it: what the engine asks for, and in which order.

The engine (:mod:`understudy.run`) trains, saves and tracks; what cases are, who tests, which baselines stand
beside the network and what a report shows is the domain's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from understudy.core.domain import Dataset, Preprocess
from understudy.core.facts import RunFacts
from understudy.core.spec import DataSpec
from understudy.core.tasks import Task
from understudy.progress import Progress
from understudy.settings import Report, Settings


@dataclass(frozen=True)
class Request:
    """What is to be studied."""

    network: str
    dataset: Dataset
    dataset_name: str
    preprocess: Preprocess
    settings: Settings
    report: Report
    folder: Path


@dataclass(frozen=True)
class Parts:
    """The cases of a run and who does what.

    Args:
        table: whatever the task of the domain takes.
        train, val, test: numbers of cases in the table.
        split: what ``split.json`` says.
        summary: one line for the terminal.
        notes: what a person must see about cases that were left out.
        facts: lines about the data for the report.
    """

    table: Any
    spec: DataSpec
    fingerprint: str
    train: Sequence[int]
    val: Sequence[int]
    test: Sequence[int]
    split: Mapping[str, Any]
    summary: str
    notes: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What an evaluation says: metrics for the tracker by name, and lines for the terminal."""

    metrics: Mapping[str, float]
    lines: Sequence[str]


class Study(Protocol):
    """Made for one run; the methods are called in the order they stand here."""

    @property
    def task(self) -> Task:
        """Known from the settings alone: a wrong one is found before anything is read or written."""

    def load(self, progress: Progress) -> Parts:
        """Read the cases and part them."""

    def fit_baselines(self, parts: Parts, progress: Progress) -> None:
        """Fit what the network will be compared with."""

    def closed_form(self, network: str) -> nn.Module | None:
        """The baseline called ``network``, which then is the model of the run; None: a network to be trained."""

    def build(
        self, parts: Parts, network: str, arguments: Mapping[str, Any], progress: Progress
    ) -> nn.Module:
        """A new model."""

    def calibrate(self, parts: Parts, model: nn.Module) -> dict[str, Any] | None:
        """What the validation cases say of the errors of the model, to be kept with it; None: nothing."""

    def baselines(self) -> Mapping[str, nn.Module]:
        """Those baselines that are kept as bundles beside the model."""

    def report(
        self,
        parts: Parts,
        network: str,
        model: nn.Module,
        others: Mapping[str, nn.Module],
        facts: RunFacts,
        progress: Progress,
    ) -> Outcome:
        """Evaluate the model on the test cases beside the baselines and ``others``, and write the report."""
