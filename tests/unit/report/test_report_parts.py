"""Sentences, numbers, names and axes."""

import numpy as np
import pytest

from understudy.core.spec import DataSpec, Role, Signal
from understudy.report import verdict
from understudy.report.curves import clipped, thin, window
from understudy.report.names import shorten, slug, slugs
from understudy.report.numbers import column, listing, number, seconds


@pytest.fixture
def method(make_evaluation, spec, truths, shifted):
    """``method(name, errors, diverged=…)``: a method wrong by ``errors`` of (shell, level/upper, power)."""

    def make(name, errors, diverged=()):
        predictions = shifted(truths, errors)
        for k in diverged:
            predictions[k][5:] = np.inf
        return make_evaluation(name, spec, truths, predictions)

    return make


def test_verdict_beats_all(method):
    dot, other, third = method("dot", 1.0), method("persistence", 2.0), method("linear ARX", 3.0)
    assert verdict(dot, [other, third]) == "dot beats both baselines on both targets."
    assert verdict(dot, [other]) == "dot beats persistence on both targets."
    assert verdict(dot, [other, third, third]) == "dot beats all 3 baselines on both targets."


def test_verdict_names_what_is_lost_and_to_whom(method):
    dot, other, third = (
        method("dot", [9, 1, 5]),
        method("persistence", [1, 2, 4]),
        method("linear ARX", [1, 3, 3]),
    )
    assert verdict(dot, [other, third]) == (
        "dot beats both baselines on 1 of 2 targets; on `power` linear ARX is better."
    )
    assert verdict(dot, [method("persistence", 0.5)]) == (
        "dot beats persistence on none of 2 targets; on `level/upper` and `power` persistence is better."
    )
    assert verdict(dot, [method("persistence", [0, 0.5, 7]), method("linear ARX", [0, 7, 1])]) == (
        "dot beats both baselines on none of 2 targets; "
        "on `level/upper` persistence is better, on `power` linear ARX is better."
    )


def test_verdict_calls_a_tie_a_tie(method):
    assert verdict(method("dot", 1.0), [method("twin", 1.0)]) == (
        "dot beats twin on none of 2 targets; on `level/upper` and `power` twin is as good."
    )


def test_verdict_of_a_single_target(make_evaluation, truths, shifted):
    spec = DataSpec((Signal("a", role=Role.BYPRODUCT), Signal("b", role=Role.BYPRODUCT), Signal("c")))
    dot, worse, better = (
        make_evaluation(name, spec, truths, shifted(truths, e))
        for name, e in (("dot", 2), ("w", 3), ("b", 1))
    )
    assert verdict(dot, [worse]) == "dot beats w on `c`."
    assert verdict(dot, [worse, better]) == "dot does not beat both baselines; on `c` b is better."


def test_verdict_says_first_that_rollouts_diverged(method):
    dot = method("dot", 1.0, diverged=[1])
    assert verdict(dot, [method("persistence", 2.0)]) == (
        "dot diverged in 1 of 3 test cases. In the other 2 it beats persistence on both targets."
    )
    assert verdict(method("dot", 1.0, diverged=[0, 1]), []).startswith(
        "dot diverged in 2 of 3 test cases. In the other one it was tested"
    )
    assert verdict(method("dot", 1.0, diverged=[0, 1, 2]), [method("persistence", 2.0)]) == (
        "dot diverged in all 3 test cases: it cannot be used as it is."
    )


def test_verdict_compares_on_common_ground(make_evaluation, spec, truths):
    """A baseline gains nothing by failing on the hard case, and a network nothing either."""

    def make(name, errors):
        return make_evaluation(
            name, spec, truths, [t + np.float32(e) for t, e in zip(truths, errors, strict=True)]
        )

    failing = make("baseline", (1.0, 1.0, 1e6))
    assert "beats baseline on both" in verdict(make("dot", (0.5, 0.5, 30.0)), [failing])
    steady = make("baseline", (1.0, 1.0, 30.0))
    assert "baseline is better" in verdict(make("dot", (2.0, 2.0, 1e6)), [steady])
    hopeless = make("baseline", (1e6, 1e6, 1e6))
    assert verdict(make("dot", (9.0, 9.0, 9.0)), [hopeless]) == "dot beats baseline on both targets."


