"""A choice of counts as assignments: members to nodes, domains, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scheduler.model import Gang, GangAssignment, PassedOver, PodSet, Reason, Slot
from scheduler.snapshot import Snapshot
from scheduler.solve.build import to_plan
from scheduler.solve.decide import Decision
from scheduler.solve.elsewhere import elsewhere
from scheduler.solve.problem import Problem
from scheduler.solve.reasons import Why
from scheduler.solve.terms import loads
from scheduler.solve.variants import as_on


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
    slots: list[Slot] = []
    for role, podset in zip(row.form_of(option).roles, as_on(gang, name).podsets, strict=True):
        slots += _slots(snapshot, podset, decision.choice.counts[role])
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


def _slots(snapshot: Snapshot, podset: PodSet, counts: Mapping[int, int]) -> list[Slot]:
    """Members in rank order onto nodes in tree order: adjacent ranks stand near each other."""
    places = [node for node, count in sorted(counts.items()) for _ in range(count)]
    pending = [(rank, m) for rank, m in enumerate(podset.members) if m.node is None]
    return [
        Slot(
            pod=member.pod,
            uid=member.uid,
            role=podset.role,
            rank=rank,
            node=snapshot.tree.nodes[place],
            request=podset.request,
            late=member.late,
        )
        for (rank, member), place in zip(pending, places, strict=False)
    ]


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
