"""An exact model of the decision that is as naive as possible: one integer per (PodSet, node).

It was written from the specification alone, shares nothing with ``scheduler.solve`` and is slow on
purpose: no counting, no classes of nodes, no heuristics. Entry by entry of the objective vector is
minimised by CP-SAT; ``solve()`` must reach the same vector. The entries are in ``reference_terms``.
"""

from __future__ import annotations

from collections.abc import Sequence

from ortools.sat.python import cp_model

from scheduler.model import Gang, PodSet, TopologyRequest
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.solve.check_match import admits
from tests.solve.reference_cards import CardModel
from tests.solve.reference_ratio import keeping
from tests.solve.reference_terms import Entry, Terms, entries
from tests.solve.reference_ways import Way, decodes, forms_of, takes_cards, ways_of, wishes

_STAGE = 2**40
"""Entries are minimised together, weighted, as long as the weights stay exact and small."""


def optimum(snapshot: Snapshot, policy: Policy = Policy()) -> tuple[int, ...]:
    """The best objective vector there is for the snapshot, proven."""
    model = Model(snapshot, policy)
    wanted = list(entries(model))
    best: list[int] = []
    while len(best) < len(wanted):
        stage: list[Entry] = []
        size = 1
        for expression, largest in wanted[len(best) :]:
            if stage and size * (largest + 1) > _STAGE:
                break
            size *= largest + 1
            stage.append((expression, largest))
        best += model.minimise(stage)
    return tuple(best)


