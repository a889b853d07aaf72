"""The request language, levels: solve, add the one constraint, solve again, and why the answer changed.

Every member asks for a whole node of 8 cards unless its test says otherwise.
"""

from __future__ import annotations

from typing import Any

from scheduler.model import Code, Constraints
from tests.builders import answer, fleet, gang, nodes_of, podset
from tests.solve.deciding import decide, passed, racks, waits


def test_gang_required_refuses_to_split() -> None:
    """Required level of the gang: all members in one domain of it, or the gang waits."""
    drawn = fleet("r1(n1 n2) r2(n3 n4)")
    plan = decide(drawn, gang("llama", members=3))
    assert racks(plan, "llama") == ("r1", "r2")
    # No rack has three free nodes.
    plan = decide(drawn, gang("llama", members=3, required="rack"))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL


def test_gang_required_is_worth_a_flavor() -> None:
    """A required level is a constraint: the better flavor is given up for it, and it is said why."""
    drawn = fleet("r1(n1@h100) r2(n2@h100) r3(n3@a100 n4@a100)")
    plan = decide(drawn, gang("llama", members=2, flavors=["h100", "a100"]))
    assert (answer(plan, "llama").flavor, racks(plan, "llama")) == ("h100", ("r1", "r2"))
    # Two h100 nodes are free, but not in one rack.
    plan = decide(drawn, gang("llama", members=2, flavors=["h100", "a100"], required="rack"))
    assert (answer(plan, "llama").flavor, racks(plan, "llama")) == ("a100", ("r3",))
    assert passed(plan, "llama") == {"h100": Code.TOPOLOGY_TOO_SMALL}


def test_gang_preferred_decides_who_gets_the_tight_rack() -> None:
    """Preferred level of the gang, reached: it goes before the number of racks used by all."""
    drawn = fleet("r1(n1 n2) r2(n3) r3(n4)")
    for one, other in (("a", "b"), ("b", "a")):
        # Only r1 holds two members: the gang that prefers a rack gets it, the other is split.
        plan = decide(drawn, gang(one, members=2, preferred="rack"), gang(other, members=2))
        assert racks(plan, one) == ("r1",)
        assert racks(plan, other) == ("r2", "r3")


def test_gang_preferred_takes_the_next_broader_level() -> None:
    """Preferred level not reachable: the next broader level that holds all members."""
    drawn = fleet("b1(r1(n1) r2(n2)) b2(r3(n3)) b3(r4(n4))")
    for one, other in (("a", "b"), ("b", "a")):
        # No rack has two nodes, but block b1 has: the gang with the wish gets it.
        plan = decide(drawn, gang(one, members=2, preferred="rack"), gang(other, members=2))
        assert answer(plan, one).domains["block"] == ("b1",)
        assert len(answer(plan, other).domains["block"]) == 2


def test_gang_preferred_takes_as_few_of_the_broadest_as_possible() -> None:
    """Preferred level and all broader ones too small: as few domains of the broadest as possible."""
    drawn = fleet("b1(r1(n1)) b2(r2(n2)) b3(r3(n3 n4))")
    plan = decide(drawn, gang("llama", members=3, preferred="rack"))
    assert len(answer(plan, "llama").domains["block"]) == 2  # b3 and one more, never all three
    # The same level required: no rack and no block holds three members.
    plan = decide(drawn, gang("llama", members=3, required="rack"))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL


def test_gang_required_and_preferred_together() -> None:
    """Required is a constraint, preferred is tried inside of it."""
    drawn = fleet("b1(r1(n1 n2) r2(n3)) b2(r3(n4 n5 n6@a100))")
    plan = decide(drawn, gang("a", members=2, required="block"), gang("b", members=2))
    assert waits(plan, "a") is None and waits(plan, "b") is None
    # Both racks of two are there for both gangs, so both wishes come true.
    wish: dict[str, Any] = {"required": "block", "preferred": "rack"}
    plan = decide(drawn, gang("a", members=2, **wish), gang("b", members=2, **wish))
    assert {racks(plan, "a"), racks(plan, "b")} == {("r1",), ("r3",)}
    # Three members fit into block b1 alone; the wish for one rack widens to the block, not further.
    plan = decide(drawn, gang("a", members=3, flavors=["h100"], **wish))
    assert answer(plan, "a").domains["block"] == ("b1",)


# Two groups of one prefill and one decode member each. n5 has 12 cards: best fit avoids it.
GROUPS = "r1(n1 n2 n3) r2(n4 n5[12])"


