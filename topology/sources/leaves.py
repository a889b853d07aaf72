"""Leaf groups: on a rail-optimised network a node hangs on several leaf switches, one for each rail.

A group is the nodes with the same set of leaves. A node with fewer of them (a dead port, an adapter without a
name) belongs to the group whose leaves include all of its own, if only one does (facts, section 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from topology.fabric import set_name
from topology.model import PathStep, Problem
from topology.sources.survey import Position

Leaves = frozenset[str]


def groups(sets: Iterable[Leaves]) -> dict[Leaves, Leaves]:
    """Each set of leaves -> that of its group.

    Among the sets that include a set only those count that are in no other. Where several do, nobody can
    say which group is meant: the set is a group of its own.
    """
    distinct = sorted(set(sets), key=lambda each: (-len(each), sorted(each)))
    with_leaf: dict[str, list[Leaves]] = {}
    found: dict[Leaves, Leaves] = {}
    for each in distinct:  # larger ones first
        rarest = min((with_leaf.get(leaf, []) for leaf in each), key=len, default=[])
        around = [whole for whole in rarest if each < whole]
        found[each] = around[0] if len(around) == 1 else each
        if not around:
            for leaf in each:
                with_leaf.setdefault(leaf, []).append(each)
    return found


def in_group(
    node: str,
    position: Position,
    own: Leaves,
    group: Leaves,
    above: Mapping[tuple[str, str], tuple[PathStep, ...]],
) -> Position:
    """The position of a node that hangs on ``own`` leaves and so stands in ``group``.

    ``above``: (source, leaf) -> the levels around it. A node that lacks leaves of its group has a Problem.
    """
    around: dict[str, set[str]] = {}
    for leaf in sorted(group):
        for step in above.get((position.source, leaf), ()):
            around.setdefault(step.level, set()).add(step.value)
    levels = {step.level: step for step in position.path}
    for level, values in {**around, "leaf": set(group)}.items():
        step = PathStep(level=level, key=position.source, value=set_name(values))
        levels.setdefault(level, step)
    problems = position.problems
    if own != group:
        lost = ", ".join(sorted(group - own))
        message = f"hangs on {len(own)} of the {len(group)} leaves of its group, not on {lost}"
        problems += (Problem(subject=f"Node {node}", field=position.source, message=message),)
    return replace(position, path=tuple(levels.values()), leaves=own, problems=problems)
