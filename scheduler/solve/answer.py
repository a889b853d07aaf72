"""A choice of counts as assignments: members to nodes, domains, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scheduler.match import BoolArray
from scheduler.model import (
    ALL_TO_ALL,
    Gang,
    GangAssignment,
    Parallelism,
    PassedOver,
    PodSet,
    Reason,
    Slot,
    Traffic,
)
from scheduler.ranks import chains_of, seated, stem
from scheduler.snapshot import Snapshot
from scheduler.solve.build import to_plan
from scheduler.solve.decide import Decision
from scheduler.solve.elsewhere import elsewhere
from scheduler.solve.problem import Choice, Form, Problem
from scheduler.solve.reasons import Why
from scheduler.solve.terms import loads
from scheduler.solve.variants import as_on
from scheduler.traffic import traffic
from topology.cost import fleet_speeds
from topology.resources import CPU, MEMORY


def assignments(
    snapshot: Snapshot, problem: Problem, decision: Decision
) -> tuple[GangAssignment, ...]:
    """One assignment for every gang of the snapshot, in its order."""
    reserved = {assignment.key: assignment for assignment in snapshot.reservations}
    numbers = {gang.key: number for number, gang in enumerate(to_plan(snapshot))}
    why = Why(snapshot, problem, decision)
    answers = []
    for gang in snapshot.gangs:
        if gang.key in reserved:
            answers.append(replace(reserved[gang.key], placed=True))
        elif gang.key in numbers:
            answers.append(_planned(snapshot, problem, decision, gang, numbers[gang.key], why))
        else:
            answers.append(_settled(snapshot, gang, why))
    return tuple(answers)


def _settled(snapshot: Snapshot, gang: Gang, why: Why) -> GangAssignment:
    """A gang that is not planned: blocked, or with all its members running."""
    reason = gang.blocked or why.incomplete(gang)
    used = [member.node or "" for podset in gang.podsets for member in podset.running]
    flavor, rank = why.flavor_of_running(gang)
    return GangAssignment(
        namespace=gang.namespace,
        gang=gang.name,
        placed=reason is None,
        flavor=flavor if reason is None else None,
        flavor_rank=rank if reason is None else 0,
        domains=domains(snapshot, used),
        reason=reason,
    )


def _planned(
    snapshot: Snapshot, problem: Problem, decision: Decision, gang: Gang, number: int, why: Why
) -> GangAssignment:
    row = problem.gangs[number]
    option = decision.choice.options[number]
    placed = decision.choice.placed(problem, number)
    flavor = row.options[option].flavor if option is not None else None
    name = gang.flavors[flavor].name if flavor is not None else None
    form = row.form_of(option)
    podsets = as_on(gang, name).podsets
    counts = [decision.choice.counts[role] for role in form.roles]
    pools: tuple[int, ...] = ()
    if option is not None:
        pools = _pools(problem, decision.choice, form, row.options[option].masks, podsets)
    kind = gang.parallelism
    slots, sent = _slots(snapshot, podsets, pools, counts, kind) if pools else ([], None)
    used = [slot.node for slot in slots]
    used += [member.node or "" for podset in gang.podsets for member in podset.running]
    passed: tuple[PassedOver, ...] = why.passed_over(gang, number)
    reason: Reason | None = None if placed else why.waiting(gang, number, passed)
    load_seconds = _load_seconds(problem, decision, number)
    return GangAssignment(
        namespace=gang.namespace,
        gang=gang.name,
        slots=tuple(slots),
        placed=placed,
        flavor=name,
        flavor_rank=row.options[option].rank if option is not None else 0,
        passed_over=passed,
        domains=domains(snapshot, used),
        traffic=sent,
        load_seconds=load_seconds,
        load_elsewhere=""
        if load_seconds is None
        else elsewhere(snapshot, problem, decision, number),
        reason=reason,
    )


def _load_seconds(problem: Problem, decision: Decision, number: int) -> int | None:
    """Until the slowest new member has its model; None when nobody knows, or none loads."""
    row = problem.gangs[number]
    form = row.form_of(decision.choice.options[number])
    places = [decision.choice.counts[role] for role in form.roles]
    if row.load is None or not row.load.known or not any(places):
        return None
    return loads(row, form, places)[0]


def _pools(
    problem: Problem,
    choice: Choice,
    form: Form,
    masks: Sequence[BoolArray],
    podsets: Sequence[PodSet],
) -> tuple[int, ...]:
    """For each PodSet the first one with which it may exchange places and nobody else would notice.

    Cores and memory may differ (a leader's often do), where there is room for the larger ones all over.
    """
    small = [at for at, name in enumerate(problem.resources) if name in (CPU, MEMORY)]
    kinds: dict[object, list[int]] = {}
    for at, (index, mask, podset) in enumerate(zip(form.roles, masks, podsets, strict=True)):
        needs = problem.roles[index].request.copy()
        needs[small] = 0
        kind: object = (
            stem(podset.role),
            needs.tobytes(),
            podset.follows_flavors,
            podset.topology,
            podset.slices,
            podset.group,
            mask.tobytes(),
        )
        kinds.setdefault(at if index in problem.coupled else kind, []).append(at)
    found = list(range(len(podsets)))
    for alike in kinds.values():
        if _roomy(problem, choice, [form.roles[at] for at in alike]):
            for at in alike:
                found[at] = alike[0]
    return tuple(found)


def _roomy(problem: Problem, choice: Choice, roles: Sequence[int]) -> bool:
    """Whether the places of these roles have room for any members of them, whoever else is placed there."""
    most = np.max([problem.roles[role].request for role in roles], axis=0)
    here: Counter[int] = Counter()
    for role in roles:
        here.update(choice.counts[role])
    left = {node: problem.free[node] - count * most for node, count in here.items()}
    for index, counts in enumerate(choice.counts):
        if index not in roles:
            for node in counts.keys() & left.keys():
                left[node] = left[node] - counts[node] * problem.roles[index].request
    return all(bool((amounts >= 0).all()) for amounts in left.values())


def _slots(
    snapshot: Snapshot,
    podsets: Sequence[PodSet],
    pools: Sequence[int],
    counts: Sequence[Mapping[int, int]],
    parallelism: Parallelism,
) -> tuple[list[Slot], Traffic | None]:
    """The members of each PodSet that get a place (node -> how many), so that neighbours in rank are near;
    and what they send each other there."""
    tree = snapshot.tree
    places: dict[int, list[int]] = {}
    for pool, nodes in zip(pools, counts, strict=True):
        places.setdefault(pool, []).extend(n for n, count in nodes.items() for _ in range(count))
    wanted = {member.node for podset in podsets for member in podset.running}
    index = {name: at for at, name in enumerate(tree.nodes if wanted else ()) if name in wanted}
    on = sorted({*index.values(), *(node for nodes in counts for node in nodes)})
    paths = {node: tuple(tree.domain_of[:, node].tolist()) for node in on}
    chains = chains_of(podsets, pools, [sum(nodes.values()) for nodes in counts], index)
    found: dict[tuple[int, int], int] = {}
    ring = parallelism in ALL_TO_ALL
    rows = list(zip(chains, seated(paths, chains, places, ring=ring), strict=True))
    for chain, row in rows:
        found |= {(s.role, s.rank): n for s, n in zip(chain, row, strict=True) if s.node is None}
    standing = (snapshot.nodes[node].node for node in on)
    speeds = fleet_speeds(snapshot.levels, standing, snapshot.fabrics)
    slots = [
        Slot(
            pod=podset.members[rank].pod,
            uid=podset.members[rank].uid,
            role=podset.role,
            rank=rank,
            node=tree.nodes[node],
            request=podset.request,
            late=podset.members[rank].late,
        )
        for (role, rank), node in sorted(found.items())
        for podset in (podsets[role],)
    ]
    sent = traffic(snapshot.levels, speeds, paths, podsets, rows, parallelism) if slots else None
    return slots, sent


def domains(snapshot: Snapshot, nodes: list[str]) -> dict[str, tuple[str, ...]]:
    """Level -> names of the known domains that hold these nodes, host level left out."""
    tree = snapshot.tree
    wanted = set(nodes)
    indices = [index for index, name in enumerate(tree.nodes) if name in wanted] if wanted else []
    found: dict[str, tuple[str, ...]] = {}
    for level in tree.levels[:-1]:
        here = [tree.domain(level, index) for index in indices]
        names = tuple(dict.fromkeys(domain.name for domain in here if domain.known))
        if names:
            found[level] = names
    return found
