"""What the other files here look at: our source files, and every file of the repository."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("topology", "scheduler", "extender", "simulations")


def files() -> list[Path]:
    """Every file that is committed, or would be by `git add`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    found = (ROOT / name for name in sorted(set(listing.split("\0")) - {""}))
    return [path for path in found if path.is_file()]


@cache
def modules() -> dict[Path, ast.Module]:
    """The product's own Python files, without generated ones, parsed."""
    return {
        path: ast.parse(path.read_text())
        for path in files()
        if path.suffix == ".py"
        and "_pb2" not in path.name
        and path.relative_to(ROOT).parts[0] in (*PACKAGES, "muster.py")
    }


def name(path: Path) -> str:
    """As messages show it."""
    return str(path.relative_to(ROOT))


def literals(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string literal that is not a docstring or another string statement."""
    statements = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and id(node) not in statements
            and isinstance(node.value, str)
        ):
            yield node
