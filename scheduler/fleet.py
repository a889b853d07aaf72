"""Nodes and where they stand: the part of ``ClusterState`` that knows the network.

An event costs the work of its own object. A node whose labels that matter did not change keeps its place; one
that moves is moved within the tree; only when the levels of the fleet change is everything placed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scheduler.agreement import Agreement
from scheduler.alike import Alike
from scheduler.fork import Forkable
from scheduler.keys import TOPOLOGY_SOURCE
from scheduler.leaf_groups import LeafGroups
from scheduler.surveys import Surveys, names_of
from topology import measured
from topology.fabric import Fabric
from topology.keys import HOSTNAME, KAI_TOPOLOGY_GROUP
from topology.model import SCALE_UP, Node, Problem
from topology.nodes import read_node
from topology.sources import Hierarchies, Said, agent, degraded, hypernode, scale_up
from topology.sources.documents import documents
from topology.sources.hierarchy import Hierarchy
from topology.sources.leaves import in_group
from topology.sources.survey import Position, Rank
from topology.tree import TopologyTree
from topology.untyped import mapping, strings, text

Object = Mapping[str, Any]
TOPOLOGY, HYPER_NODE, CONFIG_MAP = "Topology", "HyperNode", "ConfigMap"
NODE_TOPOLOGY, KAI_TOPOLOGY = "NodeTopology", f"Topology.{KAI_TOPOLOGY_GROUP}"
OF_THE_NETWORK = frozenset({TOPOLOGY, KAI_TOPOLOGY, HYPER_NODE, CONFIG_MAP, NODE_TOPOLOGY})
"""Kinds that say where nodes stand; a ConfigMap only with the label ``scheduler.keys.TOPOLOGY_SOURCE``."""
_FLAT = Hierarchies()
_FEW = 16
"""Nodes that are moved within the tree one by one; for more it is built anew."""
_ABOUT = frozenset({HOSTNAME, *scale_up.SCALE_UP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a refresh has changed."""

    nodes: frozenset[str] = frozenset()
    """Nodes that are new, gone or other values now."""
    levels: bool = False
    """Whether the levels, or what names mean a level, are others now."""


