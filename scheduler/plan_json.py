"""A plan as the JSON object of ``muster plan -o json``: a contract (design section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scheduler.advice import ScaleOut, advice_documents
from scheduler.gang_object import reason_document, traffic_document
from scheduler.model import GangAssignment, PassedOver, Plan, Slot
from scheduler.snapshot import Snapshot

Document = dict[str, Any]
Advice = Mapping[str, tuple[ScaleOut, ...]]


def plan_document(
    snapshot: Snapshot, plan: Plan, seconds: float, advice: Advice = MappingProxyType({})
) -> Document:
    """The document; ``seconds``, the wall-clock time of the decision, is its only varying part.

    ``advice`` is shown with the gangs that wait, by their key.
    """
    return {
        "gangs": [_gang(one, advice.get(one.key, ())) for one in plan.assignments],
        "solver": {
            "status": plan.status.value,
            "objective": list(plan.objective),
            "bound": list(plan.bound),
            "seconds": round(seconds, 4),
        },
        "snapshot": {
            "nodes": len(snapshot.nodes),
            "pods": sum(len(node.pods) for node in snapshot.nodes) + _pending(snapshot),
        },
    }


def _pending(snapshot: Snapshot) -> int:
    return sum(len(podset.pending) for gang in snapshot.gangs for podset in gang.podsets)


def _gang(assignment: GangAssignment, advice: tuple[ScaleOut, ...]) -> Document:
    more: Document = {"scaleOut": advice_documents(advice)} if advice else {}
    if assignment.traffic is not None:
        more["network"] = traffic_document(assignment.traffic)
    return {
        "namespace": assignment.namespace,
        "name": assignment.gang,
        "status": "placed" if assignment.placed else "waiting",
        "flavor": assignment.flavor,
        "flavorRank": assignment.flavor_rank,
        "passedOver": [_passed_over(passed) for passed in assignment.passed_over],
        "members": [_member(slot) for slot in assignment.slots],
        "domains": {level: list(names) for level, names in assignment.domains.items()},
        "loadSeconds": assignment.load_seconds,
        "reason": reason_document(assignment.reason) if assignment.reason else None,
        **more,
    }


def _passed_over(passed: PassedOver) -> Document:
    reason = passed.reason
    return {"flavor": passed.flavor, "reason": reason.code.value, "message": reason.message}


def _member(slot: Slot) -> Document:
    return {"pod": slot.pod, "role": slot.role, "rank": slot.rank, "node": slot.node}
