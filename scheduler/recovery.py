"""Reservations that come from the cluster instead of a plan: after a restart, or for stray halves. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scheduler.gang_object import Phase, Record, read_record
from scheduler.keys import GATE
from scheduler.model import Gang, GangAssignment, Member, Minimum, PodSet, Slot, awaited
from scheduler.pods import Pod
from scheduler.progress import grown, whole
from scheduler.reservation import Reservation, State

_RESTORED = {
    Phase.PLANNED: State.RESERVED,
    Phase.BINDING: State.RESERVED,
    Phase.ABORTING: State.ABORTING,
    Phase.DEGRADED: State.DEGRADED,
    Phase.RELEASING: State.RESTARTING,
}


def restored(
    obj: Mapping[str, Any], pods: Mapping[str, Pod], now_seconds: float
) -> Reservation | None:
    """The reservation that a ``Gang`` object records, as far as the observed pods have got with it.

    None when the object records none. The clock of a partly bound gang starts anew.
    """
    record = read_record(obj)
    if record is None or not record.assignment.slots or record.phase not in _RESTORED:
        return None
    slots = record.assignment.slots
    if record.phase is Phase.RELEASING:  # the places of those that have ended are for the next life
        slots = tuple(slot if slot.uid in pods else replace(slot, uid="") for slot in slots)
    there = {slot.uid: pods.get(slot.uid) for slot in slots}
    bound = frozenset(s.uid for s in slots if (pod := there[s.uid]) and pod.node == s.node)
    gated = any(pod is not None and GATE in pod.gates for pod in there.values())
    found = Reservation(
        plan_id=record.plan_id,
        assignment=replace(record.assignment, slots=slots),
        state=_RESTORED[record.phase],
        since_seconds=now_seconds,
        incarnation=life(record.assignment, record.incarnation),
        bound=bound,
        seen=bound,
        ungated_seconds=None if gated else now_seconds,
        cause="restored after a restart",
    )
    broken = bound and not found.all_bound and not found.first_bound
    return replace(found, partial_seconds=now_seconds) if broken else found


def life(assignment: GangAssignment, incarnation: str) -> str:
    """``Reservation.incarnation``: pods that are about to be made anew are another life of the gang."""
    anew = any(not slot.uid and not slot.late for slot in assignment.slots)
    return "" if anew else incarnation


def partial(gang: Gang, started: Minimum | None) -> bool:
    """Whether some members run, but fewer than the gang's minimum, and not because the rest was asked for
    only after the gang had been whole (``started`` was its minimum then), or comes later, before it was."""
    running = any(podset.running for podset in gang.podsets)
    return running and not whole(gang) and not comes(gang, started) and not grown(gang, started)


def comes(gang: Gang, started: Minimum | None) -> bool:
    """Whether nothing is lost: the gang has not been whole yet, and all it lacks is created only later."""
    return started is None and awaited(gang)


def adopted(gang: Gang, known: Record | None, now_seconds: float) -> Reservation:
    """A reservation for a gang that is bound in part without one.

    It comes from a Binding that landed after its plan was given up, or from a member lost later. A gang
    that was whole before is Degraded: it may still serve, and nobody is evicted.
    """
    running = [(podset, member) for podset in gang.podsets for member in podset.running]
    uids = frozenset(member.uid for _, member in running)
    was_whole = known is not None and (
        known.started is not None or known.phase in (Phase.BOUND, Phase.DEGRADED)
    )
    return Reservation(
        plan_id=known.plan_id if known else "",
        assignment=GangAssignment(
            namespace=gang.namespace,
            gang=gang.name,
            slots=tuple(_member_slot(podset, member) for podset, member in running),
            flavor=known.assignment.flavor if known else None,
            flavor_rank=known.assignment.flavor_rank if known else 0,
        ),
        state=State.DEGRADED if was_whole else State.ABORTING,
        since_seconds=now_seconds,
        bound=uids,
        seen=uids,
        partial_seconds=now_seconds,
        cause="members are missing or not bound",
    )


def _member_slot(podset: PodSet, member: Member) -> Slot:
    return Slot(
        pod=member.pod,
        uid=member.uid,
        role=podset.role,
        rank=podset.members.index(member),
        node=member.node or "",
        request=podset.request,
    )
