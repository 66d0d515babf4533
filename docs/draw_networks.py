"""Draws the networks and the rollout: ``python docs/draw_networks.py`` writes the figures anew."""

from __future__ import annotations

import drawing
from drawing import EDGE, KINDS, PAPER, SIZE, SOFT, Part


class Card(drawing.Card):
    creator = "docs/draw_networks.py"


PAST = (62, "past", "past\nrows", 48, "B, L, F")
PREDICTION = (78, "predicted", "prediction", 0, "")


def legend() -> None:
    card = Card(48)
    words = {
        "past": "past rows",
        "control": "controls of the rows to predict",
        "learned": "has weights",
        "fixed": "has no weights",
        "predicted": "prediction",
    }
    x = 24.0
    for kind, text in words.items():
        fill, line = KINDS[kind]
        card.cell(x, 16, 22, 16, fill, line)
        card.text(x + 30, 24.5, text, ha="left")
        x += 72 + 5.6 * len(text)
    card.save("legend")


def sequence(name: str, body: str, head: str) -> None:
    """``lstm`` and ``bt``: past and controls are joined in time."""
    card = Card(190)
    spans = card.chain(
        62,
        PAST,
        (60, "learned", "Linear", 54, "B, L, D"),
        (60, "fixed", "join\nin time", 68, "B, L+O, D"),
        (112, "learned", body, 54, "B, O, D"),
        (88, "learned", head, 52, "B, O, N"),
        PREDICTION,
    )
    (left, _), linear, join, core = spans[:4]
    card.chain(152, (62, "control", "controls", 48, "B, O, C"), (60, "learned", "Linear", 0, ""), x=left)
    middle = sum(join) / 2
    card.arrow((linear[1], 152), (middle, 152), (middle, 86), shape="B, O, D", at=(linear[1] + 36, 142))
    card.note(sum(linear) / 2, 91, "once per row")
    card.note(sum(core) / 2, 62 + 7.25 * (body.count("\n") + 1) + 21, "last O positions leave")
    card.save(name)


def operator(name: str, *trunk: Part, note: tuple[int, str]) -> None:
    """``don``, ``dol``, ``dot``: the trunk given, the branch and the product shared."""
    card = Card(216)
    spans = card.chain(66, PAST, *trunk, (92, "fixed", "product\nsum over W", 48, "B, O, N"), PREDICTION)
    start, product = spans[0][0], sum(spans[-2]) / 2
    branch = spans[-3][1] - 128
    card.box(start, 168, 62, 32, "control", "controls")
    card.arrow((start + 62, 168), (branch, 168), shape="B, O, C", at=(start + 88, 158))
    card.box(branch, 168, 128, 61.5, "learned", "branch MLP\nbranch_depth layers\nbranch_dim wide")
    corner = branch + 128
    middle = ((corner + product) / 2, 158)
    card.arrow((corner, 168), (product, 168), (product, 90), shape="B, O, N·W", at=middle)
    card.note(product + 8, 130, "+ bias (N)", ha="left")
    index, words = note
    card.note(sum(spans[index]) / 2, 66 + 7.25 * (trunk[index - 1][2].count("\n") + 1) + 20, words)
    card.save(name)


def baselines() -> None:
    card = Card(92)
    card.chain(
        46,
        PAST,
        (120, "fixed", "last row\nits N predicted", 62, "B, 1, N"),
        (92, "fixed", "repeat\nO times", 62, "B, O, N"),
        PREDICTION,
    )
    card.save("persistence")
    card = Card(150)
    spans = card.chain(
        46,
        PAST,
        (78, "fixed", "flatten\nand join", 110, "B, L·F + O·C"),
        (126, "learned", "Linear\nleast squares", 62, "B, O, N"),
        PREDICTION,
    )
    left, middle = spans[0][0], sum(spans[1]) / 2
    card.box(left, 116, 62, 32, "control", "controls")
    card.arrow((left + 62, 116), (middle, 116), (middle, 70), shape="B, O, C", at=(left + 92, 106))
    card.save("arx")


def state() -> None:
    """``ssm``, ``gru``, ``subnet``: the encoder once, then controls alone."""
    card = Card(206)
    spans = card.chain(
        62,
        PAST,
        (96, "learned", "encoder\nlinear + network", 58, "B, S"),
        (150, "learned", "recurrence\nssm, gru or subnet", 66, "B, T, …"),
        (100, "learned", "head\nlinear + network", 58, "B, T, N"),
        PREDICTION,
    )
    left, core = spans[0][0], spans[2]
    middle = sum(core) / 2
    card.box(left, 152, 62, 32, "control", "controls")
    card.arrow((left + 62, 152), (middle, 152), (middle, 90), shape="B, T, C", at=(left + 110, 142))
    card.note(sum(spans[1]) / 2, 100, "once per rollout")
    card.save("state")


SEES = {  # per network, one line per predicted row: past rows | controls, # where the row depends on them
    "lstm": ("####|#..", "####|##.", "####|###"),
    "bt, arx": ("####|###", "####|###", "####|###"),
    "don": (".#..|#..", "..#.|.#.", "...#|..#"),
    "dol": ("##..|#..", "###.|.#.", "####|..#"),
    "dot": ("####|#..", "####|.#.", "####|..#"),
    "persistence": ("...#|...", "...#|...", "...#|..."),
}


