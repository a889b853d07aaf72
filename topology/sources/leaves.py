"""Leaf groups: on a rail-optimised network a node hangs on several leaf switches, one for each rail.

A group is the nodes with the same set of leaves. A node with fewer of them (a dead port, an adapter without a
name) belongs to the group whose leaves include all of its own, if only one does (facts, section 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def missing(own: Leaves, group: Mapping[Leaves, Leaves]) -> Leaves:
    """The leaves of its group on which a node does not hang."""
    return group.get(own, own) - own
