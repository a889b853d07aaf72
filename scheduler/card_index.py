"""Which kinds of cards the fleet has, kept while nodes come and go: thousands of nodes have a few kinds."""

from __future__ import annotations

from scheduler.card_kinds import CardKind, kinds_of
from scheduler.fork import Forkable
from topology.model import Node

_Key = tuple[str, str, int | None]


class CardIndex(Forkable):
    """Nodes by the kind of their cards."""

    def __init__(self) -> None:
        self._key_of: dict[str, _Key] = {}
        self._nodes: dict[_Key, dict[str, Node]] = {}
        self._kinds: tuple[CardKind, ...] | None = ()

    def take(self, name: str, node: Node | None) -> None:
        """The node as it is now; None when it is gone."""
        card = node.accelerator if node else None
        key = (card.device_class, card.resource, card.memory_bytes) if card else None
        before = self._key_of.pop(name, None)
        if before is not None and before != key:
            del self._nodes[before][name]
            if not self._nodes[before]:
                del self._nodes[before]
                self._kinds = None
        if node is not None and key is not None:
            if key not in self._nodes:
                self._kinds = None
            self._key_of[name] = key
            self._nodes.setdefault(key, {})[name] = node

    @property
    def kinds(self) -> tuple[CardKind, ...]:
        """The kinds of cards in the fleet, in the order in which flavors try them."""
        if self._kinds is None:
            self._kinds = kinds_of(next(iter(nodes.values())) for nodes in self._nodes.values())
        return self._kinds
