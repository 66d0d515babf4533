"""What each command does, once :mod:`understudy.cli` knows which one is meant."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from understudy.display import Terminal
from understudy.errors import ConfigError, DataError, UnderstudyError, did_you_mean


def train(arguments: Sequence[str]) -> None:
    """Compose with Hydra and run; several runs one after another with ``-m``."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from understudy.config import CONFIG_MODULE, CONFIG_NAME, build, explain

    failures: list[BaseException] = []

    @hydra.main(config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME, version_base="1.3")
    def job(cfg: DictConfig) -> Any:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            plan = build(cfg, folder)
            from understudy.follow import follow, is_follower
            from understudy.run import execute  # torch and Lightning: only when there is something to train

            if is_follower(plan):
                return follow(plan)
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                from understudy.sweep.job import run_job

                return run_job(plan, HydraConfig.get().sweeper, lambda p: execute(p, Terminal()))
            return execute(plan, Terminal())
        except Exception as error:
            _tidy(folder, error)
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise
            failures.append(error)  # Hydra would add lines of its own
            return float("inf")

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors are ours to explain
    sys.argv = ["understudy", *_together(_resumed(arguments))]
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error
    if failures:
        raise failures[0]


def _resumed(arguments: Sequence[str]) -> list[str]:
    """With ``resume=RUN``: the overrides of that run, then those given now, and its folder again."""
    runs = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    if not runs or not runs[-1]:
        return list(arguments)
    folder = Path(runs[-1]).expanduser().resolve()
    recorded = folder / ".hydra" / "overrides.yaml"
    if not recorded.is_file():
        raise ConfigError(f"resume={runs[-1]}: there is no run in this folder")
    from omegaconf import OmegaConf

    from understudy.config import quoted

    before = [str(o) for o in OmegaConf.load(recorded) if not str(o).startswith("resume=")]
    now = [a for a in arguments if not a.startswith("resume=")]
    return [*before, *now, f"resume={quoted(folder)}", f"hydra.run.dir={quoted(folder)}"]


def _together(arguments: list[str]) -> list[str]:
    """Where srun or torchrun started the processes of one training: one folder for all of them.

    Only the first process writes Hydra's files and the log.
    """
    from understudy.ranks import is_launched, rank

    if not is_launched() or not any(a.startswith("trainer") and "ddp" in a for a in arguments):
        return arguments
    more = [] if rank() == 0 else ["hydra.output_subdir=null", "hydra/job_logging=disabled"]
    if not any(a.startswith(("hydra.run.dir=", "resume=")) for a in arguments):
        job = os.environ.get("SLURM_JOB_ID") or f"port{os.environ.get('MASTER_PORT', '0')}"
        more.append(f"hydra.run.dir='runs/job{job}-${{model.name}}'")
    return [*arguments, *more]


def _tidy(folder: Path, error: BaseException) -> None:
    """Complete the error with how to go on, or remove the folder of a run that never started."""
    from understudy.run import STATE
    from understudy.training import StoppedByUser

    if isinstance(error, StoppedByUser):
        error.resume_with = f"understudy train resume={os.path.relpath(folder)}"
    elif isinstance(error, UnderstudyError) and not (folder / STATE).exists():
        shutil.rmtree(folder, ignore_errors=True)


def evaluate(options: argparse.Namespace) -> None:
    """Compare a run, or the mean of several, with measured cases; how, its domain knows."""
    from understudy.core.bundle import domain_of
    from understudy.core.domain import domain

    if len(options.paths) < 2:
        raise ConfigError("evaluate takes a RUN, or several, and the CASES after them")
    field = domain(domain_of(Path(options.paths[0])))
    for name in ("with_trees", "pairing"):
        if getattr(options, name) and name not in field.predict_options:
            raise ConfigError(f"--{name.replace('_', '-')} means nothing for a run of {field.name.upper()}")
    names = ("out", "byproducts", "skip_bad", "with_trees", "pairing")
    chosen = {name: getattr(options, name) for name in names}
    field.evaluate(options.paths, chosen, Terminal())


def acquire(options: argparse.Namespace) -> None:
    """Say which of the candidates to simulate or to probe next; what runs say of them, their domain knows."""
    from understudy.acquire import run

    run(options, Terminal())


