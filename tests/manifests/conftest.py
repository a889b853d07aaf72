"""A real cluster with Muster's manifests applied by Muster's own client; the service does not run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from scheduler.kube.client import KubeClient
from scheduler.kube.manifests import api_path, control_plane_manifests
from simulations.controlplane import Binaries, Cluster, temporary_cluster
from simulations.controlplane.pki import SERVICE_GROUP
from simulations.local import wait_in_force
from topology.keys import KWOK_NODE

_NUMBER = itertools.count(1)
_SIZE = {"cpu": "64", "memory": "512Gi", "pods": "110"}
NODES = ("m1", "m2")


@pytest.fixture(scope="package")
def manifests_cluster(control_plane: Binaries) -> Iterator[Cluster]:
    """Two nodes, the manifests, and the roles bound to the identity ``muster`` of the local cluster."""
    subject = {
        "kind": "Group",
        "name": SERVICE_GROUP,
        "apiGroup": "rbac.authorization.k8s.io",
    }
    manifests = control_plane_manifests(subject)
    with temporary_cluster(binaries=control_plane) as cluster:

        async def apply() -> None:
            async with KubeClient(cluster.kubeconfig) as client:
                for obj in manifests:
                    await client.apply(api_path(obj), obj, "muster")

        asyncio.run(apply())
        wait_in_force(cluster.api, manifests)
        for name in NODES:
            cluster.api.create(
                "/api/v1/nodes",
                {
                    "metadata": {"name": name, "annotations": {KWOK_NODE: "fake"}},
                    "status": {"allocatable": _SIZE, "capacity": _SIZE},
                },
            )
        yield cluster


@pytest.fixture
def space(manifests_cluster: Cluster) -> str:
    """A namespace of the test's own."""
    name = f"m{next(_NUMBER)}"
    manifests_cluster.api.create_namespace(name)
    return name
