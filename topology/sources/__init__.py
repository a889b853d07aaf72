"""Where levels come from: documents and objects of many kinds, node labels, and keys that gangs ask for.

A *source* says where nodes stand (``survey.Position``); ``SOURCES`` in ``documents`` lists the formats. To
add one: a file here, a line there, a folder of fixtures. ``Hierarchies`` joins everything into one order of
levels and gives the path of a node. A Kueue ``Topology`` defines the tree of the nodes that it covers; for
the others sources count in the order of ``survey.Rank``. Another preset of labels is one row in
``node_labels.PRESETS``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from topology.keys import HOSTNAME
from topology.model import HOST, PathStep, Problem
from topology.sources import extra, kueue, node_labels
from topology.sources.hierarchy import Hierarchy, Labels, LevelKey
from topology.sources.node_labels import GENERIC, PRESETS, applying
from topology.sources.relate import Related, chain, related
from topology.sources.survey import Position, Rank

Said = Sequence[Related]
"""What is said of one node, labels among it, best first: see ``Hierarchies.heard``."""
Chain = tuple[str, ...]
"""Levels, outermost first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchies:
    """The levels of a fleet and how to find a node's domains in its labels and in what sources say."""

    levels: tuple[str, ...] = (HOST,)
    """Outermost first, ending with ``host``."""
    topologies: tuple[Hierarchy, ...] = ()
    presets: tuple[Hierarchy, ...] = ()
    """Those that some node uses, with the levels that such nodes have."""
    extra: tuple[LevelKey, ...] = ()
    """Label keys that gangs ask for and no hierarchy names."""
    refused: frozenset[tuple[str, Chain]] = frozenset()
    """Sources that contradict a better one, with their levels; they are not used."""
    problems: tuple[Problem, ...] = ()
    reads: frozenset[str] = field(default=frozenset(), compare=False)
    """Every label key that was looked at; a node's other labels do not matter."""
    offered: tuple[Hierarchy, ...] = field(default=PRESETS, compare=False)
    """All presets."""
    asking: tuple[str, ...] = field(default=(), compare=False)
    """Labels by whose values, and by the nodes' paths, levels that only gangs name get their places."""

    @classmethod
    def build(
        cls,
        nodes: Sequence[Labels],
        topologies: Iterable[Mapping[str, Any]] = (),
        asked: Iterable[str] = (),
        presets: Sequence[Hierarchy] = PRESETS,
        said: Sequence[Said] | None = None,
    ) -> Hierarchies:
        """Hierarchies for nodes with these labels.

        ``topologies`` are Topology objects, ``asked`` the levels that gangs name, ``said`` what was ``heard``
        of each node, by default its labels. Two hierarchies that contradict each other are a Problem; the
        worse one, among equals the later one by name, is not used.
        """
        asked = frozenset(asked)
        hears = cls(offered=tuple(presets))
        said = [hears.heard(labels) for labels in nodes] if said is None else said
        defined, problems = _read(topologies)
        reads = _keys((*defined, *presets), asked)
        chains, defined, found = _join((), defined)
        problems += found
        first = cls(topologies=defined, offered=tuple(presets))
        signatures = {first.signature(*node) for node in zip(nodes, said, strict=True)}
        chains, used, refused, found = _join_used(chains, signatures, presets)
        problems += found
        order = _order(chains) or ()
        base = cls(
            levels=(*order, HOST),
            topologies=defined,
            presets=used,
            refused=refused,
            problems=tuple(problems),
            reads=reads,
            offered=tuple(presets),
        )
        unknown = sorted({name for name in asked if base.resolve(name) is None})
        if not unknown:
            return base
        steps = [base.path(*node) for node in zip(nodes, said, strict=True)]
        paths = [{step.level: step.value for step in path} for path in steps]
        fitted = extra.fit(unknown, nodes, paths, order)
        return cls(
            levels=(*fitted.order, HOST),
            topologies=defined,
            presets=used,
            extra=fitted.extra,
            refused=refused,
            problems=(*problems, *fitted.problems),
            reads=reads,
            offered=tuple(presets),
            asking=tuple(sorted({key for name in unknown for key in extra.keys(name)})),
        )

    def heard(self, labels: Labels, positions: Iterable[Position] = ()) -> Said:
        """What is said of a node by its labels and by other sources, best first."""
        return related((*positions, *_labelled(self.offered, labels)))

    def path(self, labels: Labels, said: Said | None = None) -> tuple[PathStep, ...]:
        """The node's known domains, outermost level first, the host left out.

        ``said`` is what was ``heard`` of it, by default its labels.
        """
        steps: dict[str, PathStep] = {}
        for step in self._steps(labels, self.heard(labels) if said is None else said):
            steps.setdefault(step.level, step)
        for key in self.extra:
            steps |= {step.level: step for step in key.step(labels)}
        return tuple(steps[level] for level in self.levels if level in steps)

    def _steps(self, labels: Labels, said: Said) -> Iterator[PathStep]:
        """Best first."""
        hierarchy = _covering(self.topologies, labels)
        if hierarchy is not None:
            yield from hierarchy.steps(labels)
            return
        for position, steps in said:
            if not self.refused or (position.source, chain(steps)) not in self.refused:
                yield from steps

    def compared(self, labels: Labels, positions: Iterable[Position]) -> list[Position]:
        """Everything that is said of the node, the used source first; to find disagreement."""
        rest = sorted(
            (*positions, *_labelled(self.offered, labels)),
            key=lambda each: (each.rank, each.source),
        )
        hierarchy = _covering(self.topologies, labels)
        if hierarchy is None:
            return rest
        path = tuple(hierarchy.steps(labels))
        return [Position(source=hierarchy.name, rank=Rank.OBJECT, path=path), *rest]

    def signature(self, labels: Labels, said: Said) -> Hashable:
        """What matters of a node for the levels of the fleet: fleets with the same ones have the same."""
        hierarchy = _covering(self.topologies, labels)
        if hierarchy is not None:
            return hierarchy.name
        return tuple((position.rank, position.source, chain(steps)) for position, steps in said)

    def matters(self, labels: Labels, said: Said) -> Hashable:
        """The node's ``signature``, with what else the places of levels that gangs ask for follow from."""
        signature = self.signature(labels, said)
        if not self.asking:
            return signature
        told = tuple((step.level, step.value) for step in self._steps(labels, said))
        return signature, told, tuple(labels.get(key) for key in self.asking)

    def resolve(self, name: str) -> str | None:
        """The level that a gang means by a level name or a node label key; None when there is none."""
        if name in self.levels:
            return name
        if name == HOSTNAME:
            return HOST
        named = (key for h in (*self.topologies, *self.presets) for key in h.keys)
        return next((key.level for key in (*named, *self.extra) if name in key.names), None)


