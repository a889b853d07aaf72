"""A snapshot and its policy as one JSON document (``kind: Snapshot``): a decision can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from scheduler.keys import API_VERSION
from scheduler.model import Gang, GangAssignment
from scheduler.policy import Policy
from scheduler.snapshot import NodeState, Snapshot
from topology.caches.claims import Residency
from topology.fabric import Fabric
from topology.model import Problem
from topology.tree import TopologyTree

KIND = "Snapshot"


class SnapshotError(Exception):
    """A document that is no snapshot; the text names the field."""


def dump(snapshot: Snapshot, policy: Policy) -> dict[str, Any]:
    """The document. The tree is left out: it follows from nodes and levels."""
    kept = {
        field.name: getattr(snapshot, field.name)
        for field in fields(snapshot)
        if field.name not in ("tree", "generation")
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "spec": msgspec.to_builtins(kept),
        "policy": msgspec.to_builtins(policy),
    }


def load(document: Mapping[str, Any]) -> tuple[Snapshot, Policy]:
    """The inverse of ``dump``. Raises ``SnapshotError``."""
    if document.get("kind") != KIND or document.get("apiVersion") != API_VERSION:
        raise SnapshotError(f"expected apiVersion {API_VERSION}, kind {KIND}")
    spec = document.get("spec")
    try:
        read = msgspec.convert(spec, _Spec)
        policy = msgspec.convert(document.get("policy", {}), Policy)
    except msgspec.ValidationError as error:
        raise SnapshotError(str(error)) from None
    tree = TopologyTree.build((state.node for state in read.nodes), read.levels)
    by_name = {state.node.name: state for state in read.nodes}
    snapshot = Snapshot(
        levels=tree.levels,
        nodes=tuple(by_name[name] for name in tree.nodes),
        tree=tree,
        gangs=read.gangs,
        reservations=read.reservations,
        namespaces=read.namespaces,
        residency=read.residency,
        taken_seconds=read.taken_seconds,
        problems=read.problems,
        fabrics=read.fabrics,
    )
    return snapshot, policy


class _Spec(msgspec.Struct):
    """The fields of ``spec``."""

    levels: tuple[str, ...]
    nodes: tuple[NodeState, ...]
    gangs: tuple[Gang, ...]
    reservations: tuple[GangAssignment, ...] = ()
    namespaces: dict[str, dict[str, str]] = {}
    residency: tuple[Residency, ...] = ()
    taken_seconds: int = 0
    problems: tuple[Problem, ...] = ()
    fabrics: tuple[Fabric, ...] = ()
