"""What gangs would be on flavors that need other pods, from pods as they are to places on nodes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from scheduler import foreign, keys
from scheduler.flavors import read_flavor
from scheduler.model import Code, Gang, GangAssignment, Member, Resize, Variant
from scheduler.policy import Policy
from scheduler.rewrite import write
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.state import ClusterState
from tests.objects import Object, flavor, node, pod
from topology.keys import ASCEND_910, NVIDIA_GPU, RACK

WORKLOADS = Path(__file__).parents[1] / "fixtures" / "workloads"
NVIDIA_SPEC: Object = {"resources": {NVIDIA_GPU: 8}, "deviceClass": "nvidia-h100-80gb"}
ASCEND_SPEC: Object = {
    "resources": {ASCEND_910: 8},
    "deviceClass": "ascend-910b",
    "overlay": {"image": "npu", "tolerations": [{"key": "npu", "operator": "Exists"}]},
}
NVIDIA, ASCEND = flavor("nvidia", **NVIDIA_SPEC), flavor("ascend", **ASCEND_SPEC)
BOTH = "nvidia,ascend"


_TWO_CONTAINERS = (
    "ascend cannot be written into pod g-0: 4 nvidia.com/gpu are requested beside container a, "
    "and it is for 0 in all"
)
_TWO_GROUPS = (
    "other is for 3 members, the gang has 4, and the other groups of LeaderWorkerSet train, "
    "which has 2, would restart"
)


def owned(obj: Object, kind: str = "StatefulSet", **change: Any) -> Object:
    """A pod that a controller made."""
    api = "batch/v1" if kind == "Job" else "apps/v1"
    reference = {"apiVersion": api, "kind": kind, "name": "s", "uid": "s1", "controller": True}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference], **change}}


def member(index: int, name: str = "g", **pod_of: Any) -> Object:
    """One of two pods of a StatefulSet that may run on either vendor."""
    return owned(pod(f"{name}-{index}", name, gang_size="2", flavors=BOTH, **pod_of))


def on_ascend(obj: Object) -> Object:
    """The pod as admission writes it for the flavor ``ascend``."""
    return dict(write(obj, read_flavor("ascend", ASCEND_SPEC, "spec")))


def picture(objects: Iterable[Object], *, rewrites: bool = True) -> ClusterState:
    """A cluster that saw the objects; the webhook is installed."""
    state = ClusterState(rewrites=rewrites)
    for obj in objects:
        kind = foreign.kind_of(obj)
        state.apply(kind if kind in foreign.KINDS else obj["kind"], "ADDED", obj)
    return state


def gang_of(*objects: Object, key: str = "default/g", rewrites: bool = True) -> Gang:
    """The gang in a cluster of these objects."""
    gang = picture([NVIDIA, ASCEND, *objects], rewrites=rewrites).gang(key)
    assert gang is not None
    return gang


def variant(gang: Gang, name: str) -> Variant:
    """The gang's variant for a flavor."""
    found = gang.variant(name)
    assert found is not None
    return found


def planned(*objects: Object, key: str = "default/g") -> GangAssignment:
    """Where the gang goes; the independent checker finds nothing wrong."""
    snapshot = picture([NVIDIA, ASCEND, *objects]).snapshot()
    plan = solve(snapshot, Policy())
    assert verify(snapshot, plan) == ()
    return next(a for a in plan.assignments if a.key == key)


def test_a_flavor_of_other_resources_is_a_variant() -> None:
    """The members are those of the same names that the StatefulSet will make, with other cards."""
    gang = gang_of(member(0), member(1))
    assert [v.flavor for v in gang.variants] == ["ascend"]
    (podset,) = variant(gang, "ascend").podsets
    assert podset.members == (Member(pod="g-0"), Member(pod="g-1"))
    assert (podset.request[ASCEND_910], podset.request[NVIDIA_GPU]) == (8, 0)
    assert [t.key for t in podset.constraints.tolerations] == ["npu"]
    assert variant(gang, "ascend").refusal is None and gang.written is None
    assert gang.podsets[0].request[NVIDIA_GPU] == 8


def test_without_the_webhook_there_are_no_variants() -> None:
    """Nobody would write the pods: such flavors are refused for their resources, as ever."""
    assert gang_of(member(0), member(1), rewrites=False).variants == ()


def test_a_written_gang_has_variants_for_the_way_back() -> None:
    """What the other flavor needs is told from the pods as they were, not as they are."""
    gang = gang_of(*(on_ascend(member(i)) for i in range(2)))
    assert gang.written == "ascend"
    assert gang.podsets[0].request[ASCEND_910] == 8
    assert [v.flavor for v in gang.variants] == ["nvidia"]
    (podset,) = variant(gang, "nvidia").podsets
    assert (podset.request[ASCEND_910], podset.request[NVIDIA_GPU]) == (0, 8)
    assert podset.constraints.tolerations == ()


def test_an_overlay_alone_makes_other_pods() -> None:
    """Equal cards, another image: pods that were not written for it are not fit."""
    other = flavor("other", overlay={"image": "x"})
    gang = gang_of(other, *(owned(pod(f"g-{i}", "g", flavors="nvidia,other")) for i in range(2)))
    assert [v.flavor for v in gang.variants] == ["other"]


