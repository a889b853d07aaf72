"""Parts of PodGroups are roles: subgroups of KAI, tasks and partitions of Volcano."""

from __future__ import annotations

from typing import Any

from scheduler.model import TopologyRequest
from tests.objects import Object
from tests.scheduler.test_gangs_podgroups import blocked, gang_of, group, member, roles
from topology import keys

# -- KAI ---------------------------------------------------------------------------------------------


def in_subgroup(name: str, count: int, **given: Any) -> list[Object]:
    """Pods ``NAME-0`` ... of a subgroup."""
    label = {keys.KAI_SUBGROUP: name}
    return [member("kai", f"{name}-{i}", labels=label, **given) for i in range(count)]


def test_subgroups_of_kai_are_roles() -> None:
    """Each with its minimum and level; pods of no subgroup are free of a minimum."""
    rack = {"requiredTopologyLevel": keys.RACK}
    subgroups = [
        {"name": "prefill", "minMember": 1, "topologyConstraint": rack},
        {"name": "decode", "minMember": 2},
    ]
    gang = gang_of(
        group("kai", subGroups=subgroups),
        *in_subgroup("prefill", 2),
        *in_subgroup("decode", 4),
        member("kai", "router", gpus=0),
    )
    assert gang.blocked is None
    assert roles(gang) == {"decode": (4, 2, 4), "main": (1, 0, 1), "prefill": (2, 1, 2)}
    assert gang.min_members == 3
    assert {p.role: p.topology.required for p in gang.podsets}["prefill"] == "rack"


def test_a_subgroup_without_pods_is_waited_for() -> None:
    """Prefill is there, decode is not."""
    subgroups = [{"name": "prefill", "minMember": 2}, {"name": "decode", "minMember": 3}]
    gang = gang_of(group("kai", minMember=5, subGroups=subgroups), *in_subgroup("prefill", 2))
    assert roles(gang) == {"decode": (3, 3, 0), "prefill": (2, 2, 2)}
    assert "2 of 5 members exist; not created yet: 3 of role decode" in blocked(gang)


def test_the_level_of_an_outer_subgroup_holds_for_all_inside() -> None:
    """Leaders and workers of decode share a block, each of them a rack; prefill is free of both."""
    block, rack = {"requiredTopologyLevel": "block"}, {"preferredTopologyLevel": "rack"}
    subgroups = [
        {"name": "decode", "topologyConstraint": block},
        {"name": "leaders", "parent": "decode", "minMember": 1, "topologyConstraint": rack},
        {"name": "workers", "parent": "decode", "minMember": 2, "topologyConstraint": rack},
        {"name": "prefill", "minMember": 1},
    ]
    gang = gang_of(
        group("kai", subGroups=subgroups),
        *in_subgroup("leaders", 1),
        *in_subgroup("workers", 2),
        *in_subgroup("prefill", 1),
    )
    assert gang.blocked is None
    found = {p.role: (p.group, p.group_topology, p.topology) for p in gang.podsets}
    inner = TopologyRequest(preferred="rack")
    shared = ("decode", TopologyRequest(required="block"), inner)
    assert found["leaders"] == found["workers"] == shared
    assert found["prefill"] == (None, TopologyRequest(), TopologyRequest())


def test_subgroups_that_contain_each_other_are_harmless() -> None:
    """A circle of parents has no pods of its own; it must not hang."""
    circle = [
        {"name": "a", "parent": "b"},
        {"name": "b", "parent": "a"},
        {"name": "c", "parent": "a"},
    ]
    gang = gang_of(group("kai", subGroups=circle), *in_subgroup("c", 2))
    assert (gang.blocked, roles(gang)) == (None, {"c": (2, 1, 2)})


# -- Volcano -----------------------------------------------------------------------------------------


def of_task(task: str, count: int, partition: str = "", **given: Any) -> list[Object]:
    """Pods of a task as Volcano's Job controller makes them."""
    about = {keys.VOLCANO_TASK: task}
    labels = {**about, **({keys.VOLCANO_PARTITION: partition} if partition else {})}
    return [
        member("volcano", f"{task}-{partition}{i}", annotations=about, labels=labels, **given)
        for i in range(count)
    ]


def test_tasks_of_volcano_are_roles_with_minimums() -> None:
    """``minTaskMember`` beside ``minMember``; a task without pods is waited for."""
    limits: dict[str, Any] = {"minMember": 4, "minTaskMember": {"ps": 1, "worker": 2}}
    gang = gang_of(group("volcano", **limits), *of_task("ps", 1, gpus=0), *of_task("worker", 5))
    assert (gang.blocked, gang.min_members) == (None, 4)
    assert roles(gang) == {"ps": (1, 1, 1), "worker": (5, 2, 5)}
    waiting = gang_of(group("volcano", **limits), *of_task("worker", 5))
    assert roles(waiting)["ps"] == (1, 1, 0)
    assert "1 of role ps" in blocked(waiting)


def test_partitions_of_volcano_each_keep_to_their_level() -> None:
    """Two partitions of two pods: whole, each in one rack, all in one block."""
    policy = {
        "name": "worker",
        "subGroupSize": 2,
        "labelSelector": {"matchLabels": {keys.VOLCANO_TASK: "worker"}},
        "matchLabelKeys": [keys.VOLCANO_PARTITION],
        "networkTopology": {"mode": "hard", "highestTierAllowed": 1},
    }
    spec: dict[str, Any] = {
        "minMember": 4,
        "subGroupPolicy": [policy],
        "minTaskMember": {"worker": 4},
    }
    network: dict[str, Any] = {"networkTopology": {"mode": "hard", "highestTierAllowed": 2}}
    pods = [*of_task("worker", 2, "0"), *of_task("worker", 2, "1")]
    gang = gang_of(group("volcano", **spec, **network), *pods)
    assert (gang.blocked, gang.topology) == (None, TopologyRequest(required="block"))
    assert roles(gang) == {"worker-0": (2, 2, 2), "worker-1": (2, 2, 2)}
    assert {p.topology for p in gang.podsets} == {TopologyRequest(required="rack")}
