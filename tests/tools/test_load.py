"""``muster plan`` and ``muster explain`` with objects of caches: where the model is, what that is worth."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import muster
from scheduler.keys import API_VERSION
from tests.objects import node, pod
from topology import keys

Object = dict[str, Any]
RACKS = {"n1": "r1", "n2": "r1", "n3": "r2", "n4": "r2"}
NODES = [node(name, labels={keys.RACK: rack}) for name, rack in RACKS.items()]
ASKS: dict[str, Any] = {
    "gang_size": "2",
    "gang_topology_required": "rack",
    "model": "hf://org/llama",
}
GANG = [pod(f"g-{i}", "g", model_bytes="30G", **ASKS) for i in range(2)]


def local_model(name: str, state: str) -> Object:
    """KServe's word about one node."""
    return {
        "apiVersion": f"{keys.KSERVE_GROUP}/v1alpha1",
        "kind": "LocalModelNode",
        "metadata": {"name": name},
        "spec": {"localModels": [{"modelName": "llama", "sourceModelUri": "hf://org/llama"}]},
        "status": {"modelStatus": {"llama": state}},
    }


def report(name: str, age: timedelta, state: str = "Complete", present: int = 100) -> Object:
    """The scanner's word about one node, so long ago."""
    cache = {
        "model": "hf://org/llama",
        "path": "/models/llama",
        "bytesExpected": 100,
        "bytesPresent": present,
        "state": state,
        "tier": "nvme",
        "checkedAt": (datetime.now(UTC) - age).isoformat(),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeTopology",
        "metadata": {"name": name},
        "status": {"caches": [cache]},
    }


def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str], *objects: Object
) -> str:
    """What a command prints about a cluster of four nodes, one gang and ``objects``."""
    file = tmp_path / "objects.json"
    items = [*NODES, *GANG, *objects]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert muster.main([*command, "-f", str(file)]) == 0
    return capsys.readouterr().out


def plan(capsys: pytest.CaptureFixture[str], tmp_path: Path, *objects: Object) -> tuple[str, int]:
    """The gang's nodes and seconds."""
    (found,) = json.loads(run(capsys, tmp_path, ["plan", "-o", "json"], *objects))["gangs"]
    return " ".join(member["node"] for member in found["members"]), found["loadSeconds"]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], ("n1 n2", 48)),
        ([local_model(n, "ModelDownloaded") for n in ("n3", "n4")], ("n3 n4", 5)),
        ([local_model(n, "ModelDownloading") for n in ("n3", "n4")], ("n1 n2", 48)),
        ([report(n, timedelta(minutes=1)) for n in ("n3", "n4")], ("n3 n4", 5)),
        ([report(n, timedelta(hours=1)) for n in ("n3", "n4")], ("n1 n2", 48)),
        ([report(n, timedelta(0), "Partial", 99) for n in ("n3", "n4")], ("n1 n2", 48)),
    ],
    ids=["nothing", "complete", "under way", "fresh", "stale", "partial"],
)
def test_the_plan(
    objects: list[Object],
    expected: tuple[str, int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """A complete, fresh copy draws the gang to its rack; all else changes nothing."""
    assert plan(capsys, tmp_path, *objects) == expected


def test_explain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Seconds here and in the next best rack."""
    known = [local_model(n, "ModelDownloaded") for n in ("n3", "n4")]
    text = run(capsys, tmp_path, ["explain", "g"], *known)
    assert "loads its model in 5 s (48 s in rack r1, which has no copy)" in text


def test_the_operator_knows_the_rates(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two nodes share 1 Gbit/s for 30 GB each, 480 s, and engines take 60 s to warm up."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy: {origins: {hf: 125000000}, warm_up_seconds: 60}")
    out = run(capsys, tmp_path, ["plan", "-o", "json", "--policy", str(policy)])
    assert json.loads(out)["gangs"][0]["loadSeconds"] == 480 + 60


def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A size that cannot be read is a problem of its object."""
    wrong = {
        "apiVersion": f"{keys.KSERVE_GROUP}/v1alpha1",
        "kind": "LocalModelCache",
        "metadata": {"name": "llama"},
        "spec": {"sourceModelUri": "hf://org/llama", "modelSize": "big"},
    }
    out = run(capsys, tmp_path, ["topology", "-o", "json"], wrong)
    assert "LocalModelCache llama: spec.modelSize: 'big' is no size" in out
