"""What a sweep goes by: metrics that a run has logged, never one of the test cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudy.config import check_objective
from understudy.errors import ConfigError, did_you_mean
from understudy.tracking import Tracker


class Recorded:
    """A tracker that also remembers the metrics of this run.

    Args:
        names: metrics that will be asked for; a validation metric that the first epoch does not bring is an
            error then, not after hours.
    """

    def __init__(self, tracker: Tracker, names: tuple[str, ...]) -> None:
        self.run_id = tracker.run_id
        self._tracker = tracker
        self._names = names
        self._series: dict[str, dict[int, float]] = {}

    def parameters(self, values: Mapping[str, Any]) -> None:
        self._tracker.parameters(values)

    def tags(self, values: Mapping[str, str]) -> None:
        self._tracker.tags(values)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        self._tracker.metrics(values, step)
        for name, value in values.items():
            self._series.setdefault(name, {})[step] = value
        if any(name.startswith("val/") for name in values):
            for name in self._names:
                if name.startswith("val/"):
                    self._known(name)

    def files(self, folder: Path) -> None:
        self._tracker.files(folder)

    def close(self, status: str, error: str = "") -> None:
        self._tracker.close(status, error)

    def objective(self, error: float) -> float | list[float]:
        """The metrics asked for, each in the epoch whose weights were kept; without names, ``error`` itself.

        Raises:
            ConfigError: a metric that this run did not log.
        """
        if not self._names:
            return error
        kept = self._kept_epoch(error)
        values = [self._known(name) for name in self._names]
        return [series.get(kept, list(series.values())[-1]) for series in values]

    def _known(self, name: str) -> dict[int, float]:
        if name not in self._series:
            known = [n for n in self._series if not n.startswith(("test/", "baseline/"))]
            raise ConfigError(
                f"settings.objective: no metric is called {name!r}{did_you_mean(name, known)}; "
                f"this run logs {', '.join(sorted(known))}"
            )
        return self._series[name]

    def _kept_epoch(self, error: float) -> int:
        """The epoch with this validation error."""
        found = [
            (abs(value - error), step)
            for name, series in self._series.items()
            if name.startswith("val/")
            for step, value in series.items()
        ]
        return min(found)[1] if found else 0


def recorded(tracker: Tracker, objective: Any) -> Recorded:
    """
    Raises:
        ConfigError: ``objective`` is not the name of a metric, or names one of the test cases.
    """
    return Recorded(tracker, check_objective(objective))
