"""Snapshot -> ``Problem``: names become indices, rules become masks. Some tens of ms at 5,000 nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.match import BoolArray, Cause, Fleet, IntArray
from scheduler.model import Gang, TopologyRequest
from scheduler.policy import Policy
from scheduler.ratio import DECODE, PREFILL, is_role, paced, rungs
from scheduler.snapshot import Snapshot
from scheduler.solve import couple
from scheduler.solve.loads import Loads
from scheduler.solve.offer import Offer, read_offer
from scheduler.solve.options import Ways
from scheduler.solve.problem import Form, GangRow, Ladder, Problem, Role, Wish
from scheduler.solve.variants import forms
from topology.cost import transfer_costs
from topology.tree import TopologyTree, natural_key


def to_plan(snapshot: Snapshot) -> tuple[Gang, ...]:
    """The gangs that a decision is about: neither reserved nor blocked, with members that need a node."""
    reserved = {assignment.key for assignment in snapshot.reservations}
    return tuple(
        gang
        for gang in snapshot.gangs
        if gang.key not in reserved
        and gang.blocked is None
        and any(podset.pending for podset in gang.podsets)
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A gang to plan, in all of its forms."""

    gang: Gang
    numbers: Mapping[str, int]
    """Flavor -> index of its form, for the flavors of variants."""
    forms: tuple[Gang, ...]


def build(snapshot: Snapshot, policy: Policy = Policy()) -> Problem:
    """The problem of placing ``to_plan(snapshot)``."""
    wanted = [_Wanted(gang, *forms(gang)) for gang in to_plan(snapshot)]
    newcomers = [
        couple.Newcomer(form.namespace, podset, number, index)
        for number, each in enumerate(wanted)
        for index, form in enumerate(each.forms)
        for podset in form.podsets
    ]
    offer = read_offer(snapshot, [form for each in wanted for form in each.forms])
    pods = couple.standing_pods(snapshot, offer.fleet, newcomers)
    near = couple.near_rules(newcomers, pods, offer.fleet)
    roles = tuple(
        _role(newcomer, wanted[newcomer.gang].forms[newcomer.form], snapshot.tree, offer)
        for newcomer in newcomers
    )
    for index, (role, newcomer) in enumerate(zip(roles, newcomers, strict=True)):
        couple.exclude(newcomer, pods, offer.fleet, role.causes)
        for rule in near:
            if rule.role == index and rule.settled:
                couple.mark(role.causes, Cause.POD_AFFINITY, ~rule.allowed)
    domain_of = snapshot.tree.domain_of
    return Problem(
        levels=snapshot.tree.levels,
        resources=offer.resources,
        gangs=_gangs(snapshot, wanted, roles, offer, policy),
        roles=roles,
        free=np.maximum(offer.free, 0),
        domain_of=domain_of,
        known=tuple(
            np.array([d.known for d in level], dtype=bool) for level in snapshot.tree.domains
        ),
        idle=tuple(
            _any(domain_of[depth], offer.has_cards, len(level))
            & ~_any(domain_of[depth], offer.in_use, len(level))
            for depth, level in enumerate(snapshot.tree.domains)
        ),
        spare=offer.spare,
        leaving=_leaving(snapshot) if any(is_role(role.name, DECODE) for role in roles) else (),
        groups=offer.groups,
        apart=couple.apart_rules(newcomers, offer.fleet),
        near=tuple(rule for rule in near if not rule.settled),
        skew=couple.skew_rules(newcomers, pods, offer.fleet),
    )


def _leaving(snapshot: Snapshot) -> tuple[int, ...]:
    nodes = (state.node for state in snapshot.nodes)
    return transfer_costs(snapshot.levels, nodes, snapshot.fabrics)


def _any(domain_of: IntArray, flags: BoolArray, domains: int) -> BoolArray:
    return np.bincount(domain_of[flags], minlength=domains) > 0


def _role(newcomer: couple.Newcomer, gang: Gang, tree: TopologyTree, offer: Offer) -> Role:
    podset = newcomer.podset
    request = offer.request(gang, podset)
    places = (offer.fleet.index(member.node or "") for member in podset.running)
    causes = offer.fleet.causes(podset.constraints)
    for name in gang.excluded_nodes:
        index = offer.fleet.index(name)
        if index is not None and not causes[index]:
            causes[index] = Cause.REFUSED
    forbidden, why = offer.kinds.refused(gang, podset)
    couple.mark(causes, Cause.CARD_COUNT, forbidden)
    padded = np.append(request, 0)  # card column -1 picks the zero
    return Role(
        gang=newcomer.gang,
        name=podset.role,
        pending=len(podset.pending),
        least=podset.min_count,
        request=request,
        running=dict(sorted(Counter(place for place in places if place is not None).items())),
        running_total=len(podset.running),
        follows=podset.follows_flavors,
        causes=causes,
        cards=padded[offer.card],
        illegal=why,
        slices=tuple((tree.depth(cut.level), cut.size) for cut in podset.slices),
    )


