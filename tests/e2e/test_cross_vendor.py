"""Any vendor, with the real managers: the pods that llmaz renders for one vendor are made for another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler import keys
from tests.e2e.rig import Object
from tests.e2e.workload_rig import MODEL, POOL, WorkloadRig
from topology.keys import ASCEND_910, ASCEND_CHIP, NVIDIA_GPU, NVIDIA_PRODUCT, NVIDIA_REPLICAS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

KUNLUN = "kunlunxin.com/xpu"
RESOURCES = {"nvidia": NVIDIA_GPU, "ascend": ASCEND_910, "kunlunxin": KUNLUN}
IMAGES = {
    "nvidia": "vllm/vllm-openai:v0.11.0",  # as llmaz renders it
    "ascend": "quay.io/ascend/vllm-ascend:v0.11.0",
    "kunlunxin": "example/vllm-kunlun:v0.11.0",
}


def flavors(rig: WorkloadRig, count: int = 1) -> str:
    """An OpenModel that three vendors serve, and what the other two need in `Flavor` objects of its names."""
    own = f"{rig.name}-any"
    names = {vendor: f"{rig.name}-{vendor}" for vendor in RESOURCES}
    for vendor in ("ascend", "kunlunxin"):
        env = [{"name": "VLLM_PLUGINS", "value": vendor}]
        rig.apply(flavor(names[vendor], {"overlay": {"image": IMAGES[vendor], "env": env}}))
    listed = [
        {
            "name": names[vendor],
            "requests": {resource: str(count)},
            "nodeSelector": {MODEL: vendor, POOL: rig.name},
        }
        for vendor, resource in RESOURCES.items()
    ]
    rig.open_model(own, listed)
    return own


def flavor(name: str, spec: Object) -> Object:
    """A `Flavor` object."""
    return {
        "apiVersion": keys.API_VERSION,
        "kind": "Flavor",
        "metadata": {"name": name},
        "spec": spec,
    }


def made_for(rig: WorkloadRig, gang: str) -> str:
    """The vendor that every pod of the gang is made for: cards, image and environment agree."""
    found = set()
    for pod in rig.pods(gang):
        container = next(c for c in pod["spec"]["containers"] if c["name"] == "model-runner")
        limits = container["resources"]["limits"]
        [vendor] = [name for name, resource in RESOURCES.items() if resource in limits]
        assert container["image"] == IMAGES[vendor]
        env = {one["name"]: one.get("value") for one in container.get("env", [])}
        assert env.get("VLLM_PLUGINS") == (None if vendor == "nvidia" else vendor)
        found.add(vendor)
    [vendor] = found
    return vendor


def room(rig: WorkloadRig, vendor: str, nodes: int = 1, count: int = 8) -> list[str]:
    """Nodes of one vendor."""
    return rig.cards(vendor, nodes=nodes, count=count, resource=RESOURCES[vendor])


def test_a_playground_lands_on_the_vendor_that_has_room(vendors: WorkloadRig) -> None:
    """NVIDIA full: the next replica is made for Ascend, the next for Kunlunxin; with room on NVIDIA
    again, the next are as llmaz renders them."""
    rig = vendors
    room(rig, "nvidia", count=1)
    room(rig, "ascend", count=1)
    room(rig, "kunlunxin", count=1)
    rig.apply(rig.playground("chat", flavors(rig), 3))
    for index in range(3):
        rig.wait_bound(f"chat-{index}", 1)
    found = [made_for(rig, f"chat-{index}") for index in range(3)]
    assert sorted(found) == ["ascend", "kunlunxin", "nvidia"]
    room(rig, "nvidia", count=1)
    rig.kubectl("scale", "playgrounds.inference.llmaz.io", "chat", "--replicas=4")
    rig.wait_bound("chat-3", 1)
    assert made_for(rig, "chat-3") == "nvidia"


def test_all_members_of_a_group_are_made_alike(vendors: WorkloadRig) -> None:
    """A Service with leaderTemplate: its workers carry no key of llmaz, and are written like their leader."""
    rig = vendors
    room(rig, "nvidia", nodes=1)
    room(rig, "ascend", nodes=2)
    rig.apply(rig.service("pair", flavors(rig, 8), 2, leader_template=True, image=IMAGES["nvidia"]))
    rig.wait_bound("pair-0", 2)
    assert made_for(rig, "pair-0") == "ascend"


def test_a_group_that_waits_is_made_anew_when_another_vendor_has_room(vendors: WorkloadRig) -> None:
    """Nothing fits: it waits as llmaz rendered it. Ascend nodes come: its owner makes it again for them."""
    rig = vendors
    rig.apply(rig.service("pair", flavors(rig, 8), 2, image=IMAGES["nvidia"]))
    rig.wait_phase("pair-0", "Waiting")
    assert made_for(rig, "pair-0") == "nvidia"
    room(rig, "ascend", nodes=2)
    rig.wait_bound("pair-0", 2)
    assert made_for(rig, "pair-0") == "ascend"


def sized(rig: WorkloadRig, replicas: int) -> Object:
    """A LeaderWorkerSet of 2 x 8 cards whose second flavor is 4 x 4."""
    spec: list[Any] = [
        {"name": "big", "resources": {NVIDIA_GPU: 8}, "members": 2, "nodeSelector": {MODEL: "big"}},
        {
            "name": "small",
            "resources": {NVIDIA_GPU: 4},
            "members": 4,
            "nodeSelector": {MODEL: "small"},
        },
    ]
    return rig.worker_set(
        "ring", 2, replicas=replicas, annotations={keys.FLAVOR_SPEC: json.dumps(spec)}
    )


def test_two_times_eight_falls_back_to_four_times_four(vendors: WorkloadRig) -> None:
    """The size is changed on the object that the user owns, and the group is built anew with four members."""
    rig = vendors
    rig.cards("big", nodes=1)
    rig.cards("small", nodes=4, count=4)
    rig.apply(sized(rig, replicas=1))
    places = rig.wait_bound("ring-0", 4)
    assert len(places) == 4 and rig.models_of("ring-0") == {"small"}
    found = rig.kubectl("get", "leaderworkersets", "ring", "-o", "jsonpath={..size}")
    assert found == "4"


def test_a_size_that_others_share_is_not_changed(vendors: WorkloadRig) -> None:
    """Two groups: the other one would restart, so the flavor is refused with that reason."""
    rig = vendors
    rig.cards("big", nodes=2)
    rig.cards("small", nodes=4, count=4)
    rig.apply(sized(rig, replicas=2))

    def told() -> bool:
        texts = [str(rig.status(f"ring-{index}").get("passedOver")) for index in range(2)]
        return any("would restart" in text for text in texts)

    def bound() -> list[str]:
        names = ("ring-0", "ring-1")
        return [name for name in names if rig.status(name).get("phase") == "Bound"]

    rig.cluster.api.wait_for("the reason", told)
    rig.cluster.api.wait_for("the other group", bound)
    assert rig.whole_groups({"ring-0": 2, "ring-1": 2}) == set(bound())
    assert len(bound()) == 1


def test_a_group_that_names_no_vendor(vendors: WorkloadRig) -> None:
    """Eight cards of 64 GiB each, of whomever: one group on each vendor, and none on shares of cards."""
    rig = vendors
    chip, product = {ASCEND_CHIP: "910B3"}, {NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3"}
    rig.cards("h100", nodes=2, labels=product)
    rig.cards("shared", nodes=2, count=32, labels={**product, NVIDIA_REPLICAS: "4"})
    rig.cards("910b", nodes=2, labels=chip, resource=ASCEND_910)
    rig.cards("p800", nodes=2, resource=KUNLUN)
    spec = json.dumps([{"name": "big", "minMemory": "64Gi", "cards": 8}])
    group = rig.worker_set("ring", 2, replicas=4, annotations={keys.FLAVOR_SPEC: spec})
    template = group["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    del template["spec"]["containers"][0]["resources"]
    rig.apply(group)

    names = {f"ring-{index}" for index in range(4)}

    def bound() -> set[str]:
        return {name for name in names if rig.status(name).get("phase") == "Bound"}

    rig.cluster.api.wait_for("three groups", lambda: len(bound()) == 3, timeout=60)
    assert rig.whole_groups(dict.fromkeys(names, 2)) == bound()
    models = [rig.models_of(name) for name in sorted(bound())]
    assert sorted(model for (model,) in models) == ["910b", "h100", "p800"]
    [waiting] = names - bound()
    told = {one["flavor"] for one in rig.status(waiting)["passedOver"]}
    assert {"big/ascend-910b", "big/nvidia-h100-80gb", "big/kunlunxin-p800"} <= told
