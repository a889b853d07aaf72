"""The best places for one gang on given ground: flavor, number of members, levels, then ``count``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np

from scheduler.match import BoolArray
from scheduler.solve import rules, terms
from scheduler.solve.byhand import by_hand
from scheduler.solve.count import MAX_STATES, Table
from scheduler.solve.ground import Ground, price
from scheduler.solve.homes import promising
from scheduler.solve.hurry import Places, faster
from scheduler.solve.problem import Choice, Form, GangRow, Problem, Together, Wish

_ENOUGH_ZONES = 24
"""Of very many zones, so many in which a gang that must stay in one of them fits are compared."""
_MAX_TABLES = 48
"""Tables that may be filled for one option before the search is cut (and the proof given up)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Places for one gang; ``exact`` when no other answer has a better vector for it alone."""

    option: int
    places: Mapping[int, Mapping[int, int]]
    """Role -> node -> new members, for the roles of the option's form."""
    missing: int
    """Pending members without a place."""
    exact: bool


@dataclass(frozen=True, slots=True)
class _Found:
    missing: int
    option_cost: tuple[int, int]
    steps: tuple[int, int, int]
    cost: tuple[int, ...]
    option: int
    places: tuple[Mapping[int, int], ...]

    @property
    def order(self) -> tuple[object, ...]:
        return (self.missing, self.option_cost, self.steps, self.cost, self.option)


def settle(
    problem: Problem, number: int, ground: Ground, options: Sequence[int] | None = None
) -> tuple[Settled | None, bool]:
    """The best answer for gang ``number`` (None: it cannot be placed) and whether that is proven.

    ``options`` restricts the search. A gang that already ``runs`` always has an answer if it has options.
    """
    gang = problem.gangs[number]
    best: _Found | None = None
    exact = True
    for cost, floor, option in promising(problem, gang, ground, options):
        if best is not None and (best.missing, best.option_cost) < (0, cost):
            break  # everybody has a place on a better option already
        if best is not None and best.order < (0, cost, (0, 0, 0), floor, option):
            continue
        found, proven = _on_option(problem, gang, ground, option, best)
        exact &= proven
        if found is not None and (best is None or found.order < best.order):
            best = found
    if best is None:
        return None, exact
    places = dict(zip(gang.form_of(best.option).roles, best.places, strict=True))
    answer = Settled(option=best.option, places=places, missing=best.missing, exact=exact)
    return answer, exact


def _on_option(
    problem: Problem, gang: GangRow, ground: Ground, option: int, best: _Found | None
) -> tuple[_Found | None, bool]:
    form = gang.form_of(option)
    admitted = [
        rules.admitted(problem, role, mask, ground.counts, form.roles)
        for role, mask in zip(form.roles, gang.options[option].masks, strict=True)
    ]
    company = any(
        rule.role in form.roles and not set(rule.helpers) <= set(form.roles)
        for rule in problem.near
    )
    if not _room(problem, form, ground, admitted) and not gang.runs:
        return None, not company
    search = _Search(problem, gang, ground, option, best)
    exact = not company
    hits = 0
    for masks, proven in _mask_sets(problem, form, ground, admitted):
        if hits >= _ENOUGH_ZONES:
            exact = False
            break
        exact &= proven
        if gang.runs or _room(problem, form, ground, masks):
            hits += search.run(masks)
    exact = exact and search.exact
    if search.found is None and not exact:
        search.by_hand(admitted)
    return search.found, exact


def _room(problem: Problem, form: Form, ground: Ground, masks: Sequence[BoolArray]) -> bool:
    """Whether the nodes could hold the minimum if every role had them to itself."""
    fits = [
        int(problem.capacity(problem.roles[role], ground.free, mask).sum())
        for role, mask in zip(form.roles, masks, strict=True)
    ]
    roles = [problem.roles[role] for role in form.roles]
    new = [min(fit, role.pending) for fit, role in zip(fits, roles, strict=True)]
    return form.running_total + sum(new) >= form.least and all(
        role.running_total + n >= role.least for role, n in zip(roles, new, strict=True)
    )


