"""The live picture: any order of the same events gives the same snapshot, at the cost of the change."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.model import GangAssignment, Slot
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.snapshot_json import dump
from scheduler.state import ClusterState
from tests.objects import (
    Object,
    flavor,
    namespace,
    node,
    pod,
    priority_class,
    state_of,
    topology,
)
from topology import keys
from topology.resources import Resources


def text(snapshot: Snapshot) -> str:
    """The JSON form, byte for byte."""
    return json.dumps(dump(snapshot, Policy()))


def same(one: Snapshot, other: Snapshot) -> bool:
    """Equal as values and as text."""
    return one == other and text(one) == text(other)


def _apart(selector: dict[str, Any]) -> dict[str, Any]:
    term = {
        "topologyKey": keys.HOSTNAME,
        "labelSelector": {"matchLabels": {"app": "x"}},
        "namespaceSelector": selector,
    }
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"affinity": {"podAntiAffinity": required}}


NODES = [
    node(f"n{i}", ("h100", "a100", "ascend", "cpu")[i % 4], labels)
    for i, labels in enumerate(
        (
            {keys.RACK: "r1", keys.ZONE: "a", "row": "1"},
            {keys.RACK: "r1", keys.ZONE: "b", "row": "1"},
            {keys.BLOCK: "b1", keys.RACK: "r01", "row": "2"},
            {keys.TOPOGRAPH_LEAF: "l1", keys.TOPOGRAPH_SPINE: "s1"},
            {},
        )
    )
]
WORLD: list[Object] = [
    *NODES,
    node("n01", "h100", {"host": "x"}),
    topology("t1", keys.BLOCK, keys.RACK, keys.HOSTNAME),
    topology("t2", keys.RACK, keys.BLOCK),
    topology("t3"),
    flavor("h100", deviceClass="nvidia-h100-80gb"),
    flavor("bad", members="x"),
    priority_class("high", 100),
    priority_class("usual", 5, default=True),
    priority_class("other", 3, default=True),
    namespace("default", team="a"),
    {"kind": "Namespace", "metadata": {"name": "off", "labels": {"muster.dev/managed": "false"}}},
    namespace("b", team="b"),
    pod("plain", node="n0", gpus=1, labels={"app": "x"}),
    pod("keeper", node="n1", gpus=0, spec=_apart({"matchLabels": {"team": "b"}})),
    pod("gone", node="n9", gpus=1),
    pod("off-0", "off", namespace="off", node="n1", gpus=1, spec={"nodeSelector": {"a": "b"}}),
    *(
        pod(f"a-{i}", "a", gang_size="3", flavors="h100", topology_required="rack")
        for i in range(3)
    ),
    pod("b-0", "b", namespace="b", topology_required="row", priority=None),
    pod("b-1", "b", namespace="b", priority=None, node="n2", gpus=8),
    pod("b-01", "b", namespace="b", priority=None, spec=_apart({"matchLabels": {"team": "b"}})),
    pod("c-0", "c", priority=None, spec={"priorityClassName": "high"}, flavors="nobody"),
    pod("d-0", "d", gpus="many", topology_preferred="nowhere"),
    pod("d-1", "d", deleted=True, node="n0", gpus=2),
]


def _later(obj: Object) -> Object:
    """Another version of the object, as it was seen before."""
    older: Object = json.loads(json.dumps(obj))
    labels = older["metadata"].setdefault("labels", {})
    labels["row"] = labels.pop(keys.RACK, "1")
    older["metadata"].setdefault("annotations", {})["muster.dev/gang"] = "elsewhere"
    older.get("spec", {}).pop("nodeName", None)
    older["value"] = 77
    return older


@settings(max_examples=60, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(order: random.Random) -> None:
    """Any permutation of the same objects gives an equal snapshot, also as JSON, byte for byte."""
    shuffled = order.sample(WORLD, len(WORLD))
    assert same(state_of(shuffled).snapshot(), state_of(WORLD).snapshot())


VERBS = st.sampled_from(("ADDED", "older", "look", "DELETED"))
# Few objects and many events: it is the same object that has a history.
EVENTS = st.lists(st.sampled_from(WORLD), min_size=1, max_size=8, unique_by=id).flatmap(
    lambda objects: st.lists(st.tuples(st.sampled_from(objects), VERBS), min_size=5, max_size=60)
)


@settings(max_examples=150, deadline=None)
@given(events=EVENTS)
def test_a_history_leaves_no_trace(events: Sequence[tuple[Object, str]]) -> None:
    """Whatever happened before, the snapshot equals that of a state that saw only the final objects."""
    state, final = ClusterState(), dict[str, Object]()
    for obj, verb in events:
        identity = f"{obj['kind']} {obj['metadata'].get('uid') or obj['metadata']['name']}"
        if verb == "look":
            state.snapshot()
            continue
        shown = _later(obj) if verb == "older" else obj
        state.apply(obj["kind"], "MODIFIED" if verb == "older" else verb, shown)
        if verb == "DELETED":
            final.pop(identity, None)
        else:
            final[identity] = shown
    fresh = state_of(final.values())
    assert same(state.snapshot(), fresh.snapshot())
    assert state.pods == fresh.pods
    assert {uid: state.gang_of(uid) for uid in state.pods} == {
        uid: fresh.gang_of(uid) for uid in fresh.pods
    }


def test_the_world_of_these_tests_is_not_empty() -> None:
    """The permutations above are about gangs, levels, problems and used capacity."""
    snapshot = state_of(WORLD).snapshot()
    assert len(snapshot.gangs) == 4
    assert "rack" in snapshot.levels
    assert len(snapshot.problems) >= 4
    assert {s.node.name: s.free[keys.NVIDIA_GPU] for s in snapshot.nodes}["n0"] == 8 - 1 - 2


# -- what counts ---------------------------------------------------------------------------------------


def free(state: ClusterState, name: str = "n1") -> int:
    """Free NVIDIA cards of a node."""
    return state.nodes[name].free[keys.NVIDIA_GPU]


def test_capacity_follows_the_pods() -> None:
    """Bound pods use capacity until they finish or are deleted; also while they terminate."""
    state = state_of([node("n1")])
    pending, bound = pod("p", gpus=3), pod("p", gpus=3, node="n1")
    ending = pod("p", gpus=3, node="n1", deleted=True)
    finished = pod("p", gpus=3, node="n1", phase="Succeeded")
    seen = []
    for one in (pending, bound, ending, finished):
        state.apply("Pod", "MODIFIED", one)
        seen.append(free(state))
    assert seen == [8, 5, 5, 8]
    state.apply("Pod", "MODIFIED", bound)
    state.apply("Pod", "DELETED", bound)
    assert free(state) == 8


def test_a_terminating_member_counts_as_load_only() -> None:
    """It is no member of its gang any more, but its cards are not free yet."""
    state = state_of([node("n1"), pod("a-0", "a", node="n1", deleted=True), pod("a-1", "a")])
    gang = state.gang("default/a")
    assert gang is not None and [m.pod for p in gang.podsets for m in p.members] == ["a-1"]
    assert free(state) == 0
    assert state.gang_of("uid-default-a-0") == "default/a"


def test_a_gang_goes_with_its_last_member() -> None:
    """A gang without members is no gang."""
    member = pod("a-0", "a")
    state = state_of([member])
    state.apply("Pod", "DELETED", member)
    assert state.gangs() == () and state.gang("default/a") is None and state.pods == {}


def test_a_pod_that_changes_its_gang_is_in_the_new_one_only() -> None:
    """The annotation decides, as it is now."""
    state = state_of([pod("p-0", "old"), pod("p-1", "old")])
    state.apply("Pod", "MODIFIED", pod("p-1", "new"))
    assert {gang.name: gang.size for gang in state.gangs()} == {"old": 1, "new": 1}
    state.apply("Pod", "MODIFIED", pod("p-1"))
    assert [gang.name for gang in state.gangs()] == ["old"]
    assert state.gang_of("uid-default-p-1") is None


def test_nodes_wait_for_their_pods_and_pods_for_their_nodes() -> None:
    """A pod on a node that is not known yet counts as soon as the node appears."""
    state = state_of([pod("p", node="n1", gpus=8)])
    assert state.snapshot().nodes == ()
    state.apply("Node", "ADDED", node("n1"))
    assert free(state) == 0


def test_priority_classes_apply_to_manifests_in_any_order() -> None:
    """A manifest names a class; without one the default class counts, the lower of two as in Kubernetes."""
    manifests = [
        pod("a-0", "a", priority=None, spec={"priorityClassName": "high"}),
        pod("b-0", "b", priority=None),
        pod("c-0", "c", priority=9, spec={"priorityClassName": "high"}),
    ]
    classes = [
        priority_class("high", 100),
        priority_class("low", 3, default=True),
        priority_class("mid", 5, default=True),
    ]
    for objects in ([*manifests, *classes], [*classes, *manifests]):
        state = state_of(objects)
        assert {gang.name: gang.priority for gang in state.gangs()} == {"a": 100, "b": 3, "c": 9}
        state.apply("PriorityClass", "MODIFIED", priority_class("low", 3))
        assert {gang.name: gang.priority for gang in state.gangs()}["b"] == 5
        state.apply("PriorityClass", "DELETED", priority_class("high", 100))
        assert {gang.name: gang.priority for gang in state.gangs()}["a"] in (0, 5)


@pytest.mark.parametrize("before", [True, False])
def test_namespaces_decide_which_pods_are_ours(before: bool) -> None:
    """``muster.dev/managed=false`` makes all pods of a namespace plain, whenever it is seen."""
    label = {
        "kind": "Namespace",
        "metadata": {"name": "x", "labels": {"muster.dev/managed": "false"}},
    }
    member = pod("a-0", "a", namespace="x", spec={"nodeSelector": {"k": "v"}}, node="n1")
    state = state_of([node("n1"), *([label, member] if before else [member, label])])
    assert state.gangs() == () and free(state) == 0
    state.apply("Namespace", "MODIFIED", namespace("x"))
    assert state.snapshot() == state_of([node("n1"), namespace("x"), member]).snapshot()


def test_namespace_selectors_of_affinity_see_the_labels() -> None:
    """A term with a namespaceSelector looks into the namespaces that it takes now."""
    keeper = pod("k", node="n1", gpus=0, spec=_apart({"matchLabels": {"team": "b"}}))
    state = state_of([node("n1"), keeper, namespace("x", team="b"), namespace("y", team="c")])
    (term,) = state.snapshot().nodes[0].pods[0].anti_affinity
    assert term.namespaces == ("x",)
    state.apply("Namespace", "MODIFIED", namespace("y", team="b"))
    (term,) = state.snapshot().nodes[0].pods[0].anti_affinity
    assert term.namespaces == ("x", "y")


def test_an_empty_namespace_selector_takes_all_namespaces() -> None:
    """As in ``v1.PodAffinityTerm``."""
    state = state_of([node("n1"), pod("k", node="n1", gpus=0, spec=_apart({}))])
    (term,) = state.snapshot().nodes[0].pods[0].anti_affinity
    assert term.namespaces == ("*",)


def test_flavors_and_topologies_may_come_after_the_gang() -> None:
    """A gang is read again when what it refers to appears or goes."""
    members = [pod(f"a-{i}", "a", flavors="h100", topology_required="rack") for i in range(2)]
    late = [flavor("h100"), node("n1", labels={keys.RACK: "r1"})]
    state = state_of(members)
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is not None
    for one in late:
        state.apply(one["kind"], "ADDED", one)
    assert state.snapshot() == state_of([*late, *members]).snapshot()
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is None
    for one in late:
        state.apply(one["kind"], "DELETED", one)
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is not None


def test_excluded_nodes_go_to_their_gang_only() -> None:
    """Nodes that kube-scheduler refused lately are avoided by the gang concerned."""
    state = state_of([node("n1"), pod("a-0", "a"), pod("b-0", "b")])
    gangs = {
        g.name: g.excluded_nodes for g in state.snapshot(excluded={"default/a": ("n1",)}).gangs
    }
    assert gangs == {"a": ("n1",), "b": ()}
    assert all(gang.excluded_nodes == () for gang in state.snapshot().gangs)


def _reserved(gang: str, *slots: tuple[str, str]) -> GangAssignment:
    return GangAssignment(
        namespace="default",
        gang=gang,
        placed=True,
        slots=tuple(
            Slot(pod=uid, uid=uid, role="main", rank=i, node=place, request=Resources({"pods": 1}))
            for i, (uid, place) in enumerate(slots)
        ),
    )


def test_a_reserved_place_is_dropped_when_its_pod_is_bound() -> None:
    """The pod itself counts from then on; places of members that wait or do not exist yet stay."""
    state = state_of([node("n1"), pod("a-0", "a", node="n1", uid="u0"), pod("a-1", "a", uid="u1")])
    held = [
        _reserved("b", ("u0", "n1")),
        _reserved("a", ("u0", "n1"), ("u1", "n1"), ("", "n1")),
    ]
    (kept,) = state.snapshot(held).reservations
    assert kept.gang == "a"
    assert [(slot.uid, slot.node) for slot in kept.slots] == [("u1", "n1"), ("", "n1")]


def test_gang_objects_are_ours_and_do_not_count_as_change() -> None:
    """What Muster writes itself must not start another cycle."""
    state = ClusterState()
    record = {"kind": "Gang", "metadata": {"namespace": "default", "name": "a"}}
    state.apply("Gang", "ADDED", record)
    assert state.gang_objects == {"default/a": record} and state.generation == 0
    state.apply("Gang", "DELETED", record)
    assert state.gang_objects == {}


def test_a_pod_of_the_same_name_replaces_the_one_before() -> None:
    """A pod that was deleted unseen and made again has another uid; the old one counts no more."""
    state = state_of([node("n1"), pod("p", node="n1", gpus=3, uid="old")])
    state.apply("Pod", "ADDED", pod("p", node="n1", gpus=1, uid="new"))
    assert set(state.pods) == {"new"} and free(state) == 7
    state.apply("Pod", "DELETED", pod("p", node="n1", gpus=3, uid="old"))
    assert set(state.pods) == {"new"} and free(state) == 7


@pytest.mark.parametrize(
    "kind", ["Pod", "Node", "Namespace", "Flavor", "Topology", "PriorityClass", "Gang"]
)
def test_a_relist_forgets_what_is_gone(kind: str) -> None:
    """``replace`` leaves exactly the objects of the list, for every kind."""
    record = {"kind": "Gang", "metadata": {"namespace": "default", "name": "a"}}
    world = [*WORLD, record]
    kept = [obj for obj in world if obj["kind"] != kind]
    listed = [obj for obj in world if obj["kind"] == kind][::2]
    state = state_of(world)
    state.replace(kind, listed)
    fresh = state_of([*kept, *listed])
    assert same(state.snapshot(), fresh.snapshot())
    assert state.gang_objects == fresh.gang_objects


def test_kinds_that_are_not_ours_are_ignored() -> None:
    """A watch of something else does no harm."""
    state = ClusterState()
    state.apply("ConfigMap", "ADDED", {"metadata": {"name": "x"}})
    assert state.generation == 0
