"""Structures guided by a profile, and the files that other programs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import ConfigError, DataError
from understudy.rna.pairing import available
from understudy.rna.structure import (
    Fold,
    fold,
    fold_many,
    partners,
    write_ct,
    write_dbn,
    write_shape,
)

needs_vienna = pytest.mark.skipif(available() is not None, reason=str(available()))

# Designed for KNOWN; the energy model alone prefers another structure.
MISLEADING = "GCCGGGAAAGGUGUUUUUCACAGCUCACCAAACGCGGUGAGAAC"
KNOWN = "...((((((....))))))....((((((......))))))..."


def informative(structure: str) -> np.ndarray:
    """What a clean 2A3 experiment would give: high where unpaired, about zero elsewhere."""
    return np.where(partners(structure) < 0, 0.9, 0.02)


@needs_vienna
def test_a_profile_finds_the_structure_that_energy_alone_misses() -> None:
    plain, guided = fold(MISLEADING), fold(MISLEADING, informative(KNOWN))
    assert plain.structure != KNOWN
    assert guided.structure == KNOWN
    assert guided.energy > plain.energy  # without pseudo-energies it cannot be below the least


@needs_vienna
def test_a_profile_that_says_nothing_changes_nothing() -> None:
    assert fold(MISLEADING, np.full(len(MISLEADING), np.nan)) == fold(MISLEADING)


@needs_vienna
def test_negative_noise_is_a_low_value_and_not_a_missing_one() -> None:
    """Only the nucleotides of the stems are measured, all below 0."""
    profile = np.where(partners(KNOWN) < 0, np.nan, -0.3)
    assert fold(MISLEADING, profile).structure == KNOWN


@needs_vienna
def test_the_profile_is_not_shifted() -> None:
    """Each value belongs to its nucleotide: one high value in a stem opens the pair there, and no other."""
    sequence = "GGGAGCACUUCGGUGCUCCC"
    closed = fold(sequence)
    assert closed.structure == "((((((((....))))))))"
    for at in (1, 2, 17, 18):
        profile = np.zeros(len(sequence))
        profile[at] = 1e6
        opened = fold(sequence, profile, scale=1, slope=3)
        assert opened.structure[at] == "."


@needs_vienna
def test_many_are_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.rna.pool._WORTH_WORKERS_S", 0)
    monkeypatch.setattr("understudy.rna.pool._CHUNK_S", 0)
    some = [MISLEADING, "GGGGAAAACCCC", MISLEADING[::-1], "ACGU" * 8]
    profiles = [informative("." * len(s)) * np.linspace(0, 1, len(s)) for s in some]
    assert fold_many(some, jobs=2) == [fold(s) for s in some]
    assert fold_many(some, profiles, jobs=2) == [fold(s, p) for s, p in zip(some, profiles, strict=True)]


def test_a_profile_of_another_length_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\(3,\) for 4 nucleotides"):
        write_shape(tmp_path / "x.shape", "ACGU", [0.1, 0.2, 0.3])


def test_without_viennarna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "RNA", None)
    with pytest.raises(ConfigError, match="pip install"):
        fold("ACGU")


@needs_vienna
def test_shape_files_are_what_viennarna_reads(tmp_path: Path) -> None:
    import RNA

    path = tmp_path / "x.shape"
    write_shape(path, "GACUU", [np.nan, 0.27, -0.5, 1.35, 0.0])
    values, letters, status = RNA.file_SHAPE_read(str(path), 5, -999.0)
    assert (status, letters) == (1, "NACUU")
    np.testing.assert_allclose(values[1:], [-999, 0.2, 0, 1, 0], atol=1e-4)


@needs_vienna
def test_a_shape_file_gives_the_guided_structure(tmp_path: Path) -> None:
    """With the defaults of RNAfold, slope 1.8 and intercept -0.6."""
    import RNA

    path = tmp_path / "x.shape"
    write_shape(path, MISLEADING, informative(KNOWN))
    values, _, _ = RNA.file_SHAPE_read(str(path), len(MISLEADING), -999.0)
    compound = RNA.fold_compound(MISLEADING)
    compound.sc_add_SHAPE_deigan(values, 1.8, -0.6)
    assert compound.mfe()[0] == fold(MISLEADING, informative(KNOWN)).structure


def test_dot_bracket_files(tmp_path: Path) -> None:
    write_dbn(tmp_path / "x.dbn", [("a", "GGAACC", Fold("((..))", -1.5)), ("b", "ACGU", Fold("....", 0.0))])
    assert (tmp_path / "x.dbn").read_text() == ">a\nGGAACC\n((..)) (-1.50)\n>b\nACGU\n.... (0.00)\n"


def test_connectivity_tables(tmp_path: Path) -> None:
    write_ct(tmp_path / "x.ct", [("a b", "GACC", Fold("(..)", -1.5)), ("c", "A", Fold(".", 0.0))])
    lines = [line.split() for line in (tmp_path / "x.ct").read_text().splitlines()]
    assert lines == [
        ["4", "ENERGY", "=", "-1.50", "a", "b"],
        ["1", "G", "0", "2", "4", "1"],
        ["2", "A", "1", "3", "0", "2"],
        ["3", "C", "2", "4", "0", "3"],
        ["4", "C", "3", "0", "1", "4"],
        ["1", "ENERGY", "=", "0.00", "c"],
        ["1", "A", "0", "0", "0", "1"],
    ]


structures = st.recursive(
    st.text(".", max_size=4), lambda inner: st.tuples(inner, inner).map(lambda t: f"({t[0]}){t[1]}")
)


@settings(deadline=None)
@given(structures)
def test_partners_are_mutual_and_nested(structure: str) -> None:
    partner = partners(structure)
    paired = np.flatnonzero(partner >= 0)
    assert {structure[k] for k in paired} <= {"(", ")"}
    assert structure.count("(") == (partner > np.arange(len(structure))).sum()
    np.testing.assert_array_equal(partner[partner[paired]], paired)
    for i in paired:
        inside = partner[min(i, partner[i]) + 1 : max(i, partner[i])]
        inside = inside[inside >= 0]
        assert ((inside > min(i, partner[i])) & (inside < max(i, partner[i]))).all()


@pytest.mark.parametrize(
    ("structure", "words"),
    [("(()", "position 1"), ("())", "position 3"), (".[.]", "position 2")],
)
def test_wrong_brackets_are_named(structure: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        partners(structure)
