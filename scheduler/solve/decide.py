"""How good an answer is wanted and how it is had: counting alone, greedy, or CP-SAT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.policy import Policy
from scheduler.solve.greedy import greedy, order, possible, to_choice
from scheduler.solve.ground import Ground
from scheduler.solve.one import Settled, settle
from scheduler.solve.problem import Choice, Problem
from scheduler.solve.terms import (
    age_term,
    class_sizes,
    evaluate,
    layout,
    opened_domains,
    own_terms,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer with its proof."""

    choice: Choice
    alone: tuple[Settled | None, ...]
    """Each gang's best places if it were the only one."""
    hopeless: frozenset[int]
    """Gangs that could not be placed even if they were the only ones."""
    status: str
    objective: tuple[int, ...]
    bound: tuple[int, ...]


def decide(problem: Problem, policy: Policy) -> Decision:
    """The best answer within the policy's limits."""
    results = [settle(problem, number, Ground.of(problem)) for number in range(len(problem.gangs))]
    alone = tuple(answer for answer, _ in results)
    hopeless = frozenset(
        number
        for number, (answer, exact) in enumerate(results)
        if answer is None and exact and not possible(problem, alone, number)
    )
    choice = greedy(problem, order(problem), alone)
    objective = evaluate(problem, choice)
    bound = _floor(problem, alone, hopeless, objective)
    status = "greedy"
    if len(results) - len(hopeless) <= 1 and all(exact for _, exact in results):
        bound = objective
    elif bound != objective and len(results) > len(hopeless):
        choice, bound = _improve(problem, policy, choice, alone, hopeless, bound)
        improved = evaluate(problem, choice)
        if improved != objective or policy.exact_cells:
            status = "feasible"
        objective = improved
    if bound == objective:
        status = "optimal"
    return Decision(
        choice=choice,
        alone=alone,
        hopeless=hopeless,
        status=status,
        objective=objective,
        bound=bound,
    )


def _improve(
    problem: Problem,
    policy: Policy,
    choice: Choice,
    alone: tuple[Settled | None, ...],
    hopeless: frozenset[int],
    bound: tuple[int, ...],
) -> tuple[Choice, tuple[int, ...]]:
    """A better answer with its bound: exactly if the problem is small, else part by part."""
    if not policy.exact_cells:
        return choice, bound
    # Imported here: OR-Tools costs half a second, and most decisions never need it.
    from scheduler.solve.cpsat import improve
    from scheduler.solve.polish import polish

    names = layout(problem).names
    objective = evaluate(problem, choice)
    open_ = next(name for name, o, b in zip(names, objective, bound, strict=True) if o != b)
    # For the sake of fragmentation alone only small problems are solved.
    tail = open_.startswith(("opened", "broken", "left"))
    limit = policy.exact_cells // 4 if tail else policy.exact_cells
    if _cells(problem, hopeless) <= limit:
        found = improve(problem, choice, bound, policy.budget_seconds, hopeless)
        return found.choice, found.bound
    if not tail:
        choice = polish(problem, choice, alone, policy.budget_seconds)
    return choice, _floor(problem, alone, hopeless, evaluate(problem, choice))


def _cells(problem: Problem, hopeless: frozenset[int]) -> int:
    """Integer variables that the exact model would have."""
    return sum(
        int(
            np.logical_or.reduce(
                [
                    problem.capacity(problem.roles[role], problem.free, option.masks[position]) > 0
                    for option in options
                ]
            ).sum()
        )
        for number, gang in enumerate(problem.gangs)
        if number not in hopeless
        for index, form in enumerate(gang.forms)
        if (options := [option for option in gang.options if option.form == index])
        for position, role in enumerate(form.roles)
    )


def _floor(
    problem: Problem,
    alone: tuple[Settled | None, ...],
    hopeless: frozenset[int],
    objective: tuple[int, ...],
) -> tuple[int, ...]:
    """A lower bound of each entry with the earlier ones at ``objective``.

    Entries up to ``used`` are sums over gangs, and lexicographic order is kept by addition: as long as the
    earlier entries equal the sums of what each gang reaches alone, no answer has less than that sum.
    """
    entries = layout(problem)
    sizes = class_sizes(problem)
    lower = [0] * len(entries)
    opened = [0] * len(entries)
    for number, (gang, answer) in enumerate(zip(problem.gangs, alone, strict=True)):
        if number in hopeless:
            name, weight = age_term(gang, sizes[gang.priority])
            lower[entries.at[name]] += weight
            lower[entries.at[f"waiting {gang.priority}"]] += 1
        if answer is None or not answer.exact:
            continue
        single: list[Settled | None] = [None] * len(alone)
        single[number] = answer
        choice = to_choice(problem, single)
        for name, amount in own_terms(problem, choice, number, sizes[gang.priority]):
            lower[entries.at[name]] += amount
        outermost = entries.at[f"opened {problem.levels[0]}"]
        opened[outermost] = max(opened[outermost], opened_domains(problem, choice, 0))
    bound: list[int] = []
    equal = True
    for name, value, low, shared in zip(entries.names, objective, lower, opened, strict=True):
        always = name.startswith(("waiting", "age"))
        bound.append(max(low, shared) if equal or always else 0)
        equal = equal and bound[-1] == value
    return tuple(bound)
