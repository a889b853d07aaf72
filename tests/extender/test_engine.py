"""Whole lives of gangs through engine, executor, reporter and service, on an in-memory cluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from scheduler.keys import ROLLBACK
from scheduler.kube.writes import BindOutcome, BindResult
from scheduler.reservation import State
from tests.extender.world import QUICK, World, drive

REFUSED = BindResult(outcome=BindOutcome.CONFLICT, message="admission said no")
LONG = replace(QUICK, limits=replace(QUICK.limits, abort_seconds=60))
OWNED = {"metadata": {"ownerReferences": [
    {"kind": "Job", "name": "j", "uid": "j", "controller": True, "apiVersion": "batch/v1"}
]}}  # fmt: skip


def test_a_gang_goes_the_straight_line() -> None:
    """Plan, commit, nominate, ungate, filter, barrier, bind; the reservation ends when all are seen."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        order = [write for write, _ in world.cluster.calls if write != "event"]
        assert order[:5] == ["write_gang", "nominate", "nominate", "ungate", "ungate"]
        first = await world.arrive("g-0")
        await asyncio.sleep(0.02)
        assert not first.done() and world.places() == {}
        second = await world.arrive("g-1")
        assert (await first, await second) == ("", "")
        await world.until(lambda: world.stands(None))
        assert sorted(world.places().values()) == ["n0", "n1"]
        await world.until(lambda: world.phase() == "Bound")
        assert world.ledger.reserved_nodes() == frozenset()

    drive(life)


def test_a_member_lost_while_planned_frees_every_place() -> None:
    """All or nothing: the sibling's held call is answered, nominations are cleared, nothing is held."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        call = await world.arrive("g-0")
        world.cluster.delete("Pod", "g-1")
        assert "pod g-1 was deleted" in await call
        await world.until(lambda: ("unnominate", "g-0") in world.cluster.calls)
        await world.until(lambda: world.phase() == "Waiting")
        assert world.ledger.reserved_nodes() == frozenset() and world.places() == {}
        world.member("g", 1, 2, uid="again")
        await world.bound()

    drive(life)


@pytest.mark.parametrize("how", ["cordoned", "gone"])
def test_a_planned_node_that_goes_away_is_replaced(how: str) -> None:
    """The gang is planned again on what is left, and bound there."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        reservation = world.reservation()
        assert reservation is not None
        node = reservation.assignment.slots[0].node
        if how == "gone":
            world.cluster.delete("Node", node)
        else:
            world.node(node, unschedulable=True)
        await world.until(lambda: (r := world.reservation()) and r.plan_id != reservation.plan_id)
        await world.bound()
        assert node not in world.places().values()

    drive(life, nodes=3)


def test_a_node_refused_in_tree_is_left_out_and_said() -> None:
    """A nomination that vanishes without our being asked: no node passed kube-scheduler's own filters."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        reservation = world.reservation()
        assert reservation is not None
        slot = reservation.assignment.slots[0]
        world.fail_attempt(slot.pod)
        await world.until(lambda: world.phase() == "Waiting")
        assert "1 refused by kube-scheduler lately" in world.status()["message"]
        assert world.snapshot_excluded() == (slot.node,)
        world.node("n2")
        await world.ungated()
        await world.bound()
        assert slot.node not in world.places().values()

    drive(life)


def test_the_planned_node_missing_from_the_list() -> None:
    """With our nomination on the pod it was refused; without, the list is a sample: nominate again."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        before = world.reservation()
        assert before is not None
        slot, other = before.assignment.slots
        world.cluster.get("Pod", slot.pod)["status"]["nominatedNodeName"] = None  # not watched yet
        nominated = world.cluster.calls.count(("nominate", slot.pod))
        assert world.filter(slot.pod, other.node).nodes == ()
        await world.until(
            lambda: world.cluster.calls.count(("nominate", slot.pod)) == nominated + 1
        )
        assert world.reservation() is not None and world.stands(State.RESERVED)
        await world.until(
            lambda: world.cluster.get("Pod", slot.pod)["status"]["nominatedNodeName"] == slot.node
        )
        assert world.filter(slot.pod, other.node).nodes == ()
        assert world.snapshot_excluded() == (slot.node,)
        after = world.reservation()
        assert after is None or after.plan_id != before.plan_id

    drive(life)


