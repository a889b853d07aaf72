"""The emulation of LeaderWorkerSet and llmaz against what their real managers made.

``tests/fixtures/workloads`` holds, for each case, what a user applied (``.yaml``) and all that the managers
made of it on the local control plane (``.json``, written by ``tests/controlplane/record.py``).
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.foreign import LEADER_WORKER_SET, STATEFUL_SET, kind_of
from scheduler.gangs import lws_pods
from scheduler.gangs.owners import expand, identity
from scheduler.model import Gang, PodSet
from scheduler.state import ClusterState
from tests.workloads.compare import differences
from topology import keys

Object = dict[str, Any]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "fixtures" / "workloads"
NEWER_LLMAZ = FOLDER / "llmaz-v0.1.4"
RUNTIMES = ROOT / "simulations" / "controlplane" / "config" / "workloads"

COMPLETE = (
    "lws", "lws-no-restart", "lws-subgroups", "playground", "playground-parallel", "service",
    "service-leader-template",
)  # fmt: skip
"""Cases in which the managers have made every pod."""
LEADERS_ONLY = {"lws-exclusive": 6, "service-leader-waiting": 3}
"""Cases in which workers are still to come, and how many."""


def recorded(case: str) -> list[Object]:
    """All objects of a case."""
    items: list[Object] = json.loads((FOLDER / f"{case}.json").read_text())["items"]
    return items


def pods_of(objects: list[Object]) -> list[Object]:
    """The pods among objects."""
    return [obj for obj in objects if obj["kind"] == "Pod"]


def applied(case: str) -> list[Object]:
    """What the user applied, in the namespace in which it was recorded."""
    [namespace] = {identity(pod)[0] for pod in pods_of(recorded(case))}
    documents = _documents(FOLDER / f"{case}.yaml") + _documents(FOLDER / "model.yaml")
    for path in sorted(RUNTIMES.glob("*.yaml")):
        documents += [obj for obj in _documents(path) if obj["kind"] == "BackendRuntime"]
    for obj in documents:
        if obj["kind"] not in ("OpenModel", "BackendRuntime"):
            obj["metadata"]["namespace"] = namespace
    return documents


def _documents(path: Path) -> list[Object]:
    return [obj for obj in yaml.safe_load_all(path.read_text()) if obj]


@pytest.mark.parametrize("case", COMPLETE)
def test_expected_pods_are_those_that_the_managers_make(case: str) -> None:
    """From the user's objects alone: the same pods, and in each the same of all that decides about places."""
    made, real = expand(applied(case)), pods_of(recorded(case))
    assert made.problems == ()
    assert differences(made.pods, real) == []
    assert {identity(pod) for pod in made.pods} == {identity(pod) for pod in real}


@pytest.mark.parametrize(("case", "to_come"), LEADERS_ONLY.items())
def test_expected_leaders_are_those_that_the_managers_make(case: str, to_come: int) -> None:
    """Where workers are created late the leaders are the same, and only workers are expected besides."""
    made, real = expand(applied(case)), pods_of(recorded(case))
    assert differences(made.pods, real) == []
    others = {identity(pod) for pod in made.pods} - {identity(pod) for pod in real}
    assert len(others) == to_come
    assert all("leaderworkerset.sigs.k8s.io/leader-name" in pod["metadata"]["annotations"]
               for pod in made.pods if identity(pod) in others)  # fmt: skip


@pytest.mark.parametrize("case", ["playground", "service", "service-leader-template"])
def test_a_newer_llmaz_makes_the_same_gangs(case: str) -> None:
    """The real v0.1.4, whose Services have another form and which renders LeaderReady by itself.

    Recorded from its real reconcilers, built from source: the proxy of Go modules serves v0.1.0 only,
    beside which a policy of the test cluster sets LeaderReady.
    """
    newer: list[Object] = json.loads((NEWER_LLMAZ / f"{case}.json").read_text())["items"]
    [policy] = {
        item["spec"]["startupPolicy"] for item in newer if kind_of(item) == LEADER_WORKER_SET
    }
    assert policy == "LeaderReady"
    [namespace] = {identity(pod)[0] for pod in pods_of(newer)}
    documents = _documents(NEWER_LLMAZ / f"{case}.yaml")
    for obj in documents:
        obj["metadata"]["namespace"] = namespace
    documents += _documents(FOLDER / "model.yaml") + _documents(NEWER_LLMAZ / "runtime.yaml")
    assert differences(expand(documents).pods, pods_of(newer)) == []
    for ours, theirs in zip(gangs_of(recorded(case)), gangs_of(newer), strict=True):
        assert [shape(podset) for podset in ours.podsets] == [shape(p) for p in theirs.podsets]
        assert (ours.name, ours.flavors, ours.model) == (theirs.name, theirs.flavors, theirs.model)


