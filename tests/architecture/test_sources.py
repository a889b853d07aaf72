"""Rules that no linter knows: sizes, where names of keys are spelled, what no file may contain."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.tree import files, literals, modules, name

MODULE_LINES = 400
FUNCTION_LINES = 50

KEY = re.compile(r"(?<![\w./:@-])(?:[a-z0-9-]+\.)+[a-z]{2,}/(?!v\d+\w*$)[A-Za-z][\w.-]*+(?!/)")
"""`domain/name` with a dot in the domain: a label, annotation or resource; not an API version or an image."""

GO_MODULES = "simulations/controlplane/build.py"
"""Names Go modules, which look like keys."""

# Patterns with brackets, or this file would be the first to break the rule.
FORBIDDEN = re.compile(
    r"\b(pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|crates[.]io|(proxy|sum)[.]golang[.]org)\b"
    r"|(?<![\w.-])/([w]ork|[r]oot|opt/[w]heels)/"
)

BARE_SUPPRESSION = re.compile(
    r"# type: ignore(?!\[[\w, -]+\]\s+# \w)|# noqa(?!: [A-Z]+\d+(, [A-Z]+\d+)*\s+(- |# )\w)"
)


def test_modules_fit_in_a_head() -> None:
    """No module is longer than 400 lines, tests included; generated ones are as long as they are."""
    sizes = {
        name(path): len(_lines(path))
        for path in files()
        if path.suffix == ".py" and "_pb2" not in path.name
    }
    assert {path: lines for path, lines in sizes.items() if lines > MODULE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    """At most one function in a hundred has more than 50 lines, its docstring included."""
    functions = {
        f"{name(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    long = {where: lines for where, lines in functions.items() if lines > FUNCTION_LINES}
    assert len(long) <= len(functions) // 100, long


def test_keys_are_spelled_in_keys_files_only() -> None:
    """Names of labels, annotations and resources: foreign in topology/keys.py, ours in scheduler/keys.py."""
    spelled = [
        f"{name(path)}:{literal.lineno} {literal.value!r}"
        for path, tree in modules().items()
        if path.name != "keys.py" and name(path) != GO_MODULES
        for literal in literals(tree)
        if isinstance(literal.value, str) and KEY.search(literal.value)
    ]
    assert not spelled, "\n".join(spelled)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except UnicodeDecodeError:
        return []


def test_no_file_names_a_registry_or_a_machine() -> None:
    """Addresses of package indexes and paths of a developer's machine are nobody else's business."""
    found = [
        f"{name(path)}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(_lines(path), start=1)
        if FORBIDDEN.search(line)
    ]
    assert not found, "\n".join(found)


def test_suppressions_say_what_and_why() -> None:
    """`type: ignore[code]  # reason` and `noqa: CODE - reason`: nothing is silenced without a word."""
    bare = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in modules()
        for number, line in enumerate(_lines(path), start=1)
        if BARE_SUPPRESSION.search(line)
    ]
    assert not bare, "\n".join(bare)
