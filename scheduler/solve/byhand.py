"""Places for a gang that counting cannot settle: rules about its own members, or too many combinations.

Role by role, each inside one domain of the gang's required level if it has one: plain roles are
counted, roles with rules about other pods are placed member by member. Sound, since the caller checks
the answer, but not exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from scheduler.match import BoolArray
from scheduler.solve import rules
from scheduler.solve.count import Table
from scheduler.solve.ground import Ground, stand
from scheduler.solve.problem import Form, GangRow, Problem, Wish

_MAX_DOMAINS = 64
"""Domains of the required level that are tried, roomiest first."""

Places = tuple[Mapping[int, int], ...]


def by_hand(
    problem: Problem, gang: GangRow, form: Form, ground: Ground, masks: Sequence[BoolArray]
) -> Iterator[Places]:
    """Proposals for one form of a gang, to be checked by the caller."""
    for inside in _homes(problem, form, ground, masks):
        places = _paced(problem, gang, form, ground, [mask & inside for mask in masks])
        if places is not None:
            yield places


def _paced(
    problem: Problem, gang: GangRow, form: Form, ground: Ground, masks: Sequence[BoolArray]
) -> Places | None:
    """As many members as fit; those roles that keep a ratio on the highest rung that is found."""
    most = {role: problem.roles[role].pending for role in form.roles}
    if form.ladder is None:
        return _fill(problem, gang, form, ground, masks, most)
    own = [(problem.roles[role], role) for role in form.ladder.roles]
    rungs = [
        rung
        for rung in form.ladder.rungs
        if all(r.running_total + n >= r.least for (r, _), n in zip(own, rung, strict=True))
    ]
    best: Places | None = None
    low, high = 0, len(rungs)
    while low < high:
        middle = (low + high) // 2
        wanted = dict(zip(form.ladder.roles, rungs[middle], strict=True))
        places = _fill(problem, gang, form, ground, masks, {**most, **wanted})
        found = places and dict(zip(form.roles, places, strict=True))
        if found and all(sum(found[role].values()) == n for role, n in wanted.items()):
            best, low = places, middle + 1
        else:
            high = middle
    return best


def _homes(
    problem: Problem, form: Form, ground: Ground, masks: Sequence[BoolArray]
) -> Iterator[BoolArray]:
    """The node sets that the whole gang may stand in."""
    asked = [wish for wish in form.wishes if set(wish.roles) == set(form.roles)]
    depth = max((wish.required for wish in asked if wish.required is not None), default=-1)
    if depth < 0:
        yield np.ones(len(problem.free), dtype=bool)
        return
    of, known = problem.domain_of[depth], problem.known[depth]
    room = np.zeros(len(known), dtype=np.int64)
    for role, mask in zip(form.roles, masks, strict=True):
        fits = problem.capacity(problem.roles[role], ground.free, mask)
        room += np.bincount(of, weights=fits, minlength=len(known)).astype(np.int64)
    running = {int(of[node]) for role in form.roles for node in problem.roles[role].running}
    for domain in np.argsort(-room, kind="stable")[:_MAX_DOMAINS].tolist():
        if known[domain] and room[domain] and running <= {domain}:
            yield of == domain


def _fill(
    problem: Problem,
    gang: GangRow,
    form: Form,
    ground: Ground,
    masks: Sequence[BoolArray],
    most: Mapping[int, int],
) -> Places | None:
    ground = ground.copy()
    places: dict[int, Mapping[int, int]] = {}
    coupled = problem.coupled
    position = {role: index for index, role in enumerate(form.roles)}
    # Big requests first: small ones still fit into what is left.
    for index in sorted(form.roles, key=lambda role: (_size(problem, role), -role), reverse=True):
        mask = masks[position[index]]
        if index in coupled:
            found = _by_members(problem, form, ground, index, mask, most[index])
        else:
            found = _by_table(problem, gang, form, ground, index, mask, most[index])
        if found is None:
            return None
        places[index] = found
        stand(problem, ground, index, found)
    return tuple(places[role] for role in form.roles)


def _size(problem: Problem, role: int) -> tuple[int, ...]:
    return int(problem.roles[role].cards.max(initial=0)), *problem.roles[role].request.tolist()


def _required(form: Form, role: int) -> int:
    return max(
        (w.required for w in form.wishes if role in w.roles and w.required is not None), default=-1
    )


def _by_table(
    problem: Problem,
    gang: GangRow,
    form: Form,
    ground: Ground,
    index: int,
    mask: BoolArray,
    most: int,
) -> Mapping[int, int] | None:
    role = problem.roles[index]
    limit = min(most, int(problem.capacity(role, ground.free, mask).sum()))
    alone = Form(roles=(index,), least=form.least, whole=Wish(roles=(index,)))
    table = Table(problem, gang, alone, ground, (mask,), (limit,))
    depth = _required(form, index)
    for count in range(limit, max(0, role.least - role.running_total) - 1, -1):
        if not count:
            return {}
        best = table.best(depth, (count,))
        if best is not None:
            return table.places(depth, best[1], (count,))[0]
    return None


def _by_members(
    problem: Problem, form: Form, ground: Ground, index: int, mask: BoolArray, most: int
) -> Mapping[int, int] | None:
    """One member after another, in the emptiest zone of its spread rules, near the members before it."""
    role = problem.roles[index]
    depth = _required(form, index)
    counts: dict[int, int] = {}
    for _ in range(most):
        seen = {**ground.counts, index: counts}
        open_ = rules.admitted(problem, index, mask, ground.counts, form.roles)
        open_ = open_ & _own_rules(problem, index, seen)
        home = list(counts) or list(role.running)
        if depth >= 0 and home:
            of = problem.domain_of[depth]
            open_ = open_ & (of == of[home[0]])
        left = ground.free.copy()
        for node, count in counts.items():
            left[node] -= role.request * count
        room = problem.capacity(role, left, open_)
        candidates = np.flatnonzero(room > 0)
        if not len(candidates):
            break
        node = min(candidates.tolist(), key=lambda n: _preference(problem, index, seen, home, n))
        counts[node] = counts.get(node, 0) + 1
    enough = role.running_total + sum(counts.values()) >= role.least
    return dict(sorted(counts.items())) if enough else None


def _own_rules(problem: Problem, index: int, counts: rules.Counts) -> BoolArray:
    """Nodes that the role's own members leave open: apart from each other, or all in one zone."""
    open_ = np.ones(len(problem.free), dtype=bool)
    mine = list(counts.get(index, {}))
    for apart in problem.apart:
        if apart.left == apart.right == index and mine:
            open_ &= ~(np.isin(apart.zones, apart.zones[mine]) & (apart.zones >= 0))
    for near in problem.near:
        if near.role == index and near.alone and mine:
            open_ &= near.zones == near.zones[mine[0]]
    for skew in problem.skew:
        if skew.role == index:
            total = skew.base + rules.tallies(skew.zones, counts, skew.counted, len(skew.base))
            least = int(total[list(skew.domains)].min()) if skew.domains else 0
            grows = int(index in skew.counted)
            open_ &= np.append(total + grows - least <= skew.limit, False)[skew.zones]
    return open_


def _preference(
    problem: Problem, index: int, counts: rules.Counts, home: Sequence[int], node: int
) -> tuple[int, ...]:
    crowded = 0
    for skew in problem.skew:
        if skew.role == index:
            total = skew.base + rules.tallies(skew.zones, counts, skew.counted, len(skew.base))
            crowded += int(total[skew.zones[node]])
    apart = sum(
        not any(of[node] == of[other] for other in home) for of in problem.domain_of if home
    )
    return crowded, apart, int(problem.spare[node]), node
