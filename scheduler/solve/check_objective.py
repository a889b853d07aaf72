"""The objective vector, computed once more from the places alone. Shares nothing with the solver.

Entries, all to be minimised, most important first: per priority (highest first) gangs that wait, their
age, members without a place; per priority the flavor ranks and the gangs on two device classes; steps away
from the preferred levels of gangs, groups and PodSets; shared spread domains; domains used per level;
milliseconds that caches travel to decode members beyond their hosts; seconds until models are loaded and
nodes that fetch them; idle domains opened per level; groups of cards that are no longer wholly free; cards
left free on the nodes used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from scheduler.model import Gang, TopologyRequest
from scheduler.solve.check_cards import broken
from scheduler.solve.check_facts import Crowd, Facts, Standing
from scheduler.solve.check_load import load
from topology.tree import NaturalKey, natural_key

_CHUNK = 30


def evaluate(facts: Facts) -> tuple[int, ...]:
    """The vector of the plan in ``facts``."""
    return (
        *_service(facts),
        *_flavors(facts),
        sum(_steps(facts, s.gang.topology, s.crowds) for s in facts.placed),
        sum(
            _steps(facts, request, crowds) for s in facts.placed for _, request, crowds in s.groups
        ),
        sum(
            _steps(facts, crowd.podset.topology, (crowd,))
            for s in facts.placed
            for crowd in s.crowds
        ),
        _shared(facts),
        *_used(facts),
        sum(_far(facts, standing) for standing in facts.placed if standing.new),
        *map(sum, zip((0, 0), *(load(facts, s) for s in facts.placed if s.new), strict=True)),
        *_opened(facts),
        broken(facts),
        _left(facts),
    )


def _classes(facts: Facts) -> Iterator[list[Standing]]:
    """The planned gangs by priority, highest first; the oldest first inside."""

    def age(standing: Standing) -> tuple[int, str, NaturalKey]:
        gang: Gang = standing.gang
        return gang.created_seconds, gang.namespace, natural_key(gang.name)

    for priority in sorted({s.gang.priority for s in facts.planned}, reverse=True):
        yield sorted((s for s in facts.planned if s.gang.priority == priority), key=age)


def _service(facts: Facts) -> Iterator[int]:
    for standings in _classes(facts):
        waits = [not standing.answer.placed for standing in standings]
        yield sum(waits)
        for start in range(0, len(waits), _CHUNK):
            number = 0
            for wait in waits[start : start + _CHUNK]:
                number = 2 * number + wait
            yield number
        yield sum(
            len(crowd.podset.pending) - len(crowd.new)
            for standing in standings
            if standing.answer.placed
            for crowd in standing.crowds
        )


def _flavors(facts: Facts) -> Iterator[int]:
    for standings in _classes(facts):
        placed = [standing for standing in standings if standing.answer.placed]
        yield sum(standing.answer.flavor_rank for standing in placed)
        yield sum(len(facts.classes(s.crowds)) > 1 for s in placed if s.new)


def _steps(facts: Facts, request: TopologyRequest, crowds: Iterable[Crowd]) -> int:
    """Levels to go outwards from the preferred one until one domain holds all members."""
    if request.preferred is None:
        return 0
    nodes = tuple(node for crowd in crowds for node in crowd.all)
    wanted = facts.snapshot.levels.index(request.preferred)
    for depth in range(wanted, -1, -1):
        if len(facts.domains(depth, nodes)) <= 1:
            return wanted - depth
    return wanted + 1


def _shared(facts: Facts) -> int:
    planned = {standing.gang.key for standing in facts.planned}
    total = 0
    spread = [s for s in facts.standings if s.gang.spread is not None and s.answer.placed]
    for one, other in combinations(spread, 2):
        mine, theirs = one.gang, other.gang
        if (mine.namespace, mine.workload, mine.spread) != (
            theirs.namespace,
            theirs.workload,
            theirs.spread,
        ):
            continue
        if mine.key in planned or theirs.key in planned:
            depth = facts.snapshot.levels.index(str(mine.spread))
            total += len(facts.domains(depth, one.all) & facts.domains(depth, other.all))
    return total


def _used(facts: Facts) -> Iterator[int]:
    growing = [(s, s.all) for s in facts.placed if s.new]
    for depth in range(len(facts.snapshot.levels)):
        yield sum(len(facts.domains(depth, nodes)) for _, nodes in growing)


def _far(facts: Facts, standing: Standing) -> int:
    """Each decode member pays from the host outwards until it meets a prefill member."""
    if not standing.decode:
        return 0
    rows = facts.snapshot.tree.domain_of
    near = [node for crowd in standing.prefill for node in crowd.all]
    total = 0
    for node in (node for crowd in standing.decode for node in crowd.all):
        met = [int((rows[:, node] == rows[:, other]).sum()) for other in near]
        total += sum(facts.leaving[max(met, default=0) :])
    return total


def _opened(facts: Facts) -> Iterator[int]:
    nodes = tuple(
        node
        for standing in facts.placed
        for crowd in standing.crowds
        for node in set(crowd.new)
        if facts.requests_cards(crowd.podset, node)
    )
    for depth, domains in enumerate(facts.snapshot.tree.domains):
        found = (domains[index] for index in facts.domains(depth, nodes))
        yield sum(not any(_busy(facts, n) for n in range(d.lo, d.hi)) for d in found)


def _busy(facts: Facts, node: int) -> bool:
    state = facts.state(node)
    accelerator = state.node.accelerator
    if accelerator is None:
        return False
    held = facts.reserved_on.get(node, {}).get(accelerator.resource, 0)
    return (
        held > 0 or state.free[accelerator.resource] < state.node.allocatable[accelerator.resource]
    )


def _left(facts: Facts) -> int:
    taken: dict[int, int] = {}
    for standing in facts.placed:
        for crowd in standing.crowds:
            for node in crowd.new:
                accelerator = facts.accelerator(node)
                if accelerator is not None:
                    amount = crowd.podset.request[accelerator.resource]
                    taken[node] = taken.get(node, 0) + amount
    total = 0
    for node, amount in taken.items():
        accelerator = facts.accelerator(node)
        assert accelerator is not None
        held = facts.reserved_on.get(node, {}).get(accelerator.resource, 0)
        total += max(facts.state(node).free[accelerator.resource] - held - amount, 0)
    return total
