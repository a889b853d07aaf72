"""Kueue's topology annotations: what they mean for any gang, and which pods they make a gang."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from scheduler.model import Code, Gang, PodSet, Slice, TopologyRequest
from tests.objects import Object, node, pod, state_of
from topology import keys

FLEET = [
    node(f"n{r}{h}", "h100", {keys.BLOCK: "b", keys.RACK: f"r{r}"}) for r in (1, 2) for h in (1, 2)
]
RACK, BLOCK = TopologyRequest(required="rack"), TopologyRequest(required="block")


def asking(
    name: str,
    asked: Mapping[str, str],
    owner: tuple[str, str] | None = None,
    **given: Any,
) -> Object:
    """A pod with annotations of Kueue, owned by ``(kind, name)``."""
    made = pod(name, **given)
    made["metadata"]["annotations"] |= asked
    if owner is not None:
        reference = {
            "kind": owner[0],
            "name": owner[1],
            "uid": f"uid-{owner[1]}",
            "controller": True,
        }
        made["metadata"]["ownerReferences"] = [reference]
    return made


def gangs_of(*objects: Object) -> dict[str, Gang]:
    """All gangs by name."""
    return {gang.name: gang for gang in state_of([*FLEET, *objects]).gangs()}


def only(*objects: Object) -> Gang:
    """The one gang."""
    (gang,) = gangs_of(*objects).values()
    return gang


def roles(gang: Gang) -> dict[str, PodSet]:
    """PodSets by role."""
    return {podset.role: podset for podset in gang.podsets}


# -- what the annotations mean -----------------------------------------------------------------------

ASKED: list[tuple[dict[str, str], TopologyRequest, tuple[Slice, ...]]] = [
    ({keys.KUEUE_REQUIRED: keys.RACK}, RACK, ()),
    ({keys.KUEUE_REQUIRED: "block"}, BLOCK, ()),
    ({keys.KUEUE_PREFERRED: keys.RACK}, TopologyRequest(preferred="rack"), ()),
    ({keys.KUEUE_REQUIRED: "block", keys.KUEUE_PREFERRED: "rack"}, BLOCK, ()),
    ({keys.KUEUE_UNCONSTRAINED: "true"}, TopologyRequest(), ()),
    (
        {
            keys.KUEUE_REQUIRED: "block",
            keys.KUEUE_SLICE_LEVEL: keys.RACK,
            keys.KUEUE_SLICE_SIZE: "2",
        },
        BLOCK,
        (Slice(level="rack", size=2),),
    ),
    (
        {
            keys.KUEUE_SLICES: json.dumps(
                [{"topology": keys.BLOCK, "size": 4}, {"topology": keys.RACK, "size": 2}]
            )
        },
        TopologyRequest(),
        (Slice(level="block", size=4), Slice(level="rack", size=2)),
    ),
]


@pytest.mark.parametrize(("asked", "levels", "slices"), ASKED)
@pytest.mark.parametrize("gang", [None, "mine"])
def test_what_a_podset_asks_for(
    asked: dict[str, str],
    levels: TopologyRequest,
    slices: tuple[Slice, ...],
    gang: str | None,
) -> None:
    """The request of a role of ours, whichever source the gang comes from."""
    pods = [asking(f"a-{i}", asked, ("Job", "a"), gang=gang) for i in range(4)]
    found = only(*pods)
    assert found.blocked is None
    assert found.source == ("annotations" if gang else "kueue")
    assert (found.podsets[0].topology, found.podsets[0].slices) == (levels, slices)
    assert found.topology == TopologyRequest()


def test_what_a_pod_asks_for_in_our_words_wins() -> None:
    """Ours and Kueue's on one pod: only what ours leave open comes from Kueue."""
    asked = {keys.KUEUE_REQUIRED: "block", keys.KUEUE_PREFERRED: "rack"}
    gang = only(*[asking(f"a-{i}", asked, gang="a", topology_required="rack") for i in range(2)])
    assert gang.podsets[0].topology == RACK


