"""Every source of topology keeps the same promises; a folder of fixtures is enough to check a new one."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.tools.inputs import READ_KINDS
from scheduler.gangs.owners import kind_of
from scheduler.state import ClusterState
from tests.properties.damage import damaged
from tests.topology.source_fixtures import NAMES, Object, expected, objects, seen
from topology.sources.documents import SOURCES, recognised
from topology.sources.node_labels import PRESETS, applying
from topology.sources.survey import Document

OBJECT_SOURCES = ("agent", "hypernode", "kueue", "labels")
"""Sources that are no documents: objects of the cluster."""


def shuffled(value: Any, dice: random.Random) -> Any:
    """The same objects in another order, and the keys of maps."""
    if isinstance(value, dict):
        return {key: value[key] for key in dice.sample(list(value), len(value))}
    return dice.sample(value, len(value))


def kind(obj: Object) -> str:
    """The name under which the state knows the kind."""
    return READ_KINDS[kind_of(obj)]


def test_every_source_has_fixtures() -> None:
    """A source without a folder is not checked."""
    assert sorted((*OBJECT_SOURCES, *(source.name for source in SOURCES))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_source_says(name: str) -> None:
    """The places of all nodes, and every problem, are as the folder says; nothing more, nothing less."""
    assert seen(objects(name)) == expected(name)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_document_is_recognised_by_its_content_alone(source: Any) -> None:
    """Each document of the folder has exactly one reader, its own."""
    maps = [obj for obj in objects(source.name) if obj["kind"] == "ConfigMap"]
    assert maps
    for obj in maps:
        for value in obj["data"].values():
            assert recognised(value) == source
            assert [each.name for each in SOURCES if each.recognises(value)] == [source.name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_the_order_does_not_matter(name: str, seed: int) -> None:
    """Objects in any order, one by one with a look in between, give the same picture."""
    dice = random.Random(seed)
    given = [shuffled(obj, dice) for obj in shuffled(objects(name), dice)]
    assert seen(given) == expected(name)
    state = ClusterState()
    for obj in given:
        state.apply(kind(obj), "ADDED", obj)
        state.snapshot()
    whole = ClusterState()
    for obj in given:
        whole.apply(kind(obj), "ADDED", obj)
    assert state.snapshot() == whole.snapshot()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_taken_away_leaves_no_trace(name: str) -> None:
    """A source that comes and goes leaves the fleet as it was; so does a node."""
    given = objects(name)
    for gone in given:
        state, without = ClusterState(), ClusterState()
        for obj in given:
            state.apply(kind(obj), "ADDED", obj)
            if obj is not gone:
                without.apply(kind(obj), "ADDED", obj)
        state.snapshot()
        state.apply(kind(gone), "DELETED", gone)
        assert state.snapshot() == without.snapshot()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_never_raises(name: str, data: st.DataObject) -> None:
    """Whatever is wrong inside, there is a picture, and the same one every time."""
    given: list[Object] = data.draw(damaged(objects(name)))
    again = copy.deepcopy(given)
    kinds = {obj["kind"] for obj in given}
    states = [ClusterState(), ClusterState()]
    for state, these in zip(states, (given, again), strict=True):
        for obj in these:
            state.apply(kind(obj), "ADDED", obj)
        if "Node" not in kinds:
            for host in list(state.hosts()):
                state.apply("Node", "ADDED", host)
    assert states[0].snapshot() == states[1].snapshot()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
@given(value=JSON)
def test_any_value_can_be_looked_at_and_read(source: Any, value: Any) -> None:
    """Also one that is another source's, or nobody's."""
    source.recognises(value)
    source.read(Document(name="x", value=value), {})


def test_every_preset_is_among_the_fixtures() -> None:
    """The folder ``labels`` has a node for each preset."""
    nodes = [obj["metadata"]["labels"] for obj in objects("labels")]
    used = {preset.name for labels in nodes if (preset := applying(PRESETS, labels))}
    assert used == {preset.name for preset in PRESETS}
