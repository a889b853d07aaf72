"""Advice for waiting gangs: with exactly so many more nodes they start, with one fewer they wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.advice import ScaleOut, advice_documents, lines, read_advice
from scheduler.model import (
    Code,
    Constraints,
    Gang,
    PodTerm,
    Reason,
    Requirement,
    Toleration,
    Variant,
)
from scheduler.scale_out import Advisor, scale_out, wanted
from scheduler.snapshot import NodeState, Snapshot
from scheduler.solve import solve
from tests.builders import Fleet, flavor, fleet, gang, podset, snapshot
from tests.solve.instances import KINDS, POLICY, thrown
from topology import keys
from topology.tree import TopologyTree

EXAMPLES = 60


def advised(drawn: Fleet, *gangs: Gang, of: str = "g") -> tuple[ScaleOut, ...]:
    """The advice for gang ``of`` after all gangs were planned; none when it does not wait."""
    picture = snapshot(drawn, *gangs)
    return scale_out(picture, solve(picture)).get(f"default/{of}", ())


def said(drawn: Fleet, *gangs: Gang, of: str = "g") -> list[str]:
    """The lines of the advice."""
    return [*lines(advised(drawn, *gangs, of=of))]


def grown(before: Snapshot, advice: ScaleOut, left_out: str | None = None) -> Snapshot:
    """The fleet with the nodes of the advice; without one of those in domain ``left_out`` if given."""
    where = dict(advice.domains) or {"": advice.nodes or 0}
    if left_out is not None:
        where[left_out] -= 1
    new = [
        copied(model_for(before, advice, domain), f"new-{domain}-{number}")
        for domain, count in where.items()
        for number in range(count)
    ]
    states = {state.node.name: state for state in (*before.nodes, *new)}
    tree = TopologyTree.build((state.node for state in states.values()), before.levels)
    return replace(before, tree=tree, nodes=tuple(states[name] for name in tree.nodes))


def model_for(before: Snapshot, advice: ScaleOut, domain: str) -> NodeState:
    """A node of the domain (any, without a domain) that is of one kind with ``advice.like``."""
    states = {state.node.name: state for state in before.nodes}
    like = states[advice.like].node
    index = {name: at for at, name in enumerate(before.tree.nodes)}
    return next(
        states[name]
        for name in (advice.like, *states)
        if not domain or before.tree.domain(advice.level, index[name]).name == domain
        if (states[name].node.accelerator, states[name].node.allocatable)
        == (like.accelerator, like.allocatable)
    )


def copied(model: NodeState, name: str) -> NodeState:
    """A new node like ``model``: healthy and empty."""
    labels = {**model.node.labels, keys.HOSTNAME: name}
    node = replace(model.node, name=name, labels=labels, unschedulable=False)
    return NodeState(node=node, free=node.allocatable)


def placed(picture: Snapshot) -> bool:
    """Whether the only gang that is to be planned is placed."""
    answers = [one for one in solve(picture, POLICY).assignments if one.gang == "g"]
    return answers[0].placed


@pytest.mark.parametrize(
    ("drawing", "wish", "expected"),
    [
        (
            "r(n1 n2 n3)",
            gang("g", members=4, gpus=8, flavors=["h100"]),
            ["h100: 1 more node like n1 would do"],
        ),
        (
            "r(n1 n2[8-4] n3[8-8])",
            gang("g", members=5, gpus=4, flavors=["h100"]),
            ["h100: 1 more node like n1 would do"],
        ),
        (
            "r(n1[4] n2[8-8] n3[8-8] n4[4] n5[4])",
            gang("g", members=3, gpus=8, flavors=["h100"]),
            ["h100: 3 more nodes like n2 would do"],
        ),
        (
            "r(n1[8]!cordoned n2[8]!notready)",
            gang("g", members=2, gpus=8, flavors=["h100"]),
            ["h100: 2 more nodes like n1 would do"],
        ),
        (
            "r(n1[8-8] n2@a100)",
            gang("g", podset("main", 6, gpus=8, least=3), least=3, flavors=["h100", "a100"]),
            ["h100: 3 more nodes like n1 would do", "a100: 2 more nodes like n2 would do"],
        ),
        (
            "r(n1[8-8] n2[4-4])",
            gang("g", podset("lead", gpus=1), podset("work", 2, gpus=8)),
            ["3 more nodes like n1 would do"],
        ),
        (
            "r(n1[8-8])",
            gang("g", podset("lead", gpus=4), podset("work", 3, gpus=4)),
            ["2 more nodes like n1 would do"],
        ),
    ],
    ids=["one", "halves", "too-small", "unhealthy", "elastic", "roles", "shared"],
)
def test_the_fewest_nodes(drawing: str, wish: Gang, expected: list[str]) -> None:
    """Counted over what is free already, for each flavor by itself, with nodes that can take a member."""
    assert said(fleet(drawing), wish) == expected


def test_a_gang_that_fits_gets_none() -> None:
    """Nor does one that waits for something else than room: wrong requests, members that do not exist."""
    wrong = Reason(code=Code.INVALID_REQUEST, message="wrong")
    few = podset("main", 3, gpus=8, members=podset("main", 1).members)
    assert said(fleet("r(n1 n2)"), gang("g", members=2, gpus=8)) == []
    assert said(fleet("r(n1)"), replace(gang("g", members=2, gpus=8), blocked=wrong)) == []
    assert said(fleet("r(n1[8-8])"), gang("g", few)) == []


def test_the_room_of_gangs_that_are_placed_is_gone() -> None:
    """Two gangs for one node: the advice for the one that yielded counts with the other in its place."""
    older, younger = gang("a", gpus=8, created=1), gang("g", gpus=8, created=2)
    assert said(fleet("r(n1)"), older, younger, of="a") == []
    assert said(fleet("r(n1)"), older, younger) == ["1 more node like n1 would do"]


def test_what_a_new_node_is() -> None:
    """The advice names what an autoscaler needs: labels, resources, the number, and what it costs."""
    h100 = flavor("h100", cost_per_hour="12.50")
    [advice] = advised(fleet("r(n1 n2[8-8])"), gang("g", members=3, gpus=8, flavors=[h100]))
    document = {
        "flavor": "h100",
        "nodes": 2,
        "costPerHour": "25",
        "cheapest": True,
        "like": "n1",
        "nodeSelector": {"type": "h100"},
        "resources": {"cpu": "64000m", "nvidia.com/gpu": "8", "pods": "110"},
        "message": "2 more nodes like n1 would do, for 25 per hour",
    }
    assert advice_documents([advice]) == [document]
    assert read_advice([document]) == (advice,)


def test_the_cheapest_is_marked() -> None:
    """By the price of all nodes together; spot nodes are a flavor like others, one without a price is not
    compared."""
    drawn = fleet("r(n1[8-8]@h100 n2[8-8]@a100 n3[8-8]@l4)")
    flavors = [
        flavor("h100", cost_per_hour="30"),
        flavor("spot", node_selector={"type": "a100"}, cost_per_hour="10.5"),
        flavor("l4"),
    ]
    advice = advised(drawn, gang("g", members=2, gpus=8, flavors=flavors))
    assert [(one.flavor, one.cost_per_hour, one.cheapest) for one in advice] == [
        ("h100", "60", False),
        ("spot", "21", True),
        ("l4", None, False),
    ]


@pytest.mark.parametrize(
    ("drawing", "wish", "expected", "domains", "labels"),
    [
        (
            "a(r1(n1[8-8] n2[8-8])) b(r2(n3 n4) r3(n5))",
            gang("g", members=4, gpus=8, required="rack"),
            "2 more nodes like n3 would do in rack b/r2",
            {"b/r2": 2},
            {"block": "b", "rack": "r2"},
        ),
        (
            "a(r1(n1[8-8] n2[8-8])) b(r2(n3 n4) r3(n5))",
            gang("g", members=4, gpus=8, required="block"),
            "1 more node like n3 would do in block b",
            {"b": 1},
            {"block": "b"},
        ),
        (
            "a(r1(n1 n2) r2(n3 n4))",
            gang("g", members=5, gpus=8, preferred="rack"),
            "1 more node like n1 would do",
            {},
            {},
        ),
        (
            "a(r1(n1 n2 n3) r2(n4 n5 n6) r3(n7[8-8]))",
            gang("g", members=8, gpus=8, slices="rack:4"),
            "2 more nodes like n1 would do (1 in rack a/r1, 1 in rack a/r2)",
            {"a/r1": 1, "a/r2": 1},
            {},
        ),
        (
            "a(r1(n1 n2 n3) r2(n4 n5[8-8]))",
            gang("g", members=4, gpus=8, running=["n4"], required="rack"),
            "3 more nodes like n4 would do in rack a/r2",
            {"a/r2": 3},
            {"block": "a", "rack": "r2"},
        ),
    ],
    ids=["rack", "block", "preferred", "slices", "running"],
)
def test_where_new_nodes_stand(
    drawing: str, wish: Gang, expected: str, domains: dict[str, int], labels: dict[str, str]
) -> None:
    """A required level: where fewest are missing. Slices: what each domain lacks. Else anywhere."""
    [advice] = advised(fleet(drawing), wish)
    assert (advice.message, dict(advice.domains)) == (expected, domains)
    assert advice.node_selector == labels


@pytest.mark.parametrize(
    ("drawing", "wish", "expected"),
    [
        (
            "r(n1)",
            gang("g", gpus=16, flavors=["h100"]),
            "a member needs 16 nvidia.com/gpu, such a node has 8 nvidia.com/gpu",
        ),
        (
            "r(n1!tainted)",
            gang("g", gpus=8, flavors=["h100"]),
            "its pods do not tolerate the taint dedicated=other:NoSchedule",
        ),
        (
            "r(n1)",
            gang(
                "g",
                gpus=8,
                flavors=["h100"],
                constraints=Constraints(node_selector={"disk": "ssd"}),
            ),
            "the pods' node selector excludes it",
        ),
        (
            "?(n1[8-8])",
            gang("g", gpus=8, flavors=["h100"], required="rack"),
            "the gang requires a rack, and that of such a node is not known",
        ),
        (
            "r(n1)",
            gang("g", members=4, gpus=4, flavors=["h100"], slices="host:4"),
            "they break a slice, or a rule about cards or other pods",
        ),
    ],
    ids=["too-small", "tainted", "selector", "level", "slice"],
)
def test_no_number_of_nodes(drawing: str, wish: Gang, expected: str) -> None:
    """Where more of the same would not help, the advice says what is in the way and gives no number."""
    [advice] = advised(fleet(drawing), wish)
    assert advice.nodes is None
    assert advice.message == f"no number of nodes like n1 would do: {expected}"


def test_a_taint_that_is_tolerated_is_no_obstacle() -> None:
    """New nodes have the taints of those that serve the flavor, but not that of a node that is not ready."""
    tolerant = Constraints(tolerations=(Toleration(key="dedicated", operator="Exists"),))
    wish = gang("g", members=2, gpus=8, flavors=["h100"], constraints=tolerant)
    assert said(fleet("r(n1!tainted)"), wish) == ["h100: 1 more node like n1 would do"]


def test_a_flavor_without_nodes() -> None:
    """The upper bound, one node for each member that must run, and what such a node must offer."""
    spot = flavor("spot", device_class="nvidia-h200", cost_per_hour="4")
    few = podset("main", 5, gpus=8, least=3)
    [advice] = advised(fleet("r(n1@l4)"), gang("g", few, required="rack", flavors=[spot]))
    assert advice.message == (
        "the cluster has no node of this flavor to count with; at most 3 more nodes of nvidia-h200 "
        "would do, one for each member with 8 nvidia.com/gpu free, all in one rack, for 12 per hour"
    )
    assert (advice.nodes, advice.at_most, advice.cost_per_hour) == (3, True, "12")
    assert (advice.node_selector, advice.resources["nvidia.com/gpu"]) == ({"type": "spot"}, 8)


def test_flavors_that_nodes_cannot_help_are_left_out() -> None:
    """Other resources than the pods request, and running members elsewhere: ``passedOver`` says why."""
    wish = gang(
        "g",
        podset("main", 3, gpus=8, running=["n1"]),
        flavors=["a100", flavor("half", node_selector={"type": "h100"}, members=6), "h100"],
    )
    drawn = fleet("r(n1@h100 n2[8-8]@a100 n3@h100)")
    assert said(drawn, wish) == ["h100: 1 more node like n1 would do"]


def test_a_variant_is_counted_with_its_own_pods() -> None:
    """On a flavor that needs other pods the advice is for those; a refused variant has none."""
    drawn = fleet("r(n1[8-8]@h100 n2[8-8]@ascend n3[8-8]@a100)")
    other = podset("main", 4, gpus=4, resource=keys.ASCEND_910)
    no = Reason(code=Code.CANNOT_REWRITE, message="bare pods")
    wish = replace(
        gang("g", members=2, gpus=8, flavors=["h100", "ascend", "a100"]),
        variants=(
            Variant(flavor="ascend", podsets=(other,), min_members=4),
            Variant(flavor="a100", refusal=no),
        ),
    )
    assert said(drawn, wish) == [
        "h100: 2 more nodes like n1 would do",
        "ascend: 2 more nodes like n2 would do",
    ]


def test_a_zone_of_its_own() -> None:
    """Members that keep apart by zone need nodes in zones that have none of them yet."""
    apart = PodTerm(
        topology_key="zone",
        selector=(Requirement(key="app", operator="In", values=("g",)),),
        namespaces=("default",),
    )
    drawn = fleet("z1(n1) z2(n2[8-8]) z3(n3[8-8])", levels="zone")
    wish = gang(
        "g",
        members=3,
        gpus=8,
        labels={"app": "g"},
        constraints=Constraints(anti_affinity=(apart,)),
    )
    [advice] = advised(drawn, wish)
    assert advice.nodes == 2


def test_replicas_of_one_workload_are_worked_out_once() -> None:
    """Gangs that differ in names and times only share one answer; those that differ in size do not."""
    drawn = snapshot(fleet("r(n1[8-8])"))
    advisor = Advisor(drawn)
    one, two = (gang(name, members=2, gpus=8) for name in ("chat-0", "chat-1"))
    assert advisor.advise(one) is advisor.advise(two)
    assert advisor.advise(one) != advisor.advise(gang("chat-2", members=3, gpus=8))


@st.composite
def waiting(draw: st.DrawFn) -> Snapshot:
    """A small random cluster with one gang, whatever it asks for."""
    dice = draw(st.randoms(use_true_random=False))
    drawn = thrown(dice, draw(st.sampled_from(KINDS)))
    held = {one.key for one in drawn.reservations}
    gangs = [one for one in drawn.gangs if one.key in held]
    return replace(drawn, gangs=(replace(drawn.gangs[0], name="g"), *gangs))


def exact(picture: Snapshot) -> Iterator[tuple[Snapshot, ScaleOut]]:
    """Each advice that gives an exact number, with the gang on that flavor alone."""
    mine = next(one for one in picture.gangs if one.name == "g")
    others = tuple(one for one in picture.gangs if one.name != "g")
    for advice in Advisor(picture, POLICY).advise(mine):
        if advice.nodes is not None and not advice.at_most:
            only = tuple(one for one in mine.flavors if one.name == advice.flavor)
            variants = tuple(one for one in mine.variants if one.flavor == advice.flavor)
            alone = replace(mine, flavors=only, variants=variants)
            yield replace(picture, gangs=(alone, *others)), advice


@given(waiting())
@settings(max_examples=EXAMPLES)
def test_exactly_so_many(picture: Snapshot) -> None:
    """With the nodes of the advice the gang is placed on that flavor; without any one of them it waits."""
    for before, advice in exact(picture):
        assert not placed(before)
        assert placed(grown(before, advice))
        for domain in advice.domains or ("",):
            assert not placed(grown(before, advice, domain))


@given(waiting())
@settings(max_examples=EXAMPLES)
def test_every_flavor_that_waits_for_room_is_answered(picture: Snapshot) -> None:
    """A gang that waits for room gets advice; one that is placed gets none."""
    mine = solve(picture, POLICY).assignments
    answer = next(one for one in mine if one.gang == "g")
    advice = scale_out(picture, solve(picture, POLICY), POLICY).get("default/g", ())
    assert bool(advice) <= wanted(answer)
    assert {one.flavor for one in advice} <= {None, *(one.flavor for one in answer.passed_over)}
