"""Exact counting over the tree: the best places for *one* gang, everybody else fixed.

For every domain and every number of members per role, ``Table`` holds the least cost of standing exactly so
many members in that domain. A host is a look at its free resources; a domain is the (min, +) convolution of
its children, done pairwise for all domains of a level at once; its own costs (a domain more, an idle domain
opened) are added on top, and numbers that a slice or a required level forbids get infinite cost. The costs
of all entries from ``spread`` on are packed into one integer whose order is their lexicographic order, so the
result is the exact optimum, for mixed roles too, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scheduler.match import BoolArray, IntArray
from scheduler.solve.ground import Ground
from scheduler.solve.problem import Form, GangRow, Problem, Role, Together

_Number = TypeVar("_Number", np.int64, np.bool_)

INFINITE = np.int64(1 << 60)
"""Cost of what is not possible; two of them still fit in 63 bits."""
_MOST = 1 << 58
MAX_STATES = 4096
"""Combinations of member counts per role that a table may hold."""


@dataclass(frozen=True, slots=True)
class _Round:
    """One pairwise merge: ``left[i]`` and ``right[i]`` (-1: none) of ``before`` made row i."""

    before: IntArray
    left: IntArray
    right: IntArray


@dataclass(frozen=True, slots=True)
class _Level:
    domains: IntArray
    """Domain number of each row."""
    cost: IntArray
    """Shape (rows, counts of role 0, counts of role 1, ...)."""
    rounds: tuple[_Round, ...]
    starts: IntArray
    """First row of each domain's children in the finer level."""


