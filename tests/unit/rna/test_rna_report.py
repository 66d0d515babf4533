"""The report of reactivity profiles says what is true, and needs nothing but itself."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rna_profiles import made_molecules, made_pairs, made_prediction
from understudy.report import RunFacts
from understudy.rna.evaluate import ProfileEvaluation, evaluate_profiles
from understudy.rna.features import pairing_of_rows
from understudy.rna.intervals import BINS, ProfileIntervals
from understudy.rna.molecules import Molecules
from understudy.rna.report import write_profile_report
from understudy.rna.report.heat import heat_of
from understudy.rna.report.page import render
from understudy.rna.report.profile import profile_of
from understudy.rna.report.table import blocks
from understudy.rna.report.verdict import broken_promise, difference, verdict

RUN = RunFacts(
    "ribo on <two> sets",
    {"network": "ribo"},
    "model:\n  name: ribo\n",
    [{"epoch": e, "train/loss": 1 / (e + 1), "val/mae": 2 / (e + 1)} for e in range(4)],
    ["stopped by max_minutes"],
)
LENGTHS = [60, 60, 80, 80, 80, 60]


class Reader(HTMLParser):
    """Collects text, links and tags, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data")]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in {"meta", "br", "img", "link", "input", "hr"}:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "tr" in self.open and data.strip():
            self.rows[-1].append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def off_by(name: str, molecules: Molecules, amount: float, *, chemical: int | None = None, **options):
    """A method that is off by ``amount`` everywhere (for one chemical only, if given)."""
    truth = np.nan_to_num(np.clip(molecules.reactivity, 0, 1))
    moved = np.full(2, amount) if chemical is None else np.where(np.arange(2) == chemical, amount, 0.0)
    guess = np.where(truth < 0.5, truth + moved, truth - moved)
    spread = np.full_like(guess, options.pop("spread", np.nan))
    prediction = np.concatenate([guess, spread], axis=1).astype(np.float32)
    return evaluate_profiles(name, molecules, np.arange(len(molecules)), prediction, **options)


@pytest.fixture
def molecules() -> Molecules:
    return made_molecules(LENGTHS, scored=[True, True, True, False, True, True])


def page_of(evaluation: ProfileEvaluation, baselines: Sequence[ProfileEvaluation] = (), run=RUN) -> str:
    return render(evaluation, baselines, run)


def test_the_page_has_everything_and_stands_alone(molecules: Molecules) -> None:
    pairing = pairing_of_rows(made_pairs(LENGTHS), molecules, np.arange(6))
    ribo = off_by("ribo", molecules, 0.1, spread=0.2, pairing=pairing, seconds_per_molecule=0.01)
    trees = off_by("boosted trees", molecules, 0.2, pairing=pairing)
    page = page_of(ribo, [trees])
    found = read(page)
    for word in ("ribo on <two> sets", "stopped by max_minutes", "val/mae", "name: ribo", "boosted trees",
                 "Worst molecule", "Median molecule", "Best molecule", "2A3, measured", "DMS, predicted",
                 "By pairing", "By data set", "By length", "Error by length", "DMS: predicted error",
                 "Time per molecule", "1 of 6 too noisy", "A, 2A3", "SN_filter = 1"):  # fmt: skip
        assert word in found.text, word
    assert found.text.index("ribo beats every baseline") < found.text.index("By nucleotide")
    outside = [link for link in found.links if not link.startswith(("#", "data:", "loss/"))]
    assert outside == []
    assert "script" not in found.tags
    assert len(found.ids) == len(set(found.ids))
    assert (
        found.tags.count("svg") >= 4 + 3 + 3 + 2 + 2 + 2
    )  # heat maps, molecules, along, density, errors, loss


