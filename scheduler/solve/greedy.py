"""Gangs one after another, oldest of the highest priority first: the floor, the hint and the fallback."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.solve.ground import Ground, take
from scheduler.solve.one import Settled, settle
from scheduler.solve.problem import Choice, Problem


def order(problem: Problem) -> list[int]:
    """Gangs by priority, then age."""
    return sorted(
        range(len(problem.gangs)), key=lambda n: (-problem.gangs[n].priority, problem.gangs[n].age)
    )


def greedy(problem: Problem, sequence: Sequence[int], alone: Sequence[Settled | None]) -> Choice:
    """Settle gangs in ``sequence``, each as well as the ground that is left allows.

    ``alone`` holds each gang's best places on empty ground: one without any never needs to be tried.
    """
    ground = Ground.of(problem)
    answers: list[Settled | None] = [None] * len(problem.gangs)
    for number in sequence:
        if not possible(problem, alone, number):
            continue
        first = not ground.counts and not ground.settled
        answer = alone[number] if first else settle(problem, number, ground)[0]
        if answer is not None:
            answers[number] = answer
            take(problem, ground, number, answer.places)
    return to_choice(problem, answers)


def possible(problem: Problem, alone: Sequence[Settled | None], number: int) -> bool:
    """Whether the gang can have places at all; company of other gangs can only help ``near`` roles."""
    wants = {rule.role for rule in problem.near if rule.helpers}
    return alone[number] is not None or bool(wants & set(problem.gangs[number].roles))


def to_choice(problem: Problem, answers: Sequence[Settled | None]) -> Choice:
    """The answers of all gangs as one choice."""
    counts: list[dict[int, int]] = [{} for _ in problem.roles]
    for answer in answers:
        if answer is not None:
            for role, places in answer.places.items():
                counts[role] = dict(places)
    options = tuple(answer.option if answer is not None else None for answer in answers)
    return Choice(options=options, counts=tuple(counts))
