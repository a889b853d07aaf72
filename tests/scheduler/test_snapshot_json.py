"""A snapshot as JSON and back: exactly the same, or one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler import snapshot_json
from scheduler.model import (
    Constraints,
    Gang,
    GangAssignment,
    PassedOver,
    PodSet,
    Reason,
    Slot,
    Traffic,
    Variant,
)
from scheduler.policy import Policy
from scheduler.snapshot import NodeState, RunningPod, Snapshot
from tests.objects import Object, state_of
from tests.scheduler.test_state import WORLD
from topology.caches.claims import Residency
from topology.model import Flavor, Node, Problem
from topology.resources import Resources
from topology.tree import TopologyTree

TEXT = st.text(max_size=3)
LABELS = st.dictionaries(TEXT, TEXT, max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


def through_a_file(snapshot: Snapshot, policy: Policy = Policy()) -> tuple[Snapshot, Policy]:
    """What comes back from the text of a stored decision."""
    return snapshot_json.load(json.loads(json.dumps(snapshot_json.dump(snapshot, policy))))


@settings(max_examples=40, deadline=None)
@given(
    objects=st.lists(st.sampled_from(WORLD), unique_by=id),
    policy=st.deferred(lambda: drawn(Policy)),
)
def test_the_round_trip_of_a_cluster_is_exact(objects: list[Object], policy: Policy) -> None:
    """Nodes, levels, pods, gangs, problems and the tree that follows from them."""
    snapshot = state_of(objects).snapshot()
    snapshot = replace(snapshot, taken_seconds=7)
    again, policy_again = through_a_file(snapshot, policy)
    assert again == snapshot and policy_again == policy and again.taken_seconds == 7
    assert (again.tree.domain_of == snapshot.tree.domain_of).all()
    assert json.dumps(snapshot_json.dump(again, policy)) == json.dumps(
        snapshot_json.dump(snapshot, policy)
    )


EMPTY = state_of([]).snapshot()
REQUEST = st.builds(Resources, st.dictionaries(TEXT, st.integers(-(2**63), 2**63 - 1), max_size=2))
HINTS: dict[Any, st.SearchStrategy[Any]] = {
    Resources: REQUEST,
    Resources | None: st.none() | REQUEST,
    Mapping[str, str]: LABELS,
    Mapping[str, int]: st.dictionaries(TEXT, st.integers(-9, 9), max_size=2),
    Mapping[str, tuple[str, ...]]: st.dictionaries(TEXT, st.just(("a", "b")), max_size=2),
    Mapping[str, object] | None: st.none() | st.dictionaries(TEXT, JSON, max_size=2),
}


def drawn(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value of a dataclass with *every* field drawn, those in ``given`` in this way."""
    own = {
        name: HINTS[hint] if hint in HINTS else st.from_type(hint)
        for name, hint in get_type_hints(kind).items()
        if name not in given
    }
    return st.builds(kind, **own, **given)


