"""RNA as a domain of the engine: a sequence to the reactivity of every nucleotide to each chemical."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from understudy.core.domain import Chosen, Dataset
from understudy.progress import Progress
from understudy.rna.datasets import DemoDataset, RibonanzaDataset
from understudy.rna.predict import OPTIONS

if TYPE_CHECKING:
    from understudy.core.bundle import Bundle
    from understudy.core.study import Request, Study


class RNA:
    """Registered in the entry-point group ``understudy.domains``."""

    name = "rna"
    datasets: Mapping[str, Callable[..., Dataset]] = {
        "ribonanza": RibonanzaDataset,
        "ribonanza_demo": DemoDataset,
    }
    predict_options: Collection[str] = OPTIONS

    def study(self, request: Request) -> Study:
        from understudy.rna.study import ReactivityStudy  # torch: only where something is trained

        return ReactivityStudy(request)

    def surrogate(self, bundles: Sequence[Bundle]) -> Any:
        from understudy.core.bundle import title_of
        from understudy.rna.predict.ensemble import Ensemble
        from understudy.rna.predictor import NetworkPredictor
        from understudy.rna.surrogate import ReactivitySurrogate

        predictors = [NetworkPredictor(bundle) for bundle in bundles]
        predictor = predictors[0] if len(predictors) == 1 else Ensemble(predictors)
        return ReactivitySurrogate(predictor, title_of(bundles))

    def predict(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """See :func:`understudy.rna.predict.command.predict`."""
        from understudy.rna.predict.command import predict

        predict(paths, options, progress)

    def evaluate(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """See :func:`understudy.rna.study.evaluate_runs`."""
        from understudy.rna.study import evaluate_runs

        evaluate_runs(paths, options, progress)

    def acquire(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> Chosen:
        """See :func:`understudy.rna.acquire.acquire`."""
        from understudy.rna.acquire import acquire

        return acquire(paths, options, progress)
