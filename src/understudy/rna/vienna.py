"""What is asked of ViennaRNA, under which settings, and what to say where it is absent.

A worker process imports this module and no other of the package: it starts in a tenth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError

# Below it a pair is not kept: a nucleotide has hundreds of partners of which few matter.
CUTOFF = 1e-4
# Earlier versions give wrong probabilities for some calls.
_OLDEST = (2, 7, 1)
_INSTALL = "pip install 'understudy[rna]'"
_SETTINGS = "37C-d2-p1e-4"
# The energy parameters that ViennaRNA brings, by how it calls them; the first are its own choice.
STANDARD = "turner2004"
ENERGIES = {
    STANDARD: "RNA_Turner2004",
    "turner1999": "RNA_Turner1999",
    "andronescu2007": "RNA_Andronescu2007",
    "langdon2018": "RNA_Langdon2018",
}
# From this length on, the partition function is scaled by the energy of the best structure, as it may leave the
# range of floating point otherwise; below, that fold would cost half as much again for nothing.
_SCALED_FROM = 500

# Of many sequences: offsets, i, j and p, as in Pairs.
Found = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]


def available() -> str | None:
    """None where ViennaRNA can be used, otherwise the one line that says how to install it."""
    try:
        version = str(import_module("RNA").__version__)
    except (ImportError, AttributeError):
        return f"ViennaRNA is not installed, which computes base pairs: {_INSTALL}"
    if tuple(int(n) for n in re.findall(r"\d+", version)[:3]) < _OLDEST:
        return (
            f"ViennaRNA {version} is too old, {'.'.join(map(str, _OLDEST))} is the oldest that is right: "
            f"{_INSTALL} --upgrade"
        )
    return None


def vienna() -> Any:
    """The module ``RNA``.

    Raises:
        ConfigError: it is absent or too old.
    """
    problem = available()
    if problem:
        raise ConfigError(problem)
    return import_module("RNA")


def engine_name(energies: str = STANDARD) -> str:
    """Engine, version and settings in one word: results of another word are other results."""
    return f"viennarna-{vienna().__version__}-{energies}-{_SETTINGS}"


@contextmanager
def _energies(rna: Any, name: str) -> Iterator[None]:
    """ViennaRNA keeps its energy parameters for the whole process: they are the standard ones again afterwards."""
    if name == STANDARD:
        yield
        return
    _load(rna, name)
    try:
        yield
    finally:
        _load(rna, STANDARD)


def _load(rna: Any, name: str) -> None:
    getattr(rna, f"params_load_{ENERGIES[name]}")()
    # The next fold would take the parameters of the last one where its settings are the same.
    fold = rna.fold_compound("A", model(rna))
    fold.params_reset()
    fold.exp_params_reset()


def model(rna: Any) -> Any:
    """The settings of the energy model, whatever the global ones of this process are."""
    return rna.md(temperature=37.0, dangles=2)


def probabilities(sequences: Sequence[str], energies: str = STANDARD) -> Found:
    """Pairing probabilities above ``CUTOFF`` of sequences in capital ACGU, under one of :data:`ENERGIES`."""
    rna = vienna()
    counts, triples = [], []
    with _energies(rna, energies):
        for sequence in sequences:
            pairs = _one(rna, sequence)
            counts.append(len(pairs))
            triples.extend(pairs)
    i, j, p = np.array(triples, np.float64).reshape(-1, 3).T
    offsets = np.array([0, *accumulate(counts)], np.int64)
    return (
        offsets,
        i.astype(np.uint16),
        j.astype(np.uint16),
        np.clip(p, 0, 1).astype(np.float32),  # long sequences may give a hair more than 1
    )


def _one(rna: Any, sequence: str) -> list[tuple[int, int, float]]:
    fold = rna.fold_compound(sequence, model(rna))
    if len(sequence) >= _SCALED_FROM:
        fold.exp_params_rescale(fold.mfe()[1])
    fold.pf()
    # Other types than 0 are motifs (G-quadruplexes, ligands), which this model has not.
    return sorted((e.i - 1, e.j - 1, e.p) for e in fold.plist_from_probs(CUTOFF) if e.type == 0)
