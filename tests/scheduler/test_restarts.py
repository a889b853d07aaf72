"""Members that came back alone where their owner restarts all that belongs together: who is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import Code, Gang, GangAssignment, Member, Minimum, PodSet
from scheduler.progress import Limits
from scheduler.reservation import Reservation, State
from scheduler.restarts import Loss, ending, losses, reason, started
from tests.workloads.disaggregated import Made, role, whole_set
from tests.workloads.groups import cluster, gang_of, lws, pods_of
from topology import keys
from topology.resources import Resources

LEADER = Member(pod="g-0", uid="l", node="n")
AFTER_START = {"annotations": {keys.LWS_AFTER_START: "true"}}


def group(*workers: Member, leader: Member = LEADER, least: int = 3, policy: bool = True) -> Gang:
    """A gang of a leader and its workers that restart together."""
    members = (leader, *workers)
    podset = PodSet(role="main", size=3, min_count=least, request=Resources(), members=members)
    return Gang(
        namespace="d",
        name="g-0",
        podsets=(podset,),
        min_members=least,
        workload="LeaderWorkerSet/g",
        restarts_with={m.uid: leader.uid for m in members if m.uid} if policy else {},
    )


def worker(index: int, uid: str = "", node: str | None = "n") -> Member:
    """A worker; without a uid of its own that of its first life."""
    return Member(pod=f"g-0-{index}", uid=uid or f"w{index}", node=node)


WHOLE = group(worker(1), worker(2))
RAN = Minimum(members=3, roles={"main": 3}, below={"l": 2})
COMES = Member(pod="g-0-2", late=True)
CASES: dict[str, tuple[Gang, Minimum | None, list[tuple[str, str]]]] = {
    "whole": (WHOLE, RAN, []),
    "one is back": (group(worker(1), worker(2, "new", None)), RAN, [("g-0", "g-0-2")]),
    "one has ended and nobody is back": (group(worker(1)), RAN, []),
    "one is to be made again": (group(worker(1), COMES), RAN, [("g-0", "")]),
    "never was whole": (group(worker(1), worker(2, node=None)), None, []),
    "on record since before there were such records": (
        group(worker(1), worker(2, "new", None)),
        Minimum(members=3, roles={"main": 3}),
        [],
    ),
    "the owner replaces it alone": (
        group(worker(1), worker(2, "new", None), policy=False),
        RAN,
        [],
    ),
    "the leader is new": (
        group(worker(1), worker(2, node=None), leader=Member(pod="g-0", uid="next", node="n")),
        RAN,
        [],
    ),
    "above its minimum": (
        group(worker(1), worker(2, "new", None), least=2),
        RAN,
        [("g-0", "g-0-2")],
    ),
    "one that never had a place": (
        group(worker(1), worker(2, node=None), least=2),
        Minimum(members=2, roles={"main": 2}, below={"l": 1}),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_lost(case: str) -> None:
    """(root, who came back) of what must start anew: only where a member that ran is not there any more."""
    gang, known, expected = CASES[case]
    assert [(loss.root.pod, loss.back) for loss in losses(gang, known)] == expected


def test_what_is_on_record() -> None:
    """What ran while the gang was whole, at its most; kept while it is broken, forgotten with the root."""
    assert started(WHOLE, None) == RAN
    assert started(group(worker(1)), RAN) == RAN
    elastic = group(worker(1), worker(2, node=None), least=2)
    assert started(elastic, RAN) == Minimum(members=2, roles={"main": 2}, below={"l": 2})
    after = group(worker(1), worker(2), leader=Member(pod="g-0", uid="next", node="n"))
    assert started(after, RAN) == Minimum(members=3, roles={"main": 3}, below={"next": 2})


@given(st.permutations(range(4)), st.integers(1, 4), st.integers(0, 4))
def test_members_that_are_only_added_are_no_loss(order: list[int], least: int, late: int) -> None:
    """Whatever the order in which members get their nodes, and the minimum. One that then goes is a loss."""
    names = [LEADER, *(worker(index) for index in range(1, 4))]
    bound: set[int] = set()
    known = None
    for index in (0, *(i for i in order if i)):
        bound.add(index)
        members = [m if i in bound else worker(i, node=None) for i, m in enumerate(names)]
        gang = group(*members[1:], least=least)
        assert losses(gang, known) == ()
        known = started(gang, known)
    gone = 1 + late % 3
    members = [worker(i, "new", None) if i == gone else m for i, m in enumerate(names)]
    gang = group(*members[1:], least=least)
    [loss] = losses(gang, started(gang, known))
    assert (loss.root, loss.back) == (LEADER, f"g-0-{gone}")


def test_the_reason_says_who_and_when() -> None:
    """Object, demand, time and what happens then."""
    told = reason(WHOLE, Loss(root=LEADER, back="g-0-2"), Limits(restart_seconds=7))
    assert told.code is Code.OWNER_RESTARTS
    assert told.message == (
        "pod g-0-2 came back alone, and LeaderWorkerSet/g restarts all pods of g-0 together when one of "
        "them ends. If it does not within 7 s, Muster evicts g-0, so that all of them are made anew"
    )


POLICIES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),  # the default
    ({"restartPolicy": "RecreateGroupOnPodRestart"}, True),
    ({"restartPolicy": "RecreateGroupAfterStart"}, False),
    (AFTER_START, False),  # the same in LWS v0.8
    ({"restartPolicy": "None"}, False),
    ({"restartPolicy": "Default"}, False),  # the old name of None
]


@pytest.mark.parametrize(("more", "together"), POLICIES)
def test_which_groups_restart_together(more: dict[str, Any], together: bool) -> None:
    """LeaderWorkerSet v0.9, `handleRestartPolicy`; with "after start" it may leave a group as it is."""
    of = lws(size=3, **more)
    gang = gang_of(cluster(of, pods_of(of)))
    names = ("train-0", "train-0-1", "train-0-2")
    expected = {f"uid-{name}-a": "uid-train-0-a" for name in names}
    assert gang.restarts_with == (expected if together else {})


def test_of_a_slice_only_the_replica_restarts() -> None:
    """A worker of one replica is back alone: its leader is the root, and the other replicas run on."""
    made = Made(whole_set(role("prefill", 2, size=2), role("decode", 1, size=2)))
    made.run("prefill", "decode")
    known = started(made.gang(), None)
    name = f"{made.lws('prefill')}-1"
    again = made.pods[f"{name}-1"]
    again["metadata"]["uid"] = "again"
    del again["spec"]["nodeName"]
    [loss] = losses(made.gang(), known)
    assert (loss.root.pod, loss.back) == (name, f"{name}-1")


@pytest.mark.parametrize(
    ("state", "bound", "seconds", "waits"),
    [
        (State.RESTARTING, {"w1", "w2"}, 10, "2 pods of its last life have not ended"),
        (State.RESTARTING, {"w1"}, 60, "1 pod of its last life has not ended"),
        (State.RESTARTING, {"w1"}, 61, None),
        (State.RESTARTING, set(), 10, None),
        (State.DEGRADED, {"w1"}, 10, None),
    ],
)
def test_the_next_life_waits_for_the_end_of_the_last(
    state: State, bound: set[str], seconds: float, waits: str | None
) -> None:
    """Its places are those on which pods of the last life still stand; a pod that never ends does not hold it
    up for ever."""
    held = Reservation(
        plan_id="p",
        assignment=GangAssignment(namespace="d", gang="g-0"),
        state=state,
        since_seconds=100,
        bound=frozenset(bound),
    )
    found = ending([held], 100 + seconds, Limits(reserve_seconds=60))
    assert {key: why.message for key, why in found.items()} == ({"d/g-0": waits} if waits else {})
