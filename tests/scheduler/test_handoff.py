"""Which cards a pod gets, and how each vendor's plugin is told."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.handoff import Choice, choose, pick, takes_choice
from scheduler.model import Slot
from scheduler.node_states import node_state
from scheduler.snapshot import NodeState, RunningPod
from topology.allocation import CardRule, Wide
from topology.keys import (
    ASCEND_310P,
    ASCEND_910,
    ASCEND_CHIP,
    ASCEND_NPU,
    ENFLAME_GCU,
    ILUVATAR_DEVICES,
    ILUVATAR_GPU,
    KUNLUN_DEVICES,
    KUNLUN_XPU,
    MTHREADS_DEVICES,
    MTHREADS_GPU,
    MTHREADS_NODE,
    MTHREADS_TIME,
    NVIDIA_GPU,
    PREDICATE_TIME,
)
from topology.nodes import read_node
from topology.occupancy import CardList
from topology.resources import Resources
from topology.sources import Hierarchies
from topology.vendors import VENDORS

BOARDS = tuple(f"GPU-{letter}" for letter in "abcdefgh")


def node(
    resource: str,
    *pods: RunningPod,
    labels: Mapping[str, str] | None = None,
    count: int = 8,
    listed: CardList | None = None,
) -> NodeState:
    """The node ``n1`` with eight cards, of which ``count`` are healthy, and its pods."""
    status = {"allocatable": {resource: str(count)}, "capacity": {resource: "8"}}
    obj = {"metadata": {"name": "n1", "labels": dict(labels or {})}, "status": status}
    return node_state(read_node(obj, Hierarchies()), pods, listed)


def pod(name: str, resource: str, count: int, *cards: int, **fields: Any) -> RunningPod:
    """A pod with ``count`` cards; ``cards`` are their numbers where it says so."""
    request = Resources({resource: count})
    return RunningPod(namespace="d", name=name, uid=name, request=request, cards=cards, **fields)


def slot(resource: str, count: int) -> Slot:
    """A member that is about to be bound to the node."""
    request = Resources({resource: count})
    return Slot(pod="m", uid="m", role="main", rank=0, node="n1", request=request)


@pytest.mark.parametrize(
    ("resource", "labels", "told"),
    [
        (ASCEND_910, {ASCEND_CHIP: "910B3"}, {ASCEND_910: "Ascend910-2,Ascend910-3", PREDICATE_TIME: "7"}),
        (ASCEND_310P, {}, {ASCEND_310P: "Ascend310P-2,Ascend310P-3", PREDICATE_TIME: "7"}),
        (ASCEND_NPU, {}, {ASCEND_NPU: "npu-2,npu-3", PREDICATE_TIME: "7"}),
        (ILUVATAR_GPU, {}, {ILUVATAR_DEVICES: "GPU-c,GPU-d", PREDICATE_TIME: "7"}),
        (KUNLUN_XPU, {}, {KUNLUN_DEVICES: "2,3"}),
        (
            MTHREADS_GPU,
            {},
            {MTHREADS_DEVICES: "2,3", MTHREADS_TIME: "7", MTHREADS_NODE: "n1"},
        ),
    ],
)  # fmt: skip
def test_the_form_of_each_vendor(
    resource: str, labels: dict[str, str], told: dict[str, str]
) -> None:
    """Annotations as the vendor's plugin reads them: names or numbers, and a time in nanoseconds."""
    listed = CardList(ids=BOARDS, free=(2, 3, 4, 5, 6, 7)) if resource == ILUVATAR_GPU else None
    state = node(resource, pod("a", resource, 2, 0, 1), labels=labels, listed=listed)
    if listed is not None:
        state = node(resource, pod("a", resource, 2, card_ids=BOARDS[:2]), listed=listed)
    found = choose(state, slot(resource, 2), (), 7)
    assert found == Choice(cards=(2, 3), annotations=told)


def test_every_contract_of_the_catalogue_can_be_carried_out() -> None:
    """A vendor with a hand-off contract, and no other, may be turned on."""
    able = {vendor.name for vendor in VENDORS if vendor.handoff}
    assert able == {"ascend", "iluvatar", "kunlunxin", "mthreads"}
    for resource, vendor in ((NVIDIA_GPU, "nvidia"), (ENFLAME_GCU, "enflame")):
        assert not takes_choice(node(resource), slot(resource, 1), able)
        assert choose(node(resource), slot(resource, 1), (), 7).doubt, vendor
    assert takes_choice(node(KUNLUN_XPU), slot(KUNLUN_XPU, 1), ["kunlunxin"])
    assert not takes_choice(node(KUNLUN_XPU), slot(KUNLUN_XPU, 1), ["ascend"])
    assert not takes_choice(node(KUNLUN_XPU), slot(KUNLUN_XPU, 0), ["kunlunxin"])


X = KUNLUN_XPU


