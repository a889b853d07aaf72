"""``muster plan`` on nodes whose vendor has rules about cards (``cases/ascend.yaml``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import muster

Object = dict[str, Any]
FLEET = Path(__file__).parent / "cases" / "ascend.yaml"


def plan(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    cards: int,
    members: int = 1,
    *,
    resource: str = "huawei.com/Ascend910",
    nodes: Sequence[Object] = (),
    **annotations: str,
) -> dict[str, Any]:
    """The answer for one gang whose pods ask for so many cards, on ``nodes`` or the drawn fleet."""
    asked = {key.replace("_", "-"): value for key, value in annotations.items()}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"g-{index}",
                "annotations": {
                    "muster.dev/gang": "g",
                    "muster.dev/gang-size": str(members),
                    **{k if k == "sp-block" else f"muster.dev/{k}": v for k, v in asked.items()},
                },
            },
            "spec": {
                "containers": [{"name": "main", "resources": {"limits": {resource: str(cards)}}}]
            },
        }
        for index in range(members)
    ]
    file = tmp_path / "gang.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*nodes, *pods]}))
    fleet = [] if nodes else ["-f", str(FLEET)]
    muster.main(["plan", *fleet, "-f", str(file), "-o", "json"])
    [gang] = json.loads(capsys.readouterr().out)["gangs"]
    return dict(gang)


def nodes(resource: str, cards: int, key: str, domains: Mapping[str, str]) -> list[Object]:
    """Nodes with so many cards; ``domains``: node -> value of the label ``key``, empty for none."""
    chip = {"node.kubernetes.io/npu.chip.name": "910C"} if "huawei" in resource else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {**chip, **({key: domain} if domain else {})}},
            "status": {"allocatable": {resource: str(cards), "cpu": "64", "pods": "110"}},
        }
        for name, domain in domains.items()
    ]


def test_three_cards_are_refused_with_the_legal_numbers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No class of cards here gives a pod three; the message says which numbers each of them gives."""
    reason = plan(capsys, tmp_path, 3)["reason"]
    assert reason["code"] == "NoNodes"
    assert "3 cards on ascend-910a: legal are 1, 2, 4, 8" in reason["message"]
    assert "3 cards on ascend-910c: legal are 1, 2, 4, 6, 8, 10, 12, 14, 16" in reason["message"]


def test_known_cards_leave_a_ring_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Both running pods are in the first ring, as they say themselves: the second takes four cards."""
    [member] = plan(capsys, tmp_path, 4)["members"]
    assert member["node"] == "old-1"


def test_a_gang_takes_whole_nodes_of_one_super_pod(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Two members fit into super-pod 2, three are too many although three nodes are free."""
    gang = plan(capsys, tmp_path, 16, members=2)
    assert [member["node"] for member in gang["members"]] == ["a3-2", "a3-3"]
    reason = plan(capsys, tmp_path, 16, members=3)["reason"]
    assert reason["code"] == "TopologyTooSmall"
    assert "scale-up domain 2, holds 2 of 3" in reason["message"]


SUPER_POD = "huawei.com/topotree.superpodid"


