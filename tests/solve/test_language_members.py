"""The request language, members: minimums, roles, running members, flavors, several gangs.

Every member asks for a whole node of 8 cards unless its test says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.model import Code, Gang, Reason
from tests.builders import (
    GIB,
    answer,
    flavor,
    fleet,
    gang,
    nodes_of,
    podset,
    reserved,
)
from tests.solve.deciding import decide, passed, racks, waits
from topology import keys
from topology.resources import Resources


def test_gang_min_starts_with_fewer() -> None:
    """Elastic minimum of the gang: it starts with ``gang-min`` members and takes all that fit."""
    drawn = fleet("r1(n1 n2 n3)")
    plan = decide(drawn, gang("llama", members=4))
    assert waits(plan, "llama") == Code.INSUFFICIENT
    # Three of four fit; two are enough.
    plan = decide(drawn, gang("llama", members=4, least=2))
    assert nodes_of(plan, "llama") == "n1 n2 n3"


def test_role_min_zero_is_legal() -> None:
    """Elastic minimum of a role: with 0 the gang starts without any member of it."""
    drawn = fleet("r1(n1 n2)")
    prefill = podset("prefill", 2)
    assert waits(decide(drawn, gang("pd", prefill, podset("decode", 2))), "pd") == Code.INSUFFICIENT
    plan = decide(drawn, gang("pd", prefill, podset("decode", 2, least=0)))
    assert (nodes_of(plan, "pd", "prefill"), nodes_of(plan, "pd", "decode")) == ("n1 n2", "")


def test_role_min_and_gang_min_together() -> None:
    """Both minimums hold: enough members in all, and enough of each role."""
    drawn = fleet("r1(n1 n2 n3)")
    sets = podset("prefill", 2, least=1), podset("decode", 2, least=1)
    assert len(nodes_of(decide(drawn, gang("pd", *sets)), "pd").split()) == 3
    assert waits(decide(drawn, gang("pd", *sets, least=4)), "pd") == Code.INSUFFICIENT
    plan = decide(drawn, gang("pd", replace(sets[0], min_count=2), sets[1], least=3))
    assert len(nodes_of(plan, "pd", "prefill").split()) == 2


def test_roles_with_different_requests() -> None:
    """Several PodSets: each member needs what its own role requests."""
    drawn = fleet("r1(n1[8-4] n2[8-2] n3)")
    sets = [podset("leader", 1, gpus=4), podset("worker", 1, gpus=6)]
    plan = decide(drawn, gang("llama", *sets))
    # Best fit: the leader fills n1, the worker n2, and n3 stays whole.
    assert (nodes_of(plan, "llama", "leader"), nodes_of(plan, "llama", "worker")) == ("n1", "n2")
    # A second worker takes n3; a third has no place though 2 + 0 + 2 cards are left in sum.
    plan = decide(drawn, gang("llama", sets[0], podset("worker", 2, gpus=6)))
    assert nodes_of(plan, "llama", "worker") == "n2 n3"
    assert waits(decide(drawn, gang("llama", sets[0], podset("worker", 3, gpus=6))), "llama")


def test_a_helper_without_cards_need_not_follow_the_flavor() -> None:
    """A PodSet that does not follow flavors may stand on any node; the others may not."""
    drawn = fleet("r1(n1@h100 n2@a100)", cpu=8)
    worker = podset("worker", 1, cpu=8)
    router = podset("router", 1, gpus=0, cpu=8)
    assert waits(decide(drawn, gang("llama", worker, router, flavors=["h100"])), "llama")
    free = replace(router, follows_flavors=False)
    plan = decide(drawn, gang("llama", worker, free, flavors=["h100"]))
    assert (nodes_of(plan, "llama", "worker"), nodes_of(plan, "llama", "router")) == ("n1", "n2")


# Members that already run


def test_running_members_pin_the_flavor() -> None:
    """A running member pins the gang to the flavor of its node, though a better one is free."""
    drawn = fleet("r1(n1@a100 n2@a100 n3@h100 n4@h100)")
    plan = decide(drawn, gang("llama", members=2, flavors=["h100", "a100"]))
    assert nodes_of(plan, "llama") == "n3 n4"
    plan = decide(drawn, gang("llama", members=2, flavors=["h100", "a100"], running=["n1"]))
    assert nodes_of(plan, "llama") == "n2"
    assert passed(plan, "llama") == {"h100": Code.PINNED_TO_RUNNING}


def test_running_members_pin_the_device_class() -> None:
    """Without flavors too, members with cards stand on one device class: that of the running ones."""
    drawn = fleet("r1(n1@a100 n2@h100 n3[12]@a100)")
    assert nodes_of(decide(drawn, gang("llama", members=1)), "llama") in ("n1", "n2")
    # n3 leaves four cards idle, but n2 is of another class than n1.
    plan = decide(drawn, gang("llama", members=2, running=["n1"]))
    assert nodes_of(plan, "llama") == "n3"


def test_one_device_class_for_a_gang() -> None:
    """Four nodes of two types do not make a gang of four."""
    plan = decide(fleet("r1(n1@a100 n2@h100 n3@a100 n4@h100)"), gang("llama", members=4))
    assert waits(plan, "llama") == Code.INSUFFICIENT
    assert waits(decide(fleet("r1(n1 n2 n3 n4)"), gang("llama", members=4)), "llama") is None


def test_running_members_pin_the_required_domain() -> None:
    """Required level: new members join the domain of those that run."""
    drawn = fleet("r1(n1 n2) r2(n3 n4)")
    plan = decide(drawn, gang("llama", members=2, required="rack", running=["n4"]))
    assert nodes_of(plan, "llama") == "n3"
    # Its own rack is full: the free rack r1 is of no use.
    full = fleet("r1(n1 n2) r2(n3[8-8] n4)")
    plan = decide(full, gang("llama", members=2, required="rack", running=["n4"]))
    assert waits(plan, "llama") in (Code.TOPOLOGY_TOO_SMALL, Code.PINNED_TO_RUNNING)


def test_running_members_count_for_the_minimum() -> None:
    """An elastic gang with one member running needs one place less."""
    drawn = fleet("r1(n1 n2)")
    assert waits(decide(drawn, gang("llama", members=4, least=3)), "llama") == Code.INSUFFICIENT
    drawn = fleet("r1(n1 n2 n3)")
    plan = decide(drawn, gang("llama", members=4, least=3, running=["n3"]))
    assert nodes_of(plan, "llama") == "n1 n2"


def test_preferred_is_judged_over_running_and_new_members() -> None:
    """Preferred level: near the running members when there is room, else it widens."""
    running = gang("llama", members=2, preferred="rack", running=["n1"])
    assert nodes_of(decide(fleet("b1(r1(n1 n2) r2(n3))"), running), "llama") == "n2"
    plan = decide(fleet("b1(r1(n1 n2[8-8]) r2(n3)) b2(r3(n4))"), running)
    assert racks(plan, "llama") == ("r1", "r2")  # the same block, which is the next broader level


def test_a_gang_that_runs_whole_needs_nothing() -> None:
    """A gang whose minimum runs is placed, whatever the cluster looks like."""
    runs = gang("llama", members=2, running=["n1", "n2"])
    grown = gang("qwen", members=2, least=1, running=["n3"])
    plan = decide(fleet("r1(n1 n2 n3)"), runs, grown)
    assert answer(plan, "llama").placed and answer(plan, "qwen").placed
    assert not answer(plan, "llama").slots and not answer(plan, "qwen").slots


# Flavors


def test_flavors_are_taken_in_order() -> None:
    """The first flavor that fits is taken; those passed over are named with the reason."""
    wish = gang("llama", members=2, flavors=["h100", "a100"])
    assert (
        answer(decide(fleet("r1(n1@h100 n2@h100 n3@a100 n4@a100)"), wish), "llama").flavor == "h100"
    )
    # One of the two h100 nodes is busy.
    plan = decide(fleet("r1(n1@h100 n2[8-1]@h100 n3@a100 n4@a100)"), wish)
    assert (answer(plan, "llama").flavor, answer(plan, "llama").flavor_rank) == ("a100", 1)
    assert passed(plan, "llama") == {"h100": Code.INSUFFICIENT}
    # Nothing fits: both are named, and the gang waits.
    plan = decide(fleet("r1(n1@h100 n2[8-1]@h100 n3@a100)"), wish)
    assert passed(plan, "llama") == {"h100": Code.INSUFFICIENT, "a100": Code.INSUFFICIENT}
    assert waits(plan, "llama") == Code.INSUFFICIENT


def test_a_flavor_is_never_mixed() -> None:
    """One flavor for the whole gang: one node of each type does not do."""
    wish = gang("llama", members=2, flavors=["h100", "a100"])
    assert waits(decide(fleet("r1(n1@h100 n2@a100)"), wish), "llama") == Code.INSUFFICIENT


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"node_selector": {"type": "b200"}}, Code.NO_NODES),
        ({"device_class": "nvidia-b200-192gb"}, Code.NO_NODES),
        ({"min_memory_bytes": 96 * GIB}, Code.NO_NODES),
        ({"resources": Resources({keys.NVIDIA_GPU: 4})}, Code.RESOURCES_DIFFER),
        ({"resources": Resources({"cpu": 0})}, Code.RESOURCES_DIFFER),
        ({"members": 4}, Code.MEMBERS_DIFFER),
    ],
)
def test_a_flavor_that_cannot_be_is_passed_over(changed: dict[str, object], code: Code) -> None:
    """A flavor is passed over when no node serves it or it is for other pods or another size."""
    drawn = fleet("r1(n1@h100 n2@h100 n3@a100 n4@a100)")
    fine = flavor(
        "h100", resources=Resources({keys.NVIDIA_GPU: 8}), members=2, min_memory_bytes=80 * GIB
    )
    plan = decide(drawn, gang("llama", members=2, flavors=[fine, "a100"]))
    assert answer(plan, "llama").flavor == "h100"
    plan = decide(drawn, gang("llama", members=2, flavors=[flavor("h100", **changed), "a100"]))
    assert answer(plan, "llama").flavor == "a100"
    assert passed(plan, "llama") == {"h100": code}


def test_the_size_of_a_flavor_chooses_it() -> None:
    """``members`` of a flavor: 2 pods on one type, 4 on another, each gang finds its own."""
    drawn = fleet("r1(n1@h100 n2@h100 n3@a100 n4@a100 n5@a100 n6@a100)")
    flavors = [flavor("h100", members=2), flavor("a100", members=4)]
    plan = decide(
        drawn, gang("two", members=2, flavors=flavors), gang("four", members=4, flavors=flavors)
    )
    assert answer(plan, "two").flavor == "h100"
    assert answer(plan, "four").flavor == "a100"
    assert passed(plan, "four") == {"h100": Code.MEMBERS_DIFFER}


def test_ascend_and_nvidia_are_flavors_like_others() -> None:
    """Vendors differ by their resource name only."""
    drawn = fleet("r1(n1@h100 n2@ascend n3@ascend)")
    wish = gang("qwen", members=2, resource=keys.ASCEND_910, flavors=["ascend"])
    assert nodes_of(decide(drawn, wish), "qwen") == "n2 n3"
    assert waits(decide(drawn, gang("qwen", members=2, flavors=["ascend"])), "qwen") is not None


# Several gangs in one decision


def test_all_or_nothing_for_two_gangs() -> None:
    """Two gangs that each need more than half: one is placed whole, the other has nothing."""
    drawn = fleet("r1(n1 n2 n3 n4 n5)")
    plan = decide(drawn, gang("a", members=3), gang("b", members=3))
    assert answer(plan, "a").placed and not answer(plan, "b").placed  # of one age: by name
    assert waits(plan, "b") == Code.YIELDED_TO
    assert "default/a" in str(answer(plan, "b").reason)


def test_the_older_gang_goes_first() -> None:
    """Of two gangs of one priority the older is placed."""
    drawn = fleet("r1(n1 n2 n3)")
    plan = decide(drawn, gang("a", members=2, created=5), gang("b", members=2, created=5))
    assert answer(plan, "a").placed
    plan = decide(drawn, gang("a", members=2, created=5), gang("b", members=2, created=4))
    assert answer(plan, "b").placed and waits(plan, "a") == Code.YIELDED_TO


def test_the_higher_priority_goes_first() -> None:
    """Priority goes before age and before the number of gangs."""
    drawn = fleet("r1(n1 n2 n3)")
    small = [gang("a", members=1), gang("b", members=1)]
    large = gang("large", members=3, created=9)
    plan = decide(drawn, large, *small)
    assert waits(plan, "large") == Code.YIELDED_TO  # two gangs whole are better than one
    plan = decide(drawn, replace(large, priority=10), *small)
    assert answer(plan, "large").placed
    assert waits(plan, "a") == waits(plan, "b") == Code.YIELDED_TO


def test_the_most_gangs_whole() -> None:
    """Two younger gangs that fit together go before an older one that needs it all."""
    drawn = fleet("r1(n1 n2 n3 n4)")
    old = gang("old", members=4, created=1)
    assert answer(decide(drawn, old, gang("a", members=2, created=2)), "old").placed
    plan = decide(drawn, old, gang("a", members=2, created=2), gang("b", members=2, created=3))
    assert answer(plan, "a").placed and answer(plan, "b").placed and not answer(plan, "old").placed


def test_minimums_of_all_go_before_more_members_of_one() -> None:
    """An elastic gang grows only into what other gangs leave."""
    drawn = fleet("r1(n1 n2 n3)")
    elastic = gang("elastic", members=3, least=1)
    assert len(nodes_of(decide(drawn, elastic), "elastic").split()) == 3
    plan = decide(drawn, elastic, gang("other", members=2, created=9))
    assert answer(plan, "other").placed and len(nodes_of(plan, "elastic").split()) == 1


def test_a_gang_yields_its_better_flavor() -> None:
    """The sum of flavor ranks is least: the gang with an alternative yields, and says to whom."""
    drawn = fleet("r1(n1@h100 n2@a100)")
    choosy = gang("choosy", flavors=["h100"], created=9)
    open_ = gang("open", flavors=["h100", "a100"])
    assert answer(decide(drawn, open_), "open").flavor == "h100"
    plan = decide(drawn, open_, choosy)
    assert (answer(plan, "open").flavor, answer(plan, "choosy").flavor) == ("a100", "h100")
    assert passed(plan, "open") == {"h100": Code.YIELDED_TO}
    assert "default/choosy" in answer(plan, "open").passed_over[0].reason.message


def test_higher_priority_chooses_its_flavor_first() -> None:
    """Ranks are summed per priority: a low gang never costs a high one its better flavor."""
    drawn = fleet("r1(n1@h100 n2@a100 n3@l4)")
    high = gang("high", flavors=["h100", "a100"], priority=10)
    low = gang("low", flavors=["h100", "l4"])
    assert answer(decide(drawn, low), "low").flavor == "h100"
    plan = decide(drawn, low, high)
    assert (answer(plan, "high").flavor, answer(plan, "low").flavor) == ("h100", "l4")


# Reserved, blocked


def test_reservations_hold_their_places() -> None:
    """A reserved gang keeps its slots and their capacity is gone."""
    drawn = fleet("r1(n1 n2)")
    held = gang("held")
    assert nodes_of(decide(drawn, gang("llama", members=2)), "llama") == "n1 n2"
    plan = decide(drawn, held, gang("llama", members=2), reservations=[reserved(held, "n2")])
    assert nodes_of(plan, "held") == "n2" and answer(plan, "held").placed
    assert waits(plan, "llama") == Code.INSUFFICIENT


def test_a_blocked_gang_waits_with_its_own_reason() -> None:
    """A gang whose request is wrong is not planned and takes nothing from others."""
    wrong = Reason(
        code=Code.INVALID_REQUEST, message="Pod default/x: gang-size: 0, must be 1 or more"
    )
    blocked: Gang = replace(gang("a", members=2), blocked=wrong)
    plan = decide(fleet("r1(n1 n2)"), blocked, gang("b", members=2))
    assert answer(plan, "a").reason == wrong
    assert nodes_of(plan, "b") == "n1 n2"


def test_a_waiting_gang_is_explained_in_numbers() -> None:
    """Seven of eight members fit: the reason has the numbers, for people and for machines."""
    drawn = fleet("r1(n1 n2 n3 n4) r2(n5 n6 n7 n8[8-2])")
    reason = answer(decide(drawn, gang("llama", members=8)), "llama").reason
    assert reason is not None and reason.code == Code.INSUFFICIENT
    numbers = reason.numbers
    assert (numbers["membersNeeded"], numbers["membersFit"], numbers["nodesTotal"]) == (8, 7, 8)
    assert "7 of 8" in reason.message and keys.NVIDIA_GPU in reason.message
