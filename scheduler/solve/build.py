"""Snapshot -> ``Problem``: names become indices, rules become masks. Some tens of ms at 5,000 nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.match import BoolArray, Cause, Fleet, IntArray
from scheduler.model import Code, Gang, PodSet, Reason, TopologyRequest
from scheduler.snapshot import Snapshot
from scheduler.solve import couple
from scheduler.solve.problem import FlavorRow, GangRow, Option, Problem, Role, Wish
from topology.model import Flavor
from topology.tree import TopologyTree


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
class _Fleet:
    """What the nodes offer, in arrays over the nodes."""

    fleet: Fleet
    resources: tuple[str, ...]
    free: IntArray
    card: IntArray
    """Index into ``resources`` of the node's accelerator resource, -1 for none."""
    device: IntArray
    """Number of the node's device class, -1 for none."""
    devices: tuple[str, ...]
    memory: IntArray
    """Bytes of one card, -1 where unknown."""
    spare: IntArray
    has_cards: BoolArray
    in_use: BoolArray


def build(snapshot: Snapshot) -> Problem:
    """The problem of placing ``to_plan(snapshot)``."""
    gangs = to_plan(snapshot)
    nodes = _read_nodes(snapshot, gangs)
    newcomers = [
        couple.Newcomer(gang.namespace, podset) for gang in gangs for podset in gang.podsets
    ]
    pods = couple.standing_pods(snapshot, nodes.fleet, newcomers)
    roles: list[Role] = []
    rows: list[GangRow] = []
    rivals = _Rivals(snapshot, nodes.fleet)
    near = couple.near_rules(newcomers, pods, nodes.fleet)
    ages = _ages(gangs)
    for number, gang in enumerate(gangs):
        own = range(len(roles), len(roles) + len(gang.podsets))
        for podset in gang.podsets:
            settled = [rule for rule in near if rule.role == len(roles) and rule.settled]
            role = _role(number, gang, podset, snapshot.tree, nodes)
            couple.exclude(newcomers[len(roles)], pods, nodes.fleet, role.causes)
            for rule in settled:
                couple.mark(role.causes, Cause.POD_AFFINITY, ~rule.allowed)
            roles.append(role)
        rows.append(_gang(gang, own, roles, nodes, snapshot.tree, rivals, ages[gang.key]))
    domain_of = snapshot.tree.domain_of
    return Problem(
        levels=snapshot.tree.levels,
        resources=nodes.resources,
        gangs=tuple(rows),
        roles=tuple(roles),
        free=np.maximum(nodes.free, 0),
        domain_of=domain_of,
        known=tuple(
            np.array([d.known for d in level], dtype=bool) for level in snapshot.tree.domains
        ),
        idle=tuple(
            _any(domain_of[depth], nodes.has_cards, len(level))
            & ~_any(domain_of[depth], nodes.in_use, len(level))
            for depth, level in enumerate(snapshot.tree.domains)
        ),
        spare=nodes.spare,
        apart=couple.apart_rules(newcomers, nodes.fleet),
        near=tuple(rule for rule in near if not rule.settled),
        skew=couple.skew_rules(newcomers, pods, nodes.fleet),
    )


def _any(domain_of: IntArray, flags: BoolArray, domains: int) -> BoolArray:
    return np.bincount(domain_of[flags], minlength=domains) > 0


