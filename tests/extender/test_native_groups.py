"""PodGroups of Kubernetes itself: kube-scheduler tries none of its pods while one of them is gated.

Source: kubernetes pkg/scheduler/backend/queue, v1.37 (with the feature gate GenericWorkload).
"""

from __future__ import annotations

import asyncio

import pytest

from extender.verbs import NOT_PLANNED
from scheduler import foreign
from scheduler.keys import GATE, RESOURCE_BIND, RESOURCE_MEMBER
from tests.extender.cluster import Object
from tests.extender.world import World, drive
from topology.keys import (
    NVIDIA_GPU,
    SCHEDULER_PLUGINS_GROUP,
    SCHEDULER_PLUGINS_POD_GROUP,
    SCHEDULING_GROUP,
)

PHASES = {2: ("Waiting",), 3: ("Planned",)}
"""Of the gang with room for so many members."""


def group(world: World, native: bool = True) -> None:
    """PodGroup g of which three must run."""
    spec = {"schedulingPolicy": {"gang": {"minCount": 3}}} if native else {"minMember": 3}
    kind = foreign.POD_GROUP if native else foreign.POD_GROUP_PLUGINS
    version = f"{SCHEDULING_GROUP}/v1beta1" if native else f"{SCHEDULER_PLUGINS_GROUP}/v1alpha1"
    metadata = {"name": "g", "namespace": "default", "uid": "group"}
    world.cluster.put(
        kind, {"apiVersion": version, "kind": "PodGroup", "metadata": metadata, "spec": spec}
    )


def join(world: World, *indexes: int, native: bool = True) -> None:
    """Members of PodGroup g as they are after admission."""
    limits = {NVIDIA_GPU: "8", RESOURCE_MEMBER: "1", RESOURCE_BIND: "1"}
    named: Object = {"schedulingGroup": {"podGroupName": "g"}} if native else {}
    labels = {} if native else {SCHEDULER_PLUGINS_POD_GROUP: "g"}
    for index in indexes:
        world.pod(
            f"g-{index}",
            metadata={"labels": labels},
            schedulingGates=[{"name": GATE}],
            containers=[{"name": "c", "resources": {"limits": limits}}],
            **named,
        )


def gated(world: World) -> list[str]:
    """Names of the pods that have our gate."""
    pods = world.cluster.all("Pod")
    return sorted(pod["metadata"]["name"] for pod in pods if pod["spec"]["schedulingGates"])


def test_no_member_is_gated_while_the_others_start() -> None:
    """Room for three of four: the gate of the fourth goes, too, and `filter` holds it back. It follows when
    there is room, and so does one that comes while the others are on their way."""

    async def life(world: World) -> None:
        group(world)
        join(world, 0, 1, 2, 3)
        await world.until(lambda: not gated(world))
        reservation = world.reservation()
        assert reservation is not None and len(reservation.assignment.slots) == 3
        [left] = {f"g-{i}" for i in range(4)} - {slot.pod for slot in reservation.open_slots}
        assert world.filter(left).refused == dict.fromkeys(("n0", "n1", "n2"), NOT_PLANNED)
        join(world, 4)
        await world.until(lambda: not gated(world))
        calls = [await world.arrive(slot.pod) for slot in reservation.open_slots]
        assert await asyncio.gather(*calls) == ["", "", ""]
        await world.until(lambda: world.phase() == "Bound")
        assert world.status()["ready"] == "3/5" and left not in world.places()
        world.node("n3")
        await world.until(world.reservation)
        found = world.reservation()
        assert found is not None
        [slot] = found.open_slots
        assert await (await world.arrive(slot.pod)) == ""
        await world.until(lambda: world.status()["ready"] == "4/5")

    drive(life, nodes=3)


@pytest.mark.parametrize(("native", "room", "left"), [(True, 2, 4), (False, 2, 4), (False, 3, 1)])
def test_members_without_a_place_stay_gated(native: bool, room: int, left: int) -> None:
    """A gated pod costs kube-scheduler nothing: nobody's gate goes before its gang starts, and in groups of
    other kinds only the gates of those that start."""

    async def life(world: World) -> None:
        group(world, native=native)
        join(world, 0, 1, 2, 3, native=native)
        await world.until(lambda: len(gated(world)) == left and world.phase() in PHASES[room])
        await asyncio.sleep(0.1)
        assert len(gated(world)) == left

    drive(life, nodes=room)