def test_names_from_data_are_text(molecules: Molecules) -> None:
    evil = ["<script>alert(1)</script>", "$x_1$", "a & b", "\"'", "[brackets]", "ünïcode-名"]
    named = made_molecules(LENGTHS, scored=[True] * 6, ids=evil, names=("<i>set</i>", "`b`"))
    page = page_of(off_by("<b>net</b>", named, 0.1), [off_by("{{ tree }}", named, 0.2)])
    found = read(page)
    assert "script" not in found.tags
    assert "<b>net</b>" in found.text
    assert "{{ tree }}" in found.text
    assert "<i>set</i>" in found.text
    assert "<script>alert(1)</script>" in found.text


def test_the_table_holds_the_figures_and_marks_the_best(molecules: Molecules) -> None:
    one = off_by("one", molecules, 0.1, chemical=0)
    two = off_by("two", molecules, 0.08, chemical=1)
    found = {row.name: row for block in blocks([one, two]) for row in block.rows}
    texts = {name: [cell.text for cell in row.cells] for name, row in found.items()}
    assert texts["both chemicals"] == ["0.0500", "0.0400"]
    assert texts["2A3"] == ["0.1000", "0.0000"]
    assert texts["DMS"] == ["0.0000", "0.0800"]
    assert [cell.best for cell in found["2A3"].cells] == [False, True]
    assert [cell.best for cell in found["DMS"].cells] == [True, False]
    assert texts["U, 2A3"] == ["0.1000", "0.0000"]
    assert texts["80"] == texts["15k"] == texts["PK50"] == ["0.0500", "0.0400"]
    counted = int(one.counted.sum())
    assert found["both chemicals"].count == str(2 * counted)
    assert found["DMS"].count == str(counted)
    assert not any(cell.best for block in blocks([one]) for row in block.rows for cell in row.cells)


def test_a_group_in_which_nothing_counts_is_left_out() -> None:
    molecules = made_molecules([20, 30], scored=[True, False])
    names = [row.name for block in blocks([off_by("net", molecules, 0.1)]) for row in block.rows]
    assert "15k" in names
    assert "20" in names
    assert "PK50" not in names
    assert "30" not in names


def test_verdicts(molecules: Molecules) -> None:
    ribo = off_by("ribo", molecules, 0.1)
    trees, median = off_by("trees", molecules, 0.125), off_by("median", molecules, 0.3)
    better = verdict(ribo, [median, trees])
    assert better == (
        "ribo beats every baseline: it is off by 0.100 on average, 20\u00a0% less than trees (0.125)."
    )
    assert verdict(trees, [ribo, median]) == (
        "trees does not beat the baselines: it is off by 0.125 on average, 25\u00a0% more than ribo (0.100)."
    )
    assert verdict(ribo, []) == (
        "ribo is off by 0.100 on average over 5 molecules, without a baseline to compare it with."
    )
    # Better in all, worse with one chemical.
    uneven = off_by("net", molecules, 0.2, chemical=1)
    assert "On DMS alone it is beaten by trees (0.125 against 0.200)." in verdict(uneven, [trees])


def test_a_difference_within_chance_is_no_victory() -> None:
    molecules = made_molecules([40] * 30, scored=[True] * 30, missing=0.0)
    truth = np.clip(molecules.reactivity, 0, 1)
    sign = np.where(np.arange(30) % 2, 1.0, -1.0).repeat(40)[:, None]

    def method(name: str, amount: np.ndarray) -> ProfileEvaluation:
        guess = np.where(truth < 0.5, truth + amount, truth - amount)
        prediction = np.concatenate([guess, np.full_like(guess, np.nan)], axis=1).astype(np.float32)
        return evaluate_profiles(name, molecules, np.arange(30), prediction)

    even = method("even", np.full((1200, 1), 0.2))
    wavering = method("wavering", 0.199 + 0.15 * sign)
    assert wavering.mae < even.mae
    assert not difference(wavering, even).sure
    assert "as good as the best baseline, as far as 30 molecules can tell" in verdict(wavering, [even])
    slight = method("slight", np.full((1200, 1), 0.199))
    assert difference(slight, even).sure
    assert "beats every baseline" in verdict(slight, [even])


