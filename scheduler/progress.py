"""What has become of a reservation: compares it with the observed pods and nodes. Pure.

The shell calls ``observe`` for every live reservation on every change. It is level-triggered: nothing
depends on having seen a particular watch event, so a restart resumes in the middle of any step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from scheduler.model import Code, Gang, Member, Minimum, PodSet, Reason, Slot
from scheduler.pods import Pod
from scheduler.reservation import Reservation, State
from scheduler.snapshot import NodeState
from topology.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times after which a step counts as failed, in seconds."""

    arrive_seconds: float = 5
    """After this a member that is not at the barrier, while a sibling is, counts as refused."""
    reserve_seconds: float = 60
    """A reservation that is not complete by then is given up and planned again. Places that are kept for the
    next life of a gang are given back so long after its last pod has ended."""
    abort_seconds: float = 20
    """A gang that is partly bound is rolled back then; it must not stay partial for 30 s."""
    renominate_seconds: float = 1
    """A nomination that was sent and is not seen on the pod by then is sent again."""
    late_seconds: float = 1800
    """Places of members that are created only when their leader is ready are held so long after the leader
    was bound, or after the last of them came; loading a model takes minutes. Then they are given back."""

    restart_seconds: float = 10
    """The owner of a group that restarts as a whole has this long to do so when a member of it was lost and
    came back alone; then it is made to. LeaderWorkerSet acts within a second or, having missed the end of
    the pod, never (kubernetes-sigs/lws#998)."""