def test_a_block_of_chips_is_in_one_super_pod(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``sp-block: 32``: pods of 16 go by two into a super-pod, so four fit into two and three of one."""
    free = {"a1": "1", "a2": "1", "b1": "2", "b2": "2", "b3": "2"}
    fleet = nodes("huawei.com/Ascend910", 16, SUPER_POD, free)
    assert plan(capsys, tmp_path, 16, members=4, nodes=fleet)["status"] == "waiting"
    gang = plan(capsys, tmp_path, 16, members=4, nodes=fleet, sp_block="32")
    places = [member["node"] for member in gang["members"]]
    assert [place[0] for place in places] in (["a", "a", "b", "b"], ["b", "b", "a", "a"])
    reason = plan(capsys, tmp_path, 16, members=4, nodes=fleet, sp_block="40")["reason"]
    assert reason["code"] == "InvalidRequest"
    assert "sp-block" in reason["message"] and "not a multiple of the 16 chips" in reason["message"]
    reason = plan(capsys, tmp_path, 16, members=3, nodes=fleet, sp_block="32")["reason"]
    assert "slices of 2 do not divide the 3 members" in reason["message"]


def test_a_gang_asks_for_one_nvlink_domain(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """NVL72: level ``scale-up`` is the clique; nodes that are in none are together with nobody."""
    free = {"n1": "c.1", "n2": "c.2", "n3": "c.2", "n4": "", "n5": ""}
    fleet = nodes("nvidia.com/gpu", 4, "nvidia.com/gpu.clique", free)
    level: dict[str, str] = {"gang_topology_required": "scale-up"}
    gang = plan(capsys, tmp_path, 4, 2, resource="nvidia.com/gpu", nodes=fleet, **level)
    assert [member["node"] for member in gang["members"]] == ["n2", "n3"]
    assert gang["domains"]["scale-up"] == ["c.2"]
    reason = plan(capsys, tmp_path, 4, 3, resource="nvidia.com/gpu", nodes=fleet, **level)["reason"]
    assert reason["code"] == "TopologyTooSmall"
    assert "the best scale-up c.2 holds 2 of 3" in reason["message"]
    level = {"gang_topology_preferred": "scale-up"}
    gang = plan(capsys, tmp_path, 4, 3, resource="nvidia.com/gpu", nodes=fleet, **level)
    assert gang["status"] == "placed"


def test_the_list_of_a_plugin_tells_where_pods_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Pods that say nothing of their cards: four in one ring are free for sure once the plugin lists them."""
    resource, labels = "huawei.com/Ascend910", {"node.kubernetes.io/npu.chip.name": "910A"}
    node: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1", "labels": labels},
        "status": {"allocatable": {resource: "8", "cpu": "64", "pods": "110"}},
    }
    running: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"busy-{index}"},
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "main", "resources": {"limits": {resource: "2"}}}],
            },
        }
        for index in range(2)
    ]
    lists = {resource: ",".join(f"Ascend910-{n}" for n in range(4, 8))}
    lists[f"{resource}-Unhealthy"] = ""
    told: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mindx-dl-deviceinfo-n1", "namespace": "kube-system"},
        "data": {"DeviceInfoCfg": json.dumps({"DeviceInfo": {"DeviceList": lists}})},
    }
    assert plan(capsys, tmp_path, 4, nodes=[node, *running])["status"] == "waiting"
    assert plan(capsys, tmp_path, 4, nodes=[node, *running, told])["status"] == "placed"


def test_hami_tells_where_pods_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Pods of two cards each in one ring, by identifiers in their annotations: the other ring is whole."""
    resource = "huawei.com/Ascend910A"
    register = [
        {"id": f"id-{n}", "count": 1, "type": "Ascend910A", "health": True, "index": n}
        for n in range(8)
    ]
    node: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "n1",
            "annotations": {"hami.io/node-register-Ascend910A": json.dumps(register)},
        },
        "status": {"allocatable": {resource: "8", "cpu": "64", "pods": "110"}},
    }
    for cards, status in (((2, 3), "placed"), ((4, 5), "waiting")):
        running: list[Object] = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"busy-{held[0]}",
                    "annotations": {
                        "hami.io/Ascend910A-devices-allocated": "".join(
                            f"id-{n},Ascend910A,32768,100:" for n in held
                        )
                        + ";"
                    },
                },
                "spec": {
                    "nodeName": "n1",
                    "containers": [{"name": "main", "resources": {"limits": {resource: "2"}}}],
                },
            }
            for held in ((0, 1), cards)
        ]
        found = plan(capsys, tmp_path, 4, resource=resource, nodes=[node, *running])
        assert found["status"] == status
