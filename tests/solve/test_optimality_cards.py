"""Nodes with vendors' rules about cards: the answer is as good as that of the exact model."""

from __future__ import annotations

from random import Random

import pytest

from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import Fleet, fleet, gang, occupy, podset, reserved, running_pod, snapshot
from tests.solve.reference import optimum
from topology import keys

NPU = keys.ASCEND_910
EVERYDAY, MANY = 50, 1000


def instance(seed: int) -> Snapshot:
    """Some nodes of two rings, of modules in super-pods, and of connected cards; busy at random."""
    dice = Random(f"cards-{seed}")
    racks, number = [], 0
    for rack in range(dice.randint(1, 3)):
        kind, nodes = dice.choice(("910a[8]", "910a[8]", "a3[4]", "ascend[8]")), []
        name, _, amount = kind.partition("[")
        for _ in range(dice.randint(1, 3)):
            number += 1
            pod = dice.choice(("{superpod=s1}", "{superpod=s1}", "{superpod=s2}", ""))
            nodes.append(f"n{number}[{amount}@{name}{pod}")
        racks.append(f"r{rack}({' '.join(nodes)})")
    drawn = _busy(dice, fleet(" ".join(racks)))
    types = ["910a", "a3", "ascend"]
    gangs = []
    for index in range(dice.randint(1, 3)):
        dice.shuffle(types)
        roles = ("main",) if dice.random() < 0.7 else ("prefill", "decode")
        sets = []
        for role in roles:
            cards = dice.choice((1, 2, 2, 4, 4, 8))
            size = dice.choice((1, 1, 2, 3))
            least = dice.choice((size, size, 1))
            sets.append(podset(role, size, gpus=cards, resource=NPU, least=least))
        gangs.append(gang(f"g{index}", *sets, flavors=types[: dice.randint(0, 3)]))
    return snapshot(drawn, *gangs, reservations=[])


def _busy(dice: Random, drawn: Fleet) -> Fleet:
    """Plain pods whose cards, at least in one way, keep the rules."""
    for state in drawn.states:
        card = state.node.accelerator
        assert card is not None
        if dice.random() < 0.6:
            held: list[int] = []
            for count in dice.choices((1, 2, 2, 4), k=dice.randint(1, 2)):
                if sum(held) + count <= card.size:
                    held.append(count)
            for index, count in enumerate(held):
                pod = running_pod(f"busy-{state.node.name}-{index}", {NPU: count})
                drawn = occupy(drawn, state.node.name, pod)
    return drawn


def check(seed: int) -> None:
    """The plan is as good as can be, and the checker agrees."""
    picture = instance(seed)
    plan = solve(picture)
    assert verify(picture, plan) == ()
    assert plan.objective == optimum(picture), seed


@pytest.mark.parametrize("seed", range(EVERYDAY))
def test_as_good_as_the_exact_model(seed: int) -> None:
    """Every entry of the objective is minimal, broken rings included."""
    check(seed)


@pytest.mark.slow
def test_a_thousand_instances() -> None:
    """The same for many more."""
    for seed in range(EVERYDAY, MANY):
        check(seed)


def test_instances_meet_the_rules() -> None:
    """The instances are about rules: in many a ring is broken, or a gang is refused for its number."""
    plans = [solve(instance(seed)) for seed in range(EVERYDAY)]
    assert sum(plan.objective[-2] > 0 for plan in plans) > EVERYDAY // 4
    reasons = [a.reason for plan in plans for a in plan.assignments if a.reason is not None]
    assert sum("legal" in reason.message for reason in reasons) > EVERYDAY // 10


def test_a_reserved_place_breaks_a_ring() -> None:
    """Where a promised pod may break a ring, nothing is lost by going there."""
    held = gang("held", members=1, gpus=2, resource=NPU)
    wish = gang("wish", members=1, gpus=2, resource=NPU)
    drawn = fleet("r1(n1@910a n2@910a)")
    picture = snapshot(drawn, held, wish, reservations=[reserved(held, "n2")])
    plan = solve(picture)
    assert [slot.node for one in plan.assignments if one.gang == "wish" for slot in one.slots] == [
        "n2"
    ]
    assert plan.objective == optimum(picture)
