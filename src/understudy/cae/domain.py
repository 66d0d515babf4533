"""CAE as a domain of the engine: controls over time to every output channel over time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.cae.datasets import CsvDataset, RefrigerantDataset, TanksDataset
from understudy.cae.read import ReadOptions, read_like
from understudy.cae.tables import resample_table
from understudy.cae.write import write_case_csv
from understudy.core.cases import Case
from understudy.core.domain import Chosen, Dataset, Loaded, OnProgress
from understudy.core.parquet import read_parquet
from understudy.core.spec import DataSpec
from understudy.errors import DataError
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.core.bundle import Bundle
    from understudy.core.study import Request, Study


class CAE:
    """Registered in the entry-point group ``understudy.domains``."""

    name = "cae"
    datasets: Mapping[str, Callable[..., Dataset]] = {
        "csv": CsvDataset,
        "refrigerant": RefrigerantDataset,
        "tanks": TanksDataset,
    }
    predict_options: Collection[str] = frozenset({"out", "skip_bad", "coverage"})

    def study(self, request: Request) -> Study:
        from understudy.cae.study import RolloutStudy  # torch: only where something is trained

        return RolloutStudy(request)

    def surrogate(self, bundles: Sequence[Bundle]) -> Any:
        from understudy.core.surrogate import Surrogate

        return Surrogate(*bundles)

    def read_like(
        self, path: Path, spec: DataSpec, *, n_measured: int | None, on_progress: OnProgress, **options: Any
    ) -> Loaded:
        """A folder, a CSV file or a Parquet file with the signals of ``spec``, on its step.

        Raises:
            DataError: a file does not fit the model.
        """
        if path.suffix == ".parquet":
            table = resample_table(read_parquet(path), spec.step, None)
            different = spec.differences(table.spec)
            if different:
                raise DataError(f"{path} does not fit the model: {'; '.join(different)}")
            return Loaded(table)
        chosen = ReadOptions(step=spec.step, **options)
        table, bad = read_like(path, spec, chosen, n_measured=n_measured, on_progress=on_progress)
        return Loaded(table, [f"{case.path.name}: {case.reason}" for case in bad])

    def write_case(self, folder: Path, spec: DataSpec, case: Case) -> Path:
        """``<id>.csv`` with a row of names and a row of units, time first."""
        path = folder / f"{case.id}.csv"
        write_case_csv(path, spec, case.values, case.start)
        return path

    def predict(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """See :func:`understudy.cae.predict.predict`."""
        from understudy.cae.predict import predict  # the networks: only when they are used

        predict(self, paths, options, progress)

    def evaluate(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """See :func:`understudy.cae.evaluate.evaluate`."""
        from understudy.cae.evaluate import evaluate

        evaluate(self, paths, options, progress)

    def acquire(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> Chosen:
        """See :func:`understudy.cae.acquire.acquire`."""
        from understudy.cae.acquire import acquire

        return acquire(self, paths, options, progress)
