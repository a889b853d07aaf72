"""Which flavor the webhook writes: one for all members of a gang, from what this replica knows."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from extender import admission_choice
from extender.admission_choice import Admission
from extender.config import Config
from scheduler import foreign, keys
from scheduler.ledger import Ledger
from scheduler.model import GangAssignment, Plan, Slot
from scheduler.policy import Policy
from scheduler.reservation import Trigger
from scheduler.rewrite import written
from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.state import ClusterState
from tests.extender.patches import patched
from tests.objects import Object, flavor, node, pod
from tests.scheduler.test_variants import ASCEND, NVIDIA, member, on_ascend, owned, recorded
from topology.keys import ASCEND_910, NVIDIA_GPU
from topology.resources import Resources

ON = Config(rewrites=True)


class Webhook:
    """The webhook of one replica, and the cluster that it knows."""

    def __init__(self, *objects: Object, config: Config = ON) -> None:
        self.state = ClusterState(rewrites=config.rewrites, schedulers=config.schedulers)
        self.ledger = Ledger()
        self.solved: list[str] = []
        self.solves = 0
        self.pause_seconds = 0.0
        self.admission = Admission(config, self.state, self.ledger, self._solve, self._snapshot)
        self.add(NVIDIA, ASCEND, *objects)

    def add(self, *objects: Object) -> None:
        """Let the watch show some objects."""
        for obj in objects:
            kind = foreign.kind_of(obj)
            self.state.apply(kind if kind in foreign.KINDS else obj["kind"], "ADDED", obj)

    def _snapshot(self) -> Snapshot:
        return self.state.snapshot(self.ledger.held())

    def _solve(self, snapshot: Snapshot, policy: Policy) -> Plan:
        self.solves += 1
        self.solved += [gang.key for gang in snapshot.gangs]
        time.sleep(self.pause_seconds)
        return solve(snapshot, policy)

    async def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        """The pod as the API server would store it."""
        obj = copy.deepcopy(obj)
        for key in ("uid", "creationTimestamp"):
            obj["metadata"].pop(key, None)
        request = {"uid": "r", "namespace": obj["metadata"]["namespace"], "object": obj}
        body = json.dumps({"request": {**request, "dryRun": dry_run}}).encode()
        response = (await self.admission.review(body))["response"]
        assert response["allowed"] and response["uid"] == "r"
        patch = json.loads(base64.b64decode(response.get("patch", "W10=")))
        return patched(obj, patch)

    def reserve(self, gang: str, flavor_: str) -> None:
        """A reservation whose members are still to be made."""
        slot = Slot(
            pod="", uid="", role="main", rank=0, node="b", request=Resources({ASCEND_910: 8})
        )
        places = GangAssignment(
            namespace="default", gang=gang, slots=(slot,), placed=True, flavor=flavor_
        )
        self.ledger.propose(places, "plan", 0.0)
        self.ledger.handle(places.key, Trigger.COMMITTED, 0.0, "")


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario in a loop of its own."""
    asyncio.run(asyncio.wait_for(scenario(), 20))


FLEET = (node("a", "h100"), node("b", "ascend"), node("c", "ascend"))
FULL = (*FLEET, pod("busy", node="a"))


def test_the_best_flavor_on_which_the_whole_gang_fits_is_written() -> None:
    """One NVIDIA node is free, and the gang has two members: both go to Ascend from the first pod on."""

    async def scenario() -> None:
        webhook = Webhook(*FLEET)
        first = await webhook.create(member(0))
        assert written(first) == "ascend"
        amounts = first["spec"]["containers"][0]["resources"]["limits"]
        assert (amounts[ASCEND_910], NVIDIA_GPU in amounts) == ("8", False)
        assert first["spec"]["schedulingGates"] == [{"name": keys.GATE}]
        webhook = Webhook(*FLEET, node("d", "h100"))
        assert written(await webhook.create(member(0))) is None

    run(scenario)


def test_when_nothing_fits_the_first_flavor_is_written() -> None:
    """The gang waits as its owner made it; the planner changes it when another becomes possible."""

    async def scenario() -> None:
        webhook = Webhook(node("a", "h100"))
        assert written(await webhook.create(member(0))) is None
        ascend_first = owned(pod("h-0", "h", flavors="ascend,nvidia", gang_size="2"))
        assert written(await webhook.create(ascend_first)) == "ascend"

    run(scenario)


