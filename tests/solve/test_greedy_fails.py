"""Instances on which the schedulers in the field fail, because they decide one pod, role or gang at a time.

Each says what a greedy scheduler does wrong. Here yes/no and the tightness of preferred levels are exact:
the objective is that of the independent exact model. Members ask for 8 cards, a whole node, unless the
test says otherwise.
"""

from __future__ import annotations

from scheduler.model import Constraints, Gang, Plan
from tests.builders import Fleet, answer, fleet, gang, nodes_of, podset, snapshot
from tests.solve.deciding import decide, passed, racks, waits
from tests.solve.reference import optimum


def exactly(drawn: Fleet, *gangs: Gang) -> Plan:
    """The plan, which is as good as the exact model's in every entry and proven so."""
    plan = decide(drawn, *gangs)
    assert plan.objective == plan.bound == optimum(snapshot(drawn, *gangs))
    return plan


def test_the_first_role_takes_the_only_domain_of_the_second() -> None:
    """Greedy: prefill, placed first, takes the roomy rack; decode, which fits only there, fails."""
    drawn = fleet("r1(n1 n2) r2(n3[4] n4[4])")
    prefill = podset("prefill", 2, gpus=4, required="rack")
    plan = exactly(drawn, gang("pd", prefill, podset("decode", 2, required="rack")))
    assert nodes_of(plan, "pd", "prefill") == "n3 n4"
    assert nodes_of(plan, "pd", "decode") == "n1 n2"


def test_the_order_of_unequal_members_decides() -> None:
    """Greedy: both members of 3 cards on n1, then no node has 5 cards left."""
    drawn = fleet("r1(n1[8] n2[3])")
    plan = exactly(drawn, gang("mixed", podset("small", 2, gpus=3), podset("large", 1, gpus=5)))
    assert nodes_of(plan, "mixed", "large") == "n1"
    assert nodes_of(plan, "mixed", "small") == "n1 n2"


def test_the_tightest_domain_uses_many_sub_domains() -> None:
    """Greedy best fit: block b1 holds just four, over four racks; b2 holds them in one rack."""
    drawn = fleet("b1(r1(n1) r2(n2) r3(n3) r4(n4)) b2(r5(n5 n6 n7 n8) r6(n9))")
    plan = exactly(drawn, gang("llama", members=4, required="block"))
    assert racks(plan, "llama") == ("r5",)


def test_best_fit_splits_the_large_host() -> None:
    """Greedy: the gang of two 8-card members fills half of the large host that the other gang needs."""
    drawn = fleet("r1(n1[16] n2 n3)")
    plan = exactly(drawn, gang("two", members=2))
    assert nodes_of(plan, "two") == "n1 n1"  # alone: one host instead of two
    plan = exactly(drawn, gang("two", members=2), gang("whole", gpus=16, created=9))
    assert (nodes_of(plan, "two"), nodes_of(plan, "whole")) == ("n2 n3", "n1")


def test_nested_slices_are_not_sums_of_cards() -> None:
    """Greedy: rack r1 has the four cards, but only one pair of them is on one host."""
    drawn = fleet("r1(n1[3] n2[1]) r2(n3[2] n4[3])")
    plan = exactly(drawn, gang("tp", members=4, gpus=1, slices="rack:4,host:2"))
    assert nodes_of(plan, "tp") == "n3 n3 n4 n4"
    plan = exactly(
        fleet("r1(n1[3] n2[1]) r2(n3[1] n4[3])"),
        gang("tp", members=4, gpus=1, slices="rack:4,host:2"),
    )
    assert waits(plan, "tp") is not None


def test_the_leader_takes_a_place_of_a_worker() -> None:
    """Greedy: the leader, first in line, takes cores of a node that a worker needs."""
    drawn = fleet("r1(n1 n2 n3[0])", cpu=8)
    leader = podset("leader", 1, gpus=0, cpu=4)
    plan = exactly(drawn, gang("lws", leader, podset("worker", 2, cpu=8), required="rack"))
    assert (nodes_of(plan, "lws", "leader"), nodes_of(plan, "lws", "worker")) == ("n3", "n1 n2")


