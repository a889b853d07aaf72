"""Every write on a real API server, as the least-privileged identity that the manifests describe."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from scheduler import keys
from scheduler.advice import ScaleOut
from scheduler.gang_object import Phase, Record, gang_manifest, gang_status, read_record
from scheduler.kube import writes
from scheduler.kube.client import KubeClient
from scheduler.kube.events import EventRecorder
from scheduler.kube.resources import EVENTS, PODS
from scheduler.kube.writes import BindOutcome, Outcome, PodRef
from scheduler.model import Code, Gang, GangAssignment, PassedOver, PodSet, Reason, Slot
from simulations.controlplane import Binaries, Cluster
from topology.resources import Resources

pytestmark = pytest.mark.e2e

Object = dict[str, Any]
T = TypeVar("T")
OTHER_GATE = "example.com/other"


def as_muster(cluster: Cluster, call: Callable[[KubeClient], Awaitable[T]]) -> T:
    """Run one scenario with a client of the service's identity."""

    async def main() -> T:
        async with KubeClient(cluster.service_kubeconfig) as client:
            return await call(client)

    return asyncio.run(main())


def create_pod(cluster: Cluster, space: str, name: str, *gates: str) -> PodRef:
    """A pod that waits at the gates."""
    pod = cluster.api.create(
        f"/api/v1/namespaces/{space}/pods",
        {
            "metadata": {"name": name},
            "spec": {
                "containers": [{"name": "c", "image": "i"}],
                "schedulingGates": [{"name": gate} for gate in gates],
                "schedulerName": "nobody",
            },
        },
    )
    return PodRef(namespace=space, name=name, uid=pod["metadata"]["uid"])


def read(cluster: Cluster, pod: PodRef) -> Object:
    """The pod as it is now."""
    return cluster.api.get(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}")


def stranger(pod: PodRef) -> PodRef:
    """A pod of the same name that does not exist any more."""
    return PodRef(
        namespace=pod.namespace, name=pod.name, uid="11111111-2222-3333-4444-555555555555"
    )


POD_WRITES: dict[str, Callable[[KubeClient, PodRef], Awaitable[writes.Result]]] = {
    "nominate": lambda client, pod: writes.nominate(client, pod, "m1"),
    "clear nomination": writes.clear_nomination,
    "remove gate": writes.remove_gate,
    "touch": lambda client, pod: writes.touch(client, pod, "1"),
    "label": lambda client, pod: writes.label(client, pod, {keys.LEADER: "true"}),
    "evict": writes.evict,
}


@pytest.mark.parametrize("name", POD_WRITES)
def test_writes_are_idempotent_and_only_for_that_pod(
    manifests_cluster: Cluster, space: str, name: str
) -> None:
    """Twice is once; a pod that was deleted, or deleted and created again, is GONE and not touched."""
    pod = create_pod(manifests_cluster, space, "p", keys.GATE, OTHER_GATE)
    absent = PodRef(namespace=space, name="absent", uid=pod.uid)
    write = POD_WRITES[name]

    async def scenario(client: KubeClient) -> None:
        before = await client.get(PODS, space, "p")
        assert (await write(client, stranger(pod))).outcome is Outcome.GONE
        assert await client.get(PODS, space, "p") == before
        assert (await write(client, absent)).outcome is Outcome.GONE
        assert (await write(client, pod)).done
        again = (await write(client, pod)).outcome
        # An evicted pod may be gone by now.
        assert again is Outcome.DONE or (name == "evict" and again is Outcome.GONE)

    as_muster(manifests_cluster, scenario)


def test_a_nomination_is_set_and_cleared(manifests_cluster: Cluster, space: str) -> None:
    """``status.nominatedNodeName`` is what kube-scheduler reads; the rest of the status stays."""
    pod = create_pod(manifests_cluster, space, "p", keys.GATE)
    phase = manifests_cluster.api.wait_for(
        "its phase", lambda: read(manifests_cluster, pod)["status"].get("phase")
    )
    as_muster(manifests_cluster, lambda client: writes.nominate(client, pod, "m1"))
    status = read(manifests_cluster, pod)["status"]
    assert (status["nominatedNodeName"], status["phase"]) == ("m1", phase)
    as_muster(manifests_cluster, lambda client: writes.clear_nomination(client, pod))
    assert "nominatedNodeName" not in read(manifests_cluster, pod)["status"]


