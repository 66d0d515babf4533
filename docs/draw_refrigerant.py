"""Draws the refrigerant circuit, its cycle and a case: ``python docs/draw_refrigerant.py``.

It also prints the tables of explanation/refrigerant.md that hold calculated figures, see :func:`validation`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import drawing
import numpy as np
from CoolProp.CoolProp import PropsSI
from drawing import EDGE, INK, PAPER, SIZE, SOFT, WIDTH, Point
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from understudy.cae.simulate.refrigerant import layout as c
from understudy.cae.simulate.refrigerant.case import DEFAULTS, Course, Trace, simulate
from understudy.cae.simulate.refrigerant.components import isentropic_efficiency
from understudy.cae.simulate.refrigerant.experiment import ATTEMPTS, RefrigerantCircuit
from understudy.cae.simulate.refrigerant.fluid import FLUIDS, load_fluid
from understudy.cae.simulate.refrigerant.properties import saturation
from understudy.cae.simulate.refrigerant.signals import circuit_of, spec_of
from understudy.cae.simulate.refrigerant.suites import SUITES, suite_of

STEP = 0.1
SPEEDS = (2000.0, 3500.0, 5000.0)  # rpm
HIGH, LOW = "#c4391d", "#0a5cad"  # lines of the two pressure sides
HIGH_FILL, LOW_FILL = "#fbe4dc", "#dcebfb"
ASKED, ASKED_FILL = "#9a6700", "#fff3d6"  # controls
TARGET = "#1a7f37"
CASE_SEED, CASE_SECONDS = 18, 600.0  # the protection takes hold in this one
KEPT_SEED = 4


class Card(drawing.Card):
    creator = "docs/draw_refrigerant.py"

    def pipe(self, *points: Point, colour: str, dashed: bool = False, head: bool = False) -> None:
        """A line of refrigerant (or of air or coolant) through ``points``, with a head at its end."""
        xs, ys = zip(*points, strict=True)
        style = {"color": colour, "lw": 2.0 if colour in (HIGH, LOW) else 1.3, "solid_joinstyle": "round"}
        self.ax.plot(xs, ys, ls=(0, (4, 2.5)) if dashed else "-", **style, zorder=1)
        if head:
            tip = {"arrowstyle": "-|>,head_width=0.3,head_length=0.6", "color": colour, "lw": 1}
            (x0, y0), (x1, y1) = points[-2], points[-1]
            far = 9 / max(abs(x1 - x0) + abs(y1 - y0), 9)
            start = (x1 - far * (x1 - x0), y1 - far * (y1 - y0))
            self.ax.annotate("", points[-1], start, arrowprops={**tip, "shrinkA": 0, "shrinkB": 0})

    def part(
        self, x: float, y: float, width: float, height: float, fill: str, line: str, *words: str,
        target: str = "", dashed: bool = False,
    ) -> None:  # fmt: skip
        """A component about its middle: a name, words, and the target that is measured there."""
        style = "round,pad=0,rounding_size=6"
        corner = (x - width / 2, y - height / 2)
        patch = FancyBboxPatch(corner, width, height, boxstyle=style, fc=fill, ec=line, lw=1.4, zorder=2)
        patch.set_linestyle((0, (4, 2.5)) if dashed else "-")
        self.ax.add_patch(patch)
        lines = [*words, target] if target else list(words)
        for i, text in enumerate(lines):
            at_end = bool(target) and i == len(lines) - 1
            self.text(
                x, y + (i - (len(lines) - 1) / 2) * 14.5, text,
                weight="bold" if i == 0 else "normal", color=TARGET if at_end else INK,
            )  # fmt: skip

    def valve(self, x: float, y: float) -> None:
        for side in (-1, 1):
            self.ax.fill(
                (x, x + side * 14, x + side * 14), (y, y - 9, y + 9), fc=PAPER, ec=INK, lw=1.3, zorder=3
            )

    def station(self, x: float, y: float, name: str, dx: float, dy: float, ha: str = "center") -> None:
        self.ax.plot([x], [y], "o", ms=7, mfc=PAPER, mec=INK, mew=1.4, zorder=4)
        self.text(x + dx, y + dy, name, weight="bold", ha=ha, size=SIZE - 0.5)

    def control(self, x: float, y: float, *names: str, dashed: bool = False) -> None:
        """Columns of controls in a box about its middle; dashed for those of ``refrig_only`` alone."""
        width, height = 16 + 6.6 * max(map(len, names)), 14.0 * len(names) + 8
        style = "round,pad=0,rounding_size=4"
        corner = (x - width / 2, y - height / 2)
        patch = FancyBboxPatch(
            corner, width, height, boxstyle=style, fc=ASKED_FILL, ec=ASKED, lw=1.1, zorder=2
        )
        patch.set_linestyle((0, (4, 2.5)) if dashed else "-")
        self.ax.add_patch(patch)
        for i, name in enumerate(names):
            self.text(x, y + (i - (len(names) - 1) / 2) * 14.0, name, size=SIZE - 1, color=ASKED)

    def plot(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes on the card, in its units."""
        whole = self.figure.get_figheight() * 72
        axes = self.figure.add_axes((left / WIDTH, 1 - (top + height) / whole, width / WIDTH, height / whole))
        axes.set_facecolor(PAPER)
        axes.grid(color=EDGE, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=SIZE - 1.5, color=EDGE, labelcolor=INK)
        for spine in axes.spines.values():
            spine.set_color(EDGE)
        return axes


