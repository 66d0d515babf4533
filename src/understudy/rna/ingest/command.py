"""``understudy ingest ribonanza|rdat|fasta FILE …``: files of the field into one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from understudy.errors import ConfigError, DataError
from understudy.progress import Progress
from understudy.rna.ingest.summary import Summary

FORMATS = ("ribonanza", "rdat", "fasta")


def run(kind: str, arguments: Sequence[str], out: Path, *, skip_bad: bool, terminal: Progress) -> None:
    """Read, write ``out`` and the figure beside it, and say what was found.

    Args:
        kind: of :data:`FORMATS`.
        arguments: files, and ``on_bad_case=skip`` or ``=error``.

    Raises:
        ConfigError: no file is named, or an argument is unknown.
        DataError: what the files hold cannot be used.
    """
    settings = [a for a in arguments if "=" in a and not Path(a).exists()]
    files = [Path(a) for a in arguments if a not in settings]
    unknown = [a for a in settings if a not in ("on_bad_case=skip", "on_bad_case=error")]
    if unknown:
        raise ConfigError(f"{unknown[0]}: known is on_bad_case=error or on_bad_case=skip")
    if not files:
        raise ConfigError(f"ingest {kind}: name the file or files to read")
    for path in files:
        if not path.is_file():
            what = "is a folder; name the file in it" if path.is_dir() else "no such file"
            raise DataError(f"{path}: {what}")
    if len({path.resolve() for path in files}) < len(files):
        raise ConfigError("a file is named twice")
    on_bad_case = "skip" if skip_bad or "on_bad_case=skip" in settings else "error"
    with terminal.bar(f"reading {kind}") as on_progress:
        summary = _reader(kind)(files, out, on_bad_case, on_progress)
    from understudy.rna.ingest.figure import draw_summary

    figure = draw_summary(summary, out.with_suffix(".png"), ", ".join(path.name for path in files))
    for line in summary.lines():
        terminal.say(line)
    terminal.say(f"{out} (fingerprint {summary.fingerprint[:12]}), figure {figure}")


def _reader(kind: str) -> Callable[[list[Path], Path, str, Callable[[int, int], None]], Summary]:
    if kind == "ribonanza":
        from understudy.rna.ingest.ribonanza import ingest_ribonanza

        return lambda files, out, bad, told: ingest_ribonanza(files, out, on_bad_case=bad, on_progress=told)
    if kind == "rdat":
        from understudy.rna.ingest.rdat import ingest_rdat

        return lambda files, out, bad, _: ingest_rdat(files, out, on_bad_case=bad)
    from understudy.rna.ingest.fasta import ingest_fasta

    return lambda files, out, bad, _: ingest_fasta(files, out, on_bad_case=bad)