@pytest.mark.parametrize("rollback", ["owner", "annotation"])
def test_a_half_bound_gang_is_rolled_back(rollback: str) -> None:
    """A Binding refused for good after the first: Aborting, then the bound member is evicted."""

    async def life(world: World) -> None:
        options = OWNED if rollback == "owner" else {"annotations": {ROLLBACK: "delete"}}
        world.cluster.bind_answers["g-1"] = [REFUSED] * 50
        world.gang("g", 2, **options)
        calls = [await world.arrive("g-0"), await world.arrive("g-1")]
        answers = await asyncio.gather(*calls)
        assert answers[0] == "" and "admission said no" in answers[1]
        await world.until(lambda: world.phase() == "Aborting")
        await world.until(lambda: ("evict", "g-0") in world.cluster.calls)
        await world.until(lambda: world.places() == {} and world.phase() == "Waiting")
        assert not world.overbooked()

    drive(life)


def test_a_broken_gang_is_not_forgotten_while_the_watch_is_behind() -> None:
    """A member that is bound but not seen yet still counts: the gang stays Aborting, not released."""

    async def life(world: World) -> None:
        world.cluster.bind_answers["g-1"] = [REFUSED] * 50
        world.gang("g", 2)
        calls = [await world.arrive("g-0"), await world.arrive("g-1")]
        world.cluster.silent = True
        await asyncio.gather(*calls)
        await world.until(lambda: held(world) is State.ABORTING)
        await asyncio.sleep(0.1)
        assert held(world) is State.ABORTING
        world.cluster.hear()
        await world.until(lambda: world.phase() == "Degraded", 5)

    def held(world: World) -> State | None:
        reservation = world.reservation()
        return reservation.state if reservation else None

    drive(life)


def test_bare_pods_stay_and_the_gang_is_completed_later() -> None:
    """No owner, no annotation: Degraded with the missing place held; a later Binding completes it."""

    async def life(world: World) -> None:
        world.cluster.bind_answers["g-1"] = [REFUSED] * 3
        world.gang("g", 2)
        await asyncio.gather(await world.arrive("g-0"), await world.arrive("g-1"))
        await world.until(lambda: world.phase() == "Degraded", 5)
        assert ("evict", "g-0") not in world.cluster.calls
        world.cluster.bind_answers.clear()
        async with asyncio.timeout(5):
            while len(world.places()) < 2:
                if world.filter("g-1").nodes:
                    await (await world.arrive("g-1"))
                await asyncio.sleep(0.02)
        await world.until(lambda: world.phase() == "Bound")
        assert not world.overbooked()

    drive(life)


def test_a_degraded_gang_says_what_its_missing_member_waits_for() -> None:
    """A member was replaced and its place is gone: code and sentence are those of the present decision."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.bound()
        lost = world.places()["g-1"]
        world.cluster.delete("Pod", "g-1")
        world.node(lost, unschedulable=True)
        await world.until(lambda: world.phase() == "Degraded")
        await world.until(lambda: world.status()["reason"] == "MembersMissing")
        world.member("g", 1, 2, uid="again")
        await world.until(lambda: world.status()["reason"] == "Insufficient")
        message = world.status()["message"]
        assert message.startswith("1 of 2 members are bound; ")
        assert "each needs 8 nvidia.com/gpu" in message
        assert ("evict", "g-0") not in world.cluster.calls
        world.node(lost)
        await (await world.arrive("g-1"))
        await world.until(lambda: world.phase() == "Bound" and world.status()["reason"] == "")
        assert world.recorded() == world.places(), (
            "also the member that the last plan was not about"
        )

    drive(life)


def test_a_degraded_gang_whose_next_plan_is_lost_stays_degraded() -> None:
    """It ran whole before and may still serve: nobody is evicted, although its owner would recreate it."""

    async def life(world: World) -> None:
        world.gang("g", 2, **OWNED)
        await world.bound()
        lost = world.places()["g-1"]
        world.cluster.delete("Pod", "g-1")
        await world.until(lambda: world.phase() == "Degraded")
        world.member("g", 1, 2, uid="again", **OWNED)
        await world.until(lambda: world.stands(State.RESERVED))
        await asyncio.sleep(QUICK.limits.abort_seconds)
        world.node(lost, unschedulable=True)
        await world.until(lambda: world.stands(State.DEGRADED))
        await asyncio.sleep(QUICK.limits.abort_seconds * 2)
        assert world.phase() == "Degraded" and ("evict", "g-0") not in world.cluster.calls
        world.node(lost)
        await (await world.arrive("g-1"))
        await world.until(lambda: world.phase() == "Bound")
        assert "run" in world.status()["message"]

    drive(life)


def test_nominations_of_a_plan_that_was_given_up_go_before_others_come() -> None:
    """Else kube-scheduler would find no room for the gang that is planned there next."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        world.cluster.seconds["nominate", "g-0"] = 0.2
        world.gang("h", 2)
        world.cluster.delete("Pod", "g-1")
        await world.ungated("h")
        calls = world.cluster.calls
        assert calls.index(("unnominate", "g-0")) < calls.index(("ungate", "h-0"))

    drive(life)
