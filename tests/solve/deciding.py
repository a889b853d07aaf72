"""What the tests of the request language share: decide, check, and read the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scheduler.model import Code, Gang, GangAssignment, Plan, PodSet, Reason, Variant
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import Fleet, answer, snapshot


def decide(
    drawn: Fleet,
    *gangs: Gang,
    reservations: Sequence[GangAssignment] = (),
    policy: Policy = Policy(),
) -> Plan:
    """The plan for the gangs on the drawn fleet; the independent checker finds nothing wrong with it."""
    picture = snapshot(drawn, *gangs, reservations=reservations)
    plan = solve(picture, policy)
    assert verify(picture, plan, policy) == ()
    return plan


def to_come(podset: PodSet) -> PodSet:
    """The PodSet while none of its pending members exists."""
    members = (m if m.node else replace(m, pod="", uid="") for m in podset.members)
    return replace(podset, members=tuple(members))


def only(gang: Gang, *roles: str) -> Gang:
    """The gang while only the pending members of ``roles`` exist."""
    sets = (each if each.role in roles else to_come(each) for each in gang.podsets)
    return replace(gang, podsets=tuple(sets))


def variant(flavor: str, *podsets: PodSet, refused: str = "") -> Variant:
    """The gang's other pods on a flavor, none of which exists; ``refused``: why there can be none."""
    if refused:
        return Variant(flavor=flavor, refusal=Reason(code=Code.CANNOT_REWRITE, message=refused))
    return Variant(
        flavor=flavor,
        podsets=tuple(to_come(each) for each in podsets),
        min_members=sum(each.min_count for each in podsets),
    )


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
