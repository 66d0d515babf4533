"""The made data set has the shape of measured ones: paired and unpaired, letters, noise, filter, edges."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from understudy.rna.demo import made_molecules
from understudy.rna.designs import FLANK, LONGEST, SHORTEST, TAIL, design
from understudy.rna.molecules import ALPHABET, CHEMICALS, Molecules, read_molecules, write_molecules
from understudy.rna.pairing import Pairs, available, pairing_of
from understudy.rna.structure import partners

A, C, G, U = range(4)
A3, DMS = map(CHEMICALS.index, ("2A3", "DMS"))
needs_vienna = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(scope="module", params=["ensemble", "designs"])
def made(request: pytest.FixtureRequest) -> Molecules:
    if request.param == "ensemble":
        if available() is not None:
            pytest.skip(str(available()))
        return made_molecules(150, jobs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "RNA", None)
        return made_molecules(150, jobs=1)


def equal(a: Molecules, b: Molecules) -> bool:
    return a.fingerprint == b.fingerprint


def test_its_layout(made: Molecules) -> None:
    assert len(made) == len(set(made.ids)) == 150
    assert made.lengths.min() >= SHORTEST
    assert made.lengths.max() <= LONGEST
    assert len(set(made.lengths)) > 20
    for m in range(len(made)):
        assert made.sequence(m).startswith(FLANK)
        assert made.sequence(m).endswith(TAIL)
    assert made.dataset_names == ("demo",)


def test_edges_are_not_measured_and_everything_else_is(made: Molecules) -> None:
    for m in range(len(made)):
        rows = slice(made.offsets[m], made.offsets[m + 1])
        for values in (made.reactivity[rows], made.error[rows]):
            assert np.isnan(values[:26]).all()
            assert np.isnan(values[-20:]).all()
            assert np.isfinite(values[26:-20]).all()
    assert np.nanmin(made.error) > 0


def test_the_filter_is_what_its_figures_say(made: Molecules) -> None:
    np.testing.assert_array_equal(made.sn_filter, (made.signal_to_noise > 1) & (made.reads > 100))
    for m in range(len(made)):
        rows = slice(made.offsets[m], made.offsets[m + 1])
        ratio = np.nanmean(made.reactivity[rows], axis=0) / np.nanmean(made.error[rows], axis=0)
        np.testing.assert_allclose(made.signal_to_noise[m], ratio, rtol=0.05, atol=0.02)
    assert 0.6 < made.scored.mean() < 0.95  # some molecules are noisy
    assert (made.reads == np.ceil(made.reads)).all()


def test_values_are_normalised_and_not_clipped(made: Molecules) -> None:
    good = made.take(made.scored).reactivity
    np.testing.assert_allclose(np.nanpercentile(good, 90, axis=0), 1, atol=0.25)
    assert (np.nanmin(good, axis=0) < -0.1).all()
    assert (np.nanmax(good, axis=0) > 1.5).all()


def test_dms_sees_a_and_c(made: Molecules) -> None:
    good = made.take(made.scored)
    level = np.array([np.nanmean(good.reactivity[good.tokens == t], axis=0) for t in (A, C, G, U)])
    assert level[[A, C], DMS].min() > 2 * level[[G, U], DMS].max()
    assert level[[A, G], A3].min() > level[C, A3]
    assert level[:, A3].max() < 5 * level[:, A3].min()  # 2A3 sees every letter


def test_errors_tell_the_noise(made: Molecules) -> None:
    """Few reads: large errors; and within a molecule larger where the reactivity is."""
    mean = np.array(
        [np.nanmean(made.error[made.offsets[m] : made.offsets[m + 1]], axis=0) for m in range(150)]
    )
    assert np.corrcoef(np.log(mean.ravel()), np.log(made.reads.ravel()))[0, 1] < -0.9
    good = made.take(made.signal_to_noise.min(axis=1) > 5)
    low, high = good.reactivity < 0.2, good.reactivity > 1
    assert np.nanmedian(good.error[high]) > 1.3 * np.nanmedian(good.error[low])


@needs_vienna
def test_unpaired_reacts_more(tmp_path: Path) -> None:
    good = made_molecules(150, jobs=1)
    good = good.take(good.scored)
    pairs = pairing_of([good.sequence(m) for m in range(len(good))], folder=tmp_path, jobs=1)
    paired = np.concatenate([pairs.per_nucleotide(m, int(n))[:, 0] for m, n in enumerate(good.lengths)])
    seen = np.isfinite(good.reactivity[:, 0])
    for chemical, letters in ((A3, [A, C, G, U]), (DMS, [A, C])):
        for letter in letters:
            of = seen & (good.tokens == letter)
            y = good.reactivity[:, chemical]
            assert np.median(y[of & (paired < 0.1)]) > 3 * np.median(y[of & (paired > 0.9)])
    # One family of molecules has no structure, so that pairing has something to tell.
    assert 0.2 < (paired[seen] > 0.5).mean() < 0.8


def test_the_same_seed_makes_the_same_molecules(made: Molecules, request: pytest.FixtureRequest) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if "designs" in request.node.name:
            patch.setitem(sys.modules, "RNA", None)
        assert equal(made_molecules(20, jobs=1), made.head(20).take(np.arange(20)))
        assert not equal(made_molecules(20, seed=1, jobs=1), made.head(20))
        assert len(made_molecules(0)) == 0


@needs_vienna
def test_worker_processes_make_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = made_molecules(20, jobs=1)
    monkeypatch.setattr("understudy.rna.pool._WORTH_WORKERS_S", 0)
    monkeypatch.setattr("understudy.rna.pool._CHUNK_S", 0.01)
    assert equal(made_molecules(20, jobs=2), alone)


def test_it_goes_through_a_file(made: Molecules, tmp_path: Path) -> None:
    write_molecules(made, tmp_path / "demo.parquet")
    assert equal(read_molecules(tmp_path / "demo.parquet"), made)


def test_designs_can_form_their_structure() -> None:
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(300):
        made = design(rng, may_be_random=False)
        assert len(made.sequence) == len(made.structure)
        partner = partners(made.structure)
        for i, j in enumerate(partner):
            if j > i:
                assert made.sequence[i] + made.sequence[j] in {"GC", "CG", "AU", "UA", "GU", "UG"}
                assert j - i > 3
        region = made.structure[len(FLANK) : -len(TAIL) - 21]
        stem, inner = region.find("(("), region.strip(".")
        kinds.add("multiloop" if ")." in inner and partners(inner)[0] == len(inner) - 1 else "other")
        assert stem >= 0
    assert kinds == {"multiloop", "other"}


@needs_vienna
def test_most_designs_fold_as_designed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    some = [design(rng, may_be_random=False) for _ in range(60)]
    pairs: Pairs = pairing_of([d.sequence for d in some], folder=tmp_path, jobs=1)
    meant = []
    for m, made in enumerate(some):
        matrix, partner = pairs.matrix(m, len(made.sequence)), partners(made.structure)
        meant += [matrix[i, j] for i, j in enumerate(partner) if j > i]
    assert np.mean(meant) > 0.7
    assert set("".join(d.sequence for d in some)) == set(ALPHABET)
