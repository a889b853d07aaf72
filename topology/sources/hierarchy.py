"""An ordered list of node labels that says where a node stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from topology.model import PathStep
from topology.sources.survey import known

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelKey:
    """The label ``key`` names the domain of a node at ``level``; where it is unknown, one of ``also``."""

    level: str
    key: str
    also: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All labels that are looked at."""
        return (self.key, *self.also)

    def value(self, labels: Labels) -> str:
        """The node's domain at this level; empty when it is unknown."""
        value = known(labels.get(self.key, ""))
        if value or not self.also:
            return value
        return next((found for key in self.also if (found := known(labels.get(key, "")))), "")

    def step(self, labels: Labels) -> Iterator[PathStep]:
        """The node's domain at this level; nothing when it is unknown."""
        for key in (self.key, *self.also):
            if value := known(labels.get(key, "")):
                yield PathStep(level=self.level, key=key, value=value)
                return


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
            if key.also or key.key in labels:  # of sixteen tiers a node has three
                yield from key.step(labels)

    def known(self, labels: Labels) -> int:
        """How many of its levels are known on the node."""
        return sum(1 for key in self.keys if key.value(labels))

    def applies(self, labels: Labels) -> bool:
        """Whether the node has one of the labels that a preset needs."""
        if self.needs.isdisjoint(labels):  # nearly always, and cheap
            return False
        return any(known(labels[key]) for key in self.needs.intersection(labels))

    def reduced_to(self, levels: Collection[str]) -> Hierarchy:
        """Only these of its levels."""
        keys = tuple(key for key in self.keys if key.level in levels)
        return Hierarchy(name=self.name, keys=keys, needs=self.needs)
