"""What a vendor demands of the cards that one pod gets inside a node, and of the nodes of a gang.

A rule puts the cards of a node into *groups* (a ring, a wing, a module of two dies): group ``i`` holds the
cards ``i * group .. (i + 1) * group - 1``. What a pod asks for is one or more *items*, each of which must
lie inside one group. Which cards are free is known where the vendor publishes it; else every arrangement
of the items that run there is possible, and what is promised must hold in each of them.

Sizes of items are rounded up to powers of two when new pods are planned. Then each size divides the next,
and new items fit into groups with f_1, f_2, ... free cards exactly if, for every power of two s from 2 to the
size of a group, the items of at least s cards, counted in units of s, are no more than the sum of f_i // s
(and all cards together no more than are free). This is what lets the solver treat a rule as resources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_MOST_GROUPS = 64
"""Nodes with more groups, which no vendor builds, are not looked at arrangement by arrangement."""


class Wide(StrEnum):
    """What a request for more cards than a group has gets."""

    WHOLE = "whole"
    """Whole groups, if it is a multiple of them; else any cards."""
    EVEN = "even"
    """As few groups as hold it, equally many cards of each."""
    LOOSE = "loose"
    """Any cards."""


class Reach(StrEnum):
    """How far the members of a gang that take cards may stand from each other."""

    ANYWHERE = "anywhere"
    SCALE_UP = "scale-up"
    """In one known scale-up domain (super-pod)."""
    NODE = "node"
    """On one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRule:
    """A vendor's rule for one kind of node. The defaults restrict nothing."""

    counts: tuple[int, ...] = ()
    """Legal numbers of cards of one pod, ascending; empty: any number."""
    group: int = 1
    """Cards of a group, a power of two; 1: there are no groups."""
    noun: str = "group"
    """What the vendor calls a group."""
    wide: Wide = Wide.WHOLE
    whole_node: bool = False
    """Whether each member of a gang takes all cards of its node."""
    one_per_node: bool = False
    """Whether two members of one gang may not share a node."""
    reach: Reach = Reach.ANYWHERE

    def legal(self, installed: int, *, gang: bool) -> tuple[int, ...]:
        """The legal numbers of cards of a pod on a node with so many; empty: any. ``gang``: whether its
        gang has other members that take cards."""
        if gang and self.whole_node:
            return (installed,)
        return tuple(count for count in self.counts if count <= installed)

    def allows(self, count: int, installed: int, *, gang: bool) -> bool:
        """Whether a pod may ask for ``count`` cards there; 0 is always legal."""
        legal = self.legal(installed, gang=gang)
        return count == 0 or not (self.counts or legal) or count in legal

    def items(self, count: int) -> tuple[int, ...]:
        """What ``count`` cards of one pod consist of: numbers of cards, each inside one group."""
        if count <= self.group:
            return (count,) if count else ()
        groups = -(-count // self.group)
        if self.wide is Wide.EVEN and count % groups == 0:
            return (count // groups,) * groups
        if self.wide is Wide.WHOLE and count % self.group == 0:
            return (self.group,) * groups
        return (1,) * count

    @property
    def sizes(self) -> tuple[int, ...]:
        """The powers of two from 2 to ``group``: the units that items are counted in."""
        return tuple(1 << power for power in range(1, self.group.bit_length()))

    def needs(self, count: int) -> tuple[int, ...]:
        """For each of ``sizes``, how many units the items of at least that size are (rounded up)."""
        if count > self.group * _MOST_GROUPS:
            return (count,) * len(self.sizes)  # more than there can be
        items = [1 << (item - 1).bit_length() for item in self.items(count)]
        return tuple(sum(item // size for item in items if item >= size) for size in self.sizes)

    def groups(self, installed: int) -> tuple[int, ...]:
        """Cards of each group of an empty node; empty when there are too many to look at."""
        if installed > self.group * _MOST_GROUPS:
            return ()
        full, rest = divmod(installed, self.group)
        return (self.group,) * full + ((rest,) if rest else ())

    def room(self, free: Sequence[int], somewhere: Sequence[int]) -> tuple[int, ...]:
        """For each of ``sizes``, how many units there are in the groups in any case.

        ``free``: the cards of each group that nobody is known to hold. ``somewhere``: items that
        run there, or are promised a place, nobody knows in which group.
        """
        ends = arrangements(tuple(sorted(free)), tuple(sorted(somewhere, reverse=True)))
        return tuple(min(sum(n // size for n in end) for end in ends) for size in self.sizes)


@lru_cache(maxsize=4096)
def arrangements(free: tuple[int, ...], items: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
    """What may be free in the groups, sorted, after ``items`` took their places; one group each.

    Items that cannot lie so (somebody else's scheduler put them there) may lie anywhere, card by card. When
    there are more of them than cards, nothing is free.
    """
    if sum(items) >= sum(free):
        return frozenset({(0,) * len(free)})
    ends = {free}
    for item in items:
        ends = {
            tuple(sorted((*end[:i], end[i] - item, *end[i + 1 :])))
            for end in ends
            for i in range(len(end))
            if end[i] >= item
        }
    return frozenset(ends) if ends else arrangements(free, (1,) * sum(items))
