"""A ``v1.Pod`` as the planner sees it: what it requests, what it demands of its node, where it is.

``read_pod`` is total: any JSON object gives a ``Pod``; what could not be read is in ``problems``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler import rewrite
from scheduler.keys import GATE, GROUP, ORIGINAL, ROLLBACK
from scheduler.model import Constraints
from scheduler.pod_constraints import NamespaceSelectors, read_constraints
from scheduler.pod_requests import is_extended, read_request
from topology.keys import POD_ANNOTATIONS
from topology.model import Problem
from topology.occupancy import cards_held, cards_named
from topology.resources import Resources
from topology.untyped import mapping, seconds, sequence, strings, text

Object = Mapping[str, Any]

CLAIMS = "spec.resourceClaims"
_CLAIMS_UNREAD = "claims of pods that do not exist yet cannot be planned"

FINISHED = frozenset({"Succeeded", "Failed"})

MAX_ANNOTATION = 32_768
"""Characters of one request annotation; the API server allows 256 KiB for all annotations of an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controlling owner of a pod."""

    kind: str
    name: str
    uid: str
    api_version: str = ""

    @property
    def reference(self) -> Object:
        """As in ``ownerReferences``."""
        names = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name}
        return {**names, "uid": self.uid, "controller": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod. ``request`` counts ``pods: 1`` and leaves the synthetic membership resources out."""

    namespace: str
    name: str
    uid: str
    """``namespace/name`` for a manifest without uid; empty for a pod that is only expected."""
    late: bool = False
    """Whether its controller creates it only after other members of its gang are bound (or ready)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Those of Muster's own prefix and ``POD_ANNOTATIONS``; the too long are cut off (and a Problem)."""
    owner: Owner | None = None
    node: str | None = None
    finished: bool = False
    succeeded: bool = False
    """Whether it finished well: its work is done and nobody makes it anew."""
    terminating: bool = False
    gates: tuple[str, ...] = ()
    nominated: str | None = None
    scheduled: bool | None = None
    """The ``PodScheduled`` condition; None while there is none, or while a gate is the only reason."""
    refusal: str = ""
    """Message of kube-scheduler's last failed attempt."""
    request: Resources = Resources()
    constraints: Constraints = Constraints()
    namespace_selectors: NamespaceSelectors = ()
    """What ``constraints`` still lack to be whole: see ``pod_constraints.resolved``."""
    cards: tuple[int, ...] = ()
    """Numbers of the cards that it holds on its node; empty where nobody says which."""
    card_ids: tuple[str, ...] = ()
    """Their identifiers, where these are known instead."""
    claims: tuple[str, ...] = ()
    """For each of its resource claims the name of the template; empty for a claim that is named itself."""
    claimed: Resources = Resources()
    """What ``request`` has because of them. Until ``device_claims`` has looked them up they are a problem."""
    priority: int = 0
    priority_class: str | None = None
    """Class whose value ``priority`` is to be; None when the API server has resolved it."""
    created_seconds: int = 0
    priority_class_name: str = ""
    scheduler_name: str = "default-scheduler"
    scheduling_group: str = ""
    """Name of the native PodGroup it belongs to (``spec.schedulingGroup``)."""
    written: str | None = None
    """The flavor that admission wrote into it; None while it is as its owner made it."""
    template: str = ""
    """``rewrite.template`` of a pod that has no node yet: what other flavors would make of it."""
    problems: tuple[Problem, ...] = ()

    @property
    def foreign_gates(self) -> tuple[str, ...]:
        """Scheduling gates of others: as long as there is one the pod cannot be bound."""
        return tuple(gate for gate in self.gates if gate != GATE)

    @property
    def evictable(self) -> bool:
        """Whether it may be evicted when its gang cannot be completed: its owner recreates it, or its
        user said so."""
        return self.owner is not None or self.annotations.get(ROLLBACK) == "delete"

    @property
    def extended(self) -> tuple[str, ...]:
        """Extended resources it requests, such as accelerator cards."""
        return tuple(r for r in self.request if is_extended(r) and self.request[r] > 0)


