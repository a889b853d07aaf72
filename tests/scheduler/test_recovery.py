"""Reservations from the cluster: what a Gang object and the pods say, after a restart."""

from __future__ import annotations

import json

import pytest

from scheduler.gang_object import Phase, Record, gang_manifest, gang_status
from scheduler.keys import GATE
from scheduler.model import Gang, GangAssignment, Member, Minimum, PodSet, Slot
from scheduler.pods import Pod
from scheduler.recovery import adopted, partial, restored
from scheduler.reservation import State
from topology.resources import Resources

REQUEST = Resources({"cpu": 1500, "pods": 1})
ASSIGNMENT = GangAssignment(
    namespace="d",
    gang="g",
    placed=True,
    flavor="h100",
    slots=tuple(
        Slot(pod=f"g-{i}", uid=f"u{i}", role="main", rank=i, node=f"n{i}", request=REQUEST)
        for i in range(2)
    ),
)


def gang(*nodes: str | None) -> Gang:
    """Members on these nodes."""
    members = tuple(Member(pod=f"g-{i}", uid=f"u{i}", node=n) for i, n in enumerate(nodes))
    podset = PodSet(role="main", size=2, min_count=2, request=REQUEST, members=members)
    return Gang(namespace="d", name="g", podsets=(podset,), min_members=2)


def record(phase: Phase, assignment: GangAssignment = ASSIGNMENT) -> Record:
    """What the Gang object says."""
    return Record(phase=phase, plan_id="p", assignment=assignment, message="", bound=0)


def pods(*nodes: str | None, gates: tuple[str, ...] = ()) -> dict[str, Pod]:
    """The members by uid."""
    return {
        f"u{i}": Pod(namespace="d", name=f"g-{i}", uid=f"u{i}", node=node, gates=gates)
        for i, node in enumerate(nodes)
    }


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.PLANNED, State.RESERVED),
        (Phase.BINDING, State.RESERVED),
        (Phase.ABORTING, State.ABORTING),
        (Phase.DEGRADED, State.DEGRADED),
        (Phase.RELEASING, State.RESTARTING),
        (Phase.WAITING, None),
        (Phase.BOUND, None),
        (Phase.INVALID, None),
    ],
)
def test_a_record_becomes_the_reservation_it_was(phase: Phase, state: State | None) -> None:
    """Only phases that hold something come back, with plan and places as written."""
    obj = {**gang_manifest(gang()), "status": gang_status(record(phase), gang())}
    found = restored(json.loads(json.dumps(obj)), pods("n0", None), 7)
    assert (found.state if found else None) is state
    if found is not None:
        assert (found.plan_id, found.assignment.slots) == ("p", ASSIGNMENT.slots)
        assert found.bound == found.seen == {"u0"}
        assert found.partial_seconds == 7


@pytest.mark.parametrize(
    ("there", "bound", "ungated", "clock"),
    [
        (pods(None, None, gates=(GATE,)), set(), None, None),
        (pods(None, None), set(), 7, None),
        (pods("n0", "n1"), {"u0", "u1"}, 7, None),
        (pods("n9", "n1"), {"u1"}, 7, 7),
        ({}, set(), 7, None),
    ],
)
def test_the_pods_say_how_far_it_got(
    there: dict[str, Pod], bound: set[str], ungated: float | None, clock: float | None
) -> None:
    """Gated members are released again; a member on another node is not bound; clocks start anew."""
    obj = {**gang_manifest(gang()), "status": gang_status(record(Phase.PLANNED), gang())}
    found = restored(obj, there, 7)
    assert found is not None
    assert (set(found.bound), found.ungated_seconds, found.partial_seconds) == (
        bound,
        ungated,
        clock,
    )


def test_places_of_members_that_have_ended_are_kept_for_the_next_life() -> None:
    """One pod of a restarting gang is gone: its place has no pod now, and is held."""
    obj = {**gang_manifest(gang()), "status": gang_status(record(Phase.RELEASING), gang())}
    found = restored(obj, pods("n0"), 7)
    assert found is not None and found.state is State.RESTARTING
    assert [(slot.pod, slot.uid) for slot in found.assignment.slots] == [("g-0", "u0"), ("g-1", "")]
    assert [slot.node for slot in found.holds] == ["n1"]


@pytest.mark.parametrize("obj", [{}, {"status": None}, {"status": {"phase": "Planned"}}])
def test_an_object_without_places_restores_nothing(obj: dict[str, object]) -> None:
    """Somebody made or broke it by hand."""
    assert restored(obj, {}, 0) is None


@pytest.mark.parametrize(
    ("nodes", "expected"), [((None, None), False), (("n", None), True), (("n", "n"), False)]
)
def test_partial_is_between_none_and_the_minimum(
    nodes: tuple[str | None, ...], expected: bool
) -> None:
    """Neither a waiting nor a whole gang."""
    assert partial(gang(*nodes), None) is expected


def test_a_gang_that_only_grows_is_not_partial() -> None:
    """It was whole with one member; with another one beside it that waits it is not broken."""
    assert not partial(gang("n", None), Minimum(members=1, roles={"main": 1}))
    assert partial(gang("n", None), Minimum(members=2, roles={"main": 2}))


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (None, State.ABORTING),
        (record(Phase.PLANNED), State.ABORTING),
        (record(Phase.BOUND), State.DEGRADED),
        (record(Phase.DEGRADED), State.DEGRADED),
    ],
)
def test_a_stray_half_is_adopted(known: Record | None, state: State) -> None:
    """What was whole before may still serve and nobody is evicted; what never was is broken."""
    found = adopted(gang("n0", None), known, 7)
    assert (found.state, found.partial_seconds) == (state, 7)
    assert [(slot.uid, slot.node) for slot in found.assignment.slots] == [("u0", "n0")]
    assert found.bound == found.seen == {"u0"} and found.holds == ()
    assert found.assignment.flavor == ("h100" if known else None)
