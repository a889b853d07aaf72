"""Creates the Bindings of members and answers the bind calls that wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from extender.barrier import Barrier
from extender.cards import Cards
from extender.config import Config
from extender.metrics import Metrics
from extender.ports import ClusterWrites
from scheduler.keys import FLAVOR, NODE, PLAN, RANK
from scheduler.kube.writes import BindOutcome, BindResult, PodRef
from scheduler.ledger import Ledger
from scheduler.model import Slot
from scheduler.reservation import Reservation


class Binder:
    """Everything between "all arrived" and the answers of the API server."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        writes: ClusterWrites,
        metrics: Metrics,
        barrier: Barrier,
        cards: Cards,
    ) -> None:
        self._config = config
        self._cards = cards
        self._ledger = ledger
        self._writes = writes
        self._metrics = metrics
        self._barrier = barrier

    async def bind(self, reservation: Reservation, slots: Sequence[Slot]) -> str:
        """Create the Bindings of these members at once; each held call gets its own result.

        Returns why one of them could not be bound; empty when all are.
        """
        chosen = self._cards.choose(reservation, slots)
        with self._metrics.stage("bind"):
            outcomes = await asyncio.gather(
                *(self._bind(reservation, slot, chosen.get(slot.uid, {})) for slot in slots)
            )
        return next((text for text in outcomes if text), "")

    async def _bind(self, reservation: Reservation, slot: Slot, cards: Mapping[str, str]) -> str:
        annotations = {**written(reservation, slot), **cards}
        result = BindResult(outcome=BindOutcome.RETRYABLE)
        pause = 0.1
        # After this kube-scheduler may have given the place away: no later attempt may be started.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.bind_retry_seconds):
                while result.outcome is BindOutcome.RETRYABLE:
                    result = await self._try(reservation, slot, annotations)
                    if result.outcome is BindOutcome.RETRYABLE:
                        await asyncio.sleep(pause)
                        pause *= 2
        return self._bound(reservation, slot, result)

    async def _try(
        self, reservation: Reservation, slot: Slot, annotations: Mapping[str, str]
    ) -> BindResult:
        pod = PodRef(namespace=reservation.assignment.namespace, name=slot.pod, uid=slot.uid)
        try:
            return await self._writes.bind(pod, slot.node, annotations)
        except Exception as error:  # noqa: BLE001 - every call at the barrier must be answered
            return BindResult(outcome=BindOutcome.RETRYABLE, message=repr(error))

    def _bound(self, reservation: Reservation, slot: Slot, result: BindResult) -> str:
        if result.bound:
            current = self._ledger.get(reservation.key)
            if current is not None and current.plan_id == reservation.plan_id:
                self._ledger.mark_bound(reservation.key, slot.uid)
            self._barrier.answer(slot.uid)
            return ""
        if result.outcome is not BindOutcome.RETRYABLE:  # else it may be bound all the same
            self._cards.give_back(reservation, slot)
        error = f"pod {slot.pod} could not be bound to {slot.node}: {result.outcome.value}"
        error = f"{error}: {result.message}" if result.message else error
        self._barrier.answer(slot.uid, f"muster: {error}")
        return error


def written(reservation: Reservation, slot: Slot) -> Mapping[str, str]:
    """What a member's pod says of its place."""
    annotations = {RANK: str(slot.rank), NODE: slot.node, PLAN: reservation.plan_id}
    if reservation.assignment.flavor:
        annotations[FLAVOR] = reservation.assignment.flavor
    return annotations
