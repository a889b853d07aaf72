"""Vendors' rules about cards: numbers, rings, nodes of a gang, super-pods."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from scheduler.model import Code, Gang, PodSet
from tests.builders import (
    Fleet,
    answer,
    fleet,
    gang,
    nodes_of,
    occupy,
    podset,
    reserved,
    running_pod,
)
from tests.solve.deciding import decide, passed, waits
from topology import keys
from topology.occupancy import CardList
from topology.resources import Resources

NPU = keys.ASCEND_910


def pod(name: str, cards: int, **fields: object) -> Gang:
    """A gang of one pod with so many Ascend cards."""
    return gang(name, members=1, gpus=cards, resource=NPU, **fields)  # type: ignore[arg-type]  # of ``gang``


def npus(role: str, size: int, cards: int = 16, **fields: object) -> PodSet:
    """A PodSet whose members take Ascend cards."""
    return podset(role, size, gpus=cards, resource=NPU, **fields)  # type: ignore[arg-type]  # of ``podset``


def busy(drawn: Fleet, node: str, *counts: int) -> Fleet:
    """The fleet with plain pods of so many cards each on a node."""
    for index, count in enumerate(counts):
        drawn = occupy(drawn, node, running_pod(f"{node}-{index}", {NPU: count}))
    return drawn


def test_an_illegal_number_is_refused_with_the_legal_ones() -> None:
    """910A: three cards are refused, however many are free; two are fine."""
    drawn = fleet("r1(n1@910a n2@910a)")
    plan = decide(drawn, pod("two", 2))
    assert waits(plan, "two") is None
    plan = decide(drawn, pod("three", 3))
    reason = answer(plan, "three").reason
    assert reason is not None and reason.code == Code.NO_NODES
    assert "3 cards on ascend-910a: legal are 1, 2, 4, 8" in reason.message
    assert reason.numbers["excludedByCardCount"] == 2


def test_an_illegal_number_is_worth_a_flavor() -> None:
    """What is illegal on the better flavor is legal on the next: there all cards are connected."""
    plan = decide(fleet("r1(n1@910a n2@ascend)"), pod("three", 3, flavors=["910a", "ascend"]))
    assert nodes_of(plan, "three") == "n2"
    assert passed(plan, "three") == {"910a": Code.NO_NODES}
    assert "legal are 1, 2, 4, 8" in answer(plan, "three").passed_over[0].reason.message


def test_free_cards_of_two_rings_are_not_one_ring() -> None:
    """910A: pods of two break both rings in the worst case, so four in one ring are not there for sure."""
    drawn = busy(fleet("r1(n1@910a)"), "n1", 2)
    assert waits(decide(drawn, pod("four", 4)), "four") is None  # one ring is whole in any case
    drawn = busy(fleet("r1(n1@910a)"), "n1", 2, 2)
    plan = decide(drawn, pod("four", 4))
    assert waits(plan, "four") == Code.INSUFFICIENT
    reason = answer(plan, "four").reason
    assert reason is not None
    assert "lacks 1 set of 4 free cards in one ring of ascend-910a" in reason.message
    assert waits(decide(drawn, pod("two", 2)), "two") is None


def test_of_sets_of_cards_the_largest_is_named() -> None:
    """910A with one whole ring: a pod of eight lacks a ring, and not also the two pairs in it."""
    plan = decide(busy(fleet("r1(n1@910a)"), "n1", 1, 1), pod("eight", 8))
    reason = answer(plan, "eight").reason
    assert reason is not None
    assert (
        "lacks 2 huawei.com/Ascend910 and 2 sets of 4 free cards in one ring of ascend-910a for one"
        in reason.message
    )


def test_new_pods_are_packed_into_rings_together() -> None:
    """A two and a four fit beside a two, wherever it is; two fours do not."""
    drawn = busy(fleet("r1(n1@910a)"), "n1", 2)
    plan = decide(drawn, pod("a", 2), pod("b", 4))
    assert (waits(plan, "a"), waits(plan, "b")) == (None, None)
    plan = decide(drawn, pod("a", 4), pod("b", 4))
    assert {waits(plan, "a"), waits(plan, "b")} != {None}


def test_reserved_places_may_lie_anywhere() -> None:
    """What is promised to a gang breaks rings as what runs does."""
    held = gang("held", npus("x", 1, 2), npus("y", 1, 2))
    drawn = fleet("r1(n1@910a)")
    plan = decide(drawn, held, pod("four", 4), reservations=[reserved(held, "n1 n1")])
    assert waits(plan, "four") == Code.INSUFFICIENT


def test_a_gang_has_one_pod_on_each_910a() -> None:
    """910A: pods of one distributed job are on different nodes, pods of two jobs may share one."""
    drawn = fleet("r1(n1@910a n2@910a)")
    assert nodes_of(decide(drawn, gang("g", npus("w", 2, 2))), "g") == "n1 n2"
    plan = decide(fleet("r1(n1@910a)"), gang("g", npus("w", 2, 2)))
    assert waits(plan, "g") == Code.INSUFFICIENT
    plan = decide(fleet("r1(n1@910a)"), pod("a", 2), pod("b", 2))
    assert (nodes_of(plan, "a"), nodes_of(plan, "b")) == ("n1", "n1")
    # A member that runs takes its node from the others.
    growing = gang("g", npus("w", 2, 2, running=["n1"], least=1))
    assert nodes_of(decide(drawn, growing), "g") == "n2"


def test_a_gang_on_a3_takes_whole_nodes() -> None:
    """A3: a pod of a gang has all dies of its node; a single pod may have two."""
    drawn = fleet("r1(n1[16]@a3{superpod=s1} n2[16]@a3{superpod=s1})")
    assert nodes_of(decide(drawn, gang("g", npus("w", 2))), "g") == "n1 n2"
    plan = decide(drawn, gang("g", npus("w", 2, 8)))
    reason = answer(plan, "g").reason
    assert reason is not None and reason.code == Code.NO_NODES
    assert "8 cards on ascend-910c: legal is 16 for pods of a gang" in reason.message
    assert waits(decide(busy(drawn, "n1", 2), gang("g", npus("w", 2))), "g") == Code.INSUFFICIENT
    assert waits(decide(busy(drawn, "n1", 2), pod("two", 2)), "two") is None
    assert waits(decide(drawn, pod("three", 3)), "three") == Code.NO_NODES  # half a module


def test_a_gang_on_a3_stays_in_one_super_pod() -> None:
    """A3: as many nodes as the gang needs are free, but in two super-pods; in one it fits."""
    two = "r1(n1[16]@a3{superpod=s1} n2[16]@a3{superpod=s2}) r2(n3[16]@a3{superpod=s2})"
    plan = decide(fleet(two), gang("g", npus("w", 2)))
    assert nodes_of(plan, "g") == "n2 n3"  # although n1 and n2 are in one rack
    plan = decide(fleet(two), gang("g", npus("w", 3)))
    reason = answer(plan, "g").reason
    assert reason is not None and reason.code == Code.TOPOLOGY_TOO_SMALL
    assert "the best, scale-up domain s2, holds 2 of 3" in reason.message
    assert reason.numbers["bestDomainHolds"] == 2
    # All roles of the gang stand together, and those that need no cards anywhere.
    helper = podset("router", 1, gpus=0, cpu=1, follows_flavors=False)
    plan = decide(fleet(two), gang("g", npus("p", 1), npus("d", 1), helper))
    assert {nodes_of(plan, "g", "p"), nodes_of(plan, "g", "d")} == {"n2", "n3"}


def test_an_unknown_super_pod_is_nobodys() -> None:
    """A node whose super-pod nobody names takes single pods only, and two such nodes are not together."""
    drawn = fleet("r1(n1[16]@a3 n2[16]@a3)")
    plan = decide(drawn, gang("g", npus("w", 2)))
    reason = answer(plan, "g").reason
    assert reason is not None
    assert "stand together; no node that matches has a known scale-up domain" in reason.message
    assert waits(decide(drawn, pod("one", 16)), "one") is None


def test_running_members_pin_the_super_pod() -> None:
    """New members follow those that run, though another super-pod has more room."""
    drawn = fleet(
        "r1(n1[16]@a3{superpod=s1} n2[16]@a3{superpod=s1} n3[16]@a3{superpod=s2} n4[16]@a3{superpod=s2})"
    )
    growing = gang("g", npus("w", 2, running=["n1"]))
    assert nodes_of(decide(drawn, growing), "g") == "n2"
    plan = decide(busy(drawn, "n2", 16), growing)
    assert waits(plan, "g") is not None


def test_a_gang_on_310p_is_on_one_node() -> None:
    """310P: replicas of a distributed job stay on one node."""
    drawn = fleet("r1(n1[4]@310p n2[8]@310p)")
    asks = podset("w", 3, gpus=2, resource=keys.ASCEND_310P)
    assert nodes_of(decide(drawn, gang("g", asks)), "g") == "n2 n2 n2"
    plan = decide(fleet("r1(n1[4]@310p n2[4]@310p)"), gang("g", asks))
    assert waits(plan, "g") == Code.TOPOLOGY_TOO_SMALL


@pytest.mark.parametrize("seed", range(60))
def test_rings_under_random_occupancy(seed: int) -> None:
    """910A, pods of 1, 2, 4 and 8 at once: as many are placed as trying all cards one by one places."""
    dice = Random(seed)
    drawn = fleet("r1(n1@910a n2@910a)")
    counts = [dice.choice((1, 1, 2, 2, 4)) for _ in range(dice.randint(0, 4))]
    running: dict[str, list[int]] = {"n1": [], "n2": []}
    for count in counts:
        node = dice.choice(("n1", "n2"))
        if _arranged(8, [*running[node], count]):
            running[node].append(count)
    for node, held in running.items():
        drawn = busy(drawn, node, *held)
    new = [dice.choice((1, 2, 4, 8)) for _ in range(dice.randint(1, 4))]
    plan = decide(drawn, *(pod(f"g{i}", count) for i, count in enumerate(new)))
    placed = [answer(plan, f"g{i}").placed for i in range(len(new))]
    assert sum(placed) == _most(running, new)


def _most(running: dict[str, list[int]], new: list[int]) -> int:
    """The most new pods that two nodes hold, whatever cards the running ones have there."""
    best = 0
    for choice in range(3 ** len(new)):
        homes = [choice // 3**i % 3 for i in range(len(new))]  # n1, n2 or nowhere
        if all(
            all(
                _take(frozenset(free), [n for n, at in zip(new, homes, strict=True) if at == index])
                for free in _arranged(8, running[node])
            )
            for index, node in enumerate(("n1", "n2"))
        ):
            best = max(best, sum(at < 2 for at in homes))
    return best


def _arranged(cards: int, counts: list[int]) -> set[frozenset[int]]:
    """What may be free when each pod has its cards in one ring (or all eight)."""
    found = {frozenset(range(cards))}
    for count in counts:
        found = {rest for free in found for rest in _cut(free, count)}
    return found


def _cut(free: frozenset[int], count: int) -> list[frozenset[int]]:
    return [
        free - set(cards)
        for cards in combinations(sorted(free), count)
        if count == 8 or len({card // 4 for card in cards}) == 1
    ]


def _take(free: frozenset[int], counts: list[int]) -> bool:
    """Whether all pods find cards."""
    if not counts:
        return True
    first, *rest = sorted(counts, reverse=True)
    return any(_take(left, rest) for left in _cut(free, first))


def test_cards_that_are_known_break_no_other_ring() -> None:
    """Two pods whose cards are known to be in one ring leave the other to four; in two rings they do not."""
    drawn = fleet("r1(n1@910a)")
    for second, placed in (((2, 3), True), ((4, 5), False)):
        held = drawn
        for name, mine in (("a", (0, 1)), ("b", second)):
            held = occupy(held, "n1", running_pod(name, {NPU: 2}, cards=mine))
        assert answer(decide(held, pod("four", 4)), "four").placed is placed
    # A list that contradicts another, or the pod's own request, is not believed.
    wrong: tuple[tuple[int, ...], ...] = ((0, 1), (4, 5, 6), (8, 9))
    for cards in wrong:
        held = drawn
        for name, told in (("a", (0, 1)), ("b", cards)):
            held = occupy(held, "n1", running_pod(name, {NPU: 2}, cards=told))
        assert not answer(decide(held, pod("four", 4)), "four").placed


def test_a_list_of_the_plugin_is_believed_where_it_agrees_with_the_pods() -> None:
    """Pods that say nothing lie in the first ring, as the node's list says; an old list says nothing."""
    drawn = busy(fleet("r1(n1@910a)"), "n1", 2, 2)
    for free, placed in (((4, 5, 6, 7), True), ((2, 3, 6, 7), False), ((2, 3, 4, 5, 6, 7), False)):
        (state,) = drawn.states
        told = replace(drawn, states=(replace(state, listed=CardList(free=free)),))
        assert answer(decide(told, pod("four", 4)), "four").placed is placed


def test_the_ring_of_an_unhealthy_card_is_known_from_the_list() -> None:
    """One card of eight is unhealthy, and a pod of two runs somewhere: at worst no ring is whole."""
    (state,) = busy(fleet("r1(n1@910a)"), "n1", 2).states
    card = state.node.accelerator
    assert card is not None
    node = replace(state.node, accelerator=replace(card, count=7, installed=8))
    free = state.free - Resources({NPU: 1})
    for sick, placed in (((), False), ((7,), False), ((6, 7), False)):
        told = replace(state, node=node, free=free, listed=CardList(unhealthy=sick))
        plan = decide(Fleet(levels=("rack",), states=(told,)), pod("four", 4))
        assert answer(plan, "four").placed is placed
    pods = tuple(replace(each, cards=(4, 5)) for each in state.pods)
    for sick, placed in (((7,), True), ((3,), False)):
        told = replace(state, node=node, free=free, pods=pods, listed=CardList(unhealthy=sick))
        plan = decide(Fleet(levels=("rack",), states=(told,)), pod("four", 4))
        assert answer(plan, "four").placed is placed
