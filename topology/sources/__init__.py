"""Where levels come from: Kueue ``Topology`` objects, presets of node labels, and keys that gangs ask for.

``Hierarchies`` joins them into one order of levels and reads the path of a node. A ``Topology`` object
defines the tree and its order; presets count only for nodes that no Topology covers. To add a preset:
one row in ``node_labels.PRESETS``; another kind of source: one file here and one line in ``build``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from topology.keys import HOSTNAME
from topology.model import HOST, PathStep, Problem
from topology.sources import extra, kueue, node_labels
from topology.sources.hierarchy import Hierarchy, Labels, LevelKey
from topology.sources.node_labels import PRESETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchies:
    """The levels of a fleet and how to find a node's domains in its labels."""

    levels: tuple[str, ...] = (HOST,)
    """Outermost first, ending with ``host``."""
    topologies: tuple[Hierarchy, ...] = ()
    presets: tuple[Hierarchy, ...] = ()
    extra: tuple[LevelKey, ...] = ()
    """Label keys that gangs ask for and no hierarchy names."""
    problems: tuple[Problem, ...] = ()
    reads: frozenset[str] = field(default=frozenset(), compare=False)
    """Every label key that was looked at; a node's other labels do not matter."""

    @classmethod
    def build(
        cls,
        nodes: Sequence[Labels],
        topologies: Iterable[Mapping[str, Any]] = (),
        asked: Iterable[str] = (),
        presets: Sequence[Hierarchy] = PRESETS,
    ) -> Hierarchies:
        """Hierarchies for nodes with these labels.

        ``topologies`` are Topology objects, ``asked`` the levels that gangs name. Two hierarchies that
        contradict each other are a Problem; the later one by name is not used.
        """
        asked = frozenset(asked)
        defined, problems = _read(topologies)
        reads = _keys((*defined, *presets), asked)
        chains, defined, found = _join((), defined)
        problems += found
        uncovered = [labels for labels in nodes if _covering(defined, labels) is None]
        chains, used, found = _join(chains, _in_use(presets, uncovered))
        problems += found
        order = _order(chains) or ()
        base = cls(levels=(*order, HOST), topologies=defined, presets=used)
        unknown = sorted({name for name in asked if base.resolve(name) is None})
        if not unknown:
            return cls(
                levels=base.levels,
                topologies=defined,
                presets=used,
                problems=tuple(problems),
                reads=reads,
            )
        paths = [{step.level: step.value for step in base.path(labels)} for labels in nodes]
        fitted = extra.fit(unknown, nodes, paths, order)
        return cls(
            levels=(*fitted.order, HOST),
            topologies=defined,
            presets=used,
            extra=fitted.extra,
            problems=(*problems, *fitted.problems),
            reads=reads,
        )

    def path(self, labels: Labels) -> tuple[PathStep, ...]:
        """The node's known domains, outermost level first, the host left out."""
        steps = {step.level: step for step in self._steps(labels)}
        return tuple(steps[level] for level in self.levels if level in steps)

    def _steps(self, labels: Labels) -> Iterator[PathStep]:
        hierarchy = _covering(self.topologies, labels) or _applying(self.presets, labels)
        if hierarchy is not None:
            yield from hierarchy.steps(labels)
        for key in self.extra:
            yield from key.step(labels)

    def resolve(self, name: str) -> str | None:
        """The level that a gang means by a level name or a node label key; None when there is none."""
        if name in self.levels:
            return name
        if name == HOSTNAME:
            return HOST
        named = (key for h in (*self.topologies, *self.presets) for key in h.keys)
        return next((key.level for key in (*named, *self.extra) if key.key == name), None)


def _keys(hierarchies: Iterable[Hierarchy], asked: Iterable[str]) -> frozenset[str]:
    """All label keys by which a node can have a domain."""
    named = {key.key for hierarchy in hierarchies for key in hierarchy.keys}
    return frozenset(named.union(*((name, *node_labels.keys_of(name)) for name in asked)))


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


def _applying(presets: Sequence[Hierarchy], labels: Labels) -> Hierarchy | None:
    return next((preset for preset in presets if preset.applies(labels)), None)


def _in_use(presets: Sequence[Hierarchy], nodes: Sequence[Labels]) -> tuple[Hierarchy, ...]:
    """The presets that apply to some node, each with only the levels that such nodes have."""
    users: dict[str, list[Labels]] = {}
    for labels in nodes:
        preset = _applying(presets, labels)
        if preset is not None:
            users.setdefault(preset.name, []).append(labels)
    return tuple(
        preset.reduced_to(users[preset.name]) for preset in presets if preset.name in users
    )


def _join(
    chains: Sequence[Sequence[str]], hierarchies: Iterable[Hierarchy]
) -> tuple[list[Sequence[str]], tuple[Hierarchy, ...], list[Problem]]:
    """``chains`` and those of the hierarchies that contradict none, and what is wrong with others."""
    joined = list(chains)
    kept, problems = [], []
    for hierarchy in hierarchies:
        chain = [key.level for key in hierarchy.keys]
        if _order([*joined, chain]) is None:
            problems.append(_conflict(hierarchy, _order(joined) or ()))
        else:
            joined.append(chain)
            kept.append(hierarchy)
    return joined, tuple(kept), problems


def _order(chains: Iterable[Sequence[str]]) -> tuple[str, ...] | None:
    """One order that keeps the order of each chain; None when they contradict each other.

    Levels that no chain relates stand in the usual order (region, zone, ... leaf), unknown ones last.
    """
    after: dict[str, set[str]] = {}
    for chain in chains:
        for index, level in enumerate(chain):
            after.setdefault(level, set()).update(chain[:index])
    merged: list[str] = []
    while len(merged) < len(after):
        ready = [level for level in after if level not in merged and after[level] <= set(merged)]
        if not ready:
            return None
        merged.append(min(ready, key=node_labels.usual_order))
    return tuple(merged)


def _conflict(hierarchy: Hierarchy, order: Sequence[str]) -> Problem:
    levels = ", ".join(key.level for key in hierarchy.keys)
    return Problem(
        subject=hierarchy.name,
        field="levels",
        message=f"{levels} contradicts the order {', '.join(order)} in use; it is not used",
    )
