"""ClusterState with ResourceSlices, DeviceClasses and claims of pods."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from scheduler.device_claims import DEVICE_CLASS, SLICE, TEMPLATE
from scheduler.keys import GANG, GANG_SIZE, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.pods import read_pod
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.state import ClusterState
from tests.topology.test_dra import TYPE, class_, device, slice_, template
from topology.keys import DRA_NVIDIA, NVIDIA_GPU

Object = dict[str, Any]


def node(name: str = "n1", **allocatable: str) -> Object:
    """A node without a device plugin, unless told otherwise."""
    status = {
        "allocatable": {"cpu": "64", "pods": "110", **allocatable},
        "images": [{"names": ["i"]}],
    }
    return {"metadata": {"name": name}, "status": status}


def pod(name: str, claim: Object | None = None, **metadata: Any) -> Object:
    """A pod with one claim."""
    claims = [{"name": "gpus", **(claim or {"resourceClaimTemplateName": "gpus"})}]
    annotations = {GANG: "g", GANG_SIZE: "1"}
    return {
        "metadata": {
            "name": name,
            "namespace": "d",
            "uid": name,
            "annotations": annotations,
            **metadata,
        },
        "spec": {"containers": [{"name": "c"}], "resourceClaims": claims},
    }


GPUS = class_(f"device.driver == '{DRA_NVIDIA}' && {TYPE} == 'gpu'", resource=NVIDIA_GPU)
EIGHT = slice_(*(device(f"gpu-{n}") for n in range(8)))
FOUR = {
    **template({"exactly": {"deviceClassName": "gpu", "count": 4}}),
    "metadata": {"name": "gpus", "namespace": "d"},
}
OBJECTS = (
    ("Node", node()),
    (SLICE, EIGHT),
    (DEVICE_CLASS, GPUS),
    (TEMPLATE, FOUR),
    ("Pod", pod("p")),
)


def state(*objects: tuple[str, Object]) -> ClusterState:
    """The picture after these events."""
    found = ClusterState()
    for kind, obj in objects:
        found.apply(kind, "ADDED", obj)
    return found


def test_devices_count_as_the_plugin_s_cards_would() -> None:
    """Number, class and memory from the slice; the gang is placed by the count of its claim."""
    found = state(*OBJECTS)
    snapshot = found.snapshot()
    card = snapshot.nodes[0].node.accelerator
    assert card is not None
    assert (card.device_class, card.count, card.resource) == ("nvidia-h100-80gb", 8, NVIDIA_GPU)
    assert snapshot.nodes[0].free[NVIDIA_GPU] == 8
    (assignment,) = solve(snapshot, Policy()).assignments
    assert [slot.request[NVIDIA_GPU] for slot in assignment.slots] == [4]


def test_the_order_in_which_objects_come_does_not_matter() -> None:
    """A claim's template, its class and a node's slice may come after pod and node."""
    whole = state(*OBJECTS).snapshot()
    assert all(state(*order).snapshot() == whole for order in permutations(OBJECTS))


def test_what_goes_takes_its_cards_along() -> None:
    """Slices that are deleted leave no trace; a bound pod's claim counts as used as long as it is there."""
    found = state(*OBJECTS)
    running = pod("p")
    running["spec"]["nodeName"] = "n1"
    found.apply("Pod", "MODIFIED", running)
    assert found.nodes["n1"].free[NVIDIA_GPU] == 4
    found.apply("Pod", "DELETED", running)
    assert found.nodes["n1"].free[NVIDIA_GPU] == 8
    for kind, obj in OBJECTS[1:4]:
        found.apply(kind, "DELETED", {"metadata": obj["metadata"]})
    assert found.snapshot() == state(OBJECTS[0]).snapshot()


@pytest.mark.parametrize(("told", "count"), [("8", 8), ("9", 9), ("3", 8)])
def test_the_larger_number_counts(told: str, count: int) -> None:
    """KEP-5004: a name is backed by a plugin or by slices; while that changes, both may be there."""
    found = state(("Node", node(**{NVIDIA_GPU: told})), *OBJECTS[1:3])
    assert found.nodes["n1"].node.allocatable[NVIDIA_GPU] == count


