"""The ``Gang`` object (CRD ``gangs.muster.dev``) <-> our types: the durable record of a decision.

The write of ``status.phase: Planned`` with ``status.members`` is the commit of a plan; after a restart
reservations are rebuilt from exactly these fields.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from scheduler.advice import ScaleOut, advice_documents, read_advice
from scheduler.keys import API_VERSION
from scheduler.model import (
    Code,
    Gang,
    GangAssignment,
    Minimum,
    PassedOver,
    PodSet,
    Reason,
    Slot,
    Traffic,
)
from topology.resources import Resources

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Phase(StrEnum):
    """``status.phase`` (design section 3)."""

    WAITING = "Waiting"
    PLANNED = "Planned"
    BINDING = "Binding"
    BOUND = "Bound"
    DEGRADED = "Degraded"
    ABORTING = "Aborting"
    RELEASING = "Releasing"
    INVALID = "Invalid"


COMMITTED = frozenset({Phase.PLANNED, Phase.BINDING})
"""Phases whose ``status.members`` are reservations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a ``Gang`` object says: everything of its status but the times."""

    phase: Phase
    plan_id: str
    assignment: GangAssignment
    message: str
    bound: int
    """Members that run."""
    reason: str = ""
    """Code of the reason why it waits."""
    incarnation: str = ""
    """As ``Gang.incarnation``."""
    started: Minimum | None = None
    """The gang's minimum when it last was whole; None when it has not been since its members last ran."""
    scale_out: tuple[ScaleOut, ...] = ()
    """Which nodes would start it while it waits."""


def object_name(gang: str) -> str:
    """Name of the Gang object: the gang's name, or a readable stem with a hash when it is no object name."""
    if len(gang) <= 253 and _NAME.fullmatch(gang):
        return gang
    stem = re.sub(r"[^a-z0-9]+", "-", gang.lower()).strip("-")[:200] or "gang"
    return f"{stem}-{hashlib.sha256(gang.encode()).hexdigest()[:10]}"


def label_value(gang: str) -> str:
    """Value of the label ``muster.dev/gang``: the name, hashed when it is longer than 63 characters."""
    name = object_name(gang)
    if len(name) <= 63:
        return name
    return f"{name[:52].rstrip('-.')}-{hashlib.sha256(gang.encode()).hexdigest()[:10]}"


def gang_manifest(gang: Gang) -> dict[str, Any]:
    """The object without status: identity and ``spec``, what was understood of the request."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Gang",
        "metadata": {"namespace": gang.namespace, "name": object_name(gang.name)},
        "spec": {
            "gang": gang.name,
            "source": gang.source,
            "members": gang.size,
            "minMembers": gang.min_members,
            "priority": gang.priority,
            "incarnation": gang.incarnation,
            "podSets": [_podset(podset) for podset in gang.podsets],
            "flavors": [flavor.name for flavor in gang.flavors],
            "topology": _without_none(
                {"required": gang.topology.required, "preferred": gang.topology.preferred}
            ),
            "model": gang.model or "",
        },
    }


def _podset(podset: PodSet) -> dict[str, Any]:
    return {
        "role": podset.role,
        "size": podset.size,
        "min": podset.min_count,
        "request": podset.request.quantities(),
        "topology": _without_none(
            {
                "required": podset.topology.required,
                "preferred": podset.topology.preferred,
                "group": podset.group,
                "slices": ",".join(f"{s.level}:{s.size}" for s in podset.slices) or None,
            }
        ),
    }


def quantity(name: str, value: int) -> str:
    """An amount of our own units as a Kubernetes quantity."""
    return f"{value}m" if name == "cpu" else str(value)


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def standing(record: Record, gang: Gang) -> Record:
    """The record of a bound gang, with every member that runs and no other: the last plan may have been about
    one that was replaced, or about those of an elastic gang that found no place."""
    planned = {slot.uid: slot for slot in record.assignment.slots}
    slots = tuple(
        planned.get(member.uid)
        or Slot(
            pod=member.pod,
            uid=member.uid,
            role=podset.role,
            rank=rank,
            node=member.node,
            request=podset.request,
        )
        for podset in gang.podsets
        for rank, member in enumerate(podset.members)
        if member.node is not None
    )
    return replace(record, assignment=replace(record.assignment, slots=slots))


def to_come(assignment: GangAssignment, gang: Gang) -> GangAssignment:
    """The assignment without the members that have come to run since it was made."""
    run = {member.uid for podset in gang.podsets for member in podset.running}
    slots = tuple(slot for slot in assignment.slots if not slot.uid or slot.uid not in run)
    return replace(assignment, slots=slots)


def gang_status(record: Record, gang: Gang) -> dict[str, Any]:
    """``status`` without times; two equal records give equal documents."""
    assignment = record.assignment
    reason = assignment.reason
    status: dict[str, Any] = {
        "phase": record.phase.value,
        "message": record.message,
        "ready": f"{record.bound}/{gang.size}",
        "bound": record.bound,
        "plan": record.plan_id,
        "flavor": assignment.flavor or "",
        "flavorRank": assignment.flavor_rank,
        "passedOver": [
            {"flavor": passed.flavor, "reason": reason_document(passed.reason)}
            for passed in assignment.passed_over
        ],
        "domains": {level: list(names) for level, names in assignment.domains.items()},
        "domain": _innermost(assignment.domains),
        "members": [slot_document(slot) for slot in assignment.slots],
        "reason": reason.code.value if reason else "",
    }
    if reason:
        status["numbers"] = dict(reason.numbers)
    if assignment.load_seconds is not None:
        status["loadSeconds"] = assignment.load_seconds
    if assignment.traffic is not None:
        status["network"] = traffic_document(assignment.traffic)
    if assignment.load_elsewhere:
        status["loadElsewhere"] = assignment.load_elsewhere
    if record.started is not None:
        started = {"members": record.started.members, "roles": dict(record.started.roles)}
        if record.started.below:
            started["below"] = dict(record.started.below)
        status["started"] = started
    if record.scale_out:
        status["scaleOut"] = advice_documents(record.scale_out)
    return status


def reason_document(reason: Reason) -> dict[str, Any]:
    """``{"code", "message", "numbers"}``."""
    return {"code": reason.code.value, "message": reason.message, "numbers": dict(reason.numbers)}


def traffic_document(traffic: Traffic) -> dict[str, Any]:
    """``{"crossings", "milliseconds"}``."""
    return {"crossings": dict(traffic.crossings), "milliseconds": traffic.milliseconds}


def slot_document(slot: Slot) -> dict[str, Any]:
    """One member's place, with what it requests, so that it can be reserved without the pod."""
    return {
        "pod": slot.pod,
        "uid": slot.uid,
        "role": slot.role,
        "rank": slot.rank,
        "node": slot.node,
        "request": slot.request.quantities(),
        **({"late": True} if slot.late else {}),
    }


