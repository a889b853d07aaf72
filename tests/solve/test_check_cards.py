"""The checker refuses plans that break a vendor's rule about cards; a like plan that keeps it passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.snapshot import Snapshot
from scheduler.solve.check import verify
from tests.builders import fleet, gang, occupy, podset, reserved, running_pod, snapshot
from tests.solve.test_check import by_hand
from topology import keys

NPU = keys.ASCEND_910
OLD = "r1(n1@910a n2@910a)"
PODS = "r1(n1[16]@a3{superpod=s1} n2[16]@a3{superpod=s1} n3[16]@a3{superpod=s2} n4[16]@a3)"


def picture(
    drawing: str, cards: int, members: int, busy: tuple[int, ...] = (), resource: str = NPU
) -> Snapshot:
    """A fleet with a gang of so many pods; plain pods of ``busy`` cards each run on n1."""
    drawn = fleet(drawing)
    for index, count in enumerate(busy):
        drawn = occupy(drawn, "n1", running_pod(f"busy-{index}", {resource: count}))
    return snapshot(drawn, gang("g", podset("w", members, gpus=cards, resource=resource)))


# What is broken -> fleet, cards of a pod, pods that run on n1, places that keep it, that break it, words.
RULES: dict[str, tuple[str, int, tuple[int, ...], str, str, str]] = {
    "one ring": (OLD, 4, (2, 2), "n2", "n1", "the rings of node n1 do not hold pods of [4] cards"),
    "both rings": (OLD, 8, (1,), "n2", "n1", "capacity of node n1"),
    "one of a gang": (OLD, 2, (), "n1 n2", "n1 n1", "2 members share node n1"),
    "a module": ("r1(n1[4]@a3 n2[4]@a3)", 2, (1, 1), "n2", "n1", "the modules of node n1"),
    "one super-pod": (PODS, 16, (), "n1 n2", "n2 n3", "members on ascend-910c stand in"),
    "a known super-pod": (PODS, 16, (), "n1 n2", "n3 n4", "not together as their vendor demands"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_checker_refuses(rule: str) -> None:
    """The good places pass, of the others it is said what is wrong."""
    drawing, cards, busy, good, bad, words = RULES[rule]
    seen = picture(drawing, cards, len(good.split()), busy)
    assert verify(seen, by_hand(seen, {"g": good})) == ()
    assert any(words in text for text in verify(seen, by_hand(seen, {"g": bad})))


@pytest.mark.parametrize(
    ("drawing", "cards", "members", "places"),
    [(OLD, 3, 1, "n1"), (PODS, 3, 1, "n1"), (PODS, 8, 2, "n1 n2")],
)
def test_the_checker_knows_legal_numbers(
    drawing: str, cards: int, members: int, places: str
) -> None:
    """Numbers that a vendor does not allow, for a pod alone and in a gang."""
    seen = picture(drawing, cards, members)
    text, *_ = verify(seen, by_hand(seen, {"g": places}))
    assert f"takes {cards} cards, legal are" in text


def test_the_checker_knows_nodes_that_hold_a_gang() -> None:
    """310P: members on two nodes."""
    seen = picture("r1(n1[8]@310p n2[8]@310p)", 2, 2, resource=keys.ASCEND_310P)
    assert verify(seen, by_hand(seen, {"g": "n1 n1"})) == ()
    [text] = verify(seen, by_hand(seen, {"g": "n1 n2"}))
    assert "stand in ['node n1', 'node n2']" in text


def test_places_that_are_promised_count() -> None:
    """Two places promised on n1 may be in two rings, as pods that run there may."""
    held = gang("held", podset("x", 1, gpus=2, resource=NPU), podset("y", 1, gpus=2, resource=NPU))
    wish = gang("wish", podset("w", 1, gpus=4, resource=NPU))
    seen = snapshot(fleet(OLD), held, wish, reservations=[reserved(held, "n1 n1")])
    [text] = verify(seen, by_hand(seen, {"wish": "n1"}))
    assert text.startswith("default/wish: the rings of node n1")
    apart = replace(seen, reservations=(reserved(held, "n2 n1"),))
    assert verify(apart, by_hand(apart, {"wish": "n1"})) == ()
