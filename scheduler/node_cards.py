"""Which cards of a node are taken, as far as anybody says it."""

from __future__ import annotations

from scheduler.snapshot import NodeState
from topology.model import Accelerator


def taken(state: NodeState, card: Accelerator) -> tuple[set[int], list[int]]:
    """The cards of a node that are known to be taken, and how many others each pod holds somewhere.

    Cards that are missing for an unknown reason are held one by one.
    """
    known: set[int] = set()
    held: list[int] = []
    for pod in state.pods:
        count, cards = pod.request[card.resource], set(pod.cards)
        if len(cards) == count and max(cards, default=0) < card.size and known.isdisjoint(cards):
            known |= cards
        else:
            held.append(count)
    held += [1] * (card.size - card.count)
    if state.listed is None:
        return known, held
    every, free = set(range(card.size)), set(state.listed.free)
    if known | free <= every and not known & free and len(known | free) + sum(held) == card.size:
        return every - free, []
    sick = set(state.listed.unhealthy)
    if sick <= every - known and len(sick) == card.size - card.count:
        return known | sick, held[: len(held) - len(sick)]
    return known, held
