"""llmaz: which model a gang serves, its flavors in order, and what the baseline of llmaz gets wrong (C1-C8).

The numbers C1-C8 are counter-examples in which llmaz's own scheduler plugin fails by construction. C3
(another number of cards per flavor) and C4 (another vendor) need pods that are written anew:
``test_variants``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.model import Code, Gang
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.state import ClusterState
from tests.objects import Object, flavor, node, pod
from tests.workloads.groups import (
    apply,
    cluster,
    gang_of,
    lws,
    model,
    playground,
    pods_of,
    reference,
    service,
    template,
)
from topology import keys
from topology.resources import Resources

CARD = "example.com/card"
"""Label of a node: the kind of its cards."""


def selected(name: str, gpus: Any = 1, **more: Any) -> Object:
    """A flavor of an OpenModel for the nodes that are labelled with its name."""
    return {"name": name, "limits": {keys.NVIDIA_GPU: gpus}, "nodeSelector": {CARD: name}, **more}


def fleet(**free: int) -> list[Object]:
    """Nodes ``a10_0=8``: of kind ``a10``, with so many cards free (the others are none)."""
    return [
        node(name, "a100", {CARD: name.partition("_")[0]}, **{keys.NVIDIA_GPU: str(cards)})
        for name, cards in free.items()
    ]


LLAMA = model("llama", selected("a10"), selected("a100"), selected("l4"))
FLEET = fleet(a10_0=8, a100_0=8, l4_0=8)
SERVES = {"labels": {keys.LLMAZ_MODEL: "llama"}}


def served(name: str = "p", claim: str | None = None, **more: Any) -> Object:
    """A pod that serves the model ``llama``, with the flavors of a claim."""
    one = pod(name, labels=SERVES["labels"], **{"gpus": 1, **more})
    if claim is not None:
        one["metadata"]["annotations"][keys.LLMAZ_FLAVORS] = claim
    return one


def names(gang: Gang) -> list[str]:
    """The gang's flavors, best first."""
    return [one.name for one in gang.flavors]


def chosen(state: ClusterState) -> dict[str, tuple[str | None, set[str]]]:
    """Gang -> its flavor and nodes, by a plan that the checker accepts."""
    snapshot = state.snapshot()
    plan = solve(snapshot, Policy())
    assert verify(snapshot, plan) == ()
    return {one.gang: (one.flavor, {slot.node for slot in one.slots}) for one in plan.assignments}


# -- the claim ---------------------------------------------------------------------------------------


def test_a_model_gives_its_flavors_in_order() -> None:
    """A pod with the label of a model is a gang of one with the model's flavors, best first."""
    gang = gang_of(cluster(FLEET, LLAMA, served()), "p")
    assert names(gang) == ["a10", "a100", "l4"]
    best = gang.flavors[0]
    assert (best.node_selector, best.resources) == ({CARD: "a10"}, Resources({keys.NVIDIA_GPU: 1}))
    assert (gang.blocked, gang.notes) == (None, ())


@pytest.mark.parametrize("claim", ["l4,a10", " l4 , a10,", "l4,a10,l4"])
def test_a_claim_gives_its_own_order(claim: str) -> None:
    """The annotation is a subset in its own order; blanks and repetitions mean nothing."""
    assert names(gang_of(cluster(LLAMA, served(claim=claim)), "p")) == ["l4", "a10"]


def test_users_name_flavors_themselves() -> None:
    """An annotation of ours wins; it may name the model's flavors, Flavor objects and its own."""
    own = served(claim="a10", flavors="mine,l4,cloud", flavor_spec="[{name: mine}]")
    gang = gang_of(cluster(LLAMA, flavor("cloud", costPerHour="2"), own), "p")
    assert names(gang) == ["mine", "l4", "cloud"]
    assert gang.flavors[1].node_selector == {CARD: "l4"}
    spec_only = served("q", claim="a10", flavor_spec="[{name: mine}]")
    assert names(gang_of(cluster(LLAMA, spec_only), "q")) == ["mine"]


def test_a_flavor_object_of_the_same_name_adds_what_the_model_lacks() -> None:
    """OpenModel knows no device class and no cost; its selector and resources win."""
    known = flavor("a10", deviceClass="nvidia-a10-24gb", nodeSelector={CARD: "x", "pool": "y"})
    best = gang_of(cluster(LLAMA, known, served()), "p").flavors[0]
    assert best.device_class == "nvidia-a10-24gb"
    assert best.node_selector == {CARD: "a10", "pool": "y"}


