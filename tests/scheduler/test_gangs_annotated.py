"""Gangs of our own annotations: what is understood, and every mistake told in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import Code, Gang, Slice, TopologyRequest
from tests.objects import Object, flavor, namespace, node, pod, state_of
from topology import keys
from topology.resources import Resources

RACK = {keys.BLOCK: "b1", keys.RACK: "r1"}
FLEET = [
    node("n1", "h100", RACK),
    node("n2", "a100", {**RACK, keys.RACK: "r2"}),
    flavor("h100", nodeSelector={keys.NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3"}),
    flavor("a100", nodeSelector={keys.NVIDIA_PRODUCT: "NVIDIA-A100-SXM4-80GB"}),
    flavor("broken", members=0),
]


def gang_of(*pods: Object, name: str = "a", fleet: list[Object] = FLEET) -> Gang:
    """The gang ``default/NAME`` of ``pods``."""
    gang = state_of([*fleet, *pods]).gang(f"default/{name}")
    assert gang is not None
    return gang


def members(count: int, **ours: Any) -> list[Object]:
    """``count`` pods ``a-0``, ``a-1`` ... of gang ``a`` with the same annotations."""
    return [pod(f"a-{i}", "a", **ours) for i in range(count)]


# -- what is understood ------------------------------------------------------------------------------


def test_the_smallest_request() -> None:
    """A gang with a name only has the members that exist, and all of them must start together."""
    gang = gang_of(*members(3))
    assert (gang.size, gang.min_members, gang.blocked) == (3, 3, None)
    (podset,) = gang.podsets
    assert podset.role == "main"
    assert [member.pod for member in podset.members] == ["a-0", "a-1", "a-2"]
    assert podset.request == Resources({keys.NVIDIA_GPU: 8, "pods": 1})
    assert gang.flavors == ()


def test_members_stand_in_the_order_of_their_numbers() -> None:
    """Rank order is the natural order of names: a-2 before a-10."""
    pods = [pod(f"a-{i}", "a") for i in (10, 2, 1)]
    (podset,) = gang_of(*pods).podsets
    assert [member.pod for member in podset.members] == ["a-1", "a-2", "a-10"]


def test_a_pod_with_any_request_annotation_is_a_gang_of_one() -> None:
    """Without a gang name the pod's own name is the gang's."""
    gang = gang_of(pod("solo", flavors="h100"), name="solo")
    assert (gang.size, gang.min_members) == (1, 1)
    assert [one.name for one in gang.flavors] == ["h100"]


@pytest.mark.parametrize(
    ("pods", "reason"),
    [
        ([pod("p")], "no annotation"),
        ([namespace("default", muster_dev=""), pod("p")], "no annotation"),
        ([pod("p", rank="0", node="n1", plan="x")], "only annotations that Muster writes"),
        (
            [
                {
                    "kind": "Namespace",
                    "metadata": {"name": "default", "labels": {"muster.dev/managed": "false"}},
                },
                pod("p", "p"),
            ],
            "in a namespace that is not managed",
        ),
    ],
)
def test_plain_pods(pods: list[Object], reason: str) -> None:
    """Design section 8, step 0: every other pod is plain."""
    assert state_of(pods).gangs() == (), reason


def test_roles_give_sizes_before_their_members_exist() -> None:
    """Leaders come first; a role without a pod is known by its size."""
    gang = gang_of(*members(1, role="worker", roles="leader=1,worker=4"))
    assert [(p.role, p.size, len(p.members)) for p in gang.podsets] == [
        ("leader", 1, 0),
        ("worker", 4, 1),
    ]
    assert gang.blocked is not None and gang.blocked.code == Code.MEMBERS_MISSING


ELASTIC: list[tuple[dict[str, Any], int, int]] = [
    # annotations of 4 pods of one role, minimum of the role, minimum of the gang
    ({}, 4, 4),
    ({"gang_min": "2"}, 2, 2),
    ({"gang_size": "6", "gang_min": "3"}, 3, 3),
    ({"role_min": "1"}, 1, 1),
    ({"role_min": "1", "gang_min": "3"}, 1, 3),
    ({"role_min": "0", "gang_min": "2"}, 0, 2),
]


@pytest.mark.parametrize(("ours", "role_min", "gang_min"), ELASTIC)
def test_elastic_minimums_of_one_role(ours: dict[str, Any], role_min: int, gang_min: int) -> None:
    """Default of gang-min: the sum of the role minimums; of role-min with one role: gang-min."""
    gang = gang_of(*members(4, **ours))
    assert (gang.podsets[0].min_count, gang.min_members) == (role_min, gang_min)
    assert gang.blocked is None


def test_elastic_minimums_of_two_roles() -> None:
    """With several roles each role's default minimum is all of it, whatever gang-min says."""
    pods = [pod("a-l", "a", role="leader")]
    pods += [pod(f"a-w{i}", "a", role="worker", role_min="1", gang_min="3") for i in range(4)]
    gang = gang_of(*pods)
    assert [(p.role, p.min_count) for p in gang.podsets] == [("leader", 1), ("worker", 1)]
    assert gang.min_members == 3


