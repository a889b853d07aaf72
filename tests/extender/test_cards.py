"""Cards are chosen with the Binding where the vendor's plugin takes a choice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from scheduler.keys import GANG, GANG_SIZE, GATE, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.kube.writes import BindOutcome, BindResult
from tests.extender.world import QUICK, World, drive
from topology.keys import ASCEND_910, ASCEND_CHIP, PREDICATE_TIME

ON = replace(QUICK, handoff=("ascend",))


def node(world: World) -> None:
    """The one node ``a``: eight Ascend 910A in two rings of four."""
    room = {"cpu": "64", "memory": "1Ti", "pods": "110", ASCEND_910: "8"}
    status = {"allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {ASCEND_CHIP: "910ProB"}
    metadata = {"name": "a", "uid": "a", "labels": labels}
    world.cluster.put("Node", {"metadata": metadata, "spec": {}, "status": status})


def gang(world: World, name: str, cards: int) -> None:
    """A gang of one member: on this hardware two of a gang may not share a node."""
    limits = {ASCEND_910: str(cards), RESOURCE_MEMBER: "1", RESOURCE_BIND: "1"}
    world.pod(
        f"{name}-0",
        metadata={"annotations": {GANG: name, GANG_SIZE: "1"}},
        schedulingGates=[{"name": GATE}],
        containers=[{"name": "c", "resources": {"limits": limits}}],
    )


def told(world: World, pod: str) -> list[str]:
    """The cards that the plugin is told for a pod."""
    annotations: dict[str, Any] = world.cluster.get("Pod", pod)["metadata"]["annotations"]
    return str(annotations.get(ASCEND_910, "")).split(",")


def test_pods_that_are_bound_at_once_get_different_cards() -> None:
    """Two gangs on one node while the watch is silent: 4 cards each, a ring each, the earlier time first."""

    async def life(world: World) -> None:
        node(world)
        for name in "gh":
            gang(world, name, 4)
        await world.ungated("g", 1)
        await world.ungated("h", 1)
        world.cluster.silent = True
        for name in "gh":
            assert await world.bind(f"{name}-0", "a") == ""
        world.cluster.hear()
        rings = [told(world, "g-0"), told(world, "h-0")]
        assert sorted(rings) == [[f"Ascend910-{n}" for n in range(i, i + 4)] for i in (0, 4)]
        times = [world.cluster.get("Pod", f"{name}-0")["metadata"]["annotations"] for name in "gh"]
        assert int(times[0][PREDICATE_TIME]) < int(times[1][PREDICATE_TIME])

    drive(life, ON, nodes=0)


def test_a_binding_that_failed_gives_its_cards_back() -> None:
    """The next pod gets the cards that were meant for the one that was not bound."""

    async def life(world: World) -> None:
        node(world)
        gang(world, "g", 4)
        await world.ungated("g", 1)
        refused = BindResult(outcome=BindOutcome.CONFLICT, message="not today")
        world.cluster.bind_answers["g-0"] = [refused]
        assert "not today" in await world.bind("g-0", "a")
        world.cluster.delete("Pod", "g-0")
        await world.until(lambda: world.stands(None))
        gang(world, "h", 8)
        await world.ungated("h", 1)
        assert await world.bind("h-0", "a") == ""
        assert told(world, "h-0") == [f"Ascend910-{n}" for n in range(8)]

    drive(life, ON, nodes=0)


def test_where_occupancy_is_unknown_nothing_is_written() -> None:
    """A plain pod has a card and nobody says which: the choice is the plugin's, and an event says why."""

    async def life(world: World) -> None:
        node(world)
        limits = {ASCEND_910: "1"}
        containers = [{"name": "c", "resources": {"limits": limits}}]
        world.pod("plain", containers=containers, nodeName="a")
        gang(world, "g", 2)
        await world.ungated("g", 1)
        assert await world.bind("g-0", "a") == ""
        assert told(world, "g-0") == [""]
        await world.until(lambda: world.cluster.events)
        await asyncio.sleep(0.05)
        texts = [text for _, reason, text in world.cluster.events if reason == "CardsNotChosen"]
        assert texts and "nobody says which are 1 of the cards" in texts[0]

    drive(life, ON, nodes=0)


def test_nothing_is_chosen_unless_it_is_asked_for() -> None:
    """The default: a plugin that does not read the annotations would have them lie."""

    async def life(world: World) -> None:
        node(world)
        gang(world, "g", 4)
        await world.ungated("g", 1)
        assert await world.bind("g-0", "a") == ""
        assert told(world, "g-0") == [""]

    drive(life, nodes=0)
