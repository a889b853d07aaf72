"""What holds for every plan, whatever the cluster and the gangs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.model import Gang, GangAssignment, SolverStatus
from scheduler.snapshot import NodeState, Snapshot
from scheduler.snapshot_json import dump, load
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import Fleet, fleet
from tests.solve.instances import KINDS, POLICY, thrown
from topology import keys
from topology.tree import TopologyTree

EVERYDAY, SLOW = 60, 1500


@st.composite
def instances(draw: st.DrawFn, *, alone: bool = False) -> Snapshot:
    """Random small instances; ``alone``: with one gang and no reservation."""
    dice = draw(st.randoms(use_true_random=False))
    snapshot = thrown(dice, draw(st.sampled_from(KINDS)))
    if alone:  # the first gang: it is the one that may have running members
        return replace(snapshot, gangs=snapshot.gangs[:1], reservations=())
    return snapshot


def rebuilt(snapshot: Snapshot, states: list[NodeState]) -> Snapshot:
    """The snapshot with other nodes, in whatever order they come."""
    tree = TopologyTree.build((state.node for state in states), snapshot.levels)
    by_name = {state.node.name: state for state in states}
    return replace(snapshot, tree=tree, nodes=tuple(by_name[name] for name in tree.nodes))


def renamed(snapshot: Snapshot, names: dict[str, str]) -> Snapshot:
    """The same cluster with other node names, everywhere that they occur."""

    def node(state: NodeState) -> NodeState:
        name = names[state.node.name]
        labels = {**state.node.labels, keys.HOSTNAME: name}
        return replace(state, node=replace(state.node, name=name, labels=labels))

    def gang(one: Gang) -> Gang:
        sets = tuple(
            replace(
                each,
                members=tuple(
                    replace(member, node=names.get(member.node or "")) for member in each.members
                ),
            )
            for each in one.podsets
        )
        return replace(
            one, podsets=sets, excluded_nodes=tuple(names[n] for n in one.excluded_nodes)
        )

    def held(one: GangAssignment) -> GangAssignment:
        return replace(one, slots=tuple(replace(s, node=names[s.node]) for s in one.slots))

    changed = replace(
        snapshot,
        gangs=tuple(gang(one) for one in snapshot.gangs),
        reservations=tuple(held(one) for one in snapshot.reservations),
    )
    return rebuilt(changed, [node(state) for state in snapshot.nodes])


def with_a_free_node(snapshot: Snapshot, dice: Random) -> Snapshot:
    """One more node, idle, in a rack that exists or in a new one."""
    model = dice.choice(snapshot.nodes)
    drawn: Fleet = fleet(f"n99[8]@{model.node.labels['type']}")
    path = model.node.path if dice.random() < 0.7 else ()
    state = drawn.states[0]
    return rebuilt(snapshot, [*snapshot.nodes, replace(state, node=replace(state.node, path=path))])


def plans_verify(snapshot: Snapshot) -> None:
    """The independent checker finds nothing, and small instances are solved to the end."""
    plan = solve(snapshot, POLICY)
    assert verify(snapshot, plan, POLICY) == ()
    assert plan.status is SolverStatus.OPTIMAL


def names_and_order_do_not_matter(snapshot: Snapshot, dice: Random) -> None:
    """Node names and input order change neither the objective nor who is placed with what flavor."""
    names = [state.node.name for state in snapshot.nodes]
    shuffled = dice.sample(names, len(names))
    other = renamed(snapshot, dict(zip(names, shuffled, strict=True)))
    mixed = rebuilt(snapshot, dice.sample(snapshot.nodes, len(snapshot.nodes)))
    plan = solve(snapshot, POLICY)
    assert solve(other, POLICY).objective == plan.objective
    assert solve(mixed, POLICY) == plan


def a_free_node_never_hurts(snapshot: Snapshot, dice: Random) -> None:
    """The objective with one more idle node is at most the one before."""
    more = with_a_free_node(snapshot, dice)
    before, after = solve(snapshot, POLICY), solve(more, POLICY)
    assert len(before.objective) == len(after.objective)
    assert after.objective <= before.objective


def a_lone_gang_stays_placed(snapshot: Snapshot, dice: Random) -> None:
    """A gang that is alone and placed is placed with one more idle node as well."""
    if solve(snapshot, POLICY).assignments[0].placed:
        assert solve(with_a_free_node(snapshot, dice), POLICY).assignments[0].placed


def replay_is_exact(snapshot: Snapshot) -> None:
    """The same input gives the same plan, also when it went through JSON."""
    plan = solve(snapshot, POLICY)
    assert solve(snapshot, POLICY) == plan
    again, policy = load(json.loads(json.dumps(dump(snapshot, POLICY))))
    assert again == replace(snapshot, generation=0) and policy == POLICY
    assert solve(again, policy) == plan


def ranks_follow_the_tree(snapshot: Snapshot) -> None:
    """Adjacent ranks of a gang of one role stand near each other: in rank order is tree order. (Chains
    of several roles, and beside members that run: ``scheduler/test_ranks.py``.)"""
    index = {name: at for at, name in enumerate(snapshot.tree.nodes)}
    held = {one.key for one in snapshot.reservations}
    others = {
        gang.key
        for gang in snapshot.gangs
        if len(gang.podsets) > 1 or any(each.slices or each.running for each in gang.podsets)
    }
    for answer in solve(snapshot, POLICY).assignments:
        for role in {slot.role for slot in answer.slots} if answer.key not in held | others else ():
            slots = sorted((s for s in answer.slots if s.role == role), key=lambda slot: slot.rank)
            places = [index[slot.node] for slot in slots]
            assert places == sorted(places)


DICE = st.randoms(use_true_random=False)
PROPERTIES: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "plans verify": (plans_verify, (instances(),)),
    "ranks follow the tree": (ranks_follow_the_tree, (instances(),)),
    "names and order": (names_and_order_do_not_matter, (instances(), DICE)),
    "a free node": (a_free_node_never_hurts, (instances(), DICE)),
    "a lone gang": (a_lone_gang_stays_placed, (instances(alone=True), DICE)),
    "replay": (replay_is_exact, (instances(),)),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_property(name: str) -> None:
    """Every property of ``PROPERTIES`` holds on random instances; its docstring says what it means."""
    holds, strategies = PROPERTIES[name]
    settings(max_examples=EVERYDAY, deadline=None)(given(*strategies)(holds))()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PROPERTIES)
def test_property_on_many_more(name: str) -> None:
    """The same on many more instances."""
    holds, strategies = PROPERTIES[name]
    settings(max_examples=SLOW, deadline=None)(given(*strategies)(holds))()
