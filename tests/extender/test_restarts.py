"""A worker whose end LeaderWorkerSet has missed (lws#998): its group restarts whole, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from extender import restarts
from scheduler.foreign import kind_of
from scheduler.keys import GATE, PLACE, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.reservation import State
from tests.extender.cluster import Object
from tests.extender.world import QUICK, World, drive
from tests.workloads.groups import lws, pods_of, stateful_sets

GANG = "default/train-0"
GRACE = 0.8
SHORT = replace(QUICK, limits=replace(QUICK.limits, restart_seconds=GRACE))
PODS = ("train-0", "train-0-1", "train-0-2")


def make(
    world: World, group: Object, names: Sequence[str] = PODS, life: str = "a", again: str = ""
) -> None:
    """Pods of the group as LWS and admission make them, in some life; `again` makes their uids differ."""
    for obj in (group, *stateful_sets(group, life=life)):
        world.cluster.put(kind_of(obj), obj)
    for pod in pods_of(group, life=life, schedulingGates=[{"name": GATE}]):
        if pod["metadata"]["name"] in names:
            pod["metadata"]["uid"] += again
            limits = pod["spec"]["containers"][0]["resources"]["limits"]
            limits.update({RESOURCE_MEMBER: "1", RESOURCE_BIND: "1"})
            world.cluster.put("Pod", {**pod, "status": {}})


async def arrive(world: World, names: Sequence[str] = PODS) -> None:
    """See these pods bound, and the gang whole."""
    calls = [await world.arrive(name) for name in names]
    assert await asyncio.gather(*calls) == [""] * len(names)
    await world.until(lambda: world.stands(None, GANG) and world.phase("train-0") == "Bound")
    await world.until(lambda: "started" in world.status("train-0"))


def miss(world: World, group: Object) -> None:
    """A worker ends at once, and is back before LWS has looked: all else is as it was."""
    world.cluster.delete("Pod", "train-0-2")
    make(world, group, ["train-0-2"], again="-again")


def held(world: World) -> set[str]:
    """The nodes on which placeholders hold a place."""
    pods = (p for p in world.cluster.all("Pod") if PLACE in p["metadata"].get("labels", {}))
    return {pod["status"].get("nominatedNodeName", "") for pod in pods}


def evictions(world: World) -> list[str]:
    """Pods that were evicted, in order."""
    return [name for verb, name in world.cluster.calls if verb == "evict"]


@pytest.mark.parametrize("nodes", [3, 4])
def test_a_group_that_came_back_in_part_restarts_whole(nodes: int) -> None:
    """With room for the one pod or without, it is not placed alone: the Gang says what is demanded and by
    when, then the leader is evicted, once; the next life is bound whole, and nothing is left over."""

    async def scenario(world: World) -> None:
        group = lws(size=3)
        make(world, group)
        await arrive(world)
        node = world.places()["train-0-2"]
        miss(world, group)
        if nodes == 3:
            world.node(node, unschedulable=True)
        await world.until(lambda: world.phase("train-0") == "Degraded")
        await world.until(lambda: world.status("train-0")["reason"] == "OwnerRestarts")
        assert "pod train-0-2 came back alone" in world.status("train-0")["message"]
        assert set(world.places()) == {"train-0", "train-0-1"} and not evictions(world)
        text = (
            "train-0 was evicted: train-0-2 had come back alone, and LeaderWorkerSet/train did not restart "
            "the others with it"
        )
        told = {("train-0-1", "Restarted", text), (None, "Restarted", text)}
        await world.until(lambda: told <= set(world.cluster.events))
        for name in PODS[1:]:
            world.cluster.delete("Pod", name)
        if nodes == 3:
            world.node(node)
        make(world, group, life="b")
        await arrive(world)
        await asyncio.sleep(2 * GRACE)
        assert evictions(world) == ["train-0"]
        assert world.stands(None, GANG) and not world.overbooked()

    drive(scenario, SHORT, nodes=nodes)


def test_the_places_of_a_group_that_restarts_are_kept() -> None:
    """Others wait for its nodes, and longer. As its pods end, placeholders hold their places, also through a
    moment without any pod and a restart of Muster; the next life gets them."""

    async def main() -> None:
        world = World(SHORT)
        for index in range(3):
            world.node(f"n{index}")
        group = lws(size=3)
        async with world.running():
            make(world, group)
            await arrive(world)
            world.gang("g", 3, metadata={"creationTimestamp": "2025-01-01T00:00:00Z"})
            kept = {node for name, node in world.places().items() if name != "train-0-2"}
            miss(world, group)
            await world.until(lambda: evictions(world))
            await world.until(lambda: world.phase("train-0") == "Releasing")
            for name in PODS[1:]:
                world.cluster.delete("Pod", name)
            await world.until(lambda: held(world) == kept)
        world.start()
        async with world.running():
            await asyncio.sleep(1)
            assert world.phase("g") == "Waiting" and held(world) == kept
            make(world, group, life="b")
            await arrive(world)
            assert world.phase("g") == "Waiting" and not world.overbooked()
            await world.until(lambda: not held(world))

    asyncio.run(main())


def test_places_are_not_kept_for_ever() -> None:
    """Its owner was deleted meanwhile: after the time that every plan has they are anybody's."""

    async def scenario(world: World) -> None:
        group = lws(size=3)
        make(world, group)
        await arrive(world)
        miss(world, group)
        await world.until(lambda: world.phase("train-0") == "Releasing")
        for name in PODS[1:]:
            world.cluster.delete("Pod", name)
        await world.until(lambda: len(held(world)) == 2)
        await world.until(lambda: world.stands(None, GANG) and not held(world), seconds=6)
        await world.until(lambda: not world.phase("train-0"))

    drive(scenario, SHORT, nodes=3)


