"""How good an answer is wanted and how it is had: counting alone, greedy, or CP-SAT."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.policy import Policy
from scheduler.solve.count import Ground
from scheduler.solve.greedy import greedy, order
from scheduler.solve.one import Settled, settle
from scheduler.solve.problem import Choice, Problem
from scheduler.solve.terms import evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer with its proof."""

    choice: Choice
    alone: tuple[Settled | None, ...]
    """Each gang's best places if it were the only one."""
    status: str
    objective: tuple[int, ...]
    bound: tuple[int, ...]


def decide(problem: Problem, policy: Policy) -> Decision:
    """The best answer within the policy's limits."""
    results = [settle(problem, number, Ground.of(problem)) for number in range(len(problem.gangs))]
    alone = tuple(answer for answer, _ in results)
    choice = greedy(problem, order(problem), alone)
    objective = evaluate(problem, choice)
    proven = len(results) <= 1 and all(exact for _, exact in results)
    return Decision(
        choice=choice,
        alone=alone,
        status="optimal" if proven else "greedy",
        objective=objective,
        bound=objective if proven else tuple(0 for _ in objective),
    )
