"""What the fleet has: nodes with room, and nodes that new ones would be like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.scale_out.case import Case
from scheduler.snapshot import NodeState, Snapshot
from topology.keys import TAINT_NOT_READY, TAINT_UNREACHABLE
from topology.model import Node
from topology.resources import Resources

_TOGETHER, _APART = 8, 32
"""Domains that are tried as places for new nodes, those with most room first: for a gang that stands in
one of them, and for one that may use several."""
_MANY = 10_000
"""Members on one node, at most."""

Path = tuple[tuple[str, str], ...]
"""(level, value) of a node's known domains, outermost first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Nodes of one flavor that are as good as each other to a gang, as if they were new."""

    nodes: tuple[Node, ...]
    healthy: int
    """How many of them can be used now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where new nodes may stand, shown by a node that they would be copies of."""

    node: Node
    room: int
    """Members that fit into the domain already, roughly."""


class Stock:
    """The nodes of one snapshot; what several gangs ask is worked out once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._states = snapshot.nodes
        self._index = {state.node.name: index for index, state in enumerate(snapshot.nodes)}
        self._free = [state.free for state in snapshot.nodes]
        for assignment in snapshot.reservations:
            for slot in assignment.slots:
                if slot.node in self._index:
                    self._free[self._index[slot.node]] -= slot.request
        self._wary = frozenset(
            index
            for index, state in enumerate(snapshot.nodes)
            if any(pod.anti_affinity for pod in state.pods)
        )
        """Nodes with a pod that keeps others out of its zone."""
        self._served: dict[Hashable, dict[int, None]] = {}
        self._fitting: dict[Resources, dict[int, int]] = {}

    def base(self, case: Case) -> tuple[NodeState, ...]:
        """The nodes that can matter to the gang: all of them when it has rules about other pods."""
        if case.demanding:
            return self._states
        running = {
            self._index[member.node]
            for podset in case.podsets
            for member in podset.running
            if member.node in self._index
        }
        return tuple(self._states[i] for i in sorted({*self._room(case), *running, *self._wary}))

    def _room(self, case: Case) -> Counter[int]:
        """Node -> members that fit on it, if each PodSet had it for itself; nodes without any left out."""
        serving = self._serving(case)
        found: Counter[int] = Counter()
        for podset in case.podsets:
            for index, times in self._times(podset.request).items():
                if not podset.follows_flavors or index in serving:
                    found[index] += times
        return found

    def _times(self, request: Resources) -> Mapping[int, int]:
        """Node -> how often the request fits there; nodes where it does not are left out."""
        if request not in self._fitting:
            self._fitting[request] = {
                index: times
                for index, (state, free) in enumerate(zip(self._states, self._free, strict=True))
                if state.usable and (times := free.times_fits(request, _MANY))
            }
        return self._fitting[request]

    def kinds(self, case: Case) -> list[Kind]:
        """The kinds of nodes of the flavor that take a member when empty, the most common first."""
        groups: dict[Hashable, list[Node]] = {}
        healthy: Counter[Hashable] = Counter()
        for index in self._serving(case):
            state = self._states[index]
            node = renewed(state.node)
            view = case.view(node)
            groups.setdefault(view, []).append(node)
            healthy[view] += state.usable
        kinds = [
            Kind(nodes=tuple(nodes), healthy=healthy[view])
            for view, nodes in groups.items()
            if case.suits(nodes[0])
        ]
        return sorted(kinds, key=lambda kind: -kind.healthy)

    def stranger(self, case: Case) -> Node | None:
        """A node of the flavor; None when there is none. For a gang that names no flavor always None."""
        if case.flavor is None:
            return None
        return next((renewed(self._states[index].node) for index in self._serving(case)), None)

    def _serving(self, case: Case) -> Mapping[int, None]:
        """The trusted nodes of the flavor, in tree order."""
        if case.asks not in self._served:
            self._served[case.asks] = {
                index: None
                for index, state in enumerate(self._states)
                if not state.node.quarantined and case.serves(state.node)
            }
        return self._served[case.asks]

    def places(self, case: Case, kind: Kind) -> tuple[Place, ...]:
        """Where new nodes of the kind would make a difference: one node to copy for each domain.

        Domains without any room are all alike: one of them speaks for its siblings.
        """
        room: Counter[Path] = Counter()
        for index, times in self._room(case).items():
            path = path_of(self._states[index].node, case.levels)
            for end in range(len(path) + 1):
                room[path[:end]] += times
        found: dict[Hashable, Place] = {}
        for node in kind.nodes:
            path = path_of(node, case.levels)
            if case.levels and (not path or path[-1][0] != case.levels[-1]):
                continue  # nobody knows where it stands, so the gang could not use it
            end = max((end for end in range(len(path) + 1) if path[:end] in room), default=0)
            zones = (node.labels.get(key) for key in case.zones)
            identity = (path[:end], end == len(path), *zones)
            found.setdefault(identity, Place(node=node, room=room[path]))
        best = sorted(found.values(), key=lambda place: -place.room)
        return tuple(best[: _APART if case.apart else _TOGETHER])


def path_of(node: Node, levels: Sequence[str]) -> Path:
    """The node's known domains at ``levels``."""
    return tuple((step.level, step.value) for step in node.path if step.level in levels)


def renewed(node: Node) -> Node:
    """The node as a new one of its kind would be: healthy."""
    passing = (TAINT_NOT_READY, TAINT_UNREACHABLE)
    taints = tuple(taint for taint in node.taints if taint.key not in passing)
    if node.ready and not node.unschedulable and taints == node.taints:
        return node
    return replace(node, taints=taints, ready=True, unschedulable=False)
