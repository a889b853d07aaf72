"""The fleet as a graph: how far nodes are apart, what passes between them, how narrow the way up is. Pure.

Vertices are nodes, switches and domains; a level of which nothing is known is a vertex of that node (or of
the domain below it) alone. Edges:

- ``cable``: from a node to each leaf that a scanner or a fabric map saw it on, and between switches; ``gbps``
  is the sum over its cables, ``rails`` the rails of the adapters.
- ``tree``: a domain to the one around it, down to nodes. They carry distances, not bandwidth.
- ``scale-up``: a node to its NVLink or super-pod domain, which is a second parent and not nested in the tree.

Rates are Gb/s of one direction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import networkx as nx

from topology.cost import compute_ports
from topology.fabric import Fabric
from topology.model import Node
from topology.tree import TopologyTree

Vertex = tuple[str, ...]
"""(``node``, name), (``switch``, source, name), (``scale-up``, name) or (``domain``, level, number)."""


@dataclass(frozen=True)
class Network:
    """The graph of a fleet and what is asked of it."""

    nodes: tuple[Node, ...]
    """In the order of ``tree.nodes``."""
    tree: TopologyTree
    fabrics: tuple[Fabric, ...] = ()

    @cached_property
    def graph(self) -> nx.Graph[Vertex]:
        """All vertices and edges (see the module's text)."""
        graph: nx.Graph[Vertex] = nx.Graph()
        for one, other, kind in self._parents():
            graph.add_edge(one, other, kind=kind)
        graph.add_edges_from(self.cables.edges(data=True))
        return graph

    @cached_property
    def cables(self) -> nx.Graph[Vertex]:
        """Nodes and switches with the cables between them alone."""
        graph: nx.Graph[Vertex] = nx.Graph()
        graph.add_nodes_from(("node", node.name) for node in self.nodes)
        for one, other, gbps, rail in self._cables():
            if not graph.has_edge(one, other):
                graph.add_edge(one, other, kind="cable", gbps=0.0, rails=())
            edge = graph.edges[one, other]
            edge["gbps"] += gbps
            if rail is not None:
                edge["rails"] = tuple(sorted({*edge["rails"], rail}))
        return graph

    def common_level(self, one: str, other: str) -> str | None:
        """The closest level at which two nodes share a domain; None when they share none."""
        shared = self._shared(one, other)
        return self.tree.levels[shared - 1] if shared else None

    def hops(self, one: str, other: str) -> int:
        """Edges of the tree between two nodes: twice the levels up to their lowest common domain."""
        return 2 * (len(self.tree.levels) - self._shared(one, other))

    def bandwidth(self, some: Collection[str], others: Collection[str]) -> float | None:
        """What the cables let pass between two sets of nodes at once: the narrowest cut.

        None where a node of them hangs on no known cable. Nodes in both sets are left out.
        """
        first, second = set(some) - set(others), set(others) - set(some)
        ends = [*(("node", name) for name in sorted(first | second))]
        if not first or not second or any(not self.cables.degree(end) for end in ends):
            return None
        flow = self.cables.copy()
        for vertex, names in ((("from",), first), (("to",), second)):
            # An edge without a capacity lets everything pass.
            flow.add_edges_from((vertex, ("node", name)) for name in names)
        return float(nx.maximum_flow_value(flow, ("from",), ("to",), capacity="gbps"))

    def bisection(self, names: Sequence[str]) -> float | None:
        """What passes between the first and the second half of a group, in tree order (= rank order)."""
        order = sorted(set(names), key=self._index.__getitem__)
        half = len(order) // 2
        return self.bandwidth(order[:half], order[half:])

    def oversubscription(self, names: Collection[str]) -> Fraction | None:
        """What the adapters of nodes can send, by what passes from these nodes to all others at once.

        None where cables are not known, or nobody else is there.
        """
        inside = set(names)
        others = [n.name for n in self.nodes if n.name not in inside and self._sends(n.name)]
        out = self.bandwidth(inside, others)
        sent = sum(self._sends(name) for name in sorted(inside))
        return (
            Fraction(sent).limit_denominator() / Fraction(out).limit_denominator() if out else None
        )

    def rails(self, one: str, other: str) -> tuple[int, ...]:
        """Rails on which two nodes reach each other: compute ports of one number that are up on both."""
        first, second = (_rails(self.nodes[self._index[name]]) for name in (one, other))
        return tuple(sorted(first & second))

    @cached_property
    def _index(self) -> Mapping[str, int]:
        return {node.name: at for at, node in enumerate(self.nodes)}

    def _sends(self, name: str) -> float:
        return float(self.cables.degree(("node", name), weight="gbps"))

    def _shared(self, one: str, other: str) -> int:
        """Levels at which two nodes share a domain, from the outermost on."""
        rows = self.tree.domain_of[:, [self._index[one], self._index[other]]]
        return int((rows[:, 0] == rows[:, 1]).sum())

    def _parents(self) -> Iterator[tuple[Vertex, Vertex, str]]:
        levels = self.tree.levels
        for at, node in enumerate(self.nodes):
            below: Vertex = ("node", node.name)
            for depth in range(len(levels) - 2, -1, -1):
                around = ("domain", levels[depth], str(self.tree.domain_of[depth, at]))
                yield below, around, "tree"
                below = around
            if node.scale_up is not None:
                yield ("node", node.name), ("scale-up", node.scale_up), "scale-up"

    def _cables(self) -> Iterator[tuple[Vertex, Vertex, float, int | None]]:
        """(end, end, gbps, rail) of each cable; of a node's own those that a scanner saw, if it saw any."""
        scanned = set()
        for node in self.nodes:
            for nic in node.links:
                if nic.leaf is not None and nic.up and nic.rate_gbps and not nic.virtual:
                    scanned.add(node.name)
                    leaf = self._switch(nic.leaf.id, nic.leaf.name)
                    yield ("node", node.name), leaf, nic.rate_gbps, nic.rail
        for fabric in self.fabrics:
            ends: dict[str, Vertex] = {s.id: ("switch", s.name) for s in fabric.switches}
            ends |= {
                card.id: ("node", card.host)
                for card in fabric.adapters
                if card.host
                and card.host in self._index
                and card.host not in scanned
                and not card.aggregation
            }
            for link in fabric.links:
                if link.a in ends and link.b in ends and link.gbps:
                    yield ends[link.a], ends[link.b], float(link.gbps), None

    def _switch(self, key: str, name: str) -> Vertex:
        return "switch", self._names.get(key, name or key)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {switch.id: switch.name for fabric in self.fabrics for switch in fabric.switches}


def _rails(node: Node) -> set[int]:
    return {nic.rail for nic in compute_ports(node) if nic.rail is not None}
