"""``python -m benchmarks.speed [read|memory|rollout|train|scale ...] [--quick]``: measure and write down."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import memory, reading, rollouts, scale, training
from benchmarks.measure import SECTIONS, Report, save, show, surroundings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; all but scale"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; prints only, and writes nothing")
    parser.add_argument(
        "--work", type=Path, help="folder for the data of scale, about 9 GB (default: temporary)"
    )
    options = parser.parse_args()
    run: dict[str, Callable[[bool], Report]] = {
        "read": reading.run,
        "memory": memory.run,
        "rollout": rollouts.run,
        "train": training.run,
        "scale": partial(scale.run, work=options.work),
    }
    sections = options.sections or [name for name in SECTIONS if name != "scale"]
    unknown = set(sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {unknown.pop()!r}; there are {', '.join(SECTIONS)}")
    for name in sections:
        around = surroundings()
        report = run[name](options.quick)
        print(show(report), flush=True)
        if not options.quick:
            save(name, report, around)


if __name__ == "__main__":
    main()
