"""What the API server itself refuses in a Flavor, with words that a user can act on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from scheduler.flavors import read_flavor_object
from scheduler.keys import API_VERSION
from scheduler.kube.manifests import load_manifests
from scheduler.kube.resources import FLAVORS, NODE_TOPOLOGIES
from simulations.controlplane import ApiError, Binaries, Cluster
from tests.scan.trees import NAMES, load
from topology.keys import NVIDIA_GPU

pytestmark = pytest.mark.e2e

Object = dict[str, Any]
PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "manifests/flavors").iterdir())
GOOD: Object = {
    "resources": {NVIDIA_GPU: 8, "cpu": "500m", "memory": "1Ti"},
    "nodeSelector": {"pool": "h100"},
    "deviceClass": "nvidia-h100-80gb",
    "minMemory": "80Gi",
    "members": 2,
    "overlay": {
        "container": "engine",
        "image": "vllm",
        "command": ["serve"],
        "args": ["--tp=8", "--enforce-eager"],
        "removeArgs": ["--dtype="],
        "env": [
            {"name": "A", "value": "b"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "runtimeClassName": "nvidia",
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "annotations": {"a": "b"},
        "labels": {"c": "d"},
        "resources": {"ephemeral-storage": "8Gi"},
    },
    "costPerHour": "12.50",
    "performance": {"tokensPerSecond": 5000, "nested": {"any": ["thing"]}},
}


def stored(cluster: Cluster, spec: Object) -> Object:
    """The spec as it would be stored; unknown fields are errors, as with kubectl."""
    body = {"apiVersion": API_VERSION, "kind": "Flavor", "metadata": {"name": "f"}, "spec": spec}
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    found: Object = cluster.api.request("POST", FLAVORS.path(), body, query=query)["spec"]
    return found


@pytest.mark.parametrize("spec", [{}, GOOD], ids=["empty", "everything"])
def test_a_good_flavor_is_stored_whole(manifests_cluster: Cluster, spec: Object) -> None:
    """Nothing of what the design names is pruned, and Muster reads every field that can be stored."""
    assert stored(manifests_cluster, spec) == spec
    assert read_flavor_object({"metadata": {"name": "f"}, "spec": spec}).error == ""


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_stored_whole(manifests_cluster: Cluster, name: str) -> None:
    """Every shipped flavor is one that the API server takes."""
    (preset,) = load_manifests(f"flavors/{name}")
    assert stored(manifests_cluster, preset["spec"]) == preset["spec"]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("members", 0, "members must be at least 1"),
        ("members", "two", "must be of type integer"),
        ("resources", {NVIDIA_GPU: "eight"}, "every resource must be a Kubernetes quantity"),
        ("resources", {NVIDIA_GPU: -1}, "every resource must be a Kubernetes quantity"),
        ("minMemory", "80 GB", "minMemory must be a Kubernetes quantity such as 80Gi"),
        ("costPerHour", "1,50", "costPerHour must be a decimal number"),
        ("nodeSelector", ["a"], "must be of type object"),
        ("gpus", 8, 'unknown field "spec.gpus"'),
        ("overlay", {"args": ["tp=8"]}, "every item must be a flag, --name=value or --name"),
        ("overlay", {"removeArgs": ["--a=b"]}, "every item must be a flag, --name or --name="),
        ("overlay", {"env": [{"name": "A"}, {"name": "A"}]}, "Duplicate value"),
        ("overlay", {"env": [{"value": "A"}]}, "Required value"),
        ("overlay", {"tolerations": [{"operator": "Has"}]}, "Unsupported value"),
        (
            "overlay",
            {"resources": {NVIDIA_GPU: "x"}},
            "every resource must be a Kubernetes quantity",
        ),
        ("overlay", {"img": "x"}, 'unknown field "spec.overlay.img"'),
    ],
)
def test_a_wrong_flavor_is_refused_with_the_field(
    manifests_cluster: Cluster, field: str, value: object, text: str
) -> None:
    """The message names the field and what would be right."""
    with pytest.raises(ApiError) as caught:
        stored(manifests_cluster, {**GOOD, field: value})
    assert f"spec.{field}" in caught.value.message
    assert text in caught.value.message


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_stored_whole(manifests_cluster: Cluster, name: str) -> None:
    """Nothing that an agent can find on a host is pruned or refused."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "NodeTopology",
        "metadata": {"name": "n"},
        "status": load(name)["report"],
    }
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    path = NODE_TOPOLOGIES.path()
    found = manifests_cluster.api.request("POST", path, body, query=query)
    assert found["status"] == body["status"]


def test_kubectl_applies_everything(manifests_cluster: Cluster, control_plane: Binaries) -> None:
    """``kubectl apply -k manifests`` is the documented way: no error, no warning, pod security included."""
    folder = Path(__file__).parents[2] / "manifests"
    done = subprocess.run(
        [
            control_plane.paths["kubectl"],
            f"--kubeconfig={manifests_cluster.kubeconfig}",
            "apply",
            f"--kustomize={folder}",
            "--dry-run=server",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    # The fixture applied them in another way, which kubectl remarks on.
    warnings = [w for w in done.stderr.splitlines() if "last-applied-configuration" not in w]
    assert (done.returncode, warnings) == (0, [])
    assert "deployment.apps/muster" in done.stdout
