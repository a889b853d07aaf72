"""Flavors for whole cards of any vendor: nobody needs to know the name of a vendor's resource."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler import keys
from scheduler.card_index import CardIndex
from scheduler.card_kinds import CardKind, kinds_of, on_each_kind, wanted
from scheduler.flavors import FlavorError, merged, read_flavor
from scheduler.model import Code, GangAssignment
from scheduler.rewrite import restored, write, written
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.state import ClusterState
from tests.extender.test_admission_choice import Webhook
from tests.objects import Object, node, pod
from tests.scheduler.test_variants import owned
from topology.keys import ASCEND_910, KUNLUN_XPU, NVIDIA_GPU
from topology.model import Accelerator, Flavor, Node
from topology.resources import Resources

GIB = 2**30
SPEC = json.dumps([{"name": "big", "minMemory": "64Gi", "cards": 8}])
KUNLUN: Object = {NVIDIA_GPU: "0", KUNLUN_XPU: "8"}
FLEET = (
    node("a", "ascend"),
    node("h", "h100"),
    node("k", "cpu", **KUNLUN),
    node("s", "cpu", **{NVIDIA_GPU: "8"}, labels={"nvidia.com/gpu.product": "NVIDIA-L4"}),
)
SMALLEST_FIRST = ["big/ascend-910b", "big/nvidia-h100-80gb", "big/kunlunxin-p800"]


def state_of(*objects: Object, rewrites: bool = True) -> ClusterState:
    """What a service knows of these objects."""
    state = ClusterState(rewrites=rewrites)
    for obj in objects:
        state.apply(obj["kind"], "ADDED", obj)
    return state


def neutral(index: int, name: str = "g", **of_pod: Any) -> Object:
    """One of two members whose author knows no vendor's resource."""
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}
    ours = {"gang_size": "2", "flavor_spec": SPEC, **of_pod}
    return owned(pod(f"{name}-{index}", name, spec=spec, **ours))


def planned(state: ClusterState, key: str = "default/g") -> GangAssignment:
    """The checked decision about one gang."""
    snapshot = state.snapshot()
    plan = solve(snapshot)
    assert verify(snapshot, plan) == ()
    return next(answer for answer in plan.assignments if answer.key == key)


def kind(name: str, resource: str, gib: int | None) -> CardKind:
    """A kind of cards."""
    memory = None if gib is None else gib * GIB
    return CardKind(device_class=name, resource=resource, memory_bytes=memory)


KINDS = (
    kind("y-64gb", "y.io/npu", 64),
    kind("x-80gb", "x.io/gpu", 80),
    kind("z", "z.io/gpu", None),
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cards": 8, "minMemory": "64Gi"}, {"f/y-64gb": "y.io/npu", "f/x-80gb": "x.io/gpu"}),
        ({"cards": 8, "minMemory": "65Gi"}, {"f/x-80gb": "x.io/gpu"}),
        ({"cards": 8}, {"f/y-64gb": "y.io/npu", "f/x-80gb": "x.io/gpu", "f/z": "z.io/gpu"}),
        ({"cards": 8, "deviceClass": "x-80gb"}, {"f": "x.io/gpu"}),
        ({"cards": 8, "minMemory": "200Gi"}, {"f": None}),
        ({"deviceClass": "x-80gb"}, {"f": None}),
    ],
)
def test_a_flavor_stands_for_each_class_that_would_do(
    fields: dict[str, Any], expected: dict[str, str | None]
) -> None:
    """Least memory first; unknown memory serves only who asks for none; a class that is named stays alone."""
    found = on_each_kind([read_flavor("f", fields, "spec")], KINDS)
    assert {flavor.name: flavor.card for flavor in found} == expected


def test_other_devices_are_no_cards() -> None:
    """An unknown resource that does not look like cards serves only who names its class."""
    nic = kind("example.com/dongle", "example.com/dongle", None)
    npu = kind("example.com/npu", "example.com/npu", None)
    found = on_each_kind([Flavor(name="f", cards=1)], (nic, npu))
    assert [flavor.card for flavor in found] == ["example.com/npu"]
    named = Flavor(name="f", cards=1, device_class="example.com/dongle")
    assert [flavor.card for flavor in on_each_kind([named], (nic, npu))] == ["example.com/dongle"]


def test_a_class_under_two_names_is_two_flavors() -> None:
    """Two plugins call one class by two names: a pod requests one of them."""
    twins = (kind("c", "a.io/gpu", 80), kind("c", "b.io/npu", 80))
    found = [*on_each_kind([Flavor(name="f", cards=1)], twins)]
    assert [flavor.name for flavor in found] == ["f/c/gpu", "f/c/npu"]
    assert {flavor.device_class for flavor in found} == {"c"}