@pytest.mark.parametrize(
    ("state", "count", "assumed", "cards", "doubt"),
    [
        # Wings of four: two cards go where two are left, so that the other wing stays whole.
        (node(X, pod("a", X, 2, 0, 1)), 2, (), (2, 3), ""),
        (node(X, pod("a", X, 2, 4, 6)), 2, (), (5, 7), ""),
        (node(X, pod("a", X, 1, 0)), 4, (), (4, 5, 6, 7), ""),
        # What was chosen a moment ago counts although the watch has not shown it,
        (node(X), 4, (pod("b", X, 4, 0, 1, 2, 3),), (4, 5, 6, 7), ""),
        # also against a list of the plugin that is behind.
        (node(X, listed=CardList(free=tuple(range(8)))), 1, (pod("b", X, 1, 0),), (1,), ""),
        # Nothing is guessed.
        (node(X, pod("a", X, 2)), 1, (), (), "nobody says which are 2 of the cards that pods have on n1"),
        (node(X), 1, (pod("b", X, 1),), (), "nobody says which are 1 of the cards that pods have on n1"),
        (node(X, pod("a", X, 1, 9)), 1, (), (), "nobody says which are 1 of the cards that pods have on n1"),
        (node(X, count=7), 1, (), (), "nobody says which are the cards that are missing on n1"),
        (node(X, pod("a", X, 1, 0), pod("b", X, 1, 4)), 4, (), (), "the free cards of n1 do not go together"),
        # A list can be older than the pods: it agrees here only by chance.
        (node(X, pod("a", X, 1), listed=CardList(free=(1, 2, 3, 4, 5, 6, 7))), 1, (), (),
         "nobody says which are 1 of the cards that pods have on n1"),
        # It does tell which cards are broken.
        (node(X, count=7, listed=CardList(free=(1, 2, 3, 4, 5, 6, 7), unhealthy=(0,))), 1, (), (1,), ""),
    ],
)  # fmt: skip
def test_cards_are_chosen_where_all_is_known(
    state: NodeState,
    count: int,
    assumed: tuple[RunningPod, ...],
    cards: tuple[int, ...],
    doubt: str,
) -> None:
    """Exact occupancy only; what was decided counts before what is reported late."""
    found = choose(state, slot(X, count), assumed, 7)
    assert (found.cards, found.doubt) == (cards, doubt)
    assert bool(found.annotations) == bool(cards)


def test_iluvatar_needs_the_plugin_s_list() -> None:
    """Cards are named by identifiers, which only the plugin's ConfigMap has."""
    found = choose(node(ILUVATAR_GPU), slot(ILUVATAR_GPU, 1), (), 7)
    assert found.doubt == "the identifiers of the cards of n1 are not known"


RULES = {
    "910A": (CardRule(counts=(1, 2, 4, 8), group=4), 8),
    "A3": (CardRule(group=2), 16),
    "box 16": (CardRule(counts=(1, 2, 4, 8, 10, 16), group=8, wide=Wide.EVEN), 16),
    "any": (CardRule(), 8),
    "duo": (CardRule(group=2, wide=Wide.LOOSE), 8),
}


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
def test_what_is_picked_is_legal(name: str, data: st.DataObject) -> None:
    """Against brute force: cards are found exactly if some legal set of them is free, and they are one."""
    rule, size = RULES[name]
    free = data.draw(st.frozensets(st.integers(0, size - 1)))
    count = data.draw(st.sampled_from(rule.counts or (1, 2, 4)))
    legal = [set(some) for some in combinations(sorted(free), count) if _fits(rule, some)]
    found = pick(rule, size, free, count)
    assert (set(found) in legal) if legal else found == ()
    assert list(found) == sorted(set(found))


def _fits(rule: CardRule, cards: tuple[int, ...]) -> bool:
    """Whether the rule allows these cards for one pod."""
    groups: dict[int, set[int]] = {}
    for card in cards:
        groups.setdefault(card // rule.group, set()).add(card % rule.group)
    items = rule.items(len(cards))
    if set(items) == {1}:
        return True
    if rule.wide is Wide.EVEN and len(items) > 1:
        return len(groups) == len(items) and len({frozenset(g) for g in groups.values()}) == 1
    return sorted(map(len, groups.values())) == sorted(items)


@given(free=st.frozensets(st.integers(0, 7)), counts=st.lists(st.sampled_from((1, 2, 4))))
def test_the_largest_first_loses_no_place(free: frozenset[int], counts: list[int]) -> None:
    """What the solver counted on for a whole gang, unit by unit, is found one pod after the other."""
    rule, _ = RULES["910A"]
    room = [sum(n // 4 == group for n in free) for group in (0, 1)]
    fits = sum(counts) <= len(free) and all(
        sum(n // size for n in counts if n >= size) <= sum(n // size for n in room)
        for size in rule.sizes
    )
    left = set(free)
    for count in sorted(counts, reverse=True):
        found = pick(rule, 8, left, count)
        if not found:
            assert not fits
            return
        left -= set(found)
    assert fits