def predict(options: argparse.Namespace) -> None:
    """Write what one or several runs predict; how, their domain knows."""
    from understudy.core.bundle import domain_of
    from understudy.core.domain import domain

    field = domain(domain_of(Path(options.paths[0])))
    given = {
        key: value
        for key, value in vars(options).items()
        if key not in ("paths", "run", "debug") and value is not None and value is not False
    }
    foreign = [key for key in given if key not in field.predict_options]
    if foreign:
        raise ConfigError(f"--{foreign[0].replace('_', '-')} means nothing for a run of {field.name.upper()}")
    field.predict(options.paths, given, Terminal())


def ingest(options: argparse.Namespace) -> None:
    """Write one Parquet file: of CSV cases, which keep their step unless asked otherwise, or of RNA molecules."""
    from understudy.rna.ingest.command import FORMATS

    if options.cases in FORMATS:
        _ingest_molecules(options)
        return
    from understudy.cae.datasets import CaseDataset
    from understudy.config import build, compose, quoted
    from understudy.core.parquet import write_parquet

    out = Path(options.out)
    if out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: the name must end in .parquet")
    source = f"dataset.path={quoted(Path(options.cases))}"
    chosen = ["settings.use_decimate=false", *options.overrides]
    if options.skip_bad:
        chosen.append("dataset.on_bad_case=skip")
    if not any(o.startswith("dataset=") for o in chosen):
        chosen.insert(0, "dataset=csv")
    plan = build(compose([*chosen, source]), Path())
    terminal = Terminal()
    with terminal.bar("reading the cases") as on_progress:
        loaded = cast(CaseDataset, plan.dataset).load(plan.preprocess, on_progress)
    for line in loaded.skipped:
        terminal.say(f"left out: {line}")
    table = loaded.table
    write_parquet(table, out)
    terminal.say(
        f"{len(table)} cases, {len(table.values):,} rows every {table.spec.step:g} {table.spec.step_unit}, "
        f"{len(table.spec.signals)} signals in {out} (fingerprint {table.fingerprint[:12]})"
    )


def _ingest_molecules(options: argparse.Namespace) -> None:
    from understudy.rna.ingest.command import run

    out = Path(options.out)
    if out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: the name must end in .parquet")
    run(options.cases, options.overrides, out, skip_bad=options.skip_bad, terminal=Terminal())


def simulate(options: argparse.Namespace) -> None:
    """Run an experiment many times, each time with other random controls."""
    from understudy.cae.simulate.command import simulate as run

    run(options, Terminal())


def loop(options: argparse.Namespace) -> None:
    """Simulate, train, choose what to simulate next, and again."""
    from understudy.loop.command import run

    run(options, Terminal())


def pairing(options: argparse.Namespace) -> None:
    """Fill the cache of base-pairing probabilities."""
    from understudy.rna.pairing.command import run

    run(options, Terminal())


def config(options: argparse.Namespace) -> None:
    """Print the configuration that these overrides compose to, or say that it is right."""
    from omegaconf import OmegaConf

    from understudy.config import build, compose
    from understudy.core.nets import NETS

    cfg = compose(options.overrides)
    plan = build(cfg, Path())
    if plan.network not in NETS:
        raise ConfigError(f"no network is called {plan.network!r}{did_you_mean(plan.network, NETS)}")
    if options.action == "show":
        print(OmegaConf.to_yaml(cfg, resolve=True), end="")
    else:
        print("the configuration is right")


def runs(options: argparse.Namespace) -> None:
    """Tables of what has been run, on disk and in the tracker."""
    from understudy.listing import runs as run

    run(options)


def ui(options: argparse.Namespace) -> None:
    """Replace this process by MLflow's own server on the store of this folder."""
    from understudy.tracking import default_uri

    uri = default_uri()
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise DataError("no run has been recorded in this folder: there is no mlflow.db; train first")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    arguments = ["ui", "--backend-store-uri", uri, "--host", options.host, "--port", str(options.port)]
    print(f"http://{options.host}:{options.port}", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments])


COMPLETION = """\
_understudy() {
    local word="${COMP_WORDS[COMP_CWORD]}"
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "%(commands)s" -- "$word"))
    elif [ "${COMP_WORDS[1]}" = train ]; then
        local line="understudy${COMP_LINE#*train}"
        COMPREPLY=($(COMP_LINE="$line" COMP_POINT=${#line} understudy train -sc query=bash 2>/dev/null))
        compopt -o nospace
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -F _understudy understudy"""


def completion(options: argparse.Namespace) -> None:
    """Print a shell script; for ``train`` it asks Hydra, which knows groups, choices and keys."""
    from understudy.cli import COMMANDS

    print(COMPLETION % {"commands": " ".join(COMMANDS)})