def test_the_kinds_of_a_fleet() -> None:
    """In the order in which flavors try them; nodes without cards, or whose units are none, have none."""
    shared = node("t", "h100", {"nvidia.com/gpu.replicas": "4"})
    states = state_of(*FLEET, shared, node("c", "cpu")).nodes.values()
    assert [(k.device_class, k.resource) for k in kinds_of(state.node for state in states)] == [
        ("nvidia-l4", NVIDIA_GPU),
        ("ascend-910b", ASCEND_910),
        ("nvidia-h100-80gb", NVIDIA_GPU),
        ("kunlunxin-p800", KUNLUN_XPU),
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"cpu": 1000}, {ASCEND_910: 8}),
        ({NVIDIA_GPU: 4, "nvidia.com/gpumem": 100}, {ASCEND_910: 8}),
        ({"example.com/npu": 4}, {ASCEND_910: 8}),
        ({"rdma/hca": 1}, {"rdma/hca": 1, ASCEND_910: 8}),
    ],
)
def test_what_a_pod_comes_to_request(asked: dict[str, int], expected: dict[str, int]) -> None:
    """Cards of any vendor and their parts give way; network devices stay."""
    flavor = Flavor(name="f", cards=8, card=ASCEND_910)
    assert wanted(Resources(asked), flavor) == Resources(expected)


def test_the_fields_of_a_flavor() -> None:
    """Cards are counted by number or by resource; what a model lists of cards wins."""
    read = read_flavor("f", {"cards": 8, "resources": {"cpu": 4}}, "spec")
    assert (read.cards, read.resources) == (8, Resources({"cpu": 4000}))
    model = Flavor(name="f", resources=Resources({NVIDIA_GPU: 4}))
    assert merged(model, read).cards is None
    assert merged(Flavor(name="f"), read).cards == 8


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"cards": 0}, "spec.cards: 0 is not a number of cards from 1 up"),
        ({"cards": "8"}, "spec.cards: '8' is not a number of cards from 1 up"),
        (
            {"cards": 8, "resources": {NVIDIA_GPU: 8}},
            "spec.cards: 8 of any vendor, but resources name nvidia.com/gpu; say one of them",
        ),
    ],
)
def test_wrong_cards(fields: dict[str, Any], text: str) -> None:
    """Each error names the field, what was wrong and what would be right."""
    with pytest.raises(FlavorError, match=text):
        read_flavor("f", fields, "spec")


def test_cards_are_written_into_a_pod_that_names_no_vendor() -> None:
    """And are taken out again; a pod with two containers gets them in the first."""
    flavor = Flavor(name="big/ascend-910b", cards=8, card=ASCEND_910)
    before = neutral(0)
    after = write(before, flavor)
    (container,) = after["spec"]["containers"]
    assert container["resources"]["limits"] == {ASCEND_910: "8"}
    assert container["resources"]["requests"] == {"cpu": "1", ASCEND_910: "8"}
    assert written(after) == "big/ascend-910b"
    assert restored(after) == before
    assert write(before, Flavor(name="router", overlay={"image": "x"})) == before


def test_a_gang_takes_the_smallest_cards_that_would_do() -> None:
    """Its pods are made anew by their owner: the plan holds Ascend's places for them."""
    answer = planned(state_of(*FLEET, node("b", "ascend"), neutral(0), neutral(1)))
    assert (answer.flavor, answer.flavor_rank) == ("big/ascend-910b", 0)
    assert {slot.node for slot in answer.slots} == {"a", "b"}
    assert all(slot.request[ASCEND_910] == 8 for slot in answer.slots)


def test_each_class_is_tried_in_turn_and_says_why_not() -> None:
    """One member finds a node of each class; a second one only where there are two."""
    answer = planned(state_of(*FLEET, node("i", "h100"), neutral(0), neutral(1)))
    assert answer.flavor == "big/nvidia-h100-80gb"
    assert [one.flavor for one in answer.passed_over] == SMALLEST_FIRST[:1]
    waits = planned(state_of(*FLEET, neutral(0), neutral(1)))
    assert [one.flavor for one in waits.passed_over] == SMALLEST_FIRST
    assert waits.reason is not None and waits.reason.code is Code.INSUFFICIENT


def test_no_class_would_do() -> None:
    """A gang is never put on nodes without the cards that it asks for."""
    spec = json.dumps([{"name": "huge", "minMemory": "500Gi", "cards": 8}])
    pods = [neutral(index, flavor_spec=spec) for index in range(2)]
    reason = planned(state_of(*FLEET, *pods)).reason
    assert reason is not None
    assert (
        "huge is for 8 cards per pod, and no node has cards that would do (500 GiB or more)"
        in reason.message
    )


def test_without_the_webhook_the_pods_own_request_must_agree() -> None:
    """Eight cards of NVIDIA are as many as the flavor says; of four it says what would be right."""
    ours: Object = {"gang_size": "1", "flavor_spec": SPEC}
    fleet = (*FLEET, node("b", "ascend"))
    eight = planned(state_of(*fleet, pod("g", "g", **ours), rewrites=False))
    assert (eight.flavor, eight.slots[0].node) == ("big/nvidia-h100-80gb", "h")
    four = planned(state_of(*fleet, pod("g", "g", gpus=4, **ours), rewrites=False)).reason
    assert four is not None and four.code is Code.RESOURCES_DIFFER
    assert "is for pods that request 8 nvidia.com/gpu, role main requests 4" in four.message
    none = planned(state_of(*fleet, neutral(0), neutral(1), rewrites=False)).reason
    assert none is not None and none.code is Code.RESOURCES_DIFFER


