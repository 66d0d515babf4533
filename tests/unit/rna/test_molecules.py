"""Molecules in memory and on disk: what was written is what is read, in whatever parts it came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import DataError
from understudy.rna.molecules import Molecules, MoleculeWriter, read_molecules, write_molecules


def made(lengths: list[int], seed: int = 0, names: tuple[str, ...] = ("15k", "PK50")) -> Molecules:
    """Random molecules; a third of the values is not measured."""
    rng = np.random.default_rng(seed)
    m, n = len(lengths), sum(lengths)

    def values(rows: int) -> np.ndarray:
        drawn = rng.normal(size=(rows, 2)).astype(np.float32)
        drawn[rng.random((rows, 2)) < 1 / 3] = np.nan
        return drawn

    return Molecules(
        ids=tuple(f"m{i}" for i in range(m)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tokens=rng.integers(0, 4, n).astype(np.uint8),
        reactivity=values(n),
        error=values(n),
        signal_to_noise=values(m),
        reads=values(m),
        sn_filter=rng.random((m, 2)) < 0.5,
        dataset=rng.integers(0, len(names), m).astype(np.int16),
        dataset_names=names,
    )


def assert_same(a: Molecules, b: Molecules) -> None:
    assert a.ids == b.ids
    assert [a.dataset_names[k] for k in a.dataset] == [b.dataset_names[k] for k in b.dataset]
    for name in ("offsets", "tokens", "reactivity", "error", "signal_to_noise", "reads", "sn_filter"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert getattr(a, name).dtype == getattr(b, name).dtype


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 99), st.data())
@settings(max_examples=25, deadline=None)
def test_written_in_any_parts_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("molecules")
    whole = made(lengths, seed)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lengths)), max_size=4)))
    with MoleculeWriter(folder / "a.parquet") as writer:
        for first, last in zip([0, *cuts], [*cuts, len(lengths)], strict=True):
            writer.write(whole.take(np.arange(first, last)))
    read = read_molecules(folder / "a.parquet")
    assert_same(read, whole)
    assert read.fingerprint == writer.fingerprint == whole.fingerprint
    assert "".join(read.sequence(i) for i in range(len(read))) == "".join("ACGU"[t] for t in whole.tokens)


def test_take_copies_in_the_order_asked_for() -> None:
    whole = made([3, 5, 2, 7])
    part = whole.take([3, 1])
    assert part.ids == ("m3", "m1")
    assert [part.sequence(0), part.sequence(1)] == [whole.sequence(3), whole.sequence(1)]
    np.testing.assert_array_equal(part.reactivity[:7], whole.reactivity[10:17])
    np.testing.assert_array_equal(part.error[7:], whole.error[3:8])
    np.testing.assert_array_equal(part.signal_to_noise, whole.signal_to_noise[[3, 1]])
    part.reactivity[:] = 0
    assert not (whole.reactivity[10:17] == 0).all()
    assert_same(whole.take(whole.lengths > 2), whole.take([0, 1, 3]))
    assert_same(whole.head(2), whole.take([0, 1]))
    assert len(whole.take(np.zeros(4, bool))) == 0


def test_scored_needs_both_experiments() -> None:
    whole = made([1] * 50)
    np.testing.assert_array_equal(whole.scored, whole.sn_filter[:, 0] & whole.sn_filter[:, 1])
    assert 0 < whole.scored.sum() < 50


@pytest.mark.parametrize(
    "field", ["tokens", "reactivity", "error", "signal_to_noise", "reads", "sn_filter", "dataset"]
)
def test_the_fingerprint_notices_every_value(field: str) -> None:
    whole, other = made([4, 4]), made([4, 4])
    array = getattr(other, field)
    array.flat[-1] = 1 - array.flat[-1] if field == "dataset" else np.logical_not(array.flat[-1])
    assert other.fingerprint != whole.fingerprint


def test_the_fingerprint_knows_lengths_ids_and_one_nan() -> None:
    whole = made([4, 4])
    assert made([5, 3]).fingerprint != whole.fingerprint
    odd = made([4, 4])
    odd.reactivity.view(np.uint32)[np.isnan(odd.reactivity)] ^= 0x80000001
    assert np.isnan(odd.reactivity).any()
    assert odd.fingerprint == whole.fingerprint


def test_writing_through_the_mapping_does_not_reach_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_molecules(made([4, 4]), path)
    first = read_molecules(path)
    first.reactivity[:] = 0
    assert_same(read_molecules(path), made([4, 4]))


def test_a_replaced_file_never_meets_old_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for seed in (1, 2):
        write_molecules(made([4, 4], seed), path)
        assert_same(read_molecules(path), made([4, 4], seed))


def test_a_cache_that_was_begun_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_molecules(made([4, 4]), path)
    read_molecules(path)
    next(tmp_path.rglob("error.npy")).unlink()
    assert_same(read_molecules(path), made([4, 4]))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_molecules(made([4, 4]), path)

    def parts() -> Iterator[Molecules]:
        yield made([9], 5)
        raise RuntimeError

    def write() -> None:
        with MoleculeWriter(path) as writer:
            for part in parts():
                writer.write(part)

    with pytest.raises(RuntimeError):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]
    assert_same(read_molecules(path), made([4, 4]))


def test_an_id_stands_once_in_a_data_set(tmp_path: Path) -> None:
    twice = made([4, 4])
    object.__setattr__(twice, "ids", ("m", "m"))
    twice.dataset[:] = [0, 1]
    write_molecules(twice, tmp_path / "a.parquet")
    twice.dataset[:] = [1, 1]
    with pytest.raises(DataError, match="'m' stands twice in data set 'PK50'"):
        write_molecules(twice, tmp_path / "a.parquet")


def test_shapes_must_agree() -> None:
    whole = made([4, 4])
    with pytest.raises(ValueError, match="reads"):
        Molecules(**{**whole.__dict__, "reads": whole.reads[:1]})


def rewrite(path: Path, change: object) -> None:
    """The file again, its table or metadata changed."""
    table = pq.read_table(path)
    metadata = pq.ParquetFile(path).metadata.metadata
    table = change(table.replace_schema_metadata({k: v for k, v in metadata.items() if k != b"ARROW:schema"}))  # type: ignore[operator]
    pq.write_table(table, path)


def metadata_without(key: bytes, value: bytes | None = None) -> object:
    def change(table: pa.Table) -> pa.Table:
        kept = {k: v for k, v in table.schema.metadata.items() if k != key}
        return table.replace_schema_metadata({**kept, key: value} if value else kept)

    return change


def column(name: str, values: list[object]) -> object:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (metadata_without(b"understudy.molecules"), "was not written by"),
        (metadata_without(b"understudy.fingerprint"), "was not written by"),
        (metadata_without(b"understudy.molecules", b"2"), "version 2, this release reads version 1"),
        (column("sequence", ["ACGU", "ACGX"]), "letters other than ACGU"),
        (column("reactivity_DMS", [[1.0] * 4, [1.0] * 3]), "reactivity_DMS is not as long"),
        (lambda table: table.drop_columns(["reads_DMS"]), "reads_DMS"),
        (lambda table: table.slice(0, 0), "no molecule"),
        (column("sequence_id", ["m0", "m0"]), "stands twice"),
    ],
)
def test_what_is_not_our_file_is_one_line(tmp_path: Path, change: object, words: str) -> None:
    path = tmp_path / "a.parquet"
    write_molecules(made([4, 4], names=("one",)), path)
    rewrite(path, change)
    with pytest.raises(DataError, match=words) as caught:
        read_molecules(path)
    assert str(path) in str(caught.value) or words == "stands twice"


def test_not_even_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_molecules(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        read_molecules(tmp_path / "a.parquet")