def test_a_surge_group_is_made_of_the_new_template() -> None:
    """In the middle of an update old groups are as the first revision says, the surge group as the second."""
    real = pods_of(recorded("lws-rolling-update"))
    old, new = [obj for obj in applied("lws-rolling-update") if obj["kind"] == "LeaderWorkerSet"]
    made = [pod for lws, groups in ((old, (0, 1)), (new, (2,))) for g in groups
            for pod in lws_pods.group(lws, g)]  # fmt: skip
    assert differences(made, real) == []
    assert len(made) == len(real)


def test_the_comparison_sees_differences() -> None:
    """Each field that is compared is told when it differs."""
    real = pods_of(recorded("lws-subgroups"))
    changed = copy.deepcopy(real[0])
    changed["metadata"]["labels"][keys.LWS_GROUP_INDEX] = "7"
    changed["metadata"]["annotations"][keys.LWS_SIZE] = "7"
    changed["metadata"]["ownerReferences"][0]["kind"] = "Pod"
    changed["spec"]["containers"][0]["resources"] = {"requests": {keys.NVIDIA_GPU: "7"}}
    changed["spec"]["nodeSelector"] = {"a": "b"}
    del changed["spec"]["affinity"]
    changed["spec"]["tolerations"] = [{"operator": "Exists"}]
    fields = [line.split(": ")[1] for line in differences([changed], real[:1])]
    assert fields == [
        "labels", "annotations", "owners", "request", "nodeSelector", "affinity", "tolerations",
    ]  # fmt: skip
    assert differences([], real[:1]) == [f"{'/'.join(identity(real[0]))}: is not expected"]


def gangs_of(objects: list[Object]) -> tuple[Gang, ...]:
    """The gangs of a cluster with one node and these objects."""
    state = ClusterState()
    rack = {keys.RACK: "r1"}
    node = {"kind": "Node", "metadata": {"name": "n1", "labels": rack}, "status": {}}
    for obj in (node, *objects):
        state.apply(obj["kind"] if obj["kind"] in ("Pod", "Node") else kind_of(obj), "ADDED", obj)
    return state.gangs()


def shape(podset: PodSet) -> tuple[object, ...]:
    """What the planner sees of a PodSet, apart from which members exist."""
    return (
        podset.role, podset.size, podset.min_count, podset.request, podset.slices,
        podset.constraints.node_selector, podset.constraints.affinity,
        podset.constraints.anti_affinity, [member.pod for member in podset.members],
    )  # fmt: skip


@pytest.mark.parametrize("case", ["service", "service-leader-template"])
def test_workers_to_come_are_the_workers_that_come(case: str) -> None:
    """A group that is planned from its leader alone is the group that the manager makes in the end."""
    everything = recorded(case)
    leaders = [
        obj
        for obj in everything
        if keys.LWS_LEADER_NAME not in obj["metadata"].get("annotations", {})
        and not (kind_of(obj) == STATEFUL_SET and obj["spec"].get("ordinals"))
    ]
    assert len(pods_of(leaders)) == 1 < len(pods_of(everything))
    [before], [after] = gangs_of(leaders), gangs_of(everything)
    assert [shape(podset) for podset in before.podsets] == [shape(p) for p in after.podsets]
    assert [member.late for podset in before.podsets for member in podset.members] == [
        False,
        *[True] * (after.size - 1),
    ]
    assert (before.incarnation, before.roots) == (after.incarnation, after.roots)
    assert before.flavors == after.flavors
