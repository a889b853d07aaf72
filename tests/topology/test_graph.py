"""The fleet as a graph, on a fabric of three tiers with rails.

Nodes n0-n7 have two rails of 400 Gb/s: n0-n3 on the leaves l0 and l1 (a rail each), the others on l2, l3.
Every leaf has one cable of 800 Gb/s to each of the spines s0 and s1: four adapters of 400 below 1,600 above.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from topology.cost import oversubscribed, rate, transfer_costs
from topology.fabric import Adapter, Fabric, link, made
from topology.graph import Network
from topology.model import Leaf, Nic, Node, PathStep
from topology.tree import TopologyTree

LEVELS = ("spine", "leaf")


def fabric(uplink: int = 800) -> Fabric:
    """The network of the module's text; ``uplink``: Gb/s from a leaf to each spine."""
    cards = [
        Adapter(id=f"n{node}-{rail}", host=f"n{node}") for node in range(8) for rail in range(2)
    ]
    cables = [
        link((card.id, "1"), (f"l{node // 4 * 2 + rail}", f"{node}"), gbps=400)
        for card in cards
        for node, rail in [(int(card.id[1]), int(card.id[3]))]
    ]
    cables += [
        link((f"l{leaf}", f"up{spine}"), (f"s{spine}", str(leaf)), gbps=uplink)
        for leaf in range(4)
        for spine in range(2)
    ]
    switches = {name: name for name in ("l0", "l1", "l2", "l3", "s0", "s1")}
    return made("map", switches, cards, cables)


def node(number: int, *links: Nic, scale_up: str | None = None) -> Node:
    """Node ``number`` in its leaf group, below the one spine plane."""
    group = "l{0,1}" if number < 4 else "l{2,3}"
    path = [PathStep(level="spine", key="map", value="s0")]
    path.append(PathStep(level="leaf", key="map", value=group))
    return Node(name=f"n{number}", path=tuple(path), links=links, scale_up=scale_up)


def network(*nodes: Node, maps: tuple[Fabric, ...] = ()) -> Network:
    """The graph of these nodes, or of n0-n7."""
    found = nodes or tuple(node(number) for number in range(8))
    tree = TopologyTree.build(found, LEVELS)
    of = {each.name: each for each in found}
    return Network(nodes=tuple(of[name] for name in tree.nodes), tree=tree, fabrics=maps)


def port(rail: int, leaf: str = "", *, gbps: float = 400, state: str = "ACTIVE") -> Nic:
    """A compute port as a scanner reports it."""
    end = Leaf(id=leaf, name=leaf, source="lldp") if leaf else None
    return Nic(
        device=f"mlx5_{rail}", rate_gbps=gbps, compute=True, rail=rail, leaf=end, state=state
    )


@pytest.mark.parametrize(
    ("one", "other", "level", "hops"),
    [("n0", "n0", "host", 0), ("n0", "n3", "leaf", 2), ("n0", "n4", "spine", 4)],
)
def test_distance(one: str, other: str, level: str, hops: int) -> None:
    """Two hops to the leaf and back, two more for each level up to the lowest common domain."""
    fleet = network()
    assert (fleet.common_level(one, other), fleet.hops(one, other)) == (level, hops)


def test_unknown_is_never_together() -> None:
    """Two nodes of which nothing is known share no level, and in the graph no vertex."""
    fleet = network(Node(name="x"), Node(name="y"), node(0))
    assert fleet.common_level("x", "y") is None
    assert fleet.hops("x", "y") == 6
    assert len({*fleet.graph[("node", "x")]} & {*fleet.graph[("node", "y")]}) == 0


@pytest.mark.parametrize(
    ("some", "others", "gbps"),
    [
        # two rails of one node
        ("n0", "n1", 800),
        ("n0", "n4", 800),
        ("n0 n1", "n2 n3", 1600),
        # four nodes could send 3,200, and the four uplinks of two leaves carry it
        ("n0 n1 n2 n3", "n4 n5 n6 n7", 3200),
        ("n0", "n0", None),
    ],
)
def test_what_passes_between_nodes(some: str, others: str, gbps: float | None) -> None:
    """The narrowest cut of the cables."""
    fleet = network(maps=(fabric(),))
    assert fleet.bandwidth(some.split(), others.split()) == gbps


def test_bisection_and_oversubscription() -> None:
    """With uplinks of 200 each, the 3,200 of a leaf group leave through 800: 4:1."""
    fleet = network(maps=(fabric(uplink=200),))
    first = [f"n{n}" for n in range(4)]
    assert fleet.bisection([f"n{n}" for n in range(8)]) == 800
    assert fleet.bisection(first) == 1600
    assert fleet.oversubscription(first) == 4
    assert oversubscribed((fabric(uplink=200),)) == {"leaf": 4}
    assert network(maps=(fabric(),)).oversubscription(first) == 1
    assert oversubscribed((fabric(),)) == {"leaf": Fraction(1)}


def test_nothing_is_made_up_about_cables() -> None:
    """Without a map there is a distance and no bandwidth."""
    fleet = network()
    assert fleet.bandwidth(["n0"], ["n1"]) is None
    assert fleet.oversubscription(["n0"]) is None
    assert rate(fleet.nodes) is None
    assert oversubscribed(()) == {}


def test_what_the_node_itself_saw_goes_before_the_map() -> None:
    """A port that is down or slow on the node counts as the node says."""
    seen = node(0, port(0, "l0", gbps=100), port(1, "l1", state="DOWN"))
    fleet = network(seen, *(node(n) for n in range(1, 8)), maps=(fabric(),))
    assert fleet.bandwidth(["n0"], ["n1"]) == 100
    assert fleet.cables.edges[("node", "n0"), ("switch", "l0")]["rails"] == (0,)


def test_rails_that_two_nodes_share() -> None:
    """Numbers of compute ports that are up on both."""
    fleet = network(
        node(0, port(0), port(1), port(2)), node(1, port(1, state="DOWN"), port(2), port(3))
    )
    assert fleet.rails("n0", "n1") == (2,)


def test_scale_up_is_a_second_parent() -> None:
    """Nodes of one NVLink domain meet there, whatever leaf they hang on; their tree stays as it is."""
    fleet = network(node(0, scale_up="nvl"), node(5, scale_up="nvl"))
    assert set(fleet.graph[("scale-up", "nvl")]) == {("node", "n0"), ("node", "n5")}
    assert fleet.common_level("n0", "n5") == "spine"


def test_the_rate_is_that_of_most_nodes() -> None:
    """The median of what nodes report; storage ports and those that are down do not count."""
    storage = replace(port(9, gbps=200), compute=False)
    nodes = [node(n, port(0), port(1), storage) for n in range(3)]
    nodes.append(node(3, port(0), port(1, state="DOWN")))
    assert rate(nodes) == 99_000_000_000  # 2 x 49.5 GB/s
    assert rate([], [fabric()]) == 99_000_000_000


def test_transfers_cost_what_the_fabric_says() -> None:
    """8,192 tokens are 4.2 GB: 42 ms through two rails, 170 ms through uplinks of 4:1; 9 ms on NVLink."""
    costs = transfer_costs(("spine", "leaf", "host"), network().nodes, [fabric(uplink=200)])
    assert costs == (1, 170 - 42, 42 - 9)
