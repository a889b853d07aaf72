"""Flavors are written into pods on a real control plane: other vendors, changes of mind, Muster down."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler import keys
from simulations.controlplane import ApiError
from simulations.local import LocalMuster
from tests.e2e.rig import Object, Rig
from topology.keys import ASCEND_910, NVIDIA_GPU

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

STATEFUL_SETS = "/apis/apps/v1/namespaces/{}/statefulsets"
FLAVORS = f"/apis/{keys.API_VERSION}/flavors"
NPU_IMAGE = "quay.io/ascend/vllm-ascend"
SPECS: dict[str, Object] = {
    "nvidia": {"resources": {NVIDIA_GPU: 8}},
    "ascend": {
        "resources": {ASCEND_910: 8},
        "overlay": {"image": NPU_IMAGE, "env": [{"name": "VLLM_PLUGINS", "value": "ascend"}]},
    },
}
_NUMBER = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def _flavors(writing: LocalMuster) -> None:
    for name, spec in SPECS.items():
        spec = {**spec, "nodeSelector": {"cards": name}}
        body = {"apiVersion": keys.API_VERSION, "kind": "Flavor", "metadata": {"name": name}}
        writing.cluster.api.create(FLAVORS, {**body, "spec": spec})


@pytest.fixture
def rig(writing: LocalMuster) -> Iterator[Rig]:
    """A namespace and nodes of its own."""
    name = f"v{next(_NUMBER)}"
    writing.cluster.api.create_namespace(name)
    rig = Rig(cluster=writing.cluster, muster=writing, name=name)
    if writing.pid is None:
        writing.start()
    try:
        yield rig
    finally:
        sets = STATEFUL_SETS.format(name)
        for found in writing.cluster.api.list(sets):
            writing.cluster.api.delete(f"{sets}/{found['metadata']['name']}")
        rig.clean()


def add(rig: Rig, vendor: str, count: int) -> None:
    """Nodes of one vendor."""
    resource = NVIDIA_GPU if vendor == "nvidia" else ASCEND_910
    rig.add_nodes(count, labels={"cards": vendor}, resource=resource)


def start(rig: Rig, name: str, replicas: int = 2) -> None:
    """A StatefulSet whose pods are one gang, made for NVIDIA."""
    annotations = {
        keys.GANG: name,
        keys.GANG_SIZE: str(replicas),
        keys.FLAVORS: "nvidia,ascend",
    }
    pod = rig.pod("x", annotations=annotations)
    body: Any = {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"annotations": annotations, "labels": {"app": name}},
                "spec": pod["spec"],
            },
        },
    }
    rig.cluster.api.create(STATEFUL_SETS.format(rig.name), body)


def vendors(rig: Rig, gang: str) -> set[tuple[str, str | None]]:
    """What the gang's pods are: (resource they request, flavor that was written); whole in every part."""
    found = set()
    for pod in rig.pods(gang):
        (container,) = pod["spec"]["containers"]
        limits = {name for name in container["resources"]["limits"] if keys.GROUP not in name}
        (resource,) = limits
        assert (container["image"] == NPU_IMAGE) == (resource == ASCEND_910)
        names = [variable["name"] for variable in container.get("env", [])]
        assert names == (["VLLM_PLUGINS"] if resource == ASCEND_910 else [])
        assert pod["spec"]["nodeSelector"].get("cards") == (
            "ascend" if resource == ASCEND_910 else None
        )
        found.add((resource, pod["metadata"]["annotations"].get(keys.WRITTEN)))
    return found


ON_NVIDIA, ON_ASCEND = {(NVIDIA_GPU, None)}, {(ASCEND_910, "ascend")}


def test_a_gang_that_finds_no_room_on_its_first_vendor_is_made_for_the_second(rig: Rig) -> None:
    """One NVIDIA node is not enough for two pods: both are created for Ascend and bound there."""
    add(rig, "nvidia", 1)
    add(rig, "ascend", 2)
    start(rig, "chat")
    rig.wait_bound("chat", 2)
    assert vendors(rig, "chat") == ON_ASCEND
    assert rig.wait_phase("chat", "Bound")["flavor"] == "ascend"