def read_pod(obj: Object) -> Pod:
    """Read a pod. Its priority is 0 while only its ``priority_class`` is known."""
    metadata, spec, status = (mapping(obj.get(key)) for key in ("metadata", "spec", "status"))
    namespace = text(metadata.get("namespace")) or "default"
    name = text(metadata.get("name"))
    labels = strings(metadata.get("labels"))
    request, wrong = read_request(spec, status)
    constraints, selectors, more = read_constraints(spec, namespace, labels)
    annotations, too_long = _annotations(metadata)
    scheduled, refusal = _scheduled(status)
    claims = tuple(
        text(mapping(claim).get("resourceClaimTemplateName"))
        for claim in sequence(spec.get("resourceClaims"))
    )
    unread = [(CLAIMS, _CLAIMS_UNREAD)] if claims else []
    priority = spec.get("priority")
    return Pod(
        namespace=namespace,
        name=name,
        # A manifest has no uid yet; its name is unique in what it was read with.
        uid=text(metadata.get("uid")) or f"{namespace}/{name}",
        labels=labels,
        annotations=annotations,
        owner=_owner(metadata),
        node=text(spec.get("nodeName")) or None,
        finished=text(status.get("phase")) in FINISHED,
        succeeded=status.get("phase") == "Succeeded",
        terminating=bool(metadata.get("deletionTimestamp")),
        gates=tuple(
            text(mapping(gate).get("name")) for gate in sequence(spec.get("schedulingGates"))
        ),
        nominated=text(status.get("nominatedNodeName")) or None,
        scheduled=scheduled,
        refusal=refusal,
        request=request,
        constraints=constraints,
        namespace_selectors=selectors,
        priority=priority if isinstance(priority, int) else 0,
        priority_class=(None if isinstance(priority, int) else text(spec.get("priorityClassName"))),
        created_seconds=seconds(metadata.get("creationTimestamp")),
        priority_class_name=text(spec.get("priorityClassName")),
        scheduling_group=text(mapping(spec.get("schedulingGroup")).get("podGroupName")),
        cards=cards_held(mapping(metadata.get("annotations"))) if spec.get("nodeName") else (),
        card_ids=cards_named(mapping(metadata.get("annotations"))) if spec.get("nodeName") else (),
        claims=claims,
        scheduler_name=text(spec.get("schedulerName")) or "default-scheduler",
        written=rewrite.written(obj),
        template="" if spec.get("nodeName") else rewrite.template(obj),
        problems=tuple(
            Problem(subject=f"Pod {namespace}/{name}", field=where, message=message)
            for where, message in (*wrong, *more, *too_long, *unread)
        ),
    )


def expected(obj: Object, *, late: bool) -> Pod:
    """The pod that a controller is going to make as ``obj`` says; it has no uid yet."""
    return replace(read_pod(obj), uid="", late=late)


_OWN = f"{GROUP}/"


def _annotations(metadata: Object) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Our annotations and (key, message) of those that cannot be used."""
    found, wrong = {}, []
    for key, value in mapping(metadata.get("annotations")).items():
        if key == ORIGINAL or not (str(key).startswith(_OWN) or key in POD_ANNOTATIONS):
            continue
        shown = value if isinstance(value, str) else str(value)
        if shown is not value:
            wrong.append((key, f"{shown[:40]} is not text; put it in quotes"))
        elif len(shown) > MAX_ANNOTATION:
            wrong.append((key, f"{len(shown)} characters; at most {MAX_ANNOTATION} are read"))
        found[key] = shown[:MAX_ANNOTATION]
    return found, wrong


def _owner(metadata: Object) -> Owner | None:
    for item in sequence(metadata.get("ownerReferences")):
        owner = mapping(item)
        if owner.get("controller") is True:
            return Owner(
                kind=text(owner.get("kind")),
                name=text(owner.get("name")),
                uid=text(owner.get("uid")),
                api_version=text(owner.get("apiVersion")),
            )
    return None


def _scheduled(status: Object) -> tuple[bool | None, str]:
    for item in sequence(status.get("conditions")):
        condition = mapping(item)
        if condition.get("type") == "PodScheduled":
            if condition.get("status") == "True":
                return True, ""
            if condition.get("reason") in ("Unschedulable", "SchedulerError"):
                return False, text(condition.get("message"))
    return None, ""
