"""What is left of the fleet while gangs are placed one after another, and what places on it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scheduler.match import BoolArray, IntArray
from scheduler.solve.problem import Form, GangRow, Problem
from scheduler.solve.terms import loads, transfers


@dataclass(slots=True, kw_only=True)
class Ground:
    """What is left while gangs are placed one after another."""

    free: IntArray
    idle: list[BoolArray]
    left: IntArray
    """Shape (nodes,): cards that a first member leaves free there; zero once the node is used."""
    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    """Role -> node -> new members placed so far."""
    settled: dict[int, list[set[int]]] = field(default_factory=dict)
    """Workload -> for each gang placed so far, its domains of the spread level."""

    @classmethod
    def of(cls, problem: Problem) -> Ground:
        """The ground before anything is placed."""
        ground = cls(
            free=problem.free.copy(),
            idle=[flags.copy() for flags in problem.idle],
            left=problem.spare.copy(),
        )
        for gang in problem.gangs:
            if gang.runs and not gang.options:
                _settle(problem, ground, gang, {})
        return ground

    def copy(self) -> Ground:
        """An independent copy."""
        return Ground(
            free=self.free.copy(),
            idle=[flags.copy() for flags in self.idle],
            left=self.left.copy(),
            counts=dict(self.counts),
            settled={workload: list(sets) for workload, sets in self.settled.items()},
        )

    def shares(self, gang: GangRow) -> dict[int, int]:
        """Domain of the spread level -> placed gangs of the same workload there."""
        found = dict(gang.rivals or {})
        for used in self.settled.get(gang.workload, []):
            for domain in used:
                found[domain] = found.get(domain, 0) + 1
        return found


def price(
    problem: Problem,
    gang: GangRow,
    form: Form,
    ground: Ground,
    places: Sequence[Mapping[int, int]],
) -> tuple[int, ...]:
    """What places cost on this ground, entry by entry from ``spread`` on; comparable between tables."""
    roles = [problem.roles[index] for index in form.roles]
    nodes = {node for counts in places for node in counts}
    carded = {
        n for role, counts in zip(roles, places, strict=True) for n in counts if role.cards[n]
    }
    everywhere = nodes | {node for role in roles for node in role.running}
    used = [set(of[sorted(everywhere)].tolist()) for of in problem.domain_of]
    opened = [
        int(flags[np.unique(problem.domain_of[depth][sorted(carded)])].sum()) if carded else 0
        for depth, flags in enumerate(ground.idle)
    ]
    taken = {node: np.zeros_like(ground.free[0]) for node in nodes} if problem.groups else {}
    for role, counts in zip(roles, places, strict=True) if taken else ():
        for node, count in counts.items():
            taken[node] = taken[node] + role.request * count
    broken = problem.broken(ground.free, taken)
    left = sum(int(ground.left[node]) for node in nodes) - sum(
        count * int(role.cards[node])
        for role, counts in zip(roles, places, strict=True)
        for node, count in counts.items()
    )
    shares = ground.shares(gang) if gang.spread is not None else {}
    met = (
        sum(shares.get(domain, 0) for domain in used[gang.spread]) if gang.spread is not None else 0
    )
    moved, loading = transfers(problem, form, places), loads(gang, form, places)
    return (met, *map(len, used), moved, *loading, *opened, broken, left)


def stand(problem: Problem, ground: Ground, index: int, counts: Mapping[int, int]) -> None:
    """Stand new members of one role on the ground."""
    role = problem.roles[index]
    ground.counts[index] = dict(counts)
    for node, count in counts.items():
        ground.free[node] -= role.request * count
        ground.left[node] = 0
        if role.cards[node]:
            for depth, flags in enumerate(ground.idle):
                flags[problem.domain_of[depth, node]] = False


def take(
    problem: Problem, ground: Ground, number: int, places: Mapping[int, Mapping[int, int]]
) -> None:
    """Stand the new members of a gang (role -> node -> members) on the ground."""
    for index, counts in places.items():
        stand(problem, ground, index, counts)
    _settle(problem, ground, problem.gangs[number], places)


def _settle(
    problem: Problem, ground: Ground, gang: GangRow, places: Mapping[int, Mapping[int, int]]
) -> None:
    if gang.spread is not None:
        of = problem.domain_of[gang.spread]
        used = {int(of[n]) for counts in places.values() for n in counts}
        used |= {int(of[n]) for index in gang.roles for n in problem.roles[index].running}
        ground.settled.setdefault(gang.workload, []).append(used)