def _mask_sets(
    problem: Problem, form: Form, ground: Ground, masks: list[BoolArray]
) -> Iterator[tuple[list[BoolArray], bool]]:
    """Masks under which rules among the gang's own new members can hold, and whether they cover all."""
    own = {role: position for position, role in enumerate(form.roles)}
    wide = any(
        rule.left in own and rule.right in own and not rule.single for rule in problem.apart
    ) or any(not {rule.role, *rule.counted}.isdisjoint(own) for rule in problem.skew)
    loose = [
        rule
        for rule in problem.near
        if rule.role in own and (rule.alone or set(rule.helpers) & set(own))
    ]
    if not loose:
        yield _one_per_zone(problem, form, ground, masks), not wide
        return
    # All members in one zone of the first such rule: try every zone, the fullest first.
    rule = loose[0]
    bound = [own[role] for role in (rule.role, *rule.helpers) if role in own]
    fits = problem.capacity(problem.roles[rule.role], ground.free, masks[own[rule.role]])
    inside = rule.zones >= 0
    room = np.bincount(rule.zones[inside], fits[inside])
    for zone in np.argsort(room, kind="stable").tolist():
        chosen = list(masks)
        for position in bound:
            chosen[position] = chosen[position] & (rule.zones == zone)
        proven = rule.alone and len(loose) == 1 and not wide
        yield _one_per_zone(problem, form, ground, chosen), proven


def _one_per_zone(
    problem: Problem, form: Form, ground: Ground, masks: Sequence[BoolArray]
) -> list[BoolArray]:
    """Where a role must be apart from itself in zones of several nodes, the roomiest node of each."""
    thinned = list(masks)
    for rule in problem.apart:
        if rule.left != rule.right or rule.single or rule.left not in form.roles:
            continue
        position = form.roles.index(rule.left)
        room = problem.capacity(problem.roles[rule.left], ground.free, thinned[position])
        order = np.lexsort((np.arange(len(room)), -room))
        _, first = np.unique(rule.zones[order], return_index=True)
        keep = rule.zones < 0
        keep[order[first]] = True
        thinned[position] = thinned[position] & keep
    return thinned