def circuit() -> None:
    card = Card(664)
    parts = circuit_of("refrig_only")
    left, top, right, eva, chill = 105, 88, 742, 332, 500
    suction, split, join, valve = 416, 672, 214, 655
    _pipes(card, left, top, right, eva, chill, suction, join, valve)
    _around(card, top, eva, chill)

    card.part(left, 246, 110, 62, PAPER, INK, "compressor", "34 cm³, shell", target="Comp_kW")
    card.part(left, suction, 110, 46, LOW_FILL, LOW, "accumulator", "1 volume, 0.7 L")
    for x, y, width, name, words, target in (
        (252, top, 164, "water", "water-cooled condenser", "WCDS_kW"),
        (526, top, 150, "condenser", "air-cooled condenser", "ACDS_kW"),
        (400, eva, 150, "evaporator", "evaporator", "Eva_kW"),
        (400, chill, 150, "chiller", "chiller", "Chiller_kW"),
    ):
        fill, line = (HIGH_FILL, HIGH) if y == top else (LOW_FILL, LOW)
        cells = f"{getattr(parts, name).cells} cells"
        card.part(x, y, width, 58, fill, line, words, cells, target=target, dashed=name == "water")
    for y, name in ((eva, "EvaEV_open"), (chill, "ChillerEV_open")):
        card.valve(valve, y)
        card.control(valve - 14, y - 48, name)
        card.pipe((valve, y - 37), (valve, y - 8), colour=ASKED, head=True)

    card.station(left, 150, "Comp_Out", 12, 0, "left")
    card.station(left, 344, "CompIn", 12, 0, "left")
    card.station(split + 36, eva, "EvaEVIn", 0, -17)
    for y, x, name in (
        (eva, 556, "EvaEVOut"),
        (eva, 266, "EvaOut"),
        (chill, 556, "ChillerIn"),
        (chill, 266, "ChillerOut"),
    ):
        card.station(x, y, name, 0, -17)

    y = 640
    card.ax.plot((20, WIDTH - 20), (y - 24, y - 24), color=EDGE, lw=1)
    for x, colour, words in ((24, HIGH, "high pressure"), (140, LOW, "low pressure")):
        card.pipe((x, y), (x + 22, y), colour=colour)
        card.text(x + 29, y, words, ha="left", size=SIZE - 1)
    card.station(262, y, "", 0, 0)
    card.text(273, y, "measuring station", ha="left", size=SIZE - 1)
    card.control(415, y, "control")
    card.text(456, y, "target", ha="left", size=SIZE - 1, color=TARGET)
    card.text(502, y, "byproduct", ha="left", size=SIZE - 1, color=SOFT)
    card.pipe((576, y), (606, y), colour=INK, dashed=True)
    card.text(613, y, "dashed: refrig_only alone", ha="left", size=SIZE - 1)
    card.save("circuit")


def _pipes(
    card: Card, left: float, top: float, right: float, eva: float, chill: float, suction: float, join: float,
    valve: float,
) -> None:  # fmt: skip
    card.pipe((left, 220), (left, top), (right, top), (right, eva), (valve, eva), colour=HIGH)
    card.pipe((right, eva), (right, chill), (valve, chill), colour=HIGH)
    card.pipe((340, top), (451, top), colour=HIGH, head=True)
    card.pipe((right, 180), (right, 240), colour=HIGH, head=True)
    card.pipe((valve, eva), (475, eva), colour=LOW, head=True)
    card.pipe((valve, chill), (475, chill), colour=LOW, head=True)
    card.pipe((400, eva), (join, eva), (join, suction), (160, suction), colour=LOW, head=True)
    card.pipe((400, chill), (join, chill), (join, suction), colour=LOW)
    card.pipe((left, suction), (left, 277), colour=LOW, head=True)


