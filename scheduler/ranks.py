"""Rank order: who of a gang stands on which of its nodes, so that neighbours in rank are near. Pure.

The solver decides how many members of each role stand on each node; here the ranks are dealt out. A *chain*
is members in the order of their ranks (a leader, then its workers); an edge joins neighbours, and the last
with the first where traffic goes round in a ring. An edge *crosses* a level when its two ends share no domain
of it. Crossings are least at the outermost level, then at the next, down to hosts. Members that run keep
their places.

With one free stretch of a chain the answer is exact: domain by domain, beginning where the member before it
stands and ending where the one behind stands, which is the least at every level at once. Dealing nodes out to
several stretches between running members is bin packing; small cases are searched (``_MAX_WAYS``), large ones
are dealt nearest first.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

from scheduler.model import PodSet

Path = tuple[int, ...]
"""The domains of a node, outermost first, the host last."""
_SIDE = re.compile(r"(^|-)(leader|worker)(-\d+)?$")
"""What tells leaders and workers (of a subgroup) of one stem apart."""
_LEADER = "leader"
_MAX_WAYS = 64
"""Ways to take some of the places, up to which the best way to deal them out is searched."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One member of a chain; ``node`` is where it runs, None where it is to get a place."""

    pool: int
    """Whose places it gets: those of its PodSet, or of several that are interchangeable."""
    node: int | None = None
    role: int = 0
    """Index of its PodSet."""
    rank: int = 0
    """Within its PodSet."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring seats without a node: indices into the chains, and where those beside them stand."""

    seats: tuple[tuple[int, int], ...]
    left: Path | None
    right: Path | None


def stem(role: str) -> str:
    """What the roles of one chain have in common: ``prefill`` of ``prefill-leader``, "" of ``worker``."""
    return _SIDE.sub("", role)


