"""Who may import whom: read from the syntax trees, so that a lazy import counts as well."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import understudy

PACKAGE = Path(understudy.__file__).parent
HEAVY = {"hydra", "omegaconf", "mlflow", "optuna", "lightning"}

# part of the package -> prefixes it must not import
PARTS = (
    "training",
    "rna",
    "config",
    "run",
    "runs",
    "follow",
    "sweep",
    "loop",
    "acquire",
    "tracking",
    "commands",
    "listing",
    "cli",
)
ABOVE = {f"understudy.{part}" for part in PARTS}
FORBIDDEN = {
    "core": HEAVY | ABOVE | {"understudy.cae", "understudy.report"},
    "training": {"hydra", "omegaconf", "mlflow", "optuna", "understudy.cae", "understudy.rna", "understudy.report",
                 "understudy.config", "understudy.sweep"},
    "cae": HEAVY | ABOVE,
    "rna": HEAVY | (ABOVE - {"understudy.rna"}) | {"understudy.cae"},
    "report": HEAVY | ABOVE | {"understudy.cae"},
    "settings.py": HEAVY | ABOVE | {"torch", "understudy.core"},
    "tracking.py": {"hydra", "omegaconf", "lightning", "understudy.core", "understudy.training"},
    "run.py": {"hydra", "omegaconf", "mlflow", "lightning", "understudy.cae"},
    "config.py": {"lightning", "mlflow", "torch", "understudy.run", "understudy.cae"},
    "errors.py": {"understudy"},
    "ranks.py": HEAVY | {"torch"},
    "acquire.py": HEAVY | (ABOVE - {"understudy.rna", "understudy.acquire"}) | {"understudy.cae", "understudy.rna"},
    "loop": {"hydra", "omegaconf", "mlflow", "lightning", "optuna", "understudy.rna", "understudy.commands"},
    "sweep": {"lightning", "mlflow", "understudy.cae", "understudy.rna", "understudy.run", "understudy.commands"},
}  # fmt: skip


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("part", sorted(FORBIDDEN))
def test_imports_go_one_way(part: str) -> None:
    root = PACKAGE / part
    files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
    assert files
    bad = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in files
        for name in sorted(imported(file))
        if any(name == rule or name.startswith(f"{rule}.") for rule in FORBIDDEN[part])
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("understudy", ["torch", "numpy", "pyarrow"]),
        ("understudy.cli", ["torch", "numpy", "hydra"]),
        ("understudy.config", ["torch", "lightning", "mlflow"]),
        ("hydra_plugins.understudy_sweeper", ["optuna", "torch", "mlflow", "matplotlib"]),
        ("understudy.core.surrogate", ["lightning", "hydra", "mlflow", "pandas", "matplotlib"]),
    ],
)
def test_importing_costs_no_more_than_it_needs(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_face() -> None:
    assert understudy.__all__ == ["Surrogate", "__version__", "load"]
    assert all(hasattr(understudy, name) for name in understudy.__all__)
