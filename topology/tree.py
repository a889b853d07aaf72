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
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import TypeVar, overload

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains(Sequence[Domain]):
    """All domains of one level, in tree order; each is made when it is asked for."""

    names: tuple[str, ...] = ()
    known: tuple[bool, ...] = ()
    starts: tuple[int, ...] = ()
    """First node of each domain."""
    nodes: int = 0
    """How many nodes there are: where the last domain ends."""

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Domain: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Domain]: ...
    def __getitem__(self, index: int | slice) -> Domain | Sequence[Domain]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        last = at == len(self) - 1
        return Domain(
            name=self.names[at],
            lo=self.starts[at],
            hi=self.nodes if last else self.starts[at + 1],
            known=self.known[at],
        )


_Identity = tuple[tuple[str, str], ...]
"""(level, value) of a domain and of those around it, outermost first."""
_Chain = tuple[_Identity, ...]
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


_Order = tuple[tuple[tuple[tuple[str, NaturalKey], ...], ...], NaturalKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyTree:
    """Nodes of a fleet in depth-first order with the domains of each level.

    ``levels`` runs from the outermost to ``host``. ``domain_of`` has shape (levels, nodes) and holds, for
    each node, the index of its domain in ``domains[level]``.
    """

    levels: tuple[str, ...]
    nodes: tuple[str, ...]
    domains: tuple[Domains, ...]
    # Follows from the domains; arrays have no truth value to compare by.
    domain_of: IntArray = field(compare=False)
    chains: tuple[_Chain, ...] = field(compare=False, repr=False)
    """For each node the identities of its domains, outermost first."""
    order: tuple[_Order, ...] = field(compare=False, repr=False)
    """The keys by which nodes are sorted."""

    @classmethod
    def build(cls, nodes: Iterable[Node], levels: Sequence[str]) -> TopologyTree:
        """Build the tree of ``nodes`` over ``levels`` (outermost first, host excluded or last)."""
        names = (*(level for level in levels if level != HOST), HOST)
        located = sorted(
            ((_order(chain := _chain(node, names), node.name), node.name, chain) for node in nodes),
            key=itemgetter(0),
        )
        domain_of = np.zeros((len(names), len(located)), dtype=np.int64)
        domains: list[Domains] = []
        for depth, level in enumerate(names):
            identities: list[_Identity] = []
            starts: list[int] = []
            for identity, group in groupby(range(len(located)), key=lambda i: located[i][2][depth]):
                members = list(group)
                domain_of[depth, members[0] : members[-1] + 1] = len(starts)
                identities.append(identity)
                starts.append(members[0])
            domains.append(
                Domains(
                    names=tuple(map(_named, identities)),
                    known=tuple(identity[-1][0] == level for identity in identities),
                    starts=tuple(starts),
                    nodes=len(located),
                )
            )
        return cls(
            levels=names,
            nodes=tuple(name for _, name, _ in located),
            domains=tuple(domains),
            domain_of=domain_of,
            chains=tuple(chain for _, _, chain in located),
            order=tuple(key for key, _, _ in located),
        )

    def with_nodes(self, changed: Mapping[str, Node | None]) -> TopologyTree:
        """The tree in which these nodes stand as they do now, or are no more (None).

        Equal to what ``build`` makes of all nodes, at the cost of copying the arrays.
        """
        tree = self
        for name in sorted(changed):
            node = changed[name]
            if name in tree.nodes:
                tree = tree._without(tree.nodes.index(name))
            if node is not None:
                tree = tree._with(node)  # noqa: SLF001 - its own class
        return tree

    def _without(self, at: int) -> TopologyTree:
        domain_of = np.delete(self.domain_of, at, axis=1)
        domains = []
        for depth, level in enumerate(self.domains):
            home = int(self.domain_of[depth, at])
            kept = level[home].hi - level[home].lo > 1
            first = home + 1
            rest = tuple(start - 1 for start in level.starts[first:])
            keep = first if kept else home
            if not kept:
                domain_of[depth, at:] -= 1
            domains.append(
                Domains(
                    names=level.names[:keep] + level.names[first:],
                    known=level.known[:keep] + level.known[first:],
                    starts=level.starts[:keep] + rest,
                    nodes=level.nodes - 1,
                )
            )
        return replace(
            self,
            nodes=_cut(self.nodes, at),
            domains=tuple(domains),
            domain_of=domain_of,
            chains=_cut(self.chains, at),
            order=_cut(self.order, at),
        )

    def _with(self, node: Node) -> TopologyTree:
        chain = _chain(node, self.levels)
        key = _order(chain, node.name)
        at = bisect_left(self.order, key)
        domain_of = np.insert(self.domain_of, at, 0, axis=1)
        domains = []
        for depth, level in enumerate(self.domains):
            home, shared = self._home(depth, at, chain[depth])
            domain_of[depth, at] = home
            first = home + 1 if shared else home
            rest = tuple(start + 1 for start in level.starts[first:])
            fresh = () if shared else (chain[depth],)
            if not shared:
                domain_of[depth, at + 1 :] += 1
            domains.append(
                Domains(
                    names=level.names[:first] + tuple(map(_named, fresh)) + level.names[first:],
                    known=level.known[:first]
                    + tuple(each[-1][0] == self.levels[depth] for each in fresh)
                    + level.known[first:],
                    starts=level.starts[:first] + tuple(at for _ in fresh) + rest,
                    nodes=level.nodes + 1,
                )
            )
        return replace(
            self,
            nodes=(*self.nodes[:at], node.name, *self.nodes[at:]),
            domains=tuple(domains),
            domain_of=domain_of,
            chains=(*self.chains[:at], chain, *self.chains[at:]),
            order=(*self.order[:at], key, *self.order[at:]),
        )

    def _home(self, depth: int, at: int, identity: _Identity) -> tuple[int, bool]:
        """The domain of a node that comes to stand at ``at``, and whether it exists."""
        for beside in (at - 1, at):
            if 0 <= beside < len(self.nodes) and self.chains[beside][depth] == identity:
                return int(self.domain_of[depth, beside]), True
        return (int(self.domain_of[depth, at - 1]) + 1 if at else 0), False

    def depth(self, level: str) -> int:
        """Index of ``level`` in ``levels``. Raises ``ValueError`` when the tree has no such level."""
        return self.levels.index(level)

    def domain(self, level: str, node: int) -> Domain:
        """The domain of the node with tree index ``node`` at ``level``."""
        depth = self.depth(level)
        return self.domains[depth][int(self.domain_of[depth, node])]


def _chain(node: Node, levels: Sequence[str]) -> _Chain:
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


def _named(identity: _Identity) -> str:
    return "/".join(value for _, value in identity)


_T = TypeVar("_T")


def _cut(values: tuple[_T, ...], at: int) -> tuple[_T, ...]:
    return values[:at] + values[at + 1 :]


def _order(chain: _Chain, name: str) -> _Order:
    return tuple(_chain_key(step) for step in chain), natural_key(name)


@lru_cache(maxsize=65536)
def _chain_key(identity: _Identity) -> tuple[tuple[str, NaturalKey], ...]:
    return tuple((level, natural_key(value)) for level, value in identity)