def test_all_members_get_the_same_although_the_watch_is_late() -> None:
    """The choice for the first is remembered for its siblings; room that came free changes nothing."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        assert written(await webhook.create(member(0))) == "ascend"
        webhook.add(node("d", "h100"), node("e", "h100"))
        assert written(await webhook.create(member(1))) == "ascend"
        assert webhook.solved == ["default/g"]

    run(scenario)


def test_all_members_get_the_same_when_they_come_at_once() -> None:
    """A StatefulSet with parallel pods: one choice is made, the other calls wait for it."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        pods = await asyncio.gather(webhook.create(member(0)), webhook.create(member(1)))
        assert [written(each) for each in pods] == ["ascend", "ascend"]
        assert webhook.solved == ["default/g"]

    run(scenario)


def test_a_dry_run_leaves_nothing_behind() -> None:
    """It says what would be written, and the next call decides anew."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        assert written(await webhook.create(member(0), dry_run=True)) == "ascend"
        webhook.add(node("d", "h100"), node("e", "h100"))
        assert written(await webhook.create(member(0))) is None

    run(scenario)


def test_a_new_member_is_like_the_members_that_exist() -> None:
    """Whatever would fit now: a gang is of one flavor."""

    async def scenario() -> None:
        webhook = Webhook(*FLEET, node("d", "h100"), on_ascend(member(0, node="b")))
        assert written(await webhook.create(member(1))) == "ascend"
        webhook = Webhook(*FULL, member(0))
        assert written(await webhook.create(member(1))) is None
        assert webhook.solved == []

    run(scenario)


def test_a_reservation_tells_what_the_members_are_to_become() -> None:
    """The planner changed the flavor and has the pods made anew: the old ones still exist."""

    async def scenario() -> None:
        webhook = Webhook(*FLEET, node("d", "h100"), member(0), member(1))
        webhook.reserve("g", "ascend")
        assert written(await webhook.create(member(0))) == "ascend"
        back = Webhook(*FLEET, on_ascend(member(0)), on_ascend(member(1)))
        back.reserve("g", "nvidia")
        assert written(await back.create(member(1))) is None

    run(scenario)


def test_places_that_were_just_promised_are_taken() -> None:
    """Ten replicas are created at once: each sees the choices before it, so that they spread like plans."""

    async def scenario() -> None:
        webhook = Webhook(node("a", "h100"), node("b", "ascend"), node("c", "ascend"))
        pods = [owned(pod(f"p-{i}", flavors="nvidia,ascend")) for i in range(4)]
        found = [written(await webhook.create(each)) for each in pods]
        assert found == [None, "ascend", "ascend", None]

    run(scenario)


def test_gangs_that_come_at_once_are_chosen_together() -> None:
    """Ten replicas in one burst: one decision, as the planner would make it."""

    async def scenario() -> None:
        webhook = Webhook(node("a", "h100"), *(node(f"b{i}", "ascend") for i in range(4)))
        pods = [owned(pod(f"p-{i}", flavors="nvidia,ascend")) for i in range(10)]
        found = await asyncio.gather(*(webhook.create(each) for each in pods))
        flavors = [written(each) for each in found]
        assert flavors == [None, "ascend", "ascend", "ascend", "ascend"] + [None] * 5
        assert webhook.solves == 1

    run(scenario)


def test_a_choice_that_fails_is_the_first_flavor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours must not keep anybody's pods from being created."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        monkeypatch.setattr(webhook, "state", None)  # the snapshot cannot be taken
        assert written(await webhook.create(member(0))) is None

    run(scenario)


def test_a_pod_whose_name_is_not_made_yet() -> None:
    """Deployments give only a prefix."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        unnamed = owned(pod("x", flavors="nvidia,ascend"), "ReplicaSet", generateName="web-")
        del unnamed["metadata"]["name"]
        found = await webhook.create(unnamed)
        assert written(found) == "ascend" and "name" not in found["metadata"]

    run(scenario)


