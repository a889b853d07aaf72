"""``muster plan`` on nodes whose vendor has rules about cards (``cases/ascend.yaml``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import muster

FLEET = Path(__file__).parent / "cases" / "ascend.yaml"


def plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, cards: int, members: int = 1
) -> dict[str, Any]:
    """The answer for one gang whose pods ask for so many cards."""
    limits = {"huawei.com/Ascend910": str(cards)}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"g-{index}",
                "annotations": {"muster.dev/gang": "g", "muster.dev/gang-size": str(members)},
            },
            "spec": {"containers": [{"name": "main", "resources": {"limits": limits}}]},
        }
        for index in range(members)
    ]
    file = tmp_path / "gang.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    muster.main(["plan", "-f", str(FLEET), "-f", str(file), "-o", "json"])
    [gang] = json.loads(capsys.readouterr().out)["gangs"]
    return dict(gang)


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