class Model:
    """Variables and hard rules. ``x[gang, role, node]`` counts new members.

    A gang with variants is one gang for each form that it can take (``forms``), of which at most one is
    placed.
    """

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self.snapshot, self.policy = snapshot, policy
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
        self.forms = {gang.key: forms_of(gang) for gang in self.gangs}
        self.x: dict[tuple[str, str, int], cp_model.IntVar] = {}
        self.placed: dict[str, cp_model.IntVar] = {}
        self.grows: dict[str, cp_model.IntVar] = {}
        self.ways: dict[str, list[tuple[Way, cp_model.IntVar]]] = {}
        self.used: dict[tuple[str, str, int, int], cp_model.IntVar] = {}
        for gang in self.gangs:
            for form in self.forms[gang.key]:
                self._gang(form)
            self.cp.add(self.waits(gang) >= 0)
        self._capacity()
        self._alone()
        self.cards = CardModel(self)

    @property
    def everyone(self) -> list[Gang]:
        """Every form of every gang."""
        return [form for gang in self.gangs for form in self.forms[gang.key]]

    def waits(self, gang: Gang) -> cp_model.LinearExprT:
        """1 when no form of the gang is placed."""
        return 1 - total(self.placed[form.key] for form in self.forms[gang.key])

    def minimise(self, stage: Sequence[Entry]) -> list[int]:
        """Minimise the entries of one stage, first to last, and fix them."""
        weighted = total(())
        for expression, largest in stage:
            weighted = weighted * (largest + 1) + expression
        self.cp.minimize(weighted)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        status = solver.solve(self.cp)
        assert status == cp_model.OPTIMAL, solver.status_name(status)
        values = [int(solver.value(expression)) for expression, _ in stage]
        for (expression, _), value in zip(stage, values, strict=True):
            self.cp.add(expression <= value)
        return values

    def new(self, gang: Gang, podset: PodSet) -> cp_model.LinearExpr:
        """New members of a PodSet."""
        return total(self.x[gang.key, podset.role, n] for n in range(len(self.snapshot.nodes)))

    def _gang(self, gang: Gang) -> None:
        key, nodes = gang.key, range(len(self.snapshot.nodes))
        placed = self.placed[key] = self.cp.new_bool_var("")
        grows = self.grows[key] = self.cp.new_bool_var("")
        counts = []
        for podset in gang.podsets:
            pending = len(podset.pending)
            for n in nodes:
                self.x[key, podset.role, n] = self.cp.new_int_var(0, pending, "")
            new = self.new(gang, podset)
            self.cp.add(new <= pending * grows)
            self.cp.add(len(podset.running) + new >= podset.min_count * placed)
            counts.append(len(podset.running) + new)
        self.cp.add(total(counts) >= gang.min_members * placed)
        self.cp.add_implication(grows, placed)
        self._ratio(gang)
        self._ways(gang)
        self._one_class(gang)
        for podset in gang.podsets:
            self._nodes(gang, podset)
            self._slices(gang, podset)
        for scope, request, podsets in wishes(gang):
            self._required(gang, scope, request, podsets)

    def _ratio(self, gang: Gang) -> None:
        own = [podset for podset in gang.podsets if podset.replica]
        if any(podset.min_count < podset.size for podset in own):
            new = [self.new(gang, podset) for podset in own]
            runs = [len(podset.running) for podset in own]
            self.cp.add_allowed_assignments(
                [count + here for count, here in zip(new, runs, strict=True)], keeping(own)
            )

    def _ways(self, gang: Gang) -> None:
        """One flavor for all, or a mixed pair: each side has members, on its class and its flavor."""
        states = self.snapshot.nodes
        bits = [(way, self.cp.new_bool_var("")) for way in ways_of(gang, self.policy)]
        self.ways[gang.key] = bits
        followers = [podset for podset in gang.podsets if podset.follows_flavors]
        possible = []
        for way, bit in bits:
            here = all(
                way.admits(podset, states[self.index[member.node or ""]].node)
                for podset in followers
                for member in podset.running
            )
            if here and way.suits(gang, followers):
                possible.append(bit)
            else:
                self.cp.add(bit == 0)
            for side in (False, True) if way.classes else ():
                mine = [podset for podset in followers if decodes(podset) is side]
                self.cp.add(self._with_cards(gang, mine) >= bit)
        if possible:
            self.cp.add(total(possible) == self.placed[gang.key])
        else:  # a gang that runs stays as it is
            self.cp.add(self.grows[gang.key] == 0)
        for podset in followers:
            for n, state in enumerate(states):
                open_ = total(bit for way, bit in bits if way.admits(podset, state.node))
                self.cp.add(self.x[gang.key, podset.role, n] <= len(podset.pending) * open_)

    def _with_cards(self, gang: Gang, podsets: Sequence[PodSet]) -> cp_model.LinearExpr:
        """Running and new members that take cards."""
        names = {podset.role: [m.node for m in podset.running] for podset in podsets}
        return total(
            self.x[gang.key, podset.role, n] + names[podset.role].count(state.node.name)
            for podset in podsets
            for n, state in enumerate(self.snapshot.nodes)
            if takes_cards(podset, state.node)
        )

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
        mixed = total(bit for way, bit in self.ways[gang.key] if way.classes)
        self.cp.add(total(classes.values()) <= 1 + mixed)

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
        self.cp.add(self.new(gang, podset) == 0).only_enforce_if(~grows)
        for part in podset.slices:
            depth = self.snapshot.levels.index(part.level)
            for index, domain in enumerate(self.snapshot.tree.domains[depth]):
                inside = [n for n in nodes if row[depth, n] == index]
                new = total(self.x[gang.key, podset.role, n] for n in inside)
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
        bits = [self.use(gang, scope, podsets, depth, d) for d in range(len(domains))]
        grows = self.cp.new_bool_var("")
        for podset in podsets:
            self.cp.add(self.new(gang, podset) == 0).only_enforce_if(~grows)
        self.cp.add(total(bits) <= 1).only_enforce_if(grows)
        for bit, domain in zip(bits, domains, strict=True):
            if not domain.known:
                self.cp.add(bit == 0).only_enforce_if(grows)

    def _capacity(self) -> None:
        for n, state in enumerate(self.snapshot.nodes):
            slots = [s for r in self.held.values() for s in r.slots if s.node == state.node.name]
            for resource in {r for g in self.everyone for p in g.podsets for r in p.request}:
                free = state.free[resource] - sum(slot.request[resource] for slot in slots)
                wanted = total(
                    self.x[g.key, p.role, n] * p.request[resource]
                    for g in self.everyone
                    for p in g.podsets
                    if p.request[resource]
                )
                self.cp.add(wanted <= max(free, 0))

    def _alone(self) -> None:
        """The one anti-affinity of the random instances: at most one holder on a node."""
        for n, state in enumerate(self.snapshot.nodes):
            holders = [
                self.x[gang.key, podset.role, n]
                for gang in self.everyone
                for podset in gang.podsets
                if podset.constraints.anti_affinity
            ]
            here = sum(bool(pod.anti_affinity) for pod in state.pods)
            self.cp.add(total(holders) <= max(1 - here, 0))

    def use(
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


def total(terms: Terms) -> cp_model.LinearExpr:
    """The sum of the terms."""
    return cp_model.LinearExpr.sum(list(terms))