class _Search:
    """Over numbers of members, then levels, then places; each is tried in the order of the vector."""

    def __init__(
        self, problem: Problem, gang: GangRow, ground: Ground, option: int, best: _Found | None
    ) -> None:
        self._problem, self._gang, self._ground, self._option = problem, gang, ground, option
        self._form = gang.form_of(option)
        self._roles = [problem.roles[role] for role in self._form.roles]
        self._bound = best
        self._own_rules = rules.concerning(problem, self._form.roles)
        self._coupled = bool(self._own_rules.coupled)
        self.found: _Found | None = None
        self.exact = True

    def run(self, masks: Sequence[BoolArray]) -> bool:
        """Try one set of masks; ``found`` keeps the best. Whether there was an answer."""
        limits = [
            min(role.pending, int(self._problem.capacity(role, self._ground.free, mask).sum()))
            for role, mask in zip(self._roles, masks, strict=True)
        ]
        if int(np.prod([limit + 1 for limit in limits])) > MAX_STATES and len(limits) > 1:
            self.exact = False
            return False
        pending = sum(role.pending for role in self._roles)
        tables: dict[tuple[object, ...], Table] = {}
        for total, counts in groupby(self._counts(limits), key=sum):
            missing = pending - total
            known = self.found or self._bound
            if known is not None and missing > known.missing:
                return False
            if self._at(list(counts), missing, masks, limits, tables):
                return True
        return False

    def by_hand(self, masks: Sequence[BoolArray]) -> None:
        """Where counting has no answer and no proof: the first proposal that keeps the rules."""
        for places in by_hand(self._problem, self._gang, self._form, self._ground, masks):
            counts: list[Mapping[int, int]] = [{} for _ in self._problem.roles]
            for role, found in zip(self._form.roles, places, strict=True):
                counts[role] = found
            options = [None] * len(self._problem.gangs)
            choice = Choice(options=tuple(options), counts=tuple(counts))
            if rules.fits_alone(self._problem, choice, self._gang, self._option) and self._obeys(
                places
            ):
                steps = [0, 0, 0]
                for kind, wish in _kinds(self._form):
                    steps[kind] += terms.steps(self._problem, choice, wish)
                total = sum(sum(found.values()) for found in places)
                missing = sum(role.pending for role in self._roles) - total
                self._keep(missing, (steps[0], steps[1], steps[2]), places)
                return

    def _counts(self, limits: Sequence[int]) -> list[tuple[int, ...]]:
        """Numbers of new members per role that make the gang whole, most first."""
        lows = [max(0, role.least - role.running_total) for role in self._roles]
        least = self._form.least - self._form.running_total
        ranges = [range(low, limit + 1) for low, limit in zip(lows, limits, strict=True)]
        whole = [c for c in product(*ranges) if sum(c) >= least and self._may_be(c)]
        return sorted(whole, key=lambda counts: (-sum(counts), [-c for c in counts]))

    def _may_be(self, counts: Sequence[int]) -> bool:
        new = dict(zip(self._form.roles, counts, strict=True))
        ladder = self._form.ladder
        return (ladder is None or ladder.holds(new)) and rules.mixes(
            self._problem, self._gang.options[self._option], new
        )

    def _at(
        self,
        group: list[tuple[int, ...]],
        missing: int,
        masks: Sequence[BoolArray],
        limits: Sequence[int],
        tables: dict[tuple[object, ...], Table],
    ) -> bool:
        if not any(group[0]):
            steps = _idle_steps(self._problem, self._form)
            self._keep(missing, steps, tuple({} for _ in self._roles))
            return True
        for steps, plans in groupby(_plans(self._form), key=lambda plan: plan.steps):
            hit = False
            for plan, counts in product(list(plans), group):
                table = self._table(plan, counts, masks, limits, tables)
                if table is None:
                    return False
                places = self._placed(table, plan, counts)
                if places is not None:
                    hit = True
                    self._keep(missing, steps, places)
                    if self._gang.load is not None:
                        self._hurry(missing, plan, counts, masks, places)
            if hit:
                return True
        return False

    def _placed(self, table: Table, plan: _Plan, counts: tuple[int, ...]) -> Places | None:
        best = table.best(plan.depth, counts)
        if best is None:
            return None
        places = tuple(table.places(plan.depth, best[1], counts))
        if self._coupled and not self._obeys(places):
            self.exact = False
            return None
        return places

    def _hurry(
        self,
        missing: int,
        plan: _Plan,
        counts: tuple[int, ...],
        masks: Sequence[BoolArray],
        places: Places,
    ) -> None:
        """Keep what loads faster than ``places``, unless something better than both is known."""
        on = self._problem, self._gang, self._form, self._ground
        ahead = terms.before_load(self._problem)
        option_cost = self._gang.options[self._option].cost
        now = missing, option_cost, plan.steps, price(*on, places)[:ahead]
        if self.found is not None and now > (*self.found.order[:3], self.found.cost[:ahead]):
            return

        def stand(masks: Sequence[BoolArray]) -> Places | None:
            table = Table(*on, masks, counts, plan.together)
            self.exact &= table.exact
            return self._placed(table, plan, counts)

        quick = faster(*on, places, masks, stand)
        if quick is not None:
            self._keep(missing, plan.steps, quick)

    def _table(
        self,
        plan: _Plan,
        counts: tuple[int, ...],
        masks: Sequence[BoolArray],
        limits: Sequence[int],
        tables: dict[tuple[object, ...], Table],
    ) -> Table | None:
        torn = any(set(rule.roles) != set(self._form.roles) for rule in plan.together)
        key = (plan.together, counts if torn else None)
        if key not in tables:
            if len(tables) >= _MAX_TABLES:
                self.exact = False
                return None
            size = counts if torn else limits
            table = Table(
                self._problem, self._gang, self._form, self._ground, masks, size, plan.together
            )
            self.exact &= table.exact
            tables[key] = table
        return tables[key]

    def _obeys(self, places: Sequence[Mapping[int, int]]) -> bool:
        counts = {**self._ground.counts, **dict(zip(self._form.roles, places, strict=True))}
        return rules.coupling_holds(self._own_rules, counts)

    def _keep(
        self, missing: int, steps: tuple[int, int, int], places: tuple[Mapping[int, int], ...]
    ) -> None:
        cost: tuple[int, ...] = ()
        if any(places):
            cost = price(self._problem, self._gang, self._form, self._ground, places)
        option_cost = self._gang.options[self._option].cost
        found = _Found(missing, option_cost, steps, cost, self._option, places)
        if self.found is None or found.order < self.found.order:
            self.found = found


