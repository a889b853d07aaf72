"""Captured trees of hosts: ``tests/fixtures/scan/NAME.yaml``, written by us as real hosts show themselves."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from topology.scan import Settings, scan
from topology.scan.files import Recorded
from topology.scan.report import Report

FOLDER = Path(__file__).parents[1] / "fixtures/scan"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
WHEN = "2026-11-21T12:00:00Z"
SAMPLES = Path(__file__).parents[2] / "../shared/data/topology-samples"
"""Public samples, which are there on some machines only."""

Tree = dict[str, Any]


@lru_cache
def load(name: str) -> Tree:
    """``tree``, ``report`` and maybe ``models`` of a captured host."""
    found: Tree = yaml.load((FOLDER / f"{name}.yaml").read_text(), yaml.CSafeLoader)
    return found


def scanned(tree: Tree, *models: str, refused: tuple[str, ...] = ()) -> Report:
    """The report about a tree."""
    return scan(Recorded(tree, refused), Settings(collected_at=WHEN, model_dirs=models))


def codes(report: Report) -> list[str]:
    """Codes of its problems, in order."""
    return [finding.code for finding in report.problems]


def put(tree: Tree, path: tuple[str, ...], value: Any) -> Tree:
    """The tree with another content at ``path``."""
    head, *rest = path
    return {**tree, head: put(tree[head], tuple(rest), value) if rest else value}
