"""The cards inside a node, chosen by Muster and written by the Binding itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scheduler import keys
from tests.e2e.rig import Rig
from topology.keys import (
    ASCEND_910,
    ASCEND_CHIP,
    ILUVATAR_DEVICES,
    ILUVATAR_GPU,
    NVIDIA_GPU,
    PREDICATE_TIME,
)

pytestmark = pytest.mark.e2e

BOARDS = [f"GPU-{letter}" for letter in "abcdefgh"]


@pytest.fixture
def choosing(rig: Rig) -> Iterator[Rig]:
    """Muster chooses cards of two vendors."""
    rig.muster.stop()
    rig.muster.install_handoff()
    rig.muster.start(handoff=["ascend", "iluvatar"])
    yield rig
    rig.muster.stop()


def gang(rig: Rig, name: str, size: int, resource: str, cards: int) -> None:
    """A gang whose pods ask for another vendor's cards."""
    pods = rig.gang_pods(name, size)
    for pod in pods:
        pod["spec"]["containers"][0]["resources"]["limits"] = {resource: str(cards)}
        assert NVIDIA_GPU not in pod["spec"]["containers"][0]["resources"]["limits"]
    rig.create(pods)


def told(rig: Rig, name: str, key: str) -> list[list[str]]:
    """What each pod of a gang says, by name; every one has a time and its place, too."""
    pods = sorted(rig.pods(name), key=lambda pod: str(pod["metadata"]["name"]))
    annotations = [pod["metadata"]["annotations"] for pod in pods]
    assert all(int(each[PREDICATE_TIME]) > 10**18 for each in annotations)
    assert all(
        each[keys.NODE] == pod["spec"]["nodeName"]
        for each, pod in zip(annotations, pods, strict=True)
    )
    return [each[key].split(",") for each in annotations]


def test_rings_of_one_node_are_given_out_by_the_binding(choosing: Rig) -> None:
    """Two gangs on the same two nodes at once: each pod gets a whole ring, and no card has two pods."""
    rig = choosing
    rig.add_nodes(2, resource=ASCEND_910, labels={ASCEND_CHIP: "910ProB"})
    for name in ("one", "two"):
        gang(rig, name, 2, ASCEND_910, 4)
    places = {**rig.wait_bound("one", 2), **rig.wait_bound("two", 2)}
    assert sorted(places.values()) == sorted(2 * rig.nodes)
    rings = [[f"Ascend910-{n}" for n in range(start, start + 4)] for start in (0, 4)]
    found = {
        (node, tuple(cards))
        for name in ("one", "two")
        for node, cards in zip(
            (places[f"{name}-{index}"] for index in range(2)),
            told(rig, name, ASCEND_910),
            strict=True,
        )
    }
    assert found == {(node, tuple(ring)) for node in rig.nodes for ring in rings}


def test_identifiers_come_from_the_plugin_s_list(choosing: Rig) -> None:
    """Iluvatar's ConfigMap names the boards; it still says that all are free when the second pod is bound."""
    rig = choosing
    (node,) = rig.add_nodes(1, resource=ILUVATAR_GPU)
    data = {
        "DeviceInfoCfg": json.dumps({"DeviceInfo": {board: {} for board in BOARDS}}),
        "DeviceListCfg": json.dumps({"DeviceList": BOARDS}),
    }
    path = "/api/v1/namespaces/kube-system/configmaps"
    rig.cluster.api.create(path, {"metadata": {"name": f"ix-device-info-cm-{node}"}, "data": data})
    gang(rig, "one", 1, ILUVATAR_GPU, 3)
    rig.wait_bound("one", 1)
    gang(rig, "two", 2, ILUVATAR_GPU, 2)
    rig.wait_bound("two", 2)
    found = [*told(rig, "one", ILUVATAR_DEVICES), *told(rig, "two", ILUVATAR_DEVICES)]
    assert sorted(board for boards in found for board in boards) == BOARDS[:7]
    rig.cluster.api.delete(f"{path}/ix-device-info-cm-{node}")
