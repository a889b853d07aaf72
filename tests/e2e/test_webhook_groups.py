"""Flavors are written into the pods of a plain LeaderWorkerSet: all members of a group, early and late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from scheduler import keys
from tests.e2e.test_webhook import FLAVORS
from tests.e2e.workload_rig import BY_HAND, POOL, WorkloadRig
from topology.keys import ASCEND_910, NVIDIA_GPU

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CARDS = {"nvidia": NVIDIA_GPU, "ascend": ASCEND_910}
ON_ASCEND = [("npu", ASCEND_910)] * 2


def add(rig: WorkloadRig, vendor: str, nodes: int) -> None:
    """Nodes of one vendor, with eight cards each."""
    rig.add_nodes(nodes, 8, {"cards": vendor}, CARDS[vendor])


def start(rig: WorkloadRig, annotations: Mapping[str, str] = {}, **spec: Any) -> None:
    """The group ``chat-0`` of two pods, made for NVIDIA; an image is written for Ascend."""
    for vendor, resource in CARDS.items():
        spec_of = {
            "resources": {resource: 8},
            "nodeSelector": {POOL: rig.name, "cards": vendor},
            **({"overlay": {"image": "npu"}} if vendor == "ascend" else {}),
        }
        head = {"apiVersion": keys.API_VERSION, "kind": "Flavor"}
        name = {"metadata": {"name": f"{rig.name}-{vendor}"}}
        rig.cluster.api.create(FLAVORS, {**head, **name, "spec": spec_of})
    ordered = ",".join(f"{rig.name}-{vendor}" for vendor in CARDS)
    asked = {keys.FLAVORS: ordered, **annotations}
    rig.apply(rig.worker_set("chat", 2, annotations=asked, **spec))


def made_for(rig: WorkloadRig) -> list[tuple[str, str]]:
    """(image, cards) of the group's pods."""
    found = []
    for pod in rig.pods("chat-0"):
        (container,) = pod["spec"]["containers"]
        (resource,) = CARDS.values() & container["resources"]["limits"].keys()
        found.append((container["image"], resource))
    return found


def test_a_group_is_created_for_the_vendor_that_has_room(vendors: WorkloadRig) -> None:
    """LeaderCreated: leader and worker are created one after the other, and both for Ascend."""
    add(vendors, "nvidia", 1)
    add(vendors, "ascend", 2)
    start(vendors)
    vendors.wait_bound("chat-0", 2)
    assert made_for(vendors) == ON_ASCEND


def test_a_waiting_group_is_built_again_for_another_vendor(vendors: WorkloadRig) -> None:
    """Its leader is deleted, and all that LeaderWorkerSet creates then is written for Ascend."""
    add(vendors, "nvidia", 1)
    start(vendors)
    vendors.wait_phase("chat-0", "Waiting", reason="Insufficient")
    add(vendors, "ascend", 2)
    vendors.wait_bound("chat-0", 2)
    assert made_for(vendors) == ON_ASCEND


def test_late_workers_are_written_like_their_leader(vendors: WorkloadRig) -> None:
    """LeaderReady: NVIDIA has room again when the worker comes, but its leader runs on Ascend."""
    add(vendors, "ascend", 2)
    start(vendors, BY_HAND, startupPolicy="LeaderReady")
    vendors.wait_bound("chat-0", 1)
    add(vendors, "nvidia", 2)
    vendors.become_ready("chat-0")
    vendors.wait_bound("chat-0", 2)
    assert made_for(vendors) == ON_ASCEND