def _around(card: Card, top: float, eva: float, chill: float) -> None:
    """Air, coolant, cabin and battery, and the controls that act there."""
    card.control(222, 246, "Comp_rpm")
    card.pipe((187, 246), (160, 246), colour=ASKED, head=True)

    card.control(252, 166, "WCDS_CoolFlow", "WCDSInT_spec", dashed=True)
    card.pipe((252, 148), (252, top + 29), colour=SOFT, dashed=True, head=True)
    card.pipe((252, top - 29), (252, 30), colour=SOFT, dashed=True, head=True)
    card.text(264, 41, "coolant", ha="left", size=SIZE - 1, color=SOFT)
    card.text(392, top - 11, "WCDSOutT", size=SIZE - 1, color=SOFT)

    card.control(486, 166, "ACDS_AirT", "ACDS_AirV")
    card.control(584, 166, "ACDS_FanDuty", dashed=True)
    for x in (486, 526, 566):
        card.pipe((x, 148 if x < 500 else 138), (x, top + 29), colour=SOFT, head=True)
        card.pipe((x, top - 29), (x, 30), colour=SOFT, head=True)
    card.text(578, 41, "air", ha="left", size=SIZE - 1, color=SOFT)

    card.part(400, 238, 110, 40, PAPER, INK, "cabin", target="Cabin_T", dashed=True)
    card.control(352, eva + 76, "Eva_AirT", "Eva_AirFlow")
    card.control(446, eva + 76, "Eva_AirRH", "Eva_Recirc", dashed=True)
    for x in (352, 446):
        card.pipe((x, eva + 58), (x, eva + 29), colour=SOFT, head=True)
    card.pipe((400, eva - 29), (400, 259), colour=SOFT, head=True)
    card.text(390, 282, "air", ha="right", size=SIZE - 1, color=SOFT)
    card.text(410, 282, "Eva_AirOutT", ha="left", size=SIZE - 1, color=SOFT)
    card.pipe((455, 238), (512, 238), (512, eva + 76), (488, eva + 76), colour=SOFT, dashed=True, head=True)

    card.control(332, chill + 76, "Chiller_CoolFlow", "ChillerInT_spec")
    card.pipe((345, chill + 58), (345, chill + 29), colour=SOFT, head=True)
    card.part(452, chill + 76, 76, 40, PAPER, INK, "battery", target="Bat_T", dashed=True)
    card.pipe((393, chill + 76), (413, chill + 76), colour=SOFT, dashed=True, head=True)
    card.pipe((452, chill + 56), (452, chill + 29), colour=SOFT, dashed=True, head=True)
    card.control(548, chill + 76, "Bat_kW", dashed=True)
    card.pipe((519, chill + 76), (491, chill + 76), colour=ASKED, dashed=True, head=True)
    card.pipe((400, chill - 29), (400, chill - 52), colour=SOFT, head=True)
    card.text(390, chill - 42, "coolant", ha="right", size=SIZE - 1, color=SOFT)
    card.text(410, chill - 42, "Chiller_CoolOutT", ha="left", size=SIZE - 1, color=SOFT)


@cache
def steady(refrigerant: str, rpm: float) -> dict[str, float]:
    """Predicted signals after half an hour under the same requests."""
    request = np.array([*DEFAULTS, 8.0, 8.0, 0.0, 0.0])
    request[[c.U_RPM, c.U_CONDENSER_T, c.U_EVAPORATOR_T, c.U_EVAPORATOR_FLOW]] = rpm, 30.0, 27.0, 0.1
    trace = _simulated("step2", Course(np.tile(request, (round(1800 / STEP), 1))), refrigerant)
    names = [s.name for s in spec_of("step2", STEP).predicted]
    return dict(zip(names, trace.outputs[-1].tolist(), strict=True))


def _simulated(variant: str, course: Course, refrigerant: str = "R1234yf") -> Trace:
    tolerance, longest = ATTEMPTS[0]
    trace = simulate(
        load_fluid(refrigerant), circuit_of(variant), course, STEP, tolerance=tolerance, longest=longest
    )
    assert trace is not None
    return trace


