"""The main job on the real control plane: all-or-nothing, in flavor order, under contention."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest

from scheduler import keys
from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


def test_a_gang_of_two_is_bound_whole(rig: Rig) -> None:
    """The spine: apply, gate, plan, commit, nominate, ungate, filter, barrier, bind."""
    rig.add_nodes(3)
    rig.gang("llama", 2)
    places = rig.wait_bound("llama", 2)
    assert len(set(places.values())) == 2
    status = rig.wait_phase("llama", "Bound")
    planned = {member["pod"]: member["node"] for member in status["members"]}
    assert planned == places
    pod = rig.pods("llama")[0]
    assert pod["metadata"]["annotations"][keys.NODE] == pod["spec"]["nodeName"]
    assert pod["metadata"]["annotations"][keys.PLAN] == status["plan"]


def test_the_gang_object_goes_with_its_last_member(rig: Rig) -> None:
    """A Gang is deleted after its last member (design section 3)."""
    rig.add_nodes(2)
    rig.gang("short", 2)
    rig.wait_phase("short", "Bound")
    for index in range(2):
        rig.delete_pod(f"short-{index}")
    rig.cluster.api.wait_for("the Gang to go", lambda: not rig.status("short"))


def test_nothing_is_bound_until_all_fit_and_then_within_two_seconds(rig: Rig) -> None:
    """Room for 7 of 8 binds nothing; all eight are bound within 2 s of the eighth place appearing."""
    rig.add_nodes(7)
    rig.gang("eight", 8)
    status = rig.wait_phase("eight", "Waiting", reason="Insufficient")
    assert "7 of 8" in status["message"]
    time.sleep(2)
    assert rig.places("eight") == {}
    rig.add_nodes(1)
    started = time.monotonic()
    rig.wait_bound("eight", 8, timeout=5)
    assert time.monotonic() - started < 2


def test_it_falls_back_to_the_next_flavor_in_order(rig: Rig) -> None:
    """h100 is full: the gang takes a100, its second choice, and says why."""
    rig.add_nodes(2, labels={"card": "h100"})
    rig.add_nodes(2, labels={"card": "a100"})
    rig.gang("busy", 2, nodeSelector={"pool": rig.name, "card": "h100"})
    rig.wait_phase("busy", "Bound")
    flavors = [{"name": card, "nodeSelector": {"card": card}} for card in ("h100", "a100")]
    rig.gang("llama", 2, annotations={keys.FLAVOR_SPEC: json.dumps(flavors)})
    status = rig.wait_phase("llama", "Bound")
    assert (status["flavor"], status["flavorRank"]) == ("a100", 1)
    assert [passed["flavor"] for passed in status["passedOver"]] == ["h100"]
    assert set(rig.places("llama").values()) == set(rig.nodes[2:])


def test_members_share_a_rack_when_they_must(rig: Rig) -> None:
    """Required level: three nodes free in each of two racks hold no gang of four; a third rack does."""
    rack = "topology.kubernetes.io/rack"
    rig.add_nodes(3, labels={rack: "r1"})
    rig.add_nodes(3, labels={rack: "r2"})
    rig.gang("rack", 4, annotations={keys.GANG_TOPOLOGY_REQUIRED: "rack"})
    status = rig.wait_phase("rack", "Waiting", reason="TopologyTooSmall")
    assert "3 of 4" in status["message"]
    third = rig.add_nodes(4, labels={rack: "r3"})
    rig.wait_phase("rack", "Bound")
    assert set(rig.places("rack").values()) == set(third)


def one_is_whole(rig: Rig, a: str, b: str) -> bool:
    """Whether six members of one of the gangs are bound."""
    return 6 in (len(rig.places(a)), len(rig.places(b)))


@pytest.mark.parametrize("rounds", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_of_two_gangs_that_exclude_each_other_always_one_is_bound(rig: Rig, rounds: int) -> None:
    """Each needs 60 % of the cluster, created at the same instant: one whole, one waits, every time."""
    rig.add_nodes(10)
    for number in range(rounds):
        a, b = f"a{number}", f"b{number}"
        rig.create([*rig.gang_pods(a, 6), *rig.gang_pods(b, 6)])
        rig.cluster.api.wait_for("one to be bound", partial(one_is_whole, rig, a, b))
        winner, loser = (a, b) if len(rig.places(a)) == 6 else (b, a)
        assert len(rig.places(winner)) == 6
        assert rig.places(loser) == {}
        assert rig.wait_phase(loser, "Waiting")["reason"]
        for index in range(6):
            rig.delete_pod(f"{loser}-{index}")
            rig.delete_pod(f"{winner}-{index}")
        rig.cluster.api.wait_for("an empty cluster", lambda: not rig.pods())


def test_plain_pods_are_none_of_our_business(rig: Rig) -> None:
    """A pod without our annotations is never gated, gets no resources of ours and no Gang."""
    rig.add_nodes(1)
    rig.create([rig.pod("plain", gpus=1)])
    rig.cluster.api.wait_for("plain to be bound", lambda: rig.places().get("plain"))
    pod = rig.pods()[0]
    assert keys.RESOURCE_MEMBER not in pod["spec"]["containers"][0]["resources"]["limits"]
    assert keys.GATE not in str(pod["spec"].get("schedulingGates"))
    assert rig.status("plain") == {}