def test_a_group_of_podsets_shares_a_domain() -> None:
    """The level that its members name is asked of the group; a PodSet outside keeps its own."""
    group = {keys.KUEUE_REQUIRED: "rack", keys.KUEUE_PODSET_GROUP: "pair"}
    job = ("MPIJob", "m")
    gang = only(
        asking("m-launcher", group, job, gpus=0, labels={keys.KUEUE_PODSET: "launcher"}),
        asking("m-worker-0", group, job, labels={keys.KUEUE_PODSET: "worker"}),
        asking("m-extra", {keys.KUEUE_REQUIRED: "block"}, job, labels={keys.KUEUE_PODSET: "extra"}),
    )
    assert gang.blocked is None
    found = {r: (p.group, p.group_topology, p.topology) for r, p in roles(gang).items()}
    assert found == {
        "extra": (None, TopologyRequest(), BLOCK),
        "launcher": ("pair", RACK, TopologyRequest()),
        "worker": ("pair", RACK, TopologyRequest()),
    }


WRONG: list[tuple[dict[str, str], str]] = [
    ({keys.KUEUE_REQUIRED: "rak"}, f"{keys.KUEUE_REQUIRED}: unknown level 'rak'"),
    ({keys.KUEUE_PREFERRED: ""}, f"{keys.KUEUE_PREFERRED}: unknown level ''"),
    (
        {keys.KUEUE_SLICE_LEVEL: "rack"},
        f"{keys.KUEUE_SLICE_LEVEL}: 'rack:' is not LEVEL:SIZE",
    ),
    (
        {keys.KUEUE_SLICE_LEVEL: "rack", keys.KUEUE_SLICE_SIZE: "3"},
        f"{keys.KUEUE_SLICE_LEVEL}: slices of 3 do not divide the 2 members of the role",
    ),
    ({keys.KUEUE_SLICES: "{"}, f"{keys.KUEUE_SLICES}: '{{' is not LEVEL:SIZE"),
    ({keys.KUEUE_SLICES: "[4]"}, f"{keys.KUEUE_SLICES}: ':' is not LEVEL:SIZE"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG)
def test_what_is_wrong_is_told_of_kueues_annotation(asked: dict[str, str], message: str) -> None:
    """Nobody has written the annotation of ours that it was read as."""
    gang = only(*[asking(f"a-{i}", asked, ("Job", "a")) for i in range(2)])
    assert gang.blocked is not None and gang.blocked.code is Code.INVALID_REQUEST
    assert gang.blocked.message.startswith(f"Pod default/a-0: {message}")


def test_a_label_that_only_kueues_annotation_names_is_a_level() -> None:
    """As for annotations of ours."""
    row = "example.com/row"
    nodes = [node("x1", labels={row: "1"}), node("x2", labels={row: "2"})]
    pods = [asking(f"a-{i}", {keys.KUEUE_REQUIRED: row}, ("Job", "a")) for i in range(2)]
    (gang,) = state_of([*nodes, *pods]).gangs()
    assert (gang.blocked, gang.podsets[0].topology.required) == (None, row)


# -- what makes a gang -------------------------------------------------------------------------------

NEAR = {keys.KUEUE_PREFERRED: "rack"}

TOGETHER: list[tuple[list[Object], list[str]]] = [
    ([asking(f"a-{i}", NEAR, ("Job", "a")) for i in range(2)], ["a"]),
    ([asking(f"a-{i}", NEAR, ("ReplicaSet", "a")) for i in range(2)], ["a-0", "a-1"]),
    ([asking(f"a-{i}", NEAR) for i in range(2)], ["a-0", "a-1"]),
    (
        [asking(f"a-{i}", NEAR, labels={keys.KUEUE_POD_GROUP: "team"}) for i in range(2)],
        ["team"],
    ),
    (
        [asking(f"a-{i}", NEAR, ("Job", f"a-{i}"), labels={keys.JOBSET_NAME: "js"}) for i in (0, 1)],
        ["js"],
    ),
    (
        [asking(f"a-{i}", {**NEAR, keys.KUEUE_WORKLOAD: "w"}, ("Job", f"a-{i}")) for i in (0, 1)],
        ["w"],
    ),
    (
        [
            asking(f"a-{i}", NEAR, ("Job", "a"), spec={"nodeSelector": {keys.HOSTNAME: f"n1{i}"}})
            for i in (1, 2)
        ],
        ["a-1", "a-2"],
    ),
    ([pod("plain", labels={keys.KUEUE_POD_GROUP: "team"})], []),
]  # fmt: skip


@pytest.mark.parametrize(("pods", "names"), TOGETHER)
def test_what_belongs_together(pods: list[Object], names: list[str]) -> None:
    """Pods of one owner, pod group, JobSet or workload; replicas and pods with a host are for themselves."""
    assert sorted(gangs_of(*pods)) == names


def test_a_pod_group_says_how_many_there_will_be() -> None:
    """Two of three exist; once one runs, the others are not waited for."""
    count = {**NEAR, keys.KUEUE_POD_GROUP_COUNT: "3"}
    label = {keys.KUEUE_POD_GROUP: "team"}
    waiting = only(*[asking(f"a-{i}", count, labels=label) for i in range(2)])
    assert (waiting.size, waiting.min_members) == (3, 3)
    assert waiting.blocked is not None and waiting.blocked.code is Code.MEMBERS_MISSING
    runs = only(
        asking("a-0", count, labels=label, node="n11", gpus=1),
        asking("a-1", count, labels=label, gpus=1),
    )
    assert (runs.size, runs.min_members, runs.blocked) == (2, 2, None)


def test_a_count_that_is_no_number_is_told() -> None:
    """Of the pod that carries it, in Kueue's words."""
    count = {**NEAR, keys.KUEUE_POD_GROUP_COUNT: "all"}
    gang = only(asking("a-0", count, labels={keys.KUEUE_POD_GROUP: "team"}))
    assert gang.blocked is not None
    assert gang.blocked.message.startswith(f"Pod default/a-0: {keys.KUEUE_POD_GROUP_COUNT}: 'all'")


def test_jobs_of_a_jobset_are_roles() -> None:
    """A driver and workers of one JobSet, by the names of the replicated jobs."""
    js = {keys.JOBSET_NAME: "js"}
    gang = only(
        asking("js-d", NEAR, ("Job", "js-d"), labels={**js, keys.JOBSET_ROLE: "driver"}, gpus=0),
        asking("js-w-0", NEAR, ("Job", "js-w"), labels={**js, keys.JOBSET_ROLE: "workers"}),
        asking("js-w-1", NEAR, ("Job", "js-w"), labels={**js, keys.JOBSET_ROLE: "workers"}),
    )
    assert {role: p.size for role, p in roles(gang).items()} == {"driver": 1, "workers": 2}


def test_pods_that_kueue_put_into_racks_stay_one_gang() -> None:
    """Node selectors that Kueue added differ by rack: two roles of one gang, not an error."""
    pods = [
        asking(
            f"a-{i}",
            NEAR,
            ("Job", "a"),
            labels={keys.KUEUE_PODSET: "main"},
            spec={"nodeSelector": {keys.RACK: f"r{i}"}},
        )
        for i in (1, 2)
    ]
    gang = only(*pods)
    assert gang.blocked is None
    assert {role: p.size for role, p in roles(gang).items()} == {"main": 1, "main-2": 1}


def test_pods_behind_kueues_gate_wait() -> None:
    """A gate that is not ours keeps a place from being held for them."""
    gang = only(asking("a-0", NEAR, ("Job", "a"), gates=["kueue.x-k8s.io/topology"]))
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
    assert "kueue.x-k8s.io/topology" in gang.blocked.message