def test_cards_of_the_other_vendor_are_taken_when_the_first_are_full() -> None:
    """C4 of the facts: no NVIDIA card is free, so the gang is planned with other pods on Ascend."""
    fleet = [node("a", "h100"), node("b", "ascend"), node("c", "ascend")]
    found = planned(*fleet, pod("busy", node="a"), member(0), member(1))
    assert (found.placed, found.flavor, found.flavor_rank) == (True, "ascend", 1)
    assert [(s.pod, s.uid, s.node, s.request[ASCEND_910]) for s in found.slots] == [
        ("g-0", "", "b", 8),
        ("g-1", "", "c", 8),
    ]
    assert [p.reason.code for p in found.passed_over] == [Code.INSUFFICIENT]


def test_another_count_of_cards() -> None:
    """C3 of the facts: two cards of 80 GB, or four of 40 GB, for one pod."""
    large = flavor("a100-80", resources={NVIDIA_GPU: 2}, nodeSelector={"pool": "80"})
    small = flavor("a100-40", resources={NVIDIA_GPU: 4}, nodeSelector={"pool": "40"})
    fleet = [
        *(node(f"l{i}", "a100", {"pool": "80"}) for i in range(2)),
        *(pod(f"busy-{i}", node=f"l{i}", gpus=7) for i in range(2)),
        node("s", "a100", {"pool": "40"}),
        pod("busy", node="s", gpus=4),
    ]
    mine = owned(pod("m", flavors="a100-80,a100-40", gpus=2))
    found = planned(large, small, *fleet, mine, key="default/m")
    assert (found.flavor, found.slots[0].node, found.slots[0].request[NVIDIA_GPU]) == (
        "a100-40",
        "s",
        4,
    )


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            pod("g-0", "g", gang_size="2", flavors=BOTH),
            "ascend needs other pods, and pod g-0 has no owner that would make it anew",
        ),
        (
            owned(pod("g-0", "g", gang_size="2", flavors=BOTH), "Job"),
            "ascend needs other pods, and Job s counts pods that are deleted as failed",
        ),
        (
            member(0, spec={"containers": [
                {"name": name, "resources": {"requests": {NVIDIA_GPU: "4"}}} for name in "ab"
            ]}),
            _TWO_CONTAINERS,
        ),
    ],
    ids=["bare", "job", "two containers with cards"],
)  # fmt: skip
def test_pods_that_cannot_be_made_anew_say_why(first: Object, message: str) -> None:
    """The flavor is refused for this gang; it may wait for the one its pods are made for."""
    gang = gang_of(first, member(1))
    refusal = variant(gang, "ascend").refusal
    assert refusal is not None
    assert (refusal.code, refusal.message) == (Code.CANNOT_REWRITE, message)
    fleet = [node("b", "ascend"), node("c", "ascend")]
    found = planned(*fleet, first, member(1))
    assert not found.placed
    assert found.passed_over[1].reason == refusal


def test_running_members_pin_the_gang_to_what_they_are_written_for() -> None:
    """One member runs on Ascend: the other follows it, and NVIDIA is out of the question."""
    fleet = [node("a", "h100"), node("b", "ascend"), node("c", "ascend")]
    running = on_ascend(member(0, node="b"))
    found = planned(*fleet, running, on_ascend(member(1)))
    assert (found.flavor, [s.node for s in found.slots]) == ("ascend", ["c"])
    assert [p.reason.code for p in found.passed_over] == [Code.PINNED_TO_RUNNING]


def test_members_of_the_old_writing_are_none_while_they_are_made_anew() -> None:
    """The newest pod tells what the gang is about to be; the others are about to be deleted."""
    new = on_ascend(member(0, created="2026-01-01T00:00:09Z"))
    gang = gang_of(new, member(1))
    assert gang.written == "ascend"
    assert [m.pod for m in gang.podsets[0].members] == ["g-0"]
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING


def test_a_helper_without_cards_stays_as_it_is() -> None:
    """It is made anew with the others, and asks for the same again."""
    router = owned(pod("g-r", "g", gpus=0, role="router"))
    gang = gang_of(*(owned(pod(f"g-{i}", "g", flavors=BOTH)) for i in range(2)), router)
    helper = next(p for p in variant(gang, "ascend").podsets if p.role == "router")
    assert helper.request == next(p for p in gang.podsets if p.role == "router").request
    assert [m.uid for m in helper.members] == [""]


# -- groups of real objects --------------------------------------------------------------------------


def recorded(name: str, **changes: Any) -> list[Object]:
    """What the real managers made; no pod is bound. ``changes``: fields of ``spec`` by kind."""
    objects = copy.deepcopy(json.loads((WORKLOADS / f"{name}.json").read_text())["items"])
    for obj in objects:
        if obj["kind"] == "Pod":
            obj["spec"].pop("nodeName", None)
            obj["status"] = {"phase": "Pending"}
        obj.get("spec", {}).update(changes.get(obj["kind"], {}))
    return [obj for obj in objects if obj["kind"] != "Service" or "inference" in obj["apiVersion"]]


