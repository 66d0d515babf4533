"""What a user of a trained RNA network holds in hand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import NDArray

from understudy.errors import DataError
from understudy.rna.pairing import Pairs, available, pairings_of
from understudy.rna.predict.ensemble import Ensemble, Predictor, over_pairings
from understudy.rna.predict.pipeline import Block, predict_blocks
from understudy.rna.predict.write import PREDICTED
from understudy.rna.sequences import decode, encode_many
from understudy.rna.table import ALPHABET

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]
Pairing = bool | Literal["all"]


class ReactivitySurrogate:
    """A trained stand-in for the probing experiment: sequences in, reactivities of every nucleotide out.

    ::

        surrogate = understudy.load("runs/RUN")
        y = surrogate.predict("GGGAAACGCUUCGGCGAAACCC")   # (22, 4)
        table = surrogate.table({"hairpin": "GGGAAACGCUUCGGCGAAACCC"})

    Args:
        predictor: from a list of sequences and their pairs to one array ``(L, 4)`` each.
        name: of the network, for people.
    """

    def __init__(self, predictor: Predictor, name: str = "network") -> None:
        self.predictor = predictor
        self.name = name
        self._ensemble = Ensemble([predictor])

    def __repr__(self) -> str:
        return f"ReactivitySurrogate({self.name}: a sequence of {ALPHABET} → {', '.join(PREDICTED)})"

    @overload
    def predict(self, sequences: str, pairs: Pairs | None = None, *, pairing: Pairing = True) -> Floats: ...
    @overload
    def predict(
        self, sequences: list[str] | tuple[str, ...], pairs: Pairs | None = None, *, pairing: Pairing = True
    ) -> list[Floats]: ...
    def predict(
        self,
        sequences: str | list[str] | tuple[str, ...],
        pairs: Pairs | None = None,
        *,
        pairing: Pairing = True,
    ) -> Floats | list[Floats]:
        """Predict the reactivities of one sequence or several, of any lengths.

        Args:
            sequences: letters A C G U (or T), capital or small.
            pairs: their base-pairing probabilities, in their order; None: they are computed where ViennaRNA is
                installed, and kept for the next time.
            pairing: False: predict without base-pairing probabilities; ``"all"``: the mean of predictions under all
                energy parameters that ViennaRNA brings.

        Returns:
            float32 ``(L, 4)``, or a list of them: reactivity to 2A3 and to DMS, in [0, 1] where 1 is about the 90th
            percentile of a good experiment, and the error of each that a measurement would have.

        Raises:
            DataError: another letter, an empty sequence, or pairs of another number of sequences.
        """
        several = [sequences] if isinstance(sequences, str) else list(sequences)
        if not several:
            return []
        names = [f"sequence {n}" for n in range(1, len(several) + 1)]
        tokens, offsets = encode_many(several, names)
        letters = decode(tokens)
        clean = [letters[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
        if pairs is not None and len(pairs) != len(clean):
            raise DataError(f"pairs of {len(pairs)} sequences for {len(clean)} sequences")
        given: list[Pairs | None] = [pairs if pairing else None]
        if pairs is None and pairing and self._can_pair():
            given = [*pairings_of(clean, _wanted(pairing))]
        ys = over_pairings(self._ensemble, clean, given)
        for y in ys:
            np.clip(y[:, :2], 0, 1, out=y[:, :2])
        return ys[0] if isinstance(sequences, str) else ys

    def table(self, sequences: dict[str, str], *, pairing: Pairing = True) -> pd.DataFrame:
        """The same as a DataFrame with a row a nucleotide.

        Args:
            sequences: by id.
            pairing: as for :meth:`predict`.

        Returns:
            Columns ``sequence_id, position`` (from 1) ``, nucleotide, 2A3, DMS, error_2A3, error_DMS``.

        Raises:
            DataError: as :meth:`predict`.
        """
        import pandas as pd

        if not sequences:
            raise DataError("there are no sequences to predict")
        pair = partial(pairings_of, wanted=_wanted(pairing)) if pairing and self._can_pair() else None
        frames = [_frame(block) for block in predict_blocks(sequences.items(), self._ensemble, pair)]
        return pd.concat(frames, ignore_index=True)

    def _can_pair(self) -> bool:
        return self._ensemble.uses_pairs and available() is None


def _wanted(pairing: Pairing) -> str:
    return "all" if pairing == "all" else "auto"


def _frame(block: Block) -> pd.DataFrame:
    import pandas as pd

    lengths = np.diff(block.offsets)
    frame = pd.DataFrame(
        {
            "sequence_id": np.repeat(np.array(block.ids, object), lengths),
            "position": np.arange(len(block.tokens)) - np.repeat(block.offsets[:-1], lengths) + 1,
            "nucleotide": np.array(list(ALPHABET))[block.tokens],
        }
    )
    return frame.assign(**dict(zip(PREDICTED, block.values.T, strict=True)))
