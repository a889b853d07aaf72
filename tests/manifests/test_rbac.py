"""Least privilege: everything the service calls is allowed, and nothing else is."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from extender.certs import SecretStore, Serving
from extender.places import placeholder
from extender.reports import KubeReports
from scheduler import keys
from scheduler.foreign import LEADER_WORKER_SET, LLMAZ_SERVICE
from scheduler.gang_object import gang_manifest
from scheduler.kube import writes
from scheduler.kube.client import APPLY, ApiError, KubeClient
from scheduler.kube.events import EventRecorder
from scheduler.kube.lease import LeaderElection, LeaseTiming
from scheduler.kube.manifests import control_plane_manifests, load_manifests
from scheduler.kube.reflector import Reflector
from scheduler.kube.resources import (
    CACHES,
    FOREIGN,
    HYPER_NODES,
    KAI_TOPOLOGIES,
    PODS,
    TOPOLOGIES,
    Resource,
)
from scheduler.kube.watches import standard_sources
from scheduler.kube.writes import PodRef
from scheduler.model import GangAssignment, Resize, Slot
from scheduler.reservation import Reservation, State
from simulations.controlplane import ApiError as RefusedError
from simulations.controlplane import Cluster
from simulations.local import LocalMuster
from tests.manifests.agents import AGENT, agent_token
from tests.manifests.test_writes import create_pod, small_gang
from topology.keys import NVIDIA_GPU, SCHEDULING_GROUP
from topology.resources import Resources

pytestmark = pytest.mark.e2e

NAMESPACE = "muster-system"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

Right = tuple[str, str, str, str]
"""Namespace ("" for all), API group, resource with subresource, verb."""


class Recording(KubeClient):
    """Notes which right each call needs."""

    used: set[Right]

    def _send(self, method: str, path: str, *rest: Any) -> Any:
        query: Mapping[str, str] = rest[1] or {}
        parts = path.strip("/").split("/")
        group = "" if parts[0] == "api" else parts[1]
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        space = ""
        if len(parts) > 2 and parts[0] == "namespaces":
            space, parts = parts[1], parts[2:]
        if parts:  # else discovery, which everybody may
            resource = parts[0] + (f"/{parts[2]}" if len(parts) > 2 else "")
            verb = VERBS.get(method) or ("get" if len(parts) > 1 else "list")
            self.used.add((space, group, resource, "watch" if "watch" in query else verb))
            if rest[2] == APPLY:  # makes the object where there is none
                self.used.add((space, group, resource, "create"))
        return super()._send(method, path, *rest)


def granted() -> Iterator[Right]:
    """Every right that the manifests give."""
    for obj in (*load_manifests("rbac"), *load_manifests("handoff")):
        for rule in obj.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        space = obj["metadata"].get("namespace", "")
                        yield space, group, resource, verb


async def watch_everything(client: KubeClient) -> None:
    """Each source both ways: as a streamed list, and as pages followed by a watch."""
    for stream_lists in (True, False):
        for source in standard_sources(card_lists=True):
            reflector = Reflector(client, source, lambda *_: None, stream_lists=stream_lists)
            task = asyncio.create_task(reflector.run())
            async with asyncio.timeout(10):
                await reflector.synced.wait()
            await asyncio.sleep(0.1)  # after pages comes the watch
            assert "Forbidden" not in reflector.last_error
            task.cancel()
            await asyncio.wait([task])


async def write_everything(client: KubeClient, cluster: Cluster, space: str) -> None:
    """The life of a gang, its events, the planner's Lease and the certificate."""
    pod = create_pod(cluster, space, "p", keys.GATE)
    gang, _ = small_gang(space)
    created = await writes.create_gang(client, gang_manifest(gang))
    assert created.obj is not None
    version = created.obj["metadata"]["resourceVersion"]
    respec = {**gang_manifest(gang), "spec": {"members": 2}}
    changed = await writes.replace_gang(client, respec, version)
    assert changed.obj is not None
    version = changed.obj["metadata"]["resourceVersion"]
    results = [await writes.replace_gang_status(client, respec, {"phase": "Planned"}, version)]
    results += [
        await writes.nominate(client, pod, "m1"),
        await writes.touch(client, pod, "1"),
        await writes.remove_gate(client, pod),
        await writes.delete_gang(client, space, "g", created.obj["metadata"]["uid"]),
    ]
    assert [result.message for result in results if not result.done] == []
    assert (await writes.bind(client, pod, "m1")).bound
    assert (await writes.bind(client, pod, "m1")).bound
    assert (await writes.evict(client, pod)).done
    await record_events(client, pod)
    await lead(client, create_pod(cluster, space, "replica", keys.GATE))
    serving = Serving(SecretStore(client, NAMESPACE, "muster-tls"), ("muster",))
    now = datetime.datetime.now(datetime.UTC)
    assert await serving.refresh(now)
    assert await serving.refresh(now + datetime.timedelta(days=61))
    reports = KubeReports(client, AGENT, lambda: ())
    speaker = await reports.identify(agent_token(cluster, "m1"))
    assert speaker.node == "m1"
    assert await reports.take(speaker, {"schema": 1})


async def record_events(client: KubeClient, pod: PodRef) -> None:
    """An event, and its repeat after a restart."""
    for _ in range(2):
        recorder = EventRecorder(client, "test")
        await recorder.record(pod, {}, "Normal", "Planned", "text")
        assert recorder.failures == 0


