"""Tab completion, asked in a real shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("understudy pre", ["predict"]),
        ("understudy train model=d", ["model=dol", "model=don", "model=dot"]),
        ("understudy train dataset=csv dataset.pat", ["dataset.path="]),
        ("understudy train settings.in_l", ["settings.in_len="]),
    ],
)
def test_words_are_completed(tmp_path: Path, line: str, expected: list[str]) -> None:
    words = line.split()
    script = (
        'eval "$(understudy completion bash)"; compopt() { :; }; '
        f"COMP_LINE='{line}'; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _understudy; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, text=True, capture_output=True, check=True
    )
    assert sorted(done.stdout.split()) == expected
