"""Small instances: the plan's objective is that of an independent exact model, entry by entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations_with_replacement, product

import pytest

from scheduler.model import Code, Gang, GangAssignment, PassedOver, Plan, PodSet, Reason, Slot
from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.solve.check_facts import Facts
from scheduler.solve.check_objective import evaluate
from tests.solve.instances import KINDS, instance
from tests.solve.reference import optimum

EVERYDAY, SLOW = 120, 1000
HISTOGRAM: dict[str, Counter[str]] = {}


@pytest.fixture(scope="module", autouse=True)
def histogram(pytestconfig: pytest.Config) -> Iterator[None]:
    """Prints, after the module, what the instances were: kinds, features, waiting, entries that cost."""
    yield
    manager = pytestconfig.pluginmanager.getplugin("capturemanager")
    with manager.global_and_fixture_disabled():
        print()
        for kind, counts in HISTOGRAM.items():
            print(
                f"{kind:8}",
                *(f"{name} {count}" for name, count in sorted(counts.items())),
                sep="  ",
            )


def features(snapshot: Snapshot) -> Iterator[str]:
    """The kinds of request that are really in an instance."""
    gangs = snapshot.gangs
    sets = [podset for gang in gangs for podset in gang.podsets]
    wishes = [gang.topology for gang in gangs] + [podset.topology for podset in sets]
    present = {
        "several": len(gangs) > 1,
        "roles": any(len(gang.podsets) > 1 for gang in gangs),
        "elastic": any(gang.min_members < gang.size for gang in gangs),
        "slices": any(podset.slices for podset in sets),
        "running": any(podset.running for podset in sets),
        "levels": any(wish.required and wish.preferred for wish in wishes),
    }
    return (name for name, there in present.items() if there)


def entries(snapshot: Snapshot, plan: Plan) -> Iterator[tuple[str, int]]:
    """Each entry of the vector with the name of its part of the specification."""
    rest = ["gang", "group", "role", "spread"] + ["used"] * 3 + ["opened"] * 3 + ["left"]
    classes = (len(plan.objective) - len(rest)) // 4  # at most 30 gangs: one age entry for a class
    names = ["waiting", "age", "members"] * classes + ["flavor"] * classes + rest
    return zip(names, plan.objective, strict=True)


def agree(kind: str, seed: int) -> None:
    """One instance: the plan verifies, claims to be optimal, and is as good as the reference's."""
    snapshot = instance(kind, seed)
    plan = solve(snapshot)
    assert verify(snapshot, plan) == (), (kind, seed)
    assert plan.objective == optimum(snapshot), (kind, seed, plan.status)
    assert plan.bound == plan.objective, (kind, seed)
    counts = HISTOGRAM.setdefault(kind, Counter(instances=0, waits=0, all_placed=0))
    waits = any(not answer.placed for answer in plan.assignments)
    counts.update(["instances", "waits" if waits else "all_placed"])
    counts.update(f"with:{name}" for name in features(snapshot))
    counts.update({f"cost:{name}" for name, value in entries(snapshot, plan) if value})


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_as_good_as_the_exact_model(kind: str) -> None:
    """Small-instance optimality: every entry of the objective equals that of the exact model.

    At least 100 instances have the feature of their kind, and in at least 30 % a gang must wait.
    """
    for seed in range(EVERYDAY):
        agree(kind, seed)
    counts = HISTOGRAM[kind]
    assert counts[f"with:{kind}"] >= 100, counts
    assert min(counts["waits"], counts["all_placed"]) >= 0.3 * counts["instances"], counts


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_many_more_instances(kind: str) -> None:
    """The same on many more instances."""
    for seed in range(EVERYDAY, EVERYDAY + SLOW):
        agree(kind, seed)


# The reference itself is compared with plain enumeration, scored by the checker.


def test_the_exact_model_equals_enumeration() -> None:
    """The exact model finds the best of all places that there are, on instances of a few nodes."""
    compared = 0
    for kind in KINDS:
        for seed in range(60):
            snapshot = instance(kind, seed)
            if len(snapshot.nodes) <= 6 and _size(snapshot) <= 20_000:
                compared += 1
                assert optimum(snapshot) == _enumerated(snapshot), (kind, seed)
    assert compared >= 20


def _size(snapshot: Snapshot) -> int:
    size = 1
    for gang in snapshot.gangs:
        options = max(len(gang.flavors), 1)
        for podset in gang.podsets:
            options *= (len(snapshot.nodes) + 1) ** len(podset.pending)
        size *= options
    return size


def _enumerated(snapshot: Snapshot) -> tuple[int, ...]:
    best: tuple[int, ...] | None = None
    for answers in product(*(_options(snapshot, gang) for gang in snapshot.gangs)):
        plan = Plan(assignments=tuple(answers))
        vector = evaluate(Facts(snapshot, plan))
        if (best is None or vector < best) and _legal(snapshot, plan, vector):
            best = vector
    assert best is not None
    return best


def _legal(snapshot: Snapshot, plan: Plan, vector: tuple[int, ...]) -> bool:
    return not verify(snapshot, Plan(assignments=plan.assignments, objective=vector))


def _options(snapshot: Snapshot, gang: Gang) -> list[GangAssignment]:
    """Every decision about one gang that is legal while all others wait."""
    held = [one for one in snapshot.reservations if one.key == gang.key]
    if held:
        return held
    found = [_decision(snapshot, gang, (), None)]
    for rank in range(max(len(gang.flavors), 1)):
        ways = product(*(_ways(snapshot, podset) for podset in gang.podsets))
        found += [_decision(snapshot, gang, tuple(chain(*places)), rank) for places in ways]
    return [one for one in found if _alone(snapshot, gang, one)]


def _ways(snapshot: Snapshot, podset: PodSet) -> list[tuple[Slot, ...]]:
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
    snapshot: Snapshot, gang: Gang, slots: tuple[Slot, ...], rank: int | None
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
        flavor=gang.flavors[rank].name if rank is not None and gang.flavors else None,
        flavor_rank=rank or 0,
        passed_over=tuple(PassedOver(flavor=one.name, reason=reason) for one in better),
        domains=domains,
        reason=reason if rank is None else None,
    )


def _at(snapshot: Snapshot, node: str) -> int:
    return snapshot.tree.nodes.index(node)


def _alone(snapshot: Snapshot, gang: Gang, decision: GangAssignment) -> bool:
    alone = Snapshot(
        levels=snapshot.levels, nodes=snapshot.nodes, tree=snapshot.tree, gangs=(gang,),
        reservations=snapshot.reservations,
    )  # fmt: skip
    plan = Plan(assignments=(decision,))
    return _legal(alone, plan, evaluate(Facts(alone, plan)))
