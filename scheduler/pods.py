"""A ``v1.Pod`` as the planner sees it: what it requests, what it demands of its node, where it is.

``read_pod`` is total: any JSON object gives a ``Pod``; what could not be read is in ``problems``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.keys import GATE, ROLLBACK, SYNTHETIC_RESOURCES
from scheduler.model import Constraints
from scheduler.pod_constraints import read_constraints
from topology.model import Problem
from topology.resources import CPU, MEMORY, PODS, Resources, amount
from topology.untyped import mapping, seconds, sequence, strings, text

Object = Mapping[str, Any]

NATIVE = frozenset({CPU, MEMORY, PODS, "ephemeral-storage"})
FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controlling owner of a pod."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod. ``request`` counts ``pods: 1`` and leaves the synthetic membership resources out."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Only those of Muster's own prefix."""
    owner: Owner | None = None
    node: str | None = None
    finished: bool = False
    terminating: bool = False
    gates: tuple[str, ...] = ()
    nominated: str | None = None
    scheduled: bool | None = None
    """The ``PodScheduled`` condition; None while there is none, or while a gate is the only reason."""
    refusal: str = ""
    """Message of kube-scheduler's last failed attempt."""
    request: Resources = Resources()
    constraints: Constraints = Constraints()
    priority: int = 0
    created_seconds: int = 0
    scheduler_name: str = "default-scheduler"
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


def is_extended(resource: str) -> bool:
    """Whether the resource is an extended one: a domain of its own, not native, no huge pages."""
    return "/" in resource and not resource.startswith("kubernetes.io/")


def read_pod(obj: Object, priorities: Mapping[str, int] | None = None) -> Pod:
    """Read a pod. ``priorities`` gives values of PriorityClasses for pods whose priority is not resolved."""
    metadata, spec, status = (mapping(obj.get(key)) for key in ("metadata", "spec", "status"))
    namespace = text(metadata.get("namespace")) or "default"
    name = text(metadata.get("name"))
    subject = f"Pod {namespace}/{name}"
    request, problems = read_request(spec, subject)
    constraints, more = read_constraints(spec, namespace, subject)
    scheduled, refusal = _scheduled(status)
    return Pod(
        namespace=namespace,
        name=name,
        # A manifest has no uid yet; its name is unique in what it was read with.
        uid=text(metadata.get("uid")) or f"{namespace}/{name}",
        labels=strings(metadata.get("labels")),
        annotations={
            key: value
            for key, value in strings(metadata.get("annotations")).items()
            if key.startswith(_OWN)
        },
        owner=_owner(metadata),
        node=text(spec.get("nodeName")) or None,
        finished=status.get("phase") in FINISHED,
        terminating=bool(metadata.get("deletionTimestamp")),
        gates=tuple(
            text(mapping(gate).get("name")) for gate in sequence(spec.get("schedulingGates"))
        ),
        nominated=text(status.get("nominatedNodeName")) or None,
        scheduled=scheduled,
        refusal=refusal,
        request=request,
        constraints=constraints,
        priority=_priority(spec, priorities or {}),
        created_seconds=seconds(metadata.get("creationTimestamp")),
        scheduler_name=text(spec.get("schedulerName")) or "default-scheduler",
        problems=(*problems, *more),
    )


_OWN = GATE.partition("/")[0] + "/"


def read_request(spec: Object, subject: str) -> tuple[Resources, tuple[Problem, ...]]:
    """The pod's request as kube-scheduler counts it.

    The larger of: all containers with the restartable init containers; each plain init container with
    the restartable ones before it. Pod-level resources replace what they name; overhead is added.
    Source: k8s.io/component-helpers/resource PodRequests.
    """
    problems: list[Problem] = []
    total = Resources.sum(
        _container(c, f"spec.containers[{i}]", subject, problems)
        for i, c in enumerate(sequence(spec.get("containers")))
    )
    sidecars, peak = Resources(), Resources()
    for index, item in enumerate(sequence(spec.get("initContainers"))):
        one = _container(item, f"spec.initContainers[{index}]", subject, problems)
        if mapping(item).get("restartPolicy") == "Always":
            sidecars += one
            peak = _maximum(peak, sidecars)
        else:
            peak = _maximum(peak, sidecars + one)
    total = _maximum(total + sidecars, peak)
    level = _container({"resources": spec.get("resources")}, "spec", subject, problems)
    total = Resources({**total.amounts, **level.amounts})
    overhead = _quantities(spec.get("overhead"), "spec.overhead", subject, problems)
    amounts = {
        name: value
        for name, value in (total + overhead).amounts.items()
        if name not in SYNTHETIC_RESOURCES
    }
    return Resources({**amounts, PODS: 1}), tuple(problems)


def _container(item: Any, where: str, subject: str, problems: list[Problem]) -> Resources:
    resources = mapping(mapping(item).get("resources"))
    limits = _quantities(resources.get("limits"), f"{where}.resources.limits", subject, problems)
    requests = _quantities(
        resources.get("requests"), f"{where}.resources.requests", subject, problems
    )
    # The API server defaults a request that is absent to the limit.
    return Resources({**limits.amounts, **requests.amounts})


def _quantities(value: Any, where: str, subject: str, problems: list[Problem]) -> Resources:
    amounts = {}
    for name, quantity in mapping(value).items():
        try:
            amounts[str(name)] = amount(str(name), quantity)
        except ValueError as error:
            problems.append(
                Problem(subject=subject, field=f"{where}.{name}", message=f"{error}; counted as 0")
            )
    return Resources(amounts)


def _maximum(left: Resources, right: Resources) -> Resources:
    names = {*left.amounts, *right.amounts}
    return Resources({name: max(left[name], right[name]) for name in sorted(names)})


def _owner(metadata: Object) -> Owner | None:
    for item in sequence(metadata.get("ownerReferences")):
        owner = mapping(item)
        if owner.get("controller") is True:
            return Owner(
                kind=text(owner.get("kind")),
                name=text(owner.get("name")),
                uid=text(owner.get("uid")),
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


def _priority(spec: Object, priorities: Mapping[str, int]) -> int:
    priority = spec.get("priority")
    if isinstance(priority, int) and not isinstance(priority, bool):
        return priority
    return priorities.get(text(spec.get("priorityClassName")), priorities.get("", 0))
