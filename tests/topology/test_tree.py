"""The tree of domains: every domain is a range, unknown is never together."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from topology.model import Node, PathStep
from topology.tree import TopologyTree, natural_key

LEVELS = ("zone", "rack")


def at(name: str, **path: str) -> Node:
    """A node with its known domains: ``at("n1", zone="a", rack="1")``."""
    steps = (
        PathStep(level=level, key=level, value=path[level]) for level in LEVELS if level in path
    )
    return Node(name=name, path=tuple(steps))


NODES = [
    at("n1", zone="a", rack="1"),
    at("n2", zone="a", rack="1"),
    at("n3", zone="a", rack="2"),
    at("n10", zone="b", rack="1"),
    at("n4", zone="b"),
    at("n5", rack="1"),
    at("n6", rack="1"),
    at("n7"),
]
NAMES = st.sampled_from([f"n{i}" for i in range(12)])
PATHS = st.dictionaries(st.sampled_from(["zone", "rack"]), st.sampled_from(["1", "2", "10"]))
TREE = TopologyTree.build(NODES, LEVELS)


def together(level: str, one: str, other: str, tree: TopologyTree = TREE) -> bool:
    """Whether two nodes share a domain of the level."""
    index = tree.nodes.index
    return tree.domain(level, index(one)) == tree.domain(level, index(other))


def test_a_domain_is_named_by_its_path() -> None:
    """Values from the outermost known level; the host's name at the host level."""
    assert [domain.name for domain in TREE.domains[0] if domain.known] == ["a", "b"]
    assert sorted(d.name for d in TREE.domains[1] if d.known) == ["1", "a/1", "a/2", "b/1"]
    assert [domain.name for domain in TREE.domains[2]] == list(TREE.nodes)
    assert TREE.levels == ("zone", "rack", "host")


def test_equal_names_under_different_parents_differ() -> None:
    """Rack 1 of zone a is not rack 1 of zone b."""
    assert together("rack", "n1", "n2")
    assert not together("rack", "n1", "n10")


def test_unknown_is_never_together() -> None:
    """Two nodes without a value at a level share no domain there, unless an inner one is theirs."""
    assert not together("rack", "n4", "n7")
    assert not together("zone", "n5", "n7")
    assert together("zone", "n5", "n6"), "both are in the one rack 1 that is in no known zone"
    assert not TREE.domain("zone", TREE.nodes.index("n5")).known
    assert not TREE.domain("rack", TREE.nodes.index("n4")).known
    assert TREE.domain("zone", TREE.nodes.index("n4")).known


def test_no_nodes() -> None:
    """An empty fleet has levels and no domains."""
    tree = TopologyTree.build((), LEVELS)
    assert tree.nodes == () and [len(level) for level in tree.domains] == [0, 0, 0]


VALUES = st.sampled_from(["1", "01", "2", "10", "a", "a1", ""])
FLEETS = st.lists(st.tuples(VALUES, VALUES), max_size=20).map(
    lambda paths: [
        at(f"n{i}", **{level: v for level, v in zip(LEVELS, path, strict=True) if v})
        for i, path in enumerate(paths)
    ]
)


@given(nodes=FLEETS)
def test_domains_are_ranges_that_nest(nodes: list[Node]) -> None:
    """Each level's domains follow each other without gaps, and each is inside one of the level above."""
    tree = TopologyTree.build(nodes, LEVELS)
    assert sorted(tree.nodes) == sorted(node.name for node in nodes)
    for depth, domains in enumerate(tree.domains):
        ends = [domain.hi for domain in domains]
        assert [domain.lo for domain in domains] == [0, *ends][:-1][: len(domains)]
        assert (ends[-1] if ends else 0) == len(nodes)
        for index, domain in enumerate(domains):
            assert set(tree.domain_of[depth, domain.lo : domain.hi]) == {index}
            if depth:
                outer = {int(i) for i in tree.domain_of[depth - 1, domain.lo : domain.hi]}
                assert len(outer) == 1


@given(nodes=FLEETS)
def test_known_domains_are_those_of_the_paths(nodes: list[Node]) -> None:
    """Two nodes share a known domain exactly when their known values down to that level are equal."""
    tree = TopologyTree.build(nodes, LEVELS)
    by_name = {node.name: {step.level: step.value for step in node.path} for node in nodes}
    for depth, level in enumerate(LEVELS):
        for i, one in enumerate(tree.nodes):
            assert tree.domain(level, i).known == (level in by_name[one])
            for j, other in enumerate(tree.nodes):
                paths = [
                    [by_name[name].get(inner) for inner in LEVELS[: depth + 1]]
                    for name in (one, other)
                ]
                if paths[0][-1] and paths[1][-1]:
                    same = tree.domain(level, i) == tree.domain(level, j)
                    assert same == (paths[0] == paths[1])


@given(nodes=FLEETS, order=st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_matter(nodes: list[Node], order: random.Random) -> None:
    """The same nodes give the same tree."""
    shuffled = TopologyTree.build(order.sample(nodes, len(nodes)), LEVELS)
    tree = TopologyTree.build(nodes, LEVELS)
    assert shuffled == tree and (shuffled.domain_of == tree.domain_of).all()


def test_numbers_in_names_count_as_numbers() -> None:
    """n2 before n10; a name before its extensions; numbers of any length."""
    names = ["n", "n1", "n2", "n10", "n10a", "n10b2", "n" + "9" * 5000, "na"]
    assert sorted(set(names), key=natural_key) == names


@given(one=st.text(), other=st.text())
def test_different_names_have_different_places(one: str, other: str) -> None:
    """Otherwise the order would depend on which came first: n1 and n01."""
    assert (natural_key(one) == natural_key(other)) == (one == other)


@given(
    before=st.lists(st.tuples(NAMES, PATHS), max_size=8, unique_by=lambda each: each[0]),
    changes=st.lists(
        st.tuples(NAMES, PATHS | st.none()), max_size=4, unique_by=lambda each: each[0]
    ),
)
def test_moving_a_node_is_like_building_the_tree_again(
    before: list[tuple[str, dict[str, str]]], changes: list[tuple[str, dict[str, str] | None]]
) -> None:
    """Nodes that come, go or stand elsewhere: the same nodes, domains and arrays as from the start."""
    nodes = {name: at(name, **path) for name, path in before}
    changed = {name: None if path is None else at(name, **path) for name, path in changes}
    after = {**nodes, **changed}
    levels = ("zone", "rack")
    moved = TopologyTree.build(nodes.values(), levels).with_nodes(changed)
    built = TopologyTree.build([node for node in after.values() if node], levels)
    assert moved == built
    assert (moved.domain_of == built.domain_of).all()
    assert (moved.chains, moved.order) == (built.chains, built.order)
