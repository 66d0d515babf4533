"""Case tables that are in memory already, brought to a coarser grid."""

from __future__ import annotations

import logging

import numpy as np

from understudy.cae.resample import resample
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.spec import DataSpec

log = logging.getLogger(__name__)


def resample_table(table: CaseTable, step: float | None, lowpass: float | None) -> CaseTable:
    """``table`` on a grid of ``step``; the table itself where that is not coarser than its own step."""
    spec = table.spec
    if step is None or abs(step - spec.step) <= 1e-3 * spec.step:
        return table
    if step < spec.step:
        log.warning(
            "decimate_range %g %s has no effect: the cases are sampled every %g %s",
            step, spec.step_unit, spec.step, spec.step_unit,
        )  # fmt: skip
        return table
    cases = []
    for case in table:
        time = np.asarray(case.start + spec.step * np.arange(len(case.values)), np.float64)
        start, values = resample(time, case.values, step, lowpass)
        cases.append(Case(case.id, values, start, case.metadata))
    return table_from_cases(DataSpec(spec.signals, step, spec.step_unit, spec.domain), cases)
