"""Base-pairing probabilities: what the cache gives back is what was computed, whatever happened to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import ConfigError, DataError
from understudy.rna import pool, vienna
from understudy.rna.pairing import Pairs, available, pairing_of, pairings_of
from understudy.rna.pairing.pairs import offsets_of
from understudy.rna.pairing.store import gather, keys_of, read_index, write_part

needs_vienna = pytest.mark.skipif(available() is not None, reason=str(available()))
HAIRPIN = "GGCACUUCGGUGCC"


def sequences(n: int = 30, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice("ACGU") for _ in range(20 + rng.randrange(40))) for _ in range(n)]


def same(a: Pairs, b: Pairs) -> bool:
    return all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ("offsets", "i", "j", "p")
    )


def parts_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sequence is a part of its own."""
    monkeypatch.setattr("understudy.rna.pairing.compute._PART_S", 0)
    monkeypatch.setattr("understudy.rna.pool._CHUNK_S", 0)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sequences that were computed, in this process."""
    computed: list[str] = []

    def counting(some: list[str], energies: str) -> vienna.Found:
        computed.extend(some)
        return vienna.probabilities(some, energies)

    monkeypatch.setattr("understudy.rna.pairing.compute.probabilities", counting)
    return computed


@needs_vienna
def test_a_hairpin(tmp_path: Path) -> None:
    pairs = pairing_of([HAIRPIN], folder=tmp_path)
    matrix = pairs.matrix(0, len(HAIRPIN))
    assert all(matrix[n, 13 - n] > 0.9 for n in range(5))
    assert matrix[5:9].max() < 0.1  # the loop
    assert (pairs.i < pairs.j).all()


@needs_vienna
def test_what_viennarna_says_itself(tmp_path: Path) -> None:
    """Against the full matrix that ViennaRNA gives, which is upper triangular and counts from 1."""
    import RNA

    some = [*sequences(3), "ACGU" * 140]  # the last one long enough to be scaled
    pairs = pairing_of(some, folder=tmp_path)
    for m, sequence in enumerate(some):
        fold = RNA.fold_compound(sequence)
        fold.exp_params_rescale(fold.mfe()[1])
        fold.pf()
        expected = np.array(fold.bpp())[1:, 1:]
        expected[expected < vienna.CUTOFF] = 0
        upper = np.triu(pairs.matrix(m, len(sequence)))
        np.testing.assert_allclose(upper, expected, atol=2e-6 if len(sequence) < 500 else 1e-3)


@needs_vienna
@pytest.mark.parametrize("energies", list(vienna.ENERGIES))
def test_energies_are_those_that_viennarna_gives_by_that_name(tmp_path: Path, energies: str) -> None:
    """Against ViennaRNA in a process of its own: the parameters belong to a process as a whole."""
    some = sequences(3)
    code = (
        f"import RNA, sys; RNA.params_load_{vienna.ENERGIES[energies]}()\n"
        "for s in sys.argv[1:]:\n"
        "    fold = RNA.fold_compound(s); fold.pf()\n"
        "    print(*(f'{e.i - 1} {e.j - 1} {e.p:.6f}' for e in fold.plist_from_probs(1e-4)), sep=',')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, *some], check=True, capture_output=True, text=True
    ).stdout
    pairs = pairing_of(some, folder=tmp_path, energies=energies)
    for m, line in enumerate(said.splitlines()):
        rows = [entry.split() for entry in line.split(",")]
        expected = {(int(i), int(j)): float(p) for i, j, p in rows}
        found = {(int(i), int(j)): float(p) for i, j, p in zip(*pairs.of(m), strict=True)}
        assert set(expected) == set(found)
        assert all(found[pair] == pytest.approx(p, abs=2e-6) for pair, p in expected.items())


@needs_vienna
def test_other_energies_leave_the_standard_ones_as_they_were(tmp_path: Path) -> None:
    some = sequences(4)
    before = pairing_of(some, folder=tmp_path / "before", jobs=1)
    several = pairings_of(some, "all", folder=tmp_path / "all")
    assert [len(pairs) for pairs in several] == [4] * len(vienna.ENERGIES)
    assert same(before, several[0])
    assert not any(same(before, pairs) for pairs in several[1:])
    assert same(before, pairing_of(some, folder=tmp_path / "after", jobs=1))
    assert len(list((tmp_path / "all").iterdir())) == len(vienna.ENERGIES)
    (alone,) = pairings_of(some, "auto", folder=tmp_path / "all")
    assert same(before, alone)


@needs_vienna
def test_progress_counts_the_pairs_under_all_energies(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    pairings_of(sequences(5), "all", folder=tmp_path, on_progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (20, 20)


@needs_vienna
def test_matrices_are_probabilities(tmp_path: Path) -> None:
    some = sequences()
    pairs = pairing_of(some, folder=tmp_path)
    assert len(pairs) == len(some)
    assert pairs.p.min() >= vienna.CUTOFF * 0.999
    assert pairs.p.max() <= 1
    for m, sequence in enumerate(some):
        matrix = pairs.matrix(m, len(sequence))
        assert matrix.shape == (len(sequence), len(sequence))
        np.testing.assert_array_equal(matrix, matrix.T)
        assert not matrix.diagonal().any()
        assert matrix.sum(0).max() <= 1 + 1e-5
        both = pairs.per_nucleotide(m, len(sequence))
        np.testing.assert_allclose(both, np.stack([matrix.sum(0), matrix.max(0)], axis=1), atol=1e-6)
        i, j, _ = pairs.of(m)
        assert np.array_equal(np.lexsort((j, i)), np.arange(len(i)))


@needs_vienna
def test_found_is_computed(tmp_path: Path, count: list[str]) -> None:
    some = sequences()
    first = pairing_of(some, folder=tmp_path, jobs=1)
    assert sorted(count) == sorted(some)
    again = pairing_of(some[::-1], folder=tmp_path, jobs=1)
    assert len(count) == len(some)
    assert same(first.take(np.arange(len(some))[::-1]), again)
    more = pairing_of([*some, HAIRPIN], folder=tmp_path, jobs=1)
    assert count[len(some) :] == [HAIRPIN]
    assert same(more.take(np.arange(len(some))), first)


@needs_vienna
def test_worker_processes_compute_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.rna.pool._WORTH_WORKERS_S", 0)
    monkeypatch.setattr("understudy.rna.pool._CHUNK_S", 0.001)
    seen: list[tuple[int, int]] = []
    many = pairing_of(sequences(), folder=tmp_path / "a", jobs=2, on_progress=lambda *step: seen.append(step))
    assert same(many, pairing_of(sequences(), folder=tmp_path / "b", jobs=1))
    assert len(seen) > 2
    assert seen[-1] == (30, 30)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@needs_vienna
def test_duplicates_and_other_spellings_are_computed_once(tmp_path: Path, count: list[str]) -> None:
    dna = "GGGTTTTACCC"
    pairs = pairing_of([dna, dna, dna.replace("T", "U"), dna.lower()], folder=tmp_path)
    assert count == [dna.replace("T", "U")]
    assert all(same(pairs.take([0]), pairs.take([m])) for m in range(4))
    assert len(pairs.of(0)[0])


@needs_vienna
def test_the_settings_of_the_process_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import RNA

    expected = pairing_of(sequences(5), folder=tmp_path / "a")
    before = RNA.cvar.temperature, RNA.cvar.dangles
    try:
        RNA.cvar.temperature, RNA.cvar.dangles = 60.0, 0
        other = pairing_of(sequences(5), folder=tmp_path / "b")
    finally:
        RNA.cvar.temperature, RNA.cvar.dangles = before
    assert same(expected, other)


@needs_vienna
@pytest.mark.usefixtures("many_parts")
def test_large_results_lie_in_a_mapped_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pairing_of(sequences(), folder=tmp_path)
    names = parts_in(tmp_path)
    monkeypatch.setattr("understudy.rna.pairing.store._MAPPED_FROM", 0)
    mapped = pairing_of(sequences(), folder=tmp_path)
    assert "mmap" in str(type(mapped.p.base.obj if isinstance(mapped.p.base, memoryview) else mapped.p.base))
    assert same(memory, mapped)
    assert len(pairing_of([], folder=tmp_path)) == 0
    assert parts_in(tmp_path) == names  # and leaves nothing behind
    assert {file.suffix for file in names[0].parent.iterdir()} == {".parquet"}


@pytest.mark.parametrize(
    ("lengths", "jobs", "workers"),
    [
        ([170] * 5, 8, 1),  # less than it takes to start one
        ([170] * 40, 64, 3),
        ([170] * 10_000, 64, 64),
        ([170] * 10_000, 1, 1),
        ([3000], None, 2),
    ],
)
def test_no_more_workers_than_there_is_work_for(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int], jobs: int | None, workers: int
) -> None:
    monkeypatch.setattr(pool, "n_cores", lambda: 2)
    assert pool.worth_workers(lengths, jobs) == workers


KILLED = """
import os, signal, sys
from pathlib import Path
from understudy.rna import pool
from understudy.rna.pairing import compute, pairing_of
from test_pairing import parts_in, sequences

