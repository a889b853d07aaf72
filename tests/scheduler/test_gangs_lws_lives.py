"""Groups of LeaderWorkerSets that are made anew: which pods are of this life, and of which revision."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import Code
from scheduler.policy import Policy
from scheduler.solve import solve
from tests.scheduler.test_gangs_lws import EXCLUSIVE, FLEET, roles
from tests.workloads.groups import (
    cluster,
    gang_of,
    lws,
    pods_of,
    revision,
    stateful_sets,
    template,
)
from topology import keys

# -- lives -------------------------------------------------------------------------------------------


def test_pods_of_an_earlier_life_are_no_members() -> None:
    """After a recreate the old workers still run: their StatefulSet belongs to another leader."""
    group = lws(size=3)
    old, new = pods_of(group, node="n1"), pods_of(group, life="b")
    state = cluster(FLEET, group, stateful_sets(group), old[1:], new[:1])
    gang = gang_of(state)
    assert gang.incarnation == "uid-train-0-b"
    assert [m.uid for p in gang.podsets for m in p.members] == ["uid-train-0-b"]
    assert gang.blocked is not None
    assert gang.blocked.message == "1 of 3 members exist; not created yet: 2 of role worker"
    assert state.nodes["n1"].free[keys.NVIDIA_GPU] == 8 - 16  # they use capacity all the same


def test_workers_of_a_stateful_set_that_was_replaced_are_no_members() -> None:
    """The name of the StatefulSet is the same in the next life, its uid is not."""
    group = lws(size=2)
    old, new = pods_of(group, node="n1"), pods_of(group, life="b")
    state = cluster(group, stateful_sets(group, life="b"), old[1:], new[:1])
    assert [m.uid for p in gang_of(state).podsets for m in p.members] == ["uid-train-0-b"]


def test_workers_older_than_their_leader_are_no_members() -> None:
    """The garbage collector removes the old StatefulSet first: for a moment only the time tells the lives."""
    group = lws(size=3)
    old, new = pods_of(group, node="n1"), pods_of(group, life="b")
    for made in new:
        made["metadata"]["creationTimestamp"] = "2026-01-01T00:10:00Z"
    gang = gang_of(cluster(FLEET, group, stateful_sets(group)[:1], old[1:], new[:1]))
    assert [m.uid for p in gang.podsets for m in p.members] == ["uid-train-0-b"]
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING


def test_workers_that_run_before_a_leader_of_the_same_second_are_no_members() -> None:
    """Times are in whole seconds: a group that is recreated at once has two lives in one. Nobody runs before
    its leader is bound, so who runs is of the earlier life, and the new leader is not placed beside it."""
    group = lws(size=3)
    old, new = pods_of(group, node="n1"), pods_of(group, life="b")
    for made in (*old, *new):
        made["metadata"]["creationTimestamp"] = "2026-01-01T00:10:00Z"
    gang = gang_of(cluster(FLEET, group, stateful_sets(group)[:1], old[1:], new[:1]))
    assert [m.uid for p in gang.podsets for m in p.members] == ["uid-train-0-b"]
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING


def test_the_owner_tells_the_life_whatever_the_time() -> None:
    """Clocks of API servers differ: a worker may look older than the leader that it was made for."""
    group = lws(size=2)
    leader, worker = pods_of(group)
    leader["metadata"]["creationTimestamp"] = "2026-01-01T00:00:01Z"
    gang = gang_of(cluster(FLEET, group, stateful_sets(group), leader, worker))
    assert [m.pod for p in gang.podsets for m in p.members] == ["train-0", "train-0-1"]


def test_late_workers_of_the_next_life_are_expected_beside_the_old_ones() -> None:
    """A recreated group under LeaderReady is planned whole while its old workers end."""
    group = lws(size=3, startup="LeaderReady")
    old, new = pods_of(group, node="n1"), pods_of(group, life="b")
    gang = gang_of(cluster(FLEET, group, stateful_sets(group), old[1:], new[:1]))
    assert gang.blocked is None
    assert [(m.pod, m.uid) for p in gang.podsets for m in p.members] == [
        ("train-0", "uid-train-0-b"),
        ("train-0-1", ""),
        ("train-0-2", ""),
    ]


def test_between_two_lives_a_slot_has_no_members() -> None:
    """The old leader is being deleted, the new one is not there: what is left is nobody's gang to place."""
    group = lws(size=3)
    leader, *workers = pods_of(group, node="n1")
    leader["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    gang = gang_of(cluster(FLEET, group, stateful_sets(group), leader, workers))
    assert [member for podset in gang.podsets for member in podset.members] == []
    assert gang.blocked is not None
    assert gang.blocked.message == (
        "its leader train-0 does not exist yet; 2 pods of its last life have not ended"
    )


RESTARTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ("uid-train-0-a",)),  # the default
    ({"restartPolicy": "RecreateGroupOnPodRestart"}, ("uid-train-0-a",)),
    ({"restartPolicy": "RecreateGroupAfterStart"}, ("uid-train-0-a",)),
    ({"restartPolicy": "None"}, ()),
    ({"restartPolicy": "Default"}, ()),  # the old name of None
]


