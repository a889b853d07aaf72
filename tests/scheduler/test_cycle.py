"""A decision meets the newest snapshot: only what still holds is reserved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.cycle import Decision, acceptable, decide
from scheduler.model import Gang, GangAssignment, Plan, PodSet, Slot
from scheduler.policy import Policy
from scheduler.snapshot import NodeState, Snapshot
from scheduler.solve import solve
from topology.model import Node
from topology.resources import Resources
from topology.tree import TopologyTree

CARD = Resources({"cards": 1})


def gang(name: str) -> Gang:
    """One member that needs one card."""
    podset = PodSet(role="main", size=1, min_count=1, request=CARD)
    return Gang(namespace="d", name=name, podsets=(podset,), min_members=1)


def place(name: str, node: str = "n") -> GangAssignment:
    """The gang's member on the node."""
    slot = Slot(pod=name, uid=name, role="main", rank=0, node=node, request=CARD)
    return GangAssignment(namespace="d", gang=name, slots=(slot,), placed=True)


NODE = Node(name="n", allocatable=Resources({"cards": 2}))
BEFORE = Snapshot(
    levels=("host",),
    nodes=(NodeState(node=NODE, free=NODE.allocatable),),
    tree=TopologyTree.build([NODE], ("host",)),
    gangs=(gang("a"), gang("b")),
)
DECISION = Decision(snapshot=BEFORE, plan=Plan(assignments=(place("a"), place("b"))))


def with_node(**fields: object) -> Snapshot:
    """The snapshot with its node changed."""
    node = replace(NODE, **fields)  # type: ignore[arg-type]
    return replace(BEFORE, nodes=(NodeState(node=node, free=node.allocatable),))


@pytest.mark.parametrize(
    ("fresh", "accepted"),
    [
        (BEFORE, ["a", "b"]),
        (replace(BEFORE, gangs=(gang("b"),)), ["b"]),
        (replace(BEFORE, gangs=(replace(gang("a"), priority=1), gang("b"))), ["b"]),
        (replace(BEFORE, nodes=()), []),
        (with_node(unschedulable=True), []),
        (with_node(ready=False), []),
        (replace(BEFORE, nodes=(NodeState(node=NODE, free=CARD),)), ["a"]),
        (replace(BEFORE, reservations=(place("c"),)), ["a"]),
        (replace(BEFORE, reservations=(place("a", "other"),)), ["b"]),
    ],
)
def test_what_does_not_hold_any_more_is_dropped(fresh: Snapshot, accepted: list[str]) -> None:
    """A changed gang, a node that went, room that is taken, a gang reserved meanwhile."""
    assert [assignment.gang for assignment in acceptable(DECISION, fresh)] == accepted


def test_a_gang_that_waits_or_was_reserved_before_is_not_accepted() -> None:
    """Only new places are reserved."""
    waiting = Plan(assignments=(GangAssignment(namespace="d", gang="a"), place("b")))
    reserved = replace(BEFORE, reservations=(place("b"),))
    assert acceptable(Decision(snapshot=reserved, plan=waiting), BEFORE) == ()


def test_a_plan_that_breaks_a_rule_is_caught() -> None:
    """The checker goes over every answer: three cards on a node of two."""
    bad = Plan(assignments=(place("a"), place("b")))
    tight = replace(BEFORE, nodes=(NodeState(node=NODE, free=CARD),))
    assert decide(tight, Policy(), lambda *_: bad).violations
    assert str(DECISION) == "placed 2 of 2 gangs, greedy"
    assert not decide(replace(BEFORE, gangs=()), Policy(), solve).violations