folder = Path(sys.argv[1])
compute._PART_S, pool._CHUNK_S, pool._WORTH_WORKERS_S = 0, 0.001, 0

def kill(done, total):
    if len(parts_in(folder)) >= 3:
        os.kill(os.getpid(), signal.SIGKILL)

pairing_of(sequences(), folder=folder, jobs=2, on_progress=kill)
"""


def environment() -> dict[str, str]:
    here = str(Path(__file__).parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}


@needs_vienna
def test_killed_in_the_middle_and_continued(tmp_path: Path, count: list[str]) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = sum(len(read_index(part_folder, pytest.fail).keys) for part_folder in tmp_path.iterdir())
    assert 3 <= kept < 30
    resumed = pairing_of(sequences(), folder=tmp_path)
    assert len(count) == 30 - kept
    assert same(resumed, pairing_of(sequences(), folder=tmp_path / "straight"))


AT_ONCE = """
import sys
from pathlib import Path
from understudy.rna.pairing import compute, pairing_of
from test_pairing import sequences

compute._PART_S = 0
for line in sys.stdin:
    pairing_of(sequences(60), folder=Path(sys.argv[1]), jobs=1)
"""


@needs_vienna
def test_two_processes_at_once(tmp_path: Path, count: list[str]) -> None:
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "shared")]
    both = [
        subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:  # both have started before either may begin
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in both:
        _, err = process.communicate()
        assert (process.returncode, err) == (0, b"")
    shared = pairing_of(sequences(60), folder=tmp_path / "shared")
    assert count == []
    assert same(shared, pairing_of(sequences(60), folder=tmp_path / "alone"))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(where: float) -> Callable[[bytes], bytes]:
    def one_bit(content: bytes) -> bytes:
        at = int(len(content) * where)
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return one_bit


@needs_vienna
@pytest.mark.parametrize("damage", [cut, flip(1 / 3), flip(2 / 3), lambda content: b""])
@pytest.mark.usefixtures("many_parts")
def test_damaged_parts_are_computed_again(
    tmp_path: Path, count: list[str], caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    some = sequences(6)
    whole = pairing_of(some, folder=tmp_path, jobs=1)
    bad = parts_in(tmp_path)[1:]
    for part in bad:
        part.write_bytes(damage(part.read_bytes()))
    assert same(whole, pairing_of(some, folder=tmp_path, jobs=1))
    assert len(count) == 11
    for part in bad:
        assert f"{part}: a damaged part" in caplog.text
        assert part.with_suffix(".damaged").exists()
    caplog.clear()
    assert same(whole, pairing_of(some, folder=tmp_path, jobs=1))
    assert (len(count), caplog.text) == (11, "")


@needs_vienna
def test_every_bit_of_a_part_is_watched(tmp_path: Path) -> None:
    """Wherever one is turned, nothing is taken from the part."""
    some = [HAIRPIN, "ACGUACGU"]
    pairing_of(some, folder=tmp_path, jobs=1)
    (part,) = parts_in(tmp_path)
    content, told = part.read_bytes(), list[str]()
    for at in range(0, len(content), 5):
        part.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        index = read_index(part.parent, told.append)
        places = index.find(keys_of(some), np.array([len(s) for s in some]))
        assert (places < 0).any() or gather(index, places, told.append) is None
    assert len(told) > 0.9 * len(content) / 5


@needs_vienna
@pytest.mark.usefixtures("many_parts")
def test_a_part_damaged_between_two_looks(
    tmp_path: Path, count: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pairing_of(sequences(5), folder=tmp_path, jobs=1)
    reads: list[int] = []

    def damaging(*arguments: object) -> Pairs | None:
        if not reads:
            parts_in(tmp_path)[0].write_bytes(b"")
        reads.append(1)
        return gather(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("understudy.rna.pairing.compute.gather", damaging)
    assert same(whole, pairing_of(sequences(5), folder=tmp_path, jobs=1))
    assert (len(reads), len(count)) == (2, 6)


@needs_vienna
@pytest.mark.usefixtures("many_parts")
def test_foreign_and_unfinished_files_are_no_parts(tmp_path: Path, count: list[str]) -> None:
    whole = pairing_of(sequences(3), folder=tmp_path, jobs=1)
    home = parts_in(tmp_path)[0].parent
    (home / ".0123.abcd.parquet").write_bytes(b"half")
    (home / "notes.txt").write_text("mine")
    assert same(whole, pairing_of(sequences(3), folder=tmp_path, jobs=1))
    assert len(count) == 3
    assert (home / "notes.txt").exists()


@needs_vienna
def test_what_is_computed_before_an_error_is_kept(
    tmp_path: Path, count: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was not yet due to be written."""
    monkeypatch.setattr("understudy.rna.pairing.compute._PART_S", 1e9)
    monkeypatch.setattr("understudy.rna.pool._CHUNK_S", 0)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pairing_of(sequences(5), folder=tmp_path, jobs=1, on_progress=stop)
    pairing_of(sequences(5), folder=tmp_path, jobs=1)
    assert len(count) == 5


