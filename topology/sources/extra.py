"""Levels that only gangs name: label keys that no hierarchy in use has, fitted into the order of levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from topology.model import Problem
from topology.sources import node_labels
from topology.sources.hierarchy import Labels, LevelKey

Path = Mapping[str, str]
"""Level -> value of one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The order of levels with the extra ones in it."""

    order: tuple[str, ...]
    extra: tuple[LevelKey, ...]
    problems: tuple[Problem, ...]


def fit(
    asked: Iterable[str], nodes: Sequence[Labels], paths: Sequence[Path], order: Sequence[str]
) -> Fitted:
    """Give each name of ``asked`` that some node has as a label a place in ``order``.

    ``paths`` are the known domains of ``nodes``. Fewer values stand further out; but a level never
    stands outside another whose domains it would cut, so what other gangs see does not change.
    """
    levels = list(order)
    known = [dict(path) for path in paths]
    problems: list[Problem] = []
    wanted = {key for name in asked if (key := _key_for(name, nodes, levels)) is not None}
    extra = sorted(wanted, key=lambda key: (len(_values(key, nodes)), key.level))
    for key in extra:
        position = max(_by_count(key, nodes, known, levels), _uncut(key, nodes, known, levels))
        if position and _spans(key, nodes, known, levels[:position]):
            problems.append(_spans_problem(key, levels[position - 1]))
        levels.insert(position, key.level)
        for path, labels in zip(known, nodes, strict=True):
            if value := key.value(labels):
                path[key.level] = value
    return Fitted(order=tuple(levels), extra=tuple(extra), problems=tuple(problems))


def keys(name: str) -> tuple[str, ...]:
    """The node labels that a level name or label key may mean, the best first."""
    return (name, *node_labels.keys_of(name))


def _key_for(name: str, nodes: Sequence[Labels], levels: Sequence[str]) -> LevelKey | None:
    """The label that a level name or label key means, when some node has it."""
    for key in keys(name):
        if any(key in labels for labels in nodes):
            level = node_labels.level_name(key)
            return LevelKey(level=key if level in levels else level, key=key)
    return None


def _values(key: LevelKey, nodes: Sequence[Labels]) -> set[str]:
    return {value for labels in nodes if (value := key.value(labels))}


def _identity(path: Path, levels: Sequence[str]) -> tuple[str, ...]:
    """The node's domain at the last of ``levels``."""
    return tuple(f"{level}={path[level]}" for level in levels if level in path)


def _by_count(
    key: LevelKey, nodes: Sequence[Labels], known: Sequence[Path], levels: Sequence[str]
) -> int:
    count = len(_values(key, nodes))
    position = len(levels)
    while position:
        inner = levels[:position]
        domains = {_identity(path, inner) for path in known if inner[-1] in path}
        if len(domains) <= count:
            break
        position -= 1
    return position


def _uncut(
    key: LevelKey, nodes: Sequence[Labels], known: Sequence[Path], levels: Sequence[str]
) -> int:
    """The outermost position at which no domain further in has nodes of two values."""
    for position in range(len(levels), 0, -1):
        value_in: dict[tuple[str, ...], str] = {}
        for path, labels in zip(known, nodes, strict=True):
            if levels[position - 1] in path:
                domain = _identity(path, levels[:position])
                if value_in.setdefault(domain, key.value(labels)) != key.value(labels):
                    return position
    return 0


def _spans(
    key: LevelKey, nodes: Sequence[Labels], known: Sequence[Path], outer: Sequence[str]
) -> bool:
    """Whether one value stands in several domains of the level around it."""
    place: dict[str, tuple[str, ...]] = {}
    for path, labels in zip(known, nodes, strict=True):
        if value := key.value(labels):
            domain = _identity(path, outer)
            if place.setdefault(value, domain) != domain:
                return True
    return False


def _spans_problem(key: LevelKey, outer: str) -> Problem:
    return Problem(
        subject=f"level {key.level}",
        field=key.key,
        message=f"its values stand in several domains of level {outer}; "
        f"a gang that asks for it stays in one {outer} as well",
    )