def test_a_batch_of_gangs_that_each_need_one_domain() -> None:
    """Greedy in order of age: both small gangs go into one rack, and one large gang has no rack left."""
    drawn = fleet("r1(n1 n2 n3) r2(n4 n5 n6)")
    batch = [gang(f"small-{i}", members=1, required="rack", created=i) for i in range(2)]
    batch += [gang(f"large-{i}", members=2, required="rack", created=9) for i in range(2)]
    plan = exactly(drawn, *batch)
    assert all(waits(plan, each.name) is None for each in batch)


def test_no_pod_is_counted_as_the_largest_of_all() -> None:
    """A filter that takes the element-wise largest pod sees room for one here; there is room for both."""
    drawn = fleet("r1(n1)", cpu=64)
    plan = exactly(
        drawn,
        gang(
            "pd", podset("router", 1, gpus=0, cpu=60), podset("worker", 1, cpu=4), required="host"
        ),
    )
    assert nodes_of(plan, "pd") == "n1 n1"


def test_a_preferred_level_is_more_than_a_score() -> None:
    """Where it is one score of many, packing wins: the half-busy nodes n1 and n2 of two racks."""
    drawn = fleet("r1(n1[8-4]) r2(n2[8-4]) r3(n3)")
    plan = exactly(drawn, gang("llama", members=2, gpus=4, preferred="rack"))
    assert nodes_of(plan, "llama") == "n3 n3"


def test_preferred_levels_of_several_gangs_together() -> None:
    """Greedy: the older gang of two takes the rack of three, and the gang of three is torn."""
    drawn = fleet("r1(n1 n2 n3) r2(n4 n5) r3(n6)")
    plan = exactly(
        drawn,
        gang("old", members=2, preferred="rack"),
        gang("young", members=3, preferred="rack", created=9),
        gang("one", created=10),
    )
    assert (racks(plan, "old"), racks(plan, "young"), racks(plan, "one")) == (
        ("r2",),
        ("r1",),
        ("r3",),
    )


def test_preferred_level_of_leader_and_workers_together() -> None:
    """Greedy: the leader goes to the emptiest rack, and the workers no longer fit beside it."""
    drawn = fleet("r1(n1 n2) r2(n3{disk=ssd} n4 n5[8-2]) r3(n6 n7 n8[8-8]{disk=ssd})", cpu=64)
    ssd = Constraints(node_selector={"disk": "ssd"})
    leader = podset("leader", 1, gpus=2, constraints=ssd)
    plan = exactly(drawn, gang("lws", leader, podset("worker", 2, gpus=6), preferred="rack"))
    # n3 takes the leader and a worker of six cards, n5 or n4 the other one: one rack.
    assert racks(plan, "lws") == ("r2",)


def test_preferred_levels_of_two_roles_together() -> None:
    """Greedy: the first role takes the rack that both would share; exactly: each role has its own rack."""
    drawn = fleet("b1(r1(n1 n2 n3) r2(n4 n5)) b2(r3(n6))")
    sets = podset("prefill", 2, preferred="rack"), podset("decode", 3, preferred="rack")
    plan = exactly(drawn, gang("pd", *sets))
    assert nodes_of(plan, "pd", "prefill") == "n4 n5"
    assert nodes_of(plan, "pd", "decode") == "n1 n2 n3"


def test_flavors_of_several_gangs_together() -> None:
    """Greedy by age: the old gang takes both h100 nodes, two others fall back instead of one."""
    drawn = fleet("r1(n1@h100 n2@h100) r2(n3@a100 n4@a100)")
    both = ["h100", "a100"]
    plan = exactly(
        drawn,
        gang("old", members=2, flavors=both),
        gang("b", flavors=both, created=8),
        gang("c", flavors=both, created=9),
    )
    assert answer(plan, "old").flavor == "a100"
    assert answer(plan, "b").flavor == answer(plan, "c").flavor == "h100"
    assert [code.value for code in passed(plan, "old").values()] == ["YieldedTo"]


def test_a_swap_lets_both_gangs_in() -> None:
    """Greedy: the flexible gang sits on the only nodes that the picky one can use."""
    drawn = fleet("r1(n1@h100 n2@h100) r2(n3@a100 n4@a100)")
    flexible = gang("flexible", members=2)
    picky = gang("picky", members=2, flavors=["h100"], created=9)
    plan = exactly(drawn, flexible, picky)
    assert nodes_of(plan, "flexible") == "n3 n4" and nodes_of(plan, "picky") == "n1 n2"