def test_topology_requests_by_name_and_by_label() -> None:
    """A level is a level name or a node label key; gang, group and PodSet have their own requests."""
    pods = [
        pod(
            f"a-{role}", "a", role=role, topology_group="pd",
            gang_topology_required=keys.BLOCK, gang_topology_preferred="rack",
            group_topology_preferred="rack", topology_required="host", spread="rack",
        )
        for role in ("prefill", "decode")
    ]  # fmt: skip
    gang = gang_of(*pods)
    assert gang.blocked is None
    assert gang.topology == TopologyRequest(required="block", preferred="rack")
    assert gang.spread == "rack"
    for podset in gang.podsets:
        assert podset.group == "pd"
        assert podset.group_topology == TopologyRequest(preferred="rack")
        assert podset.topology == TopologyRequest(required="host")


def test_a_label_that_only_a_gang_names_becomes_a_level() -> None:
    """A label key that no source knows is a level as soon as a gang asks for it."""
    fleet = [
        node("n1", labels={"example.com/row": "1"}),
        node("n2", labels={"example.com/row": "2"}),
    ]
    gang = gang_of(*members(2, topology_required="example.com/row"), fleet=fleet)
    assert gang.blocked is None
    assert gang.podsets[0].topology.required == "example.com/row"


def test_slices_outermost_first() -> None:
    """``block:4,rack:2``: every 4 members in one block, every 2 of them in one rack."""
    gang = gang_of(*members(8, topology_slices="block:4, rack:2"))
    assert gang.podsets[0].slices == (Slice(level="block", size=4), Slice(level="rack", size=2))


def test_model_and_its_bytes() -> None:
    """Model bytes are a Kubernetes quantity."""
    gang = gang_of(*members(1, model="hf://org/name@main", model_bytes="140Gi"))
    assert (gang.model, gang.model_bytes) == ("hf://org/name@main", 140 * 2**30)


def test_flavors_inline_come_before_objects() -> None:
    """A name is looked up in flavor-spec first, then among Flavor objects; ``flavors`` orders them."""
    spec = "[{name: h100, members: 2}, {name: own, deviceClass: x}]"
    both = gang_of(*members(2, flavors="a100,h100", flavor_spec=spec))
    assert [(one.name, one.members) for one in both.flavors] == [("a100", None), ("h100", 2)]
    alone = gang_of(*members(2, flavor_spec=spec))
    assert [one.name for one in alone.flavors] == ["h100", "own"]


def test_helpers_without_cards_do_not_follow_the_flavors() -> None:
    """A role without cards and without a flavor annotation of its own may run anywhere."""
    gang = gang_of(
        pod("a-router", "a", role="router", gpus=0), pod("a-w", "a", role="worker", flavors="h100")
    )
    assert {p.role: p.follows_flavors for p in gang.podsets} == {"router": False, "worker": True}


def test_gang_annotations_on_one_member_are_enough() -> None:
    """What concerns the gang may stand on any member; only contradiction is an error."""
    gang = gang_of(pod("a-0", "a"), pod("a-1", "a", gang_size="4", flavors="h100", gang_min="2"))
    assert (gang.size, gang.min_members, len(gang.flavors)) == (4, 2, 1)
    assert gang.blocked is None


