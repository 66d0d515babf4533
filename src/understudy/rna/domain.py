"""RNA as a domain of the engine: a sequence to the reactivity of every nucleotide to each chemical."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from understudy.core.domain import Dataset
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

    def surrogate(self, bundle: Bundle) -> Any:
        from understudy.rna.predictor import NetworkPredictor
        from understudy.rna.surrogate import ReactivitySurrogate

        return ReactivitySurrogate(NetworkPredictor(bundle), bundle.network)

    def predict(self, paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> None:
        """See :func:`understudy.rna.predict.command.predict`."""
        from understudy.rna.predict.command import predict

        predict(paths, options, progress)

    def evaluate(self, run: str, source: str, options: Mapping[str, Any], progress: Progress) -> None:
        """See :func:`understudy.rna.study.evaluate_run`."""
        from understudy.rna.study import evaluate_run

        evaluate_run(run, source, options, progress)