def _read_nodes(snapshot: Snapshot, gangs: Sequence[Gang]) -> _Fleet:
    wanted = {
        name
        for gang in gangs
        for podset in gang.podsets
        for name, need in podset.request.amounts.items()
        if need > 0
    }
    states = snapshot.nodes
    cards = [state.node.accelerator for state in states]
    resources = tuple(sorted(wanted | {card.resource for card in cards if card}))
    column = {name: index for index, name in enumerate(resources)}
    fleet = Fleet(states)
    shape = (len(states), len(resources))
    free = np.array(
        [[state.free.amounts.get(name, 0) for name in resources] for state in states],
        dtype=np.int64,
    ).reshape(shape)
    for assignment in snapshot.reservations:
        for slot in assignment.slots:
            node = fleet.index(slot.node)
            if node is not None:
                for name, need in slot.request.amounts.items():
                    if name in column:
                        free[node, column[name]] -= need
    devices: dict[str, int] = {}
    table = np.array(
        [
            (
                column[card.resource],
                devices.setdefault(card.device_class, len(devices)),
                -1 if card.memory_bytes is None else card.memory_bytes,
                card.count,
                state.node.allocatable.amounts.get(card.resource, 0),
            )
            if card
            else (-1, -1, -1, 0, 0)
            for card, state in zip(cards, states, strict=True)
        ],
        dtype=np.int64,
    ).reshape(len(states), 5)
    card_column = table[:, 0]
    left = (
        free[np.arange(len(states)), card_column] if resources else np.zeros(len(states), np.int64)
    )
    has_cards = (card_column >= 0) & (table[:, 3] > 0)
    return _Fleet(
        fleet=fleet,
        resources=resources,
        free=free,
        card=card_column,
        device=table[:, 1],
        devices=tuple(devices),
        memory=table[:, 2],
        spare=np.where(card_column >= 0, np.maximum(left, 0), 0),
        has_cards=has_cards,
        in_use=has_cards & (table[:, 4] > left),
    )


def _role(number: int, gang: Gang, podset: PodSet, tree: TopologyTree, nodes: _Fleet) -> Role:
    request = np.array([podset.request[name] for name in nodes.resources], dtype=np.int64)
    places = (nodes.fleet.index(member.node or "") for member in podset.running)
    causes = nodes.fleet.causes(podset.constraints)
    for name in gang.excluded_nodes:
        index = nodes.fleet.index(name)
        if index is not None and not causes[index]:
            causes[index] = Cause.REFUSED
    padded = np.append(request, 0)  # card column -1 picks the zero
    return Role(
        gang=number,
        name=podset.role,
        pending=len(podset.pending),
        least=podset.min_count,
        request=request,
        running=dict(sorted(Counter(place for place in places if place is not None).items())),
        running_total=len(podset.running),
        follows=podset.follows_flavors,
        causes=causes,
        cards=padded[nodes.card],
        slices=tuple((tree.depth(cut.level), cut.size) for cut in podset.slices),
    )


def _gang(
    gang: Gang,
    own: range,
    roles: Sequence[Role],
    nodes: _Fleet,
    tree: TopologyTree,
    rivals: _Rivals,
    age: int,
) -> GangRow:
    mine = [roles[role] for role in own]
    flavors = _flavor_rows(gang, mine, nodes)
    running = sum(role.running_total for role in mine)
    groups: dict[str, list[int]] = {}
    for index, podset in zip(own, gang.podsets, strict=True):
        if podset.group is not None:
            groups.setdefault(podset.group, []).append(index)
    shared = {podset.group: podset.group_topology for podset in reversed(gang.podsets)}
    spread = tree.depth(gang.spread) if gang.spread is not None else None
    return GangRow(
        key=gang.key,
        priority=gang.priority,
        age=age,
        least=gang.min_members,
        roles=tuple(own),
        flavors=flavors,
        options=tuple(_options(mine, flavors, nodes)),
        runs=running >= gang.min_members and all(r.running_total >= r.least for r in mine),
        whole=_wish(own, gang.topology, tree),
        groups=tuple(
            _wish(members, shared[name], tree) for name, members in sorted(groups.items())
        ),
        each=tuple(
            _wish((index,), podset.topology, tree)
            for index, podset in zip(own, gang.podsets, strict=True)
        ),
        spread=spread,
        workload=rivals.number(gang),
        rivals=rivals.domains(gang, tree.domain_of[spread]) if spread is not None else None,
        running_total=running,
    )


def _wish(roles: Sequence[int], request: TopologyRequest, tree: TopologyTree) -> Wish:
    return Wish(
        roles=tuple(roles),
        required=tree.depth(request.required) if request.required is not None else None,
        preferred=tree.depth(request.preferred) if request.preferred is not None else None,
    )


def _ages(gangs: Sequence[Gang]) -> Mapping[str, int]:
    position: Counter[int] = Counter()
    ages: dict[str, int] = {}
    for gang in sorted(gangs, key=lambda g: (g.created_seconds, g.namespace, g.name)):
        ages[gang.key] = position[gang.priority]
        position[gang.priority] += 1
    return ages


