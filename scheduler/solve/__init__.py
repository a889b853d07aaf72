"""The decision: ``solve(snapshot, policy) -> Plan``, pure and deterministic.

``build`` turns the snapshot into integers, ``one``/``count`` place each gang exactly on its own, ``greedy``
lines them up, ``cpsat`` improves and proves where gangs compete, ``terms`` says what is better and
``reasons`` why.
"""

from __future__ import annotations

from scheduler.model import Plan, SolverStatus
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.solve.answer import assignments
from scheduler.solve.build import build
from scheduler.solve.decide import Decision, decide
from scheduler.solve.problem import Problem

__all__ = ["plan_of", "solve"]


def solve(snapshot: Snapshot, policy: Policy = Policy()) -> Plan:
    """Decide about every gang of the snapshot. Same input, same plan."""
    problem = build(snapshot, policy)
    return plan_of(snapshot, problem, decide(problem, policy))


def plan_of(snapshot: Snapshot, problem: Problem, decision: Decision) -> Plan:
    """The plan that a decision about the snapshot's problem makes."""
    return Plan(
        assignments=assignments(snapshot, problem, decision),
        status=SolverStatus(decision.status),
        objective=decision.objective,
        bound=decision.bound,
    )
