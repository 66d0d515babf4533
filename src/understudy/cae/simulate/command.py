"""``understudy simulate``: which experiments there are, the options of each, and the run.

The command line reads this module for its help, so that nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.errors import ConfigError, did_you_mean
from understudy.progress import Progress

if TYPE_CHECKING:
    from understudy.cae.simulate.campaign import Campaign
    from understudy.cae.simulate.experiment import Experiment


class ExperimentOptions:
    """Adds options that only one experiment has; given with another one they are an error."""

    def __init__(self, parser: argparse.ArgumentParser, kind: Kind) -> None:
        self._group = parser.add_argument_group(f"only for {kind.name}")
        self.flags: dict[str, str] = {}

    def add(self, flag: str, *, metavar: str, help: str) -> None:
        """An option that is None where it is not given."""
        action = self._group.add_argument(flag, metavar=metavar, help=help)
        self.flags[action.dest] = flag


@dataclass(frozen=True)
class Kind:
    """A kind of experiment.

    Args:
        name: what a person writes, or ``PATH.suffix`` where it is a file with that suffix.
        summary: half a line for the help.
        make: the experiment for the options; the place for heavy imports.
        add_options: declares what only this kind understands.
        n_workers: processes by default; None for one on every core.
    """

    name: str
    summary: str
    make: Callable[[argparse.Namespace], Experiment]
    add_options: Callable[[ExperimentOptions], None] = lambda options: None
    n_workers: int | None = None

    def fits(self, wanted: str) -> bool:
        if self.name.startswith("PATH."):
            return Path(wanted).suffix.lower() == Path(self.name).suffix
        return wanted == self.name


def _tanks(options: argparse.Namespace) -> Experiment:
    from understudy.cae.simulate.tanks import SPEC, Tanks

    if options.step not in (None, SPEC.step):
        raise ConfigError(f"--step: the tanks are sampled every {SPEC.step:g} s, always")
    seconds = 1200.0 if options.seconds is None else options.seconds
    if seconds < 2 * SPEC.step:
        raise ConfigError(f"--seconds must be at least {2 * SPEC.step:g}")
    return Tanks(seconds)


def _fmu_options(options: ExperimentOptions) -> None:
    options.add(
        "--controls",
        metavar="FILE.yaml",
        help="how the inputs move, and which outputs are targets (default: every input between its limits)",
    )


def _fmu(options: argparse.Namespace) -> Experiment:
    from understudy.cae.simulate.controls import read_controls
    from understudy.cae.simulate.fmu import FmuExperiment

    controls = read_controls(Path(options.controls)) if options.controls else None
    return FmuExperiment(Path(options.experiment), controls, seconds=options.seconds, step=options.step)


def _refrigerant_options(options: ExperimentOptions) -> None:
    options.add("--variant", metavar="NAME", help="step2 (9 controls, default) or refrig_only (15 controls)")
    options.add("--suite", metavar="NAME", help="train (default), swing, hot, long or start")
    options.add("--refrigerant", metavar="NAME", help="R1234yf (default) or R134a")


def _refrigerant(options: argparse.Namespace) -> Experiment:
    from understudy.cae.simulate.refrigerant.experiment import RefrigerantCircuit
    from understudy.cae.simulate.refrigerant.suites import SECONDS, USUAL_SECONDS

    suite = options.suite or "train"
    return RefrigerantCircuit(
        variant=options.variant or "step2",
        refrigerant=options.refrigerant or "R1234yf",
        suite=suite,
        seconds=options.seconds or SECONDS.get(suite, USUAL_SECONDS),
        step=options.step or 0.1,
    )


KINDS = (
    Kind("refrigerant", "refrigerant circuit of an electric car", _refrigerant, _refrigerant_options),
    Kind("tanks", "two water tanks that overflow", _tanks, n_workers=1),  # a case takes less than a start
    Kind("PATH.fmu", "a model for co-simulation, FMI 2.0 or 3.0", _fmu, _fmu_options),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    known = "; ".join(f"{kind.name}: {kind.summary}" for kind in KINDS)
    parser.add_argument("experiment", metavar="EXPERIMENT", help=known)
    parser.add_argument("--out", metavar="FOLDER", required=True)
    parser.add_argument("--cases", type=int, default=40, metavar="N", help="default 40")
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="default 0")
    parser.add_argument("--format", default="csv", metavar="csv|parquet", help="default csv, a file a case")
    add_experiment_options(parser)


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """The options that describe the experiment called ``experiment``, and how it is run."""
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="length of a case (default: the experiment's own)"
    )
    parser.add_argument(
        "--step", type=float, metavar="S", help="time between rows (default: the experiment's own)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one for every core)")
    flags = {}
    for kind in KINDS:
        options = ExperimentOptions(parser, kind)
        kind.add_options(options)
        flags[kind.name] = options.flags
    parser.set_defaults(flags=flags)


def simulate(options: argparse.Namespace, progress: Progress) -> None:
    """Run the campaign that the command line asks for; the same command again continues or checks it.

    Raises:
        ConfigError, DataError: as :func:`~understudy.cae.simulate.campaign.run_campaign`, and for options that
            cannot be.
    """
    _check_numbers(options, {"cases": 1, "seed": 0})
    experiment, n_workers = experiment_of(options)
    from understudy.cae.simulate.campaign import run_campaign

    with progress.bar(getattr(experiment, "activity", "simulating the cases")) as on_progress:
        campaign = run_campaign(
            experiment,
            Path(options.out),
            options.cases,
            seed=options.seed,
            file_format=options.format,
            n_workers=n_workers,
            on_progress=on_progress,
        )
    progress.say(_summary(experiment, campaign))


def experiment_of(options: argparse.Namespace) -> tuple[Experiment, int | None]:
    """The experiment that the options describe, and the processes to run it in (None: one a core).

    Raises:
        ConfigError: no such experiment, or options that cannot be.
    """
    kind = _kind(options)
    _check_numbers(options, {"workers": 1})
    for name in ("seconds", "step"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"--{name} must be positive, not {value:g}")
    return kind.make(options), options.workers if options.workers is not None else kind.n_workers


def _check_numbers(options: argparse.Namespace, least: dict[str, int]) -> None:
    for name, bound in least.items():
        number = getattr(options, name)
        if number is not None and number < bound:
            raise ConfigError(f"--{name} must be at least {bound}, not {number}")


def _kind(options: argparse.Namespace) -> Kind:
    wanted = options.experiment
    kind = next((kind for kind in KINDS if kind.fits(wanted)), None)
    if kind is None:
        names = [kind.name for kind in KINDS]
        hint = did_you_mean(wanted, names) or f"; known are {', '.join(names)}"
        raise ConfigError(f"no experiment is called {wanted!r}{hint}")
    for owner, flags in options.flags.items():
        for dest, flag in flags.items():
            if owner != kind.name and getattr(options, dest) is not None:
                raise ConfigError(f"{flag} is an option of {owner}, not of {kind.name}")
    return kind


def _summary(experiment: Experiment, campaign: Campaign) -> str:
    spec, manifest = experiment.spec, campaign.manifest
    n_all = len(manifest.cases)
    columns = f"{len(spec.controls)} controls, {len(spec.predicted)} predicted signals"
    parts = [
        f"{n_all} cases in {campaign.folder}: {columns} (the last {len(spec.target_columns)} are targets)"
    ]
    if campaign.n_simulated == 0:
        parts.append("nothing to do, all checksums are right")
    elif campaign.n_simulated < n_all:
        parts.append(f"{n_all - campaign.n_simulated} were there already")
    if manifest.resampled:
        why = ", ".join(f"{reason} ({count})" for reason, count in manifest.reasons.most_common(3))
        parts.append(f"{len(manifest.resampled)} resampled: {why}")
    return "; ".join(parts)
