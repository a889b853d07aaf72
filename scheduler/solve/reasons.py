"""Why a gang waits or sits where it sits, in numbers. The wording depends on the snapshot alone."""

from __future__ import annotations

from scheduler.model import Code, Gang, GangAssignment, PassedOver, Reason
from scheduler.snapshot import Snapshot
from scheduler.solve.decide import Decision
from scheduler.solve.problem import Problem


class Why:
    """The reasons of one decision."""

    def __init__(self, snapshot: Snapshot, problem: Problem, decision: Decision) -> None:
        self._snapshot, self._problem, self._decision = snapshot, problem, decision

    def incomplete(self, gang: Gang) -> Reason | None:
        """Why a gang without pending members does not run whole."""
        running = sum(len(podset.running) for podset in gang.podsets)
        if running >= gang.min_members and all(
            len(podset.running) >= podset.min_count for podset in gang.podsets
        ):
            return None
        return Reason(
            code=Code.MEMBERS_MISSING,
            message=f"{running} of {gang.min_members} members exist and run; the others are missing",
            numbers={"membersPresent": running, "membersNeeded": gang.min_members},
        )

    def flavor_of_running(self, gang: Gang) -> tuple[str | None, int]:
        """The first flavor that all its running members' nodes serve."""
        return None, 0

    def passed_over(self, gang: Gang, number: int) -> tuple[PassedOver, ...]:
        """Every flavor better than the chosen one, with the reason."""
        row = self._problem.gangs[number]
        option = self._decision.choice.options[number]
        rank = row.options[option].rank if option is not None else len(row.flavors)
        return tuple(
            PassedOver(
                flavor=flavor.name or "",
                reason=flavor.refusal
                or Reason(code=Code.INSUFFICIENT, message=f"{flavor.name}: does not fit"),
            )
            for flavor in row.flavors[:rank]
            if flavor.name is not None
        )

    def waiting(self, gang: Gang, number: int, passed: tuple[PassedOver, ...]) -> Reason:
        """Why the gang waits."""
        needed = gang.min_members
        return Reason(
            code=passed[0].reason.code if passed else Code.INSUFFICIENT,
            message=f"{needed} members do not fit",
            numbers={"membersNeeded": needed},
        )


def explain(gang: Gang, assignment: GangAssignment) -> str:
    """The text about one gang for people, at most 1000 characters."""
    if not assignment.placed and assignment.reason is not None:
        return f"{gang.key} waits: {assignment.reason.message}"[:1000]
    return f"{gang.key} is placed"
