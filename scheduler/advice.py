"""Advice for a gang that waits: which nodes would start it. Values, and their form in a ``Gang`` status.

``scale_out`` works it out. Whoever adds nodes (Karpenter, a cluster autoscaler, a person) reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from topology.resources import Resources
from topology.untyped import mapping, sequence, strings, text


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOut:
    """What one flavor lacks for one gang, the only one that takes the new nodes."""

    flavor: str | None
    """None: the implied flavor of a gang that names none."""
    message: str
    """The same for people, in one sentence without the flavor's name."""
    nodes: int | None = None
    """How many more empty nodes start the gang; with one fewer it still waits. None: no number does."""
    at_most: bool = False
    """Whether ``nodes`` is only known to be enough: the cluster has no node of the flavor to count with."""
    cost_per_hour: str | None = None
    """Of all ``nodes`` together, a decimal number; None where the flavor has no price."""
    cheapest: bool = False
    """Whether no other flavor that has a price costs less."""
    like: str = ""
    """Name of the node that the new ones equal; empty where no node serves the flavor."""
    level: str = ""
    """The innermost level that the gang requires; the new nodes stand in ``domains`` of it."""
    domains: Mapping[str, int] = field(default_factory=dict)
    """Domain of ``level`` -> how many of ``nodes`` stand there; empty where any place will do."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels that a new node must have."""
    resources: Resources = Resources()
    """What one new node must offer, in kube-scheduler's units."""


def lines(advice: Iterable[ScaleOut]) -> tuple[str, ...]:
    """One line a flavor, best flavor first."""
    return tuple(f"{one.flavor}: {one.message}" if one.flavor else one.message for one in advice)


def advice_documents(advice: Iterable[ScaleOut]) -> list[dict[str, Any]]:
    """``status.scaleOut`` of a ``Gang``, and ``scaleOut`` of a plan; what is empty is left out."""
    return [{key: value for key, value in _fields(one).items() if value} for one in advice]


def _fields(one: ScaleOut) -> dict[str, Any]:
    return {
        "flavor": one.flavor,
        "nodes": one.nodes,
        "atMost": one.at_most,
        "costPerHour": one.cost_per_hour,
        "cheapest": one.cheapest,
        "like": one.like,
        "level": one.level,
        "domains": dict(one.domains),
        "nodeSelector": dict(one.node_selector),
        "resources": one.resources.quantities(),
        "message": one.message,
    }


def read_advice(documents: object) -> tuple[ScaleOut, ...]:
    """The inverse of ``advice_documents``. Never raises: an item that is no mapping is left out."""
    return tuple(_read(item) for item in _mappings(sequence(documents)))


def _mappings(items: Sequence[object]) -> list[Mapping[str, Any]]:
    return [item for item in items if isinstance(item, Mapping)]


def _read(item: Mapping[str, Any]) -> ScaleOut:
    try:
        resources = Resources.parse(strings(item.get("resources")))
    except ValueError:
        resources = Resources()
    return ScaleOut(
        flavor=text(item.get("flavor")) or None,
        message=text(item.get("message")),
        nodes=_count(item.get("nodes")),
        at_most=item.get("atMost") is True,
        cost_per_hour=text(item.get("costPerHour")) or None,
        cheapest=item.get("cheapest") is True,
        like=text(item.get("like")),
        level=text(item.get("level")),
        domains={
            str(name): count
            for name, found in mapping(item.get("domains")).items()
            if (count := _count(found)) is not None
        },
        node_selector=strings(item.get("nodeSelector")),
        resources=resources,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
