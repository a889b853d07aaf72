"""Whole lives of gangs when writes fail, replicas change or plain pods come between; what is reported."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from extender.wire import PreemptRequest
from scheduler.kube.writes import BindOutcome, BindResult
from scheduler.ledger import InFlight
from scheduler.progress import Limits
from scheduler.reservation import State
from tests.extender.cluster import Down
from tests.extender.world import QUICK, World, drive
from topology.keys import NVIDIA_GPU
from topology.resources import Resources

REFUSED = BindResult(outcome=BindOutcome.CONFLICT, message="admission said no")
LONG = replace(QUICK, limits=replace(QUICK.limits, abort_seconds=60))
OWNED = {"metadata": {"ownerReferences": [
    {"kind": "Job", "name": "j", "uid": "j", "controller": True, "apiVersion": "batch/v1"}
]}}  # fmt: skip


def test_a_commit_conflict_nominates_nothing() -> None:
    """Somebody else wrote the Gang object: no pod is touched until a commit holds."""

    async def life(world: World) -> None:
        world.cluster.conflicts = 2
        world.gang("g", 2)
        await world.until(lambda: world.cluster.conflicts == 0)
        assert {write for write, _ in world.cluster.calls} == {"write_gang"}
        await world.bound()

    drive(life)


def test_a_commit_without_an_answer_is_tried_again() -> None:
    """The API server is down during the commit: the places are not held for ever."""

    async def life(world: World) -> None:
        world.cluster.failing["write_gang"] = 2
        world.gang("g", 2)
        await world.bound()

    drive(life)


@pytest.mark.parametrize("write", ["nominate", "ungate"])
def test_a_step_without_an_answer_is_tried_again(write: str) -> None:
    """An API error while members are released costs a plan, not the whole reserve_seconds."""
    patient = replace(QUICK, limits=replace(QUICK.limits, reserve_seconds=60))

    async def life(world: World) -> None:
        world.cluster.failing[write] = 1
        world.gang("g", 2)
        await world.bound()

    drive(life, patient)


def test_a_binding_that_raises_does_not_hold_the_gang_for_ever() -> None:
    """Whatever the client raises: every call is answered and the reservation leaves Binding."""

    async def life(world: World) -> None:
        world.cluster.bind_answers["g-1"] = [Down("bind")] * 50
        world.gang("g", 2)
        calls = [await world.arrive("g-0"), await world.arrive("g-1")]
        answers = await asyncio.gather(*calls)
        assert answers[0] == "" and answers[1] != ""
        await world.until(lambda: not world.stands(State.BINDING))

    drive(life, LONG)


def test_places_are_held_while_bindings_are_on_their_way() -> None:
    """A member deleted in the middle of Binding: the sibling's Binding may still land on its place."""

    async def life(world: World) -> None:
        world.cluster.seconds = {("bind", "g-0"): 0.1, ("bind", "g-1"): 0.1}
        world.gang("g", 2)
        calls = [await world.arrive("g-0"), await world.arrive("g-1")]
        await world.until(lambda: world.stands(State.BINDING))
        world.cluster.delete("Pod", "g-1")
        await asyncio.sleep(0.03)
        assert world.ledger.reserved_nodes() == {"n0", "n1"}
        answers = await asyncio.gather(*calls)
        assert answers[0] == "" and answers[1] != ""
        await world.until(lambda: world.stands(State.ABORTING))

    drive(life, LONG)


def test_a_loss_during_the_commit_does_not_stop_the_cycle() -> None:
    """A member goes between proposal and commit: the plan is dropped and the next one goes through."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.until(lambda: world.stands(State.PROPOSED) or world.stands(State.RESERVED))
        world.cluster.delete("Pod", "g-1")
        await world.until(lambda: world.stands(None))
        world.member("g", 1, 2, uid="again")
        await world.bound()

    drive(life)


def test_two_calls_for_one_member_get_one_answer() -> None:
    """kube-scheduler may repeat a bind call: both are answered, the Binding is made once."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        calls = [await world.arrive("g-0"), await world.arrive("g-0"), await world.arrive("g-1")]
        assert await asyncio.gather(*calls) == ["", "", ""]
        assert world.cluster.calls.count(("bind", "g-0")) == 1
        assert await world.bind("g-0", world.places()["g-0"]) == ""

    drive(life)