def test_only_our_gate_is_removed(manifests_cluster: Cluster, space: str) -> None:
    """Gates of others stay, in any order; annotations go in the same write."""
    pod = create_pod(manifests_cluster, space, "p", OTHER_GATE, keys.GATE, "example.com/third")
    as_muster(manifests_cluster, lambda client: writes.remove_gate(client, pod, {keys.RANK: "3"}))
    found = read(manifests_cluster, pod)
    assert [gate["name"] for gate in found["spec"]["schedulingGates"]] == [
        OTHER_GATE,
        "example.com/third",
    ]
    assert found["metadata"]["annotations"][keys.RANK] == "3"


def test_a_binding_has_one_outcome_for_each_case(manifests_cluster: Cluster, space: str) -> None:
    """Bound with its annotations; bound already, here or elsewhere; gone; still gated."""
    pod, gated, dying = (
        create_pod(manifests_cluster, space, "p"),
        create_pod(manifests_cluster, space, "gated", keys.GATE),
        create_pod(manifests_cluster, space, "dying"),
    )
    path = f"/api/v1/namespaces/{space}/pods/dying"
    manifests_cluster.api.patch(path, {"metadata": {"finalizers": ["example.com/keep"]}})
    manifests_cluster.api.delete(path)

    async def scenario(client: KubeClient) -> None:
        async def bind(target: PodRef, node: str) -> tuple[BindOutcome, str | None]:
            result = await writes.bind(client, target, node, {keys.NODE: node})
            return result.outcome, result.node

        assert await bind(gated, "m1") == (BindOutcome.CONFLICT, None)
        assert await bind(stranger(pod), "m1") == (BindOutcome.GONE, None)
        assert await bind(pod, "m1") == (BindOutcome.BOUND, "m1")
        assert await bind(pod, "m1") == (BindOutcome.ALREADY_BOUND_HERE, "m1")
        assert await bind(pod, "m2") == (BindOutcome.ALREADY_BOUND_ELSEWHERE, "m1")
        assert await bind(dying, "m1") == (BindOutcome.GONE, None)
        absent = PodRef(namespace=space, name="absent", uid=pod.uid)
        assert await bind(absent, "m1") == (BindOutcome.GONE, None)

    as_muster(manifests_cluster, scenario)
    found = read(manifests_cluster, pod)
    assert found["spec"]["nodeName"] == "m1"
    assert found["metadata"]["annotations"] == {keys.NODE: "m1"}
    manifests_cluster.api.patch(path, {"metadata": {"finalizers": None}})


def test_a_disruption_budget_says_not_now(manifests_cluster: Cluster, space: str) -> None:
    """An eviction that the budget forbids is a CONFLICT at once, not an overload to wait out."""
    pod = create_pod(manifests_cluster, space, "p")
    api = manifests_cluster.api
    api.patch(f"/api/v1/namespaces/{space}/pods/p", {"metadata": {"labels": {"app": "a"}}})
    budgets = f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}
    api.create(budgets, {"metadata": {"name": "b"}, "spec": spec})
    as_muster(manifests_cluster, lambda client: writes.bind(client, pod, "m1"))
    api.wait_for("running", lambda: read(manifests_cluster, pod)["status"]["phase"] == "Running")
    api.wait_for(
        "budget", lambda: api.get(f"{budgets}/b").get("status", {}).get("currentHealthy") == 1
    )
    result = as_muster(manifests_cluster, lambda client: writes.evict(client, pod))
    assert result.outcome is Outcome.CONFLICT
    assert "disruption budget" in result.message


def small_gang(space: str) -> tuple[Gang, Record]:
    """A planned gang of one with every field of its record in use."""
    request = Resources.parse({"cpu": "500m", "memory": "1Gi"})
    podset = PodSet(role="main", size=1, min_count=1, request=request)
    gang = Gang(namespace=space, name="g", podsets=(podset,), min_members=1)
    slot = Slot(pod="p", uid="u", role="main", rank=0, node="m1", request=request)
    reason = Reason(code=Code.INSUFFICIENT, message="no room", numbers={"missing": 8})
    assignment = GangAssignment(
        namespace=space,
        gang="g",
        slots=(slot,),
        placed=True,
        flavor="a100",
        flavor_rank=1,
        passed_over=(PassedOver(flavor="h100", reason=reason),),
        domains={"rack": ("r1",)},
    )
    advice = ScaleOut(
        flavor="h100",
        message="2 more nodes",
        nodes=2,
        at_most=True,
        cost_per_hour="25",
        cheapest=True,
        like="m1",
        level="rack",
        domains={"r1": 2},
        node_selector={"rack": "r1"},
        resources=request,
    )
    return gang, Record(
        phase=Phase.PLANNED,
        plan_id="p1",
        assignment=assignment,
        message="ok",
        bound=0,
        scale_out=(advice,),
    )