def test_the_standard_error_of_a_difference() -> None:
    rng = np.random.default_rng(0)
    molecules = made_molecules(list(rng.integers(10, 50, 200)), scored=[True] * 200, missing=0.1)
    n = len(molecules.tokens)
    one, two = (
        evaluate_profiles(f"{s}", molecules, np.arange(200), made_prediction(n, seed=s)) for s in (1, 2)
    )
    found = difference(one, two)
    assert found.value == pytest.approx(one.mae - two.mae)
    gap = (one.molecule.total - two.molecule.total).sum(1)
    count = 2 * one.molecule.count
    draws = rng.integers(0, 200, (4000, 200))
    resampled = gap[draws].sum(1) / count[draws].sum(1)
    assert found.error == pytest.approx(resampled.std(), rel=0.1)


def test_what_cannot_be_judged_still_makes_a_page() -> None:
    noisy = made_molecules([30, 40], scored=[False, False])
    net = off_by("net", noisy, 0.1)
    assert "cannot be judged: none of the 2 molecules" in verdict(net, [])
    found = read(page_of(net, [off_by("median", noisy, 0.2)]))
    assert "cannot be judged" in found.text
    fine = made_molecules([30, 40], scored=[True, True], missing=0.0)
    prediction = made_prediction(70)
    prediction[35] = np.nan
    broken = evaluate_profiles("net", fine, [0, 1], prediction)
    assert "not a number in 1 of 2 molecules" in verdict(broken, [])
    assert "cannot be used" in read(page_of(broken, [off_by("median", fine, 0.2)])).text


def test_files(molecules: Molecules, tmp_path: Path) -> None:
    pairing = pairing_of_rows(made_pairs(LENGTHS), molecules, np.arange(6))
    ribo = off_by("ribo", molecules, 0.1, spread=0.2, pairing=pairing)
    trees = off_by("trees", molecules, 0.2, pairing=pairing)
    told: list[tuple[int, int]] = []
    written = write_profile_report(tmp_path, ribo, [trees], RUN, on_progress=lambda *a: told.append(a))
    assert sorted(written) == sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert told[-1][0] == told[-1][1] == len(told)
    figures = {p.name for p in (tmp_path / "figure").iterdir()}
    assert {"heat_2A3.png", "heat_DMS.png", "position.png", "length.png", "spread.png", "density_2A3.png",
            "calibration_DMS.png", "molecules"} <= figures  # fmt: skip
    assert len(list((tmp_path / "figure" / "molecules").iterdir())) == 5

    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["model"]["mae"] == pytest.approx(0.1, abs=1e-6)
    assert metrics["baselines"][0]["by"]["length"]["80"]["DMS"] == pytest.approx(0.2, abs=1e-6)
    assert metrics["model"]["scored_molecules"] == 5

    with (tmp_path / "loss" / "loss_2A3.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["sequence_id"] for r in rows][-1] == "m3"  # noisy: last, without a value
    assert rows[-1]["value"] == ""
    values = [float(r["value"]) for r in rows[:-1]]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.1, abs=1e-6)


def test_without_figures_there_are_none(molecules: Molecules, tmp_path: Path) -> None:
    write_profile_report(tmp_path, off_by("net", molecules, 0.1), [], RunFacts("t"), figures=False)
    assert not (tmp_path / "figure").exists()
    assert (tmp_path / "report.html").is_file()