def chains_of(
    podsets: Sequence[PodSet], pools: Sequence[int], new: Sequence[int], index: Mapping[str, int]
) -> list[list[Seat]]:
    """The chains of a gang whose PodSets get so many ``new`` members, the first that are pending.

    ``pools``: of each PodSet; ``index``: node -> number. Leaders and workers of one stem are a chain; where
    there are several leaders, and as many workers for each, every leader begins one with its own workers,
    since replicas do not send to each other.
    """
    stems: dict[str, list[int]] = {}
    for role, podset in enumerate(podsets):
        stems.setdefault(stem(podset.role), []).append(role)
    found: dict[tuple[str, int], list[Seat]] = {}
    for name, roles in stems.items():
        sets = [podsets[role] for role in roles]
        replicas = _size(sets[0]) if len(sets) > 1 and sets[0].role.endswith(_LEADER) else 1
        # Slices are about adjacent ranks of all replicas.
        if any(_size(one) % replicas or one.slices for one in sets):
            replicas = 1
        for role, podset in zip(roles, sets, strict=True):
            each = _size(podset) // replicas
            for rank, node in _standing(podset, new[role], index):
                seat = Seat(pools[role], node, role, rank)
                found.setdefault((name, rank // each), []).append(seat)
    return list(found.values())


def _size(podset: PodSet) -> int:
    return max(podset.size, len(podset.members), 1)


def _standing(
    podset: PodSet, new: int, index: Mapping[str, int]
) -> Iterator[tuple[int, int | None]]:
    """Rank and node of the members that run somewhere known (node), or get a place (None)."""
    for at, member in enumerate(podset.members):
        if member.node is None and new:
            new -= 1
            yield at, None
        elif member.node is not None and member.node in index:
            yield at, index[member.node]


def seated(
    paths: Mapping[int, Path],
    chains: Sequence[Sequence[Seat]],
    places: Mapping[int, Sequence[int]],
    *,
    ring: bool = False,
) -> list[list[int]]:
    """The node of every seat; each pool's ``places`` (nodes) are as many as its free seats.

    ``paths`` are those of all nodes concerned; ``ring``: the ends of each chain are neighbours, too.
    """
    nodes: list[list[int | None]] = [[seat.node for seat in chain] for chain in chains]
    for pool in dict.fromkeys(seat.pool for chain in chains for seat in chain):
        runs = list(_runs(paths, chains, nodes, pool, ring=ring))
        node_of = {paths[node]: node for node in places.get(pool, ())}
        found = sorted(paths[node] for node in places.get(pool, ()))
        for run, share in zip(runs, _dealt(runs, found), strict=True):
            row = _arranged(share, run.left, run.right)
            for (number, at), path in zip(run.seats, row, strict=True):
                nodes[number][at] = node_of[path]
    return [[node for node in chain if node is not None] for chain in nodes]


def crossings(
    paths: Mapping[int, Path], chain: Sequence[int], *, ring: bool = False
) -> tuple[int, ...]:
    """How many edges of a chain of nodes cross each level, outermost first; empty without an edge."""
    edges = list(pairwise(chain))
    if ring and len(chain) > 2:  # two members are neighbours once
        edges.append((chain[-1], chain[0]))
    return _counted([(paths[one], paths[other]) for one, other in edges])


def _runs(
    paths: Mapping[int, Path],
    chains: Sequence[Sequence[Seat]],
    nodes: Sequence[Sequence[int | None]],
    pool: int,
    *,
    ring: bool,
) -> Iterator[_Run]:
    """The free stretches of a pool's seats."""
    for number, (chain, taken) in enumerate(zip(chains, nodes, strict=True)):
        free = [s.pool == pool and node is None for s, node in zip(chain, taken, strict=True)]
        size = len(chain)
        # In a ring a stretch may go over the end: begin behind a seat that is not free.
        start = next((i + 1 for i in range(size) if not free[i]), 0) if ring else 0
        order = [(start + i) % size for i in range(size)]
        for first, last in _stretches([free[i] for i in order]):
            before = order[first - 1] if first or ring else None
            after = order[(last + 1) % size] if last + 1 < size or ring else None
            ends = [taken[i] if i is not None else None for i in (before, after)]
            left, right = (None if node is None else paths[node] for node in ends)
            yield _Run(tuple((number, order[i]) for i in range(first, last + 1)), left, right)


def _stretches(free: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First and last index of each stretch of true values."""
    first = None
    for index, value in enumerate((*free, False)):
        if value and first is None:
            first = index
        elif not value and first is not None:
            yield first, index - 1
            first = None


def _dealt(runs: Sequence[_Run], places: Sequence[Path]) -> list[list[Path]]:
    """The sorted places of each run, so that all runs together cross least."""
    if len(runs) < 2:
        return [list(places)] * len(runs)
    kinds = Counter(places)
    ways = 1
    for count in kinds.values():
        ways *= count + 1
    if ways <= _MAX_WAYS:
        return _searched(runs, kinds)
    return _nearest(runs, places)


def _searched(runs: Sequence[_Run], kinds: Mapping[Path, int]) -> list[list[Path]]:
    """The best of all ways to deal the places out."""
    names = sorted(kinds)

    @cache
    def best(at: int, left: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Crossings of the runs from ``at`` on with these places ``left``, and what each takes."""
        if at == len(runs):
            return (), ()
        run, found = runs[at], []
        for share in _shares(left, len(run.seats)):
            own = _cost(run, _expanded(names, share))
            rest, others = best(at + 1, tuple(a - b for a, b in zip(left, share, strict=True)))
            total = tuple(a + b for a, b in zip(own, rest, strict=True)) if rest else own
            found.append((total, (share, *others)))
        # Of equally good ways the one in which the first seats get the first places.
        return min(found, key=lambda one: (one[0], [[-n for n in share] for share in one[1]]))

    _, shares = best(0, tuple(kinds[name] for name in names))
    return [_expanded(names, share) for share in shares]


def _shares(left: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    """All ways to take ``size`` of the places."""
    ranges = (range(count + 1) for count in left)
    return (share for share in product(*ranges) if sum(share) == size)


def _expanded(names: Sequence[Path], share: Iterable[int]) -> list[Path]:
    return [name for name, count in zip(names, share, strict=True) for _ in range(count)]


def _cost(run: _Run, share: Sequence[Path]) -> tuple[int, ...]:
    """Crossings of a run with the edges to those beside it."""
    row = [run.left, *_arranged(share, run.left, run.right), run.right]
    stops = [path for path in row if path is not None]
    return _counted(list(pairwise(stops)))


def _counted(edges: Sequence[tuple[Path, Path]]) -> tuple[int, ...]:
    levels = range(len(edges[0][0])) if edges else ()
    return tuple(sum(one[level] != other[level] for one, other in edges) for level in levels)


def _nearest(runs: Sequence[_Run], places: Sequence[Path]) -> list[list[Path]]:
    """Places dealt out run by run, the longest first: the nearest to its ends or to the one just taken."""
    left, shares = list(places), {}
    for index in sorted(range(len(runs)), key=lambda i: (-len(runs[i].seats), i)):
        run = runs[index]
        share: list[Path] = []
        ends = [path for path in (run.left, run.right) if path is not None]
        for _ in run.seats:
            stops = [*ends, *share[-1:]] or left[:1]
            # What is nearest to a path stands beside it in the sorted list.
            _, _, at = max(
                (_shared(left[at], stop), -at, at)
                for stop in stops
                for at in range(bisect_left(left, stop) - 1, bisect_left(left, stop) + 1)
                if 0 <= at < len(left)
            )
            share.append(left.pop(at))
        shares[index] = sorted(share)
    return [shares[index] for index in range(len(runs))]


def _shared(one: Path, other: Path) -> int:
    """Levels at which two nodes share a domain."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def _arranged(
    places: Sequence[Path], left: Path | None, right: Path | None, depth: int = 0
) -> list[Path]:
    """Sorted places between two neighbours (None: an end), with the fewest crossings at every level."""
    first, second = _split(places, left, right, depth)
    return first + second


def _split(
    places: Sequence[Path], left: Path | None, right: Path | None, depth: int
) -> tuple[list[Path], list[Path]]:
    """The same in two parts, between which an excursion may go on that crosses this level anyhow."""
    if not places or depth == len(places[0]):
        return list(places), []
    home, end = (None if path is None else path[depth] for path in (left, right))
    if home is not None and home == end:
        inside = [path for path in places if path[depth] == home]
        outside = [path for path in places if path[depth] != home]
        first, second = _split(inside, left, right, depth + 1)
        return first + outside, second
    first = _arranged([p for p in places if p[depth] == home], left, None, depth + 1)
    between = [path for path in places if path[depth] not in (home, end)]
    second = _arranged([p for p in places if p[depth] == end], None, right, depth + 1)
    return first + between, second