CHAINS: list[tuple[str, list[Object], Object]] = [
    # what lies between, and the LeaderWorkerSet below it; the pods carry no key of llmaz
    (
        "the template of the set",
        [],
        lws("chat", size=2, leader=template(1, metadata=SERVES), worker=template(1)),
    ),
    ("a Service", [service()], lws("chat", size=2, worker=template(1), owner=service())),
    (
        "a Playground above the Service",
        [playground(), {**service(owner=playground()), "spec": {}}],
        lws("chat", size=2, worker=template(1), owner=service()),
    ),
    (
        "several models, of which the main one counts",
        [service(modelClaims={"models": [{"name": "x", "role": "draft"}, {"name": "llama"}]})],
        lws("chat", size=2, worker=template(1), owner=service()),
    ),
]


@pytest.mark.parametrize(
    ("above", "group"), [case[1:] for case in CHAINS], ids=[case[0] for case in CHAINS]
)
def test_owners_tell_the_model(above: list[Object], group: Object) -> None:
    """What no pod carries is looked up along Pod, StatefulSet, LeaderWorkerSet, Service, Playground."""
    pods = pods_of(group)
    for one in pods:
        one["metadata"]["labels"].pop(keys.LLMAZ_MODEL, None)
    assert names(gang_of(cluster(LLAMA, above, group, pods), "chat-0")) == ["a10", "a100", "l4"]


def test_owners_tell_the_order() -> None:
    """A claim on the Playground orders the flavors; its annotations reach the gang as well."""
    above = playground(modelClaim={"modelName": "llama", "inferenceFlavors": ["l4", "a10"]})
    above["metadata"]["annotations"] = {"muster.dev/spread": "host"}
    below = {**service(owner=above), "spec": {}}
    group = lws("chat", size=1, worker=template(1), owner=below)
    gang = gang_of(cluster(LLAMA, above, below, group, pods_of(group)), "chat-0")
    assert (names(gang), gang.spread) == (["l4", "a10"], "host")


def test_a_leader_tells_the_model_of_its_workers() -> None:
    """With a leader template only the leader carries llmaz's keys: the gang has one flavor for all."""
    group = lws("chat", size=2, leader=template(1, metadata=SERVES), worker=template(1))
    gang = gang_of(cluster(LLAMA, group, pods_of(group)), "chat-0")
    assert names(gang) == ["a10", "a100", "l4"]
    assert [p.follows_flavors for p in gang.podsets] == [True, True]


def test_a_leader_without_cards_is_free_of_the_flavors() -> None:
    """A head that uses no cards may stand anywhere; when nobody has cards all follow the flavors."""
    group = lws("chat", size=2, leader=template(0, metadata=SERVES), worker=template(1))
    gang = gang_of(cluster(LLAMA, group, pods_of(group)), "chat-0")
    assert {p.role: p.follows_flavors for p in gang.podsets} == {"leader": False, "worker": True}
    group = lws("chat", size=2, worker=template(0, metadata=SERVES))
    gang = gang_of(cluster(LLAMA, group, pods_of(group)), "chat-0")
    assert [p.follows_flavors for p in gang.podsets] == [True, True]


# -- counter-examples --------------------------------------------------------------------------------


def late_group(name: str = "chat", replicas: int = 1, gpus: int = 8, **more: Any) -> Object:
    """A set of groups of two as llmaz renders a Service with a leader template: LeaderReady."""
    return lws(
        name,
        size=2,
        replicas=replicas,
        startup="LeaderReady",
        leader=template(gpus, metadata={**SERVES, **more}),
        worker=template(gpus),
    )


def test_c1_a_group_never_mixes_flavors() -> None:
    """The worker carries no key of llmaz, yet it may not stand on another flavor than its leader."""
    group = late_group()
    claim = model("llama", selected("a100", 8))
    nodes = fleet(a100_0=8, l4_0=8, a100_1=8)
    busy = pod("busy", node="a100_1", gpus=8)
    state = cluster(nodes, claim, busy, group, pods_of(group)[:1])
    assert chosen(state) == {"chat-0": (None, set())}
    apply(state, busy, "DELETED")
    assert chosen(state) == {"chat-0": ("a100", {"a100_0", "a100_1"})}


