"""The joint problem for CP-SAT: variables and hard rules.

One integer per (role, node), one boolean per (gang, option), and booleans on demand that are 1 where
members stand (``mark``). Marks are only pushed up by the rules; the objective pushes them down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from ortools.sat.python import cp_model

from scheduler.match import IntArray
from scheduler.solve.problem import Choice, Form, GangRow, Near, Option, Problem, Skew, Wish

Linear = cp_model.LinearExpr


class Model:
    """Variables and hard rules of one problem; ``fixed`` gangs wait whatever happens."""

    def __init__(self, problem: Problem, fixed: frozenset[int] = frozenset()) -> None:
        self.problem = problem
        self.cp = cp_model.CpModel()
        self._meaning: list[tuple[cp_model.IntVar, Callable[[Choice], int]]] = []
        self._marks: dict[tuple[object, ...], cp_model.IntVar] = {}
        self.members: list[dict[int, cp_model.IntVar]] = [{} for _ in problem.roles]
        self.takes: list[list[cp_model.IntVar]] = []
        self.placed: list[Linear] = []
        """For each gang, 1 when it is placed."""
        self.forms: list[list[Linear]] = []
        """For each form of each gang, 1 when an option takes it."""
        self.grows: list[Linear] = []
        """For each gang, 1 when it gets new members."""
        for number, gang in enumerate(problem.gangs):
            self._gang(number, gang, waits=number in fixed)
        self._capacity()
        self._coupling()

    @property
    def size(self) -> int:
        """Number of variables."""
        return len(self._meaning)

    def integer(self, low: int, high: int, meaning: Callable[[Choice], int]) -> cp_model.IntVar:
        """A new variable; ``meaning`` computes its value from a choice, for hints."""
        variable = self.cp.new_int_var(low, high, "")
        self._meaning.append((variable, meaning))
        return variable

    def hint(self, choice: Choice) -> None:
        """Start the search from ``choice``."""
        self.cp.clear_hints()  # type: ignore[no-untyped-call]  # OR-Tools left its result untyped
        for variable, meaning in self._meaning:
            self.cp.add_hint(variable, meaning(choice))

    def choice(self, solver: cp_model.CpSolver) -> Choice:
        """The answer that the solver found."""
        options: list[int | None] = []
        for takes in self.takes:
            taken = [index for index, literal in enumerate(takes) if solver.boolean_value(literal)]
            options.append(taken[0] if taken else None)
        counts = tuple(
            {node: value for node, count in members.items() if (value := solver.value(count))}
            for members in self.members
        )
        return Choice(options=tuple(options), counts=counts)

    # Gangs

    def _gang(self, number: int, gang: GangRow, waits: bool) -> None:
        options = () if waits else gang.options
        takes = [
            self.integer(0, 1, partial(_takes, number, index)) for index in range(len(options))
        ]
        self.takes.append(takes)
        if takes:
            (self.cp.add_exactly_one if gang.runs else self.cp.add_at_most_one)(takes)
        self.placed.append(self.cp.new_constant(1) if gang.runs else _sum(takes))
        self.forms.append([])
        for index, form in enumerate(gang.forms):
            mine = [(take, o) for take, o in zip(takes, options, strict=True) if o.form == index]
            self.forms[number].append(_sum([take for take, _ in mine]))
            for position, role in enumerate(form.roles):
                self._role(role, [(take, option.masks[position]) for take, option in mine])
            if not gang.runs:
                self._whole(form, self.forms[number][index])
            self._paced(number, index, form)
            for take, option in mine:
                self._mixes(take, option)
        self.grows.append(self._grows(gang) if gang.runs else self.placed[number])
        for form in gang.forms:
            self._levels(number, form)

    def _role(self, index: int, takes: Sequence[tuple[cp_model.IntVar, np.ndarray]]) -> None:
        if not takes:
            return
        role = self.problem.roles[index]
        room = [self.problem.capacity(role, self.problem.free, mask) for _, mask in takes]
        most = np.max(room, axis=0)
        for node in np.flatnonzero(most).tolist():
            count = self.integer(0, int(most[node]), partial(_stand, index, node))
            self.members[index][node] = count
            open_ = [take for (take, mask) in takes if mask[node]]
            self.cp.add(count <= int(most[node]) * _sum(open_))
        for take, mask in takes:
            # Redundant for integers, but it makes the relaxation much tighter.
            closed = [count for node, count in self.members[index].items() if not mask[node]]
            if closed:
                self.cp.add(_sum(closed) <= role.pending * (1 - take))

    def _whole(self, form: Form, taken: Linear) -> None:
        """A gang that does not run yet and takes this form reaches its minimums."""
        totals = [self.total(role) for role in form.roles]
        for index, total in zip(form.roles, totals, strict=True):
            role = self.problem.roles[index]
            self.cp.add(total <= role.pending * taken)
            if role.least > role.running_total:
                self.cp.add(total >= (role.least - role.running_total) * taken)
        self.cp.add(_sum(totals) >= max(1, form.least - form.running_total) * taken)

    def _paced(self, number: int, index: int, form: Form) -> None:
        """A gang that takes this form stands on one rung of its ladder."""
        gang, ladder = self.problem.gangs[number], form.ladder
        if ladder is None:
            return

        def stands(rung: tuple[int, ...], choice: Choice) -> int:
            option = choice.options[number]
            new = tuple(sum(choice.counts[role].values()) for role in ladder.roles)
            return int(option is not None and gang.options[option].form == index and new == rung)

        picks = [self.integer(0, 1, partial(stands, rung)) for rung in ladder.rungs]
        self.cp.add(_sum(picks) == self.forms[number][index])
        for role, counts in zip(ladder.roles, zip(*ladder.rungs, strict=True), strict=True):
            self.cp.add(self.total(role) == weighted(list(zip(picks, counts, strict=True))))

    def _mixes(self, take: cp_model.IntVar, option: Option) -> None:
        for side in option.mixed:
            if not any(self.problem.roles[role].running_total for role in side):
                self.cp.add(_sum([self.total(role) for role in side]) >= take)

    def _grows(self, gang: GangRow) -> Linear:
        totals = [self.total(role) for role in gang.roles]
        for index, total in zip(gang.roles, totals, strict=True):
            self.cp.add(total <= self.problem.roles[index].pending)
        pending = sum(self.problem.roles[role].pending for role in gang.roles)
        grows = self.integer(0, 1, lambda choice: int(any(choice.counts[r] for r in gang.roles)))
        self.cp.add(_sum(totals) <= pending * grows)
        self.cp.add(_sum(totals) >= grows)
        return grows

    def _levels(self, number: int, form: Form) -> None:
        for wish in form.wishes:
            if wish.required is not None:
                self._require(number, wish, wish.required)
        for role in form.roles:
            for depth, size in self.problem.roles[role].slices:
                self._slice(number, role, depth, size)

    def total(self, role: int, nodes: Iterable[int] | None = None) -> Linear:
        """New members of a role, on all nodes or on some."""
        members = self.members[role]
        if nodes is None:
            return _sum(list(members.values()))
        return _sum([members[node] for node in nodes if node in members])

    def domains(self, roles: Iterable[int], depth: int) -> dict[int, list[int]]:
        """Domain of a level -> the nodes there that new members of ``roles`` may use."""
        of = self.problem.domain_of[depth]
        found: dict[int, list[int]] = {}
        for node in sorted({node for role in roles for node in self.members[role]}):
            found.setdefault(int(of[node]), []).append(node)
        return found

    def running(self, roles: Iterable[int], depth: int) -> dict[int, int]:
        """Domain -> running members of ``roles``."""
        of = self.problem.domain_of[depth]
        found: dict[int, int] = {}
        for role in roles:
            for node, count in self.problem.roles[role].running.items():
                found[int(of[node])] = found.get(int(of[node]), 0) + count
        return found

    def mark(
        self, roles: Sequence[int], nodes: Sequence[int], key: tuple[object, ...]
    ) -> cp_model.IntVar:
        """A boolean that is 1 when new members of ``roles`` stand on ``nodes``; one per ``key``."""
        if key in self._marks:
            return self._marks[key]
        chosen = tuple(nodes)
        mark = self.integer(
            0,
            1,
            lambda choice: int(any(node in choice.counts[r] for r in roles for node in chosen)),
        )
        self._marks[key] = mark
        for role in roles:
            counts = [self.members[role][node] for node in chosen if node in self.members[role]]
            if counts:
                most = min(self.problem.roles[role].pending, sum(c.proto.domain[1] for c in counts))
                self.cp.add(_sum(counts) <= most * mark)
        return mark

    def stands(self, roles: Sequence[int], depth: int) -> dict[int, cp_model.IntVar]:
        """Domain of a level -> mark of the new members of ``roles`` there."""
        return {
            domain: self.mark(roles, nodes, ("domain", tuple(roles), depth, domain))
            for domain, nodes in self.domains(roles, depth).items()
        }

    def _require(self, number: int, wish: Wish, depth: int) -> None:
        """All running and new members in one known domain, if the gang gets new members at all."""
        known, running = self.problem.known[depth], self.running(wish.roles, depth)
        if len(running) > 1 or not all(known[domain] for domain in running):
            self.cp.add(self.grows[number] == 0)
            return
        stands = self.stands(wish.roles, depth)
        allowed = [d for d in stands if known[d] and (not running or d in running)]
        for domain, stand in stands.items():
            if domain not in allowed:
                self.cp.add(stand == 0)
        if len(allowed) > 1:
            self.cp.add_at_most_one(stands[domain] for domain in allowed)

    def _slice(self, number: int, role: int, depth: int, size: int) -> None:
        known, running = self.problem.known[depth], self.running((role,), depth)
        nodes = self.domains((role,), depth)
        for domain in sorted({*running, *nodes}):
            total = self.total(role, nodes.get(domain, ()))
            here = running.get(domain, 0)
            if not known[domain]:
                self.cp.add(total + here * self.grows[number] == 0)
                continue
            most = self.problem.roles[role].pending + here
            parts = self.integer(
                0, most // size, partial(self._parts, number, role, depth, domain, size)
            )
            self.cp.add(total + here * self.grows[number] == size * parts)

    def _parts(
        self, number: int, role: int, depth: int, domain: int, size: int, choice: Choice
    ) -> int:
        """Slices of a role in one domain; a gang without new members is not asked about them."""
        if not any(choice.counts[index] for index in self.problem.gangs[number].roles):
            return 0
        of = self.problem.domain_of[depth]
        both = (*choice.counts[role].items(), *self.problem.roles[role].running.items())
        return sum(count for node, count in both if of[node] == domain) // size

    # Nodes and pods

    def _capacity(self) -> None:
        users: dict[int, list[int]] = {}
        for role, members in enumerate(self.members):
            for node in members:
                users.setdefault(node, []).append(role)
        for node, roles in sorted(users.items()):
            for resource in range(len(self.problem.resources)):
                self._share(node, resource, roles)

    def _share(self, node: int, resource: int, roles: Sequence[int]) -> None:
        needs = [(role, int(self.problem.roles[role].request[resource])) for role in roles]
        needs = [(role, need) for role, need in needs if need > 0]
        if not needs:
            return
        limit = int(self.problem.free[node, resource])
        most = sum(need * self.members[role][node].proto.domain[1] for role, need in needs)
        if most <= limit:
            return
        unit = int(np.gcd.reduce([need for _, need in needs]))
        self.cp.add(
            weighted([(self.members[role][node], need // unit) for role, need in needs])
            <= limit // unit
        )

    def zoned(self, role: int, zones: IntArray) -> dict[int, list[int]]:
        """Zone -> nodes there that new members of ``role`` may use; -1 holds those without a zone."""
        found: dict[int, list[int]] = {}
        for node in self.members[role]:
            found.setdefault(int(zones[node]), []).append(node)
        return dict(sorted(found.items()))

    def _zone_marks(self, role: int, zones: IntArray, rule: object) -> dict[int, cp_model.IntVar]:
        return {
            zone: self.mark((role,), nodes, ("zone", id(rule), role, zone))
            for zone, nodes in self.zoned(role, zones).items()
        }

    def _coupling(self) -> None:
        for apart in self.problem.apart:
            left = self.zoned(apart.left, apart.zones)
            if apart.left == apart.right:
                for zone, nodes in left.items():
                    if zone >= 0:
                        self.cp.add(self.total(apart.left, nodes) <= 1)
                continue
            one = self._zone_marks(apart.left, apart.zones, apart)
            other = self._zone_marks(apart.right, apart.zones, apart)
            for zone in one:
                if zone >= 0 and zone in other:
                    self.cp.add_at_most_one(one[zone], other[zone])
        for near in self.problem.near:
            self._near(near)
        for skew in self.problem.skew:
            self._skew(skew)

    def _near(self, rule: Near) -> None:
        marks = self._zone_marks(rule.role, rule.zones, rule)
        if rule.alone:
            inside = [mark for zone, mark in marks.items() if zone >= 0]
            if -1 in marks:
                self.cp.add(marks[-1] == 0)
            self.cp.add(_sum(inside) <= 1)
            for helper in rule.helpers:
                for zone, mark in self._zone_marks(helper, rule.zones, rule).items():
                    here = [marks[zone]] if zone >= 0 and zone in marks else []
                    self.cp.add(mark <= _sum(here) + 1 - _sum(inside))
            return
        for zone, mark in marks.items():
            if zone >= 0 and rule.ok[zone]:
                continue
            helpers = rule.helpers if zone >= 0 else ()
            self.cp.add(
                mark <= _sum([self._present(helper, rule.zones, zone) for helper in helpers])
            )

    def _present(self, role: int, zones: IntArray, zone: int) -> Linear:
        """A boolean that can only be 1 when new members of ``role`` do stand in the zone."""
        nodes = self.zoned(role, zones).get(zone, [])
        present = self.integer(
            0, 1, lambda choice: int(any(n in choice.counts[role] for n in nodes))
        )
        self.cp.add(present <= self.total(role, nodes))
        return present

    def _skew(self, rule: Skew) -> None:
        places = {role: self.zoned(role, rule.zones) for role in rule.counted}
        totals = {
            zone: int(rule.base[zone])
            + _sum([self.total(role, nodes.get(zone, ())) for role, nodes in places.items()])
            for zone in range(len(rule.base))
        }
        pending = sum(self.problem.roles[role].pending for role in rule.counted)
        most = int(rule.base.max(initial=0)) + pending

        def least(choice: Choice) -> int:
            totals = (
                int(rule.base[zone])
                + sum(
                    c
                    for r in rule.counted
                    for n, c in choice.counts[r].items()
                    if rule.zones[n] == zone
                )
                for zone in rule.domains
            )
            return min(totals, default=0)

        floor = self.integer(0, most if rule.domains else 0, least)
        for zone in rule.domains:
            self.cp.add(floor <= totals[zone])
        for zone, mark in self._zone_marks(rule.role, rule.zones, rule).items():
            if zone >= 0:
                self.cp.add(totals[zone] - floor <= rule.limit + most * (1 - mark))


def _takes(number: int, option: int, choice: Choice) -> int:
    return int(choice.options[number] == option)


def _stand(role: int, node: int, choice: Choice) -> int:
    return choice.counts[role].get(node, 0)


def _sum(parts: Sequence[Linear]) -> Linear:
    return cp_model.LinearExpr.sum([0, *parts])


def weighted(parts: Sequence[tuple[Linear, int]]) -> Linear:
    """Sum of weight * expression."""
    return cp_model.LinearExpr.weighted_sum(
        [0, *(p for p, _ in parts)], [1, *(w for _, w in parts)]
    )
