"""Members that come later than their leader: places held by placeholders and handed over, in one process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from extender.config import Config
from extender.places import place_name
from scheduler.keys import GATE, PLACE, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.reservation import State
from tests.extender.cluster import Object
from tests.extender.world import QUICK, World, drive
from topology import keys
from topology.keys import NVIDIA_GPU

GANG = "default/l-0"
SET = "LeaderWorkerSet.leaderworkerset.x-k8s.io"


def template(gpus: int = 8) -> Object:
    """What the set says of its pods."""
    limits = {NVIDIA_GPU: str(gpus)}
    return {"spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}}


def worker_set(world: World, size: int) -> None:
    """A LeaderWorkerSet that makes workers when their leader is ready, and later each by itself."""
    world.cluster.put(
        SET,
        {
            "apiVersion": f"{keys.LWS_GROUP}/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": "l", "namespace": "default", "uid": "lws"},
            "spec": {
                "startupPolicy": "LeaderReady",
                "leaderWorkerTemplate": {
                    "size": size,
                    "restartPolicy": "None",
                    "workerTemplate": template(),
                },
            },
        },
    )


def member(world: World, name: str, index: int, size: int, gpus: int = 8, uid: str = "") -> None:
    """A pod of group 0 as LWS and admission make it."""
    metadata: dict[str, Any] = {
        "labels": {
            keys.LWS_NAME: "l",
            keys.LWS_GROUP_INDEX: "0",
            keys.LWS_WORKER_INDEX: str(index),
        },
        "annotations": {keys.LWS_SIZE: str(size)},
    }
    owner = "l" if index == 0 else "l-0"
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": owner}
    metadata["ownerReferences"] = [{**reference, "controller": True}]
    limits = {NVIDIA_GPU: str(gpus), RESOURCE_MEMBER: "1", RESOURCE_BIND: "1"}
    world.pod(
        name,
        metadata=metadata,
        schedulingGates=[{"name": GATE}],
        containers=[{"name": "c", "resources": {"limits": limits}}],
        uid=uid,
    )


async def awaiting(world: World, size: int = 2) -> None:
    """A group of which the leader is bound and nobody else exists."""
    worker_set(world, size)
    member(world, "l-0", 0, size)
    assert await (await world.arrive("l-0")) == ""
    await world.until(lambda: world.stands(State.AWAITING, GANG))


def placeholders(world: World) -> list[Object]:
    """The pods that hold places."""
    return [p for p in world.cluster.all("Pod") if PLACE in p["metadata"].get("labels", {})]


def test_places_are_held_before_the_leader_may_go() -> None:
    """A leader that is bound first could find its workers' places taken."""

    async def scenario(world: World) -> None:
        await awaiting(world, size=3)
        order = [call for call, _ in world.cluster.calls]
        assert order.count("create_place") == 2
        last_place = max(i for i, call in enumerate(order) if call == "create_place")
        assert last_place < order.index("ungate")
        nodes = {pod["status"]["nominatedNodeName"] for pod in placeholders(world)}
        assert nodes == {"n0", "n1", "n2"} - set(world.places().values())
        for pod in placeholders(world):
            assert pod["spec"]["schedulingGates"] == [{"name": PLACE}]
            assert pod["spec"]["containers"][0]["resources"]["limits"] == {NVIDIA_GPU: "8"}

    drive(scenario, nodes=3)


def test_a_member_that_comes_takes_its_place_over() -> None:
    """Nominate it, let the placeholder go, then ungate: the place is held all the time."""

    async def scenario(world: World) -> None:
        await awaiting(world)
        [held] = placeholders(world)
        node = held["status"]["nominatedNodeName"]
        before = len(world.cluster.calls)
        member(world, "l-0-1", 1, 2)
        assert await (await world.arrive("l-0-1")) == ""
        assert world.places()["l-0-1"] == node
        steps = [call for call, _ in world.cluster.calls[before:]]
        assert (
            steps.index("nominate")
            < steps.index("delete_place")
            < steps.index("ungate")
            < steps.index("bind")
        )
        await world.until(lambda: world.phase("l-0") == "Bound")
        assert not placeholders(world)

    drive(scenario)


def test_the_guarded_configuration_needs_no_placeholders() -> None:
    """There the filter holds the places."""

    async def scenario(world: World) -> None:
        await awaiting(world)
        assert not placeholders(world)
        assert world.ledger.reserved_nodes() >= {"n0", "n1"} - set(world.places().values())

    drive(scenario, replace(QUICK, guarded=True))


def test_a_placeholder_whose_nomination_is_gone_gets_it_again() -> None:
    """kube-scheduler forgot it."""

    async def scenario(world: World) -> None:
        await awaiting(world)
        [held] = placeholders(world)
        node = held["status"]["nominatedNodeName"]
        world.fail_attempt(held["metadata"]["name"])
        await world.until(lambda: placeholders(world)[0]["status"]["nominatedNodeName"] == node)

    drive(scenario)


