"""The tree of domains, with nodes in depth-first order so that every domain is a range of node indices.

    zone a                [0, 4)
      rack a/1            [0, 2)    n1 n2
      rack a/2            [2, 4)    n3 n4

The capacity of a domain is then a difference of prefix sums and membership is two comparisons.

Unknown levels: a node whose value at a level is unknown belongs, at that level, to the domain that is
implied by its closest *known* finer level; the host level is always known. Two nodes of one rack thus
share their (unnamed) block, and a node about which nothing is known shares no domain with anybody.
Such implied domains have ``known=False`` and cannot serve a *required* level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

import numpy as np
import numpy.typing as npt

from topology.model import HOST, Node

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain of one level: the half-open range ``[lo, hi)`` of node indices in tree order."""

    name: str
    """Values from the outermost known level, joined by ``/``; the node's name at the host level."""
    lo: int
    hi: int
    known: bool
    """False when no source names this domain (see the module's text)."""


NaturalKey = tuple[tuple[int, int, str], ...]


@lru_cache(maxsize=65536)
def natural_key(text: str) -> NaturalKey:
    """Sort key that puts ``n2`` before ``n10``; different texts have different keys."""
    parts = (part for part in re.split("([0-9]+)", text) if part)
    return (*map(_part_key, parts), (-1, 0, text))


def _part_key(part: str) -> tuple[int, int, str]:
    # Compared by length, then digit by digit: numbers of any size, without converting them.
    number = part.lstrip("0")
    return (0, len(number), number) if "0" <= part[0] <= "9" else (1, 0, part)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyTree:
    """Nodes of a fleet in depth-first order with the domains of each level.

    ``levels`` runs from the outermost to ``host``. ``domain_of`` has shape (levels, nodes) and holds, for
    each node, the index of its domain in ``domains[level]``.
    """

    levels: tuple[str, ...]
    nodes: tuple[str, ...]
    domains: tuple[tuple[Domain, ...], ...]
    # Follows from the domains; arrays have no truth value to compare by.
    domain_of: IntArray = field(compare=False)

    @classmethod
    def build(cls, nodes: Iterable[Node], levels: Sequence[str]) -> TopologyTree:
        """Build the tree of ``nodes`` over ``levels`` (outermost first, host excluded or last)."""
        names = (*(level for level in levels if level != HOST), HOST)
        located = sorted(
            ((_chain(node, names), node.name) for node in nodes),
            key=lambda item: (tuple(_chain_key(step) for step in item[0]), natural_key(item[1])),
        )
        domain_of = np.zeros((len(names), len(located)), dtype=np.int64)
        domains: list[tuple[Domain, ...]] = []
        for depth in range(len(names)):
            found: list[Domain] = []
            for identity, group in groupby(range(len(located)), key=lambda i: located[i][0][depth]):
                members = list(group)
                domain_of[depth, members[0] : members[-1] + 1] = len(found)
                found.append(
                    Domain(
                        name="/".join(value for _, value in identity),
                        lo=members[0],
                        hi=members[-1] + 1,
                        known=identity[-1][0] == names[depth],
                    )
                )
            domains.append(tuple(found))
        return cls(
            levels=names,
            nodes=tuple(name for _, name in located),
            domains=tuple(domains),
            domain_of=domain_of,
        )

    def depth(self, level: str) -> int:
        """Index of ``level`` in ``levels``. Raises ``ValueError`` when the tree has no such level."""
        return self.levels.index(level)

    def domain(self, level: str, node: int) -> Domain:
        """The domain of the node with tree index ``node`` at ``level``."""
        depth = self.depth(level)
        return self.domains[depth][int(self.domain_of[depth, node])]


_Identity = tuple[tuple[str, str], ...]


def _chain(node: Node, levels: Sequence[str]) -> tuple[_Identity, ...]:
    """The node's domain identity at each level; unknown levels take that of the next finer known one."""
    known = {step.level: step.value for step in node.path}
    steps: list[tuple[str, str]] = []
    at: list[_Identity | None] = []
    for level in levels[:-1]:
        if level in known:
            steps.append((level, known[level]))
            at.append(tuple(steps))
        else:
            at.append(None)
    # A host is named by itself: its name is unique in the cluster.
    finer: _Identity = ((HOST, node.name),)
    chain = [finer]
    for identity in reversed(at):
        finer = identity if identity is not None else finer
        chain.append(finer)
    return tuple(reversed(chain))


@lru_cache(maxsize=65536)
def _chain_key(identity: _Identity) -> tuple[tuple[str, NaturalKey], ...]:
    return tuple((level, natural_key(value)) for level, value in identity)
