"""``understudy acquire`` for RNA: which sequences to probe next."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.core.acquire import choose
from understudy.core.bundle import load_bundle
from understudy.core.domain import Chosen
from understudy.core.oneshot import OneShotModel
from understudy.errors import ModelError
from understudy.progress import Progress
from understudy.rna.batches import Sequences
from understudy.rna.candidates import Probe, SequenceCandidates
from understudy.rna.molecules import read_molecules
from understudy.rna.pairing import available, pairing_of
from understudy.rna.sequences import decode, encode_many, read_sequences


def acquire(paths: Sequence[str], options: Mapping[str, Any], progress: Progress) -> Chosen:
    """Choose from sequences.

    Args:
        paths: runs and candidates, in any format that predict reads.
        options: ``by``, ``n``, ``seed``, ``pairing``, and ``known``, what was probed already, or None. Candidates
            with the sequence of one of these are left out.

    Raises:
        ConfigError: the strategy lacks what it goes by, or there are fewer candidates.
        DataError, ModelError: a source or a run that cannot be used.
    """
    models = [_model(run) for run in paths[:-1]]
    pairs_wanted = (
        options["pairing"] != "none" and available() is None and any(m.net.uses_pairs for m in models)
    )
    known, probed = None, set()
    if options["known"]:
        measured = read_molecules(Path(options["known"])) if options["by"] == "learning-loss" else None
        if measured is None:
            records = dict(read_sequences(options["known"]))
        else:  # by number: a molecule may stand in several data sets
            records = {str(i): measured.sequence(i) for i in range(len(measured))}
        sequences = _sequences(records, pairs_wanted, progress)
        probed = set(_texts(sequences))
        known = Probe(sequences, measured)
    candidates = dict(read_sequences(paths[-1]))
    tokens, offsets = encode_many(list(candidates.values()), list(candidates))
    fresh = [text not in probed for text in _texts(Sequences(tokens, offsets))]
    candidates = {name: text for (name, text), new in zip(candidates.items(), fresh, strict=True) if new}
    looked_at = _sequences(candidates, pairs_wanted, progress)
    with progress.bar("looking at the candidates") as on_progress:
        pool = SequenceCandidates(models, looked_at, known, on_progress)
        picks = choose(pool, options["by"], options["n"], seed=options["seed"])
    names = list(candidates)
    return Chosen([names[p.place] for p in picks], [p.value for p in picks])


def _model(run: str) -> OneShotModel:
    model = load_bundle(Path(run)).model
    if not isinstance(model, OneShotModel):
        raise ModelError(f"{run} does not predict reactivities of RNA")
    return model


def _sequences(records: Mapping[str, str], pairs_wanted: bool, progress: Progress) -> Sequences:
    tokens, offsets = encode_many(list(records.values()), list(records))
    plain = Sequences(tokens, offsets)
    if not pairs_wanted or not records:
        return plain
    with progress.bar("base-pairing probabilities") as on_progress:
        return Sequences(tokens, offsets, pairing_of(_texts(plain), on_progress=on_progress))


def _texts(sequences: Sequences) -> list[str]:
    letters, ends = decode(sequences.tokens), sequences.offsets.tolist()
    return [letters[a:b] for a, b in itertools.pairwise(ends)]
