"""One real control plane with `muster serve` beside it, shared by the folder; a rig for each test.

It ends with the last test of the folder, since control planes that only wait take their share of the cores.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler import keys
from simulations.controlplane import Binaries, Cluster, Workloads, temporary_cluster
from simulations.local import LocalMuster
from tests.e2e.rig import Rig
from tests.e2e.workload_rig import WorkloadRig
from topology.keys import NVIDIA_GPU

_NUMBER = itertools.count(1)


@pytest.fixture(scope="package")
def muster_cluster(control_plane: Binaries) -> Iterator[Cluster]:
    """A cluster of its own: its kube-scheduler asks Muster."""
    with temporary_cluster(binaries=control_plane) as cluster:
        yield cluster


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def managers(installed: LocalMuster, muster_cluster: Cluster) -> Workloads:
    """The real managers of LeaderWorkerSet and llmaz beside the cluster."""
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with the webhook are the last of the folder: it stays on the cluster."""
    own = [item for item in items if item.path.parent == Path(__file__).parent]
    own.sort(key=lambda item: "writing" in getattr(item, "fixturenames", ()))
    ordered = iter(own)
    items[:] = [next(ordered) if item in own else item for item in items]


@pytest.fixture(scope="package")
def writing(installed: LocalMuster) -> LocalMuster:
    """The cluster with Muster's webhook from now on, and Muster running."""
    installed.stop()
    installed.install_webhook()
    installed.start()
    api = installed.cluster.api
    flavor = {"apiVersion": keys.API_VERSION, "kind": "Flavor", "metadata": {"name": "try"}}
    path = f"/apis/{keys.API_VERSION}/flavors"
    api.create(path, {**flavor, "spec": {"overlay": {"image": "written"}}})
    api.wait_for("the webhook", lambda: _writes(installed.cluster))
    return installed


@pytest.fixture
def vendors(writing: LocalMuster, managers: Workloads) -> Iterator[WorkloadRig]:
    """A rig beside the managers on the cluster with the webhook."""
    name = f"x{next(_NUMBER)}"
    writing.cluster.api.create_namespace(name)
    rig = WorkloadRig(cluster=writing.cluster, muster=writing, name=name, workloads=managers)
    if writing.pid is None:
        writing.start()
    try:
        yield rig
    finally:
        rig.clean()