def _gangs(
    snapshot: Snapshot,
    wanted: Sequence[_Wanted],
    roles: Sequence[Role],
    offer: Offer,
    policy: Policy,
) -> tuple[GangRow, ...]:
    tree, rivals = snapshot.tree, _Rivals(snapshot, offer.fleet)
    ages = _ages([each.gang for each in wanted])
    loads = Loads(snapshot, offer.fleet, policy)
    rows = []
    start = 0
    for each in wanted:
        gang, found = each.gang, []
        for one in each.forms:
            found.append(_form(one, start, tree, offer.kinds.company(one)))
            start += len(one.podsets)
        first = found[0]
        own = [roles[role] for role in first.roles]
        ways = Ways(gang=gang, forms=tuple(found), numbers=each.numbers, roles=roles, offer=offer)
        flavors = ways.flavors()
        spread = tree.depth(gang.spread) if gang.spread is not None else None
        rows.append(
            GangRow(
                key=gang.key,
                priority=gang.priority,
                age=ages[gang.key],
                forms=ways.forms,
                flavors=flavors,
                options=ways.options(flavors, policy.mixed_pairs),
                runs=first.running_total >= first.least
                and all(role.running_total >= role.least for role in own),
                spread=spread,
                workload=rivals.number(gang),
                rivals=None if spread is None else rivals.domains(gang, tree.domain_of[spread]),
                load=loads.row(gang, found, roles),
            )
        )
    return tuple(rows)


def _form(gang: Gang, start: int, tree: TopologyTree, company: bool) -> Form:
    """The form whose roles are numbered from ``start``."""
    own = range(start, start + len(gang.podsets))
    groups: dict[str, list[int]] = {}
    sides: dict[str, list[int]] = {PREFILL: [], DECODE: []}
    for index, podset in zip(own, gang.podsets, strict=True):
        if podset.group is not None:
            groups.setdefault(podset.group, []).append(index)
        for kind, roles in sides.items():
            if is_role(podset.role, kind):
                roles.append(index)
    shared = {podset.group: podset.group_topology for podset in reversed(gang.podsets)}
    both = all(sides.values())
    return Form(
        roles=tuple(own),
        least=gang.min_members,
        whole=_wish(own, gang.topology, tree),
        groups=tuple(
            _wish(members, shared[name], tree) for name, members in sorted(groups.items())
        ),
        each=tuple(
            _wish((index,), podset.topology, tree)
            for index, podset in zip(own, gang.podsets, strict=True)
        ),
        running_total=sum(len(podset.running) for podset in gang.podsets),
        company=company,
        loads=tuple(i for i, p in zip(own, gang.podsets, strict=True) if p.follows_flavors)
        or tuple(own),
        prefill=tuple(sides[PREFILL]) if both else (),
        decode=tuple(sides[DECODE]) if both else (),
        ladder=_ladder(gang, start),
    )


def _ladder(gang: Gang, start: int) -> Ladder | None:
    """The ladder in new members, as far as there are members for it; the first rung adds nobody."""
    own = paced(gang.podsets)
    if not own:
        return None
    most = [len(podset.pending) for podset in own]
    found = [(0,) * len(own)]
    for rung in rungs(gang.podsets):
        new = tuple(count - len(p.running) for count, p in zip(rung, own, strict=True))
        if new != found[0] and all(n <= pending for n, pending in zip(new, most, strict=True)):
            found.append(new)
    roles = tuple(start + i for i, podset in enumerate(gang.podsets) if podset in own)
    return Ladder(roles=roles, rungs=tuple(found))


def _wish(roles: Sequence[int], request: TopologyRequest, tree: TopologyTree) -> Wish:
    return Wish(
        roles=tuple(roles),
        required=tree.depth(request.required) if request.required is not None else None,
        preferred=tree.depth(request.preferred) if request.preferred is not None else None,
    )


def _ages(gangs: Sequence[Gang]) -> Mapping[str, int]:
    position: Counter[int] = Counter()
    ages: dict[str, int] = {}
    for gang in sorted(gangs, key=lambda g: (g.created_seconds, g.namespace, natural_key(g.name))):
        ages[gang.key] = position[gang.priority]
        position[gang.priority] += 1
    return ages


class _Rivals:
    """Where gangs that are not planned now (reserved, or running whole) stand, by workload."""

    def __init__(self, snapshot: Snapshot, fleet: Fleet) -> None:
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._nodes: dict[int, list[list[int]]] = {}
        reserved = {assignment.key: assignment for assignment in snapshot.reservations}
        for gang in snapshot.gangs:
            if gang.spread is None or not (gang.key in reserved or _runs_whole(gang)):
                continue
            names = [member.node or "" for podset in gang.podsets for member in podset.running]
            if gang.key in reserved:
                names += [slot.node for slot in reserved[gang.key].slots]
            places = [place for name in names if (place := fleet.index(name)) is not None]
            self._nodes.setdefault(self.number(gang), []).append(places)

    def number(self, gang: Gang) -> int:
        """The number of the gang's workload and spread level; -1 without ``spread``."""
        if gang.spread is None:
            return -1
        identity = (gang.namespace, gang.workload, gang.spread)
        return self._numbers.setdefault(identity, len(self._numbers))

    def domains(self, gang: Gang, domain_of: IntArray) -> Mapping[int, int]:
        """Domain -> gangs of the workload that stand there."""
        found: Counter[int] = Counter()
        for places in self._nodes.get(self.number(gang), []):
            found.update({int(domain_of[place]) for place in places})
        return dict(found)


def _runs_whole(gang: Gang) -> bool:
    running = [len(podset.running) for podset in gang.podsets]
    return (
        gang.blocked is None
        and not any(podset.pending for podset in gang.podsets)
        and sum(running) >= gang.min_members
        and all(n >= podset.min_count for n, podset in zip(running, gang.podsets, strict=True))
    )