def test_pods_that_nobody_has_made_yet_are_taken_to_be_written() -> None:
    """Files for ``muster plan`` need not show the webhook to ask what cards of any vendor would do."""
    new = neutral(0, gang_size="1")
    del new["metadata"]["uid"], new["metadata"]["ownerReferences"]
    found = planned(state_of(*FLEET, new, rewrites=False))
    assert (found.flavor, found.slots[0].node) == ("big/ascend-910b", "a")
    # Who names cards gets these: their number must be the flavor's.
    spec = new["spec"]["containers"][0]["resources"]
    spec["requests"] = spec["limits"] = {NVIDIA_GPU: "4"}
    reason = planned(state_of(*FLEET, new, rewrites=False)).reason
    assert reason is not None and reason.code is Code.RESOURCES_DIFFER


def test_a_new_class_of_nodes_is_a_new_flavor() -> None:
    """Gangs are read again when the fleet's kinds of cards change, and only then."""
    state = state_of(*FLEET[1:], neutral(0), neutral(1))

    def names() -> list[str]:
        gang = state.gang("default/g")
        assert gang is not None
        return [flavor.name for flavor in gang.flavors]

    assert names() == SMALLEST_FIRST[1:]
    state.apply("Node", "ADDED", FLEET[0])
    assert names() == SMALLEST_FIRST
    state.apply("Node", "DELETED", FLEET[2])
    assert names() == SMALLEST_FIRST[:2]


def created(webhook: Webhook, pods: Iterable[Object]) -> list[Object]:
    """The pods as the API server would store them, one after the other."""

    async def scenario() -> list[Object]:
        return [await webhook.create(obj) for obj in pods]

    return asyncio.run(asyncio.wait_for(scenario(), 20))


def test_the_webhook_writes_the_cards_of_the_class_that_has_room() -> None:
    """Both members get Ascend's while two nodes are free, and NVIDIA's when they are taken."""
    nodes = (*FLEET, node("b", "ascend"), node("i", "h100"))
    for busy, resource in ((), ASCEND_910), (("a", "b"), NVIDIA_GPU):
        others = [
            pod(f"busy-{name}", node=name, spec=_requests({ASCEND_910: "8"})) for name in busy
        ]
        first, second = created(Webhook(*nodes, *others), [neutral(0), neutral(1)])
        for stored in (first, second):
            amounts = stored["spec"]["containers"][0]["resources"]["limits"]
            assert amounts[resource] == "8"
            assert set(amounts) == {resource, *keys.SYNTHETIC_RESOURCES}


def test_a_helper_of_the_gang_gets_no_cards() -> None:
    """A router without flavors of its own is no engine, although the gang has a flavor for cards."""
    spec = {"containers": [{"name": "r", "resources": {"requests": {"cpu": "1"}}}]}
    router = owned(pod("g-router", "g", spec=spec, role="router", roles="main=2,router=1"))
    engines = [neutral(index, roles="main=2,router=1", gang_size="3") for index in range(2)]
    webhook = Webhook(*FLEET, node("b", "ascend"))
    stored = created(webhook, [*engines, router])
    assert [written(obj) for obj in stored[:2]] == ["big/ascend-910b"] * 2
    answer = planned(state_of(*FLEET, node("b", "ascend"), *engines, router))
    assert answer.flavor == "big/ascend-910b"
    requests = {slot.role: slot.request[ASCEND_910] for slot in answer.slots}
    assert requests == {"main": 8, "router": 0}


def _requests(amounts: Object) -> Object:
    return {"containers": [{"name": "c", "resources": {"requests": amounts}}]}


CARDS = st.none() | st.builds(
    lambda kind, memory: Accelerator(
        device_class=kind, vendor="v", resource=f"{kind}/r", count=8, memory_bytes=memory
    ),
    st.sampled_from("ab"),
    st.sampled_from([None, 1, 2]),
)


@given(steps=st.lists(st.tuples(st.sampled_from("xyz"), CARDS | st.just("gone")), max_size=12))
def test_the_kinds_are_kept_while_nodes_change(steps: list[tuple[str, Any]]) -> None:
    """Nodes that come, go and change their cards: the kinds are those of the nodes that are there."""
    index = CardIndex()
    nodes: dict[str, Node] = {}
    for name, card in steps:
        nodes.pop(name, None)
        if card == "gone":
            index.take(name, None)
        else:
            nodes[name] = Node(name=name, accelerator=card)
            index.take(name, nodes[name])
        assert index.kinds == kinds_of(nodes.values())
