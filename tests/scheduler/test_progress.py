"""What is noticed about a reservation: a table of situations, each with its one sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.keys import GATE
from scheduler.model import Gang, GangAssignment, Member, Minimum, PodSet, Slot
from scheduler.pods import Pod
from scheduler.progress import Limits, Notice, Sign, grown, observe, whole
from scheduler.reservation import Reservation, State
from scheduler.snapshot import NodeState
from topology.model import Node
from topology.resources import Resources

CARD = Resources({"cards": 1})
SLOTS = tuple(
    Slot(pod=uid, uid=uid, role="main", rank=rank, node=node, request=CARD)
    for rank, (uid, node) in enumerate((("u1", "n1"), ("u2", "n2")))
)
PLANNED = Reservation(
    plan_id="p",
    assignment=GangAssignment(namespace="d", gang="g", slots=SLOTS, placed=True),
    state=State.RESERVED,
    since_seconds=0,
    nominated=frozenset({"u1", "u2"}),
    ungated_seconds=0,
)
NOW = 2.0


def pod(uid: str, **fields: Any) -> Pod:
    """A member that is nominated and ungated."""
    node = {"u1": "n1", "u2": "n2"}[uid]
    return Pod(namespace="d", name=uid, uid=uid, **{"nominated": node, **fields})


def node(name: str, free: int = 1, **fields: Any) -> NodeState:
    """A node with one card."""
    return NodeState(
        node=Node(name=name, allocatable=CARD, **fields), free=Resources({"cards": free})
    )


AS_PLANNED = pod("u1")
NODES = (node("n1"), node("n2"))


def seen(
    reservation: Reservation = PLANNED,
    first: Pod | None = AS_PLANNED,
    nodes: tuple[NodeState, ...] = NODES,
    now: float = NOW,
) -> tuple[Notice, ...]:
    """What is noticed when the first member stands so and the second is as planned."""
    pods = {"u2": pod("u2"), **({"u1": first} if first else {})}
    return observe(reservation, pods, {state.node.name: state for state in nodes}, now, Limits())


def test_a_gang_on_its_way_gives_no_sign() -> None:
    """Nothing to do while everything is as planned."""
    assert seen() == ()


@pytest.mark.parametrize(
    ("situation", "cause", "avoid"),
    [
        ({"first": None}, "pod u1 was deleted", None),
        ({"first": pod("u1", terminating=True)}, "pod u1 is being deleted", None),
        ({"first": pod("u1", node="n9")}, "pod u1 was bound to n9 by somebody else", None),
        ({"nodes": (node("n2"),)}, "node n1 is gone", None),
        ({"nodes": (node("n1", unschedulable=True), node("n2"))}, "node n1 is cordoned", None),
        ({"nodes": (node("n1", ready=False), node("n2"))}, "node n1 is not ready", None),
        ({"nodes": (node("n1", 0), node("n2"))}, "the room on node n1 was taken", None),
        ({"first": pod("u1", nominated=None)}, "kube-scheduler's own filters refused", "n1"),
        ({"now": 61.0}, "0 of 2 members reached the barrier within 60 s", None),
    ],
)
def test_a_place_is_lost(situation: dict[str, Any], cause: str, avoid: str | None) -> None:
    """Exactly one loss, with its cause; the node is avoided only when it was refused."""
    notices = [notice for notice in seen(**situation) if notice.sign is Sign.LOST]
    assert len(notices) == 1
    assert notices[0].cause.startswith(cause)
    assert notices[0].node == avoid


def test_a_vanished_nomination_that_was_granted_is_set_again() -> None:
    """The attempt failed after we had said yes: the node is not to blame."""
    granted = replace(PLANNED, granted=frozenset({"u1"}))
    assert seen(granted, pod("u1", nominated=None)) == (Notice(sign=Sign.NOMINATE, uid="u1"),)


def test_a_nomination_lost_behind_the_gate_is_set_again() -> None:
    """A gated pod is not attempted: its nomination was cleared by somebody else."""
    first = pod("u1", nominated=None, gates=(GATE,))
    assert seen(PLANNED, first) == (Notice(sign=Sign.NOMINATE, uid="u1"),)


@pytest.mark.parametrize(("now", "again"), [(0.5, ()), (1.5, (Sign.NOMINATE,))])
def test_a_nomination_that_is_not_seen_is_sent_again(now: float, again: tuple[Sign, ...]) -> None:
    """But not before it had time to come back by the watch."""
    fresh = replace(PLANNED, nominated=frozenset({"u2"}))
    notices = seen(fresh, pod("u1", nominated=None), now=now)
    assert tuple(notice.sign for notice in notices) == again


def test_a_late_member_counts_as_refused_only_beside_one_that_arrived() -> None:
    """Else kube-scheduler is slow, and excluding every node would make it worse."""
    assert seen(now=6) == ()
    (late,) = seen(replace(PLANNED, arrived=frozenset({"u2"})), now=6)
    assert (late.sign, late.node) == (Sign.LOST, "n1")


def test_what_runs_is_bound_and_what_ran_is_unbound() -> None:
    """Told by the watch, whatever else is the matter."""
    bound = pod("u1", node="n1")
    assert seen(PLANNED, bound) == (Notice(sign=Sign.BOUND, uid="u1"),)
    half = replace(PLANNED, bound=frozenset({"u1"}))
    assert seen(half, bound) == (Notice(sign=Sign.BOUND, uid="u1"),)
    shown = replace(half, seen=frozenset({"u1"}))
    assert seen(shown, bound) == ()
    assert seen(shown, None)[0].sign is Sign.UNBOUND


@pytest.mark.parametrize("state", [State.ABORTING, State.DEGRADED])
def test_a_broken_gang_hears_of_late_bindings_only(state: State) -> None:
    """Its loss is known already."""
    broken = replace(PLANNED, state=state)
    assert seen(broken, None, nodes=()) == ()
    assert seen(broken, pod("u1", node="n1"))[0].sign is Sign.BOUND


def test_a_gang_that_stays_partial_is_given_up_in_time() -> None:
    """The clock of a half-bound gang runs through its plans; a degraded one has no clock."""
    partial = replace(PLANNED, partial_seconds=0, since_seconds=19, ungated_seconds=19, cause="why")
    assert seen(partial, now=20) == ()
    assert seen(partial, now=21) == (Notice(sign=Sign.LOST, cause="why"),)
    assert seen(replace(partial, degraded=True), now=21) == ()


@pytest.mark.parametrize(
    ("running", "minimum", "expected"),
    [((2, 1), 3, True), ((2, 0), 2, False), ((3, 0), 2, False), ((1, 1), 3, False)],
)
def test_a_gang_is_whole_at_its_minimum_in_all_and_of_every_role(
    running: tuple[int, int], minimum: int, expected: bool
) -> None:
    """Two roles, of which one of each must run."""
    podsets = tuple(
        PodSet(
            role=role,
            size=3,
            min_count=1,
            request=CARD,
            members=tuple(Member(pod=f"{role}{i}", node="n") for i in range(count)),
        )
        for role, count in zip(("a", "b"), running, strict=True)
    )
    gang = Gang(namespace="d", name="g", podsets=podsets, min_members=minimum)
    assert whole(gang) is expected


@pytest.mark.parametrize(
    ("running", "started", "expected"),
    [
        ((2, 4), {"prefill": 2, "decode": 4}, True),
        ((2, 5), {"prefill": 2, "decode": 4}, True),
        ((2, 4), {"prefill": 2}, True),
        ((2, 4), {"prefill": 2, "decode": 4, "router": 9}, True),
        ((2, 4), {"prefill": 5, "decode": 1}, False),
        ((1, 5), {"prefill": 2, "decode": 4}, False),
        ((4, 8), {"prefill": 2, "decode": 4}, False),
        ((2, 4), None, False),
    ],
)
def test_a_gang_that_grows_runs_as_it_did_when_it_was_whole(
    running: tuple[int, int], started: dict[str, int] | None, expected: bool
) -> None:
    """Of 4 and 8 members that are wanted now so many run, and so many were enough when it was whole. A new
    role is no loss, nor one that is not wanted any more; a gang that is whole does not grow."""
    wanted = {"prefill": 4, "decode": 8}
    podsets = tuple(
        PodSet(
            role=role,
            size=size,
            min_count=size,
            request=CARD,
            members=tuple(Member(pod=f"{role}{i}", node="n") for i in range(count)),
        )
        for (role, size), count in zip(wanted.items(), running, strict=True)
    )
    gang = Gang(namespace="d", name="g", podsets=podsets, min_members=12)
    before = Minimum(members=6, roles=started) if started else None
    assert grown(gang, before) is expected


LATE = replace(SLOTS[1], uid="", late=True)
AWAITING = replace(
    PLANNED,
    assignment=replace(PLANNED.assignment, slots=(SLOTS[0], LATE)),
    state=State.AWAITING,
    bound=frozenset({"u1"}),
)


def test_a_leader_that_the_watch_shows_on_its_place_takes_no_room_from_itself() -> None:
    """Its node is full with itself before its place is marked as seen."""
    leader = pod("u1", node="n1")
    notices = seen(AWAITING, leader, nodes=(node("n1", 0), node("n2")))
    assert notices == (Notice(sign=Sign.BOUND, uid="u1"),)


def test_the_place_of_a_member_that_does_not_exist_is_lost_with_its_node() -> None:
    """Nobody else would notice: there is no pod yet."""
    [notice] = seen(AWAITING, pod("u1", node="n1"), nodes=(node("n1", 0),))[1:]
    assert notice.sign is Sign.LOST and notice.cause == "node n2 is gone"


def test_late_members_are_awaited_for_a_limited_time() -> None:
    """Every member that comes starts the clock anew."""
    there = replace(AWAITING, seen=frozenset({"u1"}))
    leader = pod("u1", node="n1")
    limit = Limits().late_seconds
    assert seen(there, leader, now=limit - 1) == ()
    assert seen(there, leader, now=limit + 1) == (Notice(sign=Sign.EXPIRED),)
    again = replace(there, filled_seconds={"u9": 10.0})
    assert seen(again, leader, now=limit + 1) == ()


def test_late_members_do_not_wait_for_each_other() -> None:
    """One that is at the barrier does not make its sibling late; each has the time of a whole gang."""
    filled = replace(
        AWAITING,
        assignment=replace(AWAITING.assignment, slots=(SLOTS[0], replace(LATE, uid="u2"))),
        seen=frozenset({"u1"}),
        arrived=frozenset({"u9"}),
        filled_seconds={"u2": 100.0},
    )
    leader = pod("u1", node="n1")
    assert seen(filled, leader, now=150.0) == ()
    [lost] = seen(filled, leader, now=161.0)
    assert lost.cause == "pod u2 was not bound within 60 s"
