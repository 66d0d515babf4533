"""The command line. Nothing heavy is imported before it is known to be needed: help answers at once."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from understudy import __version__
from understudy.errors import UnderstudyError, did_you_mean

TRAIN_HELP = """\
usage: understudy train [KEY=VALUE ...] [-m] [--config-dir FOLDER] [--debug]

Train a surrogate, evaluate it on test cases against two baselines, and write the report.
Without arguments: the network `dot` on a simulated refrigerant circuit, under five minutes.

  understudy train dataset=csv dataset.path=FOLDER dataset.num_control=9 dataset.num_pred=41
  understudy train dataset=csv dataset.path=FOLDER 'dataset.controls=[rpm,valve]' 'dataset.targets=[power]'
  understudy train model=bt model.depth=4 settings.lr=3e-4 settings.unroll=4
  understudy train -m 'model=choice(dot, dol)'        one run after another
  understudy train resume=runs/RUN                    go on with a run that was stopped

keys:
  model=NAME             arx bt dol don dot lstm persistence
  dataset=NAME           refrigerant csv tanks bmw_i3
  experiment=NAME        a recipe: several keys at once
  settings.is_debug=true a few cases and batches, everything exercised, under 30 seconds
  understudy config show prints every key with its value

options:
  -m, --multirun         search: every combination of choice(...), or hydra.sweeper.n_trials of an interval(...)
  --config-dir FOLDER    your own yaml files beside the built-in ones
  --debug                full traceback for errors that otherwise are one line
  -h, --help             this text
"""

# What the operating system says when a place cannot be written; anything else of OSError is a defect of ours.
UNWRITABLE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
}


def main(argv: Sequence[str] | None = None) -> None:
    """``understudy COMMAND …``"""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] == "train":
        train(arguments[1:])
        return
    parser = _parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        _fail(
            f"no command is called {arguments[0]!r}{did_you_mean(arguments[0], COMMANDS)}; see `understudy --help`"
        )
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return
    guarded(lambda: options.run(options), debug=options.debug)


def train(argv: Sequence[str] | None = None) -> None:
    """``understudy train …`` and ``python train.py …``: the same program."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        print(TRAIN_HELP, end="")
        return
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]

    def run() -> None:
        from understudy import commands

        commands.train(arguments)

    guarded(run, debug=debug)


def guarded(run: Callable[[], None], *, debug: bool) -> None:
    """Errors a person can mend become one line and status 2; defects keep their traceback."""
    if debug:
        run()
        return
    try:
        run()
    except UnderstudyError as error:
        resumable = getattr(error, "resume_with", None)
        if resumable:
            print(f"{error}; go on with: {resumable}", file=sys.stderr)
            sys.exit(130)
        _fail(str(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; nothing to say
        sys.exit(1)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _fail(f"cannot write {error.filename or 'the output'}: {error.strerror}")


def _fail(message: str) -> NoReturn:
    print(f"understudy: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="understudy",
        description="Train, evaluate and use surrogates: fast stand-ins for slow experiments.",
    )
    parser.add_argument("--version", action="version", version=f"understudy {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Command)
    for name, (summary, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        arguments(command)
        command.add_argument("--debug", action="store_true", help="full traceback for errors")
    return parser


class _Command(argparse.ArgumentParser):
    """Options may stand anywhere: before, between or after the paths."""

    _within = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._within:
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


def _command(name: str) -> Callable[[argparse.Namespace], None]:
    """The function ``name`` of :mod:`understudy.commands`, imported when it is called."""

    def run(options: argparse.Namespace) -> None:
        from understudy import commands

        getattr(commands, name)(options)

    return run


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    """Only for the list of commands: `train` never gets here."""


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN [RUN ...] CASES [options]"
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="RUN: folder of a run, or of a bundle; several are averaged. CASES: folder of CSV cases, a CSV file "
        "or a Parquet file; RNA: a Parquet file of ingest",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="where the report goes (default: evaluation-<name of CASES>)"
    )
    parser.add_argument("--byproducts", action="store_true", help="figures of the byproducts too")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out bad files, listed, instead of stopping"
    )
    _in_the_mean(parser)
    parser.set_defaults(run=_command("evaluate"))


def _in_the_mean(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--pairing",
        choices=["auto", "all", "none"],
        help="RNA: base-pairing probabilities where possible (auto), none, or the mean of predictions under all "
        "energy parameters that ViennaRNA brings (all)",
    )
    parser.add_argument(
        "--with-trees",
        action="store_true",
        help="RNA: the mean holds the boosted trees, too, that every run has fitted beside its network",
    )


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "%(prog)s RUN [RUN ...] SOURCE --out PATH\n       %(prog)s RUN [RUN ...] SOURCE [options of RNA runs]"
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="RUN: folder of a run or bundle. SOURCE: CAE, a folder of CSV cases or a file, with controls in all "
        "rows and predicted signals in the first in_len; RNA, FASTA, CSV, TSV or Parquet with sequences, or - "
        "for standard input. Several runs are averaged",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="CAE: a folder for CSV files, or FILE.parquet; RNA: FILE.tsv, .csv (each also .gz) or .parquet, "
        "- for standard output",
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="CAE: leave out bad files, listed, instead of stopping"
    )
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="P",
        help="columns NAME_low and NAME_high too, between which a measured value lies with this probability: "
        "0.5, 0.8, 0.9 or 0.95",
    )
    rna = parser.add_argument_group("RNA runs")
    rna.add_argument("--shape", metavar="FOLDER", help="a file <id>.shape a sequence, for RNAfold --shape")
    rna.add_argument(
        "--structure", metavar="FILE.dbn", help="dot-bracket from ViennaRNA, guided by the predicted 2A3"
    )
    rna.add_argument(
        "--kaggle",
        metavar="TEST.csv",
        help="in place of SOURCE: write the submission for this test file to --out",
    )
    rna.add_argument("--tta", action="store_true", help="predict from both ends and take the mean")
    _in_the_mean(rna)
    rna.add_argument(
        "--memory", type=float, metavar="GIB", help="of one batch (default: 4); longer sequences go in parts"
    )
    parser.set_defaults(run=_command("predict"))