def test_group_required_keeps_each_group_together() -> None:
    """Required level of a group: its PodSets share a domain, other groups may be elsewhere."""
    roles = [("p0", "one"), ("d0", "one"), ("p1", "two"), ("d1", "two")]
    sets = [podset(role, 1) for role, _ in roles]
    assert set(nodes_of(decide(fleet(GROUPS), gang("pd", *sets)), "pd").split()) == {
        "n1",
        "n2",
        "n3",
        "n4",
    }
    # Three and one would tear a group apart: two and two, though n5 leaves 4 cards idle.
    sets = [podset(role, 1, group=group, group_required="rack") for role, group in roles]
    plan = decide(fleet(GROUPS), gang("pd", *sets))
    for pair in ("p0", "d0"), ("p1", "d1"):
        ends = {nodes_of(plan, "pd", role) in ("n4", "n5") for role in pair}
        assert len(ends) == 1
    # With one node less in r2 no two groups fit whole.
    assert (
        waits(decide(fleet("r1(n1 n2 n3) r2(n4)"), gang("pd", *sets)), "pd")
        == Code.TOPOLOGY_TOO_SMALL
    )


def test_group_preferred_keeps_as_many_groups_together_as_fit() -> None:
    """Preferred level of a group: kept where possible, and the gang is placed where it is not."""
    roles = [("p0", "one"), ("d0", "one"), ("p1", "two"), ("d1", "two")]
    sets = [podset(role, 1, group=group, group_preferred="rack") for role, group in roles]
    plan = decide(fleet(GROUPS), gang("pd", *sets))
    assert "n5" in nodes_of(plan, "pd")
    # Two racks of three and one: one group stays whole.
    plan = decide(fleet("r1(n1 n2 n3) r2(n4)"), gang("pd", *sets))
    together = [
        "n4" not in (nodes_of(plan, "pd", one), nodes_of(plan, "pd", other))
        for one, other in (("p0", "d0"), ("p1", "d1"))
    ]
    assert sorted(together) == [False, True]


SSD = Constraints(node_selector={"disk": "ssd"})


def test_podset_required_binds_only_that_podset() -> None:
    """Required level of a PodSet: its members share a domain; the leader may be elsewhere."""
    drawn = fleet("r1(n1{disk=ssd} n2) r2(n3 n4[12])")
    leader = podset("leader", 1, constraints=SSD)
    plan = decide(drawn, gang("llama", leader, podset("worker", 2)))
    assert nodes_of(plan, "llama", "worker") == "n2 n3"  # n4 would leave 4 of its cards idle
    # The leader has to be on n1, so rack r1 has one place left: both workers move to r2.
    plan = decide(drawn, gang("llama", leader, podset("worker", 2, required="rack")))
    assert nodes_of(plan, "llama", "leader") == "n1"
    assert set(nodes_of(plan, "llama", "worker").split()) <= {"n3", "n4"}
    # Without n4 there is no rack for two workers beside the leader.
    drawn = fleet("r1(n1{disk=ssd} n2) r2(n3)")
    plan = decide(drawn, gang("llama", leader, podset("worker", 2, required="rack")))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL


def test_podset_preferred_yields_to_space() -> None:
    """Preferred level of a PodSet: taken when there is room, given up when there is none."""
    leader = podset("leader", 1, constraints=SSD)
    wishing = gang("llama", leader, podset("worker", 2, preferred="rack"))
    plan = decide(fleet("r1(n1{disk=ssd} n2) r2(n3 n4[12])"), wishing)
    assert set(nodes_of(plan, "llama", "worker").split()) <= {"n3", "n4"}
    plan = decide(fleet("r1(n1{disk=ssd} n2) r2(n3)"), wishing)
    assert nodes_of(plan, "llama", "worker") == "n2 n3"


def test_slices_keep_adjacent_ranks_together() -> None:
    """Slices: every 2 members, by rank, stay in one rack."""
    drawn = fleet("r1(n1 n2 n3) r2(n4 n5[12])")
    plan = decide(drawn, gang("llama", members=4))
    assert nodes_of(plan, "llama") == "n1 n2 n3 n4"
    # Three and one is no multiple of two: two and two.
    plan = decide(drawn, gang("llama", members=4, slices="rack:2"))
    nodes = nodes_of(plan, "llama").split()
    assert {
        frozenset(nodes[:2]) < {"n1", "n2", "n3"},
        frozenset(nodes[2:]) < {"n1", "n2", "n3"},
    } == {True, False}
    # Rack r2 with one node has no place for a slice.
    plan = decide(fleet("r1(n1 n2 n3) r2(n4)"), gang("llama", members=4, slices="rack:2"))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL


def test_nested_slices() -> None:
    """Nested slices ``block:4,rack:2``: every 4 members in one block, every 2 of them in one rack."""
    drawn = fleet("""
    block b1
      rack r1: n1 n2
      rack r2: n3 n4
      rack r3: n5 n6
    block b2
      rack r4: n7 n8
      rack r5: n9[12] n10[12]
    """)
    plan = decide(drawn, gang("llama", members=8, slices="rack:2"))
    assert racks(plan, "llama") == ("r1", "r2", "r3", "r4")  # no card is left over
    # Six members in b1 are no multiple of four: four and four, though r5 leaves four cards on each node.
    plan = decide(drawn, gang("llama", members=8, slices="block:4,rack:2"))
    nodes = nodes_of(plan, "llama").split()
    blocks = [node in ("n7", "n8", "n9", "n10") for node in nodes]
    assert sorted((blocks[:4], blocks[4:])) == [[False] * 4, [True] * 4]
    # No rack holds the outer slice if that is to be a rack as well.
    plan = decide(drawn, gang("llama", members=8, slices="rack:4,host:1"))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL


def test_slices_of_an_elastic_gang() -> None:
    """An elastic gang grows by whole slices."""
    drawn = fleet("r1(n1 n2 n3) r2(n4)")
    plan = decide(drawn, gang("llama", members=4, least=2))
    assert len(nodes_of(plan, "llama").split()) == 4
    # The third node of r1 and the one of r2 hold half a slice each.
    plan = decide(drawn, gang("llama", members=4, least=2, slices="rack:2"))
    assert racks(plan, "llama") == ("r1",) and len(nodes_of(plan, "llama").split()) == 2


def test_unknown_levels_are_never_together() -> None:
    """Nodes without a value at a level share no domain of it with anybody, and cannot serve it."""
    drawn = fleet("r1(n1 n2)")
    assert racks(decide(drawn, gang("llama", members=2, required="rack")), "llama") == ("r1",)
    # Nobody knows the racks of n1 and n2: they may be far apart.
    drawn = fleet("?(n1 n2) r1(n3)")
    plan = decide(drawn, gang("llama", members=2, required="rack"))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL
    assert waits(decide(drawn, gang("llama", members=2)), "llama") is None
    # Even one member cannot stand in an unknown rack when a rack is required.
    plan = decide(fleet("?(n1)"), gang("llama", members=1, required="rack"))
    assert waits(plan, "llama") is not None


def test_a_block_without_a_name_is_shared_by_the_nodes_of_one_rack() -> None:
    """Preferred levels count what is implied: two nodes of one rack share their unnamed block."""
    drawn = fleet("?(r1(n1 n2)) b2(r2(n3)) b3(r3(n4))")
    plan = decide(drawn, gang("llama", members=2, preferred="block"))
    assert racks(plan, "llama") == ("r1",)
    # As a required level the unnamed block does not do: nobody vouches for it.
    plan = decide(drawn, gang("llama", members=2, required="block"))
    assert waits(plan, "llama") == Code.TOPOLOGY_TOO_SMALL


def test_spread_keeps_gangs_of_one_workload_apart() -> None:
    """Spread: gangs of one workload share as few domains as possible; it is soft."""
    drawn = fleet("r1(n1[16]) r2(n2[16])")
    plan = decide(drawn, gang("llama-0"), gang("llama-1"))
    assert racks(plan, "llama-0") == racks(plan, "llama-1")  # one rack stays empty for large gangs
    # A rack that fails should not take both replicas.
    plan = decide(drawn, gang("llama-0", spread="rack"), gang("llama-1", spread="rack"))
    assert {racks(plan, "llama-0"), racks(plan, "llama-1")} == {("r1",), ("r2",)}
    # The same when the other replica runs already.
    runs = gang("llama-0", podset("main", 1, running=["n1"]), spread="rack")
    assert racks(decide(drawn, runs, gang("llama-1")), "llama-1") == ("r1",)
    assert racks(decide(drawn, runs, gang("llama-1", spread="rack")), "llama-1") == ("r2",)
    # Three replicas, two racks: all three are placed.
    three = [gang(f"llama-{i}", spread="rack") for i in range(3)]
    plan = decide(drawn, *three)
    assert all(waits(plan, each.name) is None for each in three)