class Fleet(Forkable):
    """Nodes, their own reports, Topology and HyperNode objects and documents about the network."""

    def __init__(self, presets: Sequence[Hierarchy]) -> None:
        self.nodes: dict[str, Node] = {}
        """As of the last refresh, with paths."""
        self.hierarchies = Hierarchies()
        self.tree = TopologyTree.build((), ())
        self._presets = tuple(presets)
        self._listener = Hierarchies(offered=self._presets)
        self._bare: dict[str, Node] = {}
        self._objects: dict[str, dict[str, Object]] = {
            kind: {} for kind in (TOPOLOGY, KAI_TOPOLOGY, HYPER_NODE)
        }
        self._hypernodes = hypernode.HyperNodes()
        self._scans: dict[str, agent.Scan] = {}
        self._surveys = Surveys()
        self._groups = LeafGroups()
        self._agreement = Agreement()
        self._named: dict[str, set[str]] = {}
        self._strange: tuple[Problem, ...] | None = None
        """Of documents of which no host is a node; None when it is to be found out anew."""
        self._said: dict[str, tuple[Position, ...]] = {}
        self._heard: dict[str, Said] = {}
        self._alike = Alike()
        self._changed: set[str] = set()
        self._moved: set[str] = set()
        self._wrong: dict[str, tuple[Problem, ...]] = {}
        self._problems: tuple[Problem, ...] | None = None
        """None when it is to be found out anew."""
        self._stale = False

    # -- events ----------------------------------------------------------------------------------

    def take_node(self, obj: Object, deleted: bool) -> bool:
        """A node; whether that changes anything."""
        node = read_node(obj, _FLAT)
        before = self._bare.get(node.name)
        if deleted:
            if before is None:
                return False
            del self._bare[node.name]
            self._name(before, add=False)
            self._moved.add(node.name)
            return True
        if node == before:
            return False
        self._bare[node.name] = node
        if before is None or names_of(before) != names_of(node):
            if before is not None:
                self._name(before, add=False)
            self._name(node, add=True)
        if before is None or self._matters(before, node):
            self._moved.add(node.name)
        else:
            self._changed.add(node.name)
        return True

    def _matters(self, before: Node, node: Node) -> bool:
        """Whether a label has changed that may say where the node stands."""
        if before.labels == node.labels:
            return False
        reads = self.hierarchies.reads | self._hypernodes.reads | _ABOUT
        return any(before.labels.get(key) != node.labels.get(key) for key in reads)

    def _name(self, node: Node, *, add: bool) -> None:
        self._strange = None
        for name in names_of(node):
            there = self._named.setdefault(name, set())
            if add:
                there.add(node.name)
            else:
                there.discard(node.name)

    def take(self, kind: str, obj: Object, deleted: bool) -> bool:
        """An object of a kind in ``OF_THE_NETWORK``; whether that changes anything."""
        if kind == CONFIG_MAP:
            ours = TOPOLOGY_SOURCE in strings(mapping(obj.get("metadata")).get("labels"))
            return self._surveys.take(_subject(obj), documents(obj) if ours and not deleted else ())
        if kind == NODE_TOPOLOGY:
            return self._take_scan(obj, deleted)
        name, known = text(mapping(obj.get("metadata")).get("name")), self._objects[kind]
        now = None if deleted else {"metadata": {"name": name}, "spec": obj.get("spec")}
        if now == known.get(name):
            return False
        if now is None:
            del known[name]
        else:
            known[name] = now
        if kind == HYPER_NODE:
            self._hypernodes = hypernode.HyperNodes()
            self._moved |= self._bare.keys()
        self._stale = True
        return True

    def _take_scan(self, obj: Object, deleted: bool) -> bool:
        name = text(mapping(obj.get("metadata")).get("name"))
        before, now = self._scans.get(name), None if deleted else agent.read(obj)
        if now == before:
            return False
        if now is None:
            del self._scans[name]
        else:
            self._scans[name] = now
        if before is None or now is None or before.position != now.position:
            self._moved.add(name)
        else:
            self._changed.add(name)
        self._surveys.take_guids(name, now.guids if now else frozenset())
        return True

    def known(self, kind: str) -> list[tuple[str, str]]:
        """(namespace, name) of the objects of a kind."""
        if kind == "Node":
            return [("", name) for name in self._bare]
        if kind == NODE_TOPOLOGY:
            return [("", name) for name in self._scans]
        if kind in self._objects:
            return [("", name) for name in self._objects[kind]]
        names = (subject.removeprefix(f"{CONFIG_MAP} ") for subject in self._surveys.subjects)
        return [(name.partition("/")[0], name.partition("/")[2]) for name in names]

    def place_anew(self) -> None:
        """Gangs name other levels than before."""
        self._stale = True

    # -- views -----------------------------------------------------------------------------------

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with nodes, objects and documents, and where sources disagree; sorted."""
        if self._problems is None:
            self._problems = tuple(sorted(self._found(), key=str))
        return self._problems

    def _found(self) -> set[Problem]:
        found = {*self.hierarchies.problems, *self._hypernodes.problems, *self._surveys.problems()}
        found.update(self._agreement.problems())
        if self._strange is None:
            self._strange = tuple(self._surveys.strange(self._named) if self._bare else ())
        found.update(self._strange)
        for wrong in self._wrong.values():
            found.update(wrong)
        return found

    def hosts(self) -> Iterator[Object]:
        """A Node object for every host that a document or a scan knows, by name."""
        scanned = {name: measured.shown(scan.cards) for name, scan in self._scans.items()}
        for name, about in sorted({**scanned, **self._surveys.hosts()}.items()):
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": about.get("labels", {})},
                "status": {"allocatable": about.get("allocatable", {})},
            }

    def fabrics(self) -> tuple[Fabric, ...]:
        """The networks that fabric maps show."""
        return self._surveys.fabrics()

    # -- keeping derived values current ----------------------------------------------------------

    def refresh(self, asked: Iterable[str]) -> Changes:
        """Bring nodes and tree up to date. ``asked`` are the levels that gangs name."""
        if self._surveys.settle():
            self._problems = self._strange = None
        moved, changed = self._moved, self._changed
        for name in self._surveys.touched:
            moved |= self._named.get(name, set())
        self._surveys.touched = set()
        if not (moved or changed or self._stale):
            return Changes()
        self._moved, self._changed, self._problems = set(), set(), None
        if self._stale:
            self._hypernodes = hypernode.read(self._objects[HYPER_NODE].values())
        for name in moved:
            self._groups.take(name, self._hang(name))
        moved |= self._groups.regroup()
        for name in moved:
            self._say(name)
        before = self.hierarchies
        self._find_levels(asked)
        if before != self.hierarchies:
            moved = {*self._bare, *moved}
        now = {name: node for name in moved | changed if (node := self._placed(name))}
        others = {name for name in moved | changed if self.nodes.get(name) != now.get(name)}
        self._replant(others, now)
        return Changes(nodes=frozenset(others), levels=before != self.hierarchies)

    def _hang(self, name: str) -> list[tuple[str, frozenset[str]]]:
        """The leaves on which a node hangs, of all documents of a source together."""
        leaves: dict[str, frozenset[str]] = {}
        for position in self._raw(name):
            if position.leaves:
                leaves[position.source] = leaves.get(position.source, frozenset()) | position.leaves
        return sorted(leaves.items(), key=lambda item: item[0])

    def _raw(self, name: str) -> list[Position]:
        node = self._bare.get(name)
        if node is None:
            return []
        # A short name that two nodes share means neither of them.
        names = [
            each for each in names_of(node) if each == name.lower() or len(self._named[each]) == 1
        ]
        scan = self._scans.get(name)
        found = [*([scan.position] if scan else ()), *self._surveys.said(names)]
        position = self._hypernodes.position(name, node.labels)
        return [*found, position] if position else found

    def _say(self, name: str) -> None:
        """Find out anew what is said of a node."""
        node = self._bare.get(name)
        if node is None:
            self._alike.take(name)
            self._said.pop(name, None)
            self._heard.pop(name, None)
            self._agreement.take(name)
            return
        said = self._said[name] = self._whole(name, node)
        self._heard[name] = self._listener.heard(node.labels, said)
        self._liken(name)
        self._agreement.take(name, self._compared(node, said) if said else ())

    def _whole(self, name: str, node: Node) -> tuple[Position, ...]:
        """What is said of a node, with the leaf group that follows from its leaves."""
        hang = dict(self._hang(name))
        found = []
        for position in self._raw(name):
            leaves = hang.pop(position.source, None) if position.leaves else None
            if leaves is not None:
                group = self._groups.group(position.source, leaves)
                found.append(in_group(name, position, leaves, group, self._surveys.above))
            elif not position.leaves:
                found.append(position)
        return tuple(found)

    def _compared(self, node: Node, said: tuple[Position, ...]) -> list[Position]:
        positions = self.hierarchies.compared(node.labels, said)
        named = node.scale_up or scale_up.domain(node.labels)
        if named and any(position.scale_up for position in said):
            positions.append(Position(source="node labels", rank=Rank.LABEL, scale_up=named))
        return positions

    def _liken(self, name: str) -> None:
        whole = SCALE_UP in self.hierarchies.asking
        labels = self._labels(name, whole=whole)
        self._alike.take(name, self.hierarchies.matters(labels, self._heard[name]))

    def _find_levels(self, asked: Iterable[str]) -> None:
        if not self._stale and not self._alike.changed:
            return
        before, names = self.hierarchies, frozenset(asked)
        now = self._levels_of(self._bare if self._stale else self._alike.one_of_each(), names)
        if now.asking != before.asking and not self._stale:
            # Nodes that were alike need not be so in the labels that are looked at now.
            now = self._levels_of(self._bare, names)
        self.hierarchies = now
        if before.topologies != now.topologies:
            for name in self._bare:
                self._say(name)
        elif before.asking != now.asking or (now.asking and before != now):
            for name in self._bare:
                self._liken(name)
        self._stale = self._alike.changed = False

    def _levels_of(self, nodes: Iterable[str], asked: frozenset[str]) -> Hierarchies:
        names = list(nodes)
        return Hierarchies.build(
            [self._labels(name, whole=SCALE_UP in asked) for name in names],
            [*self._objects[TOPOLOGY].values(), *self._objects[KAI_TOPOLOGY].values()],
            asked,
            self._presets,
            [self._heard[name] for name in names],
        )

    def _labels(self, name: str, *, whole: bool) -> Mapping[str, str]:
        """A node's labels; ``whole``: with its scale-up domain among them, which gangs name as a level."""
        node = self._bare[name]
        domain = _scale_up(node, self._said[name]) if whole else None
        return {**node.labels, SCALE_UP: domain} if domain else node.labels

    def _placed(self, name: str) -> Node | None:
        """The node with its path and everything else that follows from what is said."""
        node = self._bare.get(name)
        if node is None:
            return None
        said = self._said[name]
        scan = self._scans.get(name)
        asked = any(key.key == SCALE_UP for key in self.hierarchies.extra)
        problems = (
            *node.problems,
            *(measured.problems(node, scan.cards) if scan else ()),
            *degraded.problems(name, node.labels),
            *(problem for position in said for problem in position.problems),
        )
        return replace(
            node,
            path=self.hierarchies.path(self._labels(name, whole=asked), self._heard[name]),
            scale_up=_scale_up(node, said),
            links=scan.nics if scan else (),
            problems=problems,
        )

    def _replant(self, others: set[str], now: Mapping[str, Node]) -> None:
        """Take the new values of nodes, and move those in the tree that stand elsewhere now."""
        stand = {}
        for name in others:
            before, node = self.nodes.pop(name, None), now.get(name)
            self._wrong.pop(name, None)
            if node is not None:
                self.nodes[name] = node
                if node.problems:
                    self._wrong[name] = node.problems
            if before is None or node is None or before.path != node.path:
                stand[name] = node
        levels = self.hierarchies.levels
        if levels == self.tree.levels and len(stand) <= _FEW:
            self.tree = self.tree.with_nodes(stand)
        else:
            self.tree = TopologyTree.build(self.nodes.values(), levels)


def _scale_up(node: Node, said: Sequence[Position]) -> str | None:
    """The node's scale-up domain, by the best source that knows it."""
    domain = next((each.scale_up for each in said if each.scale_up), None)
    return domain or node.scale_up or scale_up.domain(node.labels)


def _subject(obj: Object) -> str:
    metadata = mapping(obj.get("metadata"))
    namespace, name = text(metadata.get("namespace")) or "default", text(metadata.get("name"))
    return f"{CONFIG_MAP} {namespace}/{name}"
