"""The built-in cases: made once, checked at every use, made anew where they were damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from understudy.cae.simulate.refrigerant import kept
from understudy.cae.simulate.refrigerant.experiment import RefrigerantCircuit
from understudy.errors import ConfigError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept, "user_cache", lambda: tmp_path)
    monkeypatch.setitem(kept.SIZES, "small", {"step2": (3, 12.0), "refrig_only": (2, 10.0)})
    return tmp_path


def test_made_once_and_then_found(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept.kept_cases("small")
    assert first.ids == ("case0001", "case0002", "case0003")
    assert {len(case.values) for case in first} == {120}
    monkeypatch.setattr(RefrigerantCircuit, "run", None)  # whoever simulates now, fails
    again = kept.kept_cases("small")
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.values, first.values)


def test_a_damaged_file_is_made_anew(cache: Path) -> None:
    first = kept.kept_cases("small")
    (file,) = cache.glob("refrigerant/*/cases.parquet")
    good = file.read_bytes()
    file.write_bytes(good[:-100] + bytes(100))
    assert kept.kept_cases("small").fingerprint == first.fingerprint
    assert file.read_bytes() == good


def test_what_decides_the_values_decides_the_folder(cache: Path) -> None:
    kept.kept_cases("small")
    kept.kept_cases("small", seed=1)
    kept.kept_cases("small", refrigerant="R134a")
    large = kept.kept_cases("small", variant="refrig_only")
    quick = kept.kept_cases("small", max_cases=2)
    assert len(list(cache.glob("refrigerant/*"))) == 5
    assert len(large.spec.controls) == 15
    assert len(quick) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": "smal"}, "did you mean 'small'"),
        ({"size": "small", "variant": "step3"}, "did you mean 'step2'"),
        ({"size": "small", "refrigerant": "R134"}, "did you mean 'R134a'"),
    ],
)
def test_unknown_names(cache: Path, change: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kept.kept_cases(**change)
    assert not list(cache.glob("refrigerant/*"))


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "taken").write_text("a file, not a folder")
    monkeypatch.setattr(kept, "user_cache", lambda: cache / "taken")
    with pytest.raises(ConfigError, match="UNDERSTUDY_CACHE"):
        kept.kept_cases("small")
