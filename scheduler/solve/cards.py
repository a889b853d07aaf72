"""Vendors' rules about the cards of one pod (``topology.allocation``), as resources of the problem.

For every kind of node with groups of cards and every size of unit there is one more column: what the groups
have of it in any case, and what a member needs of it. Nodes of other kinds have plenty. A gang that may not
have two members on a node needs a place of its own there. So the solver counts rings as it counts
memory. What a pod may never ask for is a ``Cause``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scheduler.match import BoolArray, Fleet, IntArray
from scheduler.model import Gang, PodSet
from scheduler.node_cards import taken
from scheduler.snapshot import NodeState, Snapshot
from topology.allocation import CardRule, Reach
from topology.model import SCALE_UP, Accelerator, Node

PLENTY = 1 << 40
"""What a node has of a column that is not about it."""
FREE, UNKNOWN = -1, -2
"""In ``Homes.of``."""
_SET = " free cards in one "
NOWHERE = "no known scale-up domain"
"""Name of the home where no node has a known one."""

_Promised = Mapping[int, Sequence[Mapping[str, int]]]
"""Node -> what each slot of a reservation requests there."""


@dataclass(frozen=True, slots=True)
class Column:
    """One more resource: a unit of cards in groups, or the places for one gang's members."""

    name: str
    """As in "lacks 2 ...": starts with a word in the singular."""
    free: IntArray
    """Shape (nodes,)."""
    device_class: str = ""
    resource: str = ""
    rule: CardRule | None = None
    size: int = 0
    """The unit is so many cards in one group."""
    gang: str = ""
    """Key of the gang whose members need places of their own."""
    resources: frozenset[str] = frozenset()
    """Only members that ask for one of these need such a place."""

    def need(self, gang: Gang, podset: PodSet) -> int:
        """How much one member of a gang's PodSet needs of it."""
        if self.rule is not None:
            units = self.rule.needs(podset.request[self.resource])
            return units[self.rule.sizes.index(self.size)]
        asks = any(podset.request[name] for name in self.resources)
        return int(gang.key == self.gang and asks)


def telling(missing: Mapping[str, int]) -> dict[str, int]:
    """What a member lacks (name -> amount, columns in order), of sets of cards only the largest.

    The cards of one pod are items of one size: whoever finds the largest sets has the smaller ones in them.
    """
    last = {name.partition(_SET)[2] or name: name for name in missing}
    return {name: missing[name] for name in last.values()}


def several(gang: Gang, resource: str) -> bool:
    """Whether more than one member of the gang takes such cards."""
    return sum(podset.size for podset in gang.podsets if podset.request[resource]) > 1


def illegal(gang: Gang, podset: PodSet, card: Accelerator | None) -> str:
    """Why members may not take their cards on such a node, with the legal numbers; empty if they may."""
    if card is None or card.rule is None:
        return ""
    count, in_gang = podset.request[card.resource], several(gang, card.resource)
    if card.rule.allows(count, card.size, gang=in_gang):
        return ""
    legal = card.rule.legal(card.size, gang=in_gang)
    numbers = ", ".join(map(str, legal)) or "none"
    whole = (
        " for pods of a gang, which take whole nodes" if card.rule.whole_node and in_gang else ""
    )
    cards = "card" if count == 1 else "cards"
    return f"{count} {cards} on {card.device_class}: legal {_is(legal)} {numbers}{whole}"


def _is(numbers: Sequence[int]) -> str:
    return "are" if len(numbers) > 1 else "is"


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of nodes whose cards follow a rule."""

    of: IntArray
    """Shape (nodes,): number of the node's kind, -1 where any cards go together."""
    cards: tuple[Accelerator, ...]
    """Cards of one node of each kind."""

    @classmethod
    def read(cls, states: Sequence[NodeState]) -> Kinds:
        """The kinds of these nodes."""
        numbers: dict[tuple[str, str, int, CardRule], int] = {}
        cards: list[Accelerator] = []
        of = np.full(len(states), -1, dtype=np.int64)
        for index, state in enumerate(states):
            card = state.node.accelerator
            if card is not None and card.rule is not None:
                kind = card.device_class, card.resource, card.size, card.rule
                of[index] = numbers.setdefault(kind, len(numbers))
                if len(cards) < len(numbers):
                    cards.append(card)
        return cls(of, tuple(cards))

    def refused(self, gang: Gang, podset: PodSet) -> tuple[BoolArray, tuple[str, ...]]:
        """The nodes on which no member may take its cards, shape (nodes,), and why, once for each reason."""
        texts = [illegal(gang, podset, card) for card in self.cards]
        mask = np.array([*map(bool, texts), False])[self.of]
        return mask, tuple(sorted({text for text in texts if text}))

    def company(self, gang: Gang) -> bool:
        """Whether several members of the gang take cards that a rule is about, so that they stay together.

        Not where each PodSet with cards says itself how it is cut into scale-up domains (``sp-block``).
        """
        names = {card.resource for card in self.cards if several(gang, card.resource)}
        takers = [podset for podset in gang.podsets if any(podset.request[n] for n in names)]
        return any(all(cut.level != SCALE_UP for cut in podset.slices) for podset in takers)