@pytest.mark.parametrize(
    ("objects", "claim", "why"),
    [
        (OBJECTS[:3], None, "ResourceClaimTemplate d/gpus is not known"),
        ((*OBJECTS[:2], OBJECTS[3]), None, "DeviceClass gpu is not known"),
        (
            OBJECTS[:4],
            {"resourceClaimName": "mine"},
            "a ResourceClaim is named that pods may share",
        ),
        (
            ((TEMPLATE, {"metadata": FOUR["metadata"]}), *OBJECTS[:3]),
            None,
            "ResourceClaimTemplate d/gpus has 0 requests",
        ),
        (
            (*OBJECTS[:2], (DEVICE_CLASS, class_("x || y")), OBJECTS[3]),
            None,
            "the selectors of DeviceClass gpu are more than comparisons joined by &&",
        ),
    ],
)
def test_claims_that_cannot_be_planned_say_why(
    objects: tuple[tuple[str, Object], ...], claim: Object | None, why: str
) -> None:
    """The gang waits with the reason instead of being placed without its cards."""
    found = state(*objects, ("Pod", pod("p", claim)))
    (gang,) = found.gangs()
    assert gang.blocked is not None
    assert (
        why in gang.blocked.message
        and "one request for a number of devices" in gang.blocked.message
    )


def test_claims_of_pods_to_come_are_not_forgotten() -> None:
    """A pod that only is expected has nobody to look its claims up: a problem, not a pod without cards."""
    assert [problem.field for problem in read_pod(pod("p")).problems] == ["spec.resourceClaims"]


def by_name(**spec: Any) -> Object:
    """A member that asks for the plugin's resource."""
    member = pod("p")
    limits = {NVIDIA_GPU: "4"}
    member["spec"] = {"containers": [{"name": "c", "resources": {"limits": limits}}], **spec}
    return member


def placed(*objects: tuple[str, Object]) -> bool:
    """Whether the one gang of the cluster gets its places."""
    (assignment,) = solve(state(*objects).snapshot(), Policy()).assignments
    return assignment.placed


@pytest.mark.parametrize(
    ("advertised", "fits"),
    [
        ({}, False),
        ({RESOURCE_MEMBER: "0"}, False),
        ({RESOURCE_MEMBER: "0", RESOURCE_BIND: "0"}, True),
        ({NVIDIA_GPU: "8"}, True),  # of a device plugin
    ],
)
def test_members_that_ask_by_name_need_nodes_that_know_their_resources(
    advertised: dict[str, str], fits: bool
) -> None:
    """kube-scheduler refuses them elsewhere for the membership resources; claims are placed on all."""
    there = (("Node", node(**advertised)), *OBJECTS[1:4])
    for order in permutations((*there, ("Pod", by_name()))):
        assert placed(*order) == fits
    assert placed(*there, ("Pod", pod("p")))


def test_the_rule_about_names_goes_with_the_class() -> None:
    """It stands beside the pod's own node affinity, for each alternative, and leaves no trace."""
    expressions = [{"key": "a", "operator": "Exists"}]
    terms = [{"matchExpressions": expressions}, {}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    for spec in ({}, {"affinity": {"nodeAffinity": required}}):
        plain = state(("Pod", by_name(**spec))).pods["p"]
        found = state((DEVICE_CLASS, GPUS), ("Pod", by_name(**spec)))
        changed = found.pods["p"].constraints.node_affinity
        assert changed is not None
        assert [len(term.labels) for term in changed] == ([2, 0] if spec else [1])
        found.apply(DEVICE_CLASS, "MODIFIED", {**GPUS, "metadata": {"name": "gpu", "labels": {}}})
        found.apply(DEVICE_CLASS, "DELETED", GPUS)
        assert found.pods["p"] == plain
