"""Fixtures of topology sources: ``tests/fixtures/topology/NAME/`` has inputs and ``expected.json``.

``expected.json`` is ``{"nodes": {NAME: "level=value ... [^ SCALE-UP]"}, "problems": [TEXT, ...]}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extender.tools import inputs
from extender.tools.documents import read_objects
from scheduler.snapshot import Snapshot

FOLDER = Path(__file__).parents[1] / "fixtures" / "topology"
NAMES = sorted(path.name for path in FOLDER.iterdir())

Object = dict[str, Any]


def objects(name: str) -> list[Object]:
    """Everything in the folder of a source, as the commands read it."""
    files = sorted(path for path in (FOLDER / name).iterdir() if path.name != "expected.json")
    found = read_objects([str(path) for path in files])
    for obj in found:  # a ConfigMap is named after its file: not after where the repository is
        metadata = obj["metadata"]
        metadata["name"] = Path(metadata.get("name", "")).name
    return found


def seen(given: Sequence[Object]) -> dict[str, Any]:
    """What is understood of the objects, in the words of ``expected.json``."""
    return described(inputs.understand(given).snapshot)


def described(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot in the words of ``expected.json``."""
    nodes = {}
    for state in snapshot.nodes:
        path = " ".join(f"{step.level}={step.value}" for step in state.node.path)
        domain = f" ^ {state.node.scale_up}" if state.node.scale_up else ""
        nodes[state.node.name] = f"{path}{domain}".strip()
    problems = sorted(str(problem) for problem in snapshot.problems)
    return {"nodes": dict(sorted(nodes.items())), "problems": problems}


def expected(name: str) -> dict[str, Any]:
    """What the folder says is right."""
    found: dict[str, Any] = json.loads((FOLDER / name / "expected.json").read_text())
    return found
