"""Which cards members get, where the vendor's plugin takes a scheduler's choice (setting ``handoff``)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import structlog

from extender.config import Config
from extender.reporter import Reporter
from scheduler.handoff import choose, takes_choice
from scheduler.ledger import Ledger
from scheduler.model import Slot
from scheduler.reservation import Reservation
from scheduler.snapshot import NodeState, RunningPod
from scheduler.state import ClusterState

log = structlog.get_logger("muster.cards")

NOT_CHOSEN = "CardsNotChosen"
"""Reason of the event that tells that a pod's cards are left to the plugin."""


class Cards:
    """Chooses, and remembers in the ledger what was chosen until the watch shows it."""

    def __init__(
        self, config: Config, state: ClusterState, ledger: Ledger, reporter: Reporter
    ) -> None:
        self._vendors = frozenset(config.handoff)
        self._state = state
        self._ledger = ledger
        self._reporter = reporter
        self._last = 0

    def choose(
        self, reservation: Reservation, slots: Sequence[Slot]
    ) -> Mapping[str, Mapping[str, str]]:
        """The annotations that tell the plugin, by pod uid; the pods with most cards choose first."""
        if not self._vendors or not self._present(reservation):
            return {}
        nodes, found = self._state.nodes, {}
        here = [slot for slot in slots if slot.node in nodes]
        takers = [slot for slot in here if takes_choice(nodes[slot.node], slot, self._vendors)]
        for slot in sorted(takers, key=lambda slot: -_count(nodes[slot.node], slot)):
            found[slot.uid] = self._choose(reservation, slot, nodes[slot.node])
        return found

    def _choose(self, reservation: Reservation, slot: Slot, node: NodeState) -> Mapping[str, str]:
        assumed = [
            RunningPod(namespace="", name=s.pod, uid=s.uid, request=s.request, cards=cards)
            for s, cards in self._ledger.cards_on(slot.node)
        ]
        self._last = max(self._last + 1, time.time_ns())
        choice = choose(node, slot, assumed, self._last)
        self._ledger.assume_cards(reservation.key, slot.uid, choice.cards)
        if choice.doubt:
            log.warning("cards not chosen", pod=slot.pod, gang=reservation.key, why=choice.doubt)
            gang = self._state.gang(reservation.key)
            if gang is not None:
                text = f"the cards of pod {slot.pod} are left to the device plugin: {choice.doubt}"
                self._reporter.tell(gang, NOT_CHOSEN, text, "Warning")
        return choice.annotations

    def give_back(self, reservation: Reservation, slot: Slot) -> None:
        """The pod was not bound."""
        if self._present(reservation):
            self._ledger.return_cards(reservation.key, slot.uid)

    def _present(self, reservation: Reservation) -> bool:
        """Whether the plan still is the gang's."""
        current = self._ledger.get(reservation.key)
        return current is not None and current.plan_id == reservation.plan_id


def _count(node: NodeState, slot: Slot) -> int:
    card = node.node.accelerator
    return slot.request[card.resource] if card else 0
