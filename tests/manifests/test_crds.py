"""What the API server itself refuses in a Flavor, with words that a user can act on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from scheduler.keys import API_VERSION
from scheduler.kube.resources import FLAVORS
from simulations.controlplane import ApiError, Binaries, Cluster
from topology.keys import NVIDIA_GPU

pytestmark = pytest.mark.e2e

Object = dict[str, Any]
GOOD: Object = {
    "resources": {NVIDIA_GPU: 8, "cpu": "500m", "memory": "1Ti"},
    "nodeSelector": {"pool": "h100"},
    "deviceClass": "nvidia-h100-80gb",
    "minMemory": "80Gi",
    "members": 2,
    "overlay": {
        "image": "vllm",
        "env": [{"name": "A", "value": "b"}],
        "args": ["--tp=8"],
        "runtimeClassName": "nvidia",
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "resources": {NVIDIA_GPU: 4},
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
    """Nothing of what the design names is pruned."""
    assert stored(manifests_cluster, spec) == spec


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