def test_a_bind_for_another_node_is_refused() -> None:
    """Success without the planned Binding must be impossible."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        reservation = world.reservation()
        assert reservation is not None
        slot, other = reservation.assignment.slots
        answer = await world.bind(slot.pod, other.node)
        assert f"planned on {slot.node}, not on {other.node}" in answer
        assert world.places() == {}

    drive(life)


def test_the_barrier_gives_up_and_lets_the_call_come_again() -> None:
    """A sibling that does not come: an error after barrier_seconds, and no arrival stays on record."""
    config = replace(QUICK, barrier_seconds=0.1, limits=Limits(renominate_seconds=0.05))

    async def life(world: World) -> None:
        world.gang("g", 2)
        assert "not all members arrived within 0.1 s" in await (await world.arrive("g-0"))
        reservation = world.reservation()
        assert reservation is not None and reservation.arrived == frozenset()
        await world.bound()

    drive(life, config)


def test_a_replica_that_stops_leading_answers_and_forgets() -> None:
    """Another replica goes on from the Gang objects; held calls must not wait for it."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        call = await world.arrive("g-0")
        world.engine.stop_leading()
        assert "does not lead" in await call
        assert world.ledger.held() == () and world.places() == {}

    drive(life)


def test_room_taken_by_a_plain_pod_is_a_lost_place() -> None:
    """The default configuration cannot stop a plain pod of higher priority: the gang is planned again."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.ungated()
        world.pod("plain", nodeName="n0")
        await world.until(lambda: world.phase() == "Waiting")
        world.node("n2")
        await world.bound()
        assert "n0" not in {n for p, n in world.places().items() if p.startswith("g-")}
        assert not world.overbooked()

    drive(life)


@pytest.mark.parametrize("stuck", ["nominate", "ungate", "bind", ""])
def test_a_restart_goes_on_in_the_middle(stuck: str) -> None:
    """A new process that knows only the API server's objects brings the gang to its end, as planned."""

    async def main() -> None:
        world = World(QUICK)
        for index in range(2):
            world.node(f"n{index}")
        world.cluster.seconds[stuck, "g-1"] = 9
        async with world.running():
            world.gang("g", 2)
            await world.until(lambda: world.phase() == "Planned")
            members = world.status()["members"]
            if stuck == "ungate":
                await world.until(lambda: ("ungate", "g-0") in world.cluster.calls)
            elif stuck != "nominate":
                calls = [await world.arrive("g-0"), await world.arrive("g-1")]
                await calls[0]
        world.cluster.seconds.clear()
        world.start()
        async with world.running():
            for index in range(2):
                if f"g-{index}" not in world.places():
                    await world.arrive(f"g-{index}")
            await world.until(lambda: world.phase() == "Bound" and world.stands(None))
            assert world.places() == {m["pod"]: m["node"] for m in members}
        for call in asyncio.all_tasks() - {asyncio.current_task()}:
            call.cancel()

    asyncio.run(main())


@pytest.mark.parametrize("phase", ["Aborting", "Degraded"])
def test_a_restart_keeps_a_broken_gang_under_its_rules(phase: str) -> None:
    """Aborting ends as Degraded for bare pods, Degraded stays; both are completed when they can be."""

    async def main() -> None:
        world = World(QUICK)
        for index in range(2):
            world.node(f"n{index}")
        world.cluster.bind_answers["g-1"] = [REFUSED] * 50
        async with world.running():
            world.gang("g", 2)
            await asyncio.gather(await world.arrive("g-0"), await world.arrive("g-1"))
            await world.until(lambda: world.phase() == phase)
        world.start()
        async with world.running():
            await world.until(lambda: world.phase() == "Degraded")
            assert "g-0" in world.places() and ("evict", "g-0") not in world.cluster.calls
            world.cluster.bind_answers.clear()
            await (await world.arrive("g-1"))
            await world.until(lambda: world.phase() == "Bound")

    asyncio.run(main())