def test_a_restart_goes_on_and_removes_what_nobody_wants() -> None:
    """The Gang object says which places are held; a placeholder of nobody is deleted."""

    async def first(world: World) -> None:
        await awaiting(world)

    world = drive(first)

    async def after() -> None:
        world.start()
        stray: Object = {
            "metadata": {"name": "place-old-0", "namespace": "muster-system", "uid": "u"},
            "spec": {"containers": []},
            "status": {},
        }
        stray["metadata"]["labels"] = {PLACE: "gone"}
        world.cluster.put("Pod", stray)
        [held] = [p for p in placeholders(world) if p["metadata"]["name"] != "place-old-0"]
        async with world.running():
            await world.until(lambda: world.stands(State.AWAITING, GANG))
            await world.until(lambda: len(placeholders(world)) == 1)
            reservation = world.reservation(GANG)
            assert reservation is not None
            assert held["metadata"]["name"] == place_name(reservation, 1)
            member(world, "l-0-1", 1, 2)
            assert await (await world.arrive("l-0-1")) == ""

    asyncio.run(after())


def test_a_late_member_that_asks_for_more_is_planned_anew() -> None:
    """Its place was planned for what the template said; with the leader it cannot stay, and that is told."""

    async def scenario(world: World) -> None:
        await awaiting(world)
        member(world, "l-0-1", 1, 2, gpus=16)
        await world.until(lambda: not world.stands(State.AWAITING, GANG))
        assert not placeholders(world) or world.stands(State.ABORTING, GANG)
        await world.until(lambda: "does not request what its place" in str(world.cluster.events))

    drive(scenario)


def patient(seconds: float) -> Config:
    """Places of late members are held so long."""
    return replace(QUICK, limits=replace(QUICK.limits, late_seconds=seconds))


def test_a_leader_that_is_never_ready_gives_the_places_back() -> None:
    """The Gang says so, also after a restart; when the member comes after all it is planned."""

    async def scenario(world: World) -> None:
        await awaiting(world)
        await world.until(lambda: world.status("l-0").get("reason") == "LeaderNeverReady")
        assert world.phase("l-0") == "Waiting"
        await world.until(lambda: not placeholders(world))
        assert world.reservation(GANG) is None

    world = drive(scenario, patient(0.2))

    async def after() -> None:
        world.start()
        async with world.running():
            await asyncio.sleep(0.3)
            assert world.reservation(GANG) is None
            assert world.status("l-0")["reason"] == "LeaderNeverReady"
            member(world, "l-0-1", 1, 2)
            assert await (await world.arrive("l-0-1")) == ""

    asyncio.run(after())


async def whole(world: World, size: int = 2) -> None:
    """A group that runs whole."""
    await awaiting(world, size)
    for index in range(1, size):
        member(world, f"l-0-{index}", index, size)
        assert await (await world.arrive(f"l-0-{index}")) == ""
    await world.until(lambda: world.phase("l-0") == "Bound" and world.stands(None, GANG))


def test_a_placeholder_of_a_gang_that_is_gone_goes_before_others_come() -> None:
    """Else kube-scheduler would find no room for the gang that is planned there next."""

    async def scenario(world: World) -> None:
        await awaiting(world)
        [held] = placeholders(world)
        name = held["metadata"]["name"]
        world.cluster.seconds["delete_place", name] = 0.2
        world.gang("g", 2)
        world.cluster.delete("Pod", "l-0")
        await world.ungated()
        calls = world.cluster.calls
        assert calls.index(("delete_place", name)) < calls.index(("ungate", "g-0"))

    drive(scenario)


def test_a_late_member_of_a_whole_gang_that_is_lost_makes_it_degraded() -> None:
    """It served before: whatever happens until the member is there again, nobody is evicted."""

    async def scenario(world: World) -> None:
        await whole(world)
        lost = world.places()["l-0-1"]
        world.node(lost, unschedulable=True)
        world.cluster.delete("Pod", "l-0-1")
        await world.until(lambda: world.phase("l-0") == "Degraded")
        await asyncio.sleep(QUICK.limits.abort_seconds)
        assert world.phase("l-0") == "Degraded"
        world.node(lost)
        await world.until(lambda: placeholders(world))
        assert world.phase("l-0") == "Degraded"
        world.node(lost, unschedulable=True)
        await world.until(lambda: world.stands(State.DEGRADED, GANG))
        member(world, "l-0-1", 1, 2)
        await asyncio.sleep(QUICK.limits.abort_seconds * 2)
        assert world.phase("l-0") == "Degraded" and ("evict", "l-0") not in world.cluster.calls
        world.node(lost)
        assert await (await world.arrive("l-0-1")) == ""
        await world.until(lambda: world.phase("l-0") == "Bound")

    drive(scenario)


def test_places_held_for_one_life_of_a_group_are_not_those_of_the_next() -> None:
    """A place is held for a missing worker when the leader is replaced: the group is planned anew, whole."""

    async def scenario(world: World) -> None:
        await whole(world)
        world.cluster.delete("Pod", "l-0-1")
        await world.until(lambda: placeholders(world) and world.stands(State.AWAITING, GANG))
        world.cluster.delete("Pod", "l-0")
        member(world, "l-0", 0, 2, uid="next")
        assert await (await world.arrive("l-0")) == ""
        member(world, "l-0-1", 1, 2)
        assert await (await world.arrive("l-0-1")) == ""
        await world.until(lambda: world.phase("l-0") == "Bound" and not placeholders(world))

    drive(scenario)
