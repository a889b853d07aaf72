"""What the tests of the request language share: decide, check, and read the answer."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.model import Code, Gang, GangAssignment, Plan
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import Fleet, answer, snapshot


def decide(drawn: Fleet, *gangs: Gang, reservations: Sequence[GangAssignment] = ()) -> Plan:
    """The plan for the gangs on the drawn fleet; the independent checker finds nothing wrong with it."""
    picture = snapshot(drawn, *gangs, reservations=reservations)
    plan = solve(picture)
    assert verify(picture, plan) == ()
    return plan


def waits(plan: Plan, name: str) -> Code | None:
    """Why the gang waits; None when it is placed."""
    reason = answer(plan, name).reason
    return reason.code if reason is not None else None


def passed(plan: Plan, name: str) -> dict[str, Code]:
    """Flavor -> why it was passed over."""
    return {one.flavor: one.reason.code for one in answer(plan, name).passed_over}


def racks(plan: Plan, name: str) -> tuple[str, ...]:
    """The racks that the gang's members stand in, without the blocks in front of them."""
    return tuple(sorted(rack.split("/")[-1] for rack in answer(plan, name).domains.get("rack", ())))