def ph_diagram() -> None:
    """Saturation from the tables of R1234yf, and the steady cycle at three speeds."""
    card = Card(444)
    axes = card.plot(74, 26, 682, 366)
    fluid = load_fluid("R1234yf")
    p = np.exp(fluid.ln_p0 + fluid.d_ln_p * np.arange(len(fluid.t_sat)))
    for x in (0.2, 0.4, 0.6, 0.8):
        axes.plot(1e-3 * (fluid.h_l + x * (fluid.h_v - fluid.h_l)), 1e-6 * p, color=EDGE, lw=0.9)
        h = float(np.interp(np.log(0.126e6), np.log(p), fluid.h_l + x * (fluid.h_v - fluid.h_l)))
        axes.text(1e-3 * h + 1.5, 0.126, f"x = {x:g}", fontsize=SIZE - 2, color=SOFT)
    for h in (fluid.h_l, fluid.h_v):
        axes.plot(1e-3 * h, 1e-6 * p, color=INK, lw=1.5, label="saturation" if h is fluid.h_l else None)
    for rpm, colour in zip(SPEEDS, ("#1a7f37", "#8250df", "#bc4c00"), strict=True):
        o = steady("R1234yf", rpm)
        points = [
            (o[f"{name}_Jkg"], o[f"{name}P"])
            for name in ("CompIn", "Comp_Out", "EvaEVIn", "EvaEVOut", "EvaOut", "CompIn")
        ]
        points.insert(2, (o["Comp_Out_Jkg"], o["EvaEVInP"]))
        cop = (o["Eva_kW"] + o["Chiller_kW"]) / o["Comp_kW"]
        label = f"{rpm:,.0f} rpm: {o['Eva_kW'] + o['Chiller_kW']:.2f} kW, COP {cop:.2f}"
        axes.plot(*zip(*points, strict=True), color=colour, lw=1.6, marker="o", ms=4, label=label)
    o = steady("R1234yf", SPEEDS[-1])
    for name, dx, dy, ha in (
        ("CompIn", 7, -3, "left"),
        ("Comp_Out", 7, 3, "left"),
        ("EvaEVIn", -7, 5, "right"),
        ("EvaEVOut", -9, -12, "right"),
        ("EvaOut", -9, -12, "right"),
    ):
        at = (o[f"{name}_Jkg"], o[f"{name}P"])
        style: dict[str, Any] = {"fontsize": SIZE - 1, "fontweight": "bold", "ha": ha, "color": INK}
        style["bbox"] = {"fc": PAPER, "ec": "none", "pad": 1}
        axes.annotate(name, at, (dx, dy), textcoords="offset points", **style)
    axes.set_yscale("log")
    axes.set_ylim(0.12, 3.4)
    axes.set_xlim(185, 445)
    ticks = (0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("specific enthalpy, kJ/kg", fontsize=SIZE - 0.5, color=INK)
    axes.set_ylabel("pressure, MPa", fontsize=SIZE - 0.5, color=INK)
    axes.legend(loc="upper left", fontsize=SIZE - 1, framealpha=1, edgecolor=EDGE)
    card.save("ph-diagram")


def case() -> None:
    """Ten minutes of a case of the suite ``train``, drawn every second."""
    course = suite_of("train")(np.random.default_rng(CASE_SEED), "step2", round(CASE_SECONDS / STEP), STEP)
    trace = _simulated("step2", course)
    names = [s.name for s in spec_of("step2", STEP).signals]
    values = np.concatenate([trace.controls[:, :9], trace.outputs], axis=1)[::10]
    column = {name: values[:, i] for i, name in enumerate(names)}
    fluid = load_fluid("R1234yf")
    for name in ("EvaOut", "ChillerOut"):
        boiling = [saturation(fluid, 1e6 * p).t - c.ZERO_C for p in column[f"{name}P"]]
        column[f"{name} − boiling"] = column[f"{name}T"] - np.array(boiling)
    seconds = np.arange(len(values)) * STEP * 10
    colours = (LOW, "#bc4c00", "#1a7f37", "#8250df")
    panels: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
        ("speed, rpm", (("Comp_rpm", "applied"),)),
        ("opening, %", (("EvaEV_open", "EvaEV_open"), ("ChillerEV_open", "ChillerEV_open"))),
        ("pressure, MPa", (("CompInP", "CompInP"), ("Comp_OutP", "Comp_OutP"))),
        ("superheat, K", (("EvaOut − boiling", "evaporator"), ("ChillerOut − boiling", "chiller"))),
        ("targets, kW", tuple((name, name) for name in ("ACDS_kW", "Comp_kW", "Eva_kW", "Chiller_kW"))),
    )
    high, gap = 104, 16
    card = Card(26 + len(panels) * (high + gap) + 34)
    for i, (unit, lines) in enumerate(panels):
        axes = card.plot(74, 22 + i * (high + gap), 560, high)
        if i == 0:
            axes.plot(
                seconds, course.requests[::10, c.U_RPM], color=SOFT, lw=1.1, ls=(0, (3, 2)), label="asked"
            )
        for (name, label), colour in zip(lines, colours, strict=False):
            axes.plot(seconds, column[name], color=colour, lw=1.3, label=label)
        axes.set_xlim(0, CASE_SECONDS)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit, fontsize=SIZE - 1, color=INK)
        axes.yaxis.set_label_coords(-0.085, 0.5)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.005, 1.06), frameon=False, fontsize=SIZE - 1, handlelength=1.4
        )
        if i + 1 < len(panels):
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("time, s", fontsize=SIZE - 0.5, color=INK)
    card.save("case")


