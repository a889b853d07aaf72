"""Where nodes stand, from documents and objects that come while Muster runs, on the real control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler import keys
from simulations.controlplane.api import ApiError
from tests.e2e.rig import Rig
from topology.keys import VOLCANO_TOPOLOGY_GROUP

pytestmark = pytest.mark.e2e

MAPS = f"/api/v1/namespaces/{keys.NAMESPACE}/configmaps"
KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HYPER_NODES = f"/apis/{VOLCANO_TOPOLOGY_GROUP}/v1alpha1/hypernodes"
Object = dict[str, Any]


def interleaved(nodes: list[str]) -> dict[str, list[str]]:
    """Two groups that names and order do not give away."""
    return {"even": nodes[::2], "odd": nodes[1::2]}


@pytest.fixture
def fabric(rig: Rig) -> Iterator[Rig]:
    """Eight nodes, and no ConfigMap left behind."""
    rig.add_nodes(8)
    yield rig
    rig.cluster.api.delete(f"{MAPS}/{rig.name}")


def test_a_fabric_map_in_a_config_map(fabric: Rig) -> None:
    """A gang that must stay on one leaf waits until a map says which nodes hang together."""
    fabric.gang("whole", 4, annotations={keys.GANG_TOPOLOGY_REQUIRED: "leaf"})
    fabric.wait_phase("whole", "Waiting", "Invalid")
    groups = interleaved(fabric.nodes)
    rows = [
        {"system_name": node, "peer_node_name": f"{leaf}-{rail}", "description": "Computer IB Port"}
        for leaf, nodes in groups.items()
        for node in nodes
        for rail in range(2)
    ]
    metadata = {"name": fabric.name, "labels": {keys.TOPOLOGY_SOURCE: "ufm"}}
    fabric.cluster.api.create_all(
        MAPS, [{"metadata": metadata, "data": {"ports": json.dumps(rows)}}]
    )
    places = fabric.wait_bound("whole", 4)
    assert set(places.values()) in [set(nodes) for nodes in groups.values()]


def test_hypernodes_that_are_installed_later(rig: Rig) -> None:
    """Volcano's kind appears on a cluster that did not have it; its racks count from then on."""
    api = rig.cluster.api
    rig.add_nodes(8)
    rig.gang("racked", 4, annotations={keys.GANG_TOPOLOGY_REQUIRED: "rack"})
    rig.wait_phase("racked", "Waiting", "Invalid")
    api.create_all(KINDS, [definition()])
    api.wait_for("the kind to be served", lambda: served(rig), timeout=20)
    groups = interleaved(rig.nodes)
    api.create_all(HYPER_NODES, [hypernode(name, nodes) for name, nodes in groups.items()])
    places = rig.wait_bound("racked", 4, timeout=40)
    assert set(places.values()) in [set(nodes) for nodes in groups.values()]
    api.delete(f"{KINDS}/hypernodes.{VOLCANO_TOPOLOGY_GROUP}")


def served(rig: Rig) -> bool:
    """Whether HyperNodes can be listed: the kind is known, and its storage set up."""
    try:
        return rig.cluster.api.find(HYPER_NODES) is not None
    except ApiError:
        return False


def hypernode(name: str, nodes: list[str]) -> Object:
    """A rack with these nodes."""
    members = [{"type": "Node", "selector": {"exactMatch": {"name": node}}} for node in nodes]
    return {
        "apiVersion": f"{VOLCANO_TOPOLOGY_GROUP}/v1alpha1",
        "kind": "HyperNode",
        "metadata": {"name": name},
        "spec": {"tier": 1, "tierName": "rack", "members": members},
    }


def definition() -> Object:
    """The kind, with a schema that takes anything."""
    names = {"plural": "hypernodes", "singular": "hypernode", "kind": "HyperNode"}
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"hypernodes.{VOLCANO_TOPOLOGY_GROUP}"},
        "spec": {
            "group": VOLCANO_TOPOLOGY_GROUP,
            "scope": "Cluster",
            "names": names,
            "versions": [version],
        },
    }
