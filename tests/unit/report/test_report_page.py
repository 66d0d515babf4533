"""The page says what is true, and needs nothing but itself."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from understudy.core.intervals import Intervals
from understudy.core.spec import DataSpec, Signal
from understudy.report import RunFacts
from understudy.report.page import render
from understudy.report.verdict import broken_promise

FULL = RunFacts(
    "dot on tanks",
    {"Network": "dot", "Fingerprint": "3f9c"},
    "model:\n  name: dot\n",
    [{"epoch": e, "train/loss": 1 / (e + 1), "val/rollout": 2 / (e + 1)} for e in range(5)],
    ["stopped by max_minutes"],
)
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collects text and attributes, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {key for key, _ in attrs}
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data")]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "tr" in self.open and data.strip():
            self.rows[-1].append(data.strip())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def page_of(evaluation, baselines=(), run=FULL) -> str:
    return render(evaluation, list(baselines), run, {c.id: c.id for c in evaluation.cases})


def test_shows_every_target_and_fact_and_stands_alone(make_evaluation, spec, truths, shifted):
    dot = make_evaluation("dot", spec, truths, shifted(truths, 0.5))
    arx = make_evaluation("linear ARX", spec, truths, shifted(truths, 1.5))
    page = page_of(dot, [arx])
    found = read(page)
    text = " ".join(" ".join(found.words).split())
    for word in ("level/upper [m]", "power [m/s^2]", "shell", "linear ARX", "stopped by max_minutes"):
        assert word in text
    for word in ("3f9c", "model: name: dot", "val/rollout", "Worst case", "Median case"):
        assert word in text
    assert "http:" not in page
    assert "https:" not in page
    assert not {"script", "link", "iframe", "object", "img"} & set(found.tags)
    assert all(not re.match(r"[a-z]+:|//", link) for link in found.links)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert len(found.ids) == len(set(found.ids))
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))
    assert all(i in found.ids for i in re.findall(r"url\(#([^)]*)\)", page))
    assert found.tags.count("svg") == 2 * 2 + 2 + 2  # two cases of two targets, two charts, two logs
    assert len(re.findall(r'<svg role="img" viewBox="[^"]+" aria-label="[^"]+"', page)) == 8
    assert found.tags.count("table") == found.tags.count("caption")


def test_the_table_holds_the_numbers_and_the_best_is_bold(make_evaluation, spec, truths, shifted):
    dot = make_evaluation("dot", spec, truths, shifted(truths, [1, 0.5, 4.0]))
    arx = make_evaluation("linear ARX", spec, truths, shifted(truths, [1, 1.5, 2.0]))
    page = page_of(dot, [arx])
    rows = read(page).rows
    start = next(i for i, row in enumerate(rows) if row[:2] == ["level/upper", "[m]"])
    assert rows[start + 1] == ["dot", "0.500", "0.500", "0.500", "0.500", "0.500", "0 of 3"]
    assert rows[start + 2] == ["linear ARX", "1.500", "1.500", "1.500", "1.500", "1.500", "0 of 3"]
    assert rows[start + 3] == ["power", "[m/s^2]"]
    bold = re.findall(r'class="n best">([^<]*?)\s*<', page)
    assert bold.count("0.500") == 5
    assert bold.count("2.00") == 5
    assert "1.500" not in bold


def test_markup_in_names_is_text(make_evaluation, truths, shifted):
    evil = "<b onmouseover='x'>{}&\"</b>"
    spec = DataSpec((Signal("a", "K"), Signal(evil.format("signal"), evil.format("unit")), Signal("c")))
    ids = [evil.format("case"), "1", "2"]
    dot = make_evaluation(evil.format("network"), spec, truths, shifted(truths, 0.5), ids)
    run = RunFacts(
        evil.format("title"),
        {evil.format("key"): evil.format("value")},
        evil.format("config"),
        [{"epoch": e, f"train/{evil.format('log')}": 1.0} for e in range(3)],
        [evil.format("note")],
    )
    found = read(page_of(dot, [], run))
    assert "b" not in found.tags
    assert "onmouseover" not in found.attributes
    text = "".join(found.words)
    for part in ("signal", "case", "network", "title", "key", "value", "config", "log", "note"):
        assert evil.format(part) in text
    assert evil.format("unit") in text


def test_a_name_that_looks_like_a_colour_of_ours_is_text(make_evaluation, truths, shifted):
    spec = DataSpec(tuple(Signal(n) for n in ("#010101", 'id="x', "url(#c)")))
    words = read(page_of(make_evaluation("dot", spec, truths, shifted(truths, 0.5)))).words
    for signal in spec.predicted:
        assert words.count(signal.name) >= 4  # table, two cases, spread


def test_divergence_has_a_banner_and_a_footnote(make_evaluation, spec, truths, shifted):
    calm = make_evaluation("dot", spec, truths, shifted(truths, 0.5))
    assert 'role="alert"' not in page_of(calm)
    assert "No rollout diverged" in page_of(calm)
    predictions = shifted(truths, 0.5)
    predictions[1][25:] = np.inf
    wild = make_evaluation("dot", spec, truths, predictions)
    arx = make_evaluation("linear ARX", spec, truths, shifted(truths, 1.0))
    page = page_of(wild, [arx])
    banner = page[page.index('role="alert"') :][:400]
    assert "1 of 3 rollouts of dot diverged" in banner
    assert "case0001" in banner
    text = " ".join(" ".join(read(page).words).split())
    assert "The case in which dot diverged is left out for every method." in text
    rows = read(page).rows
    start = next(i for i, row in enumerate(rows) if row[:2] == ["level/upper", "[m]"])
    assert rows[start + 1] == ["dot", *["0.500"] * 5, "1 of 3"]
    assert "Worst case: case0001" in text


def test_a_baseline_that_diverges_elsewhere_is_marked(make_evaluation, spec, truths, shifted):
    dot = make_evaluation("dot", spec, truths, shifted(truths, 0.5))
    predictions = shifted(truths, 0.2)
    predictions[0][3:] = np.float32(1e30)
    page = page_of(dot, [make_evaluation("linear ARX", spec, truths, predictions)])
    assert "†" in page
    assert 'role="alert"' not in page
    assert "This method diverged in some cases" in " ".join(" ".join(read(page).words).split())


def test_methods_are_compared_over_the_same_cases(make_evaluation, spec, truths):
    """Where the network fails, a baseline's error must not count against the baseline."""
    errors = [(0.5, 0.4), (0.5, 0.4), (1e6, 30.0)]
    dot, arx = (
        make_evaluation(
            name, spec, truths, [t + np.float32(e[j]) for t, e in zip(truths, errors, strict=True)]
        )
        for j, name in enumerate(("dot", "linear ARX"))
    )
    rows = read(page_of(dot, [arx])).rows
    start = next(i for i, row in enumerate(rows) if row[:2] == ["level/upper", "[m]"])
    assert rows[start + 1][1] == "0.500"
    assert rows[start + 2][1] == "0.400"