async def lead(client: KubeClient, replica: PodRef) -> None:
    """Win the election, carry the label, give the Lease back."""
    led = asyncio.Event()
    election = LeaderElection(
        client,
        namespace=NAMESPACE,
        name=keys.LEASE,
        identity="test",
        started=led.set,
        stopped=lambda: None,
        timing=LeaseTiming(duration=3, renew_deadline=2, retry=0.1),
        pod=replica,
    )
    task = asyncio.create_task(election.run())
    async with asyncio.timeout(10):
        await led.wait()
    await asyncio.sleep(0.5)
    labels = (await client.get(PODS, replica.namespace, replica.name))["metadata"]["labels"]
    assert labels[keys.LEADER] == "true", "the Service finds the leader by it"
    task.cancel()
    await asyncio.wait([task])
    await election.release()
    metadata = (await client.get(PODS, replica.namespace, replica.name))["metadata"]
    assert keys.LEADER not in metadata.get("labels", {})


OTHERS = tuple(
    resource
    for resource in (TOPOLOGIES, KAI_TOPOLOGIES, HYPER_NODES, *CACHES, *FOREIGN)
    if resource.group not in ("apps", SCHEDULING_GROUP)
)
"""Kinds of others, which a cluster serves only with their definitions."""
GATED = {("", SCHEDULING_GROUP, "podgroups", verb) for verb in ("list", "watch")}
"""Kubernetes' own PodGroups are served behind a feature gate: ``tests/e2e/test_podgroups.py`` reads them."""


def definition(resource: Resource) -> dict[str, Any]:
    """A definition of the kind that takes anything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    name = f"{resource.plural}.{resource.group}"
    version = {"name": resource.versions[0], "served": True, "storage": True}
    return {
        "metadata": {"name": name},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {"kind": resource.kind, "plural": resource.plural},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture
def with_others(manifests_cluster: Cluster) -> None:
    """A cluster that serves the kinds of others that we read."""
    api = manifests_cluster.api

    def served(resource: Resource) -> bool:
        try:
            return bool(api.get(resource.path()))
        except RefusedError:
            return False  # not yet, or its storage is being set up

    for resource in OTHERS:
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        api.create(definitions, definition(resource))
    for resource in OTHERS:
        api.wait_for(resource.name, partial(served, resource))


async def hold_and_resize(client: KubeClient, cluster: Cluster, space: str) -> None:
    """A placeholder comes and goes; groups get another number of members."""
    request = Resources({"cpu": 100, NVIDIA_GPU: 8, "pods": 1})
    slot = Slot(pod="p-0", uid="", role="r", rank=0, node="m1", request=request, late=True)
    reservation = Reservation(
        plan_id="p",
        assignment=GangAssignment(namespace=space, gang="g", slots=(slot,)),
        state=State.AWAITING,
        since_seconds=0,
    )
    manifest = placeholder(NAMESPACE, "place-p-0", reservation, slot, None)
    made = await writes.create_pod(client, manifest)
    assert made.obj is not None, made.message
    place = PodRef(namespace=NAMESPACE, name="place-p-0", uid=made.obj["metadata"]["uid"])
    assert (await writes.nominate(client, place, "m1")).done
    assert (await writes.delete_pod(client, place)).done
    for resource in FOREIGN:
        if resource.name in (LEADER_WORKER_SET, LLMAZ_SERVICE):
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            cluster.api.create(
                resource.path(space), {**kind, "metadata": {"name": "l"}, "spec": {}}
            )
            change = Resize(kind=resource.name, name="l", path=("spec", "size"), size=4)
            changed = await writes.resize(client, space, change)
            assert changed.obj is not None and changed.obj["spec"] == {"size": 4}


@pytest.mark.usefixtures("with_others")
def test_the_roles_are_what_the_service_calls(manifests_cluster: Cluster, space: str) -> None:
    """With the service's identity every call succeeds, and every granted right was used."""
    LocalMuster(manifests_cluster).install_handoff()
    used: set[Right] = set()

    async def main() -> None:
        async with Recording(manifests_cluster.service_kubeconfig) as client:
            client.used = used
            await watch_everything(client)
            await write_everything(client, manifests_cluster, space)
            await hold_and_resize(client, manifests_cluster, space)

    asyncio.run(main())
    allowed = set(granted())
    needed = {right if right in allowed else ("", *right[1:]) for right in used}
    assert needed == allowed - GATED


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces/kube-system/secrets/any"),
        ("DELETE", "/api/v1/namespaces/default/pods/any"),
        ("PATCH", "/api/v1/nodes/m1"),
        ("PATCH", "/api/v1/nodes/m1/status"),
        ("POST", "/api/v1/namespaces/default/pods"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"),
    ],
)
def test_nothing_else_is_allowed(manifests_cluster: Cluster, method: str, path: str) -> None:
    """In particular no Secrets of others, no writes to Nodes, no foreign Leases, no deletion of pods."""

    async def main() -> None:
        async with KubeClient(manifests_cluster.service_kubeconfig) as client:
            await client.request(method, path, body=None if method == "GET" else {})

    with pytest.raises(ApiError) as caught:
        asyncio.run(main())
    assert caught.value.status == 403


def test_the_local_cluster_gets_what_a_real_one_gets() -> None:
    """The extra subject is added to every binding; nothing else differs from the files."""
    subject = {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"}
    bindings = [o for o in control_plane_manifests(subject) if "subjects" in o]
    assert len(bindings) == 3
    for obj in bindings:
        assert obj["subjects"].pop() == subject
        assert obj in load_manifests("rbac")