@pytest.mark.parametrize(("more", "expected"), RESTARTS)
def test_deleting_the_leader_recreates_the_group(
    more: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Only under policies that build the whole group anew does the gang have a root."""
    group = lws(size=2, **more)
    assert gang_of(cluster(group, pods_of(group))).roots == expected


def test_a_replaced_member_joins_its_running_group() -> None:
    """Policy None: one new worker is pending beside members that run; they pin flavor and domain."""
    group = lws(size=3, restartPolicy="None", annotations=EXCLUSIVE, worker=template(4))
    pods = pods_of(group, node="n1")
    del pods[2]["spec"]["nodeName"]
    [answer] = solve(cluster(FLEET, group, pods).snapshot(), Policy()).assignments
    # n1 is full with the other two; n0, n2 and n3 are the rest of its rack, n4 to n7 another one.
    assert [slot.pod for slot in answer.slots] == ["train-0-2"]
    assert answer.slots[0].node in {"n0", "n2", "n3"}


# -- revisions ---------------------------------------------------------------------------------------


def test_an_old_revision_has_its_own_template_and_size() -> None:
    """In the middle of an update the workers of an old leader are made as its revision says."""
    old = lws(size=2, startup="LeaderReady", worker=template(2))
    new = lws(size=4, startup="LeaderReady", worker=template(8))
    state = cluster(
        new,
        revision(old, "r1"),
        revision(new, "r2"),
        pods_of(old, 0, revision="r1")[:1],
        pods_of(new, 1, revision="r2")[:1],
    )
    before, after = (gang_of(state, f"train-{i}").podsets for i in (0, 1))
    assert roles(before) == [("leader", 1, 1, 0), ("worker", 1, 1, 1)]
    assert before[1].request[keys.NVIDIA_GPU] == 2
    assert roles(after) == [("leader", 1, 1, 0), ("worker", 3, 3, 3)]
    assert after[1].request[keys.NVIDIA_GPU] == 8


def test_a_revision_that_is_not_known_is_the_present_one() -> None:
    """ControllerRevisions of StatefulSets carry the same labels and no template of a group."""
    group = lws(size=2, startup="LeaderReady", worker=template(3))
    of_a_set = revision(group)
    of_a_set["data"] = {"spec": {"template": {}}}
    gang = gang_of(cluster(group, of_a_set, pods_of(group)[:1]))
    assert gang.podsets[1].request[keys.NVIDIA_GPU] == 3


def test_the_stateful_set_of_the_workers_decides_how_many_come() -> None:
    """LeaderWorkerSet 0.9 gives a group of the old revision the new size: the StatefulSet tells."""
    group = lws(size=2, startup="LeaderReady")
    made = stateful_sets(group, replicas=3)
    gang = gang_of(cluster(group, made, pods_of(group)[:1]))
    assert roles(gang.podsets) == [("leader", 1, 1, 0), ("worker", 3, 3, 3)]
