"""The command line of ``understudy loop``; read for its help, so nothing heavy is imported."""

from __future__ import annotations

import argparse

from understudy.cae.simulate.command import KINDS, add_experiment_options

EPILOG = """\
SOURCE is an experiment that is run for the cases that are chosen, or a Parquet file of cases that were simulated
before, whose outputs are looked at only once a case is chosen: a study of how many would have been enough.
The same command goes on where it was stopped, also with more --rounds.

  understudy loop refrigerant --out study --by k-center model=ssm settings.max_minutes=5
  understudy loop cases.parquet --out study --start 20 --add 20 --rounds 5 model=ssm model.members=3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.usage = "%(prog)s SOURCE --out FOLDER [options] [KEY=VALUE ...]"
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    known = "; ".join(f"{kind.name}: {kind.summary}" for kind in KINDS)
    parser.add_argument("experiment", metavar="SOURCE", help=f"{known}; or cases that were simulated")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of every training, as for train")
    parser.add_argument("--out", metavar="FOLDER", required=True)
    parser.add_argument(
        "--by",
        default="disagreement",
        metavar="STRATEGY",
        help="random, k-center, learning-loss or disagreement (default)",
    )
    parser.add_argument(
        "--start", type=int, default=20, metavar="N", help="cases of the first round, at random (default 20)"
    )
    parser.add_argument("--add", type=int, default=20, metavar="N", help="cases a round (default 20)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="trainings (default 5)")
    parser.add_argument(
        "--candidates",
        type=int,
        default=200,
        metavar="N",
        help="of an experiment, to choose from (default 200)",
    )
    parser.add_argument(
        "--test", type=int, default=20, metavar="N", help="cases that are never chosen and test (default 20)"
    )
    parser.add_argument(
        "--runs",
        type=int,
        metavar="N",
        help="trainings a round that differ in their seeds; they predict and disagree together (default 1, for "
        "disagreement 3 unless model.members is above 1)",
    )
    parser.add_argument(
        "--equal-steps",
        action="store_true",
        help="settings.epochs is meant for all candidates; fewer cases take more epochs, and so as many steps",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="default 0")
    add_experiment_options(parser)