def _ingest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "%(prog)s FOLDER [KEY=VALUE ...] --out FILE.parquet\n"
        "       %(prog)s {ribonanza,rdat,fasta} FILE [FILE ...] --out FILE.parquet"
    )
    parser.add_argument(
        "cases", metavar="FOLDER", help="CAE: folder of CSV cases. RNA: the format, then its files"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="CAE: as for train, dataset.num_control=9 …"
    )
    parser.add_argument("--out", metavar="FILE.parquet", required=True)
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out what is bad, counted and listed, instead of stopping",
    )
    parser.set_defaults(run=_command("ingest"))


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    from understudy.cae.simulate.command import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_command("simulate"))


def _pairing_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="FASTA, CSV or TSV with the columns sequence_id and sequence, Parquet; - for standard input",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="worker processes (default: one a core)")
    parser.add_argument("--cache", metavar="FOLDER", help="default: pairing in the user's cache")
    parser.add_argument("--export", metavar="FILE.parquet", help="also write the pairs, a row a sequence")
    parser.set_defaults(run=_command("pairing"))


def _acquire_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN [RUN ...] CANDIDATES --by STRATEGY [--n N] [options]"
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="RUN: folder of a run or bundle; disagreement needs several, or one with model.members above 1. "
        "CANDIDATES: CAE, cases whose controls are known, a folder or a file; RNA, sequences as for predict",
    )
    parser.add_argument(
        "--by",
        required=True,
        metavar="STRATEGY",
        help="random; k-center: unlike what is known and each other; learning-loss: where an error learnt from "
        "--known is largest; disagreement: where the runs differ most",
    )
    parser.add_argument("--n", type=int, default=10, metavar="N", help="how many (default 10)")
    parser.add_argument(
        "--known",
        metavar="SOURCE",
        help="what was done already. CAE: whole cases; RNA: sequences, for learning-loss a Parquet file of ingest",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="of random (default 0)")
    parser.add_argument("--out", metavar="FILE.csv", help="default: standard output")
    parser.add_argument(
        "--pairing", choices=["auto", "none"], help="RNA: base-pairing probabilities, as for predict"
    )
    parser.set_defaults(run=_command("acquire"))


def _loop_arguments(parser: argparse.ArgumentParser) -> None:
    from understudy.loop.options import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_command("loop"))


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["show", "check"], help="show: print it; check: only say whether it is right"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.set_defaults(run=_command("config"))


def _ui_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.set_defaults(run=_command("ui"))


def _runs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "show", "compare", "rm"])
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="its folder, its name, or the id of its record"
    )
    parser.add_argument("--folder", default="runs", help="where the runs are (default: runs)")
    parser.add_argument("--uri", help="tracking store (default: MLFLOW_TRACKING_URI, or mlflow.db here)")
    parser.add_argument("--no-tracker", action="store_true", help="only what is on disk")
    parser.add_argument("--json", action="store_true", help="for programs instead of people")
    parser.add_argument("--yes", action="store_true", help="rm: do not ask")
    parser.add_argument("--keep-record", action="store_true", help="rm: leave the record in the tracker")
    parser.set_defaults(run=_command("runs"))


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash"], help='then: eval "$(understudy completion bash)"')
    parser.set_defaults(run=_command("completion"))


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "train": ("train a surrogate, evaluate it and write the report", _train_arguments),
    "evaluate": ("compare a trained surrogate with cases", _evaluate_arguments),
    "predict": ("predict cases from their controls, or reactivities of sequences", _predict_arguments),
    "ingest": ("read CSV cases, or files of RNA experiments, into one Parquet file", _ingest_arguments),
    "simulate": ("make cases with a built-in experiment or an FMU", _simulate_arguments),
    "acquire": ("choose the experiments to do next", _acquire_arguments),
    "loop": ("simulate, train, choose what to simulate next, and again", _loop_arguments),
    "pairing": ("compute base-pairing probabilities of RNA sequences", _pairing_arguments),
    "config": ("show or check the configuration", _config_arguments),
    "ui": ("open MLflow's pages on the recorded runs", _ui_arguments),
    "runs": ("list, show, compare or delete runs", _runs_arguments),
    "completion": ("print a script that completes commands and keys", _completion_arguments),
}
