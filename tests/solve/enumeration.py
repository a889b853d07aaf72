"""Plain enumeration of every decision, scored by the checker: for the smallest instances only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations_with_replacement, product

from scheduler.model import Code, Gang, GangAssignment, PassedOver, Plan, PodSet, Reason, Slot
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.solve.check import verify
from scheduler.solve.check_facts import Facts
from scheduler.solve.check_objective import evaluate


def ways(snapshot: Snapshot) -> int:
    """An upper limit of the number of decisions that there are."""
    size = 1
    for gang in snapshot.gangs:
        options = 0
        for _, _, podsets in _named(gang):
            choices = 1
            for podset in podsets:
                choices *= (len(snapshot.nodes) + 1) ** len(podset.pending)
            options += choices
        size *= options
    return size


def enumerated(snapshot: Snapshot, policy: Policy = Policy()) -> tuple[int, ...]:
    """The best objective vector of all legal plans."""
    best: tuple[int, ...] | None = None
    for answers in product(*(_options(snapshot, policy, gang) for gang in snapshot.gangs)):
        plan = Plan(assignments=tuple(answers))
        vector = evaluate(Facts(snapshot, plan))
        if (best is None or vector < best) and _legal(snapshot, policy, plan, vector):
            best = vector
    assert best is not None
    return best


def _legal(snapshot: Snapshot, policy: Policy, plan: Plan, vector: tuple[int, ...]) -> bool:
    return not verify(snapshot, Plan(assignments=plan.assignments, objective=vector), policy)


def _named(gang: Gang) -> Iterator[tuple[int, int, tuple[PodSet, ...]]]:
    """What an answer may name: the index of its flavor and its rank (of a mixed pair perhaps a worse one),
    with the PodSets that it is then about."""
    for index in range(max(len(gang.flavors), 1)):
        name = gang.flavors[index].name if gang.flavors else None
        sets = [one.podsets for one in gang.variants if one.flavor == name and one.podsets]
        ranks = range(index, len(gang.flavors)) if gang.connector else ()
        for rank in ranks or (index,):
            yield index, rank, sets[0] if sets else gang.podsets


def _options(snapshot: Snapshot, policy: Policy, gang: Gang) -> list[GangAssignment]:
    """The decisions about one gang that are legal while all others wait.

    All of them where members of other gangs could make one legal: by affinity or by spread.
    """
    held = [one for one in snapshot.reservations if one.key == gang.key]
    if held:
        return held
    found = [_decision(snapshot, gang, (), 0, None)]
    for index, rank, podsets in _named(gang):
        choices = product(*(_choices(snapshot, podset) for podset in podsets))
        found += [
            _decision(snapshot, gang, tuple(chain(*places)), index, rank) for places in choices
        ]
    rules = [each.constraints for other in snapshot.gangs for each in other.podsets]
    if any(rule.affinity or rule.spread for rule in rules):
        return found
    return [one for one in found if _alone(snapshot, policy, gang, one)]


def _choices(snapshot: Snapshot, podset: PodSet) -> list[tuple[Slot, ...]]:
    members = podset.pending
    return [
        tuple(
            Slot(pod=m.pod, uid=m.uid, role=podset.role, rank=i, node=n, request=podset.request)
            for i, (m, n) in enumerate(zip(members, nodes, strict=False))
        )
        for count in range(len(members) + 1)
        for nodes in combinations_with_replacement(snapshot.tree.nodes, count)
    ]


def _decision(
    snapshot: Snapshot, gang: Gang, slots: tuple[Slot, ...], index: int, rank: int | None
) -> GangAssignment:
    reason = Reason(code=Code.INSUFFICIENT, message="waits")
    better = gang.flavors if rank is None else gang.flavors[:rank]
    used = [slot.node for slot in slots]
    used += [m.node for podset in gang.podsets for m in podset.running if m.node is not None]
    domains = {
        level: tuple(sorted({snapshot.tree.domain(level, _at(snapshot, n)).name for n in used}))
        for level in snapshot.levels[:-1]
    }
    return GangAssignment(
        namespace=gang.namespace,
        gang=gang.name,
        slots=slots,
        placed=rank is not None,
        flavor=gang.flavors[index].name if rank is not None and gang.flavors else None,
        flavor_rank=rank or 0,
        passed_over=tuple(PassedOver(flavor=one.name, reason=reason) for one in better),
        domains=domains,
        reason=reason if rank is None else None,
    )


def _at(snapshot: Snapshot, node: str) -> int:
    return snapshot.tree.nodes.index(node)


def _alone(snapshot: Snapshot, policy: Policy, gang: Gang, decision: GangAssignment) -> bool:
    alone = Snapshot(
        levels=snapshot.levels, nodes=snapshot.nodes, tree=snapshot.tree, gangs=(gang,),
        reservations=snapshot.reservations,
    )  # fmt: skip
    plan = Plan(assignments=(decision,))
    return _legal(alone, policy, plan, evaluate(Facts(alone, plan)))
