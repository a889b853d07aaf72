"""One real control plane with `muster serve` beside it, shared by the session; a rig for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from scheduler import keys
from simulations.controlplane import Binaries, Cluster, Workloads, temporary_cluster
from simulations.local import LocalMuster
from tests.e2e.rig import Rig
from tests.e2e.workload_rig import WorkloadRig
from topology.keys import NVIDIA_GPU

_NUMBER = itertools.count(1)


@pytest.fixture(scope="session")
def muster_cluster(control_plane: Binaries) -> Iterator[Cluster]:
    """A cluster of its own: its kube-scheduler asks Muster."""
    with temporary_cluster(binaries=control_plane) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def installed(muster_cluster: Cluster) -> Iterator[LocalMuster]:
    """Muster's manifests applied, kube-scheduler configured; the process is not started."""
    muster = LocalMuster(muster_cluster)
    muster.install()
    for name, value in (("low", -10), ("high", 1000)):
        muster_cluster.api.create_priority_class(name, value)
    try:
        yield muster
    finally:
        muster.stop()


@pytest.fixture
def rig(installed: LocalMuster, muster_cluster: Cluster) -> Iterator[Rig]:
    """A namespace and a node pool for one test, with Muster running in the default configuration."""
    name = f"t{next(_NUMBER)}"
    muster_cluster.api.create_namespace(name)
    rig = Rig(cluster=muster_cluster, muster=installed, name=name)
    if installed.pid is None:
        installed.start()
    try:
        yield rig
    finally:
        rig.clean()


@pytest.fixture(scope="session")
def managers(installed: LocalMuster, muster_cluster: Cluster) -> Workloads:
    """The real managers of LeaderWorkerSet and llmaz beside the session's cluster."""
    del installed  # Muster's kinds and policies come first, as on a cluster that has it
    workloads = Workloads(muster_cluster)
    workloads.up()
    return workloads


@pytest.fixture
def work(
    installed: LocalMuster, muster_cluster: Cluster, managers: Workloads
) -> Iterator[WorkloadRig]:
    """A rig beside the managers, with Muster running in the default configuration."""
    name = f"w{next(_NUMBER)}"
    muster_cluster.api.create_namespace(name)
    rig = WorkloadRig(cluster=muster_cluster, muster=installed, name=name, workloads=managers)
    if installed.pid is None:
        installed.start()
    try:
        yield rig
    finally:
        rig.clean()


def _writes(cluster: Cluster) -> bool:
    """Whether the API server has taken up policy and webhook, which takes it a moment."""
    container = {"name": "c", "image": "i", "resources": {"limits": {NVIDIA_GPU: "1"}}}
    metadata = {"name": "try", "annotations": {keys.FLAVORS: "try"}}
    pod = {"metadata": metadata, "spec": {"containers": [container]}}
    path = "/api/v1/namespaces/default/pods"
    found = cluster.api.request("POST", path, pod, query={"dryRun": "All"})
    gated: bool = found["spec"].get("schedulingGates") == [{"name": keys.GATE}]
    written: bool = found["spec"]["containers"][0]["image"] == "written"
    return gated and written


@pytest.fixture(scope="session")
def writing(control_plane: Binaries) -> Iterator[LocalMuster]:
    """A cluster of its own on which Muster's webhook is installed, and Muster running."""
    with temporary_cluster(binaries=control_plane) as cluster:
        muster = LocalMuster(cluster)
        muster.install(webhook=True)
        muster.start()
        flavor = {"apiVersion": keys.API_VERSION, "kind": "Flavor", "metadata": {"name": "try"}}
        path = f"/apis/{keys.API_VERSION}/flavors"
        cluster.api.create(path, {**flavor, "spec": {"overlay": {"image": "written"}}})
        cluster.api.wait_for("the policy and the webhook", lambda: _writes(cluster))
        try:
            yield muster
        finally:
            muster.stop()


@pytest.fixture(scope="session")
def writing_managers(writing: LocalMuster) -> Workloads:
    """The managers beside the cluster with the webhook."""
    workloads = Workloads(writing.cluster)
    workloads.up()
    return workloads


@pytest.fixture
def vendors(writing: LocalMuster, writing_managers: Workloads) -> Iterator[WorkloadRig]:
    """A rig beside the managers on the cluster with the webhook."""
    name = f"x{next(_NUMBER)}"
    writing.cluster.api.create_namespace(name)
    rig = WorkloadRig(
        cluster=writing.cluster, muster=writing, name=name, workloads=writing_managers
    )
    if writing.pid is None:
        writing.start()
    try:
        yield rig
    finally:
        rig.clean()
