"""What ResourceSlices add to nodes, and what claims add to pods. A part of ``ClusterState``.

Members carry the membership resources. Where devices stand behind the name of an extended resource,
kube-scheduler refuses pods with any other extended resource that the node does not advertise, also one that
is ``ignoredByScheduler`` (k8s.io/kubernetes, ``filterExtendedResources`` of its plugin dynamicresources). So
a node that does not advertise these, be it with an amount of 0, gives its devices to claims only, and members
that ask by name must go elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from scheduler.fork import Forkable
from scheduler.keys import CLAIMS_ONLY, SYNTHETIC_RESOURCES
from scheduler.model import NodeTerm, Requirement
from scheduler.pods import CLAIMS, Pod
from topology import dra
from topology.keys import RESOURCE_GROUP
from topology.model import Problem
from topology.resources import Resources
from topology.untyped import mapping, strings, text

Object = Mapping[str, Any]

SLICE = f"ResourceSlice.{RESOURCE_GROUP}"
DEVICE_CLASS = f"DeviceClass.{RESOURCE_GROUP}"
TEMPLATE = f"ResourceClaimTemplate.{RESOURCE_GROUP}"
KINDS = frozenset({SLICE, DEVICE_CLASS, TEMPLATE})

_ELSEWHERE = Requirement(key=CLAIMS_ONLY, operator="DoesNotExist")
_ALONE = (NodeTerm(labels=(_ELSEWHERE,)),)
_RULE = "Muster plans claims from templates with one request for a number of devices of one class"


@dataclass(frozen=True, slots=True)
class _Raw:
    """A Node object without what nobody reads; never changed."""

    obj: Object


class DeviceClaims(Forkable):
    """Slices, classes and templates; nodes as they were sent, since slices may come later."""

    def __init__(self) -> None:
        self._slices: dict[str, dra.DeviceSlice | None] = {}
        self._by_node: dict[str, dict[str, dra.DeviceSlice]] = {}
        self._classes: dict[str, dra.DeviceClass] = {}
        self._templates: dict[tuple[str, str], tuple[str, int] | str] = {}
        self._nodes: dict[str, _Raw] = {}

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(namespace, name) of the objects of a kind."""
        if kind == TEMPLATE:
            return list(self._templates)
        return [("", name) for name in (self._slices if kind == SLICE else self._classes)]

    def take(self, kind: str, obj: Object, deleted: bool) -> tuple[list[Object], bool] | None:
        """The Node objects to be read again and whether pods with claims are; None: nothing has changed."""
        metadata = mapping(obj.get("metadata"))
        name = text(metadata.get("name"))
        if kind == SLICE:
            touched = self._take_slice(name, None if deleted else dra.read_slice(obj), deleted)
            return (
                ([self._nodes[n].obj for n in sorted(touched & self._nodes.keys())], False)
                if touched
                else None
            )
        if kind == TEMPLATE:
            key = text(metadata.get("namespace")) or "default", name
            found = None if deleted else dra.read_template(obj)
            if found == self._templates.get(key):
                return None
            self._templates.pop(key, None)
            self._templates |= {key: found} if found is not None else {}
            return [], True
        known = None if deleted else dra.read_class(obj)
        if known == self._classes.get(name):
            return None
        self._classes.pop(name, None)
        self._classes |= {name: known} if known is not None else {}
        return [self._nodes[n].obj for n in sorted(self._by_node.keys() & self._nodes.keys())], True

    def _take_slice(self, name: str, now: dra.DeviceSlice | None, deleted: bool) -> set[str]:
        """The nodes whose devices have changed."""
        before = self._slices.pop(name, None)
        if not deleted:
            self._slices[name] = now
        if before == now:
            return set()
        if before is not None:
            del self._by_node[before.node][name]
            if not self._by_node[before.node]:
                del self._by_node[before.node]
        if now is not None:
            self._by_node.setdefault(now.node, {})[name] = now
        return {each.node for each in (before, now) if each is not None}

    def node(self, obj: Object, deleted: bool) -> Object:
        """A Node object with what its devices add to it."""
        metadata = mapping(obj.get("metadata"))
        name = text(metadata.get("name"))
        if deleted:
            self._nodes.pop(name, None)
            return obj
        status = {k: v for k, v in mapping(obj.get("status")).items() if k != "images"}
        kept = {
            **obj,
            "metadata": {k: v for k, v in metadata.items() if k != "managedFields"},
            "status": status,
        }
        self._nodes[name] = _Raw(kept)
        slices = self._by_node.get(name)
        return self._shown(kept, list(slices.values())) if slices else obj

    def _shown(self, obj: Object, slices: list[dra.DeviceSlice]) -> Object:
        """As the node would look with a device plugin: the larger of both numbers (KEP-5004)."""
        metadata, status = mapping(obj["metadata"]), mapping(obj["status"])
        devices = dra.whole_pools(slices)
        found = dra.counts(devices, self._classes.values())
        amounts = {
            where: {**mapping(status.get(where)), **_more(mapping(status.get(where)), found)}
            for where in ("allocatable", "capacity")
        }
        labels = {**(dra.labels(devices) if found else {}), **strings(metadata.get("labels"))}
        told = mapping(status.get("allocatable"))
        if any(_unsaid(told, name) for name in found) and not told.keys() >= SYNTHETIC_RESOURCES:
            labels[CLAIMS_ONLY] = "true"
        return {**obj, "metadata": {**metadata, "labels": labels}, "status": {**status, **amounts}}

    def pod(self, pod: Pod) -> Pod:
        """The pod with the cards of its claims in its request, and what cannot be planned as a problem."""
        pod = self._by_name(pod)
        if not pod.claims:
            return pod
        total, wrong = Resources(), []
        for template in pod.claims:
            found = self._devices(pod.namespace, template)
            if isinstance(found, str):
                subject = f"Pod {pod.namespace}/{pod.name}"
                wrong.append(Problem(subject=subject, field=CLAIMS, message=f"{found}; {_RULE}"))
            else:
                total += found
        return replace(
            pod,
            request=pod.request - pod.claimed + total,
            claimed=total,
            problems=(*(p for p in pod.problems if p.field != CLAIMS), *wrong),
        )

    def _by_name(self, pod: Pod) -> Pod:
        """The pod with the rule about nodes whose devices can only be claimed, if it asks by name."""
        asked = pod.request - pod.claimed
        wants = pod.node is None and any(asked[c.resource] > 0 for c in self._classes.values())
        affinity = _own(pod.constraints.node_affinity)
        if wants and affinity is None:
            affinity = _ALONE
        elif wants and affinity:
            affinity = tuple(
                # An empty term takes no node, and must not begin to.
                replace(t, labels=(*t.labels, _ELSEWHERE)) if t.labels or t.fields else t
                for t in affinity
            )
        if affinity == pod.constraints.node_affinity:
            return pod
        return replace(pod, constraints=replace(pod.constraints, node_affinity=affinity))

    def _devices(self, namespace: str, template: str) -> Resources | str:
        if not template:
            return "a ResourceClaim is named that pods may share"
        found = self._templates.get((namespace, template))
        if found is None:
            return f"ResourceClaimTemplate {namespace}/{template} is not known"
        if isinstance(found, str):
            return f"ResourceClaimTemplate {namespace}/{template} {found}"
        device_class = self._classes.get(found[0])
        if device_class is None:
            return f"DeviceClass {found[0]} is not known"
        if device_class.tests is None:
            return f"the selectors of DeviceClass {found[0]} are more than comparisons joined by &&"
        return Resources({device_class.resource: found[1]})


def _own(affinity: tuple[NodeTerm, ...] | None) -> tuple[NodeTerm, ...] | None:
    """The node affinity without our rule."""
    if affinity is None or affinity == _ALONE:
        return None
    return tuple(
        replace(term, labels=tuple(item for item in term.labels if item != _ELSEWHERE))
        for term in affinity
    )


def _unsaid(told: Mapping[str, Any], name: str) -> bool:
    """Whether a device plugin gives the node none of these cards."""
    return str(told.get(name, "0")) == "0"


def _more(told: Mapping[str, Any], found: Mapping[str, int]) -> dict[str, str]:
    """The numbers that are larger than what the node says itself, as quantities."""
    known = {name: told.get(name) for name in found}
    plain = {name: int(str(v)) if str(v).isdecimal() else 0 for name, v in known.items()}
    return {name: str(count) for name, count in found.items() if count > plain[name]}