def validation() -> str:
    """The tables of the page that hold calculated figures, as Markdown."""
    return "\n\n".join(("\n".join(_against_a_cycle()), "\n".join(_kept())))


def _against_a_cycle() -> list[str]:
    """COP against a cycle by CoolProp from pressures, superheat and subcooling alone."""
    lines = [
        "| Refrigerant | Speed, rpm | Suction, MPa | Discharge, MPa | Cooling, kW | COP | COP by CoolProp "
        "| Deviation, % | Without friction, % | Heat balance, % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for refrigerant in FLUIDS:
        for rpm in SPEEDS:
            o = steady(refrigerant, rpm)
            low, high = 1e6 * o["CompInP"], 1e6 * o["Comp_OutP"]
            t_1 = PropsSI("T", "P", low, "Q", 1, refrigerant) + o["CompInT"] - o["Comp_In_Tst"]
            h_1, s_1 = (PropsSI(what, "P", low, "T", t_1, refrigerant) for what in "HS")
            h_2s = PropsSI("H", "P", high, "S", s_1, refrigerant)
            h_2 = h_1 + (h_2s - h_1) / isentropic_efficiency(high / low, rpm)
            h_3 = PropsSI("H", "P", 1e6 * o["EvaEVInP"], "T", o["EvaEVInT"] + c.ZERO_C, refrigerant)
            theirs = (h_1 - h_3) / (h_2 - h_1)
            cooling, power = o["Eva_kW"] + o["Chiller_kW"], o["Comp_kW"]
            friction = 1e-3 * circuit_of("step2").compressor.friction * rpm * 2 * np.pi / 60
            shell = power - 1e-3 * o["CompIn_gs"] * (o["Comp_Out_Jkg"] - o["CompIn_Jkg"])
            closure = (cooling + power - shell) / o["ACDS_kW"] - 1
            off, without = cooling / power / theirs - 1, cooling / (power - friction) / theirs - 1
            lines.append(
                f"| {refrigerant} | {rpm:,.0f} | {o['CompInP']:.3f} | {o['Comp_OutP']:.3f} | {cooling:.2f} "
                f"| {cooling / power:.2f} | {theirs:.2f} | {100 * off:+.1f} | {100 * abs(without):.2f} "
                f"| {100 * abs(closure):.4f} |"
            )
    return [line.replace("| -", "| −") for line in lines]


def _kept() -> list[str]:
    """A case of each suite: how well mass and energy are kept, and the range of the pressures."""
    lines = [
        "| Variant | Suite | Length, s | Drift of mass, % | Energy in minus out, % | Lowest, MPa | Highest, MPa |",
        "|---|---|---|---|---|---|---|",
    ]
    for variant in ("step2", "refrig_only"):
        for suite in SUITES:
            seconds = 3300.0 if suite == "long" else 600.0
            experiment = RefrigerantCircuit(variant=variant, suite=suite, seconds=seconds)
            seen: dict[str, Any] = experiment.run(np.random.default_rng(KEPT_SEED)).notes
            lines.append(
                f"| `{variant}` | `{suite}` | {seconds:,.0f} | {100 * seen['mass_drift']:.5f} "
                f"| {100 * seen['energy_residual']:.5f} | {seen['lowest_MPa']:.3f} | {seen['highest_MPa']:.3f} |"
            )
    return lines


def main() -> None:
    circuit()
    ph_diagram()
    case()
    print(validation())


if __name__ == "__main__":
    main()
