"""Flavors are written into the pods of real LeaderWorkerSets and llmaz objects; owners make groups anew."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler import keys
from simulations.controlplane import Binaries, Workloads, temporary_cluster
from simulations.local import LocalMuster
from tests.e2e.rig import Object
from tests.e2e.test_webhook import FLAVORS
from tests.e2e.workload_rig import POOL, START_DELAY, WorkloadRig
from topology.keys import ASCEND_910, KUNLUN_XPU, LLMAZ_GROUP, NVIDIA_GPU

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_NUMBER = itertools.count(1)


@pytest.fixture(scope="module")
def writing(control_plane: Binaries) -> Iterator[tuple[LocalMuster, Workloads]]:
    """The managers beside a Muster whose webhook is installed."""
    with temporary_cluster(binaries=control_plane) as cluster:
        muster = LocalMuster(cluster)
        muster.install(webhook=True)
        muster.start()
        workloads = Workloads(cluster)
        workloads.up()
        try:
            yield muster, workloads
        finally:
            muster.stop()


@pytest.fixture
def work(writing: tuple[LocalMuster, Workloads]) -> Iterator[WorkloadRig]:
    """A namespace and nodes of its own."""
    muster, workloads = writing
    name = f"g{next(_NUMBER)}"
    muster.cluster.api.create_namespace(name)
    rig = WorkloadRig(cluster=muster.cluster, muster=muster, name=name, workloads=workloads)
    try:
        yield rig
    finally:
        rig.clean()


def flavor(work: WorkloadRig, name: str, **spec: Any) -> str:
    """A Flavor object of the test's own, for its nodes with the label ``cards: name``."""
    own = f"{work.name}-{name}"
    selector = {POOL: work.name, "cards": name}
    work.cluster.api.create(
        FLAVORS,
        {
            "apiVersion": keys.API_VERSION,
            "kind": "Flavor",
            "metadata": {"name": own},
            "spec": {"nodeSelector": selector, **spec},
        },
    )
    return own


def add(work: WorkloadRig, name: str, nodes: int, resource: str, count: int = 8) -> None:
    """Nodes that serve the flavor of that name."""
    work.add_nodes(nodes, count, {"cards": name}, resource)


def vendors(work: WorkloadRig) -> Object:
    """Flavor vendor -> member count, two vendors: NVIDIA as the pods are made, Ascend written."""
    own = {
        "nvidia": flavor(work, "nvidia", resources={NVIDIA_GPU: 8}),
        "ascend": flavor(work, "ascend", resources={ASCEND_910: 8}, overlay={"image": "npu"}),
    }
    return {**own, "both": {keys.FLAVORS: f"{own['nvidia']},{own['ascend']}"}}


def images(work: WorkloadRig, gang: str) -> list[tuple[str, str]]:
    """(image, cards) of the engines of a group's pods."""
    found = []
    for pod in work.pods(gang):
        container = pod["spec"]["containers"][0]
        limits = container["resources"]["limits"]
        (resource,) = (name for name in limits if "/" in name and keys.GROUP not in name)
        found.append((container["image"], f"{limits[resource]} {resource}"))
    return found


def test_a_group_is_created_for_the_vendor_that_has_room(work: WorkloadRig) -> None:
    """LeaderCreated: leader and worker are created one after the other, and both for Ascend."""
    own = vendors(work)
    add(work, "nvidia", 1, NVIDIA_GPU)
    add(work, "ascend", 2, ASCEND_910)
    work.apply(work.worker_set("chat", 2, annotations=own["both"]))
    work.wait_bound("chat-0", 2, timeout=30)
    assert images(work, "chat-0") == [("npu", f"8 {ASCEND_910}")] * 2


def test_a_waiting_group_goes_to_another_vendor_when_that_becomes_possible(
    work: WorkloadRig,
) -> None:
    """Its leader is deleted, LeaderWorkerSet builds the group again, and it is written for Ascend."""
    own = vendors(work)
    add(work, "nvidia", 1, NVIDIA_GPU)
    work.apply(work.worker_set("chat", 2, annotations=own["both"]))
    work.wait_phase("chat-0", "Waiting", reason="Insufficient", timeout=30)
    add(work, "ascend", 2, ASCEND_910)
    work.wait_bound("chat-0", 2, timeout=60)
    assert images(work, "chat-0") == [("npu", f"8 {ASCEND_910}")] * 2
    assert work.wait_phase("chat-0", "Bound")["flavor"] == own["ascend"]


