"""How long a gang would load its model if it stood somewhere else: what its place is worth, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from scheduler.match import BoolArray
from scheduler.snapshot import Snapshot
from scheduler.solve.decide import Decision
from scheduler.solve.ground import Ground
from scheduler.solve.one import Settled, settle
from scheduler.solve.part import part
from scheduler.solve.problem import LoadRow, Problem
from scheduler.solve.terms import loads

_MOST_WORK = 50_000
"""Nodes times gangs of a problem in which alternatives are looked for: each costs about as much as planning
one gang alone."""

Places = Sequence[Mapping[int, int]]


def elsewhere(snapshot: Snapshot, problem: Problem, decision: Decision, number: int) -> str:
    """``212 s in rack r2, which has no copy``: the best places outside of the innermost domain that the gang
    is in, or without its nodes; empty when it has no others, or all nodes are alike."""
    gang, option = problem.gangs[number], decision.choice.options[number]
    size = len(problem.free) * len(problem.gangs)
    if gang.load is None or not gang.load.known or option is None or size > _MOST_WORK:
        return ""
    form = gang.form_of(option)
    if problem.coupled & set(form.roles) or not _differ(gang.load, problem, number):
        return ""
    taken = {node for role in form.roles for node in decision.choice.counts[role]}
    used = taken | {node for role in form.roles for node in problem.roles[role].running}
    wanted = sum(sum(decision.choice.counts[role].values()) for role in form.roles)
    for outside in _outside(problem, used):
        piece = part(problem, decision.choice, (number,), outside)
        found, _ = settle(piece.problem, 0, Ground.of(piece.problem), [option])
        places = _places(found, len(piece.roles))
        if sum(sum(counts.values()) for counts in places) == wanted:
            moved = piece.problem.gangs[0]
            own = [places[role] for role in moved.form_of(option).roles]
            seconds = loads(moved, moved.form_of(option), own)[0]
            nodes = {node for counts in own for node in counts}
            where = _where(snapshot, nodes, used)
            return f"{seconds} s {where}, {_copies(gang.load, nodes, where)}"
    return ""


def _outside(problem: Problem, used: set[int]) -> Iterator[BoolArray]:
    """The nodes outside of the innermost domain that holds all that are ``used``, then of broader ones; then
    all that are not used."""
    for of in problem.domain_of[::-1]:
        homes = sorted({int(of[node]) for node in used})
        if len(homes) == 1:
            yield of != homes[0]
    yield ~np.isin(np.arange(len(problem.free)), sorted(used))


def _differ(load: LoadRow, problem: Problem, number: int) -> bool:
    """Whether nodes that the gang may use differ in what they have."""
    masks = [mask for option in problem.gangs[number].options for mask in option.masks]
    open_ = np.logical_or.reduce(masks)
    return len(np.unique(load.own[open_])) > 1 or len(np.unique(load.reads[open_])) > 1


def _places(found: Settled | None, roles: int) -> list[Mapping[int, int]]:
    return [found.places.get(role, {}) if found is not None else {} for role in range(roles)]


def _where(snapshot: Snapshot, nodes: set[int], used: set[int]) -> str:
    """The closest domain that holds all ``nodes`` and none that is ``used``, or their number."""
    tree = snapshot.tree
    for depth, level in reversed(list(enumerate(tree.levels[:-1]))):
        homes = {int(tree.domain_of[depth, node]) for node in nodes}
        domain = tree.domains[depth][min(homes)]
        if len(homes) == 1 and domain.known and not any(domain.lo <= n < domain.hi for n in used):
            return f"in {level} {domain.name}"
    return f"on {len(nodes)} other nodes" if len(nodes) > 1 else f"on {tree.nodes[min(nodes)]}"


def _copies(load: LoadRow, nodes: set[int], where: str) -> str:
    count = sum(not load.reads[node] for node in nodes)
    if not count:
        return f"which {'have' if where.endswith('nodes') else 'has'} no copy"
    return f"with a copy on {count} of {len(nodes)} nodes" if len(nodes) > 1 else "with a copy"