def test_new_gangs_are_on_the_first_vendor_again_when_it_has_room(rig: Rig) -> None:
    """The choice is made for each gang when its pods are created."""
    add(rig, "ascend", 2)
    start(rig, "first")
    rig.wait_bound("first", 2)
    add(rig, "nvidia", 2)
    start(rig, "second")
    rig.wait_bound("second", 2)
    assert (vendors(rig, "first"), vendors(rig, "second")) == (ON_ASCEND, ON_NVIDIA)


def test_a_gang_that_waits_is_made_anew_when_another_vendor_becomes_possible(rig: Rig) -> None:
    """It waits as its owner made it; then its owner makes it again, for the other vendor."""
    add(rig, "nvidia", 1)
    start(rig, "chat")
    rig.wait_phase("chat", "Waiting", reason="Insufficient")
    before = {pod["metadata"]["uid"] for pod in rig.pods("chat")}
    assert vendors(rig, "chat") == ON_NVIDIA
    add(rig, "ascend", 2)
    rig.wait_bound("chat", 2)
    assert vendors(rig, "chat") == ON_ASCEND
    assert not before & {pod["metadata"]["uid"] for pod in rig.pods("chat")}


def test_a_pod_of_a_deployment_comes_back_for_another_vendor(rig: Rig) -> None:
    """Under another name, so as another gang: the places of the old one are not in its way."""
    pod = rig.pod("x", annotations={keys.FLAVORS: "nvidia,ascend"})
    labels = {"app": "web"}
    template = {"metadata": {**pod["metadata"], "labels": labels}, "spec": pod["spec"]}
    for key in ("name", "namespace"):
        del template["metadata"][key]
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    path = f"/apis/apps/v1/namespaces/{rig.name}/deployments"
    rig.cluster.api.create(path, {"metadata": {"name": "web"}, "spec": spec})
    rig.cluster.api.wait_for("the pod", lambda: len(rig.pods()) == 1)
    (before,) = rig.pods()
    assert keys.WRITTEN not in before["metadata"]["annotations"]
    add(rig, "ascend", 1)
    rig.cluster.api.wait_for("it to run", lambda: len(rig.places()) == 1)
    (after,) = rig.pods()
    assert after["metadata"]["annotations"][keys.WRITTEN] == "ascend"
    rig.cluster.api.delete(f"{path}/web")


def test_bare_pods_say_why_they_cannot_change(rig: Rig) -> None:
    """Nobody would make them again: they wait for the cards that they were made for."""
    add(rig, "nvidia", 1)
    rig.gang("bare", 2, annotations={keys.FLAVORS: "nvidia,ascend"})
    rig.wait_phase("bare", "Waiting", reason="Insufficient")
    add(rig, "ascend", 2)

    def told() -> bool:
        passed = rig.status("bare").get("passedOver", [])
        return any("has no owner that would make it anew" in str(one) for one in passed)

    rig.cluster.api.wait_for("the reason", told)
    assert rig.places("bare") == {} and vendors(rig, "bare") == ON_NVIDIA


def test_while_muster_is_down_our_pods_wait_uncreated_and_others_are_untouched(rig: Rig) -> None:
    """The failure policy: ours are refused, and their controller creates them, whole, when it is back."""
    add(rig, "ascend", 2)
    rig.muster.kill()
    rig.create([rig.pod("plain", gpus=0)])
    rig.cluster.api.wait_for("the plain pod to run", lambda: "plain" in rig.places())
    with pytest.raises(ApiError, match="flavors.muster.dev"):
        rig.gang("bare", 1, annotations={keys.FLAVORS: "nvidia,ascend"})
    start(rig, "chat")
    assert rig.pods("chat") == []
    rig.muster.start()
    rig.wait_bound("chat", 2)
    assert vendors(rig, "chat") == ON_ASCEND


def test_a_dry_run_shows_what_would_be_written(rig: Rig) -> None:
    """``kubectl apply --dry-run=server``: the pod as it would be, and nothing is held for it."""
    add(rig, "ascend", 1)
    pod: Object = rig.pod("try", annotations={keys.FLAVORS: "nvidia,ascend"})
    path = f"/api/v1/namespaces/{rig.name}/pods"
    shown = rig.cluster.api.request("POST", path, pod, query={"dryRun": "All"})
    assert shown["metadata"]["annotations"][keys.WRITTEN] == "ascend"
    assert rig.pods() == []
