"""The shipped flavors: each makes a pod of llmaz for NVIDIA into one for its own vendor."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.flavors import merged, read_flavor_object
from scheduler.kube.manifests import load_manifests
from scheduler.rewrite import restored, write
from tests.manifests.test_crds import PRESETS
from tests.scheduler.test_rewrite import MEMBERSHIP, engine_pod
from topology.keys import ASCEND_910, BIREN_GPU, ILUVATAR_GPU, KUNLUN_XPU, NVIDIA_GPU
from topology.model import Flavor
from topology.resources import Resources

ARGS = ["--model", "/models/x", "--tensor-parallel-size", "8"]
OWN_ENV = ["A", "HOME"]
HCCL = ["HCCL_IF_IP", "HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"]

EXPECTED: dict[str, dict[str, Any]] = {
    "vllm-nvidia": {
        "cards": {NVIDIA_GPU: "8"},
        "image": "vllm/vllm-openai",
        "tolerates": [NVIDIA_GPU],
    },
    "vllm-ascend-a2": {
        "cards": {ASCEND_910: "8"},
        "image": "quay.io/ascend/vllm-ascend",
        "env": HCCL,
        "runtime": "ascend",
    },
    "vllm-ascend-a3": {
        "cards": {ASCEND_910: "16"},
        "image": "quay.io/ascend/vllm-ascend",
        "env": HCCL,
        "runtime": "ascend",
    },
    "vllm-iluvatar": {"cards": {ILUVATAR_GPU: "8"}, "image": "example.com/vllm-iluvatar"},
    "vllm-biren": {
        "cards": {BIREN_GPU: "8"},
        "image": "example.com/vllm-supa",
        "tolerates": [BIREN_GPU],
    },
    "vllm-kunlunxin": {
        "cards": {KUNLUN_XPU: "8"},
        "image": "example.com/vllm-kunlun",
        "args": ["--block-size=128"],
    },
}


def preset(name: str) -> Flavor:
    """One shipped flavor."""
    (obj,) = load_manifests(f"flavors/{name}")
    assert obj["metadata"]["name"] == name
    found = read_flavor_object(obj)
    assert found.flavor is not None, found.error
    return found.flavor


def test_every_preset_is_expected_here() -> None:
    """A file without a row would not be tested."""
    assert sorted(EXPECTED) == PRESETS


@pytest.mark.parametrize("name", EXPECTED)
def test_a_preset_writes_what_the_vendor_needs(name: str) -> None:
    """Cards, image, variables, flags, tolerations and runtime class, and nothing else."""
    want = EXPECTED[name]
    before = engine_pod()
    after = write(before, preset(name))
    (container,) = after["spec"]["containers"]
    amounts = {"cpu": "4", "memory": "8Gi", **want["cards"], **MEMBERSHIP}
    assert container["resources"] == {"requests": amounts, "limits": amounts}
    assert container["image"].rpartition(":")[0] == want["image"]
    assert container["args"] == [*ARGS, *want.get("args", [])]
    assert [variable["name"] for variable in container["env"]] == [*OWN_ENV, *want.get("env", [])]
    tolerated = [toleration["key"] for toleration in after["spec"]["tolerations"]]
    assert tolerated == ["x", *want.get("tolerates", [])]
    assert after["spec"].get("runtimeClassName") == want.get("runtime")
    assert restored(after) == before


def test_a_model_says_how_many_cards() -> None:
    """An OpenModel's flavor named like a preset keeps its own count and takes the rest."""
    model = Flavor(name="vllm-ascend-a2", resources=Resources({ASCEND_910: 2}))
    (container,) = write(engine_pod(), merged(model, preset("vllm-ascend-a2")))["spec"][
        "containers"
    ]
    assert container["resources"]["limits"][ASCEND_910] == "2"
    assert container["image"].startswith("quay.io/ascend/vllm-ascend")