def test_a_late_binding_is_adopted() -> None:
    """A Binding that lands after its plan was given up: the gang comes under the rules of a broken one."""

    async def life(world: World) -> None:
        world.node("n1", unschedulable=True)
        world.gang("g", 2, **OWNED)
        await world.until(lambda: world.phase() == "Waiting")
        pod = world.cluster.get("Pod", "g-0")
        pod["spec"].update(nodeName="n0", schedulingGates=[])
        world.cluster.put("Pod", pod)
        await world.until(lambda: world.stands(State.ABORTING))
        await world.until(lambda: ("evict", "g-0") in world.cluster.calls)
        await world.until(lambda: world.stands(None) or world.places() == {})

    drive(life)


def preempt_of(world: World, name: str) -> PreemptRequest:
    """kube-scheduler offers every node with one victim."""
    pod = world.cluster.get("Pod", name)
    return PreemptRequest(
        pod=pod, uid=pod["metadata"]["uid"], victims={"n0": ("v",)}, pdb_violations={"n0": 0}
    )


def in_flight(gpus: int) -> InFlight:
    """A plain pod that was let through now."""
    request = Resources({NVIDIA_GPU: gpus})
    return InFlight(request=request, nodes=frozenset({"n0"}), since_seconds=time.monotonic())


GUARDED = replace(QUICK, guarded=True, barrier_seconds=0.3)


def test_a_burst_of_plain_pods_never_exceeds_the_room_beside_a_reservation() -> None:
    """Guarded: each pod let through counts on every node it may land on until its end is seen."""

    async def life(world: World) -> None:
        world.gang("g", 1, gpus=6)
        await world.until(lambda: world.stands(State.RESERVED))
        for name in ("a", "b", "c"):
            world.pod(name, gpus=2)
        await asyncio.sleep(0.01)
        assert world.filter("a").nodes == ("n0",)
        assert world.filter("b").nodes == ()
        pod = world.cluster.get("Pod", "a")
        pod["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        ]
        world.cluster.put("Pod", pod)
        await asyncio.sleep(0.01)
        assert world.filter("b").nodes == ("n0",)
        world.cluster.delete("Pod", "b")
        await asyncio.sleep(0.01)
        assert world.filter("c").nodes == ("n0",)
        await world.until(lambda: not world.ledger.in_flight())
        assert world.service.preempt(preempt_of(world, "g-0")) == ()

    drive(life, GUARDED, nodes=1)


def test_room_of_pods_on_their_way_is_planned_when_it_comes_back() -> None:
    """Guarded: when a plain pod's time is over no event comes, and the waiting gang is planned yet."""

    async def life(world: World) -> None:
        world.pod("a", gpus=8)
        await asyncio.sleep(0.01)
        world.gang("first", 1, gpus=1)
        await world.until(lambda: world.stands(State.RESERVED, "default/first"))
        world.ledger.let_through("a-uid", in_flight(7))
        world.gang("g", 1, gpus=7)
        await world.until(lambda: world.phase() == "Waiting")
        await world.until(lambda: world.stands(State.RESERVED))

    drive(life, GUARDED, nodes=1)


def test_status_event_and_text_are_one_string_and_written_once() -> None:
    """The words of a waiting gang are the same everywhere; an idle cluster is not written to."""

    async def life(world: World) -> None:
        world.gang("g", 3)
        await world.until(lambda: world.phase() == "Waiting")
        gang = world.state.gang("default/g")
        assert gang is not None
        text = world.status()["message"]
        assert world.reporter.record(gang).message == text
        await world.until(lambda: len(world.cluster.events) == 4)
        assert {told for _, _, told in world.cluster.events} == {text}
        writes = len(world.cluster.calls)
        world.reporter.wake()
        await asyncio.sleep(0.25)
        assert len(world.cluster.calls) == writes

    drive(life)


def test_nothing_is_reported_before_the_first_decision_and_nothing_stays() -> None:
    """The first report is a decision's; the Gang object goes with the gang's last member."""

    async def life(world: World) -> None:
        world.gang("g", 2)
        await world.bound()
        phases = [text for _, text, _ in world.cluster.events]
        assert "Waiting" not in phases
        world.cluster.delete("Pod", "g-0")
        world.cluster.delete("Pod", "g-1")
        await world.until(lambda: world.phase() == "" and world.stands(None))

    drive(life)