def test_the_place_of_a_pod_that_comes_back_under_another_name_is_free_for_it() -> None:
    """A Deployment's pod is made anew for Ascend: the one Ascend node is held in the old one's name."""

    async def scenario() -> None:
        webhook = Webhook(node("b", "ascend"))
        webhook.reserve("web-abc", "ascend")
        unnamed = owned(pod("x", flavors="nvidia,ascend"), "ReplicaSet", generateName="web-")
        del unnamed["metadata"]["name"]
        assert written(await webhook.create(unnamed)) == "ascend"
        other = owned(pod("x", flavors="nvidia,ascend"), "ReplicaSet", generateName="app-")
        del other["metadata"]["name"]
        assert written(await webhook.create(other)) is None

    run(scenario)


def test_the_webhook_is_idempotent() -> None:
    """Called again for what it answered (another webhook changed the pod): nothing more to change."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        once = await webhook.create(member(0))
        assert await webhook.create(once) == once

    run(scenario)


def test_a_manifest_of_a_written_pod_starts_from_the_original() -> None:
    """``kubectl get -o yaml`` of a pod on Ascend, applied when NVIDIA has room."""

    async def scenario() -> None:
        webhook = Webhook(*FLEET, node("d", "h100"))
        again = await webhook.create(on_ascend(member(0)))
        assert written(again) is None
        assert again["spec"]["containers"][0]["resources"]["requests"][NVIDIA_GPU] == "8"

    run(scenario)


def test_an_answer_that_takes_too_long_is_the_first_flavor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the siblings get the same."""
    monkeypatch.setattr(admission_choice, "_DEADLINE_SECONDS", 0.05)

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        webhook.pause_seconds = 0.3
        assert written(await webhook.create(member(0))) is None
        webhook.pause_seconds = 0.0
        assert written(await webhook.create(member(1))) is None

    run(scenario)


def test_late_workers_without_a_key_of_llmaz_follow_their_leader() -> None:
    """Workers of a Service with a leaderTemplate: their group is that of the leader."""

    async def scenario() -> None:
        objects = recorded("service-leader-template")
        fleet = [node(f"n{i}", "ascend") for i in range(4)]
        for obj in objects:
            if obj["kind"] == "OpenModel":
                obj["spec"]["inferenceConfig"]["flavors"][1]["limits"] = {ASCEND_910: 2}
                del obj["spec"]["inferenceConfig"]["flavors"][1]["nodeSelector"]
        pods = [obj for obj in objects if obj["kind"] == "Pod"]
        others = [obj for obj in objects if obj["kind"] != "Pod"]
        webhook = Webhook(flavor("a100", overlay={"image": "npu"}), *fleet, *others)
        leader = await webhook.create(pods[0])
        assert written(leader) == "a100"
        leader["metadata"]["uid"] = pods[0]["metadata"]["uid"]
        webhook.add(leader)
        worker = await webhook.create(pods[1])
        assert written(worker) == "a100"
        container = worker["spec"]["containers"][0]
        assert (container["image"], container["resources"]["limits"][ASCEND_910]) == ("npu", "2")

    run(scenario)


def test_a_leader_that_only_drives_decides_nothing() -> None:
    """It has no cards, so neither image nor cards are written into it; its workers find their own flavor."""

    async def scenario() -> None:
        objects = recorded("lws", LeaderWorkerSet={"replicas": 1})
        for obj in objects:
            if obj["kind"] == "LeaderWorkerSet":
                obj["metadata"]["annotations"] = {keys.FLAVORS: "nvidia,ascend"}
        pods = [obj for obj in objects if obj["kind"] == "Pod"][:4]
        webhook = Webhook(*(o for o in objects if o["kind"] != "Pod"))
        webhook.add(*(node(f"n{i}", "ascend") for i in range(3)))
        leader = await webhook.create(pods[0])
        assert written(leader) is None
        assert webhook.solved == []
        leader["metadata"]["uid"] = pods[0]["metadata"]["uid"]
        webhook.add(leader)
        workers = [await webhook.create(each) for each in pods[1:]]
        assert [written(each) for each in workers] == ["ascend"] * 3

    run(scenario)