@dataclass(frozen=True, slots=True)
class Homes:
    """Where members of a gang with cards must stay together, as some vendors demand."""

    of: IntArray
    """Shape (nodes,): number of the node's home; ``FREE`` where nobody demands it, ``UNKNOWN`` where the home
    is not known, so that no gang of several can be there."""
    names: tuple[str, ...]

    @classmethod
    def read(cls, states: Sequence[NodeState]) -> Homes:
        """The homes of these nodes. Nodes of a class without such a rule are one home if others have it."""
        cards = [state.node.accelerator for state in states]
        classes = {c.device_class for c in cards if c and _reach(c) is not Reach.ANYWHERE}
        numbers: dict[str, int] = {}
        of = np.full(len(states), FREE, dtype=np.int64)
        for index, (state, card) in enumerate(zip(states, cards, strict=True) if classes else ()):
            if card is not None and card.device_class in classes:
                name = _home(state.node, card)
                of[index] = UNKNOWN if name is None else numbers.setdefault(name, len(numbers))
        return cls(of, tuple(numbers))


def _reach(card: Accelerator) -> Reach:
    return card.rule.reach if card.rule is not None else Reach.ANYWHERE


def _home(node: Node, card: Accelerator) -> str | None:
    match _reach(card):
        case Reach.NODE:
            return f"node {node.name}"
        case Reach.SCALE_UP:
            return f"scale-up domain {node.scale_up}" if node.scale_up else None
    return f"the {card.device_class} nodes outside of scale-up domains"


def columns(
    snapshot: Snapshot, fleet: Fleet, kinds: Kinds, gangs: Sequence[Gang]
) -> tuple[Column, ...]:
    """The columns that matter to ``gangs`` (every form of every gang that is to be planned)."""
    asked = {
        name
        for gang in gangs
        for podset in gang.podsets
        for name, need in podset.request.amounts.items()
        if need > 0
    }
    ruled = [
        (index, card, card.rule)
        for index in np.flatnonzero(kinds.of >= 0).tolist()
        if (card := snapshot.nodes[index].node.accelerator)
        and card.rule is not None
        and card.resource in asked
    ]
    if not ruled:
        return ()
    return (*_groups(snapshot, fleet, ruled), *_seats(snapshot, fleet, gangs, ruled))


_Ruled = Sequence[tuple[int, Accelerator, CardRule]]


def _groups(snapshot: Snapshot, fleet: Fleet, ruled: _Ruled) -> Iterator[Column]:
    promised = _promised(snapshot, fleet)
    kinds: dict[tuple[str, str, CardRule], list[tuple[int, tuple[int, ...]]]] = {}
    for index, card, rule in ruled:
        if rule.group > 1:
            room = _room_of(snapshot.nodes[index], card, rule, promised.get(index, ()))
            kinds.setdefault((card.device_class, card.resource, rule), []).append((index, room))
    for (device_class, resource, rule), found in sorted(kinds.items(), key=repr):
        nodes = [index for index, _ in found]
        for position, size in enumerate(rule.sizes):
            free = np.full(len(snapshot.nodes), PLENTY, dtype=np.int64)
            free[nodes] = [room[position] for _, room in found]
            yield Column(
                name=f"set of {size}{_SET}{rule.noun} of {device_class}",
                free=free,
                device_class=device_class,
                resource=resource,
                rule=rule,
                size=size,
            )


def _promised(snapshot: Snapshot, fleet: Fleet) -> _Promised:
    found: dict[int, list[Mapping[str, int]]] = {}
    for assignment in snapshot.reservations:
        for slot in assignment.slots:
            node = fleet.index(slot.node)
            if node is not None:
                found.setdefault(node, []).append(slot.request.amounts)
    return found


def _room_of(
    state: NodeState, card: Accelerator, rule: CardRule, promised: Sequence[Mapping[str, int]]
) -> tuple[int, ...]:
    """For each size of unit, what the node's groups have free however the cards are given out."""
    free = list(rule.groups(card.size))
    if not free:
        return (0,) * len(rule.sizes)
    known, held = taken(state, card)
    held += [amounts.get(card.resource, 0) for amounts in promised]
    if sum(held) + len(known) >= card.size:
        return (0,) * len(rule.sizes)
    for number in known:
        free[number // rule.group] -= 1
    items = [item for count in held for item in rule.items(count)]
    return _room(rule, tuple(sorted(free)), tuple(sorted(items, reverse=True)))


@lru_cache(maxsize=4096)
def _room(rule: CardRule, free: tuple[int, ...], items: tuple[int, ...]) -> tuple[int, ...]:
    return rule.room(free, items)


def _seats(
    snapshot: Snapshot, fleet: Fleet, gangs: Sequence[Gang], ruled: _Ruled
) -> Iterator[Column]:
    nodes = [index for index, _, rule in ruled if rule.one_per_node]
    resources = frozenset(card.resource for _, card, rule in ruled if rule.one_per_node)
    crowds = {gang.key: gang for gang in gangs if any(several(gang, r) for r in resources)}
    for key, gang in crowds.items():
        free = np.full(len(snapshot.nodes), PLENTY, dtype=np.int64)
        free[nodes] = 1
        for podset in gang.podsets:
            if any(podset.request[name] for name in resources):
                here = (fleet.index(member.node or "") for member in podset.running)
                free[[node for node in here if node is not None and free[node] == 1]] = 0
        yield Column(name=f"place for a pod of {key}", free=free, gang=key, resources=resources)
