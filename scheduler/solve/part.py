"""A part of a problem: some gangs, everybody else fixed where a choice puts them.

Large instances are improved part by part: a gang that got less than it would alone, those that stand in
its way, and the nodes that matter to them make a small problem that CP-SAT solves at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scheduler.match import BoolArray
from scheduler.solve.ground import Ground, take
from scheduler.solve.problem import Choice, GangRow, Option, Problem, Role, Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The problem of ``gangs`` alone; their roles are numbered anew in the order of ``roles``."""

    problem: Problem
    gangs: tuple[int, ...]
    roles: tuple[int, ...]

    def inside(self, choice: Choice) -> Choice:
        """The part's share of a choice of the whole."""
        return Choice(
            options=tuple(choice.options[number] for number in self.gangs),
            counts=tuple(choice.counts[role] for role in self.roles),
        )

    def outside(self, choice: Choice, share: Choice) -> Choice:
        """The whole choice with the part's share replaced."""
        options, counts = list(choice.options), list(choice.counts)
        for number, option in zip(self.gangs, share.options, strict=True):
            options[number] = option
        for role, places in zip(self.roles, share.counts, strict=True):
            counts[role] = places
        return Choice(options=tuple(options), counts=tuple(counts))


def part(problem: Problem, choice: Choice, gangs: Sequence[int], nodes: BoolArray | None) -> Part:
    """The part of ``gangs`` on ``nodes`` (None: all), with all other gangs where ``choice`` has them.

    Only for gangs without rules about other new pods (see ``Problem.coupled``).
    """
    gangs = tuple(sorted(gangs))
    ground = ground_without(problem, choice, gangs)
    roles = tuple(role for number in gangs for role in problem.gangs[number].roles)
    index = {role: position for position, role in enumerate(roles)}
    ages = _ages(problem, gangs)
    rows = [_gang(problem.gangs[number], index, ages[number], nodes, ground) for number in gangs]
    numbers = {number: position for position, number in enumerate(gangs)}
    return Part(
        problem=replace(
            problem,
            gangs=tuple(rows),
            roles=tuple(_role(problem.roles[role], numbers) for role in roles),
            free=ground.free,
            idle=tuple(ground.idle),
            spare=ground.left,
            apart=(),
            near=(),
            skew=(),
        ),
        gangs=gangs,
        roles=roles,
    )


def ground_without(problem: Problem, choice: Choice, gangs: Sequence[int]) -> Ground:
    """What all gangs but these leave, when they stand where ``choice`` puts them."""
    ground = Ground.of(problem)
    for number, gang in enumerate(problem.gangs):
        # ``Ground.of`` already knows the gangs that stay as they are.
        if number not in gangs and choice.options[number] is not None:
            take(problem, ground, number, [choice.counts[role] for role in gang.roles])
    return ground


def _ages(problem: Problem, gangs: Sequence[int]) -> Mapping[int, int]:
    """Ages count from 0 in each priority class of the part; their order stays."""
    ages: dict[int, int] = {}
    seen: dict[int, int] = {}
    for number in sorted(gangs, key=lambda n: problem.gangs[n].age):
        priority = problem.gangs[number].priority
        ages[number] = seen.get(priority, 0)
        seen[priority] = ages[number] + 1
    return ages


def _role(role: Role, numbers: Mapping[int, int]) -> Role:
    return replace(role, gang=numbers[role.gang])


def _gang(
    gang: GangRow, index: Mapping[int, int], age: int, nodes: BoolArray | None, ground: Ground
) -> GangRow:
    def renumbered(wish: Wish) -> Wish:
        return replace(wish, roles=tuple(index[role] for role in wish.roles))

    return replace(
        gang,
        age=age,
        roles=tuple(index[role] for role in gang.roles),
        options=tuple(_option(option, nodes) for option in gang.options),
        whole=renumbered(gang.whole),
        groups=tuple(renumbered(wish) for wish in gang.groups),
        each=tuple(renumbered(wish) for wish in gang.each),
        rivals=ground.shares(gang) if gang.spread is not None else None,
    )


def _option(option: Option, nodes: BoolArray | None) -> Option:
    if nodes is None:
        return option
    return replace(option, masks=tuple(np.logical_and(mask, nodes) for mask in option.masks))
