"""Where slices of a DisaggregatedSet stand: levels, flavors, annotations of the set, plans of the solver."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import TopologyRequest
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.state import ClusterState
from tests.objects import flavor, node, state_of
from tests.workloads.disaggregated import (
    DECODE,
    FLEET,
    PREFILL,
    Made,
    blocked,
    role,
    whole_set,
)
from topology import keys

# -- where -------------------------------------------------------------------------------------------


def test_roles_stand_near_each_other() -> None:
    """The innermost level above the host is preferred."""
    gang = Made(whole_set(PREFILL, DECODE)).gang()
    assert gang.topology == TopologyRequest(preferred="rack")


@pytest.mark.parametrize("kind", ["ExclusiveSlice", "ExclusiveTopology"])
def test_the_placement_policy_is_a_required_level(kind: str) -> None:
    """By label key; near each other inside it all the same."""
    policy = {"type": kind, "topology": keys.BLOCK}
    gang = Made(whole_set(PREFILL, DECODE, placementPolicy=policy)).gang()
    assert gang.topology == TopologyRequest(required="block", preferred="rack")


@pytest.mark.parametrize("kind", ["None", None, [], {"x": 1}, 7])
def test_no_placement_policy(kind: Any) -> None:
    """``None``, and what is no type at all, demands nothing, whatever the key says."""
    policy = {"type": kind, "topology": keys.BLOCK}
    gang = Made(whole_set(PREFILL, DECODE, placementPolicy=policy)).gang()
    assert gang.topology == TopologyRequest(preferred="rack")


def test_what_the_user_prefers_is_left_alone() -> None:
    """On the DisaggregatedSet itself, which hands nothing on to its pods."""
    own = {"annotations": {"muster.dev/gang-topology-preferred": "zone"}}
    gang = Made(whole_set(PREFILL, DECODE, metadata=own)).gang()
    assert gang.topology == TopologyRequest(preferred="zone")


def test_annotations_of_the_set_and_of_its_roles() -> None:
    """Flavors of the whole set, a level of one role, the connector between them."""
    own = {"muster.dev/flavors": "h100", "muster.dev/kv-connector": "nixl"}
    near = {"annotations": {"muster.dev/topology-required": "host"}}
    made = Made(whole_set(role("prefill", 2, metadata=near), DECODE, metadata={"annotations": own}))
    gang = made.gang(0, flavor("h100", nodeSelector={"x": "y"}))
    assert gang.blocked is None
    assert ([one.name for one in gang.flavors], gang.connector) == (["h100"], "nixl")
    levels = {podset.role: podset.topology.required for podset in gang.podsets}
    assert levels == {"decode": None, "prefill": "host"}


def test_exclusive_replicas_are_roles_of_their_own() -> None:
    """Each replica of prefill has a rack for itself; its pods carry affinity to each other only."""
    annotation = {"annotations": {keys.LWS_EXCLUSIVE: keys.RACK}}
    made = Made(whole_set(role("prefill", 2, size=2, metadata=annotation), DECODE))
    gang = made.gang()
    assert gang.blocked is None
    found = {p.role: (p.size, p.group, p.group_topology.required) for p in gang.podsets}
    assert found == {
        "decode": (4, None, None),
        "prefill-0-leader": (1, "prefill-0", "rack"),
        "prefill-0-worker": (1, "prefill-0", "rack"),
        "prefill-1-leader": (1, "prefill-1", "rack"),
        "prefill-1-worker": (1, "prefill-1", "rack"),
    }


def test_a_label_that_only_the_policy_names_is_a_level() -> None:
    """A key of node labels that nobody else knows."""
    row = "example.com/row"
    nodes = [node(f"x{i}", labels={row: str(i)}) for i in (1, 2)]
    made = Made(
        whole_set(PREFILL, DECODE, placementPolicy={"type": "ExclusiveSlice", "topology": row})
    )
    (gang,) = state_of([*nodes, made.of, *made.sets.values(), *made.pods.values()]).gangs()
    assert (gang.blocked, gang.topology.required) == (None, row)


# -- what goes wrong ---------------------------------------------------------------------------------


def test_a_domain_that_no_node_has_names_the_set() -> None:
    """The user wrote it in the placement policy."""
    policy = {"type": "ExclusiveSlice", "topology": "example.com/rwo"}
    gang = Made(whole_set(PREFILL, DECODE, placementPolicy=policy)).gang()
    at = "DisaggregatedSet default/pd: spec.placementPolicy.topology"
    assert blocked(gang).startswith(f"InvalidRequest: {at}: unknown level 'example.com/rwo'")


def test_a_flavor_that_does_not_exist_names_the_set() -> None:
    """The user wrote it on the DisaggregatedSet."""
    own = {"annotations": {"muster.dev/flavors": "h1000"}}
    gang = Made(whole_set(PREFILL, DECODE, metadata=own)).gang()
    assert blocked(gang).startswith(
        "InvalidRequest: DisaggregatedSet default/pd: muster.dev/flavors"
    )


# -- with the solver ---------------------------------------------------------------------------------


def placed(state: ClusterState) -> dict[str, set[str]]:
    """Gang (set and slice) -> the racks that its new members were given; empty where it waits."""
    snapshot = state.snapshot()
    plan = solve(snapshot, Policy())
    assert verify(snapshot, plan) == ()
    return {
        a.gang.rpartition("-")[0]: {slot.node[:-1] for slot in a.slots} if a.placed else set()
        for a in plan.assignments
    }


def test_three_slices_on_a_fabric_of_three_tiers() -> None:
    """2 x 4 + 4 x 1 cards fit in a rack of 16: each slice stands in one, and no two in the same."""
    made = Made(whole_set(PREFILL, DECODE, slices=3))
    racks = placed(made.state())
    assert [len(racks[f"pd-{part}"]) for part in range(3)] == [1, 1, 1]
    assert len(set.union(*racks.values())) == 3


def test_a_slice_that_has_no_room_waits_whole() -> None:
    """24 cards are free: two slices of 12, and nothing of the third."""
    made = Made(whole_set(PREFILL, DECODE, slices=3))
    small = FLEET[:3]
    state = state_of([*small, made.of, *made.sets.values(), *made.pods.values()])
    assert sorted(len(racks) > 0 for racks in placed(state).values()) == [False, True, True]


def test_slices_keep_apart_as_the_policy_says() -> None:
    """ExclusiveSlice by block: three slices in three of the four blocks."""
    policy = {"type": "ExclusiveSlice", "topology": keys.BLOCK}
    made = Made(whole_set(PREFILL, DECODE, slices=3, placementPolicy=policy))
    racks = placed(made.state())
    blocks = [{rack[:3] for rack in some} for some in racks.values()]
    assert [len(some) for some in blocks] == [1, 1, 1]
    assert len(set.union(*blocks)) == 3


def test_added_decode_members_come_together_and_near() -> None:
    """Decode 4 -> 6 beside the slice that runs in a rack; without room for both, neither is placed."""
    made = Made(whole_set(PREFILL, DECODE))
    made.run("prefill", on="n1111")
    made.run("decode", on="n1112")
    decode = made.lws("decode")
    made.scale(decode, 6)
    made.grow(decode, 6)
    assert placed(made.state()) == {"pd-0": {"n111"}}
    made.scale(decode, 9)
    made.grow(decode, 9)
    two = [item for item in FLEET if item["metadata"]["name"] in ("n1111", "n1112")]
    state = state_of([*two, made.of, *made.sets.values(), *made.pods.values()])
    assert placed(state) == {"pd-0": set()}
