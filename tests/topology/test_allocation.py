"""Allocation rules inside a node: what is promised holds for cards one by one, in every arrangement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.test_vendors import read
from topology import keys
from topology.allocation import CardRule, Reach, Wide, arrangements
from topology.nodes import read_node
from topology.sources import Hierarchies

RINGS = CardRule(counts=(1, 2, 4, 8), group=4)
MODULES = CardRule(counts=(1, 2, 4, 6, 8), group=2)
BOX = CardRule(counts=(1, 2, 3, 4, 6, 8), group=4, wide=Wide.EVEN)

Cards = tuple[int, ...]


def in_rings(cards: Cards) -> bool:
    """As on a node of two rings of four: no request but that for all cards leaves its ring."""
    return len(cards) == 8 or len({card // 4 for card in cards}) == 1


def in_modules(cards: Cards) -> bool:
    """As on a node of four modules of two dies: whole modules, or one die."""
    return len(cards) == 1 or all(card ^ 1 in cards for card in cards)


def in_box(cards: Cards) -> bool:
    """As with two rings of four between which larger requests are split evenly."""
    left = sum(card < 4 for card in cards)
    return left in (0, len(cards)) if len(cards) <= 4 else 2 * left == len(cards)


KINDS = {"rings": (RINGS, in_rings), "modules": (MODULES, in_modules), "box": (BOX, in_box)}
Legal = Callable[[Cards], bool]


def takes(open_: frozenset[int], count: int, legal: Legal) -> Iterator[frozenset[int]]:
    """What may be left of the free cards when a pod has got ``count`` of them."""
    for cards in combinations(sorted(open_), count):
        if legal(cards):
            yield open_ - frozenset(cards)


def ends(open_: frozenset[int], counts: Sequence[int], legal: Legal) -> set[frozenset[int]]:
    """All that may be free when all of these pods have got their cards."""
    found = {open_}
    for count in counts:
        found = {rest for one in found for rest in takes(one, count, legal)}
    return found


def accepts(
    rule: CardRule, known: frozenset[int], hidden: Sequence[int], new: Sequence[int]
) -> bool:
    """Whether new pods fit by the rule's units, as the solver counts."""
    free = [sum(g * rule.group <= card < (g + 1) * rule.group for card in known) for g in range(8)]
    items = [item for count in hidden for item in rule.items(count)]
    room = rule.room(free[: 8 // rule.group], items)
    needs = [sum(amounts) for amounts in zip(*(rule.needs(count) for count in new), strict=True)]
    enough = len(known) - sum(hidden) >= sum(new)
    return enough and all(need <= have for need, have in zip(needs, room, strict=True))


CARDS = st.frozensets(st.integers(0, 7), min_size=3)


@pytest.mark.parametrize("kind", KINDS)
@given(known=CARDS, data=st.data())
def test_units_agree_with_every_assignment_of_cards(
    kind: str, known: frozenset[int], data: st.DataObject
) -> None:
    """New pods are accepted exactly when they find cards however the running ones are arranged.

    (Only when their sizes are powers of two; others are rounded up, so there only what is accepted is sure.)
    """
    rule, legal = KINDS[kind]
    counts = st.lists(st.sampled_from(rule.counts), max_size=3)
    hidden, new = data.draw(counts), data.draw(counts.filter(bool))
    arranged = ends(known, hidden, legal)
    if not arranged:
        return  # such pods cannot run there
    possible = all(ends(open_, new, legal) for open_ in arranged)
    accepted = accepts(rule, known, hidden, new)
    assert possible if accepted else not possible or kind == "box"


@pytest.mark.parametrize("kind", KINDS)
def test_every_legal_number_fits_an_empty_node(kind: str) -> None:
    """Rounding and grouping never refuse what a vendor allows on an empty node."""
    rule, _ = KINDS[kind]
    assert all(accepts(rule, frozenset(range(8)), (), (count,)) for count in rule.counts)


def test_units_of_a_request() -> None:
    """One row per way to ask: what a request needs of each size of unit."""
    assert RINGS.sizes == (2, 4)
    assert [RINGS.needs(count) for count in (1, 2, 4, 8)] == [(0, 0), (1, 0), (2, 1), (4, 2)]
    assert MODULES.needs(1) == (0,) and MODULES.needs(6) == (3,)
    assert BOX.needs(3) == (2, 1)  # rounded up to four
    assert BOX.needs(6) == (4, 2)  # three in either ring
    loose = CardRule(group=2, wide=Wide.LOOSE)
    assert (loose.needs(2), loose.needs(3), loose.needs(4)) == ((1,), (0,), (0,))


def test_the_worst_arrangement_counts() -> None:
    """Two running pods of two cards may share a ring, or break both."""
    assert arrangements((4, 4), (2, 2)) == {(0, 4), (2, 2)}
    assert RINGS.room((4, 4), (2, 2)) == (2, 0)
    assert RINGS.room((4, 2), ()) == (3, 1)  # where it is known, nothing is lost


def test_pods_that_break_the_rule_may_lie_anywhere() -> None:
    """Three pods of three cards do not lie in two rings: somebody else put them there, card by card."""
    assert RINGS.room((4, 4), (3, 3, 1)) == (0, 0)
    assert arrangements((2, 2, 2), (3,)) == {(0, 1, 2), (1, 1, 1)}
    assert arrangements((4, 4), (8, 8)) == {(0, 0)}  # more than there is


def test_absurd_amounts_cost_nothing() -> None:
    """A node may say that it has 16Ei cards, a pod may ask for them."""
    assert RINGS.groups(16 * 2**60) == ()
    assert RINGS.needs(16 * 2**60) == (16 * 2**60,) * 2


A3 = {keys.ASCEND_CHIP: "910C"}
PLAIN_A3 = {**A3, keys.ASCEND_ACCELERATOR_TYPE: "module-a3-16"}
DUO = {keys.ASCEND_CHIP: "310P3", keys.ASCEND_INFER_CARD: "card-300i-duo"}


@pytest.mark.parametrize(
    ("labels", "resource", "cards", "alone", "in_gang", "group", "reach"),
    [
        ({keys.ASCEND_CHIP: "910A"}, keys.ASCEND_910, 8, (1, 2, 4, 8), (1, 2, 4, 8), 4, "anywhere"),
        ({keys.ASCEND_CHIP: "910A"}, keys.ASCEND_910, 4, (1, 2, 4), (1, 2, 4), 4, "anywhere"),
        (A3, keys.ASCEND_910, 16, (1, *range(2, 17, 2)), (16,), 2, "scale-up"),
        (A3, keys.ASCEND_910, 8, (1, 2, 4, 6, 8), (8,), 2, "scale-up"),
        (PLAIN_A3, keys.ASCEND_910, 16, (1, *range(2, 17, 2)), (16,), 2, "anywhere"),
        ({keys.ASCEND_CHIP: "Ascend950PR"}, keys.ASCEND_NPU, 8, (1, 2, 4, 8), (8,), 1, "scale-up"),
        (DUO, keys.ASCEND_310P, 8, (), (), 2, "node"),
        (
            {keys.ASCEND_SUPER_POD: "1"},
            keys.ASCEND_910,
            16,
            (1, *range(2, 17, 2)),
            (16,),
            2,
            "scale-up",
        ),
        ({}, keys.ASCEND_910, 16, (1, 2, 4, 8, 16), (16,), 4, "anywhere"),
        ({}, keys.ASCEND_910, 8, (1, 2, 4, 8), (1, 2, 4, 8), 4, "anywhere"),
        ({}, keys.KUNLUN_XPU, 8, (1, 2, 4, 8), (1, 2, 4, 8), 4, "anywhere"),
    ],
)
def test_the_rules_of_vendors(
    labels: dict[str, str],
    resource: str,
    cards: int,
    alone: tuple[int, ...],
    in_gang: tuple[int, ...],
    group: int,
    reach: str,
) -> None:
    """The table of legal counts and groups (MindCluster's document on affinity; HAMi's on Kunlunxin)."""
    accelerator = read(labels, {resource: cards}).accelerator
    assert accelerator is not None and accelerator.rule is not None
    rule = accelerator.rule
    assert rule.legal(cards, gang=False) == alone
    assert rule.legal(cards, gang=True) == in_gang
    assert (rule.group, rule.reach) == (group, Reach(reach))
    assert not alone or not rule.allows(3, cards, gang=False)


def test_box_of_sixteen_and_eight_connected_cards() -> None:
    """910B: eight cards are all connected, sixteen are two rings that are filled evenly."""
    box = read({keys.ASCEND_CHIP: "910B3"}, {keys.ASCEND_910: "16"}).accelerator
    assert box is not None and box.rule is not None
    assert [n for n in range(1, 17) if not box.rule.allows(n, 16, gang=True)] == [9, 11, 13, 15]
    assert box.rule.items(10) == (5, 5)
    eight = read({keys.ASCEND_CHIP: "910B3"}, {keys.ASCEND_910: "8"}).accelerator
    assert eight is not None and eight.rule is None  # three are legal there


def test_unhealthy_cards_keep_their_place() -> None:
    """Of two rings with one unhealthy card there are two rings, one of them with three cards."""
    status = {"allocatable": {keys.ASCEND_910: "7"}, "capacity": {keys.ASCEND_910: "8"}}
    metadata = {"name": "n1", "labels": {keys.ASCEND_CHIP: "910A"}}
    accelerator = read_node({"metadata": metadata, "status": status}, Hierarchies()).accelerator
    assert accelerator is not None
    assert (accelerator.count, accelerator.size) == (7, 8)
