from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.core.splits import Split, split_by_case
from understudy.errors import ConfigError

IDS = [f"case{i:04d}" for i in range(1, 41)]


def cut(n: int = 40, **changes: object) -> Split:
    options: dict[str, object] = {"val_size": 5, "test_size": 8, "seed": 42, **changes}
    return split_by_case(IDS[:n], **options)  # type: ignore[arg-type]


@given(st.integers(3, 40), st.integers(0, 2**32), st.data())
def test_parts_cover_all_cases_once(n: int, seed: int, data: st.DataObject) -> None:
    test_size = data.draw(st.integers(1, n - 2))
    val_size = data.draw(st.integers(1, n - 1 - test_size))
    split = cut(n, val_size=val_size, test_size=test_size, seed=seed)
    assert sorted(split.train + split.val + split.test) == IDS[:n]
    assert (len(split.val), len(split.test)) == (val_size, test_size)


def test_same_seed_same_split_other_seed_another() -> None:
    assert cut() == cut()
    assert cut(seed=43) != cut()


def test_a_larger_validation_set_leaves_the_test_set() -> None:
    assert cut(val_size=9).test == cut().test


def test_shares() -> None:
    split = cut(val_size=0.1, test_size=0.25)
    assert (len(split.val), len(split.test)) == (4, 10)


def test_named_cases_and_patterns() -> None:
    split = cut(test_cases=["case000?", "case0040"], val_cases=["case0011"])
    assert split.test == (*IDS[:9], "case0040")
    assert split.val == ("case0011",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"val_size": 20, "test_size": 20}, "must stay below the number of cases"),
        ({"test_size": 0}, "no test case"),
        ({"val_size": -1}, "must not be negative"),
        ({"val_size": 1.5}, "a number of cases or a share"),
        ({"test_cases": ["case00O1"]}, "fits no case; did you mean"),
    ],
)
def test_what_cannot_be_split(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        cut(**changes)


def test_overlap_is_refused() -> None:
    with pytest.raises(ConfigError, match="two parts"):
        Split(("a", "b"), ("b",), ("c",))
