"""The shipped admission policy on a real API server, with Muster down: it gates our pods and no others."""

from __future__ import annotations

import asyncio
import copy
import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from extender import certs
from extender.admission import gated, patch_of, read_review, write_review
from extender.certs import FolderStore, Serving
from extender.config import Config
from scheduler import keys
from scheduler.gangs import claim
from scheduler.kube.manifests import api_path, load_manifests, webhook_manifests
from scheduler.pods import read_pod
from simulations.controlplane import ApiError, Binaries, Cluster, temporary_cluster
from simulations.local import gates_members, install
from tests.extender.patches import patched
from topology import keys as foreign

pytestmark = pytest.mark.e2e

Object = dict[str, Any]
DRY_RUN = {"dryRun": "All"}
MEMBERSHIP = dict.fromkeys(sorted(keys.SYNTHETIC_RESOURCES), "1")


def pod(
    annotations: Mapping[str, str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    resources: Object | None = None,
    **spec: Any,
) -> Object:
    """A pod of two containers; ``spec`` is put into its spec."""
    metadata: Object = {"name": "p"}
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    if labels is not None:
        metadata["labels"] = dict(labels)
    first: Object = {"name": "main", "image": "i"}
    if resources is not None:
        first["resources"] = resources
    containers = [first, {"name": "side", "image": "i"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "containers": containers,
            "automountServiceAccountToken": False,
            **spec,
        },
    }


def admitted(cluster: Cluster, body: Object, space: str = "default") -> Object:
    """What the API server would store, without what differs between two equal requests."""
    path = f"/api/v1/namespaces/{space}/pods"
    found: Object = cluster.api.request("POST", path, body, query=DRY_RUN)
    for key in ("uid", "creationTimestamp", "managedFields", "namespace"):
        found["metadata"].pop(key, None)
    return found


@pytest.mark.parametrize("key", sorted(keys.REQUEST_ANNOTATIONS))
def test_every_request_annotation_makes_a_pod_ours(manifests_cluster: Cluster, key: str) -> None:
    """The policy's list of keys is ``REQUEST_ANNOTATIONS``: gate and membership resources are added."""
    found = admitted(manifests_cluster, pod({key: "x"}))
    assert found["spec"]["schedulingGates"] == [{"name": keys.GATE}]
    resources = found["spec"]["containers"][0]["resources"]
    assert resources == {"requests": MEMBERSHIP, "limits": MEMBERSHIP}
    assert found["spec"]["containers"][1]["resources"] == {}


def test_members_are_gated_from_the_end_of_the_installation(manifests_cluster: Cluster) -> None:
    """The API server takes up a policy up to a second late, which whoever installs it waits for."""
    api, manifests = manifests_cluster.api, load_manifests("admission")
    api.delete(api_path(manifests[1]))
    api.wait_for("the end of gating", lambda: not gates_members(api))
    install(api, manifests)
    assert admitted(manifests_cluster, pod({keys.GANG: "g"}))["spec"]["schedulingGates"]


LABELS = (
    foreign.LWS_NAME,
    foreign.LLMAZ_MODEL,
    foreign.SCHEDULER_PLUGINS_POD_GROUP,
    foreign.KSERVE_SERVICE,
    foreign.LLMD_ROLE,
    foreign.LLMD_MODEL,
    foreign.LWS_GROUP_KEY,
    foreign.DISAGGREGATED_NAME,
    foreign.KUEUE_PODSET,
    keys.GANG,
    "app",
)
ANNOTATIONS = (
    *sorted(keys.REQUEST_ANNOTATIONS),
    *sorted(foreign.POD_ANNOTATIONS),
    keys.ROLLBACK,
    keys.WRITTEN,
    "example.com/x",
)
CLAIMED: dict[str, Object] = {
    **{f"label {key}={value}": pod(labels={key: value}) for key in LABELS for value in ("x", "")},
    **{
        f"annotation {key}={value}": pod({key: value}) for key in ANNOTATIONS for value in ("1", "")
    },
    "member of a PodGroup": pod(schedulingGroup={"podGroupName": "x"}),
    "of another scheduler": pod({keys.GANG: "g"}, schedulerName="volcano"),
    "of ours by name": pod({keys.GANG: "g"}, schedulerName="default-scheduler"),
    "nothing": pod(),
}


@pytest.mark.parametrize("name", CLAIMED)
def test_the_policy_selects_what_a_gang_source_claims(
    manifests_cluster: Cluster, name: str
) -> None:
    """No pod is gated that nobody would plan, and none is planned that was not gated."""
    read = read_pod(
        {**CLAIMED[name], "metadata": {**CLAIMED[name]["metadata"], "namespace": "default"}}
    )
    try:
        gates = admitted(manifests_cluster, CLAIMED[name])["spec"].get("schedulingGates", [])
    except ApiError:
        # A value that the API server itself refuses, so there is no such pod.
        gates = None
    ours = claim(read, {}, Config().schedulers) is not None
    assert gates is None or (gates == [{"name": keys.GATE}]) == ours


OTHERS = {
    "plain": pod(),
    "our label only": pod(labels={keys.GANG: "g"}),
    "annotations of ours that request nothing": pod({keys.PLAN: "p", keys.RANK: "1"}),
    "somebody's gate": pod(schedulingGates=[{"name": "example.com/other"}]),
    "bound by its creator": pod({keys.GANG: "g"}, nodeName="m1"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_pods_are_stored_as_without_muster(
    manifests_cluster: Cluster, plain_cluster: Cluster, name: str
) -> None:
    """A pod that is not ours is the same object, to the byte, as in a cluster without Muster."""
    assert admitted(manifests_cluster, OTHERS[name]) == admitted(plain_cluster, OTHERS[name])


def test_a_namespace_can_be_left_alone(manifests_cluster: Cluster, plain_cluster: Cluster) -> None:
    """The label ``muster.dev/managed=false`` on a namespace keeps Muster out of it."""
    manifests_cluster.api.create_namespace("unmanaged", {keys.MANAGED: "false"})
    body = pod({keys.GANG: "g"})
    assert admitted(manifests_cluster, body, "unmanaged") == admitted(plain_cluster, body)


OURS = {
    "bare": pod({keys.GANG: "g"}),
    "with resources": pod(
        {keys.GANG: "g"},
        resources={"requests": {"cpu": "1"}, "limits": {foreign.NVIDIA_GPU: "8"}},
        labels={"app": "a"},
    ),
    "with somebody's gate": pod(
        {keys.GANG_SIZE: "2"}, schedulingGates=[{"name": "example.com/other"}]
    ),
    "with our gate but no resources": pod(
        {keys.GANG: "a.b-c"}, schedulingGates=[{"name": keys.GATE}]
    ),
    "with its own label": pod({keys.GANG: "g"}, labels={keys.GANG: "mine"}),
    "with limits only": pod({keys.GANG: "g"}, resources={"limits": {"cpu": "2"}}),
}


def patched_by_webhook(body: Object) -> Object:
    """The pod with the webhook's patch applied."""
    return patched(body, patch_of(body, gated(body)))


@pytest.mark.parametrize("name", OURS)
def test_the_policy_does_what_the_webhook_does(
    manifests_cluster: Cluster, plain_cluster: Cluster, name: str
) -> None:
    """Two ways of admission, one result; and nothing else of the pod changes."""
    expected = admitted(plain_cluster, patched_by_webhook(OURS[name]))
    assert admitted(manifests_cluster, OURS[name]) == expected


@pytest.mark.parametrize("name", OURS)
def test_admission_is_idempotent(manifests_cluster: Cluster, name: str) -> None:
    """A pod that went through it once, or a template that carries everything itself, stays as it is."""
    once = admitted(manifests_cluster, OURS[name])
    again = copy.deepcopy(once)
    assert admitted(manifests_cluster, again) == once


@pytest.mark.parametrize("gang", ["Upper", "x" * 64, "a..b", "with space", ""])
def test_a_gang_name_that_is_no_label_is_accepted(manifests_cluster: Cluster, gang: str) -> None:
    """The pod is gated like every other; a label that would be refused is left out."""
    found = admitted(manifests_cluster, pod({keys.GANG: gang}))
    assert found["spec"]["schedulingGates"] == [{"name": keys.GATE}]
    assert keys.GANG not in found["metadata"].get("labels", {})


def test_preemption_policy_is_never_touched(manifests_cluster: Cluster) -> None:
    """The Priority admission plugin refuses a value that differs from the PriorityClass."""
    for policy in ("Never", "PreemptLowerPriority"):
        name = policy.lower()
        manifests_cluster.api.create_priority_class(name, 5, policy)
        found = admitted(manifests_cluster, pod({keys.GANG: "g"}, priorityClassName=name))
        assert found["spec"]["preemptionPolicy"] == policy


def test_the_webhook_selects_the_same_pods() -> None:
    """The same conditions and namespaces; never past a Muster that is down; after LWS's own webhook."""
    policy = load_manifests("admission")[0]["spec"]
    (configuration,) = load_manifests("webhook")
    (webhook,) = configuration["webhooks"]
    constraints = policy["matchConstraints"]
    assert webhook["matchConditions"] == policy["matchConditions"]
    assert webhook["namespaceSelector"] == constraints["namespaceSelector"]
    assert webhook["rules"] == constraints["resourceRules"]
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Fail", "None")
    assert webhook["timeoutSeconds"] == 2
    assert configuration["metadata"]["name"] > "lws-mutating-webhook-configuration"


def test_the_webhook_on_a_real_api_server(control_plane: Binaries, plain_cluster: Cluster) -> None:
    """The API server accepts our answer over TLS, and asks only about our pods."""
    asked: list[str] = []

    async def mutate(request: web.Request) -> web.Response:
        body = await request.read()
        asked.append(body.decode())
        review = read_review(body)
        return web.json_response(write_review(review, gated(review.pod)))

    async def main(cluster: Cluster) -> None:
        files = certs.issue(("127.0.0.1",), datetime.datetime.now(datetime.UTC))
        store = FolderStore(cluster.folder / "webhook-tls")
        await store.write(files, "")
        serving = Serving(store, ("127.0.0.1",))
        await serving.refresh(datetime.datetime.now(datetime.UTC))
        app = web.Application()
        app.router.add_post("/mutate", mutate)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving.context).start()
            url = f"https://127.0.0.1:{runner.addresses[0][1]}"
            await asyncio.to_thread(check, cluster, url, files[certs.CA])
        finally:
            await runner.cleanup()

    def check(cluster: Cluster, url: str, ca: bytes) -> None:
        for obj in webhook_manifests(url, ca):
            cluster.api.apply(api_path(obj), obj)
        ours = OURS["with resources"]
        cluster.api.wait_for(
            "the webhook", lambda: admitted(cluster, ours)["spec"].get("schedulingGates")
        )
        asked.clear()
        assert admitted(cluster, OTHERS["plain"]) == admitted(plain_cluster, OTHERS["plain"])
        assert asked == []
        patched = patched_by_webhook(ours)
        assert admitted(cluster, ours) == admitted(plain_cluster, patched)
        assert asked

    with temporary_cluster(binaries=control_plane) as cluster:
        asyncio.run(main(cluster))
