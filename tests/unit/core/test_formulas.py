"""Formulas of columns: what they mean, and what they refuse to mean."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.formulas import FUNCTIONS, LONGEST, parse
from understudy.errors import ConfigError

PYTHON = {name: getattr(math, name) for name in ("cos", "exp", "sin", "tanh")} | {
    "abs": abs, "log": math.log, "sqrt": math.sqrt, "max": max, "min": min,
}  # fmt: skip


def arithmetic() -> st.SearchStrategy[str]:
    """Formulas of a and b whose values stay in bounds."""
    leaves = st.one_of(st.sampled_from(["a", "'b c'"]), st.integers(0, 9).map(str), st.just("0.5"))

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            inner.map(lambda t: f"(-{t})"),
            inner.map(lambda t: f"tanh({t})"),
            inner.map(lambda t: f"sqrt(abs({t}))"),
            inner.map(lambda t: f"exp(min(2, {t}))"),
            inner.map(lambda t: f"(1 / (1 + ({t}) ** 2))"),
            st.tuples(inner, inner, inner).map(lambda t: f"max({', '.join(t)})"),
        )

    return st.recursive(leaves, grown, max_leaves=8)


@settings(deadline=None, max_examples=200)
@given(arithmetic(), st.floats(-3, 3), st.floats(-3, 3))
def test_a_formula_means_what_python_means_by_it(text: str, a: float, b: float) -> None:
    if "a" not in text.replace("tanh", "").replace("max", "").replace("abs", "") and "'b c'" not in text:
        return
    expected = eval(text.replace("'b c'", "b"), {"__builtins__": {}}, {**PYTHON, "a": a, "b": b})
    columns = {"a": torch.full((3,), a, dtype=torch.float64), "b c": torch.full((3,), b, dtype=torch.float64)}
    found = parse(text)(columns)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx([expected] * 3, rel=1e-9, abs=1e-9)


def test_it_knows_the_columns_that_it_needs_in_order() -> None:
    formula = parse("'Ambient Temperature [°C]' * rpm + rpm - 2 * min('Ambient Temperature [°C]', x)")
    assert formula.names == ("Ambient Temperature [°C]", "rpm", "x")


def test_numbers_do_not_change_the_type_of_a_column() -> None:
    column = {"a": torch.ones(2, 3)}
    assert parse("a + 1e30 * 0 - 2")(column).dtype == torch.float32
    assert parse("max(a, 7)")(column).tolist() == [[7.0] * 3] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a +", "is not a formula"),
        ("", "is not a formula"),
        ("a\0", "is not a formula"),
        ("(" * 400 + "a" + ")" * 400, "is not a formula"),
        ("3 * 7", "names no column"),
        ("a.real", "is not understood"),
        ("a[0]", "is not understood"),
        ("lambda: a", "is not understood"),
        ("a if a else a", "is not understood"),
        ("a > 3", "is not understood"),
        ("True + a", "is not understood"),
        ("1j * a", "is not understood"),
        ("b'a' + a", "is not understood"),
        ("[a for a in a]", "is not understood"),
        ("(a := 3)", "is not understood"),
        ("f'{a}'", "is not understood"),
        ("exp(x=a)", "is not understood"),
        ("exp(*a)", "is not understood"),
        ("(exp)(a)(a)", "is not understood"),
        ("__import__('os')", "no function is called '__import__'"),
        ("sqr(a)", "did you mean 'sqrt'"),
        ("exp(a, a)", "exp takes one value, not 2"),
        ("min(a)", "min takes two values or more, not 1"),
        ("a + " + "9" * 400, "is too large"),
        ("a + " * LONGEST + "a", "are the most"),
    ],
)
def test_what_is_no_arithmetic_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")) as caught:
        parse(text)
    assert "\n" not in str(caught.value).replace(text, "")


def test_every_function_that_errors_name_can_be_used() -> None:
    columns = {"a": torch.tensor([0.5])}
    for name in FUNCTIONS:
        value = parse(f"{name}(a, 2)" if name in ("max", "min") else f"{name}(a)")(columns)
        assert value.item() == pytest.approx(PYTHON[name](*((0.5, 2) if name in ("max", "min") else (0.5,))))