def be_killed(some: list[str], energies: str) -> vienna.Found:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@needs_vienna
def test_a_killed_worker_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr("understudy.rna.pool._WORTH_WORKERS_S", 0)
    monkeypatch.setattr(be_killed, "__module__", "test_pairing")
    monkeypatch.setattr("understudy.rna.pairing.compute.probabilities", be_killed)
    monkeypatch.setitem(sys.modules, "test_pairing", sys.modules[__name__])
    with pytest.raises(DataError, match="was killed after 0 of 5 sequences"):
        pairing_of(sequences(5), folder=tmp_path, jobs=2)


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (["ACGU", "ACNU"], "sequence '2' has 'N' at position 3"),
        (["ACGU", ""], "sequence '2' is empty"),
        (["A" * 70_000], "70000 nucleotides; 65535 are the most"),
    ],
    ids=["letter", "empty", "long"],
)
def test_bad_sequences_are_named(tmp_path: Path, some: list[str], words: str) -> None:
    with pytest.raises(DataError) as caught:
        pairing_of(some, folder=tmp_path)
    assert words in str(caught.value)


def test_no_sequence_at_all(tmp_path: Path) -> None:
    if available() is not None:
        (tmp_path / "viennarna-2.7.2-turner2004-x").mkdir()
    assert len(pairing_of([], folder=tmp_path)) == 0


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ViennaRNA were not installed."""
    monkeypatch.setitem(sys.modules, "RNA", None)


@pytest.mark.usefixtures("absent")
def test_without_viennarna_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'understudy\[rna\]'"):
        pairing_of([HAIRPIN], folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("absent")
def test_without_viennarna_what_another_machine_has_left_serves(tmp_path: Path) -> None:
    found = (
        np.array([0, 1]),
        np.array([2], np.uint16),
        np.array([9], np.uint16),
        np.array([0.5], np.float32),
    )
    lengths = np.array([len(HAIRPIN)], np.uint16)
    write_part(tmp_path / "viennarna-2.7.10-turner2004-x", keys_of([HAIRPIN]), lengths, found)
    (tmp_path / "viennarna-2.7.9-turner2004-x").mkdir()
    (tmp_path / "viennarna-2.7.11-turner1999-x").mkdir()  # other energies, other pairs
    assert pairing_of([HAIRPIN], folder=tmp_path).matrix(0, len(HAIRPIN))[9, 2] == 0.5
    with pytest.raises(ConfigError, match="pip install"):
        pairing_of([HAIRPIN, "ACGU"], folder=tmp_path)


def test_an_old_viennarna_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    old = type(sys)("RNA")
    old.__version__ = "2.6.4"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "RNA", old)
    assert "2.6.4 is too old" in str(available())
    old.__version__ = "2.10.0"  # type: ignore[attr-defined]
    assert available() is None


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12),
    st.lists(st.integers(0, 11), max_size=20),
    st.lists(st.integers(0, 11), max_size=4),
)
def test_parts_give_back_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], wanted: list[int], cuts: list[int]
) -> None:
    """Any sequences in any parts, asked for in any order and any number of times."""
    folder = tmp_path_factory.mktemp("parts")
    n = len(counts)
    letters = ["A" * (k + 1) for k in range(n)]
    offsets = offsets_of(np.array(counts))
    k = int(offsets[-1])
    rng = np.random.default_rng(k)
    every = Pairs(
        offsets, *(rng.integers(0, 99, k).astype(np.uint16) for _ in range(2)), rng.random(k, np.float32)
    )
    bounds = sorted({0, n, *(c for c in cuts if c < n)})
    for first, last in pairwise(bounds):
        some = every.take(np.arange(first, last))
        lengths = np.array([len(s) for s in letters[first:last]], np.uint16)
        write_part(folder, keys_of(letters[first:last]), lengths, (some.offsets, some.i, some.j, some.p))
    index = read_index(folder, pytest.fail)
    ask = [w % n for w in wanted]
    places = index.find(keys_of([letters[a] for a in ask]), np.array([a + 1 for a in ask], np.int64))
    found = gather(index, places, pytest.fail)
    assert found is not None
    assert same(found, every.take(np.array(ask, np.int64)))
    nowhere = index.find(keys_of(["C", letters[0]]), np.array([1, 99]))  # another sequence, another length
    assert nowhere.tolist() == [-1, -1]
