"""An exact model of the decision that is as naive as possible: one integer per (PodSet, node).

It was written from the specification alone, shares nothing with ``scheduler.solve`` and is slow on
purpose: no counting, no classes of nodes, no heuristics. Entry by entry of the objective vector is
minimised by CP-SAT; ``solve()`` must reach the same vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from ortools.sat.python import cp_model

from scheduler.model import Gang, PodSet, TopologyRequest
from scheduler.snapshot import Snapshot
from scheduler.solve.check_match import admits
from topology.model import Flavor

Terms = Iterable[cp_model.LinearExprT]
Entry = tuple[cp_model.LinearExpr, int]
"""An objective entry and the largest value it can have."""

_STAGE = 2**40
"""Entries are minimised together, weighted, as long as the weights stay exact and small."""


def optimum(snapshot: Snapshot) -> tuple[int, ...]:
    """The best objective vector there is for the snapshot, proven."""
    model = _Model(snapshot)
    entries = list(model.entries())
    best: list[int] = []
    while len(best) < len(entries):
        stage: list[Entry] = []
        size = 1
        for expression, largest in entries[len(best) :]:
            if stage and size * (largest + 1) > _STAGE:
                break
            size *= largest + 1
            stage.append((expression, largest))
        best += model.minimise(stage)
    return tuple(best)


class _Model:
    """Variables and hard rules. ``x[gang, role, node]`` counts new members."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.cp = cp_model.CpModel()
        self.index = {name: i for i, name in enumerate(snapshot.tree.nodes)}
        self.held = {r.key: r for r in snapshot.reservations}
        self.gangs = [
            gang
            for gang in snapshot.gangs
            if gang.key not in self.held
            and gang.blocked is None
            and any(podset.pending for podset in gang.podsets)
        ]
        self.x: dict[tuple[str, str, int], cp_model.IntVar] = {}
        self.placed: dict[str, cp_model.IntVar] = {}
        self.grows: dict[str, cp_model.IntVar] = {}
        self.flavor: dict[str, list[cp_model.IntVar]] = {}
        self.used: dict[tuple[str, str, int, int], cp_model.IntVar] = {}
        for gang in self.gangs:
            self._gang(gang)
        self._capacity()
        self._alone()

    def minimise(self, stage: Sequence[Entry]) -> list[int]:
        """Minimise the entries of one stage, first to last, and fix them."""
        total = _sum(())
        for expression, largest in stage:
            total = total * (largest + 1) + expression
        self.cp.minimize(total)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        status = solver.solve(self.cp)
        assert status == cp_model.OPTIMAL, solver.status_name(status)
        values = [int(solver.value(expression)) for expression, _ in stage]
        for (expression, _), value in zip(stage, values, strict=True):
            self.cp.add(expression <= value)
        return values

    # Hard rules

    def _gang(self, gang: Gang) -> None:
        key, nodes = gang.key, range(len(self.snapshot.nodes))
        placed = self.placed[key] = self.cp.new_bool_var("")
        grows = self.grows[key] = self.cp.new_bool_var("")
        counts = []
        for podset in gang.podsets:
            pending = len(podset.pending)
            for n in nodes:
                self.x[key, podset.role, n] = self.cp.new_int_var(0, pending, "")
            new = _sum(self.x[key, podset.role, n] for n in nodes)
            self.cp.add(new <= pending * grows)
            self.cp.add(len(podset.running) + new >= podset.min_count * placed)
            counts.append(len(podset.running) + new)
        self.cp.add(_sum(counts) >= gang.min_members * placed)
        self.cp.add_implication(grows, placed)
        self._flavors(gang)
        self._one_class(gang)
        for podset in gang.podsets:
            self._nodes(gang, podset)
            self._slices(gang, podset)
        for scope, request, podsets in _wishes(gang):
            self._required(gang, scope, request, podsets)

    def _flavors(self, gang: Gang) -> None:
        flavors = gang.flavors or (Flavor(name=""),)
        chosen = self.flavor[gang.key] = [self.cp.new_bool_var("") for _ in flavors]
        self.cp.add(_sum(chosen) == self.placed[gang.key])
        followers = [podset for podset in gang.podsets if podset.follows_flavors]
        running = [m.node for podset in followers for m in podset.running]
        for flavor, bit in zip(flavors, chosen, strict=True):
            fits = all(_offers(flavor, podset) for podset in followers)
            here = all(self._serves(self.index[node or ""], flavor) for node in running)
            if not (fits and here and flavor.members in (None, gang.size)):
                self.cp.add(bit == 0)
        for podset in followers:
            for n in range(len(self.snapshot.nodes)):
                serving = _sum(
                    bit
                    for flavor, bit in zip(flavors, chosen, strict=True)
                    if self._serves(n, flavor)
                )
                self.cp.add(self.x[gang.key, podset.role, n] <= len(podset.pending) * serving)

    def _serves(self, n: int, flavor: Flavor) -> bool:
        node = self.snapshot.nodes[n].node
        cards = node.accelerator
        if not flavor.node_selector.items() <= node.labels.items():
            return False
        if flavor.device_class and (not cards or cards.device_class != flavor.device_class):
            return False
        memory = cards.memory_bytes if cards else None
        return not flavor.min_memory_bytes or (memory or 0) >= flavor.min_memory_bytes

    def _one_class(self, gang: Gang) -> None:
        followers = [podset for podset in gang.podsets if podset.follows_flavors]
        classes: dict[str, cp_model.IntVar] = {}
        for n, state in enumerate(self.snapshot.nodes):
            cards = state.node.accelerator
            for podset in followers:
                if cards is None or not podset.request[cards.resource]:
                    continue
                if cards.device_class not in classes:
                    classes[cards.device_class] = self.cp.new_bool_var("")
                bit = classes[cards.device_class]
                self.cp.add(self.x[gang.key, podset.role, n] <= len(podset.pending) * bit)
                if state.node.name in [m.node for m in podset.running]:
                    self.cp.add(bit >= self.grows[gang.key])
        self.cp.add(_sum(classes.values()) <= 1)

    def _nodes(self, gang: Gang, podset: PodSet) -> None:
        for n, state in enumerate(self.snapshot.nodes):
            x, name = self.x[gang.key, podset.role, n], state.node.name
            if (
                not state.usable
                or name in gang.excluded_nodes
                or not admits(podset.constraints, state.node)
            ):
                self.cp.add(x == 0)

    def _slices(self, gang: Gang, podset: PodSet) -> None:
        row, nodes = self.snapshot.tree.domain_of, range(len(self.snapshot.nodes))
        grows = self.cp.new_bool_var("")
        total = _sum(self.x[gang.key, podset.role, n] for n in nodes)
        self.cp.add(total == 0).only_enforce_if(~grows)
        for part in podset.slices:
            depth = self.snapshot.levels.index(part.level)
            for index, domain in enumerate(self.snapshot.tree.domains[depth]):
                inside = [n for n in nodes if row[depth, n] == index]
                new = _sum(self.x[gang.key, podset.role, n] for n in inside)
                here = sum(self.index[m.node or ""] in inside for m in podset.running)
                slices = self.cp.new_int_var(0, podset.size // part.size, "")
                self.cp.add(here + new == part.size * slices).only_enforce_if(grows)
                if not domain.known:
                    self.cp.add(new == 0)

    def _required(
        self, gang: Gang, scope: str, request: TopologyRequest, podsets: Sequence[PodSet]
    ) -> None:
        if request.required is None:
            return
        depth = self.snapshot.levels.index(request.required)
        domains = self.snapshot.tree.domains[depth]
        bits = [self._use(gang, scope, podsets, depth, d) for d in range(len(domains))]
        nodes = range(len(self.snapshot.nodes))
        grows = self.cp.new_bool_var("")
        for podset in podsets:
            new = _sum(self.x[gang.key, podset.role, n] for n in nodes)
            self.cp.add(new == 0).only_enforce_if(~grows)
        self.cp.add(_sum(bits) <= 1).only_enforce_if(grows)
        for bit, domain in zip(bits, domains, strict=True):
            if not domain.known:
                self.cp.add(bit == 0).only_enforce_if(grows)

    def _capacity(self) -> None:
        for n, state in enumerate(self.snapshot.nodes):
            slots = [s for r in self.held.values() for s in r.slots if s.node == state.node.name]
            for resource in {r for g in self.gangs for p in g.podsets for r in p.request}:
                free = state.free[resource] - sum(slot.request[resource] for slot in slots)
                wanted = _sum(
                    self.x[g.key, p.role, n] * p.request[resource]
                    for g in self.gangs
                    for p in g.podsets
                    if p.request[resource]
                )
                self.cp.add(wanted <= max(free, 0))

    def _alone(self) -> None:
        """The one anti-affinity of the random instances: at most one holder on a node."""
        for n, state in enumerate(self.snapshot.nodes):
            holders = [
                self.x[gang.key, podset.role, n]
                for gang in self.gangs
                for podset in gang.podsets
                if podset.constraints.anti_affinity
            ]
            here = sum(bool(pod.anti_affinity) for pod in state.pods)
            self.cp.add(_sum(holders) <= max(1 - here, 0))

    def _use(
        self, gang: Gang, scope: str, podsets: Sequence[PodSet], depth: int, domain: int
    ) -> cp_model.IntVar:
        """Whether running or new members of the scope stand in the domain, if the gang is placed."""
        at = gang.key, scope, depth, domain
        if at not in self.used:
            bit = self.used[at] = self.cp.new_bool_var("")
            row = self.snapshot.tree.domain_of[depth]
            for podset in podsets:
                for n in range(len(self.snapshot.nodes)):
                    if row[n] == domain:
                        self.cp.add(self.x[gang.key, podset.role, n] <= len(podset.pending) * bit)
                if any(row[self.index[m.node or ""]] == domain for m in podset.running):
                    self.cp.add(bit >= self.placed[gang.key])
        return self.used[at]

    # Objective

    def entries(self) -> Iterator[Entry]:
        """Every entry of the vector, most important first."""
        priorities = sorted({gang.priority for gang in self.gangs}, reverse=True)
        for priority in priorities:
            yield from self._service([g for g in self.gangs if g.priority == priority])
        for priority in priorities:
            yield _entry(
                rank * bit
                for gang in self.gangs
                if gang.priority == priority
                for rank, bit in enumerate(self.flavor[gang.key])
            )
        steps: dict[str, list[cp_model.LinearExprT]] = {"gang": [], "group": [], "role": []}
        for gang in self.gangs:
            for scope, request, podsets in _wishes(gang):
                steps[scope.split()[0]] += self._steps(gang, scope, request, podsets)
        for terms in steps.values():
            yield _entry(terms)
        yield _entry(self._shared())
        for depth in range(len(self.snapshot.levels)):
            yield _entry(self._domains_used(depth))
        for depth in range(len(self.snapshot.levels)):
            yield _entry(self._opened(depth))
        yield self._left()

    def _service(self, gangs: Sequence[Gang]) -> Iterator[Entry]:
        oldest_first = sorted(gangs, key=lambda g: (g.created_seconds, g.namespace, g.name))
        yield _entry(1 - self.placed[gang.key] for gang in gangs)
        yield _entry(
            (1 - self.placed[gang.key]) * 2 ** (len(gangs) - 1 - i)
            for i, gang in enumerate(oldest_first)
        )
        lacking = []
        for gang in gangs:
            pending = sum(len(podset.pending) for podset in gang.podsets)
            lacking.append(pending * self.placed[gang.key])
        nodes = range(len(self.snapshot.nodes))
        new = (self.x[g.key, p.role, n] for g in gangs for p in g.podsets for n in nodes)
        yield _entry([*lacking, *(-count for count in new)])

    def _steps(
        self, gang: Gang, scope: str, request: TopologyRequest, podsets: Sequence[PodSet]
    ) -> list[cp_model.LinearExprT]:
        if request.preferred is None:
            return []
        found: list[cp_model.LinearExprT] = []
        for depth in range(self.snapshot.levels.index(request.preferred) + 1):
            domains = len(self.snapshot.tree.domains[depth])
            bits = [self._use(gang, scope, podsets, depth, d) for d in range(domains)]
            torn = self.cp.new_bool_var("")
            self.cp.add(_sum(bits) <= 1 + domains * torn)
            found.append(torn)
        return found

    def _shared(self) -> Iterator[cp_model.LinearExprT]:
        spread = [gang for gang in self.snapshot.gangs if gang.spread and gang.blocked is None]
        for one, other in combinations(spread, 2):
            if (one.workload, one.spread) != (other.workload, other.spread):
                continue
            if one not in self.gangs and other not in self.gangs:
                continue
            depth = self.snapshot.levels.index(str(one.spread))
            for domain in range(len(self.snapshot.tree.domains[depth])):
                both = self.cp.new_bool_var("")
                mine, theirs = (self._stands(gang, depth, domain) for gang in (one, other))
                self.cp.add(_sum((mine, theirs)) <= 1 + both)
                yield both

    def _stands(self, gang: Gang, depth: int, domain: int) -> cp_model.LinearExprT:
        if gang in self.gangs:
            return self._use(gang, "gang", gang.podsets, depth, domain)
        row = self.snapshot.tree.domain_of[depth]
        nodes = [member.node or "" for podset in gang.podsets for member in podset.running]
        nodes += [slot.node for slot in self.held[gang.key].slots] if gang.key in self.held else []
        return int(any(row[self.index[node]] == domain for node in nodes))

    def _domains_used(self, depth: int) -> Iterator[cp_model.LinearExprT]:
        row = self.snapshot.tree.domain_of[depth]
        for gang in self.gangs:
            running = {
                int(row[self.index[member.node or ""]])
                for podset in gang.podsets
                for member in podset.running
            }
            for domain in range(len(self.snapshot.tree.domains[depth])):
                bit = self.cp.new_bool_var("")
                if domain in running:
                    self.cp.add(bit >= self.grows[gang.key])
                for podset in gang.podsets:
                    for n in range(len(self.snapshot.nodes)):
                        if row[n] == domain:
                            x = self.x[gang.key, podset.role, n]
                            self.cp.add(x <= len(podset.pending) * bit)
                yield bit

    def _opened(self, depth: int) -> Iterator[cp_model.LinearExprT]:
        row = self.snapshot.tree.domain_of[depth]
        for domain in range(len(self.snapshot.tree.domains[depth])):
            inside = [n for n in range(len(self.snapshot.nodes)) if row[n] == domain]
            if any(self._cards_in_use(n) for n in inside):
                continue
            bit = self.cp.new_bool_var("")
            for n in inside:
                cards = self.snapshot.nodes[n].node.accelerator
                for gang in self.gangs:
                    for podset in gang.podsets:
                        if cards is not None and podset.request[cards.resource]:
                            x = self.x[gang.key, podset.role, n]
                            self.cp.add(x <= len(podset.pending) * bit)
            yield bit

    def _cards_in_use(self, n: int) -> int:
        state = self.snapshot.nodes[n]
        cards = state.node.accelerator
        if cards is None:
            return 0
        slots = (s for r in self.held.values() for s in r.slots if s.node == state.node.name)
        requests = [*(pod.request for pod in state.pods), *(slot.request for slot in slots)]
        return sum(request[cards.resource] for request in requests)

    def _left(self) -> Entry:
        terms: list[cp_model.LinearExprT] = []
        for n, state in enumerate(self.snapshot.nodes):
            cards = state.node.accelerator
            if cards is None:
                continue
            bit = self.cp.new_bool_var("")
            terms.append(bit * (cards.count - self._cards_in_use(n)))
            for gang in self.gangs:
                for podset in gang.podsets:
                    x = self.x[gang.key, podset.role, n]
                    self.cp.add(x <= len(podset.pending) * bit)
                    if podset.request[cards.resource]:
                        terms.append(-podset.request[cards.resource] * x)
        return _entry(terms)


def _sum(terms: Terms) -> cp_model.LinearExpr:
    return cp_model.LinearExpr.sum(list(terms))


def _entry(terms: Terms) -> Entry:
    return _sum(terms), 500  # far above any entry of an instance with 12 nodes


def _wishes(gang: Gang) -> Iterator[tuple[str, TopologyRequest, Sequence[PodSet]]]:
    yield "gang", gang.topology, gang.podsets
    for group in sorted({podset.group for podset in gang.podsets if podset.group}):
        podsets = [podset for podset in gang.podsets if podset.group == group]
        yield f"group {group}", podsets[0].group_topology, podsets
    for podset in gang.podsets:
        yield f"role {podset.role}", podset.topology, [podset]


def _offers(flavor: Flavor, podset: PodSet) -> bool:
    listed, request = flavor.resources or podset.request, podset.request
    extended = {name for name in request if "/" in name}
    return extended <= set(listed) and all(listed[name] == request[name] for name in listed)
