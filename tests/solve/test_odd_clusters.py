"""Clusters in a state that nobody planned: each is decided, and the checker agrees with the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.model import Code, Gang, GangAssignment, Member, Slot
from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import (
    answer,
    fleet,
    gang,
    nodes_of,
    occupy,
    podset,
    reserved,
    running_pod,
    snapshot,
)
from tests.solve.deciding import decide, waits
from topology import keys
from topology.resources import Resources
from topology.tree import TopologyTree

FLEET = fleet("r1(n1@a100 n2@h100) r2(n3@h100 n4@h100)")


@pytest.mark.parametrize(
    ("odd", "grown"),
    [
        ({"flavors": ["h100"], "running": ["n1"]}, 1),
        ({"required": "rack", "running": ["n2", "n3"]}, 2),
        ({"running": ["n1", "n3"]}, 2),
    ],
    ids=["node serves no flavor", "torn over two racks", "two device classes"],
)
def test_running_members_where_they_should_not_be(odd: dict[str, Any], grown: int) -> None:
    """A gang whose running members break its own rules keeps running, and cannot grow."""
    fields: dict[str, Any] = {"members": 3, **odd}
    plan = decide(FLEET, gang("g", least=grown, **fields))
    assert answer(plan, "g").placed and nodes_of(plan, "g") == ""
    assert waits(decide(FLEET, gang("g", **fields)), "g") == Code.PINNED_TO_RUNNING


def test_a_member_that_runs_on_a_node_that_is_gone() -> None:
    """It counts for the minimum and stands nowhere; the others are placed."""
    lost = gang("g", members=2, required="rack", preferred="host", flavors=["h100"], spread="rack")
    members = (Member(pod="old", uid="old", node="gone"), *lost.podsets[0].pending[1:])
    lost = replace(lost, podsets=(replace(lost.podsets[0], members=members),))
    picture = replace(snapshot(FLEET), gangs=(lost,))
    plan = solve(picture)
    assert verify(picture, plan) == ()
    assert len(nodes_of(plan, "g").split()) == 1


def test_an_overcommitted_node() -> None:
    """A node with more cards in use than it has still takes pods without cards."""
    drawn = occupy(FLEET, "n2", running_pod("one", {keys.NVIDIA_GPU: 12}))
    helper = gang("g", gpus=0, cpu=1, flavors=["h100"], excluded=["n3", "n4"])
    assert nodes_of(decide(drawn, helper), "g") == "n2"


def test_no_gangs_and_no_nodes() -> None:
    """Nothing to decide, or nothing to decide with."""
    assert decide(FLEET).assignments == ()
    tree = TopologyTree.build((), ("host",))
    empty = Snapshot(levels=("host",), nodes=(), tree=tree, gangs=(gang("g"),))
    plan = solve(empty)
    assert verify(empty, plan) == () and waits(plan, "g") == Code.NO_NODES


def test_gangs_that_ask_for_nothing() -> None:
    """A role of size 0, and a gang whose minimum is 0 and that does not fit: placed with nobody."""
    plan = decide(
        FLEET, gang("a", podset("main", 1), podset("none", 0)), gang("b", least=0, gpus=99)
    )
    assert nodes_of(plan, "a") and answer(plan, "b").placed and not nodes_of(plan, "b")


def test_reservations_of_the_past() -> None:
    """A reservation of a gang that is gone holds its place; one on a node that is gone stays as it is."""
    held: Gang = gang("held", members=2, running=["n4"])
    lost = Slot(
        pod="held-main-1",
        uid="uid-held-main-1",
        role="main",
        rank=1,
        node="gone",
        request=Resources(),
    )
    plan = decide(
        FLEET,
        gang("g", members=2),
        held,
        reservations=[
            reserved(gang("other"), "n3"),
            GangAssignment(namespace="default", gang="held", placed=True, slots=(lost,)),
        ],
    )
    assert waits(plan, "g") == Code.INSUFFICIENT  # of each type of cards one node is left
    assert nodes_of(plan, "held") == "gone"
