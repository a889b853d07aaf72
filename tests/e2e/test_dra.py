"""Dynamic resource allocation: cards from ResourceSlices, and claims that only kube-scheduler allocates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scheduler import keys
from tests.e2e.rig import Rig
from topology.keys import DRA_NVIDIA, NVIDIA_GPU, RESOURCE_GROUP

pytestmark = pytest.mark.e2e

API = f"/apis/{RESOURCE_GROUP}/v1"
CARDS = 4


@pytest.fixture
def devices(rig: Rig) -> Iterator[Rig]:
    """Two nodes whose cards are in ResourceSlices alone; the class gives them the plugin's name."""
    api = rig.cluster.api
    selector = f"device.driver == '{DRA_NVIDIA}' && device.attributes['{DRA_NVIDIA}'].type == 'gpu'"
    spec: dict[str, Any] = {"selectors": [{"cel": {"expression": selector}}]}
    metadata = {"name": DRA_NVIDIA}
    classes = f"{API}/deviceclasses"
    api.create(
        classes, {"metadata": metadata, "spec": {**spec, "extendedResourceName": NVIDIA_GPU}}
    )
    for node in rig.add_nodes(2, resource="example.com/other"):
        api.create(f"{API}/resourceslices", resource_slice(node))
    yield rig
    for node in rig.nodes:
        api.delete(f"{API}/resourceslices/{node}")
    api.delete(f"{classes}/{DRA_NVIDIA}")


def resource_slice(node: str) -> dict[str, Any]:
    """Four whole cards and a partition, as NVIDIA's driver publishes them."""

    def device(name: str, kind: str) -> dict[str, Any]:
        attributes = {"type": {"string": kind}, "productName": {"string": "NVIDIA H100 80GB HBM3"}}
        return {
            "name": name,
            "attributes": attributes,
            "capacity": {"memory": {"value": "81559Mi"}},
        }

    cards = [device(f"gpu-{n}", "gpu") for n in range(CARDS)]
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": DRA_NVIDIA, "nodeName": node, "pool": pool}
    return {
        "metadata": {"name": node},
        "spec": {**spec, "devices": [*cards, device("gpu-0-mig-0", "mig")]},
    }


def template(rig: Rig, count: int) -> None:
    """The ResourceClaimTemplate ``cards``."""
    exactly = {"deviceClassName": DRA_NVIDIA, "count": count}
    requests = [{"name": "cards", "exactly": exactly}]
    spec = {"spec": {"devices": {"requests": requests}}}
    path = f"{API}/namespaces/{rig.name}/resourceclaimtemplates"
    rig.cluster.api.create(path, {"metadata": {"name": "cards"}, "spec": spec})


def test_claims_are_allocated_before_the_gang_is_bound(devices: Rig) -> None:
    """Each member claims all cards of a node: they are planned apart, and when our Bindings are there
    kube-scheduler has allocated and reserved the claims (its PreBind runs before the bind verb)."""
    rig = devices
    template(rig, CARDS)
    claims = [{"name": "cards", "resourceClaimTemplateName": "cards"}]
    rig.gang("g", 2, gpus=0, resourceClaims=claims)
    assert sorted(rig.wait_bound("g", 2).values()) == sorted(rig.nodes)
    for pod in rig.pods("g"):
        (status,) = pod["status"]["resourceClaimStatuses"]
        path = f"{API}/namespaces/{rig.name}/resourceclaims/{status['resourceClaimName']}"
        claim = rig.cluster.api.get(path)["status"]
        assert [user["uid"] for user in claim["reservedFor"]] == [pod["metadata"]["uid"]]
        results = claim["allocation"]["devices"]["results"]
        assert {result["pool"] for result in results} == {pod["spec"]["nodeName"]}
        assert len(results) == CARDS
    rig.gang("h", 1, gpus=0, resourceClaims=claims)
    rig.wait_phase("h", "Waiting", reason="Insufficient")


def test_an_extended_resource_may_be_backed_by_devices(devices: Rig) -> None:
    """KEP-5004: pods ask for the plugin's resource, and no node's status has any. kube-scheduler demands that
    the node knows the membership resources: until then the gang waits with a reason, and is not tried."""
    rig = devices
    rig.gang("g", 4, gpus=2)
    rig.wait_phase("g", "Waiting", reason="NoNodes")
    amounts = dict.fromkeys(keys.SYNTHETIC_RESOURCES, "0")
    for node in rig.nodes:
        status = {"capacity": amounts, "allocatable": amounts}
        rig.cluster.api.patch(f"/api/v1/nodes/{node}/status", {"status": status})
    places = rig.wait_bound("g", 4)
    assert sorted(places.values()) == sorted(2 * rig.nodes)
    assert all(pod["status"]["extendedResourceClaimStatus"] for pod in rig.pods("g"))


def test_claims_that_are_no_numbers_are_refused_with_the_reason(devices: Rig) -> None:
    """Muster does not guess: a claim that pods may share is not planned."""
    rig = devices
    claims = [{"name": "cards", "resourceClaimName": "shared"}]
    rig.gang("g", 2, gpus=0, resourceClaims=claims)
    status = rig.wait_phase("g", "Invalid")
    assert "a ResourceClaim is named that pods may share" in status["message"]
