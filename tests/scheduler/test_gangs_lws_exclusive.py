"""Exclusive topologies and subgroups of LeaderWorkerSet: domains that hold one group, or one part of it."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import Code, TopologyRequest
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.objects import node
from tests.workloads.groups import cluster, gang_of, lws, pods_of, stateful_sets, template
from topology import keys

FLEET = [node(f"n{i}", "h100", {keys.BLOCK: "b", keys.RACK: f"r{i // 4}"}) for i in range(8)]
EXCLUSIVE = {keys.LWS_EXCLUSIVE: keys.RACK}


def test_an_exclusive_topology_is_the_required_level() -> None:
    """One group, one domain: the level of the whole gang, whoever exists of it."""
    group = lws(size=4, annotations=EXCLUSIVE)
    gang = gang_of(cluster(FLEET, group, pods_of(group)[:1]))
    assert gang.topology == TopologyRequest(required="rack")


def test_a_user_may_ask_for_another_level_besides() -> None:
    """What is written on the pods wins for the gang; the exclusive topology stays a level of all roles."""
    own = {"annotations": {"muster.dev/gang-topology-required": "block"}}
    group = lws(size=4, annotations=EXCLUSIVE, worker=template(metadata=own))
    gang = gang_of(cluster(FLEET, group, pods_of(group)[:1]))
    assert gang.topology.required == "block"
    assert {p.group_topology.required for p in gang.podsets} == {"rack"}


def test_a_level_that_no_node_has_is_told_with_its_object() -> None:
    """The error names the LeaderWorkerSet and its annotation, not a pod."""
    group = lws(size=2, annotations={keys.LWS_EXCLUSIVE: "example.com/pool"})
    blocked = gang_of(cluster(FLEET, group, pods_of(group)[:1])).blocked
    assert blocked is not None and blocked.code is Code.INVALID_REQUEST
    assert blocked.message.startswith(
        f"LeaderWorkerSet default/train: {keys.LWS_EXCLUSIVE}: unknown level 'example.com/pool'"
    )


def test_a_label_that_only_the_set_names_becomes_a_level() -> None:
    """A pool that no source of topology knows is a level as soon as a set is exclusive in it."""
    group = lws(size=2, annotations={keys.LWS_EXCLUSIVE: "example.com/pool"})
    fleet = [node("n1", labels={"example.com/pool": "p"})]
    gang = gang_of(cluster(fleet, group, pods_of(group)[:1]))
    assert gang.blocked is None
    assert gang.topology.required == "example.com/pool"


def test_groups_of_an_exclusive_topology_are_planned_apart() -> None:
    """Two groups of four, two racks of four: each group has a rack for itself, late workers and all."""
    group = lws(size=4, replicas=2, annotations=EXCLUSIVE)
    snapshot = cluster(FLEET, group, pods_of(group, 0)[:1], pods_of(group, 1)[:1]).snapshot()
    plan = solve(snapshot, Policy())
    assert verify(snapshot, plan) == ()
    racks = [
        {f"r{int(slot.node[1:]) // 4}" for slot in answer.slots} for answer in plan.assignments
    ]
    assert sorted(map(sorted, racks)) == [["r0"], ["r1"]]
    assert [len(answer.slots) for answer in plan.assignments] == [4, 4]


def test_small_groups_of_an_exclusive_topology_do_not_share() -> None:
    """Half a rack is enough for a group of two, but the third group finds every rack taken."""
    group = lws(size=2, replicas=3, annotations=EXCLUSIVE)
    leaders = [pods_of(group, index)[:1] for index in range(3)]
    snapshot = cluster(FLEET, group, *leaders).snapshot()
    plan = solve(snapshot, Policy())
    assert verify(snapshot, plan) == ()
    assert sorted(len(answer.slots) for answer in plan.assignments) == [0, 2, 2]


def test_workers_follow_their_leader_into_its_domain() -> None:
    """The leader runs: its workers, selected into its rack, are planned there and nowhere else."""
    group = lws(size=3, annotations=EXCLUSIVE)
    leader = pods_of(group, node="n5")[0]
    workers = pods_of(group, nodeSelector={keys.RACK: "r1"})[1:]
    for existing in ([], workers[:1], workers):
        snapshot = cluster(FLEET, group, leader, existing).snapshot()
        [answer] = solve(snapshot, Policy()).assignments
        assert {slot.node for slot in answer.slots} <= {"n4", "n6", "n7"}
        assert len(answer.slots) == 2


def test_the_selector_of_the_workers_is_known_from_their_stateful_set() -> None:
    """Once the controller has made the StatefulSet, workers to come select the leader's domain."""
    group = lws(size=3, annotations=EXCLUSIVE)
    selected = {"spec": {"nodeSelector": {keys.RACK: "r1", "other": "x"}}}
    made = stateful_sets(group, replicas=2, template=selected)
    gang = gang_of(cluster(FLEET, group, made, pods_of(group, node="n5")[:1]))
    assert gang.podsets[1].constraints.node_selector == {keys.RACK: "r1"}


