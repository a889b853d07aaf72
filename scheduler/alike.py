"""Nodes that are alike in what the levels of the fleet follow from: of thousands a few are different."""

from __future__ import annotations

from collections.abc import Hashable

from scheduler.fork import Forkable


class Alike(Forkable):
    """Nodes by what matters of them."""

    def __init__(self) -> None:
        self.changed = False
        """Whether something that matters has come or gone since this was last set to False."""
        self._of: dict[str, Hashable] = {}
        self._nodes: dict[Hashable, dict[str, None]] = {}

    def take(self, node: str, what: Hashable = None) -> None:
        """What matters of the node now; None when it is gone."""
        before = self._of.get(node)
        if before == what:
            return
        if before is not None:
            del self._of[node], self._nodes[before][node]
            if not self._nodes[before]:
                del self._nodes[before]
                self.changed = True
        if what is not None:
            self.changed |= what not in self._nodes
            self._of[node] = what
            self._nodes.setdefault(what, {})[node] = None

    def one_of_each(self) -> list[str]:
        """One node for everything that matters."""
        return [next(iter(nodes)) for nodes in self._nodes.values()]