def test_late_workers_are_written_like_their_leader(work: WorkloadRig) -> None:
    """LeaderReady: NVIDIA has room again when the worker comes, but its leader runs on Ascend."""
    own = vendors(work)
    add(work, "ascend", 2, ASCEND_910)
    slow = {**own["both"], START_DELAY: "5s"}
    work.apply(work.worker_set("chat", 2, annotations=slow, startupPolicy="LeaderReady"))
    work.wait_bound("chat-0", 1, timeout=30)
    add(work, "nvidia", 2, NVIDIA_GPU)
    work.wait_bound("chat-0", 2, timeout=60)
    assert images(work, "chat-0") == [("npu", f"8 {ASCEND_910}")] * 2


def test_a_group_of_two_falls_back_to_one_of_four(work: WorkloadRig) -> None:
    """2 x 8 cards, or 4 x 4: the size is changed on the set that the user owns."""
    large = flavor(work, "large", resources={NVIDIA_GPU: 8}, members=2)
    small = flavor(work, "small", resources={NVIDIA_GPU: 4}, members=4)
    add(work, "large", 1, NVIDIA_GPU)
    add(work, "small", 4, NVIDIA_GPU, 4)
    work.apply(work.worker_set("chat", 2, annotations={keys.FLAVORS: f"{large},{small}"}))
    work.wait_bound("chat-0", 4, timeout=60)
    assert images(work, "chat-0") == [("vllm/vllm-openai", f"4 {NVIDIA_GPU}")] * 4
    size = work.kubectl("get", "lws", "chat", "-o=jsonpath={.spec.leaderWorkerTemplate.size}")
    assert size == "4"


def test_a_flavor_for_which_other_groups_would_restart_is_refused(work: WorkloadRig) -> None:
    """Two groups share one size."""
    large = flavor(work, "large", resources={NVIDIA_GPU: 8}, members=2)
    small = flavor(work, "small", resources={NVIDIA_GPU: 4}, members=4)
    add(work, "small", 8, NVIDIA_GPU, 4)
    annotations = {keys.FLAVORS: f"{large},{small}"}
    work.apply(work.worker_set("chat", 2, replicas=2, annotations=annotations))
    status = work.wait_phase("chat-0", "Waiting", reason="NoNodes", timeout=30)
    assert "which has 2, would restart" in str(status["passedOver"])


def test_a_playground_goes_from_vendor_to_vendor(work: WorkloadRig) -> None:
    """NVIDIA has room for one replica, Ascend for one, Kunlunxin for one; then NVIDIA for one more."""
    names = {"nvidia": NVIDIA_GPU, "ascend": ASCEND_910, "kunlun": KUNLUN_XPU}
    own = {}
    for name, resource in names.items():
        overlay = {} if name == "nvidia" else {"overlay": {"image": name}}
        own[name] = flavor(work, name, **overlay)
        add(work, name, 1, resource)
    model = f"{work.name}-model"
    listed = [
        {
            "name": own[name],
            "requests": {resource: "8"},
            "nodeSelector": {POOL: work.name, "cards": name},
        }
        for name, resource in names.items()
    ]
    work.apply(
        {
            "apiVersion": f"{LLMAZ_GROUP}/v1alpha1",
            "kind": "OpenModel",
            "metadata": {"name": model},
            "spec": {
                "familyName": "llama",
                "source": {"modelHub": {"modelID": "meta-llama/Meta-Llama-3-8B"}},
                "inferenceConfig": {"flavors": listed},
            },
        }
    )
    work.apply(work.playground("chat", model, 3))
    for index in range(3):
        work.wait_bound(f"chat-{index}", 1, timeout=60)
    found = sorted(images(work, f"chat-{i}")[0][1] for i in range(3))
    assert found == sorted(f"8 {resource}" for resource in names.values())
    add(work, "nvidia", 1, NVIDIA_GPU)
    work.kubectl("scale", "playgrounds.inference.llmaz.io/chat", "--replicas=4")
    work.wait_bound("chat-3", 1, timeout=60)
    assert images(work, "chat-3")[0][1] == f"8 {NVIDIA_GPU}"