def sees() -> None:
    """What each predicted row depends on, for L = 4 and O = 3."""
    card = Card(306)
    cell = 21
    for number, (name, rows) in enumerate(SEES.items()):
        left, top = 70 + number % 3 * 245, 62 + number // 3 * 146
        card.text(left, top - 39, name, weight="bold", ha="left", size=SIZE + 1)
        card.text(left + 2 * cell, top - 18, "past rows", size=SIZE - 1)
        card.text(left + 5.5 * cell + 8, top - 18, "controls", size=SIZE - 1)
        for j, row in enumerate(rows):
            card.text(left - 8, top + (j + 0.5) * cell, f"k+{j}" if j else "k", size=SIZE - 1, ha="right")
            for i, mark in enumerate(row.replace("|", "")):
                kind = "control" if i > 3 else "past"
                fill, line = (KINDS[kind][1], KINDS[kind][1]) if mark == "#" else (PAPER, EDGE)
                x = left + i * cell + (8 if i > 3 else 0)
                card.cell(x + 1.5, top + j * cell + 1.5, cell - 3, cell - 3, fill, line)
        for i, label in enumerate(("−4", "−3", "−2", "−1", "k", "+1", "+2")):
            x = left + (i + 0.5) * cell + (8 if i > 3 else 0)
            card.text(x, top + 3 * cell + 8, label, size=SIZE - 1.5, color=SOFT)
    card.save("sees")


def alignment() -> None:
    """Three predictions of a rollout with L = 4 and O = 2."""
    card = Card(452)
    left, cell, high = 158, 53, 26
    fed = "#8ed19b"

    def put(i: float, y: float, kind: str, words: str = "", *, fill: str = "") -> None:
        card.cell(left + i * cell + 1, y, cell - 2, high, fill or KINDS[kind][0], KINDS[kind][1])
        card.text(left + (i + 0.5) * cell, y + high / 2 + 0.5, words)

    for i in range(10):
        label = f"k{i - 4:+d}".replace("-", "−") if i != 4 else "k"
        card.text(left + (i + 0.5) * cell, 24, label, weight="bold")
    card.text(left - 14, 24, "row", weight="bold", ha="right")
    for step in range(3):
        top, first = 52 + step * 118, 2 * step
        card.text(18, top + high + 2, f"prediction {step + 1}", ha="left", weight="bold")
        card.text(left - 14, top + high / 2, "controls", ha="right", size=SIZE - 1, color=SOFT)
        card.text(left - 14, top + 1.5 * high + 4, "signals", ha="right", size=SIZE - 1, color=SOFT)
        for i in range(first, first + 6):
            asked = i >= first + 4
            put(i, top, "control" if asked else "past", "u")
            if asked:
                put(i, top + high + 4, "predicted", "ŷ")
            elif i < 4:
                put(i, top + high + 4, "past", "y")
            else:
                put(i, top + high + 4, "predicted", "ŷ", fill=fed)
        bracket = top + 2 * high + 12
        for a, b, words in ((first, first + 4, "window, L = 4"), (first + 4, first + 6, "asked, O = 2")):
            xs = (left + a * cell + 4, left + b * cell - 4)
            ends = (bracket, bracket + 4, bracket + 4, bracket)
            card.ax.plot((xs[0], xs[0], xs[1], xs[1]), ends, color=SOFT, lw=1.1)
            card.text(sum(xs) / 2, bracket + 14, words, size=SIZE - 1, color=SOFT)
    x, y = 62.0, 414
    keys = (
        ("past", "known, in the window", ""),
        ("control", "known control of an asked row", ""),
        ("predicted", "predicted now", ""),
        ("predicted", "predicted before, fed back", fed),
    )
    for kind, words, fill in keys:
        card.cell(x, y, 20, 15, fill or KINDS[kind][0], KINDS[kind][1])
        card.text(x + 27, y + 8, words, ha="left", size=SIZE - 0.5)
        x += 56 + 5.1 * len(words)
    card.save("alignment")


def main() -> None:
    legend()
    baselines()
    sequence("lstm", "LSTM\ndepth layers\ndim wide", "head\nLinear, ReLU\nLayerNorm\nLinear")
    encoder = "encoder\n+ positions\nemb_dropout\ndepth layers\nheads, fc_dim"
    sequence("bt", encoder, "head\nLayerNorm\nLinear")
    trunk = (132, "learned", "trunk MLP\ntrunk_depth layers\ntrunk_dim wide", 112, "last O: B, O, N·W")
    operator("don", trunk, note=(1, "once per row"))
    operator(
        "dol",
        (124, "learned", "trunk LSTM\ntrunk_depth layers\ntrunk_dim wide", 62, "B, O, D"),
        (80, "learned", "Linear\nReLU", 78, "B, O, N·W"),
        note=(1, "last O positions leave"),
    )
    operator(
        "dot",
        (56, "learned", "Linear", 48, "B, L, D"),
        (120, "learned", f"trunk {encoder.replace('depth', 'trunk_depth')}", 48, "B, O, D"),
        (86, "learned", "LayerNorm\nLinear\nReLU", 62, "B, O, N·W"),
        note=(1, "once per row"),
    )
    state()
    sees()
    alignment()


if __name__ == "__main__":
    main()