def test_an_owner_that_restarts_the_group_itself_is_left_alone() -> None:
    """Its leader is being deleted before the time is over: nobody is evicted, however long that takes."""

    async def scenario(world: World) -> None:
        group = lws(size=3)
        make(world, group)
        await arrive(world)
        miss(world, group)
        await world.until(lambda: world.phase("train-0") == "Degraded")
        leader = world.cluster.get("Pod", "train-0")
        leader["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
        world.cluster.put("Pod", leader)
        await asyncio.sleep(3 * GRACE)
        for name in PODS:
            world.cluster.delete("Pod", name)
        make(world, group, life="b")
        await arrive(world)
        assert evictions(world) == []

    drive(scenario, SHORT, nodes=4)


@pytest.mark.parametrize("policy", ["None", "RecreateGroupAfterStart"])
def test_a_member_that_may_be_replaced_alone_is(policy: str) -> None:
    """Where its owner demands nothing more, or does not yet, the pod joins the others, which run on."""

    async def scenario(world: World) -> None:
        group = lws(size=3, restartPolicy=policy)
        make(world, group)
        await arrive(world)
        miss(world, group)
        await arrive(world, ["train-0-2"])
        await asyncio.sleep(2 * GRACE)
        assert evictions(world) == [] and world.phase("train-0") == "Bound"

    drive(scenario, SHORT, nodes=4)


def test_a_place_of_a_worker_to_come_is_not_held_for_it_alone() -> None:
    """LeaderReady: before the pod is back its place would be planned; it would then join the broken group."""

    async def scenario(world: World) -> None:
        group = lws(size=3, startup="LeaderReady")
        make(world, group, PODS[:1])
        assert await (await world.arrive("train-0")) == ""
        make(world, group, PODS[1:])
        await arrive(world, PODS[1:])
        world.cluster.delete("Pod", "train-0-2")
        await world.until(lambda: world.status("train-0")["reason"] == "OwnerRestarts")
        await asyncio.sleep(2 * GRACE)
        assert not evictions(world), "it may be that its owner is at it"
        assert world.stands(State.DEGRADED, GANG)
        make(world, group, ["train-0-2"], again="-again")
        await world.until(lambda: evictions(world) == ["train-0"])

    drive(scenario, SHORT, nodes=4)


def test_a_refused_eviction_is_tried_again_also_after_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A PodDisruptionBudget says no at first; a Muster that starts then finds on record what has run."""
    monkeypatch.setattr(restarts, "_RETRY_SECONDS", 0.1)

    async def main() -> None:
        world = World(SHORT)
        for index in range(4):
            world.node(f"n{index}")
        group = lws(size=3)
        async with world.running():
            make(world, group)
            await arrive(world)
            miss(world, group)
            await world.until(lambda: world.phase("train-0") == "Degraded")
        world.start()
        world.cluster.failing["evict"] = 2
        async with world.running():
            await world.until(lambda: "train-0" not in world.places(), seconds=10)
            assert evictions(world) == ["train-0"] * 3
            assert set(world.places()) == {"train-0-1"}

    asyncio.run(main())
