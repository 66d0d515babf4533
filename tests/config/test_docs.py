"""Pages that are written from the sources are up to date, and links between pages lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_settings_page_is_up_to_date() -> None:
    location = importlib.util.spec_from_file_location("write_settings", ROOT / "docs" / "write_settings.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    written = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert written == module.page(), "run `python docs/write_settings.py`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.fixture(scope="module")
def refrigerant() -> dict[str, list[list[str]]]:
    """Rows of the tables of the page about the refrigerant circuit, by the table's first heading."""
    page = (ROOT / "docs" / "explanation" / "refrigerant.md").read_text(encoding="utf-8")
    tables: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines())
        tables.setdefault(head[0] if head[1] != "Unit" else f"{head[0]}, {head[2]}", [head, *rows])
    return tables


def test_ranges_of_the_refrigerant_circuit(refrigerant: dict[str, list[list[str]]]) -> None:
    from understudy.cae.simulate.refrigerant.signals import N_CONTROLS
    from understudy.cae.simulate.refrigerant.suites import CHANNELS, DITHER, SUPERHEAT

    expected = [
        (f"`{channel.name}`", channel, "both" if i < N_CONTROLS["step2"] else "`refrig_only`")
        for i, channel in CHANNELS.items()
    ]
    expected.append(("superheat asked for, each valve", SUPERHEAT, "both"))
    expected.append(("dither of the opening, each valve", DITHER, "both"))
    seen = [
        (name, unit, *map(float, numbers), variant)
        for name, unit, *numbers, variant in refrigerant["Control, From"][1:]
    ]
    assert seen == [(name, c.unit, c.low, c.high, c.slew, variant) for name, c, variant in expected]


def test_parameters_of_the_refrigerant_circuit(refrigerant: dict[str, list[list[str]]]) -> None:
    from understudy.cae.simulate.refrigerant.parameters import REFRIG_ONLY, STEP2, Exchanger

    (_, _, _, *names), *rows = refrigerant["Heat exchanger, Meaning"]
    seen = {row[0].strip("`"): [float(cell) for cell in row[3:]] for row in rows}
    chains = [getattr(REFRIG_ONLY, name.strip("`")) for name in names]
    assert len(chains) == sum(isinstance(part, Exchanger) for part in REFRIG_ONLY)
    assert seen == {field: [getattr(hx, field) for hx in chains] for field in Exchanger._fields}

    def flat(circuit: tuple[object, ...]) -> dict[str, object]:
        values = {}
        for name, part in circuit._asdict().items():  # type: ignore[attr-defined]
            if isinstance(part, Exchanger):
                continue
            if hasattr(part, "_asdict"):
                values.update({f"{name}.{key}": value for key, value in part._asdict().items()})
            else:
                values[name] = part
        return values

    smaller, larger = flat(STEP2), flat(REFRIG_ONLY)
    page = {}
    for name, value, *_ in refrigerant["Parameter"][1:]:
        first, *second = re.findall(r"(?<![\w.])\d[\d.]*(?:e-?\d+)?", value)
        page[name.strip("`")] = (float(first), float(second[0] if second else first))
    assert page == {name: (smaller[name], larger[name]) for name in smaller}


def test_signals_of_the_refrigerant_circuit(refrigerant: dict[str, list[list[str]]]) -> None:
    from understudy.cae.simulate.refrigerant.signals import spec_of

    def listed(table: str, variant: str) -> list[tuple[str, str]]:
        rows = refrigerant[table][1:]
        return [(row[0].strip("`"), row[1]) for row in rows if row[-1] in ("both", f"`{variant}`")]

    (_, *quantities), *stations = refrigerant["Station"]
    units = [quantity.split(", ")[1] for quantity in quantities]
    byproducts = [
        (cell.strip("`"), unit)
        for _, *cells in stations
        for cell, unit in zip(cells, units, strict=True)
        if cell
    ]
    more = [(row[0].strip("`"), row[1]) for row in refrigerant["Byproduct, Meaning"][1:]]
    for variant, between in (("step2", byproducts), ("refrig_only", byproducts + more)):
        spec = spec_of(variant, 0.1)
        expected = [*listed("Control, Meaning", variant), *between, *listed("Target, Meaning", variant)]
        assert [(s.name, s.unit) for s in spec.signals] == expected
        assert len(spec.target_columns) == len(listed("Target, Meaning", variant))


def test_states_of_the_refrigerant_circuit(refrigerant: dict[str, list[list[str]]]) -> None:
    from understudy.cae.simulate.refrigerant.layout import n_states
    from understudy.cae.simulate.refrigerant.parameters import REFRIG_ONLY, STEP2

    *rows, total = ([int(cell.strip("*")) for cell in row[2:]] for row in refrigerant["State, `step2`"][1:])
    assert total == [sum(column) for column in zip(*rows, strict=True)]
    assert total == [n_states(STEP2) - 2, n_states(REFRIG_ONLY)]  # cabin and battery stand still in the first
