"""What happens to a case whose integration fails: smaller steps, then another draw, and both are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from understudy.cae.simulate.experiment import CaseFailed
from understudy.cae.simulate.refrigerant import case as case_module
from understudy.cae.simulate.refrigerant import experiment as module
from understudy.cae.simulate.refrigerant.experiment import ATTEMPTS, RefrigerantCircuit
from understudy.cae.simulate.refrigerant.fluid import load_fluid
from understudy.cae.simulate.refrigerant.signals import circuit_of
from understudy.cae.simulate.refrigerant.suites import suite_of


def failing(times: int, tried: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ``times`` integrations fail; ``tried`` collects the longest steps that were allowed."""

    def simulate(*arguments: Any, longest: float, **others: Any) -> Any:
        tried.append(longest)
        return None if len(tried) <= times else case_module.simulate(*arguments, longest=longest, **others)

    monkeypatch.setattr(module, "simulate", simulate)


def test_smaller_steps_are_tried_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []
    failing(1, tried, monkeypatch)
    done = RefrigerantCircuit(seconds=10.0).run(np.random.default_rng(0))
    assert done.notes["retries"] == 1
    assert tried == [ATTEMPTS[0][1], ATTEMPTS[1][1]]
    assert tried[1] < tried[0]


def test_a_case_that_never_works_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []
    failing(99, tried, monkeypatch)
    with pytest.raises(CaseFailed, match="smallest steps"):
        RefrigerantCircuit(seconds=10.0).run(np.random.default_rng(0))
    assert len(tried) == len(ATTEMPTS)


def test_an_integration_that_leaves_the_model_ends_and_says_so() -> None:
    """A circuit without walls has no finite time constants."""
    circuit = circuit_of("step2")
    circuit = circuit._replace(evaporator=circuit.evaporator._replace(wall=1e-12))
    course = suite_of("train")(np.random.default_rng(0), "step2", 50, 0.1)
    fluid = load_fluid("R1234yf")
    assert case_module.simulate(fluid, circuit, course, 0.1, tolerance=0.05, longest=0.05) is None


def test_a_state_outside_the_tables_is_a_failed_case() -> None:
    """Tables that end at 12 bar, and a condenser without wind that goes beyond."""
    fluid = load_fluid("R1234yf")
    rows = 1 + int((np.log(12e5) - fluid.ln_p0) / fluid.d_ln_p)
    short = fluid._replace(
        **{key: np.ascontiguousarray(part[:rows]) for key, part in fluid._asdict().items() if np.ndim(part)}
    )
    course = suite_of("train")(np.random.default_rng(0), "step2", 900, 0.1)
    course.requests[:, [0, 1, 2]] = 6000.0, 40.0, 0.8
    circuit, steps = circuit_of("step2"), {"tolerance": 0.05, "longest": 0.05}
    whole = case_module.simulate(fluid, circuit, course, 0.1, **steps)
    assert whole is not None
    assert whole.outputs[:, 12].max() > 1.2
    assert case_module.simulate(short, circuit, course, 0.1, **steps) is None


@pytest.mark.parametrize("suite", ["train", "swing"])
def test_the_plan_of_a_case_is_what_it_does(suite):
    circuit = RefrigerantCircuit(seconds=20.0, suite=suite)
    open_to_say = 0
    for seed in range(3):
        planned = circuit.plan(np.random.default_rng(seed))
        rows = circuit.run(np.random.default_rng(seed)).values[:, :9]
        said = np.isfinite(planned)
        assert said[:, [0, 1, 2, 3, 4, 5, 6]].all()
        open_to_say += int(said[:, 7:].all(axis=0).sum())
        said[:, 0] &= rows[:, 0] >= planned[:, 0]  # its protection may keep the compressor slower
        np.testing.assert_allclose(rows[said], planned[said], rtol=1e-5)
    assert (open_to_say > 0) == (suite == "swing"), "valves are known ahead only where they are set by hand"