SUBGROUPS: list[tuple[str, int, dict[str, Any], list[tuple[str, int, str | None]]]] = [
    # size, subGroupPolicy, (role, size, topology group)
    (
        "leader and workers fill equal subgroups",
        4,
        {"subGroupSize": 2},
        [("leader", 1, "subgroup-0"), ("worker-0", 1, "subgroup-0"), ("worker-1", 2, "subgroup-1")],
    ),
    (
        "the leader is one more of the first",
        5,
        {"subGroupSize": 2, "subGroupPolicyType": "LeaderWorker"},
        [("leader", 1, "subgroup-0"), ("worker-0", 2, "subgroup-0"), ("worker-1", 2, "subgroup-1")],
    ),
    (
        "the leader is in none",
        5,
        {"subGroupSize": 2, "subGroupPolicyType": "LeaderExcluded"},
        [("leader", 1, None), ("worker-0", 2, "subgroup-0"), ("worker-1", 2, "subgroup-1")],
    ),
]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("size", "policy", "expected"),
    [case[1:] for case in SUBGROUPS],
    ids=[case[0] for case in SUBGROUPS],
)
def test_exclusive_subgroups_are_roles(
    size: int, policy: dict[str, Any], expected: list[tuple[str, int, str | None]], late: bool
) -> None:
    """Each subgroup has one domain for itself; late workers are in theirs before they exist."""
    group = lws(
        size=size,
        annotations={keys.LWS_SUBGROUP_EXCLUSIVE: keys.RACK},
        startup="LeaderReady" if late else "LeaderCreated",
        subGroupPolicy=policy,
    )
    pods = pods_of(group)
    state = cluster(FLEET, group, pods[:1] if late else pods)
    gang = gang_of(state)
    assert gang.blocked is None
    assert [(p.role, p.size, p.group) for p in gang.podsets] == expected
    assert {p.group_topology.required for p in gang.podsets if p.group} == {"rack"}
    snapshot = state.snapshot()
    plan = solve(snapshot, Policy())
    assert verify(snapshot, plan) == ()
    racks: dict[str, set[int]] = {}
    for slot in plan.assignments[0].slots:
        part = next(p.group for p in gang.podsets if p.role == slot.role)
        racks.setdefault(part or "none", set()).add(int(slot.node[1:]) // 4)
    assert len(racks["subgroup-0"]) == len(racks["subgroup-1"]) == 1
    assert racks["subgroup-0"] != racks["subgroup-1"]


def test_exclusive_subgroups_wait_for_workers_by_role() -> None:
    """Before its workers exist a group of LeaderCreated knows in which subgroups they will be."""
    group = lws(
        size=4,
        annotations={keys.LWS_SUBGROUP_EXCLUSIVE: keys.RACK},
        subGroupPolicy={"subGroupSize": 2},
    )
    blocked = gang_of(cluster(FLEET, group, pods_of(group)[:1])).blocked
    assert blocked is not None
    assert blocked.message == (
        "1 of 4 members exist; not created yet: 1 of role worker-0, 2 of role worker-1"
    )
