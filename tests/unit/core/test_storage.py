"""Parquet, bundles and files: what is written comes back, what is damaged is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import SIZES, SMALL_NETS, linear_table
from understudy.core import parquet
from understudy.core.bundle import Bundle, load_bundle, save_bundle
from understudy.core.cases import Case, CaseTable, table_from_cases
from understudy.core.files import atomic_path, write_json
from understudy.core.model import Model
from understudy.core.nets import NETS, Sizes, build_net, sizes_type
from understudy.core.parquet import read_parquet, write_parquet
from understudy.core.scaling import Scaler
from understudy.core.spec import DataSpec, Role, Signal
from understudy.errors import DataError, ModelError

SPEC = DataSpec(
    (Signal("u °", "°C", Role.CONTROL), Signal("by/product", "", Role.BYPRODUCT), Signal("P [x]", "kW"))
    , step=0.1
)  # fmt: skip


def random_table(lengths: list[int], seed: int = 0) -> CaseTable:
    rng = np.random.default_rng(seed)
    cases = []
    for i, n in enumerate(lengths):
        rows = rng.normal(size=(n, 3)).astype(np.float32)
        rows[rng.random((n, 3)) < 0.1] = np.nan
        cases.append(Case(f"case {i}", rows, 0.5 * i, {"rows": n}))
    return table_from_cases(SPEC, cases)


def equal(a: CaseTable, b: CaseTable) -> bool:
    return (
        (a.spec, a.ids, a.metadata) == (b.spec, b.ids, b.metadata)
        and np.array_equal(a.offsets, b.offsets)
        and np.array_equal(a.starts, b.starts)
        and np.array_equal(a.values, b.values, equal_nan=True)
    )


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_parquet_round_trip(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int) -> None:
    path = tmp_path_factory.mktemp("p") / "cases.parquet"
    table = random_table(lengths, seed)
    write_parquet(table, path)
    back = read_parquet(path)
    assert equal(table, back)
    assert back.fingerprint == table.fingerprint
    del back.__dict__["fingerprint"]
    assert back.fingerprint == table.fingerprint  # computed from the values, not taken from the file


def test_many_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROWS_A_GROUP", 30)
    table = random_table([5, 40, 0, 3, 7, 12])
    write_parquet(table, tmp_path / "a.parquet")
    assert equal(table, read_parquet(tmp_path / "a.parquet"))


def test_values_are_mapped_and_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(random_table([30, 20]), path)
    first = read_parquet(path)
    assert isinstance(first.values, np.memmap)
    first.values[:] = 7.0  # copy-on-write: stays in this process
    assert equal(random_table([30, 20]), read_parquet(path))
    write_parquet(random_table([30, 20], seed=1), path)
    assert equal(random_table([30, 20], seed=1), read_parquet(path))


def test_a_folder_that_cannot_be_written_uses_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "a.parquet"
    write_parquet(random_table([30]), path)
    (path.parent / ".understudy").write_text("a file where the folder would be")
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    assert equal(random_table([30]), read_parquet(path))
    assert list((tmp_path / "cache" / "tables").iterdir())


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"u,y\n1,2\n"])
def test_what_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_parquet(tmp_path / "a.parquet")


def test_fingerprint_sees_every_value() -> None:
    a, b = random_table([30, 20]), random_table([30, 20])
    assert a.fingerprint == b.fingerprint
    b.values[49, 2] = np.nextafter(np.float32(1), np.float32(2))
    c = CaseTable(b.spec, b.ids, b.offsets, b.values, b.starts, b.metadata)
    assert c.fingerprint != a.fingerprint


def bundle_of(name: str) -> Bundle:
    torch.manual_seed(1)
    scaler = Scaler(SIZES.n_signals)
    table = linear_table(2, 30)
    spec = DataSpec((*table.spec.signals, Signal("heat", "kW")))
    scaler.mean.copy_(torch.arange(5.0))
    arguments = dict(SMALL_NETS[name])
    return Bundle(
        Model(build_net(name, SIZES, arguments), scaler).eval(), spec, name, arguments, {"made": "today"}
    )


@pytest.mark.parametrize("name", [name for name in sorted(NETS) if sizes_type(name) is Sizes])
def test_bundle_predicts_as_the_model_it_was_made_of(tmp_path: Path, name: str) -> None:
    bundle = bundle_of(name)
    save_bundle(tmp_path / "bundle", bundle)
    back = load_bundle(tmp_path)  # a run's folder
    past, control = torch.randn(3, 4, 5), torch.randn(3, 1, 2)
    assert torch.equal(bundle.model(past, control), back.model(past, control))
    assert (back.spec, back.network, back.arguments, back.facts) == (
        bundle.spec, bundle.network, bundle.arguments, bundle.facts,
    )  # fmt: skip


def damage(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    data = json.loads(path.read_text())
    write_json(path, data | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"network": "os.system"}, "not known to this version"),
        ({"arguments": {**SMALL_NETS["dot"], "width": 4}}, "does not fit"),
        ({"arguments": {**SMALL_NETS["dot"], "trunk_depth": 10**8}}, "larger than its weights"),
        (
            {"sizes": {"in_len": 10**12, "out_len": 1, "n_controls": 2, "n_predicted": 3}},
            "larger than its weights",
        ),
        ({"sizes": {"in_len": 4, "out_len": 1, "n_controls": 3, "n_predicted": 2}}, "do not fit its signals"),
        ({"spec": {"signals": []}}, "not a data specification"),
    ],
)
def test_forged_descriptions_are_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    save_bundle(tmp_path, bundle_of("dot"))
    damage(tmp_path, **changes)
    with pytest.raises(ModelError, match=words):
        load_bundle(tmp_path)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    save_bundle(tmp_path, bundle_of("dot"))
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(tmp_path)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such run"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="holds no bundle"):
        load_bundle(tmp_path)


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with suppress(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"
