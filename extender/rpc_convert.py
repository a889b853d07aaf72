"""Our types -> the messages of ``muster.v1``. Pure; the words and the order are those of the JSON plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from extender.feed import GangView
from extender.muster_v1 import placement_pb2 as pb
from scheduler.advice import ScaleOut
from scheduler.model import (
    Gang,
    GangAssignment,
    Plan,
    PodSet,
    Reason,
    Slot,
    TopologyRequest,
)
from scheduler.plan_json import Advice, plan_document
from scheduler.snapshot import Snapshot


def plan_response(
    snapshot: Snapshot, plan: Plan, seconds: float, advice: Advice, key: str = ""
) -> pb.PlanResponse:
    """The plan document; of the gang ``namespace/name`` alone when ``key`` is given."""
    document = plan_document(snapshot, plan, seconds)
    solver = document["solver"]
    return pb.PlanResponse(
        gangs=[
            decision(a, advice.get(a.key, ())) for a in plan.assignments if not key or a.key == key
        ],
        solver=pb.SolverReport(
            status=f"STATUS_{solver['status'].upper()}",
            objective=solver["objective"],
            bound=solver["bound"],
            seconds=solver["seconds"],
        ),
        snapshot=pb.SnapshotReport(**document["snapshot"]),
    )


def decision(assignment: GangAssignment, advice: tuple[ScaleOut, ...]) -> pb.Decision:
    """One gang's part of a plan."""
    return pb.Decision(
        namespace=assignment.namespace,
        name=assignment.gang,
        status=pb.Decision.STATUS_PLACED if assignment.placed else pb.Decision.STATUS_WAITING,
        flavor=assignment.flavor,
        flavor_rank=assignment.flavor_rank,
        passed_over=[
            pb.PassedOver(flavor=passed.flavor, reason=_reason(passed.reason))
            for passed in assignment.passed_over
        ],
        members=[_place(slot) for slot in assignment.slots],
        domains=[
            pb.Domains(level=level, names=names) for level, names in assignment.domains.items()
        ],
        load_seconds=assignment.load_seconds,
        reason=_reason(assignment.reason) if assignment.reason else None,
        scale_out=[scale_out(one) for one in advice],
    )


def scale_out(advice: ScaleOut) -> pb.ScaleOut:
    """What one flavor lacks."""
    return pb.ScaleOut(
        flavor=advice.flavor,
        nodes=advice.nodes,
        at_most=advice.at_most,
        cost_per_hour=advice.cost_per_hour,
        cheapest=advice.cheapest,
        like=advice.like,
        level=advice.level,
        domains=advice.domains,
        node_selector=advice.node_selector,
        resources=advice.resources.quantities(),
        message=advice.message,
    )


def gang_message(view: GangView) -> pb.Gang:
    """A gang as understood, with its phase, decision and members."""
    gang = view.gang
    return pb.Gang(
        namespace=gang.namespace,
        name=gang.name,
        spec=_spec(gang),
        phase=f"PHASE_{view.phase.upper()}",
        decision=decision(view.assignment, view.scale_out) if view.assignment else None,
        message=view.text,
        members=_members(gang, view.assignment),
        deleted=view.deleted,
    )


def _spec(gang: Gang) -> pb.GangSpec:
    return pb.GangSpec(
        source=gang.source,
        size=gang.size,
        min_members=gang.min_members,
        priority=gang.priority,
        created_seconds=gang.created_seconds,
        pod_sets=[_podset(podset) for podset in gang.podsets],
        flavors=[flavor.name for flavor in gang.flavors],
        topology=_topology(gang.topology),
        spread=gang.spread or "",
        model=gang.model or "",
        model_bytes=gang.model_bytes,
    )


def _podset(podset: PodSet) -> pb.PodSet:
    return pb.PodSet(
        role=podset.role,
        size=podset.size,
        min_count=podset.min_count,
        request=podset.request.quantities(),
        topology=_topology(podset.topology),
        slices=[pb.Slice(level=item.level, size=item.size) for item in podset.slices],
        group=podset.group or "",
        group_topology=_topology(podset.group_topology),
    )


def _topology(request: TopologyRequest) -> pb.TopologyRequest | None:
    if request == TopologyRequest():
        return None
    return pb.TopologyRequest(required=request.required or "", preferred=request.preferred or "")


def _members(gang: Gang, assignment: GangAssignment | None) -> Iterator[pb.Member]:
    """Pods in the order of PodSet and rank, then the places whose pods do not exist yet."""
    slots = assignment.slots if assignment else ()
    places: Mapping[str, Slot] = {slot.uid: slot for slot in slots if slot.uid}
    seen = set()
    for podset in gang.podsets:
        for rank, member in enumerate(podset.members):
            seen.add(member.uid)
            place = places.get(member.uid)
            yield pb.Member(
                pod=member.pod,
                uid=member.uid,
                role=podset.role,
                rank=place.rank if place else rank,
                node=member.node or (place.node if place else ""),
                bound=member.node is not None,
            )
    yield from (_place(slot) for slot in slots if slot.uid not in seen)


def _place(slot: Slot) -> pb.Member:
    return pb.Member(pod=slot.pod, uid=slot.uid, role=slot.role, rank=slot.rank, node=slot.node)


def _reason(reason: Reason) -> pb.Reason:
    return pb.Reason(code=reason.code.value, message=reason.message, numbers=dict(reason.numbers))
