"""``understudy acquire`` for CAE: which cases to simulate next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.cae.candidates import CaseCandidates
from understudy.cae.given import given_cases
from understudy.core.acquire import choose
from understudy.core.domain import Chosen
from understudy.core.surrogate import load
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.cae.domain import CAE


def acquire(domain: CAE, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> Chosen:
    """Choose from cases whose controls are known; their predicted signals may be absent.

    Args:
        paths: runs and candidates.
        options: ``by``, ``n``, ``seed``, and ``known``, the cases that were simulated already, or None. Candidates
            with the id of one of these are left out.

    Raises:
        ConfigError: the strategy lacks what it goes by, or there are fewer candidates.
        DataError: a case does not fit the runs.
    """
    surrogate = load(*paths[:-1])
    known = None
    if options["known"]:
        known = given_cases(domain, surrogate, Path(options["known"]), {}, progress, n_measured=None)
    table = given_cases(domain, surrogate, Path(paths[-1]), {}, progress, n_measured=0)
    if known is not None:
        table = table.without(known.ids)
    with progress.bar("looking at the candidates") as on_progress:
        candidates = CaseCandidates(surrogate.models, surrogate.task, table, known, on_progress)
        picks = choose(candidates, options["by"], options["n"], seed=options["seed"])
    return Chosen([table.ids[p.place] for p in picks], [p.value for p in picks])
