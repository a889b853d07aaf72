"""The request language, pods that do not exist: members that come later, and flavors with other pods.

Every member asks for a whole node of 8 cards unless its test says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scheduler.model import Code, Constraints, Gang, PodTerm, Requirement, Variant
from scheduler.solve.reasons import explain
from tests.builders import GIB, answer, flavor, fleet, gang, nodes_of, podset, reserved
from tests.solve.deciding import decide, only, passed, racks, to_come, variant, waits
from topology import keys
from topology.resources import Resources

ASCEND = keys.ASCEND_910
FOUR_ASCEND = variant("ascend", podset("main", 4, resource=ASCEND))


def written(wish: Gang, *variants: Variant) -> Gang:
    """The gang with other pods on some of its flavors."""
    return replace(wish, variants=variants)


def pair(name: str = "llama", **fields: Any) -> Gang:
    """Two members of 8 NVIDIA cards, or four of 8 Ascend cards."""
    wish = gang(name, members=2, flavors=["a100", "ascend"])
    return replace(written(wish, FOUR_ASCEND), **fields)


# Members that come later


def test_members_that_come_later_have_their_places() -> None:
    """A leader whose workers do not exist yet: all of them get places, ranks and their request."""
    wish = gang("lws", podset("leader", 1), podset("worker", 3), required="rack")
    early = only(wish, "leader")
    drawn = fleet("r1(n1 n2 n3) r2(n4 n5 n6 n7)")
    plan = decide(drawn, early)
    assert racks(plan, "lws") == ("r2",)
    places = [(s.pod, s.uid, s.role, s.rank, s.node) for s in answer(plan, "lws").slots]
    assert places == [
        ("lws-leader-0", "uid-lws-leader-0", "leader", 0, "n4"),
        ("", "", "worker", 0, "n5"),
        ("", "", "worker", 1, "n6"),
        ("", "", "worker", 2, "n7"),
    ]
    # The same places as when all of them exist.
    assert nodes_of(decide(drawn, wish), "lws") == nodes_of(plan, "lws")


def test_a_late_member_says_so() -> None:
    """Whether a member comes only after the others is copied to its slot."""
    wish = only(gang("lws", podset("leader", 1), podset("worker", 1)), "leader")
    worker = replace(wish.podsets[1].members[0], pod="lws-1", late=True)
    wish = replace(wish, podsets=(wish.podsets[0], replace(wish.podsets[1], members=(worker,))))
    slots = answer(decide(fleet("r1(n1 n2)"), wish), "lws").slots
    assert [(slot.pod, slot.late) for slot in slots] == [("lws-leader-0", False), ("lws-1", True)]


def test_waiting_for_members_that_come_later_is_explained() -> None:
    """The reason counts the pods that exist and the places that are missing, roles of a kind together."""
    wish = only(gang("lws", podset("leader", 1), podset("worker", 3)), "leader")
    reason = answer(decide(fleet("r1(n1 n2 n3)"), wish), "lws").reason
    assert reason is not None and reason.code == Code.INSUFFICIENT
    assert reason.message == (
        "1 of 4 members present (the others are created later); "
        "3 of 4 members fit (each needs 8 nvidia.com/gpu); "
        "the closest node lacks 8 nvidia.com/gpu for one more; 3 of 3 nodes match; "
        "1 more node with 8 nvidia.com/gpu free would do"
    )
    # With four nodes it is the rack that is too small.
    wish = replace(wish, topology=replace(wish.topology, required="rack"))
    reason = answer(decide(fleet("r1(n1 n2 n3) r2(n4)"), wish), "lws").reason
    assert reason is not None and reason.code == Code.TOPOLOGY_TOO_SMALL
    assert "the best rack r1 holds 3 of 4" in reason.message


def test_members_that_come_later_compete_for_places() -> None:
    """Room for one of two groups: one has all of its places, the other none."""
    sets = podset("leader", 1), podset("worker", 1)
    two = [only(gang(name, *sets), "leader") for name in ("a", "b")]
    plan = decide(fleet("r1(n1 n2 n3)"), *two)
    assert nodes_of(plan, "a") == "n1 n2" and waits(plan, "b") == Code.YIELDED_TO


# Flavors with other pods


def test_another_vendor_takes_other_pods() -> None:
    """NVIDIA is full: the gang takes Ascend with four pods of its resource, none of which exists."""
    drawn = fleet("r1(n1@a100 n2@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    plan = decide(drawn, pair())
    assert (answer(plan, "llama").flavor, nodes_of(plan, "llama")) == ("a100", "n1 n2")
    full = fleet("r1(n1@a100 n2[8-1]@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    # Without the variant Ascend is for other pods than these.
    plain = replace(pair(), variants=(), flavors=(flavor("a100"), flavor("ascend", members=4)))
    assert passed(decide(full, plain), "llama")["ascend"] == Code.MEMBERS_DIFFER
    plan = decide(full, pair())
    found = answer(plan, "llama")
    assert (found.flavor, found.flavor_rank, found.placed) == ("ascend", 1, True)
    assert passed(plan, "llama") == {"a100": Code.INSUFFICIENT}
    assert nodes_of(plan, "llama") == "n3 n4 n5 n6"
    assert {slot.uid for slot in found.slots} == {""}
    assert all(slot.request == Resources({ASCEND: 8, "pods": 1}) for slot in found.slots)
    assert "4 of 4 members placed, on ascend (choice 2 of 2) with pods made anew" in explain(
        pair(), found
    )


def test_two_large_members_or_four_small_ones() -> None:
    """A flavor with smaller cards takes more pods of more cards: 2 of 2 cards, or 4 of 4 (llmaz #62)."""
    small = flavor("a100-40", node_selector={"memory": "40"})
    large = flavor("a100-80", node_selector={"memory": "80"})
    wish = gang("llama", members=2, gpus=2, flavors=[large, small], required="rack")
    wish = written(wish, variant("a100-40", podset("main", 4, gpus=4)))
    drawing = "r1(n1[2]{memory=80} n2[%s]{memory=80}) r2(n3[8]{memory=40} n4[8]{memory=40})"
    plan = decide(fleet(drawing % "2"), wish)
    assert (answer(plan, "llama").flavor, nodes_of(plan, "llama")) == ("a100-80", "n1 n2")
    plan = decide(fleet(drawing % "2-1"), wish)
    assert (answer(plan, "llama").flavor, nodes_of(plan, "llama")) == ("a100-40", "n3 n3 n4 n4")


def test_the_order_of_flavors_holds_across_variants() -> None:
    """Other pods come first where the user says so; pods as they are come first where not."""
    drawn = fleet("r1(n1@a100 n2@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    assert answer(decide(drawn, pair()), "llama").flavor == "a100"
    turned = replace(pair(), flavors=pair().flavors[::-1])
    assert answer(decide(drawn, turned), "llama").flavor == "ascend"
    # Three flavors: the second needs other pods and is full, the third takes the pods as they are.
    third = gang("llama", members=2, flavors=["a100", "ascend", "l4"])
    full = fleet("r1(n1[8-1]@a100 n2@a100) r2(n3@ascend n4@ascend n5@ascend) r3(n6@l4 n7@l4)")
    plan = decide(full, written(third, FOUR_ASCEND))
    assert answer(plan, "llama").flavor == "l4"
    assert passed(plan, "llama") == {"a100": Code.INSUFFICIENT, "ascend": Code.INSUFFICIENT}


def test_size_and_resources_of_a_flavor_with_other_pods_are_its_own() -> None:
    """A flavor for 4 pods of 8 Ascend cards is not refused for a gang of 2 when it has other pods."""
    ascend = flavor(
        "ascend", resources=Resources({ASCEND: 8}), members=4, min_memory_bytes=64 * GIB
    )
    drawn = fleet("r1(n1@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    plan = decide(drawn, gang("llama", members=2, flavors=[ascend]))
    assert passed(plan, "llama") == {"ascend": Code.MEMBERS_DIFFER}
    plan = decide(drawn, written(gang("llama", members=2, flavors=[ascend]), FOUR_ASCEND))
    assert answer(plan, "llama").flavor == "ascend"


def test_levels_and_roles_of_other_pods_are_their_own() -> None:
    """A variant may have other roles and other levels than the gang: its rack holds all four."""
    drawn = fleet("r1(n1@ascend n2@ascend) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    roles = (
        podset("leader", 1, resource=ASCEND),
        podset("worker", 3, resource=ASCEND, required="rack"),
    )
    plan = decide(drawn, written(gang("llama", flavors=["ascend"]), variant("ascend", *roles)))
    assert {slot.role for slot in answer(plan, "llama").slots} == {"leader", "worker"}
    assert nodes_of(plan, "llama", "worker") in ("n3 n4 n5", "n4 n5 n6")
    # What the gang as a whole asks for holds for it as well.
    whole = gang("llama", flavors=["ascend"], required="rack")
    plan = decide(drawn, written(whole, variant("ascend", *roles)))
    assert racks(plan, "llama") == ("r2",)


def test_a_refused_variant_says_why() -> None:
    """Pods that nobody would make anew: the flavor is passed over with exactly that reason."""
    drawn = fleet("r1(n1@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    assert answer(decide(drawn, pair()), "llama").flavor == "ascend"
    bare = replace(pair(), variants=(variant("ascend", refused="bare pods stay as they are"),))
    plan = decide(drawn, bare)
    assert passed(plan, "llama") == {"a100": Code.INSUFFICIENT, "ascend": Code.CANNOT_REWRITE}
    assert answer(plan, "llama").passed_over[1].reason == bare.variants[0].refusal
    assert waits(plan, "llama") == Code.INSUFFICIENT


def test_running_members_pin_the_pods_as_they_are() -> None:
    """A gang with a running member takes no flavor for which its pods would be made anew."""
    drawn = fleet("r1(n1@a100 n2[8-1]@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    runs = gang("llama", members=2, flavors=["a100", "ascend"], running=["n1"])
    plan = decide(drawn, written(runs, FOUR_ASCEND))
    assert passed(plan, "llama") == {
        "a100": Code.INSUFFICIENT,
        "ascend": Code.PINNED_TO_RUNNING,
    }
    message = answer(plan, "llama").passed_over[1].reason.message
    assert message == "its pods would have to be made anew for it, and 1 of them run"


def test_waiting_with_variants_is_explained_in_their_numbers() -> None:
    """Nothing fits: each flavor is explained with the members and requests that it would have."""
    drawn = fleet("r1(n1@a100 n2[8-1]@a100) r2(n3@ascend n4@ascend n5[8-2]@ascend n6[8-2]@ascend)")
    plan = decide(drawn, pair())
    first, second = (one.reason for one in answer(plan, "llama").passed_over)
    assert "1 of 2 members fit (each needs 8 nvidia.com/gpu)" in first.message
    assert "2 of 4 members fit (each needs 8 huawei.com/Ascend910)" in second.message
    assert "2 more nodes with 8 huawei.com/Ascend910 free would do" in second.message
    assert (second.numbers["membersNeeded"], second.numbers["membersFit"]) == (4, 2)
    reason = answer(plan, "llama").reason
    assert reason is not None and reason.message.startswith(
        "2 of 2 members present, flavors tried: a100 and ascend; a100: 1 of 2"
    )


def test_an_elastic_variant_takes_what_there_is() -> None:
    """Each flavor has its own minimum: of four members three fit, and two are enough."""
    drawn = fleet("r1(n1@a100) r2(n3@ascend n4@ascend n5@ascend)")
    assert waits(decide(drawn, pair()), "llama") == Code.INSUFFICIENT
    elastic = variant("ascend", podset("main", 4, resource=ASCEND, least=2))
    plan = decide(drawn, replace(pair(), variants=(elastic,)))
    assert nodes_of(plan, "llama") == "n3 n4 n5"
    # All of its own pods fit on the worse flavor: more members go before the order of flavors.
    turned = replace(pair(), flavors=pair().flavors[::-1], variants=(elastic,))
    plan = decide(fleet("r1(n1@a100 n2@a100) r2(n3@ascend n4@ascend n5@ascend)"), turned)
    assert answer(plan, "llama").flavor == "a100"
    assert passed(plan, "llama") == {"ascend": Code.INSUFFICIENT}
    assert "3 of 4 members would fit, 2 do" in answer(plan, "llama").passed_over[0].reason.message


def test_gangs_compete_across_variants() -> None:
    """Two gangs, one of each vendor's room: the one that can take other pods yields, though it is older."""
    drawn = fleet("r1(n1@a100 n2@a100) r2(n3@ascend n4@ascend n5@ascend n6@ascend)")
    rigid = gang("rigid", members=2, flavors=["a100"], created=9)
    plan = decide(drawn, pair(), rigid)
    assert answer(plan, "rigid").flavor == "a100"
    assert answer(plan, "llama").flavor == "ascend"
    assert passed(plan, "llama") == {"a100": Code.YIELDED_TO}
    # Two that can: one of them takes the other vendor, and a third waits.
    three = [pair(f"llama-{i}", created_seconds=i) for i in range(3)]
    plan = decide(drawn, *three)
    taken = [answer(plan, each.name).flavor for each in three]
    assert sorted(taken[:2], key=str) == ["a100", "ascend"] and taken[2] is None
    assert waits(plan, "llama-2") == Code.YIELDED_TO


def test_pods_of_a_reserved_variant_are_seen() -> None:
    """The labels of pods that do not exist yet count for others' anti-affinity, by the reserved flavor."""
    drawn = fleet("r1(n3@ascend n4@ascend) r2(n5@ascend n6@ascend)")
    other = variant("ascend", podset("main", 1, gpus=4, resource=ASCEND, labels={"app": "x"}))
    held = replace(pair("held"), variants=(other,))
    made = replace(held, podsets=other.podsets, flavors=held.flavors[1:])
    term = PodTerm(
        topology_key="rack",
        selector=(Requirement(key="app", operator="In", values=("x",)),),
        namespaces=("default",),
    )
    shy = gang(
        "shy",
        gpus=4,
        resource=ASCEND,
        flavors=["ascend"],
        constraints=Constraints(anti_affinity=(term,)),
    )
    assert racks(decide(drawn, shy), "shy") == ("r1",)
    plan = decide(drawn, held, shy, reservations=[reserved(made, "n3")])
    assert racks(plan, "shy") == ("r2",)


def test_other_pods_of_one_gang_do_not_avoid_each_other() -> None:
    """A gang that avoids its own kind: pods of the form that it does not take are not there."""
    term = PodTerm(
        topology_key=keys.HOSTNAME,
        selector=(Requirement(key="app", operator="In", values=("x",)),),
        namespaces=("default",),
    )
    alone: dict[str, Any] = {
        "labels": {"app": "x"},
        "constraints": Constraints(anti_affinity=(term,)),
    }
    wish = gang("llama", members=2, gpus=4, flavors=["a100", "ascend"], **alone)
    other = to_come(podset("main", 2, gpus=4, resource=ASCEND, **alone))
    wish = written(wish, Variant(flavor="ascend", podsets=(other,), min_members=2))
    plan = decide(fleet("r1(n1@a100) r2(n2@ascend n3@ascend)"), wish)
    assert (answer(plan, "llama").flavor, nodes_of(plan, "llama")) == ("ascend", "n2 n3")
