"""The checker refuses what is wrong about variants and mixed pairs; each good plan passes before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scheduler.model import Gang, Plan, Slot
from scheduler.policy import MixedPair, Policy
from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.solve.check_facts import Facts
from scheduler.solve.check_objective import evaluate
from tests.builders import CARDS, answer, fleet, gang, podset, snapshot
from tests.solve.deciding import variant
from topology import keys

REWRITTEN = replace(
    gang("g", members=2, flavors=["a100", "ascend"]),
    variants=(variant("ascend", podset("main", 3, resource=keys.ASCEND_910)),),
)
ROOM = "r1(n1@a100) r2(n2@ascend n3@ascend n4@ascend)"

PAIR = replace(
    gang("g", podset("prefill", 1), podset("decode", 1), flavors=["l4", "h100", "a100"]),
    connector="nixl",
)
BOTH = "r1(n1@h100) r2(n2@a100)"
ROW = MixedPair(prefill=CARDS["h100"][0], decode=CARDS["a100"][0], connector="nixl")
POLICY = Policy(mixed_pairs=(ROW,))


def decided(drawing: str, wish: Gang, policy: Policy) -> tuple[Snapshot, Plan]:
    """A good plan for the gang alone."""
    picture = snapshot(fleet(drawing), wish)
    plan = solve(picture, policy)
    assert answer(plan, "g").placed
    assert verify(picture, plan, policy) == ()
    return picture, plan


def changed(plan: Plan, **changes: Any) -> Plan:
    """The plan with another answer."""
    return replace(plan, assignments=(replace(plan.assignments[0], **changes),))


def slots(plan: Plan) -> tuple[Slot, ...]:
    """The places of the gang."""
    return plan.assignments[0].slots


# What is wrong -> the gang and the plan after the change, and the words that name it.
FORMS: dict[str, tuple[Callable[[Gang], Gang], Callable[[Plan], Plan], str]] = {
    "minimum": (
        lambda wish: wish,
        lambda plan: changed(plan, slots=slots(plan)[:2]),
        "not whole",
    ),
    "pods of another flavor": (
        lambda wish: replace(wish, variants=()),
        lambda plan: plan,
        "not a pending member",
    ),
    "request": (
        lambda wish: wish,
        lambda plan: changed(
            plan,
            slots=(*slots(plan)[1:], replace(slots(plan)[0], request=slots(plan)[0].request * 2)),
        ),
        "something else",
    ),
    "refused": (
        lambda wish: replace(
            wish,
            variants=(
                replace(variant("ascend", refused="bare"), podsets=wish.variants[0].podsets),
            ),
        ),
        lambda plan: plan,
        "flavor ascend is refused: bare",
    ),
    "running": (
        lambda wish: replace(
            gang("g", members=2, flavors=["a100", "ascend"], running=["n1"]), variants=wish.variants
        ),
        lambda plan: plan,
        "flavor ascend needs other pods, but members run",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_variant_that_is_not_the_gangs_is_refused(form: str) -> None:
    """Members, requests and minimum are those of the variant, and the gang may take it at all."""
    _, plan = decided(ROOM, REWRITTEN, Policy())
    change, break_, words = FORMS[form]
    violations = verify(snapshot(fleet(ROOM), change(REWRITTEN)), break_(plan))
    assert any(words in each for each in violations), violations


# What is wrong -> the gang, the policy and the plan after the change, and the words that name it.
MIXTURES: dict[str, tuple[Callable[[Gang], Gang], Policy, Callable[[Plan], Plan], str]] = {
    "no row": (lambda wish: wish, Policy(), lambda plan: plan, "more than one device class"),
    "another connector": (
        lambda wish: replace(wish, connector="mooncake"),
        POLICY,
        lambda plan: plan,
        "more than one device class",
    ),
    "another direction": (
        lambda wish: wish,
        Policy(mixed_pairs=(replace(ROW, prefill=ROW.decode, decode=ROW.prefill),)),
        lambda plan: plan,
        "more than one device class",
    ),
    "no decode": (
        lambda wish: replace(
            wish, podsets=(wish.podsets[0], replace(wish.podsets[1], role="other"))
        ),
        POLICY,
        lambda plan: changed(plan, slots=(slots(plan)[0], replace(slots(plan)[1], role="other"))),
        "more than one device class",
    ),
    "better rank": (
        lambda wish: wish,
        POLICY,
        lambda plan: changed(plan, flavor_rank=1, passed_over=answer(plan, "g").passed_over[:1]),
        "does not serve flavor h100",
    ),
    "another flavor": (
        lambda wish: wish,
        POLICY,
        lambda plan: changed(plan, flavor="l4"),
        "node n1 of role prefill does not serve flavor l4",
    ),
    "flavor of decode": (
        lambda wish: wish,
        POLICY,
        lambda plan: changed(plan, flavor="a100"),
        "node n1 of role prefill does not serve flavor a100",
    ),
}


@pytest.mark.parametrize("what", MIXTURES)
def test_a_mixture_that_is_not_listed_is_refused(what: str) -> None:
    """Classes, connector, roles and both flavors are those of a row of the policy and of the gang."""
    _, plan = decided(BOTH, PAIR, POLICY)
    assert (answer(plan, "g").flavor, answer(plan, "g").flavor_rank) == ("h100", 2)
    change, policy, break_, words = MIXTURES[what]
    violations = verify(snapshot(fleet(BOTH), change(PAIR)), break_(plan), policy)
    assert any(words in each for each in violations), violations


def test_mixing_and_the_way_of_the_caches_are_counted_by_the_places() -> None:
    """The checker's vector counts the two classes, and what decode on another host and rack costs."""
    picture, plan = decided(BOTH, PAIR, POLICY)
    vector = evaluate(Facts(picture, plan))
    assert vector == plan.objective
    # waiting, age, members, flavor, mixed; gang, group, role, spread; used rack and host; transfer
    assert vector[3:5] == (2, 1) and vector[11] == 76 + 1
    for at in (4, 11):
        wrong = (*vector[:at], vector[at] - 1, *vector[at + 1 :])
        violations = verify(picture, replace(plan, objective=wrong, bound=wrong), POLICY)
        assert any("not that of the places" in each for each in violations)