def test_workers_that_come_later_are_written_as_their_leader() -> None:
    """LeaderReady: only the leader exists, written; the three workers are planned as they will be."""
    objects = recorded("service-leader-waiting")
    spec = {"overlay": {"image": "x", "resources": {ASCEND_910: 2}}}
    ascend = read_flavor("a100", spec, "spec")
    objects = [dict(write(o, ascend)) if o["kind"] == "Pod" else o for o in objects]
    for obj in objects:
        if obj["kind"] == "OpenModel":
            obj["spec"]["inferenceConfig"]["flavors"][1]["limits"] = {ASCEND_910: 2}
    (pod_,) = (obj for obj in objects if obj["kind"] == "Pod")
    key = f"{pod_['metadata']['namespace']}/quad-0"
    gang = gang_of(flavor("a100", overlay={"image": "x"}), *objects, key=key)
    assert gang.written == "a100" and gang.blocked is None
    assert [(p.role, p.size, p.request[ASCEND_910]) for p in gang.podsets] == [
        ("leader", 1, 2),
        ("worker", 3, 2),
    ]
    assert [v.flavor for v in gang.variants] == ["a10"]
    workers = variant(gang, "a10").podsets[1]
    assert workers.request[NVIDIA_GPU] == 1 and all(m.late for m in workers.members)


def test_another_number_of_members_is_set_where_the_user_set_it() -> None:
    """An llmaz Service of one group: its size is changed, and the group has as many workers less one."""
    objects = recorded("service-leader-waiting")
    namespace = objects[-1]["metadata"]["namespace"]
    fewer = flavor("a100", members=2)
    gang = gang_of(fewer, *objects, key=f"{namespace}/quad-0")
    found = variant(gang, "a100")
    assert found.refusal is None
    assert found.resize == Resize(
        kind=foreign.LLMAZ_SERVICE,
        name="quad",
        path=("spec", "workloadTemplate", "leaderWorkerTemplate", "size"),
        size=2,
    )
    assert [(p.role, p.size, len(p.members)) for p in found.podsets] == [
        ("leader", 1, 1),
        ("worker", 1, 1),
    ]
    assert found.min_members == found.size == 2
    alone = variant(gang_of(flavor("a100", members=1), *objects, key=f"{namespace}/quad-0"), "a100")
    assert [(p.role, p.size) for p in alone.podsets] == [("leader", 1)]


def test_the_size_of_a_set_that_the_user_owns() -> None:
    """A LeaderWorkerSet of one group, from four members to six."""
    objects = recorded("lws", LeaderWorkerSet={"replicas": 1})
    for obj in objects:
        if obj["kind"] == "LeaderWorkerSet":
            obj["metadata"].setdefault("annotations", {})[keys.FLAVORS] = "nvidia,six"
    namespace = objects[0]["metadata"]["namespace"]
    gang = gang_of(flavor("six", members=6), *objects, key=f"{namespace}/train-0")
    found = variant(gang, "six")
    assert found.resize == Resize(
        kind=foreign.LEADER_WORKER_SET,
        name="train",
        path=("spec", "leaderWorkerTemplate", "size"),
        size=6,
    )
    assert [(p.role, p.size) for p in found.podsets] == [("leader", 1), ("worker", 5)]


@pytest.mark.parametrize(
    ("case", "gang", "names", "message"),
    [
        (
            "lws",
            "train-0",
            "other",
            _TWO_GROUPS,
        ),
        (
            "playground",
            "llama3-8b-0",
            "a10",
            "a10 is for 3 members, the gang has 1, and that is decided by Playground llama3-8b",
        ),
        (
            "lws-subgroups",
            "train-0",
            "other",
            "other is for 3 members, the gang has 4, and its groups have subgroups",
        ),
    ],
)
def test_a_size_that_is_not_ours_to_change(case: str, gang: str, names: str, message: str) -> None:
    """Other groups would restart, or another controller decides it."""
    objects = recorded(case)
    for obj in objects:
        if obj["kind"] == "LeaderWorkerSet" and case != "playground":
            obj["metadata"].setdefault("annotations", {})[keys.FLAVORS] = f"nvidia,{names}"
    namespace = objects[-1]["metadata"]["namespace"]
    racks = node("n", labels={RACK: "r"})
    found = gang_of(flavor(names, members=3), racks, *objects, key=f"{namespace}/{gang}")
    refusal = variant(found, names).refusal
    assert refusal is not None and refusal.message == message


def test_a_gang_of_no_group_keeps_its_size() -> None:
    """Nobody's field says how many pods it has: the solver says so, as ever."""
    gang = gang_of(
        flavor("four", members=4), *(owned(pod(f"g-{i}", "g", flavors="nvidia,four")) for i in "01")
    )
    assert gang.variants == ()
    found = planned(
        flavor("four", members=4),
        node("n"),
        *(owned(pod(f"g-{i}", "g", flavors="four")) for i in "01"),
    )
    assert found.reason is not None
