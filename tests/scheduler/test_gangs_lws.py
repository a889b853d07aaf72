"""Groups of LeaderWorkerSets as gangs: who is a member, who is to come, what the group asks for."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.foreign import CONTROLLER_REVISION, LEADER_WORKER_SET, OPEN_MODEL, STATEFUL_SET
from scheduler.gangs.lws_group import concerns
from scheduler.model import Code, PodSet
from tests.objects import node, pod
from tests.workloads.groups import (
    apply,
    cluster,
    gang_of,
    lws,
    pods_of,
    revision,
    stateful_sets,
    template,
)
from topology import keys
from topology.resources import Resources

FLEET = [node(f"n{i}", "h100", {keys.BLOCK: "b", keys.RACK: f"r{i // 4}"}) for i in range(8)]
TRAIN = "LeaderWorkerSet default/train"
EXCLUSIVE = {keys.LWS_EXCLUSIVE: keys.RACK}


def roles(podsets: tuple[PodSet, ...]) -> list[tuple[str, int, int, int]]:
    """(role, size, members, members that are late) of each PodSet."""
    return [
        (p.role, p.size, len(p.members), sum(member.late for member in p.members)) for p in podsets
    ]


# -- members -----------------------------------------------------------------------------------------


def test_a_group_of_leader_created() -> None:
    """All pods exist before anything is bound: a gang with a leader and its workers."""
    group = lws(size=4, replicas=2)
    state = cluster(group, pods_of(group, 0), pods_of(group, 1))
    assert [gang.name for gang in state.gangs()] == ["train-0", "train-1"]
    gang = gang_of(state, "train-1")
    assert roles(gang.podsets) == [("leader", 1, 1, 0), ("worker", 3, 3, 0)]
    assert (gang.min_members, gang.blocked, gang.source) == (4, None, "leaderworkerset")
    assert gang.workload == "LeaderWorkerSet/train"
    assert [member.pod for member in gang.podsets[1].members] == [
        "train-1-1",
        "train-1-2",
        "train-1-3",
    ]
    assert (gang.incarnation, gang.roots) == ("uid-train-1-a", ("uid-train-1-a",))


def test_a_group_of_leader_created_waits_for_its_workers() -> None:
    """Workers that LeaderWorkerSet is about to make are missing members, not late ones."""
    group = lws(size=4)
    state = cluster(group, pods_of(group)[:1])
    blocked = gang_of(state).blocked
    assert blocked is not None and blocked.code is Code.MEMBERS_MISSING
    assert blocked.message == "1 of 4 members exist; not created yet: 3 of role worker"
    for one in pods_of(group)[1:]:
        apply(state, one, "ADDED")
    assert gang_of(state).blocked is None


def test_a_group_of_one_is_its_leader() -> None:
    """Size 1, as every Playground makes it: no workers, nobody is late."""
    group = lws(size=1, startup="LeaderReady")
    gang = gang_of(cluster(group, pods_of(group)))
    assert roles(gang.podsets) == [("leader", 1, 1, 0)]


LATE: list[tuple[str, dict[str, Any]]] = [
    ("LeaderReady: workers come when the leader is Ready", {"startup": "LeaderReady"}),
    ("exclusive topology: workers come when the leader is bound", {"annotations": EXCLUSIVE}),
]


@pytest.mark.parametrize("more", [case[1] for case in LATE], ids=[case[0] for case in LATE])
def test_workers_that_come_late_are_members(more: dict[str, Any]) -> None:
    """The group is planned whole from the leader and the template of the workers, under their names."""
    group = lws(size=4, leader=template(0), worker=template(4), **more)
    gang = gang_of(cluster(FLEET, group, pods_of(group)[:1]))
    assert gang.blocked is None
    assert roles(gang.podsets) == [("leader", 1, 1, 0), ("worker", 3, 3, 3)]
    leader, worker = gang.podsets
    assert leader.request == Resources({"pods": 1})
    assert worker.request == Resources({keys.NVIDIA_GPU: 4, "pods": 1})
    assert [(member.pod, member.uid) for member in worker.members] == [
        ("train-0-1", ""),
        ("train-0-2", ""),
        ("train-0-3", ""),
    ]
    assert worker.labels[keys.LWS_GROUP_KEY] == leader.labels[keys.LWS_GROUP_KEY]


def test_workers_take_their_places_one_by_one() -> None:
    """Those that exist are members, those that do not are late, whatever the order in which they come."""
    group = lws(size=4, startup="LeaderReady")
    leader, first, second, third = pods_of(group)
    state = cluster(group, leader, second)
    worker = gang_of(state).podsets[1]
    assert [(m.pod, m.uid, m.late) for m in worker.members] == [
        ("train-0-1", "", True),
        ("train-0-2", "uid-train-0-2-a", False),
        ("train-0-3", "", True),
    ]
    apply(state, first)
    apply(state, third)
    assert roles(gang_of(state).podsets) == [("leader", 1, 1, 0), ("worker", 3, 3, 0)]


def test_a_worker_to_come_is_like_its_siblings() -> None:
    """What admission did to the first worker it will do to the next: members of a role stay alike."""
    group = lws(size=3, startup="LeaderReady", leader=template(0))
    leader, worker, _ = pods_of(group)
    worker["spec"]["tolerations"] = [{"key": "gpu", "operator": "Exists"}]
    worker["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "2"
    gang = gang_of(cluster(group, leader, worker))
    assert gang.blocked is None
    assert gang.podsets[1].request["cpu"] == 2000
    assert [t.key for t in gang.podsets[1].constraints.tolerations] == ["gpu"]


def test_a_worker_to_come_tolerates_what_its_leader_was_made_to() -> None:
    """Some clusters add tolerations for the resources of a pod: the workers will have them as well."""
    own = [{"key": "own", "operator": "Exists"}]
    group = lws(size=2, startup="LeaderReady", leader=template(1, tolerations=own))
    leader, _ = pods_of(group)
    leader["spec"]["tolerations"] = [*own, {"key": keys.NVIDIA_GPU, "operator": "Exists"}]
    worker = gang_of(cluster(group, leader)).podsets[1]
    assert [t.key for t in worker.constraints.tolerations] == [keys.NVIDIA_GPU]


def test_a_worker_to_come_of_the_same_template_requests_what_its_leader_does() -> None:
    """Without a leader template, defaults of a LimitRange on the leader are those of the workers."""
    group = lws(size=2, startup="LeaderReady")
    leader, _ = pods_of(group)
    leader["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "3"
    assert gang_of(cluster(group, leader)).podsets[1].request["cpu"] == 3000


def test_a_deleted_worker_keeps_its_place() -> None:
    """Where workers come late, one that is to be replaced is expected under its name."""
    group = lws(size=3, startup="LeaderReady", restartPolicy="None")
    pods = pods_of(group, node="n1")
    gang = gang_of(cluster(FLEET, group, pods[:2]))
    assert roles(gang.podsets) == [("leader", 1, 1, 0), ("worker", 2, 2, 1)]
    assert gang.podsets[1].pending[0].pod == "train-0-2"


def test_without_its_set_a_group_waits() -> None:
    """Whether workers come late is not known without the LeaderWorkerSet; it may be seen a moment later."""
    group = lws(size=2, startup="LeaderReady")
    state = cluster(pods_of(group)[:1])
    gang = gang_of(state)
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
    assert gang.roots == ()
    apply(state, group)
    assert roles(gang_of(state).podsets) == [("leader", 1, 1, 0), ("worker", 1, 1, 1)]
    assert gang_of(state).roots == ("uid-train-0-a",)


# -- names -------------------------------------------------------------------------------------------


def test_the_index_of_a_group_is_opaque_text() -> None:
    """With groupIdentity Hash it is no number (KEP-898)."""
    group = lws(size=2)
    pods = pods_of(group)
    for one in pods:
        one["metadata"]["labels"][keys.LWS_GROUP_INDEX] = "x7f2"
    assert [gang.name for gang in cluster(group, pods).gangs()] == ["train-x7f2"]


def test_names_tell_the_group_where_the_webhook_did_not() -> None:
    """Labels for group and worker come from a webhook; the StatefulSets have named the pods before it."""
    group = lws(size=3)
    pods = pods_of(group)
    for one in pods:
        for key in (keys.LWS_GROUP_INDEX, keys.LWS_GROUP_KEY):
            del one["metadata"]["labels"][key]
    for one in pods[1:]:
        del one["metadata"]["labels"][keys.LWS_WORKER_INDEX]
    gang = gang_of(cluster(group, pods))
    assert roles(gang.podsets) == [("leader", 1, 1, 0), ("worker", 2, 2, 0)]


def test_groups_of_a_surge_are_gangs_like_others() -> None:
    """Indexes at or above ``replicas`` exist while a surge or a scale-down lasts; nobody counts replicas."""
    group = lws(size=2, replicas=1)
    state = cluster(group, pods_of(group, 0), pods_of(group, 1))
    assert [gang.blocked for gang in state.gangs()] == [None, None]
    for one in pods_of(group, 1):
        apply(state, one, "DELETED")
    assert [gang.name for gang in state.gangs()] == ["train-0"]


# -- what owners and users ask for -------------------------------------------------------------------


def test_request_annotations_come_from_the_nearest() -> None:
    """A pod's own annotation wins; then the LeaderWorkerSet's, which pods do not get from LeaderWorkerSet."""
    own = {"annotations": {"muster.dev/model": "hf://a/pod"}}
    asked = {"muster.dev/model": "hf://a/set", "muster.dev/spread": "rack"}
    group = lws(size=2, annotations=asked, leader=template(metadata=own))
    gang = gang_of(cluster(FLEET, group, pods_of(group)))
    assert (gang.model, gang.spread) == ("hf://a/pod", "rack")


def test_a_role_takes_from_the_set_what_its_pods_lack() -> None:
    """What concerns roles is taken role by role: the leader says something else for itself."""
    own = {"annotations": {"muster.dev/topology-preferred": "block"}}
    group = lws(
        size=2, annotations={"muster.dev/topology-preferred": "rack"}, leader=template(metadata=own)
    )
    gang = gang_of(cluster(FLEET, group, pods_of(group)))
    assert [p.topology.preferred for p in gang.podsets] == ["block", "rack"]


def test_roles_can_have_names_of_the_user() -> None:
    """A role on the templates is kept, and the sizes follow it."""
    metadata = {"annotations": {"muster.dev/role": "prefill"}}
    group = lws(size=3, worker=template(metadata=metadata))
    gang = gang_of(cluster(group, pods_of(group)))
    assert roles(gang.podsets) == [("prefill", 3, 3, 0)]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "an annotation of the set",
        {"annotations": {"muster.dev/spread": "nowhere"}},
        f"{TRAIN}: muster.dev/spread: unknown level 'nowhere'",
    ),
    (
        "an annotation that is no text",
        {"annotations": {"muster.dev/gang-min": 2}},
        f"{TRAIN}: muster.dev/gang-min: '2' is not text; put it in quotes",
    ),
    (
        "an annotation of a template",
        {"worker": template(metadata={"annotations": {"muster.dev/gang-min": "9"}})},
        "Pod default/train-0: muster.dev/gang-min: 9 is more than the gang's 2 members",
    ),
    (
        "a size that contradicts",
        {"worker": template(metadata={"annotations": {"muster.dev/gang-size": "3"}})},
        f"{TRAIN}: spec.leaderWorkerTemplate.size: the sizes add up to 2",
    ),
    (
        "priorities of leader and workers",
        {
            "startup": "LeaderReady",
            "leader": template(priorityClassName="high"),
            "worker": template(priorityClassName="low"),
        },
        f"{TRAIN}: spec.leaderWorkerTemplate.workerTemplate.spec.priorityClassName: low, but high for",
    ),
]


@pytest.mark.parametrize(
    ("more", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_wrong_request_is_told_where_it_was_written(more: dict[str, Any], message: str) -> None:
    """One sentence names the object and the field; the gang is known all the same."""
    group = lws(size=2, **more)
    pods = pods_of(group)
    gang = gang_of(cluster(FLEET, group, pods[:1] if "startup" in more else pods))
    assert gang.blocked is not None and gang.blocked.code is Code.INVALID_REQUEST
    assert gang.blocked.message.startswith(message)
    assert (gang.source, gang.incarnation) == ("leaderworkerset", "uid-train-0-a")


@pytest.mark.parametrize("size", ["x", "0", "-1", "1.5", "1000000000"])
def test_a_size_that_is_none_is_told(size: str) -> None:
    """The size annotation is written by LeaderWorkerSet; another value stops the group, not Muster."""
    group = lws(size=2, startup="LeaderReady")
    leader, _ = pods_of(group)
    leader["metadata"]["annotations"][keys.LWS_SIZE] = size
    blocked = gang_of(cluster(group, leader)).blocked
    assert blocked is not None
    assert blocked.message == (
        f"Pod default/train-0: {keys.LWS_SIZE}: '{size}' is not a whole number from 1 to 100000"
    )


def test_an_explicit_gang_wins() -> None:
    """All groups of a set whose template names a gang are that one gang."""
    metadata = {"annotations": {"muster.dev/gang": "all"}}
    group = lws(size=2, replicas=2, worker=template(metadata=metadata))
    gang = gang_of(cluster(group, pods_of(group, 0), pods_of(group, 1)), "all")
    assert (gang.size, gang.source) == (4, "annotations")


def test_a_change_of_the_set_is_seen_at_once() -> None:
    """The set's own objects are watched: a new startup policy changes what the group waits for."""
    group = lws(size=2)
    state = cluster(group, pods_of(group)[:1])
    assert gang_of(state).blocked is not None
    apply(state, lws(size=2, startup="LeaderReady"))
    assert gang_of(state).blocked is None
    apply(state, group, "DELETED")
    assert gang_of(state).blocked is not None


