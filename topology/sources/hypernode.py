"""Volcano's ``HyperNode`` objects: a tree of domains, tier 1 closest to the nodes.

``spec.tier``, ``spec.tierName`` and ``spec.members[]`` of type Node or HyperNode, each chosen by its exact
name, by a regular expression, or (nodes only) by labels - volcano-sh/volcano docs/design, "Network Topology
Aware Scheduling".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from topology.model import PathStep, Problem
from topology.sources.hierarchy import Labels
from topology.sources.node_labels import level_name
from topology.sources.survey import Position, Rank
from topology.untyped import mapping, sequence, strings, text

SOURCE = "HyperNodes"
_GROUP = re.compile(r"\(([^()]*)\)")
_REPEATS = re.compile(r"[*+\0]|\{[0-9]*,")
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which names or labels a member entry takes; several conditions must all hold."""

    pattern: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[tuple[str, str, frozenset[str]], ...] = ()
    """(key, operator, values)."""

    def takes(self, name: str, labels: Labels) -> bool:
        """Whether the node is meant."""
        if self.pattern:
            return re.search(self.pattern, name) is not None
        return all(labels.get(key) == value for key, value in self.labels.items()) and all(
            _holds(labels.get(key), operator, values) for key, operator, values in self.expressions
        )


def _holds(value: str | None, operator: str, values: frozenset[str]) -> bool:
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    return (value is not None) == (operator == "Exists")


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperNodes:
    """All HyperNodes of a cluster, ready to be asked for the place of a node."""

    exact: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a node -> HyperNodes that name it."""
    selectors: tuple[tuple[Selector, str], ...] = ()
    by_label: Mapping[tuple[str, str], tuple[tuple[Selector, str], ...]] = field(
        default_factory=dict
    )
    """The selectors with labels, by one of these: most nodes match very few of thousands."""
    paths: Mapping[str, tuple[PathStep, ...]] = field(default_factory=dict)
    """HyperNode -> its own step and those around it, outermost first."""
    tiers: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    reads: frozenset[str] = frozenset()
    """Label keys that selectors look at."""

    def position(self, name: str, labels: Labels) -> Position | None:
        """Where the HyperNodes put a node; None when none has it as a member.

        In several of one tier, the first by name counts, and a Problem names both.
        """
        homes = {*self.exact.get(name, ())}
        homes.update(home for selector, home in self.selectors if selector.takes(name, labels))
        if self.by_label:
            for label in labels.items():
                for selector, home in self.by_label.get(label, ()):
                    if selector.takes(name, labels):
                        homes.add(home)
        if not homes:
            return None
        ordered = sorted(homes, key=lambda home: (self.tiers[home], home))
        chosen = ordered[0]
        around = {step.value for step in self.paths[chosen]}
        problems = [
            Problem(
                subject=f"Node {name}",
                field="HyperNode",
                message=f"is a member of {chosen} and of {other}, neither of which is inside the "
                f"other; {chosen} counts",
            )
            for other in ordered[1:]
            if other not in around
        ]
        return Position(
            source=SOURCE, rank=Rank.OBJECT, path=self.paths[chosen], problems=tuple(problems)
        )


def read(objects: Iterable[Object]) -> HyperNodes:
    """All HyperNode objects together. Total; independent of their order."""
    specs = {_name(obj): mapping(obj.get("spec")) for obj in sorted(objects, key=_name)}
    problems: list[Problem] = []
    tiers = {name: _tier(name, spec, problems) for name, spec in specs.items()}
    tiers = {name: tier for name, tier in tiers.items() if tier}
    inside: dict[str, list[str]] = {}
    exact: dict[str, set[str]] = {}
    selectors: list[tuple[Selector, str]] = []
    for name in tiers:
        for kind, chosen in _members(name, specs[name], problems):
            if kind == "HyperNode":
                if isinstance(chosen, str) and chosen not in specs:
                    message = f"there is no HyperNode {chosen}; the entry is not used"
                    problems.append(_problem(name, "spec.members", message))
                for member in _named(chosen, tiers):
                    inside.setdefault(member, []).append(name)
            elif isinstance(chosen, str):
                exact.setdefault(chosen, set()).add(name)
            else:
                selectors.append((chosen, name))
    outer = {member: _parent(member, found, tiers, problems) for member, found in inside.items()}
    levels = {name: _level(specs[name], tier) for name, tier in tiers.items()}
    by_label: dict[tuple[str, str], list[tuple[Selector, str]]] = {}
    for selector, home in selectors:
        for label in sorted(selector.labels.items())[-1:]:
            by_label.setdefault(label, []).append((selector, home))
    return HyperNodes(
        exact={name: tuple(sorted(homes)) for name, homes in exact.items()},
        selectors=tuple(entry for entry in selectors if not entry[0].labels),
        by_label={label: tuple(found) for label, found in by_label.items()},
        paths={name: _path(name, outer, levels) for name in tiers},
        tiers=tiers,
        problems=tuple(problems),
        reads=frozenset(
            key
            for selector, _ in selectors
            for key in (*selector.labels, *(each[0] for each in selector.expressions))
        ),
    )


def _name(obj: Object) -> str:
    return text(mapping(obj.get("metadata")).get("name"))


def _tier(name: str, spec: Object, problems: list[Problem]) -> int:
    tier = spec.get("tier")
    if isinstance(tier, int) and not isinstance(tier, bool) and tier > 0:
        return tier
    message = "expected a number from 1, the tier closest to the nodes; the object is not used"
    problems.append(_problem(name, "spec.tier", message))
    return 0


def _members(
    name: str, spec: Object, problems: list[Problem]
) -> Iterator[tuple[str, Selector | str]]:
    """(type, exact name or selector) of each member entry that can be read."""
    for index, member in enumerate(map(mapping, sequence(spec.get("members")))):
        kind, selector = text(member.get("type")), mapping(member.get("selector"))
        where = f"spec.members[{index}]"
        if wrong := _wrong(text(mapping(selector.get("regexMatch")).get("pattern"))):
            problems.append(_problem(name, f"{where}.selector.regexMatch.pattern", wrong))
            continue
        chosen = _selector(selector) if kind in {"Node", "HyperNode"} else None
        if chosen is None or (
            kind == "HyperNode" and isinstance(chosen, Selector) and not chosen.pattern
        ):
            message = (
                "expected type Node or HyperNode and a selector with exactMatch.name, "
                "regexMatch.pattern or, for nodes, labelMatch; the entry is not used"
            )
            problems.append(_problem(name, where, message))
        else:
            yield kind, chosen


def _selector(selector: Object) -> Selector | str | None:
    exact = text(mapping(selector.get("exactMatch")).get("name"))
    pattern = text(mapping(selector.get("regexMatch")).get("pattern"))
    label = mapping(selector.get("labelMatch"))
    if exact:
        return exact
    if pattern:
        return Selector(pattern=_pythonic(pattern))
    expressions = tuple(
        (
            text(each.get("key")),
            text(each.get("operator")),
            frozenset(map(text, sequence(each.get("values")))),
        )
        for each in map(mapping, sequence(label.get("matchExpressions")))
    )
    labels = strings(label.get("matchLabels"))
    known = all(
        key and operator in {"In", "NotIn", "Exists", "DoesNotExist"}
        for key, operator, _ in expressions
    )
    if (
        not known
        or not (labels or expressions)
        or len(labels) < len(mapping(label.get("matchLabels")))
    ):
        return None
    return Selector(labels=labels, expressions=expressions)


def _wrong(pattern: str) -> str:
    """Why a regular expression is not used; empty when nothing is wrong with it."""
    try:
        re.compile(_pythonic(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        return f"{pattern[:80]!r} is no regular expression: {error}; the entry is not used"
    if _runaway(pattern):
        return (
            f"{pattern[:80]!r} repeats a group in which something repeats, which can take forever; expected "
            "one without; the entry is not used"
        )
    return ""


def _pythonic(pattern: str) -> str:
    """An expression of Go, which Volcano takes: there a small z is the end of the text."""
    return pattern.replace(r"\z", r"\Z")


def _runaway(pattern: str) -> bool:
    """Whether a repeated group holds a repetition, such as ``(a+)+``: Python tries every way to share."""
    flat, before = re.sub(r"\\.|\[[^\]]*\]", "x", pattern), ""
    while flat != before:
        before, flat = (
            flat,
            _GROUP.sub(lambda group: "\0" if _REPEATS.search(group[1]) else "x", flat),
        )
        if re.search(r"\0[*+{]", flat):
            return True
    return False


def _named(chosen: Selector | str, names: Collection[str]) -> Iterator[str]:
    if isinstance(chosen, str):
        yield from (chosen,) if chosen in names else ()
    else:
        yield from (name for name in names if chosen.takes(name, {}))


def _parent(
    member: str, around: list[str], tiers: Mapping[str, int], problems: list[Problem]
) -> str | None:
    """The HyperNode around another: of a higher tier, the closest; the first by name among equals."""
    higher = sorted({n for n in around if tiers[n] > tiers[member]}, key=lambda n: (tiers[n], n))
    for name in sorted(set(around) - set(higher)):
        message = f"{name} has it as a member and is of no higher tier; that is not used"
        problems.append(_problem(member, "spec.tier", message))
    if len(higher) > 1 and tiers[higher[0]] == tiers[higher[1]]:
        message = f"is a member of {higher[0]} and {higher[1]}; {higher[0]} counts"
        problems.append(_problem(member, "spec.members", message))
    return higher[0] if higher else None


def _level(spec: Object, tier: int) -> str:
    name = text(spec.get("tierName"))
    return level_name(name) if name else f"tier-{tier}"


def _path(
    name: str, outer: Mapping[str, str | None], levels: Mapping[str, str]
) -> tuple[PathStep, ...]:
    steps: list[PathStep] = []
    at: str | None = name
    while at is not None:  # ends, since tiers grow on the way out
        if all(step.level != levels[at] for step in steps):
            steps.append(PathStep(level=levels[at], key="HyperNode", value=at))
        at = outer.get(at)
    return tuple(reversed(steps))


def _problem(name: str, field: str, message: str) -> Problem:
    return Problem(subject=f"HyperNode {name}", field=field, message=message)
