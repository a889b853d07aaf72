"""When the solver may not look everywhere: plans stay legal, and it never claims more than it proved."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from scheduler.model import SolverStatus
from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import fleet, snapshot
from tests.solve.instances import KINDS, POLICY, instance, request
from tests.solve.reference import optimum


@pytest.mark.parametrize("cells", [0, 30, 100])
def test_a_limited_answer_is_honest(cells: int) -> None:
    """With few exact cells: legal, never called optimal when it is not, and the bound holds."""
    for kind in KINDS:
        for seed in range(12):
            picture = instance(kind, seed)
            plan = solve(picture, replace(POLICY, exact_cells=cells, budget_seconds=1))
            best = optimum(picture, POLICY)
            assert verify(picture, plan, POLICY) == (), (kind, seed)
            assert plan.objective >= best, (kind, seed)
            if plan.status is SolverStatus.OPTIMAL:
                assert plan.objective == best, (kind, seed)
            for entry, bound in enumerate(plan.bound):
                if plan.objective[:entry] == best[:entry]:
                    assert bound <= best[entry], (kind, seed, entry)


def medium(seed: int) -> Snapshot:
    """About 55 nodes in four blocks, half of their cards busy, and 5 to 25 gangs of all kinds."""
    dice = Random(f"medium-{seed}")
    number, blocks = 0, []
    for block in range(4):
        racks = []
        for rack in range(dice.randint(2, 4)):
            kind, nodes = dice.choice(("h100", "a100")), []
            for _ in range(dice.randint(3, 7)):
                number += 1
                nodes.append(f"n{number}[8-{dice.choice((0, 0, 2, 4, 8, 8))}]@{kind}")
            name = "?" if dice.random() < 0.05 else f"r{rack}"
            racks.append(f"{name}({' '.join(nodes)})")
        blocks.append(f"b{block}({' '.join(racks)})")
    drawn = fleet(" ".join(blocks))
    kinds = [kind for kind in KINDS if kind != "running"]
    gangs = [request(dice, drawn, f"g-{i}", dice.choice(kinds)) for i in range(dice.randint(5, 25))]
    return snapshot(drawn, *gangs)


@pytest.mark.parametrize("seed", range(6))
def test_medium_instances_verify(seed: int) -> None:
    """Many gangs of all kinds on a larger fleet: the plan is legal, whatever the solver had time for."""
    picture = medium(seed)
    plan = solve(picture, replace(POLICY, budget_seconds=1))
    assert verify(picture, plan, POLICY) == ()
    assert any(answer.placed for answer in plan.assignments)