def test_members_that_run_and_members_that_end() -> None:
    """A running member has its node; a terminating one is no member any more."""
    gang = gang_of(
        pod("a-0", "a", node="n1"), pod("a-1", "a"), pod("a-2", "a", node="n2", deleted=True)
    )
    assert [(member.pod, member.node) for member in gang.podsets[0].members] == [
        ("a-0", "n1"),
        ("a-1", None),
    ]


# -- what is missing ---------------------------------------------------------------------------------


def test_missing_members_are_counted() -> None:
    """Members that do not exist yet are a reason in numbers, not an error."""
    blocked = gang_of(*members(2, gang_size="4")).blocked
    assert blocked is not None
    assert blocked.code == Code.MEMBERS_MISSING
    assert blocked.message == "2 of 4 members exist; not created yet: 2 of role main"
    assert blocked.numbers == {"membersPresent": 2, "membersNeeded": 4, "membersTotal": 4}


def test_missing_members_of_a_role_are_named() -> None:
    """With several roles the message says which role lacks members."""
    blocked = gang_of(*members(2, role="worker", roles="leader=1,worker=2")).blocked
    assert blocked is not None
    assert blocked.message == ("2 of 3 members exist; not created yet: 1 of role leader")


def test_a_foreign_gate_holds_the_gang_back() -> None:
    """A member under somebody else's gate cannot be bound, so no place is reserved; the gate is named."""
    gates = ("muster.dev/gang", "example.com/quota")
    blocked = gang_of(pod("a-0", "a"), pod("a-1", "a", gates=gates)).blocked
    assert blocked is not None
    assert blocked.code == Code.MEMBERS_MISSING
    assert blocked.message == (
        "1 of 2 members can be bound; 1 still carry the scheduling gate example.com/quota, which is "
        "not Muster's"
    )
    assert blocked.numbers["membersGated"] == 1


def test_a_foreign_gate_does_not_hold_back_those_who_can_start() -> None:
    """An elastic gang starts without its gated member, which gets no place."""
    gated = pod("a-2", "a", gang_min="2", gates=("example.com/quota",))
    gang = gang_of(pod("a-0", "a", node="n1"), pod("a-1", "a"), gated)
    assert gang.blocked is None and gang.size == 3
    assert [member.pod for member in gang.podsets[0].members] == ["a-0", "a-1"]


def test_our_own_gate_does_not_hold_the_gang_back() -> None:
    """Every waiting member carries Muster's gate."""
    assert gang_of(*members(2, gates=("muster.dev/gang",))).blocked is None


# -- what is wrong: one row per promise of the list of bad input ------------------------------

LEVELS = "known, outermost first: block, rack, host, and every label key that a node has"
ONE_ROLE = "members that differ need different roles (muster.dev/role)"