def _labelled(presets: Iterable[Hierarchy], labels: Labels) -> Iterator[Position]:
    """What the labels of a node say, by the preset that it uses."""
    preset = applying(presets, labels)
    if preset is not None:
        rank = Rank.PLACE if preset.name == GENERIC.name else Rank.LABEL
        yield Position(source=preset.name, rank=rank, path=tuple(preset.steps(labels)))


def _keys(hierarchies: Iterable[Hierarchy], asked: Iterable[str]) -> frozenset[str]:
    """All label keys by which a node can have a domain."""
    named = {name for hierarchy in hierarchies for key in hierarchy.keys for name in key.names}
    return frozenset(named.union(*(extra.keys(name) for name in asked)))


def _read(objects: Iterable[Mapping[str, Any]]) -> tuple[tuple[Hierarchy, ...], list[Problem]]:
    problems: list[Problem] = []
    hierarchies = []
    for obj in sorted(objects, key=kueue.name):
        hierarchy, found = kueue.read(obj)
        problems += found
        if hierarchy is not None:
            hierarchies.append(hierarchy)
    return tuple(hierarchies), problems


def _covering(topologies: Sequence[Hierarchy], labels: Labels) -> Hierarchy | None:
    """The Topology with the most of its labels on the node; the first by name among equals."""
    if not topologies:
        return None
    best = max(topologies, key=lambda hierarchy: hierarchy.known(labels))
    return best if best.known(labels) else None


def _join_used(
    chains: list[Sequence[str]], signatures: Iterable[Hashable], presets: Sequence[Hierarchy]
) -> tuple[list[Sequence[str]], tuple[Hierarchy, ...], frozenset[tuple[str, Chain]], list[Problem]]:
    """``chains`` with those that nodes use, the presets among these, what is refused and why.

    Of a preset all levels that some node has count as one chain: it says how they relate.
    """
    place = {preset.name: index for index, preset in enumerate(presets)}
    found: dict[tuple[int, int, str], set[Chain]] = {}
    for signature in signatures:
        if isinstance(signature, tuple):
            for rank, source, levels in signature:
                found.setdefault((rank, place.get(source, -1), source), set()).add(levels)
    used, refused, problems = [], set(), []
    for (_, index, source), known in sorted(found.items()):
        preset = presets[index].reduced_to({level for levels in known for level in levels})
        own = Hierarchy(name=source, keys=()) if index < 0 else preset
        parts = (
            sorted(known, key=lambda levels: (-len(levels), levels))
            if index < 0
            else [tuple(key.level for key in preset.keys)]
        )
        for part in parts:
            if _order([*chains, part]) is None:
                refused.add((source, part))
                problems.append(_conflict(source, part, _order(chains) or ()))
            else:
                chains.append(part)
                used += [own] if index >= 0 else []
    return chains, tuple(used), frozenset(refused), problems


def _join(
    chains: Sequence[Sequence[str]], hierarchies: Iterable[Hierarchy]
) -> tuple[list[Sequence[str]], tuple[Hierarchy, ...], list[Problem]]:
    """``chains`` and those of the hierarchies that contradict none, and what is wrong with others."""
    joined = list(chains)
    kept, problems = [], []
    for hierarchy in hierarchies:
        levels = [key.level for key in hierarchy.keys]
        if _order([*joined, levels]) is None:
            problems.append(_conflict(hierarchy.name, levels, _order(joined) or ()))
        else:
            joined.append(levels)
            kept.append(hierarchy)
    return joined, tuple(kept), problems


def _order(chains: Iterable[Sequence[str]]) -> tuple[str, ...] | None:
    """One order that keeps the order of each chain; None when they contradict each other.

    Levels that no chain relates stand in the usual order (region, zone, ... leaf), unknown ones last.
    """
    after: dict[str, set[str]] = {}
    for levels in chains:
        for index, level in enumerate(levels):
            after.setdefault(level, set()).update(levels[:index])
    merged: list[str] = []
    while len(merged) < len(after):
        ready = [level for level in after if level not in merged and after[level] <= set(merged)]
        if not ready:
            return None
        merged.append(min(ready, key=node_labels.usual_order))
    return tuple(merged)


def _conflict(source: str, levels: Sequence[str], order: Sequence[str]) -> Problem:
    return Problem(
        subject=source,
        field="levels",
        message=f"{', '.join(levels)} contradicts the order {', '.join(order)} in use; it is not used",
    )