def few(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A short tuple."""
    return st.lists(strategy, max_size=2).map(tuple)


REASON = drawn(Reason)
CONSTRAINTS = drawn(Constraints)
# The parts of which a snapshot is made and how a snapshot holds them.
PARTS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Snapshot]]] = {
    "node": (
        drawn(Node, path=st.just(())),
        lambda node: _of_nodes(NodeState(node=node, free=node.allocatable)),
    ),
    "running pod": (
        drawn(RunningPod),
        lambda pod: _of_nodes(NodeState(node=Node(name="n"), free=pod.request, pods=(pod,))),
    ),
    "constraints": (
        CONSTRAINTS,
        lambda constraints: _of_gang(podsets=(_podset(constraints=constraints),)),
    ),
    "podset": (
        drawn(PodSet, constraints=st.just(Constraints())),
        lambda podset: _of_gang(podsets=(podset,)),
    ),
    "flavor": (drawn(Flavor), lambda flavor: _of_gang(flavors=(flavor,))),
    "gang": (
        drawn(
            Gang,
            podsets=st.just(()),
            flavors=st.just(()),
            blocked=st.none() | REASON,
            variants=few(drawn(Variant, podsets=st.just(()), refusal=st.none() | REASON)),
        ),
        lambda gang: replace(EMPTY, gangs=(gang,)),
    ),
    "reservation": (
        drawn(
            GangAssignment,
            slots=few(drawn(Slot)),
            traffic=st.none() | drawn(Traffic),
            passed_over=few(drawn(PassedOver, reason=REASON)),
            reason=st.none() | REASON,
        ),
        lambda assignment: replace(EMPTY, reservations=(assignment,)),
    ),
    "residency": (drawn(Residency), lambda residency: replace(EMPTY, residency=(residency,))),
    "problem": (drawn(Problem), lambda problem: replace(EMPTY, problems=(problem,))),
    "namespaces": (
        st.dictionaries(TEXT, LABELS, max_size=2),
        lambda namespaces: replace(EMPTY, namespaces=namespaces),
    ),
}


def _of_nodes(state: NodeState) -> Snapshot:
    return replace(EMPTY, nodes=(state,), tree=TopologyTree.build([state.node], ()))


def _of_gang(**parts: Any) -> Snapshot:
    gang = Gang(**{"namespace": "d", "name": "g", "podsets": (), "min_members": 1, **parts})
    return replace(EMPTY, gangs=(gang,))


def _podset(**parts: Any) -> PodSet:
    return PodSet(role="main", size=1, min_count=1, request=Resources(), **parts)


@pytest.mark.parametrize("part", PARTS)
def test_the_round_trip_of_every_field_is_exact(part: str) -> None:
    """Every type that a snapshot is made of, with all of its fields drawn."""
    strategy, held = PARTS[part]

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(value=strategy)
    def check(value: object) -> None:
        snapshot = held(value)
        assert through_a_file(snapshot)[0] == snapshot

    check()


DOCUMENT = snapshot_json.dump(EMPTY, Policy())


def test_the_form_of_the_document() -> None:
    """An object like those of the API, without what follows from the rest."""
    assert (DOCUMENT["apiVersion"], DOCUMENT["kind"]) == ("muster.dev/v1alpha1", "Snapshot")
    assert set(DOCUMENT["spec"]) == {field.name for field in fields(Snapshot)} - {
        "tree",
        "generation",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Pod"}, "expected apiVersion muster.dev/v1alpha1, kind Snapshot"),
        ({"apiVersion": "muster.dev/v9"}, "expected apiVersion muster.dev/v1alpha1, kind Snapshot"),
        ({"spec": None}, "Expected `object`, got `null`"),
        ({"spec": {**DOCUMENT["spec"], "nodes": 3}}, "Expected `array`, got `int` - at `$.nodes`"),
        ({"spec": {"levels": []}}, "Object missing required field `nodes`"),
        ({"policy": []}, "Expected `object`, got `array`"),
    ],
)
def test_what_is_no_snapshot(change: dict[str, Any], message: str) -> None:
    """One error that names the field."""
    with pytest.raises(snapshot_json.SnapshotError) as error:
        snapshot_json.load({**DOCUMENT, **change})
    assert message in str(error.value)


@settings(max_examples=200, deadline=None)
@given(
    spec=st.dictionaries(st.sampled_from([*DOCUMENT["spec"], "x"]), JSON), policy=JSON | st.just({})
)
def test_any_json_is_a_snapshot_or_an_error(spec: Any, policy: Any) -> None:
    """A file that somebody edited never ends in another exception."""
    try:
        snapshot, _ = snapshot_json.load(
            {**DOCUMENT, "spec": {**DOCUMENT["spec"], **spec}, "policy": policy}
        )
    except snapshot_json.SnapshotError:
        return
    assert isinstance(snapshot, Snapshot)
