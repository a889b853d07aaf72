"""ruff, mypy and import-linter find nothing: what `make check` runs, so that CI runs it too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT

CODE = (*PACKAGES, "muster.py", "tests")


@pytest.mark.timeout(900)  # mypy without its cache, beside the control planes of other tests
@pytest.mark.parametrize(
    "command",
    [("ruff", "check", *CODE), ("ruff", "format", "--check", *CODE), ("mypy",), ("lint-imports",)],
    ids=["lint", "format", "types", "imports"],
)
def test_nothing_is_found(command: tuple[str, ...]) -> None:
    """Style, layout, strict types and the direction of imports, by the rules in pyproject.toml."""
    program = Path(sys.executable).parent / command[0]
    found = subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, f"{' '.join(command)}\n{found.stdout}{found.stderr}"
