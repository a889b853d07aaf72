"""The leaf groups of the fleet, kept while nodes come, go and lose ports. See ``topology.sources.leaves``."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.fork import Forkable
from topology.sources.leaves import Leaves, groups

_Key = tuple[str, Leaves]


class LeafGroups(Forkable):
    """Which nodes hang on which leaves, by source: sources name switches in their own ways."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[_Key, ...]] = {}
        self._nodes: dict[str, dict[Leaves, set[str]]] = {}
        self._groups: dict[str, dict[Leaves, Leaves]] = {}
        self._stale: set[str] = set()

    def take(self, node: str, keys: Iterable[_Key] = ()) -> None:
        """The node now hangs on these leaves, as (source, leaves)."""
        keys = tuple(keys)
        if keys == self._keys.get(node, ()):
            return
        for source, leaves in self._keys.pop(node, ()):
            there = self._nodes[source][leaves]
            there.discard(node)
            if not there:
                del self._nodes[source][leaves]
                self._stale.add(source)
        for source, leaves in keys:
            sets = self._nodes.setdefault(source, {})
            if leaves not in sets:
                sets[leaves] = set()
                self._stale.add(source)
            sets[leaves].add(node)
        if keys:
            self._keys[node] = keys

    def regroup(self) -> set[str]:
        """Form the groups anew where sets have come or gone; the nodes whose group is another one now."""
        moved: set[str] = set()
        for source in self._stale:
            sets = self._nodes.get(source, {})
            before, now = self._groups.get(source, {}), groups(sets)
            for leaves, nodes in sets.items():
                if leaves in before and before[leaves] != now[leaves]:
                    moved |= nodes
            self._groups[source] = now
        self._stale = set()
        return moved

    def group(self, source: str, leaves: Leaves) -> Leaves:
        """The leaves of the group to which a node with ``leaves`` belongs."""
        return self._groups.get(source, {}).get(leaves, leaves)
