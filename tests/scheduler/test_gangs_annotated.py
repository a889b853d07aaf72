"""Gangs of our own annotations: what is understood, and what is missing."""

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


@pytest.mark.parametrize(
    ("ours", "preferred"),
    [
        ({}, None),
        ({"parallelism": "pipeline"}, None),
        ({"parallelism": "tensor"}, "scale-up"),
        ({"parallelism": "expert"}, "scale-up"),
        ({"parallelism": "expert", "gang_topology_preferred": "host"}, "host"),
        ({"parallelism": "expert", "gang_topology_required": "host"}, None),
    ],
)
def test_who_sends_to_everybody_prefers_an_nvlink_domain(
    ours: dict[str, Any], preferred: str | None
) -> None:
    """Only where nothing is said of the gang's levels, and only where the fleet knows such domains."""
    fleet = [node(f"n{i}", labels={keys.NVIDIA_CLIQUE: "c.1"}) for i in range(2)]
    gang = gang_of(*members(2, **ours), fleet=fleet)
    assert (gang.blocked, gang.topology.preferred) == (None, preferred)
    gang = gang_of(*members(2, **ours))
    assert gang.blocked is None and gang.topology.preferred in (None, "host")


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
