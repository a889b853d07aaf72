"""The service's verbs and views beside the lives of gangs: who is a member, readiness, the page."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extender.verbs import NOT_PLANNED
from extender.wire import FilterRequest, PreemptRequest
from scheduler.keys import RESOURCE_MEMBER
from tests.extender.world import World, drive


def asked(pod: Any) -> FilterRequest:
    """kube-scheduler offers two nodes."""
    return FilterRequest(
        pod=pod,
        namespace="default",
        name="x",
        uid="x",
        nominated=None,
        node_names=("n0", "n1"),
        nodes=None,
    )


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"containers": None},
        {"containers": [None]},
        {"containers": [{"resources": None}]},
        {"containers": [{"resources": {"limits": None}}]},
        {"containers": [{"resources": {"limits": [1]}}]},
        {"containers": [{"resources": {"requests": {"cpu": "1"}}}]},
    ],
)
def test_a_plain_pod_keeps_its_nodes_and_candidates(spec: Any) -> None:
    """Default configuration: whatever is no member passes, however odd it is."""

    async def scenario(world: World) -> None:
        pod = {"metadata": {"uid": "x"}, "spec": spec}
        assert world.service.filter(asked(pod)).nodes == ("n0", "n1")
        victims = PreemptRequest(pod=pod, uid="x", victims={"n0": ()}, pdb_violations={"n0": 0})
        assert world.service.preempt(victims) == ("n0",)

    drive(scenario)


@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_a_member_without_a_plan_gets_no_node_and_no_victim(kind: str) -> None:
    """Who carries a membership resource is ours, in any container."""

    async def scenario(world: World) -> None:
        side = {"resources": {kind: {RESOURCE_MEMBER: "1"}}}
        pod = {"metadata": {"uid": "x"}, "spec": {"containers": [{}, side]}}
        answer = world.service.filter(asked(pod))
        assert (answer.nodes, set(answer.refused or {})) == ((), {"n0", "n1"})
        victims = PreemptRequest(pod=pod, uid="x", victims={"n0": ()}, pdb_violations={"n0": 0})
        assert world.service.preempt(victims) == ()

    drive(scenario)


def test_a_bind_without_a_plan_succeeds_only_for_what_is_bound() -> None:
    """Success without a Binding is impossible: the pod itself must be seen on that node."""

    async def scenario(world: World) -> None:
        world.pod("free")
        world.pod("there", nodeName="n0")
        await asyncio.sleep(0.01)
        assert await world.bind("free", "n0") == NOT_PLANNED
        assert await world.bind("there", "n1") == NOT_PLANNED
        assert await world.bind("there", "n0") == ""

    drive(scenario)


def test_the_page_tells_what_the_gang_object_tells() -> None:
    """One source of words: the record."""

    async def scenario(world: World) -> None:
        world.gang("g", 3)
        await world.until(lambda: world.phase() == "Waiting")
        assert world.status()["message"] in world.service.page()
        assert world.service.picture().gangs == {("Waiting", world.status()["reason"]): 1}

    drive(scenario)


def test_a_replica_answers_verbs_only_when_synced_and_leading() -> None:
    """Readiness says what is missing."""

    async def scenario(world: World) -> None:
        seen = [world.service.active]
        world.service.synced = True
        seen.append(world.service.active)
        world.engine.stop_leading()
        seen.append(world.service.active)
        assert seen == [False, True, False]

    drive(scenario)
