"""The hard rules on a finished answer, and those about other new members while it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scheduler.match import BoolArray, IntArray
from scheduler.solve.problem import Apart, Choice, Form, GangRow, Near, Option, Problem, Skew

Counts = Mapping[int, Mapping[int, int]]
"""Role -> node -> new members."""


def admitted(
    problem: Problem, role: int, mask: BoolArray, counts: Counts, own: Sequence[int]
) -> BoolArray:
    """The nodes of ``mask`` that the members placed so far (``counts``) leave open for ``role``; those of
    the roles ``own`` come with it."""
    allowed = mask
    for apart in problem.apart:
        if role in (apart.left, apart.right):
            other = apart.right if role == apart.left else apart.left
            if other != role:
                allowed = allowed & ~_in_zones(apart.zones, counts.get(other, {}))
    for near in problem.near:
        if near.role != role:
            continue
        mates = [node for helper in near.helpers for node in counts.get(helper, {})]
        if near.alone:
            allowed = allowed & (near.zones >= 0)
            if mates:
                allowed = allowed & _in_zones(near.zones, mates)
        elif not set(near.helpers) & set(own):
            allowed = allowed & (near.allowed | _in_zones(near.zones, mates))
    return allowed


def _in_zones(zones: IntArray, nodes: Mapping[int, int] | Sequence[int]) -> BoolArray:
    found = zones[list(nodes)]
    return np.isin(zones, found) & (zones >= 0)


def tallies(zones: IntArray, counts: Counts, roles: Sequence[int], size: int) -> IntArray:
    """New members of ``roles`` in each zone; shape (size,)."""
    found = np.zeros(size, dtype=np.int64)
    for role in roles:
        for node, count in counts.get(role, {}).items():
            if zones[node] >= 0:
                found[zones[node]] += count
    return found


def apart_holds(rule: Apart, counts: Counts) -> bool:
    """Whether no zone holds members that must be apart."""
    size = int(rule.zones.max(initial=-1)) + 1
    left = tallies(rule.zones, counts, (rule.left,), size)
    if rule.left == rule.right:
        return bool((left <= 1).all())
    return not bool(((left > 0) & (tallies(rule.zones, counts, (rule.right,), size) > 0)).any())


def near_holds(rule: Near, counts: Counts) -> bool:
    """Whether every member has the company that it wants."""
    mine = counts.get(rule.role, {})
    if not mine:
        return True
    zones = {int(rule.zones[node]) for node in mine}
    mates = {int(rule.zones[node]) for helper in rule.helpers for node in counts.get(helper, {})}
    if rule.alone:
        return len(zones | mates) == 1 and -1 not in zones
    return all(zone in mates or (zone >= 0 and bool(rule.ok[zone])) for zone in zones)


def skew_holds(rule: Skew, counts: Counts) -> bool:
    """Whether no zone that a member enters is further above the emptiest one than allowed."""
    size = len(rule.base)
    total = rule.base + tallies(rule.zones, counts, rule.counted, size)
    least = int(total[list(rule.domains)].min()) if rule.domains else 0
    entered = tallies(rule.zones, counts, (rule.role,), size) > 0
    return not bool((entered & (total - least > rule.limit)).any())


def concerning(problem: Problem, roles: Sequence[int]) -> Problem:
    """The problem with only those rules about other pods that new members of ``roles`` can break."""
    own = frozenset(roles)
    return replace(
        problem,
        apart=tuple(rule for rule in problem.apart if own & {rule.left, rule.right}),
        near=tuple(rule for rule in problem.near if own & {rule.role, *rule.helpers}),
        skew=tuple(rule for rule in problem.skew if own & {rule.role, *rule.counted}),
    )


def coupling_holds(problem: Problem, counts: Counts) -> bool:
    """Whether all rules about other pods hold."""
    return (
        all(apart_holds(rule, counts) for rule in problem.apart)
        and all(near_holds(rule, counts) for rule in problem.near)
        and all(skew_holds(rule, counts) for rule in problem.skew)
    )


def broken(problem: Problem, choice: Choice) -> str:
    """The first hard rule that ``choice`` breaks, in words for a developer; empty when it keeps all."""
    taken = np.zeros_like(problem.free)
    for role, counts in zip(problem.roles, choice.counts, strict=True):
        for node, count in counts.items():
            taken[node] += role.request * count
    if (taken > problem.free).any():
        return "capacity"
    for number, gang in enumerate(problem.gangs):
        found = _gang_broken(problem, choice, number, gang)
        if found:
            return f"{gang.key}: {found}"
    everyone = dict(enumerate(choice.counts))
    return "" if coupling_holds(problem, everyone) else "affinity, spread or ports"


def _gang_broken(problem: Problem, choice: Choice, number: int, gang: GangRow) -> str:
    option = choice.options[number]
    form = gang.form_of(option)
    if any(choice.counts[role] for role in gang.roles if role not in form.roles):
        return "members of another form"
    new = {role: sum(choice.counts[role].values()) for role in form.roles}
    if not any(new.values()):
        stays = option is None or gang.runs or not _wrong_number(problem, form, new)
        return "" if stays else "too few"
    if option is None:
        return "members of a gang that waits"
    return "" if fits_alone(problem, choice, gang, option) else "number, node, level or slice"


def fits_alone(problem: Problem, choice: Choice, gang: GangRow, option: int) -> bool:
    """Whether the gang's new members keep its own rules: numbers, nodes, required levels, slices."""
    form, taken = gang.form_of(option), gang.options[option]
    new = {role: sum(choice.counts[role].values()) for role in form.roles}
    return (
        not _wrong_number(problem, form, new)
        and mixes(problem, taken, new)
        and all(new[role] <= problem.roles[role].pending for role in form.roles)
        and all(
            mask[node]
            for role, mask in zip(form.roles, taken.masks, strict=True)
            for node in choice.counts[role]
        )
        and all(
            wish.required is None or _in_one(problem, choice, wish.roles, wish.required)
            for wish in form.wishes
        )
        and all(_sliced(problem, choice, role) for role in form.roles)
    )


def mixes(problem: Problem, option: Option, new: Mapping[int, int]) -> bool:
    """Whether members stand on both classes of a mixed pair; ``new``: role -> number of new members."""
    return all(
        any(problem.roles[role].running_total + new[role] for role in side) for side in option.mixed
    )


def _wrong_number(problem: Problem, form: Form, new: Mapping[int, int]) -> bool:
    """Whether the new members are too few, or do not keep the ratio of the roles."""
    too_few = form.running_total + sum(new.values()) < form.least or any(
        problem.roles[role].running_total + count < problem.roles[role].least
        for role, count in new.items()
    )
    return too_few or (form.ladder is not None and not form.ladder.holds(new))


def _in_one(problem: Problem, choice: Choice, roles: Sequence[int], depth: int) -> bool:
    of = problem.domain_of[depth]
    used = {
        int(of[node])
        for role in roles
        for nodes in (problem.roles[role].running, choice.counts[role])
        for node in nodes
    }
    return len(used) <= 1 and all(bool(problem.known[depth][domain]) for domain in used)


def _sliced(problem: Problem, choice: Choice, role: int) -> bool:
    for depth, size in problem.roles[role].slices:
        of = problem.domain_of[depth]
        total: dict[int, int] = {}
        for nodes in (problem.roles[role].running, choice.counts[role]):
            for node, count in nodes.items():
                total[int(of[node])] = total.get(int(of[node]), 0) + count
        if any(n % size or not problem.known[depth][domain] for domain, n in total.items()):
            return False
    return True