def test_the_commit_of_a_plan(manifests_cluster: Cluster, space: str) -> None:
    """The record comes back as it was written; a write with an old version changes nothing."""
    gang, record = small_gang(space)
    manifest, status = gang_manifest(gang), gang_status(record, gang)

    async def scenario(client: KubeClient) -> None:
        created = await writes.create_gang(client, {**manifest, "status": status})
        assert created.obj is not None
        assert "status" not in created.obj
        assert (await writes.create_gang(client, manifest)).outcome is Outcome.CONFLICT
        version = created.obj["metadata"]["resourceVersion"]
        written = await writes.replace_gang_status(client, manifest, status, version)
        assert written.obj is not None
        assert read_record(written.obj) == record
        assert written.obj["spec"] == manifest["spec"]

        other = {**status, "message": "other"}
        late = await writes.replace_gang_status(client, manifest, other, version)
        assert late.outcome is Outcome.CONFLICT
        version = written.obj["metadata"]["resourceVersion"]
        shorter = {"phase": "Waiting"}
        changed = {**manifest, "spec": {**manifest["spec"], "members": 2}}
        again = await writes.replace_gang_status(client, changed, shorter, version)
        assert again.obj is not None
        assert again.obj["status"] == shorter, "nothing of the old status may stay"
        assert again.obj["spec"] == manifest["spec"], "the spec is not written with the status"

        version = again.obj["metadata"]["resourceVersion"]
        respec = await writes.replace_gang(client, changed, version)
        assert respec.obj is not None
        assert respec.obj["spec"]["members"] == 2
        assert respec.obj["status"] == shorter

        uid = respec.obj["metadata"]["uid"]
        assert (await writes.delete_gang(client, space, "g", "other")).outcome is Outcome.GONE
        assert (await writes.delete_gang(client, space, "g", uid)).done
        assert (await writes.delete_gang(client, space, "g", uid)).outcome is Outcome.GONE
        gone = await writes.replace_gang_status(client, manifest, status, version)
        assert gone.outcome is Outcome.GONE

    as_muster(manifests_cluster, scenario)


def test_repeated_events_are_counted(manifests_cluster: Cluster, space: str) -> None:
    """The same words about the same pod are one event with a count, also after a restart."""
    pod = create_pod(manifests_cluster, space, "p", keys.GATE)
    text = "h100: 7 of 8 members fit " + "é" * 600

    async def scenario(client: KubeClient) -> None:
        now = [0.0]
        first = EventRecorder(client, "one", clock=lambda: now[0])
        for now[0] in (0.0, 1.0, 70.0):  # the second is only counted, the third writes the count
            await first.record(pod, {}, "Warning", "Insufficient", text)
        second = EventRecorder(client, "two", clock=lambda: now[0])
        await second.record(pod, {}, "Warning", "Insufficient", text)
        await second.record(pod, {}, "Normal", "Planned", "other words")
        assert (first.failures, second.failures) == (0, 0)

    as_muster(manifests_cluster, scenario)
    found = {
        event["reason"]: event
        for event in manifests_cluster.api.list(EVENTS.path(space))
        if event["regarding"].get("uid") == pod.uid
    }
    assert found.keys() == {"Insufficient", "Planned"}
    assert found["Insufficient"]["series"]["count"] == 4
    assert found["Insufficient"]["note"].startswith("h100: 7 of 8 members fit é")
    assert len(found["Insufficient"]["note"].encode()) <= 1024
    assert "series" not in found["Planned"]


def test_gangs_are_printed_with_what_matters(
    manifests_cluster: Cluster, control_plane: Binaries, space: str
) -> None:
    """``kubectl get gangs`` shows the columns of design section 3."""
    gang, record = small_gang(space)
    manifest, status = gang_manifest(gang), gang_status(record, gang)

    async def scenario(client: KubeClient) -> None:
        created = await writes.create_gang(client, manifest)
        assert created.obj is not None
        version = created.obj["metadata"]["resourceVersion"]
        await writes.replace_gang_status(client, manifest, status, version)

    as_muster(manifests_cluster, scenario)
    kubectl = [str(control_plane.paths["kubectl"]), f"--kubeconfig={manifests_cluster.kubeconfig}"]
    table = subprocess.run(
        [*kubectl, "get", "gangs", "-n", space], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert table[0].split() == [
        "NAME", "MEMBERS", "PHASE", "FLAVOR", "DOMAIN", "REASON", "AGE",
    ]  # fmt: skip
    assert table[1].split()[:6] == ["g", "0/1", "Planned", "a100", "rack", "r1"]