class Table:
    """All best costs of one gang under one option; ``masks`` and ``limits`` are per role of its form."""

    def __init__(
        self,
        problem: Problem,
        gang: GangRow,
        form: Form,
        ground: Ground,
        masks: Sequence[BoolArray],
        limits: Sequence[int],
        together: Sequence[Together] = (),
    ) -> None:
        self._problem, self._form, self._ground = problem, form, ground
        self._roles: list[Role] = [problem.roles[index] for index in form.roles]
        self._spread = gang.spread
        nodes = len(problem.free)
        self._reads = gang.load.reads if gang.load is not None else np.zeros(nodes, dtype=bool)
        self._limits, self._together = tuple(limits), tuple(together)
        self._masks = masks
        self._shares = ground.shares(gang) if gang.spread is not None else {}
        self._running = [self._running_in(depth) for depth in range(len(problem.levels))]
        active = np.zeros(len(problem.free), dtype=bool)
        for role, mask, limit in zip(self._roles, masks, limits, strict=True):
            if limit:
                active |= problem.capacity(role, ground.free, mask) > 0
            active[list(role.running)] = True
        self._nodes = np.flatnonzero(active)
        self.exact = self._cards_agree()
        self._weigh()
        self._levels: dict[int, _Level] = {}
        if len(self._nodes):
            self._fill()

    def _cards_agree(self) -> bool:
        """Whether a role takes cards on all of its nodes or on none, as the cost of opening assumes."""
        seen = [role.cards[mask] > 0 for role, mask in zip(self._roles, self._masks, strict=True)]
        self._carded = tuple(bool(cards.any()) for cards in seen)
        return all(
            bool(cards.all()) == some
            for cards, some in zip(seen, self._carded, strict=True)
            if len(cards)
        )

    def _running_in(self, depth: int) -> IntArray:
        """Shape (roles, domains): running members in each domain."""
        domains = len(self._problem.known[depth])
        counts = np.zeros((len(self._roles), domains), dtype=np.int64)
        for index, role in enumerate(self._roles):
            for node, count in role.running.items():
                counts[index, self._problem.domain_of[depth, node]] += count
        return counts

    def _weigh(self) -> None:
        """Weights of spread, used, transfer, fetch, opened, broken and left: one sum keeps their order."""
        problem, most = self._problem, sum(self._limits)
        depths = range(len(problem.levels))
        spare = np.sort(self._ground.left[self._nodes])[::-1][:most]
        cards = max((int(role.cards.max(initial=0)) for role in self._roles), default=0)
        weight = int(spare.sum()) + 2 * most * cards + 1
        self._groups = weight
        whole = problem.whole(self._ground.free[self._nodes], self._nodes.tolist())
        weight *= int(np.sort(whole)[::-1][:most].sum()) + 1
        opened, used = [0] * len(depths), [0] * len(depths)
        for depth in reversed(depths):
            opened[depth] = weight
            domains = np.unique(problem.domain_of[depth][self._nodes])
            weight *= min(most, int(problem.idle[depth][domains].sum())) + 1
        self._fetch_weight = weight
        weight *= min(most, int(self._reads[self._nodes].sum())) + 1
        self._transfer_weight = weight
        weight *= sum(problem.leaving) * self._decoding() + 1
        for depth in reversed(depths):
            used[depth] = weight
            weight *= min(most, len(np.unique(problem.domain_of[depth][self._nodes]))) + 1
        self._share_weight = weight
        total = weight * (1 + sum(self._shares.values()) * bool(self._shares))
        # An order that does not fit in an integer loses its least important entries, and the proof.
        self._scale = max(1, -(-total // _MOST))
        self.exact &= self._scale == 1
        self._opened, self._used = opened, used

    def _packed(self, weight: int) -> int:
        return weight // self._scale

    def _fill(self) -> None:
        problem, last = self._problem, len(self._problem.levels) - 1
        cost = self._hosts()
        domains = problem.domain_of[last][self._nodes]
        cost = self._constrained(last, domains, cost)
        self._levels[last] = _Level(domains, cost, (), np.arange(len(domains)))
        for depth in range(last - 1, -2, -1):
            # Rows of a level are in tree order, so the children of a domain are neighbours.
            first = self._first(depth + 1)
            parents = (
                problem.domain_of[depth][first]
                if depth >= 0
                else np.zeros(len(first), dtype=np.int64)
            )
            cost, rounds, starts = _merge(cost, parents, self._limits)
            domains = parents[starts]
            if depth >= 0:
                cost = self._constrained(depth, domains, cost)
            self._levels[depth] = _Level(domains, cost, rounds, starts)

    def _first(self, depth: int) -> IntArray:
        """A node of each row's domain."""
        return np.searchsorted(self._problem.domain_of[depth], self._levels[depth].domains)

    def _hosts(self) -> IntArray:
        """Shape (nodes, counts ...): cost of groups broken and cards left on each host, infinite where it
        does not fit."""
        problem, nodes = self._problem, self._nodes
        widths = []
        for role, mask, limit in zip(self._roles, self._masks, self._limits, strict=True):
            room = problem.capacity(role, self._ground.free, mask)[nodes]
            widths.append(min(limit, int(room.max(initial=0))) + 1)
        grid = np.indices(widths).reshape(len(widths), -1)
        needs = np.array([role.request for role in self._roles]).T @ grid
        free = self._ground.free[nodes]
        bad = np.zeros((len(nodes), grid.shape[1]), dtype=bool)
        for resource, need in enumerate(needs):
            if need.any():
                bad |= need[None, :] > free[:, resource, None]
        cost = np.where(np.logical_or.reduce(grid > 0)[None, :], self._ground.left[nodes, None], 0)
        for index, (role, mask) in enumerate(zip(self._roles, self._masks, strict=True)):
            bad |= ~mask[nodes, None] & (grid[index] > 0)[None, :]
            cost = cost - role.cards[nodes, None] * grid[index][None, :]
        for one, other in self._apart_on_hosts():
            both = grid[one] > 1 if one == other else (grid[one] > 0) & (grid[other] > 0)
            bad |= both[None, :]
        cost = cost + self._broken(needs) * self._groups
        if self._scale > 1:
            cost = cost // self._scale
        return np.where(bad, INFINITE, cost).reshape(len(nodes), *widths)

    def _broken(self, needs: IntArray) -> IntArray:
        """Shape (nodes, combinations): groups of cards that are no longer wholly free on each host, for
        ``needs`` of shape (resources, combinations)."""
        lost = np.zeros((len(self._nodes), needs.shape[1]), dtype=np.int64)
        for group in self._problem.groups:
            at = group.nodes[self._nodes]
            rows = self._ground.free[self._nodes[at]]
            before = {index: rows[:, index, None] for index, _ in group.units}
            after = {index: rows - needs[index] for index, rows in before.items()}
            lost[at] += group.whole(before) - group.whole(after)
        return lost

    def _apart_on_hosts(self) -> Iterator[tuple[int, int]]:
        at = {index: position for position, index in enumerate(self._form.roles)}
        for rule in self._problem.apart:
            if rule.left in at and rule.right in at and rule.single:
                yield at[rule.left], at[rule.right]

    def _constrained(self, depth: int, domains: IntArray, cost: IntArray) -> IntArray:
        return _capped(cost + self.own_cost(depth, domains, cost.shape[1:]))

    def own_cost(self, depth: int, domains: IntArray, widths: Sequence[int]) -> IntArray:
        """What it costs that the domains themselves hold so many members; shape (domains, *widths)."""
        problem = self._problem
        grid = np.indices(widths)
        running = self._running[depth][:, domains]
        here = running.sum(axis=0)
        enter = np.where(here == 0, self._packed(self._used[depth]), 0)
        if depth == self._spread and self._shares:
            shares = np.array([self._shares.get(int(d), 0) for d in domains], dtype=np.int64)
            enter = enter + np.where(here == 0, shares * self._packed(self._share_weight), 0)
        cost = _tall(enter, grid) * np.logical_or.reduce(grid > 0)[None]
        if self._form.decode:
            far = self._packed(self._transfer_weight) * problem.leaving[depth]
            cost = cost + self._transfers(running, grid) * far
        if depth == len(problem.levels) - 1 and self._reads.any():
            # Host domains have the numbers of their nodes.
            fetch = self._reads[domains] * self._packed(self._fetch_weight)
            loading = [grid[i] > 0 for i in self._positions(self._form.loads)]
            cost = cost + _tall(fetch, grid) * np.logical_or.reduce(loading)[None]
        carded = [grid[i] > 0 for i, takes in enumerate(self._carded) if takes]
        if carded:
            opened = self._ground.idle[depth][domains] * self._packed(self._opened[depth])
            cost = cost + _tall(opened, grid) * np.logical_or.reduce(carded)[None]
        bad = np.zeros(cost.shape, dtype=bool)
        known = _tall(problem.known[depth][domains], grid)
        for index, role in enumerate(self._roles):
            for level, size in role.slices:
                if level == depth:
                    total = _tall(running[index], grid) + grid[index][None]
                    bad |= (total % size != 0) | (~known & (total > 0))
        for rule in self._together:
            if rule.depth == depth:
                bad |= self._torn(rule, running, known, grid)
        return np.where(bad, INFINITE, cost)

    def _positions(self, roles: Sequence[int]) -> list[int]:
        return [i for i, index in enumerate(self._form.roles) if index in roles]

    def _decoding(self) -> int:
        """The most decode members that there can be, running ones included."""
        mine = self._positions(self._form.decode)
        return sum(self._limits[i] + sum(self._roles[i].running.values()) for i in mine)

    def _transfers(self, running: IntArray, grid: IntArray) -> IntArray:
        """Decode members of each domain when it holds no prefill member, else 0."""
        first, second = self._positions(self._form.prefill), self._positions(self._form.decode)
        near = _tall(running[first].sum(axis=0), grid) + grid[first].sum(axis=0)[None]
        members = _tall(running[second].sum(axis=0), grid) + grid[second].sum(axis=0)[None]
        return np.where(near == 0, members, 0)

    def _torn(
        self, rule: Together, running: IntArray, known: BoolArray, grid: IntArray
    ) -> BoolArray:
        mine = self._positions(rule.roles)
        inside = _tall(running[mine].sum(axis=0), grid)
        everyone = sum(sum(self._roles[i].running.values()) for i in mine)
        members = grid[mine].sum(axis=0)[None]
        all_new = sum(self._limits[i] for i in mine)
        whole = (members == all_new) & (inside == everyone)
        none = (members == 0) & (inside == 0)
        # What concerns all roles is met by the choice of the domain in ``best``.
        bad: BoolArray = (
            ~(whole | none) if len(mine) < len(self._roles) else np.zeros(whole.shape, bool)
        )
        if rule.known:
            bad |= ~known & ((members > 0) | (inside > 0))
        return bad

    def best(self, depth: int, counts: Sequence[int]) -> tuple[int, int] | None:
        """Least cost of standing exactly ``counts`` in one domain of ``depth`` (-1: anywhere), with that
        domain's row; None when it is not possible."""
        level = self._levels.get(depth)
        if level is None or any(c >= w for c, w in zip(counts, level.cost.shape[1:], strict=True)):
            return None
        at: tuple[int | slice, ...] = (slice(None), *counts)
        cost = level.cost[at].copy()
        widths = [count + 1 for count in counts]
        for outer in range(depth):
            ancestors = self._problem.domain_of[outer][self._first(depth)]
            cost += self.own_cost(outer, ancestors, widths)[at]
        cost = _capped(cost)
        if depth >= 0:
            inside = self._running[depth][:, level.domains].sum(axis=0)
            cost[inside != sum(sum(role.running.values()) for role in self._roles)] = INFINITE
        row = int(cost.argmin()) if len(cost) else 0
        return (int(cost[row]), row) if len(cost) and cost[row] < INFINITE else None

    def places(self, depth: int, row: int, counts: Sequence[int]) -> list[dict[int, int]]:
        """The nodes behind ``best``: for each role node -> members."""
        found: list[dict[int, int]] = [{} for _ in self._roles]
        last = len(self._problem.levels) - 1
        todo = [(depth, row, tuple(counts))]
        while todo:
            at, row, counts = todo.pop()
            if not any(counts):
                continue
            if at == last:
                node = int(self._nodes[row])
                for role, count in enumerate(counts):
                    if count:
                        found[role][node] = count
                continue
            todo += [(at + 1, child, share) for child, share in self._split(at, row, counts)]
        return [dict(sorted(places.items())) for places in found]

    def _split(
        self, depth: int, row: int, counts: tuple[int, ...]
    ) -> list[tuple[int, tuple[int, ...]]]:
        rows = [(row, counts)]
        for turn in reversed(self._levels[depth].rounds):
            rows = [part for row, share in rows for part in _parts(turn, row, share)]
        return rows


def _tall(column: npt.NDArray[_Number], grid: IntArray) -> npt.NDArray[_Number]:
    """A value per domain, to be combined with tables of shape (domains, counts ...)."""
    return column.reshape(-1, *(1,) * (grid.ndim - 1))


def _merge(
    cost: IntArray, parents: IntArray, limits: Sequence[int]
) -> tuple[IntArray, tuple[_Round, ...], IntArray]:
    """Combine the rows of equal ``parents`` (neighbours) pairwise until one row is left of each."""
    rounds: list[_Round] = []
    starts = np.flatnonzero(np.r_[True, parents[1:] != parents[:-1]])
    while len(cost) > len(starts):
        first = np.flatnonzero(np.r_[True, parents[1:] != parents[:-1]])
        position = np.arange(len(parents)) - np.repeat(first, np.diff(np.r_[first, len(parents)]))
        left = np.flatnonzero(position % 2 == 0)
        follower = np.minimum(left + 1, len(parents) - 1)
        paired = (left + 1 < len(parents)) & (parents[follower] == parents[left])
        rounds.append(_Round(cost, left, np.where(paired, left + 1, -1)))
        joined = _convolve(cost[left[paired]], cost[left[paired] + 1], limits)
        merged = np.full((len(left), *joined.shape[1:]), INFINITE)
        merged[paired] = joined
        single = tuple(slice(width) for width in cost.shape[1:])
        merged[(~paired, *single)] = cost[left[~paired]]
        cost, parents = merged, parents[left]
    return cost, tuple(rounds), starts


def _convolve(one: IntArray, other: IntArray, limits: Sequence[int]) -> IntArray:
    widths = [
        min(limit + 1, a + b - 1)
        for limit, a, b in zip(limits, one.shape[1:], other.shape[1:], strict=True)
    ]
    result = np.full((len(one), *widths), INFINITE)
    for share in np.ndindex(*other.shape[1:]):
        spans = [
            min(a, width - s) for a, width, s in zip(one.shape[1:], widths, share, strict=True)
        ]
        if any(span <= 0 for span in spans):
            continue
        target = result[
            (slice(None), *(slice(s, s + n) for s, n in zip(share, spans, strict=True)))
        ]
        added = other[(slice(None), *share)].reshape(-1, *(1,) * len(spans))
        np.minimum(target, one[(slice(None), *(slice(n) for n in spans))] + added, out=target)
    return _capped(result)


def _capped(cost: IntArray) -> IntArray:
    """What contains an infinite part is infinite again (costs of cards may be negative)."""
    return np.where(cost > _MOST, INFINITE, cost)


def _parts(turn: _Round, row: int, counts: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """How the best cost of a merged row came about; the first child takes as many as it can."""
    left, right = int(turn.left[row]), int(turn.right[row])
    if right < 0:
        return [(left, counts)]
    one, other = turn.before[left], turn.before[right]
    options = []
    for share in np.ndindex(*(min(c + 1, w) for c, w in zip(counts, other.shape, strict=True))):
        rest = tuple(c - s for c, s in zip(counts, share, strict=True))
        if all(r < w for r, w in zip(rest, one.shape, strict=True)):
            options.append((int(one[rest]) + int(other[share]), share, rest))
    _, share, rest = min(options)
    return [(left, rest), (right, share)]