@dataclass(frozen=True, slots=True)
class _Plan:
    """One way to meet the topology requests: ``steps`` of gang, groups and roles; all members in one
    domain of ``depth`` (-1: anywhere) and parts of the gang ``together``."""

    steps: tuple[int, int, int]
    depth: int
    together: tuple[Together, ...]


def _plans(form: Form) -> list[_Plan]:
    """All ways, best first. A wish that is about every role is met by the depth alone."""
    full = [(kind, wish) for kind, wish in _kinds(form) if set(wish.roles) == set(form.roles)]
    partial = [(kind, wish) for kind, wish in _kinds(form) if set(wish.roles) != set(form.roles)]
    partial = [(k, w) for k, w in partial if w.required is not None or w.preferred is not None]
    fixed = tuple(
        Together(depth=wish.required, roles=wish.roles, known=True)
        for _, wish in full
        if wish.required is not None
    )
    asked = [wish for _, wish in full]
    plans = []
    for depth in _depths(asked):
        for levels in product(*(_depths([wish]) for _, wish in partial)):
            steps = [0, 0, 0]
            for (kind, wish), level in [
                *((f, depth) for f in full),
                *zip(partial, levels, strict=True),
            ]:
                steps[kind] += max(0, wish.preferred - level) if wish.preferred is not None else 0
            parts = []
            for (_, wish), level in zip(partial, levels, strict=True):
                if wish.required is not None:
                    parts.append(Together(depth=wish.required, roles=wish.roles, known=True))
                if level >= 0 and level != wish.required:
                    parts.append(Together(depth=level, roles=wish.roles, known=False))
            plans.append(_Plan((steps[0], steps[1], steps[2]), depth, (*fixed, *parts)))
    return sorted(plans, key=lambda plan: (plan.steps, -plan.depth))


def _kinds(form: Form) -> list[tuple[int, Wish]]:
    return [
        (0, form.whole),
        *((1, wish) for wish in form.groups),
        *((2, wish) for wish in form.each),
    ]


def _depths(wishes: Sequence[Wish]) -> range:
    """Depths that can matter, closest first; those closer than anybody asks for change nothing."""
    required = max((w.required for w in wishes if w.required is not None), default=-1)
    closest = max((w.preferred for w in wishes if w.preferred is not None), default=-1)
    return range(max(closest, required), required - 1, -1)


def _idle_steps(problem: Problem, form: Form) -> tuple[int, int, int]:
    steps = [0, 0, 0]
    for kind, wish in _kinds(form):
        nodes = [node for role in wish.roles for node in problem.roles[role].running]
        for depth in range((wish.preferred if wish.preferred is not None else -1) + 1):
            steps[kind] += len(set(problem.domain_of[depth][nodes].tolist())) > 1
    return steps[0], steps[1], steps[2]