# ours: annotations of both members; pods: or the members themselves; then the exact message
WRONG: dict[str, tuple[dict[str, Any] | list[Object], str]] = {
    "unknown flavor": (
        {"flavors": "h100,h900"},
        "Pod default/a-0: muster.dev/flavors: flavor 'h900' does not exist; known: a100, broken, h100",
    ),
    "flavor object that is wrong itself": (
        {"flavors": "broken"},
        (
            "Pod default/a-0: muster.dev/flavors: Flavor broken: spec.members: 0 is not a number of pods "
            "from 1 up"
        ),
    ),
    "flavors with an empty name": (
        {"flavors": "h100,,a100"},
        "Pod default/a-0: muster.dev/flavors: 'h100,,a100' has an empty name; expected a,b,c",
    ),
    "size smaller than members": (
        {"gang_size": "1"},
        "Pod default/a-0: muster.dev/gang-size: 1 is less than the 2 members that exist",
    ),
    "conflicting sizes": (
        [pod("a-0", "a", gang_size="2"), pod("a-1", "a", gang_size="3")],
        "Pod default/a-1: muster.dev/gang-size: '3', but '2' on pod a-0; members of one gang must agree",
    ),
    "size zero": (
        {"gang_size": "0"},
        "Pod default/a-0: muster.dev/gang-size: '0' is not a whole number from 1 to 100000",
    ),
    "size negative": (
        {"gang_size": "-2"},
        "Pod default/a-0: muster.dev/gang-size: '-2' is not a whole number from 1 to 100000",
    ),
    "size no number": (
        {"gang_size": "two"},
        "Pod default/a-0: muster.dev/gang-size: 'two' is not a whole number from 1 to 100000",
    ),
    "size empty": (
        {"gang_size": ""},
        "Pod default/a-0: muster.dev/gang-size: '' is not a whole number from 1 to 100000",
    ),
    "size with a fraction": (
        {"gang_size": "2.5"},
        "Pod default/a-0: muster.dev/gang-size: '2.5' is not a whole number from 1 to 100000",
    ),
    "size beyond any cluster": (
        {"gang_size": "9999999999"},
        "Pod default/a-0: muster.dev/gang-size: '9999999999' is not a whole number from 1 to 100000",
    ),
    "size in other digits": (
        {"gang_size": "٢"},
        "Pod default/a-0: muster.dev/gang-size: '٢' is not a whole number from 1 to 100000",
    ),
    "gang-min above size": (
        {"gang_size": "2", "gang_min": "3"},
        "Pod default/a-0: muster.dev/gang-min: 3 is more than the gang's 2 members",
    ),
    "role-min above the role": (
        {"role_min": "3"},
        "Pod default/a-0: muster.dev/role-min: 3 is more than the 2 members of role main",
    ),
    "role-min negative": (
        {"role_min": "-1"},
        "Pod default/a-0: muster.dev/role-min: '-1' is not a whole number from 0 to 100000",
    ),
    "roles without a count": (
        {"role": "x", "roles": "x"},
        (
            "Pod default/a-0: muster.dev/roles: 'x' is not ROLE=COUNT with a count from 1 up, as in "
            "prefill=2,decode=4"
        ),
    ),
    "roles with an absurd count": (
        {"role": "x", "roles": "x=" + "9" * 5000},
        "Pod default/a-0: muster.dev/roles: '"
        + f"x={'9' * 5000}"[:57]
        + "...' is not ROLE=COUNT with "
        "a count from 1 up, as in prefill=2,decode=4",
    ),
    "roles that name one twice": (
        {"role": "x", "roles": "x=1,x=1"},
        "Pod default/a-0: muster.dev/roles: role x is named twice",
    ),
    "a role that roles lacks": (
        {"role": "y", "roles": "x=2"},
        "Pod default/a-0: muster.dev/roles: role y, which a member has, is not among x",
    ),
    "more members of a role than roles says": (
        {"role": "x", "roles": "x=1"},
        "Pod default/a-0: muster.dev/roles: x=1, but 2 members of it exist",
    ),
    "roles that do not add up": (
        {"role": "x", "roles": "x=2,y=1", "gang_size": "4"},
        "Pod default/a-0: muster.dev/roles: the sizes add up to 3, but gang-size is 4",
    ),
    "unknown level": (
        {"topology_required": "pod"},
        f"Pod default/a-0: muster.dev/topology-required: unknown level 'pod'; {LEVELS}",
    ),
    "unknown level of the gang": (
        {"gang_topology_preferred": "example.com/row"},
        "Pod default/a-0: muster.dev/gang-topology-preferred: unknown level 'example.com/row'; "
        + LEVELS,
    ),
    "group request without a group": (
        {"group_topology_required": "rack"},
        (
            "Pod default/a-0: muster.dev/group-topology-required: needs muster.dev/topology-group to name "
            "the group"
        ),
    ),
    "slices without a size": (
        {"topology_slices": "rack"},
        "Pod default/a-0: muster.dev/topology-slices: 'rack' is not LEVEL:SIZE, as in block:16,rack:4",
    ),
    "slices of an unknown level": (
        {"topology_slices": "row:1"},
        f"Pod default/a-0: muster.dev/topology-slices: unknown level 'row'; {LEVELS}",
    ),
    "slices that do not divide the role": (
        {"topology_slices": "rack:3"},
        "Pod default/a-0: muster.dev/topology-slices: slices of 3 do not divide the 2 members of the role",
    ),
    "slices that do not divide each other": (
        [pod(f"a-{i}", "a", topology_slices="block:4,rack:3") for i in range(4)],
        "Pod default/a-0: muster.dev/topology-slices: slices of 3 do not divide slices of 4",
    ),
    "slices with the inner level first": (
        {"topology_slices": "rack:2,block:1"},
        "Pod default/a-0: muster.dev/topology-slices: block is not inside rack; outermost level first",
    ),
    "members with different resources": (
        [pod("a-0", "a"), pod("a-1", "a", gpus=4)],
        (
            f"Pod default/a-1: spec.containers[].resources: requests 4 {keys.NVIDIA_GPU}, but pod a-0 of the "
            f"same role main requests 8; {ONE_ROLE}"
        ),
    ),
    "members with different selectors": (
        [pod("a-0", "a"), pod("a-1", "a", spec={"nodeSelector": {"x": "y"}})],
        (
            "Pod default/a-1: spec: node selector, affinity, tolerations, spread or host ports differ from "
            f"pod a-0 of the same role main; {ONE_ROLE}"
        ),
    ),
    "members with different priorities": (
        [pod("a-0", "a"), pod("a-1", "a", priority=7)],
        "Pod default/a-1: spec.priority: 7, but 0 on pod a-0; members of a gang have one priority",
    ),
    "bad model-bytes": (
        {"model_bytes": "140 GB"},
        "Pod default/a-0: muster.dev/model-bytes: '140 GB' is not a quantity such as 500m, 16Gi or 8",
    ),
    "negative model-bytes": (
        {"model_bytes": "-1"},
        "Pod default/a-0: muster.dev/model-bytes: '-1' is negative",
    ),
    "annotation of 1 MB": (
        {"flavor_spec": "x" * 1_000_000},
        "Pod default/a-0: muster.dev/flavor-spec: 1000000 characters; at most 32768 are read",
    ),
    "number without quotes": (
        {"gang_size": 2},
        "Pod default/a-0: muster.dev/gang-size: 2 is not text; put it in quotes",
    ),
    "flavor-spec that is no YAML": (
        {"flavor_spec": "- name: [x"},
        "Pod default/a-0: muster.dev/flavor-spec: neither JSON nor YAML at line 2",
    ),
    "flavor-spec that is no list": (
        {"flavor_spec": "name: x"},
        "Pod default/a-0: muster.dev/flavor-spec: expected a list of flavors, each with a name",
    ),
    "flavor-spec with a wrong field": (
        {"flavor_spec": "- {name: x, nodeselector: {a: b}}"},
        (
            "Pod default/a-0: muster.dev/flavor-spec[0].nodeselector: unknown field; known: name, "
            "resources, nodeSelector, deviceClass, minMemory, members, overlay, costPerHour, performance"
        ),
    ),
    "flavor-spec without a name": (
        {"flavor_spec": "- {deviceClass: x}"},
        "Pod default/a-0: muster.dev/flavor-spec[0].name: None is not a flavor name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_mistake_is_one_sentence_and_harms_nobody_else(case: str) -> None:
    """The gang is blocked as InvalidRequest with this message; its neighbour is read as without it."""
    wrong, message = WRONG[case]
    pods = members(2, **wrong) if isinstance(wrong, dict) else wrong
    neighbour = [pod(f"b-{i}", "b", gang_size="2", flavors="h100,a100") for i in range(2)]
    state = state_of([*FLEET, *neighbour, *pods])
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is not None
    assert gang.blocked.code == Code.INVALID_REQUEST
    assert gang.blocked.message == message
    assert {m.pod for p in gang.podsets for m in p.members} == {p["metadata"]["name"] for p in pods}
    assert state.gang("default/b") == state_of([*FLEET, *neighbour]).gang("default/b")


def test_a_mistake_that_is_corrected_is_forgotten() -> None:
    """When the pod with the mistake is replaced the gang is whole again."""
    state = state_of([*FLEET, *members(2, gang_size="nonsense")])
    for one in members(2):
        state.apply("Pod", "MODIFIED", one)
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is None
