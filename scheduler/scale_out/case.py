"""One gang on one of its flavors: what a node must be for it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.match import cause
from scheduler.model import Constraints, Gang, PodSet
from scheduler.ratio import start
from scheduler.snapshot import NodeState
from topology.keys import HOSTNAME
from topology.model import HOST, Flavor, Node
from topology.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``gang`` has no other flavor than ``flavor``."""

    gang: Gang
    flavor: Flavor | None
    """None: the implied flavor."""
    podsets: tuple[PodSet, ...]
    """As they are on this flavor."""
    least: int
    """Members that must run for the gang to start."""
    levels: tuple[str, ...]
    """Levels of the tree that decide whether new nodes help, outermost first: down to the innermost of
    ``required``."""
    required: tuple[str, ...]
    """Levels that the gang requires, or asks slices of, outermost first; the host level left out."""

    @property
    def name(self) -> str | None:
        """Name of the flavor."""
        return self.flavor.name if self.flavor else None

    @property
    def pending(self) -> int:
        """Members that need a place: with so many nodes for it alone the gang would have all it can use."""
        return sum(len(podset.pending) for podset in self.podsets)

    @property
    def following(self) -> tuple[PodSet, ...]:
        """The PodSets that need nodes of the flavor; all of them when none does."""
        return tuple(p for p in self.podsets if p.follows_flavors) or self.podsets

    @property
    def apart(self) -> bool:
        """Whether it may use several domains of a level that decides."""
        together = self.gang.topology.required
        return together is None or together != (self.levels[-1] if self.levels else None)

    @property
    def demanding(self) -> bool:
        """Whether its pods have rules about other pods, so that every node may matter."""
        rules = (podset.constraints for podset in self.podsets)
        return any(c.affinity or c.anti_affinity or c.spread for c in rules)

    @property
    def zones(self) -> tuple[str, ...]:
        """Node labels whose values decide whether new nodes help."""
        found = {HOSTNAME}
        for rules in (podset.constraints for podset in self.podsets):
            found |= {term.topology_key for term in (*rules.affinity, *rules.anti_affinity)}
            found |= {term.topology_key for term in rules.spread}
        return tuple(sorted(found - {HOSTNAME}))

    @property
    def selector(self) -> Mapping[str, str]:
        """Labels that a node needs for this flavor, or for the pods of a gang that names none."""
        if self.flavor is not None:
            return self.flavor.node_selector
        return self.following[0].constraints.node_selector if self.following else {}

    @property
    def asks(self) -> Hashable:
        """What the flavor asks of a node; equal for flavors that the same nodes serve."""
        flavor = self.flavor or Flavor(name="")
        selector = tuple(sorted(flavor.node_selector.items()))
        return selector, flavor.device_class, flavor.min_memory_bytes

    def serves(self, node: Node) -> bool:
        """Whether the node serves the flavor."""
        flavor, cards = self.flavor, node.accelerator
        if flavor is None:
            return True
        if any(node.labels.get(key) != value for key, value in flavor.node_selector.items()):
            return False
        if flavor.device_class is not None and (
            cards is None or cards.device_class != flavor.device_class
        ):
            return False
        least = flavor.min_memory_bytes
        return least is None or bool(cards and cards.memory_bytes and cards.memory_bytes >= least)

    def suits(self, node: Node) -> bool:
        """Whether an empty node like this takes a member."""
        state = NodeState(node=node, free=node.allocatable)
        return any(
            node.allocatable.fits(podset.request) and not cause(podset.constraints, state)
            for podset in self.following
        )

    def view(self, node: Node) -> Hashable:
        """What the gang sees of an empty node: equal for nodes that are as good as each other."""
        labels = {key for podset in self.podsets for key in _read(podset.constraints)} - {HOSTNAME}
        return (
            node.accelerator,
            node.taints,
            tuple(node.labels.get(key) for key in sorted(labels)),
            tuple(
                node.allocatable.times_fits(podset.request, max(podset.size, 1))
                for podset in self.podsets
            ),
        )

    def guess(self, node: Node, room: int) -> int:
        """About how many nodes like this are missing where ``room`` members fit already; at least 1."""
        found = 1
        for podset in self.following:
            if podset.slices:
                return 1  # what is missing is spread over the domains
            each = max(1, node.allocatable.times_fits(podset.request, max(podset.size, 1)))
            found = max(found, -((room - len(podset.pending)) // each))
        return found

    def needed(self) -> tuple[int, Resources]:
        """Members on nodes of the flavor without which the gang does not start, and what one requests."""
        counts = start(self.podsets, self.least)
        first = {podset.role: n for podset, n in zip(self.podsets, counts, strict=True)}
        short = [max(0, first[p.role] - len(p.running)) for p in self.following]
        running = sum(len(podset.running) for podset in self.podsets)
        others = sum(first[p.role] for p in self.podsets if p not in self.following)
        count = max(sum(short), self.least - running - others)
        names = {name for podset in self.following for name in podset.request}
        most = {name: max(p.request[name] for p in self.following) for name in names}
        return count, Resources(most)


def case_of(gang: Gang, flavor: Flavor | None, levels: Sequence[str]) -> Case | None:
    """The gang on this flavor; None where its pods cannot be written anew for it.

    ``levels`` are those of the tree, outermost first.
    """
    if flavor is not None and flavor.cards is not None and flavor.card is None:
        return None  # nobody knows by which resource such cards would be requested
    podsets, least = gang.podsets, gang.min_members
    variants = tuple(v for v in gang.variants if flavor is not None and v.flavor == flavor.name)
    for variant in variants:
        if variant.refusal is not None:
            return None
        podsets, least = variant.podsets, variant.min_members
    asked = {*_required(gang, podsets)} - {HOST}
    required = tuple(level for level in levels if level in asked)
    return Case(
        gang=gang if flavor is None else replace(gang, flavors=(flavor,), variants=variants),
        flavor=flavor,
        podsets=podsets,
        least=least,
        levels=tuple(levels[: levels.index(required[-1]) + 1] if required else ()),
        required=required,
    )


def _required(gang: Gang, podsets: Iterable[PodSet]) -> Iterator[str | None]:
    yield gang.topology.required
    for podset in podsets:
        yield podset.topology.required
        yield podset.group_topology.required
        yield from (cut.level for cut in podset.slices)


def _read(constraints: Constraints) -> Iterator[str]:
    """The node labels that a pod's rules look at."""
    yield from constraints.node_selector
    for term in constraints.node_affinity or ():
        yield from (requirement.key for requirement in term.labels)