def _innermost(domains: Mapping[str, Sequence[str]]) -> str:
    """The closest level at which the gang stands in one domain; else how many of the closest it uses."""
    shared = [f"{level} {names[0]}" for level, names in domains.items() if len(names) == 1]
    if shared:
        return shared[-1]
    return ", ".join(f"{len(names)} {level}s" for level, names in domains.items())


def read_record(obj: Mapping[str, Any]) -> Record | None:
    """The record of a Gang object; None when it has no readable status yet. Never raises."""
    metadata, spec, status = (_mapping(obj.get(key)) for key in ("metadata", "spec", "status"))
    try:
        phase = Phase(status.get("phase", ""))
    except ValueError:
        return None
    slots = tuple(
        slot for item in _list(status.get("members")) if (slot := _read_slot(_mapping(item)))
    )
    rank = status.get("flavorRank")
    bound, seconds = status.get("bound"), status.get("loadSeconds")
    return Record(
        phase=phase,
        plan_id=str(status.get("plan") or ""),
        assignment=GangAssignment(
            namespace=str(metadata.get("namespace") or ""),
            gang=str(spec.get("gang") or metadata.get("name") or ""),
            slots=slots,
            placed=phase in COMMITTED or phase is Phase.BOUND,
            flavor=str(status["flavor"]) if status.get("flavor") else None,
            flavor_rank=rank if isinstance(rank, int) else 0,
            passed_over=_read_passed_over(status),
            domains=_read_domains(status),
            load_seconds=seconds if isinstance(seconds, int) else None,
            traffic=_read_traffic(status.get("network")),
            load_elsewhere=str(status.get("loadElsewhere") or ""),
        ),
        message=str(status.get("message") or ""),
        bound=bound if isinstance(bound, int) else 0,
        reason=str(status.get("reason") or ""),
        incarnation=str(spec.get("incarnation") or ""),
        scale_out=read_advice(status.get("scaleOut")),
        started=read_started(obj),
    )


def _read_traffic(value: object) -> Traffic | None:
    network = _mapping(value)
    crossed, total = _mapping(network.get("crossings")), network.get("milliseconds")
    if not isinstance(total, int):
        return None
    counts = {level: count for level, count in crossed.items() if isinstance(count, int)}
    return Traffic(crossings=counts, milliseconds=total)


def read_started(obj: Mapping[str, Any]) -> Minimum | None:
    """``Record.started`` of a Gang object. Never raises."""
    document = _mapping(_mapping(obj.get("status")).get("started"))
    members = document.get("members")
    if not isinstance(members, int):
        return None
    roles, below = (_counts(document.get(key)) for key in ("roles", "below"))
    return Minimum(members=members, roles=roles, below=below)


def _read_domains(status: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Outermost level first: the API server sorts the keys, but a domain's name is its whole path."""
    read = {
        str(level): tuple(str(name) for name in _list(names))
        for level, names in _mapping(status.get("domains")).items()
    }
    depth = {
        level: max((name.count("/") for name in names), default=0) for level, names in read.items()
    }
    return {level: read[level] for level in sorted(read, key=depth.__getitem__)}


def _read_passed_over(status: Mapping[str, Any]) -> tuple[PassedOver, ...]:
    found = []
    for item in _list(status.get("passedOver")):
        passed = _mapping(item)
        reason = read_reason(_mapping(passed.get("reason")))
        if reason is not None:
            found.append(PassedOver(flavor=str(passed.get("flavor") or ""), reason=reason))
    return tuple(found)


def read_reason(document: Mapping[str, Any]) -> Reason | None:
    """The inverse of ``reason_document``; None for an unknown code."""
    try:
        code = Code(document.get("code", ""))
    except ValueError:
        return None
    numbers = _mapping(document.get("numbers"))
    return Reason(
        code=code,
        message=str(document.get("message") or ""),
        numbers={str(name): value for name, value in numbers.items() if isinstance(value, int)},
    )


def _read_slot(item: Mapping[str, Any]) -> Slot | None:
    request = {str(k): str(v) for k, v in _mapping(item.get("request")).items()}
    rank = item.get("rank")
    try:
        resources = Resources.parse(request)
    except ValueError:
        return None
    if not item.get("node") or not isinstance(rank, int):
        return None
    return Slot(
        pod=str(item.get("pod") or ""),
        uid=str(item.get("uid") or ""),
        role=str(item.get("role") or ""),
        rank=rank,
        node=str(item["node"]),
        request=resources,
        late=item.get("late") is True,
    )


def _counts(value: object) -> dict[str, int]:
    return {str(k): count for k, count in _mapping(value).items() if isinstance(count, int)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
