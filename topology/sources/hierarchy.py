"""An ordered list of node labels that says where a node stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from topology.keys import OCI_UNKNOWN
from topology.model import PathStep

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelKey:
    """The label ``key`` names the domain of a node at ``level``."""

    level: str
    key: str

    def value(self, labels: Labels) -> str:
        """The node's domain at this level; empty when it is unknown."""
        value = labels.get(self.key, "")
        # Oracle's labeler writes a placeholder where it knows nothing; read as a name it would put all
        # such nodes together.
        return value if value != OCI_UNKNOWN else ""

    def step(self, labels: Labels) -> Iterator[PathStep]:
        """The node's domain at this level; nothing when it is unknown."""
        if value := self.value(labels):
            yield PathStep(level=self.level, key=self.key, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Levels of one source, outermost first, the host left out."""

    name: str
    """As a subject of problems: ``Topology NAME`` or ``preset NAME``."""
    keys: tuple[LevelKey, ...]
    needs: frozenset[str] = frozenset()
    """Labels of which a node must have one for the preset to apply."""

    def steps(self, labels: Labels) -> Iterator[PathStep]:
        """The node's known domains, outermost first."""
        for key in self.keys:
            yield from key.step(labels)

    def known(self, labels: Labels) -> int:
        """How many of its levels are known on the node."""
        return sum(1 for key in self.keys if key.value(labels))

    def applies(self, labels: Labels) -> bool:
        """Whether the node has one of the labels that a preset needs."""
        if self.needs.isdisjoint(labels):  # nearly always, and cheap
            return False
        return any(key.key in self.needs and key.value(labels) for key in self.keys)

    def reduced_to(self, nodes: Sequence[Labels]) -> Hierarchy:
        """Only the levels that some of ``nodes`` have."""
        keys = tuple(key for key in self.keys if any(key.value(labels) for labels in nodes))
        return Hierarchy(name=self.name, keys=keys, needs=self.needs)
