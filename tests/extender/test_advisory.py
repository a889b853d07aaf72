"""The live service works out, for gangs that wait for room, which nodes would start them."""

from __future__ import annotations

import asyncio

from extender.views import Views
from scheduler.gang_object import read_record
from tests.extender.world import World, drive


def advised(world: World, gang: str = "g") -> list[str]:
    """The messages in the gang's object."""
    record = read_record(world.cluster.objects.get(("Gang", gang), {}))
    return [one.message for one in record.scale_out] if record else []


def test_a_waiting_gang_is_told_what_it_lacks() -> None:
    """It stands in the Gang object, follows the cluster, and goes when the gang gets its places."""

    async def scenario(world: World) -> None:
        advisory = world.service.advisory
        world.gang("g", 4)
        await world.until(lambda: world.phase("g") == "Waiting")
        await advisory.round()
        await world.until(lambda: advised(world) == ["2 more nodes like n0 would do"])
        world.node("n2")
        await world.until(lambda: len(world.state.nodes) == 3)
        await advisory.round()
        await world.until(lambda: advised(world) == ["1 more node like n0 would do"])
        world.node("n3")
        await world.until(lambda: world.phase("g") == "Planned")
        assert advised(world) == []
        await advisory.round()
        assert advisory.of("default/g") is None

    drive(scenario)


def test_nothing_is_worked_out_twice() -> None:
    """While the cluster does not change a round has nothing to do."""

    async def scenario(world: World) -> None:
        advisory = world.service.advisory
        world.gang("g", 4)
        await world.until(lambda: world.phase("g") == "Waiting")
        await advisory.round()
        before = advisory.of("default/g")
        assert before
        await advisory.round()
        assert advisory.of("default/g") is before

    drive(scenario)


def test_a_round_ends_in_time_and_the_next_goes_on() -> None:
    """However many gangs wait, one at least gets its advice, and in the end all do."""

    async def scenario(world: World) -> None:
        advisory = world.service.advisory
        for size in (3, 4, 5):
            world.gang(f"g{size}", size)
        await world.until(lambda: all(world.phase(f"g{s}") == "Waiting" for s in (3, 4, 5)))
        known = []
        for _ in range(3):
            await advisory.round(seconds=0)
            known.append(sum(bool(advisory.of(f"default/g{size}")) for size in (3, 4, 5)))
        assert known == [1, 2, 3]

    drive(scenario)


def test_advice_on_record_survives_a_restart() -> None:
    """Until a new process has worked it out again the old advice stays: hundreds of writes are saved."""

    async def scenario(world: World) -> None:
        advisory = world.service.advisory
        world.gang("g", 4)
        await world.until(lambda: world.phase("g") == "Waiting")
        await advisory.round()
        await world.until(lambda: advised(world))

    world = drive(scenario)
    told = advised(world)

    async def again() -> None:
        world.start()
        async with world.running():
            await world.until(lambda: "default/g" in world.engine.latest)
            gang = world.state.gang("default/g")
            assert gang is not None
            record = world.reporter.record(gang)
            assert [one.message for one in record.scale_out] == told

    asyncio.run(again())


def test_the_call_answers_from_the_present_cluster() -> None:
    """GRPC asks anew; a gang that does not wait, or does not exist, gets an empty answer."""

    async def scenario(world: World) -> None:
        views = Views(world.service)
        world.gang("g", 4)
        world.gang("fits", 1)
        await world.until(
            lambda: world.phase("g") == "Waiting" and world.phase("fits") == "Planned"
        )
        [advice] = await views.scale_out("default", "g")
        assert (advice.nodes, advice.like) == (3, "n0")
        assert await views.scale_out("default", "fits") == ()
        assert await views.scale_out("default", "nobody") == ()
        planned = await views.plan(b"", live=True)
        assert planned.advice == {"default/g": (advice,)}

    drive(scenario)