def test_workers_are_written_as_their_leader_is() -> None:
    """Where admission wrote another vendor's flavor into the leader, workers to come will have it too."""
    group = lws(size=2, startup="LeaderReady")
    leader, _ = pods_of(group)
    leader["metadata"]["annotations"]["muster.dev/written"] = "ascend"
    leader["spec"]["containers"][0]["resources"] = {"limits": {keys.ASCEND_910: 8}}
    worker = gang_of(cluster(group, leader)).podsets[1]
    assert worker.request == Resources({keys.ASCEND_910: 8, "pods": 1})


def test_plain_pods_beside_a_set_are_none_of_its_business() -> None:
    """Only the label makes a pod one of a LeaderWorkerSet, whatever its name looks like."""
    group = lws(size=2)
    state = cluster(group, pods_of(group), pod("train-0-7"), pod("train-2"))
    assert [gang.name for gang in state.gangs()] == ["train-0"]
    assert gang_of(state).size == 2


def test_an_object_of_one_group_concerns_that_group_only() -> None:
    """A set of 400 groups makes 400 StatefulSets: each of them has one group read again, not all."""
    group = lws(size=2, replicas=2)
    own, other = (cluster(group, pods_of(group, i)).pods[f"uid-train-{i}-a"] for i in (0, 1))
    cases = [
        (STATEFUL_SET, stateful_sets(group, 0)[1], True, False),
        (STATEFUL_SET, {"metadata": {"name": "train-0"}}, True, True),  # a deletion tells no more
        (LEADER_WORKER_SET, group, True, True),
        (LEADER_WORKER_SET, lws("x"), False, False),
        (CONTROLLER_REVISION, revision(group), True, True),
        (CONTROLLER_REVISION, revision(lws("x")), False, False),
        (OPEN_MODEL, {"metadata": {"name": "llama"}, "spec": {}}, True, True),
    ]
    for kind, obj, first, second in cases:
        assert (concerns(kind, obj, own), concerns(kind, obj, other)) == (first, second), kind
