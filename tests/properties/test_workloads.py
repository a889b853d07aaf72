"""LeaderWorkerSets and llmaz's objects with any damage: gangs and problems, never an exception."""

from __future__ import annotations

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.tools.inputs import understand
from scheduler.gangs import sets
from scheduler.gangs.llmaz import read_model
from scheduler.gangs.owners import expand
from scheduler.model import Code
from scheduler.policy import Policy
from scheduler.snapshot_json import dump, load
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.objects import Object, node
from tests.properties.damage import damaged
from tests.properties.test_parsers import JSON
from tests.workloads.groups import (
    apply,
    cluster,
    lws,
    model,
    playground,
    pods_of,
    revision,
    service,
    stateful_sets,
    template,
)
from topology import keys

FLEET = [node(f"n{i}", "h100", {keys.BLOCK: "b", keys.RACK: f"r{i // 2}"}) for i in range(4)]
SERVES = {"labels": {keys.LLMAZ_MODEL: "llama"}, "annotations": {keys.LLMAZ_FLAVORS: "h100"}}
EXCLUSIVE = {
    keys.LWS_EXCLUSIVE: keys.BLOCK,
    keys.LWS_SUBGROUP_EXCLUSIVE: keys.RACK,
    "muster.dev/spread": "rack",
}

MODEL = model(
    "llama",
    {
        "name": "h100",
        "limits": {keys.NVIDIA_GPU: 1, "cpu": "1"},
        "nodeSelector": {keys.BLOCK: "b"},
        "params": {"TP": "1", "PP": "2"},
    },
    {"name": "any", "requests": {keys.NVIDIA_GPU: 1}, "nodeSelector": {"x": True}},
    source={"modelHub": {"modelID": "org/name", "revision": "v1"}},
)
RUNTIME: Object = {
    "apiVersion": "inference.llmaz.io/v1alpha1",
    "kind": "BackendRuntime",
    "metadata": {"name": "vllm"},
    "spec": {
        "recommendedConfigs": [
            {"name": "default", "resources": {"requests": {"cpu": 1}, "limits": {"cpu": 2}}}
        ]
    },
}
ABOVE = playground("chat", backendRuntimeConfig={"resources": {"requests": {"cpu": "3"}}})
BETWEEN = service("chat", owner=ABOVE, workloadTemplate={"size": 2, "workerTemplate": template(1)})
CHAT = lws(
    "chat", size=2, startup="LeaderReady", owner=BETWEEN, worker=template(1, metadata=SERVES)
)
TRAIN = lws(
    "train",
    size=4,
    replicas=2,
    annotations=EXCLUSIVE,
    leader=template(0),
    worker=template(1),
    subGroupPolicy={"subGroupSize": 2, "subGroupPolicyType": "LeaderWorker"},
)
PODS = [*pods_of(CHAT), *pods_of(TRAIN, 0), *pods_of(TRAIN, 1)]
REAL: list[Object] = [
    MODEL, RUNTIME, ABOVE, BETWEEN, CHAT, TRAIN, revision(CHAT), revision(TRAIN),
    *stateful_sets(CHAT, replicas=1), *stateful_sets(TRAIN, replicas=3), *PODS,
]  # fmt: skip

SAID = re.compile(r"(Pod|LeaderWorkerSet|OpenModel|Service|Playground) [^:]*: \S")
"""Object and field."""


@st.composite
def worlds(draw: st.DrawFn) -> list[Object]:
    """The objects in any order, some missing, two of them with up to three values replaced or taken out."""
    objects = draw(damaged(REAL))
    gone = draw(st.sets(st.sampled_from(range(len(objects))), max_size=8))
    return [objects[i] for i in draw(st.permutations(range(len(objects)))) if i not in gone]


@settings(max_examples=150, deadline=None)
@given(objects=worlds())
def test_a_damaged_cluster_has_gangs(objects: list[Object]) -> None:
    """A snapshot that survives its JSON form; what is wrong is one sentence with object and field."""
    snapshot = cluster(FLEET, objects).snapshot()
    again, _ = load(json.loads(json.dumps(dump(snapshot, Policy()))))
    assert again == snapshot
    for gang in snapshot.gangs:
        if gang.blocked is not None and gang.blocked.code is Code.INVALID_REQUEST:
            assert SAID.match(gang.blocked.message), gang.blocked.message
        assert all(podset.size >= len(podset.members) for podset in gang.podsets)


@settings(max_examples=100, deadline=None)
@given(objects=worlds(), gone=st.sets(st.integers(0, len(REAL) - 1), max_size=4))
def test_the_order_of_events_does_not_matter(objects: list[Object], gone: set[int]) -> None:
    """Events one by one, some objects deleted again, lead to the gangs of whoever looks at the end."""
    state = cluster(FLEET)
    for obj in objects:
        apply(state, obj)
        state.gangs()
    for index in gone & set(range(len(objects))):
        apply(state, objects[index], "DELETED")
        state.gangs()
    left = [obj for index, obj in enumerate(objects) if index not in gone]
    assert state.gangs() == cluster(FLEET, reversed(left)).gangs()


@settings(max_examples=25, deadline=None)
@given(objects=worlds())
def test_a_damaged_cluster_is_planned(objects: list[Object]) -> None:
    """Whatever remains of the groups, the plan breaks no rule."""
    snapshot = cluster(FLEET, objects).snapshot()
    assert verify(snapshot, solve(snapshot, Policy())) == ()


@settings(max_examples=150, deadline=None)
@given(objects=worlds())
def test_damaged_files_are_planned(objects: list[Object]) -> None:
    """The same objects as files: owners are expanded, and each pod is a member once."""
    expansion = expand(objects)
    assert all(pod["kind"] == "Pod" for pod in expansion.pods)
    snapshot = understand([*FLEET, *objects]).snapshot
    members = [m for gang in snapshot.gangs for podset in gang.podsets for m in podset.members]
    known = [member.uid for member in members if member.uid]
    assert len(known) == len(set(known))


KINDS = st.sampled_from(
    ["LeaderWorkerSet.leaderworkerset.x-k8s.io", "Playground.inference.llmaz.io",
     "Service.inference.llmaz.io", "OpenModel.llmaz.io", "BackendRuntime.inference.llmaz.io"]
)  # fmt: skip


@st.composite
def anything(draw: st.DrawFn) -> Object:
    """An object of one of the kinds with any JSON in it."""
    name, _, group = draw(KINDS).partition(".")
    spec, metadata = draw(JSON), draw(JSON | st.just({"name": "x"}))
    kind = {"apiVersion": f"{group}/v1", "kind": name}
    return {**kind, "metadata": metadata, "spec": spec}


@settings(max_examples=100, deadline=None)
@given(objects=st.lists(anything(), max_size=4))
def test_any_object_is_read(objects: list[Object]) -> None:
    """Any JSON in the place of a specification."""
    for obj in objects:
        read_model(obj)
    sets.derive(objects)
    understand(objects)
