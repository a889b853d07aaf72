"""Gangs of which more is asked while they run: what runs serves on, what was added comes whole or waits."""

from __future__ import annotations

import asyncio

from scheduler.keys import GANG, GATE, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.kube.writes import BindOutcome, BindResult
from tests.extender.world import QUICK, World, drive
from topology.keys import NVIDIA_GPU

REFUSED = BindResult(outcome=BindOutcome.CONFLICT, message="admission said no")
OWNER = {"kind": "ReplicaSet", "name": "r", "uid": "r", "controller": True}


def join(world: World, *indexes: int, uid: str = "") -> None:
    """Members of gang g, whose size is what exists; their owner makes them again when they are evicted."""
    limits = {NVIDIA_GPU: "8", RESOURCE_MEMBER: "1", RESOURCE_BIND: "1"}
    for index in indexes:
        world.pod(
            f"g-{index}",
            uid=uid,
            metadata={"annotations": {GANG: "g"}, "ownerReferences": [OWNER]},
            schedulingGates=[{"name": GATE}],
            containers=[{"name": "c", "resources": {"limits": limits}}],
        )


def evictions(world: World) -> list[str]:
    """Pods that were evicted."""
    return [name for verb, name in world.cluster.calls if verb == "evict"]


def test_a_gang_that_grows_serves_on() -> None:
    """Two run and two are added with room for one: still Bound, with the reason why the others wait; also
    after a restart. With room for both they are bound together."""

    async def main() -> None:
        world = World(QUICK)
        for index in range(3):
            world.node(f"n{index}")
        async with world.running():
            join(world, 0, 1)
            await world.bound()
            join(world, 2, 3)
            await world.until(lambda: world.status()["reason"] == "Insufficient")
            message = world.status()["message"]
        for _ in range(2):
            async with world.running():
                await asyncio.sleep(2 * QUICK.limits.abort_seconds)
                status = world.status()
                assert (status["phase"], status["ready"]) == ("Bound", "2/4")
                assert (status["reason"], status["message"]) == ("Insufficient", message)
                assert world.stands(None) and len(world.places()) == 2
                assert world.recorded() == world.places()
            world.start()
        assert message.startswith("2 of 4 members run; waits: ")
        assert "1 of 2 members fit" in message
        async with world.running():
            world.node("n3")
            calls = [await world.arrive("g-2"), await world.arrive("g-3")]
            assert await asyncio.gather(*calls) == ["", ""]
            await world.until(lambda: world.phase() == "Bound" and world.status()["reason"] == "")
            assert len(world.places()) == 4
        assert evictions(world) == []

    asyncio.run(main())


def test_added_members_of_which_one_fails() -> None:
    """One Binding is refused for longer than a broken gang may stay so: nobody is evicted, the gang is not
    called broken, and the last member follows."""

    async def life(world: World) -> None:
        join(world, 0, 1)
        await world.bound()
        world.cluster.bind_answers["g-3"] = [REFUSED] * 500
        join(world, 2, 3)
        await asyncio.gather(await world.arrive("g-2"), await world.arrive("g-3"))
        await world.until(lambda: "g-2" in world.places() and world.status()["ready"] == "3/4")
        await asyncio.sleep(3 * QUICK.limits.abort_seconds)
        assert evictions(world) == [] and not world.overbooked()
        world.cluster.bind_answers.clear()
        async with asyncio.timeout(5):
            while len(world.places()) < 4:
                if world.filter("g-3").nodes:
                    await (await world.arrive("g-3"))
                await asyncio.sleep(0.02)
        await world.until(lambda: world.phase() == "Bound" and world.status()["ready"] == "4/4")
        assert evictions(world) == []

    drive(life, nodes=4)


def test_a_member_that_is_lost_while_the_gang_grows() -> None:
    """Below what once was whole it is Degraded; as soon as it is that again it only grows."""

    async def life(world: World) -> None:
        join(world, 0, 1)
        await world.bound()
        join(world, 2, 3)
        await world.until(lambda: world.status()["reason"] == "Insufficient")
        world.cluster.delete("Pod", "g-1")
        await world.until(lambda: world.phase() == "Degraded")
        join(world, 1, uid="again")
        await asyncio.sleep(0.1)
        assert world.phase() == "Degraded"
        # By hand, since it must start together with the others.
        pod = world.cluster.get("Pod", "g-1")
        pod["spec"].update(nodeName="n2", schedulingGates=[])
        world.cluster.put("Pod", pod)
        await world.until(lambda: world.phase() == "Bound")
        assert world.status()["ready"] == "2/4" and world.stands(None)
        assert evictions(world) == []

    drive(life, nodes=3)
