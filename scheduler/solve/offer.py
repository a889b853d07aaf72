"""What the nodes of a snapshot offer, in arrays over the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.match import BoolArray, Fleet, IntArray
from scheduler.model import Gang, PodSet
from scheduler.snapshot import Snapshot
from scheduler.solve.cards import PLENTY, Column, Homes, Kinds, columns
from scheduler.solve.problem import Groups


@dataclass(frozen=True, slots=True)
class Offer:
    """What the nodes offer, in arrays over the nodes."""

    fleet: Fleet
    resources: tuple[str, ...]
    free: IntArray
    """Shape (nodes, resources): reservations subtracted, negative where a node is over-committed."""
    card: IntArray
    """Index into ``resources`` of the node's accelerator resource, -1 for none."""
    device: IntArray
    """Number of the node's device class, -1 for none."""
    devices: tuple[str, ...]
    memory: IntArray
    """Bytes of one card, -1 where unknown."""
    spare: IntArray
    """Cards that neither a running pod nor a reservation holds."""
    has_cards: BoolArray
    in_use: BoolArray
    """Whether somebody holds a card of the node."""
    more: tuple[Column, ...]
    """The last of ``resources``: what follows from rules about the cards of one pod."""
    kinds: Kinds
    homes: Homes

    @property
    def groups(self) -> tuple[Groups, ...]:
        """Whose cards come in groups, as far as gangs ask for them."""
        first = len(self.resources) - len(self.more)
        found: dict[object, list[tuple[int, Column]]] = {}
        for index, column in enumerate(self.more, start=first):
            if column.rule is not None:
                key = column.device_class, column.resource, column.rule
                found.setdefault(key, []).append((index, column))
        return tuple(
            Groups(
                nodes=sets[0][1].free < PLENTY,
                size=max(column.size for _, column in sets),
                units=(
                    (self.resources.index(sets[0][1].resource), 1),
                    *((index, column.size) for index, column in sets),
                ),
            )
            for sets in found.values()
        )

    def request(self, gang: Gang, podset: PodSet) -> IntArray:
        """What one member of a gang's PodSet needs of ``resources``, in their order."""
        plain = self.resources[: len(self.resources) - len(self.more)]
        needs = [podset.request[name] for name in plain]
        needs += [column.need(gang, podset) for column in self.more]
        return np.array(needs, dtype=np.int64)


def read_offer(snapshot: Snapshot, gangs: Sequence[Gang]) -> Offer:
    """The nodes of the snapshot, with every resource that ``gangs`` (in all their forms) ask for."""
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
    kinds = Kinds.read(states)
    more = columns(snapshot, fleet, kinds, gangs)
    return Offer(
        fleet=fleet,
        resources=(*resources, *(column.name for column in more)),
        free=np.column_stack((free, *(column.free for column in more))) if more else free,
        more=more,
        kinds=kinds,
        homes=Homes.read(states),
        card=card_column,
        device=table[:, 1],
        devices=tuple(devices),
        memory=table[:, 2],
        spare=np.where(card_column >= 0, np.maximum(left, 0), 0),
        has_cards=has_cards,
        in_use=has_cards & (table[:, 4] > left),
    )
