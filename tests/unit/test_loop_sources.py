"""Where a loop has its cases from: what is said of a candidate ahead is what the candidate then does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from understudy.cae.simulate.tanks import Tanks, simulate_tanks
from understudy.core.domain import Preprocess
from understudy.errors import ConfigError
from understudy.loop.sources import Replayed, Simulated


def silent(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("step", [None, 10.0])
def test_candidates_are_the_draws_that_are_run(tmp_path: Path, step: float | None) -> None:
    source = Simulated(Tanks(400.0), tmp_path, 9, 2, seed=3, preprocess=Preprocess(step), n_workers=1)
    ahead, run = source.candidates([2, 7]), source.run([2, 7], silent)
    assert ahead.ids == run.ids == ("case0002", "case0007")
    assert ahead.spec == run.spec
    for before, after in zip(ahead, run, strict=True):
        np.testing.assert_allclose(before.values[:, :2], after.values[:, :2], rtol=1e-5)
        assert np.isnan(before.values[:, 2:]).all()
        assert np.isfinite(after.values).all()


def test_test_cases_are_no_candidates(tmp_path: Path) -> None:
    source = Simulated(Tanks(400.0), tmp_path, 4, 3, seed=3, preprocess=Preprocess(), n_workers=1)
    tests, every = source.tests(silent), source.run([1, 2, 3, 4], silent)
    assert tests.ids == ("test-case0001", "test-case0002", "test-case0003")
    for test in tests:
        assert not any(np.array_equal(test.values, case.values) for case in every)


def test_a_pool_is_parted_once() -> None:
    table = simulate_tanks(12, seconds=200)
    source = Replayed(table, 4, seed=1)
    numbers = range(1, source.n_candidates + 1)
    tests = {name.removeprefix("test-") for name in source.tests(silent).ids}
    names = [source.name(number) for number in numbers]
    assert len(tests) == 4
    assert sorted([*tests, *names]) == sorted(table.ids)
    before = table.values.copy()
    ahead = source.candidates(list(numbers))
    assert ahead.ids == tuple(names)
    assert np.isnan(ahead.values[:, 2:]).all()
    np.testing.assert_array_equal(ahead.values[:, :2], source.run(list(numbers), silent).values[:, :2])
    np.testing.assert_array_equal(table.values, before)  # the pool itself is not blinded
    with pytest.raises(ConfigError, match="no candidate of 12"):
        Replayed(table, 12, seed=1)
