"""Large instances: greedy's answer improved part by part (large neighbourhood search with CP-SAT)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.match import BoolArray
from scheduler.solve.cpsat import improve
from scheduler.solve.greedy import order, to_choice
from scheduler.solve.one import Settled, settle
from scheduler.solve.part import ground_without, part
from scheduler.solve.problem import Choice, Problem
from scheduler.solve.terms import class_sizes, evaluate, own_terms

_GANGS = 5
"""Gangs of one part."""
_PARTS = 24
"""Parts that are tried; each costs about as much as a small exact problem."""


def polish(
    problem: Problem, choice: Choice, alone: Sequence[Settled | None], budget_seconds: float
) -> Choice:
    """An answer at least as good as ``choice``. ``alone``: each gang's best places on an empty fleet."""
    vector = evaluate(problem, choice)
    tried: set[tuple[int, ...]] = set()
    for _ in range(_PARTS):
        group = next((g for g in _groups(problem, choice, alone) if g not in tried), None)
        if group is None:
            break
        tried.add(group)
        piece = part(problem, choice, group, _nodes(problem, choice, alone, group))
        start = piece.inside(choice)
        floor = tuple(0 for _ in evaluate(piece.problem, start))
        found = improve(piece.problem, start, floor, budget_seconds / _PARTS)
        better = piece.outside(choice, found.choice)
        if evaluate(problem, better) < vector:
            choice, vector = better, evaluate(problem, better)
            tried.clear()
            tried.add(group)
    return choice


def _groups(
    problem: Problem, choice: Choice, alone: Sequence[Settled | None]
) -> Sequence[tuple[int, ...]]:
    """Each gang that got less than it could, in order, with those that stand where it would stand."""
    coupled = problem.coupled
    free = [n for n in order(problem) if not coupled & set(problem.gangs[n].roles)]
    groups = []
    for number in free:
        answer = alone[number]
        if answer is None or not _worse(problem, choice, number, answer):
            continue
        wanted = {node for places in answer.places.values() for node in places}
        rivals = [
            other
            for other in free
            if other != number
            and any(
                not wanted.isdisjoint(choice.counts[role]) for role in problem.gangs[other].roles
            )
        ]
        # The youngest of the least priority yield first.
        groups.append(tuple(sorted((number, *rivals[::-1][: _GANGS - 1]))))
    return groups


def _worse(problem: Problem, choice: Choice, number: int, answer: Settled) -> bool:
    size = class_sizes(problem)[problem.gangs[number].priority]
    single: list[Settled | None] = [None] * len(problem.gangs)
    single[number] = answer
    best = list(own_terms(problem, to_choice(problem, single), number, size))
    return list(own_terms(problem, choice, number, size)) != best


def _nodes(
    problem: Problem, choice: Choice, alone: Sequence[Settled | None], group: Sequence[int]
) -> BoolArray:
    """The nodes that matter: where the group stands, would stand alone, and could stand without the others
    of the group, on every flavor."""
    ground = ground_without(problem, choice, group)
    nodes = np.zeros(len(problem.free), dtype=bool)
    for number in group:
        gang, answer = problem.gangs[number], alone[number]
        for role in gang.roles:
            nodes[list(choice.counts[role])] = True
        answers = [settle(problem, number, ground, [o])[0] for o in range(len(gang.options))]
        for found in (answer, *answers):
            for places in found.places.values() if found is not None else ():
                nodes[list(places)] = True
    return nodes
