"""The cases of the built-in data set: simulated on first use, kept in the cache folder, checked at every use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from understudy import __version__
from understudy.cae.simulate.campaign import run_campaign
from understudy.cae.simulate.refrigerant.experiment import RefrigerantCircuit
from understudy.core.cases import CaseTable
from understudy.core.domain import OnProgress
from understudy.core.files import user_cache
from understudy.core.parquet import read_parquet
from understudy.errors import ConfigError, did_you_mean

# Cases and seconds: enough to learn from within minutes, and as many as the reference system had.
SIZES = {
    "small": {"step2": (60, 600.0), "refrig_only": (60, 600.0)},
    "full": {"step2": (500, 1200.0), "refrig_only": (500, 3300.0)},
}
QUICK_SECONDS = 240.0


def kept_cases(
    size: str,
    *,
    variant: str = "step2",
    refrigerant: str = "R1234yf",
    seed: int = 0,
    max_cases: int | None = None,
    on_progress: OnProgress | None = None,
) -> CaseTable:
    """The cases of the suite ``train``, sampled every 0.1 s.

    Args:
        size: ``small`` or ``full``, see :data:`SIZES`.
        max_cases: for a quick look: no more than so many, and those of :data:`QUICK_SECONDS` at most.

    Raises:
        ConfigError: a name that does not exist, or a cache folder that cannot be written.
        DataError: what is kept was changed and cannot be made anew.
    """
    if size not in SIZES:
        hint = did_you_mean(size, SIZES)
        raise ConfigError(f"dataset.size is {' or '.join(SIZES)}, not {size!r}{hint}")
    experiment = RefrigerantCircuit(variant, refrigerant)  # names the variants that exist
    n_cases, seconds = SIZES[size][variant]
    if max_cases is not None:
        n_cases, seconds = min(n_cases, max_cases), min(seconds, QUICK_SECONDS)
    experiment = RefrigerantCircuit(variant, refrigerant, seconds=seconds)
    folder = _folder(experiment, n_cases, seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the cache folder {user_cache()} cannot be written ({error.strerror}); set UNDERSTUDY_CACHE to another"
        ) from error
    run_campaign(experiment, folder, n_cases, seed=seed, file_format="parquet", on_progress=on_progress)
    return read_parquet(folder / "cases.parquet")


def _folder(experiment: RefrigerantCircuit, n_cases: int, seed: int) -> Path:
    """A folder of its own for everything that decides the values."""
    identity = json.dumps([__version__, experiment.describe(), n_cases, seed], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    return user_cache() / "refrigerant" / f"{experiment.variant}-{n_cases}x{experiment.seconds:g}s-{digest}"
