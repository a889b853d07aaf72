"""KServe and llm-d: each replica is a gang of one with its role and model."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import Gang
from tests.objects import Object, flavor, node, pod, state_of
from topology import keys

FLEET = [node("n1"), node("n2")]
URI = "hf://Qwen/Qwen3-32B"


def gangs_of(*objects: Object) -> dict[str, Gang]:
    """All gangs by name."""
    return {gang.name: gang for gang in state_of([*FLEET, *objects]).gangs()}


def replica(name: str, labels: dict[str, str], uri: str | None = None, **given: Any) -> Object:
    """A pod of a Deployment that KServe or the chart of llm-d made."""
    made = pod(name, labels=labels, **given)
    owner = {"kind": "ReplicaSet", "name": name.rpartition("-")[0], "uid": "u", "controller": True}
    made["metadata"]["ownerReferences"] = [owner]
    if uri is not None:
        made["metadata"]["annotations"][keys.KSERVE_MODEL_URI] = uri
    return made


REPLICAS: list[tuple[dict[str, str], str, str]] = [
    # labels, role, what replicas are counted together for spread
    ({keys.KSERVE_SERVICE: "chat", "component": "predictor"}, "main", "InferenceService/chat"),
    ({keys.LLMD_ROLE: "prefill", keys.LLMD_MODEL: "m"}, "prefill", "llm-d.ai/model=m"),
    ({keys.LLMD_ROLE: "decode", keys.LLMD_MODEL: "m"}, "decode", "llm-d.ai/model=m"),
    ({keys.LLMD_ROLE: "both"}, "main", "ReplicaSet/p-x"),
    ({keys.LLMD_ROLE: ""}, "main", "ReplicaSet/p-x"),
    ({keys.LLMD_MODEL: "m"}, "main", "llm-d.ai/model=m"),
]


@pytest.mark.parametrize(("labels", "role", "workload"), REPLICAS)
def test_each_replica_is_a_gang_of_one(labels: dict[str, str], role: str, workload: str) -> None:
    """Three replicas of one Deployment start one by one."""
    gangs = gangs_of(*[replica(f"p-x-{i}", labels) for i in "abc"])
    assert sorted(gangs) == ["p-x-a", "p-x-b", "p-x-c"]
    for gang in gangs.values():
        assert (gang.source, gang.size, gang.min_members, gang.blocked) == ("serving", 1, 1, None)
        assert ([p.role for p in gang.podsets], gang.workload) == ([role], workload)


def test_the_model_is_what_kserve_loads() -> None:
    """The address that the storage initializer reads; our own annotation wins."""
    labels = {keys.KSERVE_SERVICE: "chat"}
    gangs = gangs_of(
        replica("p-x-a", labels, URI),
        replica("p-x-b", labels, URI, model="s3://own/model"),
        replica("p-x-c", labels),
    )
    assert {name: gang.model for name, gang in gangs.items()} == {
        "p-x-a": URI,
        "p-x-b": "s3://own/model",
        "p-x-c": None,
    }


def test_flavors_come_from_the_annotations_of_the_pod() -> None:
    """KServe hands annotations of an InferenceService on to its pods."""
    (gang,) = gangs_of(
        flavor("h100", nodeSelector={"x": "y"}),
        replica("p-x-a", {keys.KSERVE_SERVICE: "chat"}, flavors="h100"),
    ).values()
    assert [one.name for one in gang.flavors] == ["h100"]


def test_a_multi_node_service_becomes_a_gang_by_our_annotations() -> None:
    """Head and worker Deployments of one InferenceService, both with its annotations."""
    labels = {keys.KSERVE_SERVICE: "chat"}
    own: dict[str, Any] = {"gang": "chat", "gang_size": "2"}
    gangs = gangs_of(replica("chat-head-a", labels, **own), replica("chat-worker-a", labels, **own))
    assert {name: (gang.size, gang.source) for name, gang in gangs.items()} == {
        "chat": (2, "annotations")
    }


@pytest.mark.parametrize("label", ["app.kubernetes.io/name", "llm-d.ai/guide"])
def test_helpers_of_the_stacks_are_plain(label: str) -> None:
    """Routers and schedulers of requests carry no role and no model."""
    assert gangs_of(replica("router-x-a", {label: "chat"})) == {}