def test_the_file_of_profiles_gives_the_official_figure_again(tmp_path: Path) -> None:
    molecules = made_molecules([50, 60, 70], scored=[True, False, True])
    index = [2, 0, 1]
    prediction = made_prediction(180)
    e = evaluate_profiles("net", molecules, index, prediction)
    write_profile_report(tmp_path, e, [], RunFacts("t"), figures=False)
    table = pq.read_table(tmp_path / "profiles.parquet").to_pandas()
    assert list(table["sequence_id"].unique()) == ["m2", "m0", "m1"]
    assert "".join(table[table["sequence_id"] == "m0"]["nucleotide"]) == molecules.sequence(0)
    for name, length in (("m0", 50), ("m2", 70)):
        assert list(table[table["sequence_id"] == name]["position"]) == list(range(1, length + 1))
    counted = table[table["counted"]]
    gaps = [
        (counted[f"{c}_predicted"].clip(0, 1) - counted[f"{c}_measured"].clip(0, 1)).abs()
        for c in ("2A3", "DMS")
    ]
    assert np.mean(gaps) == pytest.approx(e.mae, abs=1e-5)
    assert set(counted["sequence_id"]) == {"m0", "m2"}


def test_methods_on_other_molecules_are_refused(molecules: Molecules, tmp_path: Path) -> None:
    ribo = off_by("ribo", molecules, 0.1)
    other = evaluate_profiles("trees", molecules, [0], made_prediction(60))
    with pytest.raises(ValueError, match="other molecules"):
        write_profile_report(tmp_path, ribo, [other], RUN)


def test_heat_maps_show_the_right_values(molecules: Molecules) -> None:
    e = off_by("net", molecules, 0.1)
    heat = heat_of(e)
    assert heat is not None
    assert heat.measured.shape == heat.predicted.shape == (5, 80, 2)
    assert list(heat.lengths) == [60, 60, 60, 80, 80]
    first = next(k for k in e.order() if LENGTHS[k] == 60)
    a, b = molecules.offsets[first : first + 2]
    np.testing.assert_array_equal(heat.measured[0, :60], molecules.reactivity[a:b])
    np.testing.assert_array_equal(heat.predicted[0, :60], e.prediction[a:b, :2])
    assert np.isnan(heat.predicted[0, 60:]).all()
    few = heat_of(e, most=2)
    assert few is not None
    assert len(few.lengths) == 2
    assert "2 of the 5" in few.caption
    assert "All 5" in heat.caption


def test_a_profile_is_the_part_that_was_measured() -> None:
    molecules = made_molecules([30, 25], scored=[True, True], missing=0.0)
    molecules.reactivity[30:35] = molecules.reactivity[53:] = np.nan
    e = evaluate_profiles("net", molecules, [1], made_prediction(25))
    profile = profile_of(e, 0)
    assert profile.first == 6
    assert len(profile.tokens) == 18
    np.testing.assert_array_equal(profile.tokens, molecules.tokens[35:53])
    np.testing.assert_array_equal(profile.predicted, e.prediction[5:23])
    assert "of which 6 to 23 were measured" in profile.caption
    assert profile.mae[0] == pytest.approx(e.mae)


@pytest.mark.parametrize("lengths", [[1], [1, 3], [700]])
def test_molecules_of_any_length_make_a_page(lengths: list[int]) -> None:
    molecules = made_molecules(lengths, scored=[True] * len(lengths), missing=0.0)
    e = evaluate_profiles("net", molecules, list(range(len(lengths))), made_prediction(sum(lengths)))
    assert math.isfinite(e.mae)
    read(page_of(e, [off_by("median", molecules, 0.2)], RunFacts("t")))


@pytest.mark.parametrize(("half", "alarm"), [(0.25, False), (0.15, True)])
def test_intervals_that_hold_too_little_are_said(molecules: Molecules, half: float, alarm: bool) -> None:
    evaluation = off_by("ribo", molecules, 0.2, chemical=1)  # 2A3 is right, DMS is off by 0.2
    edges = np.full((2, 4, BINS - 1), np.inf, np.float32)
    widths = np.full((1, 2, 4, BINS), half, np.float32)
    evaluation = replace(evaluation, intervals=ProfileIntervals((0.9,), edges, widths))
    said = broken_promise(evaluation)
    assert ("too few nucleotides of DMS (" in said) is alarm
    assert "2A3" not in said
    assert ("too few nucleotides" in page_of(evaluation)) is alarm
