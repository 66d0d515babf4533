"""The report of a run, opened in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from helpers import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_report_renders(run: Run, tmp_path: Path) -> None:
    done = run(
        "train", "dataset=tanks", "model=arx", "settings.is_debug=true", "tracking=none", "hydra.run.dir=done"
    )
    assert done.status == 0, done.err
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{tmp_path / 'done' / 'report.html'}",
    ]  # fmt: skip
    page = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    for words in ("LowerLevel", "Outflow", "persistence", "arx", "Worst case", "<svg"):
        assert words in page
    for link in ("overview.png",):
        assert link in page
    assert "the numbers mean nothing" in page  # is_debug is a note that a person must see
