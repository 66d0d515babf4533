"""The cases that a user gives to a trained run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.core.cases import CaseTable
from understudy.core.surrogate import Surrogate
from understudy.errors import DataError
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.cae.domain import CAE


def given_cases(
    domain: CAE,
    surrogate: Surrogate,
    source: Path,
    options: Mapping[str, Any],
    progress: Progress,
    *,
    n_measured: int | None,
) -> CaseTable:
    """The cases of ``source`` as the surrogate needs them; with ``skip_bad`` in ``options`` bad ones are left out.

    Raises:
        DataError: nothing there, or a case does not fit the model.
    """
    if not source.exists():
        raise DataError(f"{source}: no such folder or file")
    with progress.bar("reading the cases") as on_progress:
        loaded = domain.read_like(
            source,
            surrogate.spec,
            n_measured=n_measured,
            on_progress=on_progress,
            on_bad_case="skip" if options.get("skip_bad") else "error",
        )
    for line in loaded.skipped:
        progress.say(f"left out: {line}")
    surrogate.task.check(loaded.table)
    return loaded.table
