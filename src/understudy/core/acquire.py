"""Which experiments to do next: candidates put in order by what a trained surrogate says of them.

Axes: K candidates, M experiments that were done, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from understudy.errors import ConfigError, did_you_mean

Array = NDArray[np.float64]


class Candidates(Protocol):
    """Experiments that could be done. What a strategy does not ask for is never computed."""

    def __len__(self) -> int: ...

    def features(self) -> Array:
        """(K, D): candidates whose features are near one another teach much the same."""

    def known_features(self) -> Array:
        """(M, D) of the experiments that were done; M may be 0."""

    def expected_error(self) -> Array:
        """(K,) the error that the surrogate is expected to make.

        Raises:
            ConfigError: there is nothing to learn it from.
        """

    def disagreement(self) -> Array:
        """(K,) how far apart the predictions of several surrogates are.

        Raises:
            ConfigError: there is only one.
        """


@dataclass(frozen=True)
class Pick:
    """A candidate that was chosen: its place, and what it was chosen for (NaN where for nothing)."""

    place: int
    value: float


Strategy = Callable[[Candidates, int, np.random.Generator], list[Pick]]


def at_random(candidates: Candidates, n: int, rng: np.random.Generator) -> list[Pick]:
    """Any, without repetition: what every other strategy must beat."""
    chosen = rng.choice(len(candidates), n, replace=False)
    return [Pick(int(place), float("nan")) for place in chosen]


def k_center(candidates: Candidates, n: int, rng: np.random.Generator) -> list[Pick]:
    """Always the one farthest from everything that is known or chosen already; its value is that distance.

    The greedy solution of the k-center problem (Sener and Savarese 2018, "Active learning for convolutional neural
    networks: a core-set approach", algorithm 1). With nothing known it begins with the candidate nearest the mean.
    """
    x, known = candidates.features(), candidates.known_features()
    nearest = np.full(len(x), np.inf)
    for centre in known:
        nearest = np.minimum(nearest, _distances(x, centre))
    picks: list[Pick] = []
    for _ in range(n):
        first = not len(known) and not picks
        place = int(np.argmin(_distances(x, x.mean(0)))) if first else int(np.argmax(nearest))
        picks.append(Pick(place, float("nan") if first else float(nearest[place])))
        nearest = np.minimum(nearest, _distances(x, x[place]))
        nearest[place] = -np.inf  # also where another one is equal to it
    return picks


def _distances(x: Array, centre: Array) -> Array:
    distances: Array = np.linalg.norm(x - centre, axis=1)
    return distances


def learning_loss(candidates: Candidates, n: int, rng: np.random.Generator) -> list[Pick]:
    """Those where the surrogate is expected to err most (Yoo and Kweon 2019, "Learning loss …")."""
    return _highest(candidates.expected_error(), n)


def disagreement(candidates: Candidates, n: int, rng: np.random.Generator) -> list[Pick]:
    """Those where several surrogates differ most (query by committee, Seung et al. 1992)."""
    return _highest(candidates.disagreement(), n)


def _highest(values: Array, n: int) -> list[Pick]:
    # What is no number comes from a surrogate that diverged: the first thing to know more about.
    order = np.argsort(-np.nan_to_num(values, nan=np.inf), kind="stable")
    return [Pick(int(place), float(values[place])) for place in order[:n]]


STRATEGIES: dict[str, Strategy] = {
    "random": at_random,
    "k-center": k_center,
    "learning-loss": learning_loss,
    "disagreement": disagreement,
}
# What the value of a pick is, for people.
VALUES = {
    "random": "",
    "k-center": "distance",
    "learning-loss": "expected_error",
    "disagreement": "disagreement",
}


def strategy_of(name: str) -> Strategy:
    """
    Raises:
        ConfigError: no such strategy.
    """
    if name not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise ConfigError(
            f"no strategy is called {name!r}{did_you_mean(name, STRATEGIES)}; there are {known}"
        )
    return STRATEGIES[name]


def choose(candidates: Candidates, by: str, n: int, *, seed: int = 0) -> list[Pick]:
    """The ``n`` candidates to do next, the most wanted first.

    Args:
        by: a name in :data:`STRATEGIES`.
        seed: only ``random`` depends on it.

    Raises:
        ConfigError: no such strategy, not so many candidates, or the strategy lacks what it goes by.
    """
    strategy = strategy_of(by)
    if not 1 <= n <= len(candidates):
        raise ConfigError(f"{n} of {len(candidates)} candidates cannot be chosen")
    return strategy(candidates, n, np.random.default_rng(seed))
