"""The request language, prefill and decode: mixed pairs of device classes, and the way of the caches.

Every member asks for a whole node of 8 cards unless its test says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.model import Code, Constraints, Gang
from scheduler.policy import MixedPair, Policy
from scheduler.solve.reasons import explain
from tests.builders import CARDS, answer, flavor, fleet, gang, nodes_of, podset, snapshot
from tests.solve.deciding import decide, passed, racks, variant, waits
from tests.solve.reference import optimum
from topology import keys
from topology.resources import Resources


def allow(*pairs: str, connector: str = "nixl") -> Policy:
    """A policy that allows pairs such as ``h100>a100``: prefill on the first, decode on the second."""
    split = (pair.split(">") for pair in pairs)
    return Policy(
        mixed_pairs=tuple(
            MixedPair(prefill=CARDS[one][0], decode=CARDS[two][0], connector=connector)
            for one, two in split
        )
    )


MIXED = allow("h100>a100")


def xpyd(prefill: int = 1, decode: int = 2, **fields: Any) -> Gang:
    """Prefill and decode members that use the connector nixl."""
    sets = podset("prefill", prefill), podset("decode", decode)
    return replace(gang("pd", *sets, **fields), connector="nixl")


# Mixed pairs


def test_a_mixed_pair_is_for_the_policy_to_allow() -> None:
    """One h100 and two a100 nodes: only with the row of the policy does the gang have a place."""
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100)")
    assert waits(decide(drawn, xpyd()), "pd") == Code.INSUFFICIENT
    plan = decide(drawn, xpyd(), policy=MIXED)
    assert (nodes_of(plan, "pd", "prefill"), nodes_of(plan, "pd", "decode")) == ("n1", "n2 n3")


@pytest.mark.parametrize(
    ("policy", "connector", "roles"),
    [
        (MIXED, None, ("prefill", "decode")),
        (MIXED, "mooncake", ("prefill", "decode")),
        (allow("a100>h100"), "nixl", ("prefill", "decode")),
        (allow("h100>l4"), "nixl", ("prefill", "decode")),
        (allow("h100>h100"), "nixl", ("prefill", "decode")),
        (MIXED, "nixl", ("prefill", "worker")),
        (MIXED, "nixl", ("decode", "prefill")),
    ],
)
def test_nothing_but_the_listed_pairs(
    policy: Policy, connector: str | None, roles: tuple[str, str]
) -> None:
    """Another connector, another direction or class, and roles that are no such pair: one class only."""
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100)")
    wish = gang("pd", podset(roles[0], 1), podset(roles[1], 2))
    plan = decide(drawn, replace(wish, connector=connector), policy=policy)
    assert waits(plan, "pd") == Code.INSUFFICIENT


def test_one_class_goes_before_a_mixed_pair() -> None:
    """Whenever one class holds the gang it is taken, though a mixture would be nearer."""
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100) r2(n4@a100)")
    plan = decide(drawn, xpyd(preferred="rack"), policy=MIXED)
    assert set(nodes_of(plan, "pd").split()) == {"n2", "n3", "n4"}
    # With n4 busy there is nothing else.
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100) r2(n4[8-1]@a100)")
    plan = decide(drawn, xpyd(preferred="rack"), policy=MIXED)
    assert nodes_of(plan, "pd", "prefill") == "n1"


def test_each_podset_of_a_mixed_pair_stands_on_one_class() -> None:
    """Decode members are not split over both classes; other PodSets stand with the prefill members."""
    sets = [
        podset(role, 1) for role in ("prefill-leader", "prefill-worker", "decode-a", "decode-b")
    ]
    wish = replace(gang("pd", *sets), connector="nixl")
    drawn = fleet("r1(n1@h100 n2@h100 n3@a100 n4@a100)")
    plan = decide(drawn, wish, policy=MIXED)
    assert nodes_of(plan, "pd", "decode-a") + nodes_of(plan, "pd", "decode-b") in ("n3n4", "n4n3")
    drawn = fleet("r1(n1@h100 n2@h100 n5@h100 n3@a100)")
    assert waits(decide(drawn, wish, policy=MIXED), "pd") == Code.INSUFFICIENT
    # An encoder with cards goes where prefill goes; a router without any goes where there are cores.
    more = [podset("prefill", 1), podset("encode", 1), podset("decode", 2)]
    router = podset("router", 1, gpus=0, cpu=8, follows_flavors=False)
    wish = replace(gang("pd", *more, router), connector="nixl")
    plan = decide(fleet("r1(n1@h100 n2@h100 n3@a100 n4@a100)", cpu=8), wish, policy=MIXED)
    assert set(nodes_of(plan, "pd", "decode").split()) == {"n3", "n4"}


def test_a_mixed_pair_over_two_flavors_has_the_rank_of_the_worse() -> None:
    """The flavor is that of the prefill members, the rank the worse of both, and pure flavors go before."""
    flavors = ["h100", "a100", "l4"]
    wish = xpyd(flavors=flavors)
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100)")
    found = answer(decide(drawn, wish, policy=MIXED), "pd")
    assert (found.flavor, found.flavor_rank) == ("h100", 1)
    assert [one.flavor for one in found.passed_over] == ["h100"]
    assert "on h100, decode on a100 (choice 2 of 3)" in explain(wish, found)
    # a100 alone has the same rank, and goes before.
    found = answer(decide(fleet("r1(n1@h100 n2@a100 n3@a100 n4@a100)"), wish, policy=MIXED), "pd")
    assert (found.flavor, found.flavor_rank) == ("a100", 1)
    # l4 alone is of a worse rank, and goes behind.
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100 n4@l4 n5@l4 n6@l4)")
    plan = decide(drawn, wish, policy=MIXED)
    assert nodes_of(plan, "pd", "prefill") == "n1"
    # The other way round: the better flavor decodes.
    turned = xpyd(flavors=flavors[1::-1])
    found = answer(decide(fleet("r1(n1@h100 n2@a100 n3@a100)"), turned, policy=MIXED), "pd")
    assert (found.flavor, found.flavor_rank) == ("h100", 1)
    # A class that no flavor of the gang serves cannot be a part of it.
    picky = xpyd(flavors=["h100", "l4"])
    plan = decide(fleet("r1(n1@h100 n2@a100 n3@a100)"), picky, policy=MIXED)
    assert waits(plan, "pd") == Code.INSUFFICIENT


def test_each_side_of_a_mixed_pair_asks_for_its_flavors_resources() -> None:
    """Two vendors: prefill asks for Ascend cards, decode for NVIDIA cards, and each has its flavor."""
    ascend = flavor("ascend", resources=Resources({keys.ASCEND_910: 8}))
    a100 = flavor("a100", resources=Resources({keys.NVIDIA_GPU: 8}))
    sets = podset("prefill", 1, resource=keys.ASCEND_910), podset("decode", 1)
    wish = replace(gang("pd", *sets, flavors=[ascend, a100]), connector="nixl")
    drawn = fleet("r1(n1@ascend n2@a100)")
    plan = decide(drawn, wish)
    assert set(passed(plan, "pd").values()) == {Code.RESOURCES_DIFFER}
    plan = decide(drawn, wish, policy=allow("ascend>a100"))
    assert (nodes_of(plan, "pd"), answer(plan, "pd").flavor) == ("n2 n1", "ascend")


def test_a_variant_is_mixed_on_its_own_flavor_only() -> None:
    """A flavor with other pods is the whole gang: it may mix two classes that both serve it, and no more."""
    both = flavor("both", node_selector={})
    sets = podset("prefill", 1, gpus=4), podset("decode", 1, gpus=4)
    drawn = fleet("r1(n1[8-4]@h100 n2[8-4]@a100)")
    wish = replace(xpyd(flavors=[both]), variants=(variant("both", *sets),))
    plan = decide(drawn, wish, policy=MIXED)
    assert (nodes_of(plan, "pd", "prefill"), nodes_of(plan, "pd", "decode")) == ("n1", "n2")
    wish = replace(xpyd(flavors=["h100", "a100"]), variants=(variant("a100", *sets),))
    plan = decide(drawn, wish, policy=MIXED)
    assert set(passed(plan, "pd").values()) == {Code.INSUFFICIENT}


def test_running_members_of_a_mixed_pair_keep_their_classes() -> None:
    """Prefill runs on h100, decode on a100: a new decode member stands on a100, and nowhere else."""
    sets = podset("prefill", 1, running=["n1"]), podset("decode", 2, running=["n2"])
    wish = replace(gang("pd", *sets, flavors=["h100", "a100"]), connector="nixl")
    drawn = fleet("r1(n1@h100 n2@a100 n3@h100 n4@a100)")
    assert waits(decide(drawn, wish), "pd") == Code.PINNED_TO_RUNNING
    plan = decide(drawn, wish, policy=MIXED)
    assert nodes_of(plan, "pd") == "n4"
    assert (answer(plan, "pd").flavor, answer(plan, "pd").flavor_rank) == ("h100", 1)
    # When all of them run, the answer still says on what.
    whole = replace(sets[1], size=1, members=sets[1].members[:1], min_count=1)
    wish = replace(gang("pd", sets[0], whole, flavors=["h100", "a100"]), connector="nixl")
    found = answer(decide(drawn, wish, policy=MIXED), "pd")
    assert (found.flavor, found.flavor_rank) == ("h100", 1)
    # No room on a100, though h100 has: the reason counts the nodes of a100.
    full = fleet("r1(n1@h100 n2@a100 n3@h100 n4[8-8]@a100)")
    wish = replace(gang("pd", *sets), connector="nixl")
    reason = answer(decide(full, wish, policy=MIXED), "pd").reason
    assert reason is not None and "0 of 1 members of role decode fit" in reason.message


def test_gangs_compete_for_classes() -> None:
    """A gang that can mix leaves the class that another one needs."""
    drawn = fleet("r1(n1@h100 n2@a100 n3@a100) r2(n4@h100 n5@h100)")
    assert set(nodes_of(decide(drawn, xpyd(), policy=MIXED), "pd").split()) == {"n1", "n4", "n5"}
    picky = gang("picky", members=2, flavors=["h100"], created=9)
    plan = decide(drawn, xpyd(), picky, policy=MIXED)
    assert nodes_of(plan, "picky") == "n4 n5"
    assert (nodes_of(plan, "pd", "prefill"), nodes_of(plan, "pd", "decode")) == ("n1", "n2 n3")


# The way of key-value caches


def test_decode_members_stand_near_prefill_members() -> None:
    """Before fragmentation: each of two racks has one prefill and one decode node rather than two of one."""
    drawn = fleet("r1(n1 n2) r2(n3 n4)")
    roles = podset("worker", 2), podset("helper", 2)
    plan = decide(drawn, gang("pd", *roles))
    assert (nodes_of(plan, "pd", "worker"), nodes_of(plan, "pd", "helper")) == ("n1 n2", "n3 n4")
    plan = decide(drawn, xpyd(2, 2))
    for rack in ({"n1", "n2"}, {"n3", "n4"}):
        assert len(rack & set(nodes_of(plan, "pd", "prefill").split())) == 1


def test_nearer_is_better_level_by_level() -> None:
    """No rack holds two members: then every decode member has a prefill member in its block at least."""
    drawn = fleet("b1(r1(n1) r2(n2)) b2(r3(n3) r4(n4))")
    plan = decide(drawn, gang("pd", podset("worker", 2), podset("helper", 2)))
    assert nodes_of(plan, "pd", "worker") == "n1 n2"
    plan = decide(drawn, xpyd(2, 2))
    for block in ({"n1", "n2"}, {"n3", "n4"}):
        assert len(block & set(nodes_of(plan, "pd", "prefill").split())) == 1
    # Behind it come load, fetch, the opened domains of three levels, broken groups, cards left.
    # Both decode members get their caches from another host (85 ms, not 9) and another rack (1 ms more).
    assert plan.objective[-8] == 2 * (76 + 1)


def test_one_prefill_member_is_company_for_all_decode_members_of_its_domain() -> None:
    """A prefill member stands in the rack with more decode members."""
    drawn = fleet("r1(n1 n2) r2(n3 n4 n5)")
    plan = decide(drawn, xpyd(1, 4))
    assert nodes_of(plan, "pd", "prefill") in ("n3", "n4", "n5")
    # Members that run count: decode runs in r1, so a new prefill member goes there.
    sets = podset("prefill", 1), podset("decode", 2, running=["n1", "n2"])
    plan = decide(fleet("r1(n1 n2 n6[12]) r2(n3)"), gang("pd", *sets))
    assert nodes_of(plan, "pd") == "n6"


SSD = Constraints(node_selector={"disk": "ssd"})


def test_the_number_of_domains_goes_before_the_way_of_the_caches() -> None:
    """Two hosts far from prefill are better than three of which one is near."""
    sets = podset("prefill", 1, constraints=SSD), podset("decode", 2)
    plan = decide(fleet("r1(n1[8] n5[8]) r2(n3{disk=ssd} n4)"), gang("pd", *sets))
    assert nodes_of(plan, "pd", "decode") in ("n1 n4", "n5 n4")
    plan = decide(fleet("r1(n1[16]) r2(n3{disk=ssd} n4)"), gang("pd", *sets))
    assert nodes_of(plan, "pd", "decode") == "n1 n1"


def test_the_way_of_the_caches_goes_before_fragmentation() -> None:
    """Decode stands in the rack of prefill, though it leaves four cards idle there."""
    # The helper is on n4 in any case, so both racks and three hosts are used wherever decode stands.
    helper = podset("helper", 1, constraints=Constraints(node_selector={"disk": "nvme"}))
    drawn = fleet("r1(n1{disk=ssd} n2[12]) r2(n3 n4{disk=nvme})")
    other = gang("pd", podset("leader", 1, constraints=SSD), podset("decode", 1), helper)
    assert nodes_of(decide(drawn, other), "pd", "decode") == "n3"
    pair = gang("pd", podset("prefill", 1, constraints=SSD), podset("decode", 1), helper)
    assert nodes_of(decide(drawn, pair), "pd", "decode") == "n2"


def test_the_way_of_the_caches_is_exact_for_several_gangs() -> None:
    """Two gangs that would each take the racks of two: the sum over both is the least there is."""
    drawn = fleet("r1(n1 n2 n3) r2(n4 n5) r3(n6 n7 n8)")
    gangs = [
        replace(xpyd(1, 2), name="a"),
        replace(xpyd(2, 1), name="b", created_seconds=1),
        replace(xpyd(1, 1), name="c", created_seconds=2),
    ]
    plan = decide(drawn, *gangs)
    assert plan.objective == plan.bound == optimum(snapshot(drawn, *gangs))
    assert {len(racks(plan, each.name)) for each in gangs} == {1}