def test_hopeless_and_empty_evaluations_still_make_a_page(make_evaluation, spec, truths, shifted):
    gone = [np.full_like(t, np.inf) for t in truths]
    baseline = make_evaluation("persistence", spec, truths, shifted(truths, 1.0))
    text = " ".join(read(page_of(make_evaluation("dot", spec, truths, gone), [baseline])).words)
    assert "it cannot be used as it is" in text
    assert "has no numbers" in text
    blank = [np.full_like(t, np.nan) for t in truths]
    text = " ".join(read(page_of(make_evaluation("dot", spec, blank, truths), [], RunFacts("t"))).words)
    assert "no target was measured" in text


def test_the_page_stays_small(make_evaluation):
    rng = np.random.default_rng(0)
    spec = DataSpec(tuple(Signal(f"signal {i}", "°C") for i in range(47)))
    truths = [rng.standard_normal((3300, 47)).astype(np.float32) for _ in range(3)]
    noisy = [t + rng.standard_normal(t.shape).astype(np.float32) for t in truths]
    methods = [make_evaluation(name, spec, truths, noisy) for name in ("dot", "persistence", "linear ARX")]
    page = page_of(methods[0], methods[1:])
    assert len(page.encode()) < 2_000_000
    assert "the 8 of 47 targets with the largest error" in " ".join(read(page).words)


def test_intervals_stand_beside_the_errors_and_in_the_figures(
    spec, lasting_truths, make_evaluation, shifted
) -> None:
    """Off by one at most, half of the points by less than the half-width: what the table says, and a band."""
    predictions = shifted(lasting_truths, 0.0)
    for prediction in predictions:
        prediction[::2, 1] += 1.0
    widths = np.array([[[0.5, 0.25, np.nan]]], np.float32)
    evaluation = replace(
        make_evaluation("dot", spec, lasting_truths, predictions),
        intervals=Intervals((0.9,), (0,), widths),
    )
    page = read(render(evaluation, [], FULL, {f"case{k:04d}": f"case{k:04d}" for k in range(3)}))
    rows = {row[0]: row[-3:] for row in page.rows if row and row[0] in ("level/upper", "power")}
    assert rows["level/upper"] == ["50.0\u00a0%", "0.500", "0.250"]
    assert rows["power"] == ["–", "–", "–"]
    words = " ".join(page.words).replace("\u00a0", " ")
    assert "shaded: 90 % interval" in words
    assert "too few points of level/upper (50 %)" in " ".join(words.split())
    without = make_evaluation("dot", spec, lasting_truths, predictions)
    plain = render(without, [], FULL, {f"case{k:04d}": f"case{k:04d}" for k in range(3)})
    assert "How sure it is" not in plain
    assert "too few points" not in plain


@pytest.mark.parametrize(("within", "alarm"), [(0.75, True), (0.85, False)])
def test_an_interval_that_holds_too_little_is_said(
    spec, lasting_truths, make_evaluation, shifted, within: float, alarm: bool
) -> None:
    predictions = shifted(lasting_truths, 0.0)
    for prediction in predictions:
        prediction[round(within * len(prediction)) :, 1] += 1.0
    evaluation = replace(
        make_evaluation("dot", spec, lasting_truths, predictions),
        intervals=Intervals((0.9,), (0,), np.full((1, 1, 3), 0.5, np.float32)),
    )
    assert ("`level/upper` (75\u00a0%)" in broken_promise(evaluation)) is alarm
