"""The entries of the objective for the exact model, from the specification alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from ortools.sat.python import cp_model

from scheduler.model import Gang, PodSet, TopologyRequest
from tests.solve.reference_load import LONGEST, loading
from tests.solve.reference_ways import decodes, prefills, wishes
from topology.tree import natural_key

if TYPE_CHECKING:
    from tests.solve.reference import Model

Terms = Iterable[cp_model.LinearExprT]
Entry = tuple[cp_model.LinearExpr, int]
"""An objective entry and the largest value it can have."""
NETWORK_MS, NVLINK_MS = 85, 9
"""8,192 tokens of 516,096 bytes at 49.5 and at 460 GB/s; drawn fleets know nothing of their cables."""


def entries(model: Model) -> Iterator[Entry]:
    """Every entry of the vector, most important first."""
    snapshot, everyone = model.snapshot, model.everyone
    priorities = sorted({gang.priority for gang in model.gangs}, reverse=True)
    for priority in priorities:
        yield from _service(model, [g for g in model.gangs if g.priority == priority])
    for priority in priorities:
        ways = [w for g in everyone if g.priority == priority for w in model.ways[g.key]]
        yield _entry(way.rank * bit for way, bit in ways)
        yield _entry(_mixed(model, priority))
    steps: dict[str, list[cp_model.LinearExprT]] = {"gang": [], "group": [], "role": []}
    for gang in everyone:
        for scope, request, podsets in wishes(gang):
            steps[scope.split()[0]] += _steps(model, gang, scope, request, podsets)
    for terms in steps.values():
        yield _entry(terms)
    yield _entry(_shared(model))
    for depth in range(len(snapshot.levels)):
        yield _entry(_domains_used(model, depth))
    transfers = [
        (NETWORK_MS - NVLINK_MS if level == "host" else 1) * far
        for gang in everyone
        for depth, level in enumerate(snapshot.levels)
        for far in _far(model, gang, depth)
    ]
    yield _entry(transfers, most=100_000)
    loads = [found for gang in everyone for found in loading(model, gang)]
    yield cp_model.LinearExpr.sum([seconds for seconds, _ in loads]), LONGEST
    yield _entry(bit for _, bits in loads for bit in bits)
    for depth in range(len(snapshot.levels)):
        yield _entry(_opened(model, depth))
    yield _entry(model.cards.broken)
    yield _left(model)


def _service(model: Model, gangs: Sequence[Gang]) -> Iterator[Entry]:
    oldest_first = sorted(
        gangs, key=lambda g: (g.created_seconds, g.namespace, natural_key(g.name))
    )
    yield _entry(model.waits(gang) for gang in gangs)
    yield _entry(
        model.waits(gang) * 2 ** (len(gangs) - 1 - i) for i, gang in enumerate(oldest_first)
    )
    lacking: list[cp_model.LinearExprT] = []
    for form in (form for gang in gangs for form in model.forms[gang.key]):
        pending = sum(len(podset.pending) for podset in form.podsets)
        lacking.append(pending * model.placed[form.key])
        lacking += [-1 * model.new(form, podset) for podset in form.podsets]
    yield _entry(lacking)


def _mixed(model: Model, priority: int) -> Iterator[cp_model.LinearExprT]:
    """Gangs with new members that stand on two classes."""
    for gang in model.everyone:
        if gang.priority == priority:
            bit = model.cp.new_bool_var("")
            mixed = sum(taken for way, taken in model.ways[gang.key] if way.classes)
            model.cp.add(mixed + model.grows[gang.key] <= 1 + bit)
            yield bit


def _steps(
    model: Model, gang: Gang, scope: str, request: TopologyRequest, podsets: Sequence[PodSet]
) -> list[cp_model.LinearExprT]:
    if request.preferred is None:
        return []
    found: list[cp_model.LinearExprT] = []
    for depth in range(model.snapshot.levels.index(request.preferred) + 1):
        domains = len(model.snapshot.tree.domains[depth])
        bits = [model.use(gang, scope, podsets, depth, d) for d in range(domains)]
        torn = model.cp.new_bool_var("")
        model.cp.add(sum(bits) <= 1 + domains * torn)
        found.append(torn)
    return found


def _shared(model: Model) -> Iterator[cp_model.LinearExprT]:
    spread = [gang for gang in model.snapshot.gangs if gang.spread and gang.blocked is None]
    for one, other in combinations(spread, 2):
        if (one.workload, one.spread) != (other.workload, other.spread):
            continue
        if one not in model.gangs and other not in model.gangs:
            continue
        depth = model.snapshot.levels.index(str(one.spread))
        for domain in range(len(model.snapshot.tree.domains[depth])):
            for mine in _stands(model, one, depth, domain):
                for theirs in _stands(model, other, depth, domain):
                    both = model.cp.new_bool_var("")
                    model.cp.add(cp_model.LinearExpr.sum([mine, theirs]) <= 1 + both)
                    yield both


def _stands(model: Model, gang: Gang, depth: int, domain: int) -> list[cp_model.LinearExprT]:
    """Whether the gang stands in the domain, for each form that it may have."""
    if gang in model.gangs:
        forms = model.forms[gang.key]
        return [model.use(form, "gang", form.podsets, depth, domain) for form in forms]
    row = model.snapshot.tree.domain_of[depth]
    nodes = [member.node or "" for podset in gang.podsets for member in podset.running]
    nodes += [slot.node for slot in model.held[gang.key].slots] if gang.key in model.held else []
    return [int(any(row[model.index[node]] == domain for node in nodes))]


def _domains_used(model: Model, depth: int) -> Iterator[cp_model.LinearExprT]:
    row = model.snapshot.tree.domain_of[depth]
    for gang in model.everyone:
        running = {
            int(row[model.index[member.node or ""]])
            for podset in gang.podsets
            for member in podset.running
        }
        for domain in range(len(model.snapshot.tree.domains[depth])):
            bit = model.cp.new_bool_var("")
            if domain in running:
                model.cp.add(bit >= model.grows[gang.key])
            for podset in gang.podsets:
                for n in range(len(model.snapshot.nodes)):
                    if row[n] == domain:
                        x = model.x[gang.key, podset.role, n]
                        model.cp.add(x <= len(podset.pending) * bit)
            yield bit


def _far(model: Model, gang: Gang, depth: int) -> Iterator[cp_model.LinearExprT]:
    """Of a gang with new members that has both: decode members in domains without a prefill member."""
    if not (any(map(prefills, gang.podsets)) and any(map(decodes, gang.podsets))):
        return
    row = model.snapshot.tree.domain_of[depth]
    for domain in range(len(model.snapshot.tree.domains[depth])):
        inside = [n for n in range(len(model.snapshot.nodes)) if row[n] == domain]
        names = {model.snapshot.nodes[n].node.name for n in inside}
        counts: list[cp_model.LinearExprT] = []
        for kind in (prefills, decodes):
            sets = list(filter(kind, gang.podsets))
            runs = sum(member.node in names for each in sets for member in each.running)
            new = sum(model.x[gang.key, each.role, n] for each in sets for n in inside)
            counts.append(new + runs * model.grows[gang.key])
        near, far = model.cp.new_bool_var(""), model.cp.new_int_var(0, 100, "")
        model.cp.add(near <= counts[0])
        model.cp.add(far >= counts[1]).only_enforce_if(~near)
        yield far


def _opened(model: Model, depth: int) -> Iterator[cp_model.LinearExprT]:
    row = model.snapshot.tree.domain_of[depth]
    for domain in range(len(model.snapshot.tree.domains[depth])):
        inside = [n for n in range(len(model.snapshot.nodes)) if row[n] == domain]
        if any(_cards_in_use(model, n) for n in inside):
            continue
        bit = model.cp.new_bool_var("")
        for n in inside:
            cards = model.snapshot.nodes[n].node.accelerator
            for gang in model.everyone:
                for podset in gang.podsets:
                    if cards is not None and podset.request[cards.resource]:
                        x = model.x[gang.key, podset.role, n]
                        model.cp.add(x <= len(podset.pending) * bit)
        yield bit


def _cards_in_use(model: Model, n: int) -> int:
    state = model.snapshot.nodes[n]
    cards = state.node.accelerator
    if cards is None:
        return 0
    slots = (s for r in model.held.values() for s in r.slots if s.node == state.node.name)
    requests = [*(pod.request for pod in state.pods), *(slot.request for slot in slots)]
    return sum(request[cards.resource] for request in requests)


def _left(model: Model) -> Entry:
    terms: list[cp_model.LinearExprT] = []
    for n, state in enumerate(model.snapshot.nodes):
        cards = state.node.accelerator
        if cards is None:
            continue
        bit = model.cp.new_bool_var("")
        terms.append(bit * (cards.count - _cards_in_use(model, n)))
        for gang in model.everyone:
            for podset in gang.podsets:
                x = model.x[gang.key, podset.role, n]
                model.cp.add(x <= len(podset.pending) * bit)
                if podset.request[cards.resource]:
                    terms.append(-podset.request[cards.resource] * x)
    return _entry(terms)


def _entry(terms: Terms, most: int = 500) -> Entry:
    """An entry of these terms; ``most`` is far above what 12 nodes can cost."""
    return cp_model.LinearExpr.sum(list(terms)), most