class Sign(StrEnum):
    """What was noticed about a reservation or one of its slots."""

    BOUND = "the watch shows it bound"
    UNBOUND = "bound member is gone"
    NOMINATED = "nomination seen"
    NOMINATE = "nomination is missing"
    LOST = "lost"
    EXPIRED = "members that come later never came"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that was noticed. ``node`` is set when that node must be avoided from now on."""

    sign: Sign
    uid: str = ""
    cause: str = ""
    node: str | None = None


def observe(
    reservation: Reservation,
    pods: Mapping[str, Pod],
    nodes: Mapping[str, NodeState],
    now_seconds: float,
    limits: Limits,
    *,
    others_bind: bool = False,
) -> tuple[Notice, ...]:
    """Everything that has happened to the slots of ``reservation``, in slot order; at most one LOST.

    ``others_bind``: another extender of the kube-scheduler binds, so that nobody comes to the barrier.
    """
    notices: list[Notice] = []
    for slot in reservation.assignment.slots:
        if not slot.uid:
            notice = _vacant_slot(reservation, slot, nodes)
        elif slot.uid in reservation.bound:
            notice = _bound_slot(reservation, slot, pods)
        else:
            notice = _open_slot(reservation, slot, pods, nodes, now_seconds, limits)
        if notice is not None:
            notices.append(notice)
    if reservation.state in _HELD and not any(n.sign is Sign.LOST for n in notices):
        cause = _room_taken(reservation, pods, nodes)
        late = _overdue(reservation, now_seconds, limits, others_bind=others_bind)
        if cause:
            notices.append(Notice(sign=Sign.LOST, cause=cause))
        elif late is not None:
            notices.append(late)
        elif _never_came(reservation, now_seconds, limits):
            notices.append(Notice(sign=Sign.EXPIRED))
    if _stays_away(reservation, now_seconds, limits):
        notices.append(Notice(sign=Sign.EXPIRED))
    return tuple(notices)


def _stays_away(reservation: Reservation, now_seconds: float, limits: Limits) -> bool:
    """Whether the next life of a restarting gang has not found its place in time after the last one ended."""
    away = reservation.state is State.RESTARTING and not reservation.bound
    return away and now_seconds - reservation.since_seconds > limits.reserve_seconds


_HELD = (State.RESERVED, State.AWAITING)


def _vacant_slot(
    reservation: Reservation, slot: Slot, nodes: Mapping[str, NodeState]
) -> Notice | None:
    """A place whose pod does not exist yet: only its node can be lost."""
    unusable = _unusable(slot.node, nodes) if reservation.state in _HELD else ""
    return Notice(sign=Sign.LOST, cause=unusable) if unusable else None


def _room_taken(
    reservation: Reservation, pods: Mapping[str, Pod], nodes: Mapping[str, NodeState]
) -> str:
    """Why a place is lost to other pods; they run, so the room cannot come back by waiting."""
    wanted: dict[str, Resources] = {}
    for slot in reservation.holds:
        pod = pods.get(slot.uid)
        if pod is not None and pod.node == slot.node:
            continue  # it has its place: the node counts it with the pods that run there
        wanted[slot.node] = wanted.get(slot.node, Resources()) + slot.request
    for node, request in wanted.items():
        if node in nodes and not nodes[node].free.fits(request):
            return f"the room on node {node} was taken by other pods"
    return ""


def _never_came(reservation: Reservation, now_seconds: float, limits: Limits) -> bool:
    """Whether members that come later have been awaited long enough; every one that comes starts anew."""
    since = max((reservation.since_seconds, *reservation.filled_seconds.values()))
    waits = reservation.state is State.AWAITING and bool(reservation.vacant)
    return waits and now_seconds - since > limits.late_seconds


def _overdue(
    reservation: Reservation, now_seconds: float, limits: Limits, *, others_bind: bool
) -> Notice | None:
    if reservation.state is State.AWAITING:
        late = _late_overdue(reservation, now_seconds, limits)
        return Notice(sign=Sign.LOST, cause=late) if late else None
    if reservation.complete:
        return None
    partial = reservation.partial_seconds
    overdue = partial is not None and now_seconds - partial > limits.abort_seconds
    if overdue and not reservation.degraded:
        return Notice(sign=Sign.LOST, cause=reservation.cause)
    if now_seconds - reservation.since_seconds <= limits.reserve_seconds:
        return None
    if others_bind and reservation.open_slots:
        slot = reservation.open_slots[0]
        cause = f"pod {slot.pod} was not bound to {slot.node} within {limits.reserve_seconds:g} s"
        return Notice(sign=Sign.LOST, uid=slot.uid, cause=cause, node=slot.node)
    there = len(reservation.arrived) + len(reservation.bound)
    cause = (
        f"{there} of {len(reservation.assignment.slots)} members reached the barrier "
        f"within {limits.reserve_seconds:g} s"
    )
    return Notice(sign=Sign.LOST, cause=cause)


def _late_overdue(reservation: Reservation, now_seconds: float, limits: Limits) -> str:
    """Why a member that came later is not bound: it has the time that a whole gang has."""
    for slot in reservation.open_slots:
        since = reservation.filled_seconds.get(slot.uid, reservation.since_seconds)
        if now_seconds - since > limits.reserve_seconds:
            return f"pod {slot.pod} was not bound within {limits.reserve_seconds:g} s"
    return ""


def _bound_slot(reservation: Reservation, slot: Slot, pods: Mapping[str, Pod]) -> Notice | None:
    pod = pods.get(slot.uid)
    if pod is None:
        return Notice(sign=Sign.UNBOUND, uid=slot.uid, cause=f"pod {slot.pod} was deleted")
    if pod.node == slot.node and slot.uid not in reservation.seen:
        return Notice(sign=Sign.BOUND, uid=slot.uid)
    return None


def _open_slot(
    reservation: Reservation,
    slot: Slot,
    pods: Mapping[str, Pod],
    nodes: Mapping[str, NodeState],
    now_seconds: float,
    limits: Limits,
) -> Notice | None:
    pod = pods.get(slot.uid)
    if reservation.state in (State.ABORTING, State.DEGRADED, State.RESTARTING):
        # Its loss is known already; only a binding that came late is news.
        bound = pod is not None and pod.node == slot.node
        return Notice(sign=Sign.BOUND, uid=slot.uid) if bound else None
    if pod is None or pod.terminating:
        verb = "was deleted" if pod is None else "is being deleted"
        return Notice(sign=Sign.LOST, uid=slot.uid, cause=f"pod {slot.pod} {verb}")
    if pod.node == slot.node:
        return Notice(sign=Sign.BOUND, uid=slot.uid)
    if pod.node is not None:
        cause = f"pod {slot.pod} was bound to {pod.node} by somebody else"
        return Notice(sign=Sign.LOST, uid=slot.uid, cause=cause)
    if reservation.state is State.BINDING:
        return None
    unusable = _unusable(slot.node, nodes)
    if unusable:
        return Notice(sign=Sign.LOST, uid=slot.uid, cause=unusable)
    if reservation.state not in _HELD or slot.uid in reservation.arrived:
        return None
    return _on_its_way(reservation, slot, pod, now_seconds, limits)


def _unusable(name: str, nodes: Mapping[str, NodeState]) -> str:
    state = nodes.get(name)
    if state is None:
        return f"node {name} is gone"
    if state.node.unschedulable:
        return f"node {name} is cordoned"
    if not state.node.ready:
        return f"node {name} is not ready"
    return ""


def _on_its_way(
    reservation: Reservation, slot: Slot, pod: Pod, now_seconds: float, limits: Limits
) -> Notice | None:
    """A member between commit and barrier; kube-scheduler clears the nomination at every failed attempt."""
    if pod.nominated == slot.node:
        if slot.uid not in reservation.nominated:
            return Notice(sign=Sign.NOMINATED, uid=slot.uid)
        return _late(reservation, slot, now_seconds, limits)
    if slot.uid not in reservation.nominated:
        waited = now_seconds - max(
            reservation.since_seconds,
            reservation.ungated_seconds or 0,
            reservation.filled_seconds.get(slot.uid, 0),
        )
        if waited > limits.renominate_seconds:
            return Notice(sign=Sign.NOMINATE, uid=slot.uid)
        return None
    attempted = not pod.gates and reservation.ungated_seconds is not None
    if attempted and slot.uid not in reservation.granted:
        # The attempt failed and we were never asked: no node passed the in-tree filters.
        cause = f"kube-scheduler's own filters refused node {slot.node} for pod {slot.pod}"
        return Notice(sign=Sign.LOST, uid=slot.uid, cause=cause, node=slot.node)
    return Notice(sign=Sign.NOMINATE, uid=slot.uid)


def _late(
    reservation: Reservation, slot: Slot, now_seconds: float, limits: Limits
) -> Notice | None:
    """Only a member whose siblings have arrived counts as late: else kube-scheduler is slow or down.

    Members of an awaiting gang are bound one by one and have the time of ``_late_overdue``.
    """
    if reservation.state is not State.RESERVED:
        return None
    ungated = reservation.ungated_seconds
    if ungated is None or now_seconds - ungated <= limits.arrive_seconds:
        return None
    if not reservation.arrived:
        return None
    cause = f"pod {slot.pod} did not reach the barrier for node {slot.node}"
    return Notice(sign=Sign.LOST, uid=slot.uid, cause=cause, node=slot.node)


def whole(gang: Gang) -> bool:
    """Whether the gang runs at its minimum, in all and of every role."""
    return _runs(gang, gang.minimum)


def grown(gang: Gang, started: Minimum | None) -> bool:
    """Whether the gang runs as it did when it last was whole, and only more is asked of it since.

    ``started`` was its minimum then; what is not asked for any more is not missed. Such a gang is not
    broken: what runs serves on, and its new members start together or wait.
    """
    if started is None or whole(gang):
        return False
    now = gang.minimum
    roles = {role: min(count, now.roles.get(role, 0)) for role, count in started.roles.items()}
    return _runs(gang, Minimum(members=min(started.members, now.members), roles=roles))


def _runs(gang: Gang, least: Minimum) -> bool:
    running = [len(podset.running) for podset in gang.podsets]
    enough = all(
        count >= least.roles.get(podset.role, 0)
        for count, podset in zip(running, gang.podsets, strict=True)
    )
    return enough and sum(running) >= least.members


def never_ready(gang: Gang, limits: Limits) -> Reason:
    """Why no places are held any more for members that come only when their leader is ready."""
    missing = sum(len(podset.pending) for podset in gang.podsets)
    running = sum(len(podset.running) for podset in gang.podsets)
    return Reason(
        code=Code.LEADER_NEVER_READY,
        message=(
            f"{missing} of {gang.size} members do not exist {limits.late_seconds:g} s after the leader "
            "was bound: their controller creates them when the leader is ready. Their places were given "
            "back. A leader that needs its workers to become ready never will: let its readiness probe "
            "ask for less, or use startupPolicy LeaderCreated"
        ),
        numbers={"membersRunning": running, "membersMissing": missing},
    )


def fillings(reservation: Reservation, gang: Gang) -> tuple[tuple[int, Member], ...]:
    """The vacant places of ``reservation`` with the pods that were created for them.

    A pod takes the place with its name, else the first of its role without a name. Pods that still are as
    they were before a change of flavor take none: they are about to be made anew.
    """
    flavor = reservation.assignment.flavor
    if gang.written not in (None, flavor) or gang.variant(flavor) is not None:
        return ()
    vacant = dict(reservation.vacant)
    known = {slot.uid for slot in reservation.assignment.slots}
    found = []
    for podset in gang.podsets:
        for member in podset.pending:
            if not member.uid or member.uid in known:
                continue
            fits = [i for i, s in vacant.items() if _is_place_of(s, podset, member)]
            fits.sort(key=lambda index: not vacant[index].pod)  # its own name before no name
            if fits:
                del vacant[fits[0]]
                found.append((fits[0], member))
    return tuple(found)


def misfit(reservation: Reservation, gang: Gang) -> str:
    """Why a pod that came late cannot take a place that was held for its role; empty when all can."""
    if reservation.state is not State.AWAITING or not reservation.vacant:
        return ""
    known = {slot.uid for slot in reservation.assignment.slots}
    wanted = {slot.role: slot.request for slot in reservation.vacant.values()}
    for podset in gang.podsets:
        planned = wanted.get(podset.role)
        if planned is None or planned == podset.request:
            continue
        for member in podset.pending:
            if member.uid and member.uid not in known:
                return f"pod {member.pod} does not request what its place was planned for"
    return ""


def _is_place_of(slot: Slot, podset: PodSet, member: Member) -> bool:
    alike = slot.role == podset.role and slot.request == podset.request
    return alike and slot.pod in (member.pod, "")
