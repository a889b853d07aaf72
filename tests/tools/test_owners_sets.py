"""LeaderWorkerSets, llmaz's objects and their pods, planned before any controller has seen them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from extender.tools.inputs import understand
from scheduler.gangs.owners import expand
from scheduler.model import Gang
from tests.objects import Object, node, pod
from tests.workloads.groups import (
    lws,
    model,
    playground,
    pods_of,
    reference,
    service,
    stateful_sets,
    template,
)
from topology import keys

A10 = {"name": "a10", "limits": {keys.NVIDIA_GPU: 1}, "nodeSelector": {"card": "a10"}}
A100 = {"name": "a100", "limits": {keys.NVIDIA_GPU: 2}, "nodeSelector": {"card": "a100"}}
LLAMA = model("llama", A10, A100)


def names(*objects: Object) -> list[str]:
    """Names of the pods of these objects."""
    return [one["metadata"]["name"] for one in expand(objects).pods]


def gangs(*objects: Object) -> dict[str, Gang]:
    """The gangs of a plan, by name."""
    return {gang.name: gang for gang in understand([*objects]).snapshot.gangs}


def resources(made: Any) -> Any:
    """Resources of a pod's one container."""
    [container] = made["spec"]["containers"]
    return container.get("resources")


# -- LeaderWorkerSet ---------------------------------------------------------------------------------


def test_a_set_becomes_all_pods_of_all_groups() -> None:
    """Leaders and workers alike, also where the workers come late; they need no annotation of ours."""
    for startup in ("LeaderCreated", "LeaderReady"):
        group = lws(size=3, replicas=2, startup=startup)
        assert names(group) == [
            "train-0", "train-0-1", "train-0-2", "train-1", "train-1-1", "train-1-2",
        ]  # fmt: skip
        found = gangs(group)
        assert [gang.blocked for gang in found.values()] == [None, None]
        assert not any(m.late for g in found.values() for p in g.podsets for m in p.members)


@pytest.mark.parametrize(
    ("more", "count"),
    [({"replicas": 0}, 0), ({"replicas": None, "size": None}, 1), ({"size": 2}, 2)],
)
def test_counts_have_the_defaults_of_the_api(more: dict[str, Any], count: int) -> None:
    """One group of one pod, when nothing is said."""
    assert len(names(lws(**more))) == count


