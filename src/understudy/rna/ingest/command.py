"""``understudy ingest ribonanza|rdat|fasta FILE …``: files of the field into one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from understudy.core.files import atomic_path
from understudy.errors import ConfigError, DataError
from understudy.progress import Progress
from understudy.rna.ingest.summary import Summary

# Files, where to, what to do with bad cases, progress, and who is told as soon as everything is counted.
Reader = Callable[
    [list[Path], Path, str, Callable[[int, int], None], Callable[[Summary], None]], Summary
]  # fmt: skip

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
    drawn: list[Future[bytes]] = []
    with ThreadPoolExecutor(1) as pool, terminal.bar(f"reading {kind}") as on_progress:

        def draw(counted: Summary) -> None:
            drawn.append(pool.submit(_drawn, counted, ", ".join(path.name for path in files)))

        summary = _reader(kind)(files, out, on_bad_case, on_progress, draw)
    figure = out.with_suffix(".png")
    with atomic_path(figure) as temporary:
        temporary.write_bytes(drawn[0].result())
    for line in summary.lines():
        terminal.say(line)
    terminal.say(f"{out} (fingerprint {summary.fingerprint[:12]}), figure {figure}")


def _drawn(summary: Summary, title: str) -> bytes:
    # Slow to import, and not needed where the files are bad.
    from understudy.rna.ingest.figure import draw_summary

    return draw_summary(summary, title)


def _reader(kind: str) -> Reader:
    if kind == "ribonanza":
        from understudy.rna.ingest.ribonanza import ingest_ribonanza

        return lambda files, out, bad, told, counted: ingest_ribonanza(
            files, out, on_bad_case=bad, on_progress=told, on_counted=counted
        )
    if kind == "rdat":
        from understudy.rna.ingest.rdat import ingest_rdat

        return lambda files, out, bad, _, counted: _then(counted, ingest_rdat(files, out, on_bad_case=bad))
    from understudy.rna.ingest.fasta import ingest_fasta

    return lambda files, out, bad, _, counted: _then(counted, ingest_fasta(files, out, on_bad_case=bad))


def _then(counted: Callable[[Summary], None], summary: Summary) -> Summary:
    counted(summary)
    return summary