def test_c2_no_group_starts_in_part() -> None:
    """Room for two pods, two leaders: one group is complete, the other waits."""
    group = late_group(replicas=2)
    claim = model("llama", selected("a100", 8))
    leaders = [pods_of(group, index)[0] for index in range(2)]
    found = chosen(cluster(fleet(a100_0=8, a100_1=8), claim, group, leaders))
    assert found == {"chat-0": ("a100", {"a100_0", "a100_1"}), "chat-1": (None, set())}


def test_c5_the_order_is_strict() -> None:
    """Six replicas of one card on three empty nodes of eight: all on the first flavor."""
    group = lws("chat", size=1, replicas=6, worker=template(1, metadata=SERVES))
    replicas = [pods_of(group, index)[0] for index in range(6)]
    found = chosen(cluster(FLEET, LLAMA, group, replicas))
    assert found == {f"chat-{index}": ("a10", {"a10_0"}) for index in range(6)}


def test_c5_the_next_flavor_takes_what_the_first_cannot() -> None:
    """Six replicas, three cards of the first flavor, two of the second: 3, 2 and 1."""
    group = lws("chat", size=1, replicas=6, worker=template(1, metadata=SERVES))
    replicas = [pods_of(group, index)[0] for index in range(6)]
    found = chosen(cluster(fleet(a10_0=3, a100_0=2, l4_0=8), LLAMA, group, replicas))
    assert sorted(str(one) for one, _ in found.values()) == ["a10"] * 3 + ["a100"] * 2 + ["l4"]


def test_c6_an_empty_selector_keeps_its_place_in_the_order() -> None:
    """Any node is the last resort, not the end of all order."""
    claim = model("llama", selected("a100"), {"name": "any", "limits": {keys.NVIDIA_GPU: 1}})
    state = cluster(fleet(l4_0=8, a100_0=1), claim, served())
    assert chosen(state) == {"p": ("a100", {"a100_0"})}
    apply(state, pod("busy", node="a100_0", gpus=1))
    assert chosen(state) == {"p": ("any", {"l4_0"})}


def test_c7_late_workers_have_places() -> None:
    """A group whose leader is bound keeps the places of its workers against all that arrive meanwhile."""
    group = late_group()
    claim = model("llama", selected("a100", 8))
    leader, worker = pods_of(group)
    state = cluster(fleet(a100_0=8, a100_1=8), claim, group, leader)
    [planned] = solve(state.snapshot(), Policy()).assignments
    places = {slot.pod: slot for slot in planned.slots}
    assert (places["chat-0-1"].uid, places["chat-0-1"].late) == ("", True)
    leader["spec"]["nodeName"] = places["chat-0"].node
    apply(state, leader)
    apply(state, pod("rival", "rival", gpus=8))
    held = replace(planned, slots=(places["chat-0-1"],))
    snapshot = state.snapshot([held])
    answers = {one.gang: one for one in solve(snapshot, Policy()).assignments}
    assert answers["rival"].slots == ()
    apply(state, worker)
    gang = gang_of(state, "chat-0")
    assert [(m.pod, m.uid, m.late) for m in gang.podsets[1].members] == [
        ("chat-0-1", "uid-chat-0-1-a", False)
    ]


def test_c8_a_claim_of_a_flavor_that_is_gone_is_told() -> None:
    """One sentence with flavor, model and what it knows, at the object that claims it; no error loop."""
    state = cluster(LLAMA, served(claim="t4,a10"))
    blocked = gang_of(state, "p").blocked
    assert blocked is not None and blocked.code is Code.INVALID_REQUEST
    assert blocked.message == (
        "Pod default/p: llmaz.io/inference-service-flavors: flavor 't4' is not in OpenModel llama; "
        "known: a10, a100, l4"
    )
    above = service()
    above["spec"]["modelClaims"]["inferenceFlavors"] = ["h800"]
    group = lws("chat", size=1, worker=template(1))
    group["metadata"]["ownerReferences"] = [reference(above)]
    blocked = gang_of(cluster(LLAMA, above, group, pods_of(group)), "chat-0").blocked
    assert blocked is not None
    assert blocked.message == (
        "Service default/chat: spec.modelClaims.inferenceFlavors: flavor 'h800' is not in OpenModel "
        "llama; known: a10, a100, l4"
    )


def test_a_gang_that_runs_is_not_stopped_by_its_model() -> None:
    """When the model is deleted or changed, members that run serve on."""
    running = served(node="a10_0", claim="t4")
    assert gang_of(cluster(FLEET, running), "p").blocked is None
    assert gang_of(cluster(FLEET, LLAMA, running), "p").blocked is None