WRONG: list[tuple[Object, str]] = [
    (lws(replicas=-1), "LeaderWorkerSet default/train: spec.replicas: '-1' is not a whole number"),
    (lws(size="4"), "LeaderWorkerSet default/train: spec.leaderWorkerTemplate.size: '4' is not"),
    (
        lws(size=1000, replicas=1000),
        "LeaderWorkerSet default/train: spec.replicas: 1000 groups of 1000 are more than 100000 pods",
    ),
    (
        playground(replicas=1.5),
        "Playground default/chat: spec.replicas: '1.5' is not a whole number",
    ),
    (
        playground(modelClaims={}),
        "Playground default/chat: spec.modelClaims: names no model; expected modelName",
    ),
    (
        service(workloadTemplate={"size": True}),
        "Service default/chat: spec.workloadTemplate.size: 'True' is not a whole number",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_a_wrong_owner_makes_nothing_and_is_told(wrong: Object, message: str) -> None:
    """One sentence that names the object of the user and its field."""
    expansion = expand([LLAMA, wrong])
    assert expansion.pods == ()
    [problem] = expansion.problems
    assert str(problem).startswith(message)


# -- llmaz -------------------------------------------------------------------------------------------


def test_a_playground_becomes_groups_of_one() -> None:
    """Playground, Service and LeaderWorkerSet of one name; the pods carry the model and the claim."""
    above = playground(
        replicas=2, modelClaim={"modelName": "llama", "inferenceFlavors": ["a100", "a10"]}
    )
    expansion = expand([LLAMA, above])
    assert [obj["kind"] for obj in expansion.objects] == ["Service", "LeaderWorkerSet"]
    first, _ = expansion.pods
    assert first["metadata"]["name"] == "chat-0"
    assert first["metadata"]["labels"][keys.LLMAZ_MODEL] == "llama"
    assert first["metadata"]["annotations"][keys.LLMAZ_FLAVORS] == "a100,a10"
    assert resources(first) == {
        "requests": {keys.NVIDIA_GPU: 2},
        "limits": {keys.NVIDIA_GPU: 2},
    }
    assert [one.name for one in gangs(LLAMA, above)["chat-0"].flavors] == ["a100", "a10"]


def test_a_playground_asks_for_what_its_runtime_recommends() -> None:
    """The runtime's resources, those of the Playground over them, the flavor's over both."""
    runtime = {
        "apiVersion": "inference.llmaz.io/v1alpha1",
        "kind": "BackendRuntime",
        "metadata": {"name": "sglang"},
        "spec": {
            "command": ["serve"],
            "recommendedConfigs": [
                {"name": "big", "resources": {"requests": {"cpu": 32}}},
                {
                    "name": "default",
                    "resources": {
                        "requests": {"cpu": 4, "memory": "8Gi"},
                        "limits": {"cpu": 4, "memory": "8Gi"},
                    },
                },
            ],
        },
    }
    config = {"backendName": "sglang", "resources": {"requests": {"cpu": "6"}}}
    [made] = expand([LLAMA, runtime, playground(backendRuntimeConfig=config)]).pods
    assert resources(made) == {
        "requests": {"cpu": "6", "memory": "8Gi", keys.NVIDIA_GPU: 1},
        "limits": {"cpu": "6", "memory": "8Gi", keys.NVIDIA_GPU: 1},
    }
    assert understand([LLAMA, runtime]).ignored == {}


OLD = {
    "apiVersion": "inference.llmaz.io/v1alpha1",
    "kind": "BackendRuntime",
    "metadata": {"name": "vllm"},
    "spec": {"commands": ["serve"], "resources": {"limits": {"cpu": 2}, "requests": {"cpu": 2}}},
}
PARALLEL = {**A10, "params": {"TP": "1", "PP": "2"}}


@pytest.mark.parametrize(
    ("flavor", "runtime", "size"),
    [
        (PARALLEL, None, 1),  # today a Playground has one pod, whatever PP says
        (PARALLEL, OLD, 2),  # v0.1.0 and v0.1.1
        ({**A10, "params": {"PP": "x"}}, OLD, 1),
        ({"name": "a10", "requests": {keys.NVIDIA_GPU: 1}, "params": {"PP": "2"}}, None, 2),
    ],
)
def test_playgrounds_of_old_releases_have_groups(
    flavor: Object, runtime: Object | None, size: int
) -> None:
    """What release wrote the objects is told by fields that others do not have."""
    objects = [model("llama", flavor), playground(), *([runtime] if runtime else [])]
    found = gangs(*objects)["chat-0"]
    assert found.size == size
    assert found.podsets[0].request[keys.NVIDIA_GPU] == 1
    assert found.podsets[-1].request[keys.NVIDIA_GPU] == 1


SERVICES: list[tuple[str, dict[str, Any], list[str]]] = [
    # workloadTemplate, pods with the model's label
    (
        "without a leader template",
        {"size": 2, "workerTemplate": template(0)},
        ["chat-0", "chat-0-1"],
    ),
    (
        "with a leader template",
        {"size": 2, "leaderTemplate": template(0), "workerTemplate": template(0)},
        ["chat-0"],
    ),
    (
        "up to v0.1.1, the specification of a LeaderWorkerSet",
        {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template(0)}},
        ["chat-0", "chat-0-1"],
    ),
]


@pytest.mark.parametrize(
    ("workload", "labelled"), [case[1:] for case in SERVICES], ids=[case[0] for case in SERVICES]
)
def test_a_service_becomes_groups(workload: dict[str, Any], labelled: list[str]) -> None:
    """The flavor's cards are in all pods, the model's label in those of the leader's template."""
    above = service(workloadTemplate=workload)
    made = expand([LLAMA, above]).pods
    assert [one["metadata"]["name"] for one in made] == ["chat-0", "chat-0-1"]
    assert [resources(one)["limits"] for one in made] == [{keys.NVIDIA_GPU: 1}] * 2
    assert [
        one["metadata"]["name"] for one in made if keys.LLMAZ_MODEL in one["metadata"]["labels"]
    ] == labelled
    assert [one.name for one in gangs(LLAMA, above)["chat-0"].flavors] == ["a10", "a100"]


def test_a_playground_without_its_model_waits() -> None:
    """The pods are known, and the gang says what is missing."""
    blocked = gangs(playground())["chat-0"].blocked
    assert blocked is not None
    assert blocked.message == (
        "Pod default/chat-0: llmaz.io/model-name: OpenModel llama does not exist"
    )


def test_annotations_on_a_playground_reach_its_gangs() -> None:
    """A Playground hands nothing down to its pods; Muster reads it where it stands."""
    above = playground()
    above["metadata"]["annotations"] = {"muster.dev/spread": "host"}
    assert gangs(LLAMA, above, node("n1"))["chat-0"].spread == "host"


# -- dumps of a cluster ------------------------------------------------------------------------------


def whole_chain(replicas: int = 1, size: int = 1, startup: str = "LeaderReady") -> list[Object]:
    """Playground, Service and LeaderWorkerSet as a dump has them."""
    above = playground(replicas=replicas)
    between = service(owner=above)
    worker = template(1, metadata={"labels": {keys.LLMAZ_MODEL: "llama"}})
    group = lws("chat", size=size, replicas=replicas, worker=worker, owner=between, startup=startup)
    return [LLAMA, above, between, group]


def test_a_dump_is_not_made_again() -> None:
    """Playground, Service, LeaderWorkerSet, StatefulSets and pods of a cluster are one workload."""
    chain = whole_chain(replicas=2)
    [*_, group] = chain
    real = [*stateful_sets(group), *pods_of(group, 0), *pods_of(group, 1)]
    snapshot = understand([*chain, *real]).snapshot
    assert [m.uid for g in snapshot.gangs for p in g.podsets for m in p.members] == [
        "uid-chat-0-a",
        "uid-chat-1-a",
    ]
    assert expand([*chain, *real]).objects == ()


def test_a_dump_lacks_groups_that_are_still_to_come() -> None:
    """Scaled up a moment ago: the third group is planned as it will be made."""
    chain = whole_chain(replicas=3)
    found = understand([*chain, *pods_of(chain[-1], 0), *pods_of(chain[-1], 1)]).snapshot.gangs
    assert [m.uid for g in found for p in g.podsets for m in p.members] == [
        "uid-chat-0-a",
        "uid-chat-1-a",
        "default/chat-2",
    ]


def test_late_workers_of_a_real_leader_are_late() -> None:
    """As in the live service: they have no uid, so that places held for them are theirs."""
    chain = whole_chain(size=2)
    [gang] = understand([*chain, pods_of(chain[-1])[0]]).snapshot.gangs
    assert [(m.pod, m.uid, m.late) for p in gang.podsets for m in p.members] == [
        ("chat-0", "uid-chat-0-a", False),
        ("chat-0-1", "", True),
    ]


def test_stateful_sets_of_a_set_make_no_pods_of_their_own() -> None:
    """Their templates carry our annotations, but their pods are known from the LeaderWorkerSet."""
    ours = {"annotations": {"muster.dev/spread": "host"}}
    group = lws(size=2, worker=template(metadata=ours))
    owned = stateful_sets(group)
    for one in owned:
        one["spec"] = {"replicas": 3, "template": template(metadata=ours)}
    assert names(group, *owned) == ["train-0", "train-0-1"]


def test_what_is_being_deleted_makes_nothing() -> None:
    """Neither does it come back in a plan."""
    group = lws()
    group["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert names(group) == []


def test_a_service_of_the_core_is_not_one_of_llmaz() -> None:
    """Kinds of different groups share names."""
    core = copy.deepcopy(service())
    core["apiVersion"] = "v1"
    assert names(LLAMA, core) == []
    child = copy.deepcopy(core)
    child["metadata"]["ownerReferences"] = [reference(playground())]
    assert len(names(LLAMA, playground(), child)) == 1


def test_plain_pods_beside_stay_plain() -> None:
    """Only what an owner makes is added."""
    assert names(lws(size=1), pod("plain")) == ["plain", "train-0"]