def _flavor_rows(gang: Gang, roles: Sequence[Role], nodes: _Fleet) -> tuple[FlavorRow, ...]:
    everywhere = np.ones(len(nodes.fleet), dtype=bool)
    if not gang.flavors:
        return (FlavorRow(name=None, serves=everywhere),)
    rows = []
    for flavor in gang.flavors:
        serves = _serves(flavor, nodes)
        refusal = _differs(gang, flavor) or _pinned(flavor, roles, serves)
        rows.append(FlavorRow(name=flavor.name, serves=serves, refusal=refusal))
    return tuple(rows)


def _serves(flavor: Flavor, nodes: _Fleet) -> BoolArray:
    serves = nodes.fleet.labelled(flavor.node_selector)
    if flavor.device_class is not None:
        known = flavor.device_class in nodes.devices
        number = nodes.devices.index(flavor.device_class) if known else -2
        serves &= nodes.device == number
    if flavor.min_memory_bytes is not None:
        serves &= nodes.memory >= max(flavor.min_memory_bytes, 0)
    return serves


def _differs(gang: Gang, flavor: Flavor) -> Reason | None:
    """Why the gang's own size or requests are not those that the flavor is made for."""
    if flavor.members is not None and flavor.members != gang.size:
        return Reason(
            code=Code.MEMBERS_DIFFER,
            message=f"{flavor.name} is for {flavor.members} members, the gang has {gang.size}",
            numbers={"membersOfFlavor": flavor.members, "membersOfGang": gang.size},
        )
    if flavor.resources is None:
        return None
    for podset in gang.podsets:
        if not podset.follows_flavors:
            continue
        listed = flavor.resources.amounts
        asked = {name for name, need in podset.request.amounts.items() if need and "/" in name}
        for name in sorted({*listed, *asked}):
            if name not in listed or listed[name] != podset.request[name]:
                return Reason(
                    code=Code.RESOURCES_DIFFER,
                    message=(
                        f"{flavor.name} is for pods that request {listed.get(name, 0)} {name}, "
                        f"role {podset.role} requests {podset.request[name]}"
                    ),
                    numbers={
                        "flavorAmount": listed.get(name, 0),
                        "podAmount": podset.request[name],
                    },
                )
    return None


def _pinned(flavor: Flavor, roles: Sequence[Role], serves: BoolArray) -> Reason | None:
    outside = sum(
        count
        for role in roles
        if role.follows
        for node, count in role.running.items()
        if not serves[node]
    )
    if not outside:
        return None
    return Reason(
        code=Code.PINNED_TO_RUNNING,
        message=f"{outside} of its running members stand on nodes that do not serve {flavor.name}",
        numbers={"runningElsewhere": outside},
    )


def _options(roles: Sequence[Role], flavors: Sequence[FlavorRow], nodes: _Fleet) -> list[Option]:
    """One option per flavor and device class; a class that cannot take the minimum is left out later."""
    pinned = {
        int(nodes.device[node])
        for role in roles
        if role.follows
        for node in role.running
        if role.cards[node]
    }
    options: list[Option] = []
    for rank, flavor in enumerate(flavors):
        if flavor.refusal is not None:
            continue
        admitted = [(role.causes == 0) & (flavor.serves | (not role.follows)) for role in roles]
        bound = [
            mask & (role.cards > 0) & role.follows
            for role, mask in zip(roles, admitted, strict=True)
        ]
        classes = pinned or {int(c) for mask in bound for c in np.unique(nodes.device[mask])}
        number = None if flavor.name is None else rank
        if not classes:
            options.append(Option(flavor=number, rank=rank, masks=tuple(admitted)))
        for device in sorted(classes, key=lambda c: nodes.devices[c]) if len(pinned) < 2 else ():
            masks = tuple(
                mask & (~limited | (nodes.device == device))
                for mask, limited in zip(admitted, bound, strict=True)
            )
            options.append(Option(flavor=number, rank=rank, masks=masks))
    return options


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
