"""One decision: snapshot -> solve -> check -> what may be reserved now. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.model import Gang, GangAssignment, Plan
from scheduler.policy import Policy
from scheduler.snapshot import NodeState, Snapshot
from scheduler.solve.check import verify
from topology.resources import Resources

Solve = Callable[[Snapshot, Policy], Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A plan with the snapshot it was made on; ``violations`` is empty unless the solver has a bug."""

    snapshot: Snapshot
    plan: Plan
    violations: tuple[str, ...] = ()

    def __str__(self) -> str:
        placed = [a for a in self.plan.assignments if a.placed]
        waiting: dict[str, int] = {}
        for assignment in self.plan.assignments:
            if assignment.reason is not None and not assignment.placed:
                code = assignment.reason.code.value
                waiting[code] = waiting.get(code, 0) + 1
        shown = ", ".join(f"{count} {code}" for code, count in sorted(waiting.items()))
        text = (
            f"placed {len(placed)} of {len(self.plan.assignments)} gangs, {self.plan.status.value}"
        )
        return f"{text}; {sum(waiting.values())} wait: {shown}" if waiting else text


def decide(snapshot: Snapshot, policy: Policy, solve: Solve) -> Decision:
    """Solve and have the independent checker go over the answer. A plan with violations is not to be used."""
    return checked(snapshot, solve(snapshot, policy), policy)


def checked(snapshot: Snapshot, plan: Plan, policy: Policy = Policy()) -> Decision:
    """The plan with what the independent checker has to say about it."""
    return Decision(snapshot=snapshot, plan=plan, violations=verify(snapshot, plan, policy))


def acceptable(decision: Decision, fresh: Snapshot) -> tuple[GangAssignment, ...]:
    """The new assignments of a checked decision that still hold on the newest snapshot.

    The cluster went on while the solver worked: an assignment is dropped (and planned again in the next
    cycle) when its gang is not the same any more or one of its places is gone.
    """
    before = {gang.key: gang for gang in decision.snapshot.gangs}
    now = {gang.key: gang for gang in fresh.gangs}
    fixed = {
        assignment.key for assignment in (*decision.snapshot.reservations, *fresh.reservations)
    }
    states = {state.node.name: state for state in fresh.nodes}
    taken: dict[str, Resources] = {}
    for reserved in fresh.reservations:
        _take(taken, reserved)
    accepted = []
    for assignment in decision.plan.assignments:
        if not assignment.placed or not assignment.slots or assignment.key in fixed:
            continue
        if not _same(before[assignment.key], now.get(assignment.key)):
            continue
        if _fits(assignment, states, taken):
            _take(taken, assignment)
            accepted.append(assignment)
    return tuple(accepted)


def _same(before: Gang, now: Gang | None) -> bool:
    return now is not None and before == now


def _take(taken: dict[str, Resources], assignment: GangAssignment) -> None:
    for slot in assignment.slots:
        taken[slot.node] = taken.get(slot.node, Resources()) + slot.request


def _fits(
    assignment: GangAssignment, states: dict[str, NodeState], taken: dict[str, Resources]
) -> bool:
    wanted: dict[str, list[Resources]] = {}
    for slot in assignment.slots:
        wanted.setdefault(slot.node, []).append(slot.request)
    return all(
        (state := states.get(node)) is not None
        and state.usable
        and (state.free - taken.get(node, Resources())).fits(Resources.sum(requests))
        for node, requests in wanted.items()
    )
