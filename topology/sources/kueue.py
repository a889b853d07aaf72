"""Kueue (and KAI) ``Topology`` objects: ``spec.levels[].nodeLabel``, coarse to fine (Kueue KEP 2724)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topology.keys import HOSTNAME
from topology.model import Problem
from topology.sources.hierarchy import Hierarchy, LevelKey
from topology.sources.node_labels import level_name
from topology.untyped import mapping, sequence, text


def name(obj: Mapping[str, Any]) -> str:
    """The object's name, by which Topology objects are ordered."""
    return text(mapping(obj.get("metadata")).get("name"))


def read(obj: Mapping[str, Any]) -> tuple[Hierarchy | None, tuple[Problem, ...]]:
    """The hierarchy of a Topology object; None with a Problem when it cannot be used."""
    subject = f"Topology {name(obj)}"
    labels = [
        text(mapping(level).get("nodeLabel"))
        for level in sequence(mapping(obj.get("spec")).get("levels"))
    ]
    if not labels or not all(labels):
        message = "expected a list of {nodeLabel: KEY}, coarse to fine; the object is not used"
        return None, (Problem(subject=subject, field="spec.levels", message=message),)
    if len(set(labels)) < len(labels):
        message = "a node label is named twice; the object is not used"
        return None, (Problem(subject=subject, field="spec.levels", message=message),)
    if HOSTNAME in labels[:-1]:
        message = f"{HOSTNAME} may only be the last level; the object is not used"
        return None, (Problem(subject=subject, field="spec.levels", message=message),)
    named = [(level_name(label), label) for label in labels if label != HOSTNAME]
    words = [level for level, _ in named]
    keys = tuple(
        # Two labels with one level word: only their keys tell them apart.
        LevelKey(level=level if words.count(level) == 1 else label, key=label)
        for level, label in named
    )
    return Hierarchy(name=subject, keys=keys), ()