def test_verdict_passes_over_what_was_never_measured(make_evaluation, spec, truths, shifted):
    predictions = [shifted(truths, e) for e in (1.0, 2.0)]
    for truth in truths:
        truth[:, 2] = np.nan
    dot, other = (
        make_evaluation(n, spec, truths, p) for n, p in zip(("dot", "persistence"), predictions, strict=True)
    )
    assert verdict(dot, [other]) == "dot beats persistence on `level/upper`. `power` was never measured."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (0.0123456, "0.01235"),
        (9.9999, "10.00"),
        (1234.5, "1234"),
        (123456.0, "123456"),
        (1.5e9, "1.500e+09"),
        (-0.00002, "-2.000e-05"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


def test_a_column_meets_at_the_point():
    assert column([0.123, 1.2]) == ["0.123", "1.200"]
    assert column([12.34, 123.4, float("nan")]) == ["12.3", "123.4", "–"]
    assert column([1e-9, 5.0]) == ["1.00e-09", "5.00"]


def test_small_words():
    assert listing([]) == ""
    assert listing("a") == "a"
    assert listing("abc") == "a, b and c"
    assert listing("abcdef", 2) == "a, b and 4 more"
    assert [seconds(s) for s in (2e-6, 0.0123, 3.21, 125)] == ["2 µs", "12.3 ms", "3.21 s", "2 min 5 s"]
    assert shorten("a  b\nc", 9) == "a b c"
    assert len(shorten("x" * 99, 20)) == 20


@pytest.mark.parametrize(
    "name", ["../../etc", "a/b\\c", "", "..", "con", "NUL.txt", "x" * 500, "°C\0", ".hidden", "ß" * 90]
)
def test_slugs_are_safe(name):
    safe = slug(name)
    assert safe
    assert not set(safe) & set('/\\:*?"<>|\0 ')
    assert not safe.startswith((".", "-"))
    assert safe.lower().split(".")[0] not in ("con", "nul")
    assert len(safe.encode()) <= 120


def test_slugs_are_never_shared():
    names = ["a/b", "a_b", "A_B", "a:b", "a_b-2", "overview", "case0001"]
    found = slugs(names, taken=["overview"])
    assert list(found) == names
    assert len({s.casefold() for s in found.values()}) == len(names)
    assert found["a_b"] == "a_b"
    assert found["a_b-2"] == "a_b-2"
    assert found["case0001"] == "case0001"
    assert found["overview"] != "overview"


def test_a_wild_prediction_does_not_flatten_the_truth():
    truth = np.sin(np.arange(100.0))
    wild = truth.copy()
    wild[60:] = 1e30
    wild[80:] = np.inf
    seen = window(truth, wild, 1.0, diverged=True)
    assert seen.cut
    assert seen.high - seen.low < 5 * np.ptp(truth)
    assert seen.low < truth.min() < truth.max() < seen.high
    drawn = clipped(wild, seen)
    assert np.nanmax(drawn) < 20
    assert np.isnan(drawn[80:]).all()
    assert not window(truth, truth + 0.5, 1.0).cut


@pytest.mark.parametrize("truth", [np.full(9, 3.0), np.full(9, np.nan), np.zeros(1)])
@pytest.mark.parametrize("value", [3.0, 0.0, np.inf, np.nan])
def test_a_window_is_always_open(truth, value):
    seen = window(truth, np.full(len(truth), value), 0.0)
    assert np.isfinite([seen.low, seen.high]).all()
    assert seen.low < seen.high


def test_thinning_keeps_peaks_and_ends():
    x = np.arange(10_001.0)
    y = np.sin(x / 900)
    y[4321], y[7777] = 50.0, -50.0
    y[2000:3000] = np.nan
    u, v = thin(x, y, 200)
    assert len(u) <= 402
    assert {4321.0, 7777.0, 0.0, 10_000.0} <= set(u)
    assert (np.diff(u) > 0).all()
    assert np.isnan(v).any()
    assert thin(x[:300], y[:300], 200)[0] is not None
    assert len(thin(x[:300], y[:300], 200)[0]) == 300
