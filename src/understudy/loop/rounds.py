"""The rounds of active learning: what is chosen, trained and measured, kept so that it can go on at any moment.

Axes: K test cases, N target signals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from understudy import __version__
from understudy.cae.candidates import CaseCandidates
from understudy.core.acquire import choose
from understudy.core.cases import CaseTable, table_from_cases
from understudy.core.evaluate import evaluate
from understudy.core.files import write_json
from understudy.core.parquet import forget_outdated, write_parquet
from understudy.core.surrogate import Surrogate, load
from understudy.errors import ConfigError, DataError
from understudy.loop.sources import Source
from understudy.progress import Progress

STATE, CASES = "loop.json", "cases.parquet"


@dataclass(frozen=True)
class Order:
    """How to go through the rounds."""

    by: str
    start: int
    add: int
    rounds: int
    runs: int
    seed: int
    equal_steps: bool
    overrides: tuple[str, ...]


@dataclass
class Round:
    """One round.

    Args:
        chosen: numbers of the candidates that were added.
        values: what each was chosen for; None where for nothing.
        ade: by target signal, the mean absolute error of every test case; empty until the round is done.
        score: mean over targets and test cases of ADE in deviations of the signal.
    """

    chosen: list[int]
    values: list[float | None]
    ade: dict[str, list[float | None]] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True)
class Loop:
    """A loop in its folder: ``loop.json``, ``cases.parquet`` of the round that runs, and a folder a training.

    Args:
        train: trains on the cases of a file, so many of them chosen, into a folder, in which it may have begun
            already, with a seed.
    """

    source: Source
    order: Order
    folder: Path
    train: Callable[[Path, int, Path, int], None]
    progress: Progress

    def run(self) -> list[Round]:
        """Go through all rounds that are not done yet.

        Raises:
            ConfigError: there are too few candidates, or the folder holds another loop.
        DataError: cases cannot be had, or ``loop.json`` is damaged.
        """
        order = self.order
        wanted = order.start + (order.rounds - 1) * order.add
        if wanted > self.source.n_candidates:
            raise ConfigError(
                f"{order.rounds} rounds ask for {wanted} cases, and there are {self.source.n_candidates} candidates"
            )
        rounds = self._recorded()[: order.rounds]
        with self.progress.bar("test cases") as on_progress:
            tests = self.source.tests(on_progress)
        for k in range(order.rounds):
            if k == len(rounds):
                rounds.append(self._chosen(rounds, tests))
                self._record(rounds)
            if rounds[k].score is None:
                self._measure(rounds[: k + 1], tests)
                self._record(rounds)
        return rounds

    def known(self, rounds: Sequence[Round]) -> list[int]:
        """Numbers of the candidates that were run."""
        return sorted(number for r in rounds for number in r.chosen)

    def _chosen(self, rounds: Sequence[Round], tests: CaseTable) -> Round:
        order, known = self.order, self.known(rounds)
        left = [i for i in range(1, self.source.n_candidates + 1) if i not in set(known)]
        if not rounds:
            drawn = np.random.default_rng(order.seed).choice(len(left), order.start, replace=False)
            return Round([left[i] for i in drawn], [None] * order.start)
        surrogate = self._surrogate(len(rounds))
        cases = self.source.run(known, lambda done, total: None)
        table = self.source.candidates(left)
        with self.progress.bar("looking at the candidates") as on_progress:
            candidates = CaseCandidates(surrogate.models, surrogate.task, table, cases, on_progress)
            picks = choose(candidates, order.by, order.add, seed=order.seed + len(rounds))
        values = [p.value if np.isfinite(p.value) else None for p in picks]
        return Round([left[p.place] for p in picks], values)

    def _measure(self, rounds: Sequence[Round], tests: CaseTable) -> None:
        """Run what was chosen, train, and evaluate on the test cases."""
        number = len(rounds)
        with self.progress.bar("running what was chosen") as on_progress:
            cases = self.source.run(self.known(rounds), on_progress)
        self.progress.say(f"round {number} of {self.order.rounds}: {len(cases)} cases")
        both = table_from_cases(cases.spec, [*cases, *tests])
        write_parquet(both, self.folder / CASES)
        forget_outdated(self.folder / CASES, both)
        for k in range(self.order.runs):
            self.train(self.folder / CASES, len(cases), self._run_folder(number, k), self.order.seed + k)
        surrogate = self._surrogate(number)
        found = evaluate(surrogate.name, surrogate.model, surrogate.task, tests, range(len(tests)))
        for i in tests.spec.target_columns:
            errors = found.errors["ADE"][:, i].tolist()
            rounds[-1].ade[tests.spec.predicted[i].name] = [x if np.isfinite(x) else None for x in errors]
        score = found.score()
        rounds[-1].score = score if np.isfinite(score) else None
        self.progress.say(f"round {number}: ADE {score:.4g} deviations on {len(tests)} test cases")

    def _surrogate(self, number: int) -> Surrogate:
        surrogate: Surrogate = load(*(self._run_folder(number, k) for k in range(self.order.runs)))
        return surrogate

    def _run_folder(self, number: int, k: int) -> Path:
        """Of training ``k`` (from 0) of a round (from 1)."""
        return self.folder / f"round{number:02d}" / f"run{k + 1}"

    def identity(self) -> dict[str, Any]:
        """Everything that decides the rounds beside how many there are."""
        chosen = {key: value for key, value in asdict(self.order).items() if key != "rounds"}
        identity = {"understudy": __version__, "source": self.source.describe(), **chosen}
        plain: dict[str, Any] = json.loads(json.dumps(identity))
        return plain

    def _recorded(self) -> list[Round]:
        path = self.folder / STATE
        if not path.exists():
            return []
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            mine, theirs = self.identity(), dict(state["loop"])
            rounds = [Round(**data) for data in state["rounds"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not what a loop writes: {error!r}") from error
        for key, value in mine.items():
            if theirs.get(key) != value:
                shown = "" if key == "source" else f" ({theirs.get(key)!r}, not {value!r})"
                raise ConfigError(
                    f"{self.folder} holds a loop with another {key}{shown}; choose another --out"
                )
        return rounds

    def _record(self, rounds: Sequence[Round]) -> None:
        write_json(self.folder / STATE, {"loop": self.identity(), "rounds": [asdict(r) for r in rounds]})
