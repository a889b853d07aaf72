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
from scheduler.solve.problem import Choice, Form, GangRow, Ladder, Option, Problem, Role, Wish


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
            take(problem, ground, number, {role: choice.counts[role] for role in gang.roles})
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
    return replace(
        gang,
        age=age,
        forms=tuple(_form(form, index) for form in gang.forms),
        options=tuple(_option(option, index, nodes) for option in gang.options),
        rivals=ground.shares(gang) if gang.spread is not None else None,
    )


def _numbered(roles: Sequence[int], index: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(index[role] for role in roles)


def _form(form: Form, index: Mapping[int, int]) -> Form:
    def wish(old: Wish) -> Wish:
        return replace(old, roles=_numbered(old.roles, index))

    return replace(
        form,
        roles=_numbered(form.roles, index),
        whole=wish(form.whole),
        groups=tuple(wish(old) for old in form.groups),
        each=tuple(wish(old) for old in form.each),
        prefill=_numbered(form.prefill, index),
        decode=_numbered(form.decode, index),
        ladder=_ladder(form.ladder, index),
        loads=_numbered(form.loads, index),
    )


def _ladder(ladder: Ladder | None, index: Mapping[int, int]) -> Ladder | None:
    return ladder and replace(ladder, roles=_numbered(ladder.roles, index))


def _option(option: Option, index: Mapping[int, int], nodes: BoolArray | None) -> Option:
    masks = option.masks
    if nodes is not None:
        masks = tuple(np.logical_and(mask, nodes) for mask in masks)
    mixed = tuple(_numbered(side, index) for side in option.mixed)
    return replace(option, masks=masks, mixed=mixed)
