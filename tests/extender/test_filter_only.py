"""In a kube-scheduler with another binder (HAMi's) Muster filters, and sees by the watch who is bound."""

from __future__ import annotations

from dataclasses import replace

from scheduler.keys import NODE, PLAN
from scheduler.progress import Limits
from scheduler.reservation import State
from tests.extender.world import QUICK, World, drive

LIMITS = Limits(reserve_seconds=0.3, abort_seconds=2, renominate_seconds=0.05)
FILTER_ONLY = replace(QUICK, filter_only=True, limits=LIMITS)


async def let_go(world: World, name: str) -> str:
    """A member's way through our filter; returns its node."""
    await world.until(lambda: not world.cluster.get("Pod", name)["spec"]["schedulingGates"])
    await world.until(lambda: world.filter(name).nodes)
    return world.filter(name).nodes[0]


def bound_by_hami(world: World, name: str, node: str) -> None:
    """The other binder has created the Binding."""
    pod = world.cluster.get("Pod", name)
    pod["spec"]["nodeName"] = node
    world.cluster.put("Pod", pod)


def test_a_gang_becomes_bound_without_a_bind_call() -> None:
    """Level-triggered: one member after the other is seen, and places are held until the last one is."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        nodes = {name: await let_go(world, name) for name in ("g-0", "g-1")}
        for name, node in nodes.items():
            annotations = world.cluster.get("Pod", name)["metadata"]["annotations"]
            assert annotations[NODE] == node and annotations[PLAN], "no Binding of ours will say it"
        bound_by_hami(world, "g-0", nodes["g-0"])
        await world.until(lambda: (r := world.reservation()) and r.seen == {"g-0-uid"})
        assert world.ledger.reserved_nodes() == {nodes["g-1"]}
        bound_by_hami(world, "g-1", nodes["g-1"])
        await world.until(lambda: world.phase() == "Bound" and world.stands(None))
        assert not [call for call in world.cluster.calls if call[0] == "bind"]

    drive(life, FILTER_ONLY)


def test_a_member_that_is_not_bound_is_placed_elsewhere() -> None:
    """Its sibling runs: only the one that the binder could not bind gets another node, and says so."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        nodes = {name: await let_go(world, name) for name in ("g-0", "g-1")}
        bound_by_hami(world, "g-0", nodes["g-0"])
        first = world.reservation()
        assert first is not None
        await world.until(
            lambda: (
                (r := world.reservation())
                and r.plan_id != first.plan_id
                and r.state is State.RESERVED
            )
        )
        await world.until(lambda: world.filter("g-1").nodes not in ((), (nodes["g-1"],)))
        (other,) = world.filter("g-1").nodes
        assert other not in nodes.values()
        await world.until(
            lambda: world.cluster.get("Pod", "g-1")["metadata"]["annotations"][NODE] == other
        )
        bound_by_hami(world, "g-1", other)
        await world.until(lambda: world.phase() == "Bound" and world.stands(None))

    drive(life, FILTER_ONLY, nodes=3)
