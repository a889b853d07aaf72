"""Follows every reservation to its end: what is observed of it moves it through the table of the ledger.

Level-triggered (``scheduler.progress.observe``): nothing depends on having seen a particular event.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import structlog

from extender.config import Config
from extender.executor import Executor
from extender.metrics import Metrics
from scheduler.ledger import Ledger
from scheduler.model import Gang
from scheduler.progress import (
    Notice,
    Sign,
    fillings,
    grown,
    misfit,
    never_ready,
    observe,
    whole,
)
from scheduler.recovery import partial
from scheduler.reservation import Reservation, State, Trigger
from scheduler.state import ClusterState

log = structlog.get_logger("muster.follower")


_RECREATE_SECONDS = 5.0


class Follower:
    """Compares reservations with the cluster and acts.

    ``wake`` says that something has changed, ``replan`` asks for a new decision in any case.
    """

    def __init__(
        self,
        config: Config,
        state: ClusterState,
        ledger: Ledger,
        executor: Executor,
        metrics: Metrics,
        wake: Callable[[], None],
        replan: Callable[[], None],
    ) -> None:
        self.config = config
        self.state = state
        self.ledger = ledger
        self.executor = executor
        self.metrics = metrics
        self._recreated: dict[str, float] = {}
        """When pods were last asked to be made anew, by plan."""
        self.wake = wake
        self.replan = replan

    def observe(self) -> None:
        """Compare every reservation with the cluster and act on what is noticed."""
        now = time.monotonic()
        nodes = self.state.nodes
        self.ledger.expire_in_flight(now - self.config.barrier_seconds)
        for reservation in map(self._filled, self.ledger):
            if self.ledger.get(reservation.key) is not reservation:
                continue  # it was given up just now
            notices = observe(
                reservation,
                self.state.pods,
                nodes,
                now,
                self.config.limits,
                others_bind=self.config.filter_only,
            )
            for notice in notices:
                current = self.ledger.get(reservation.key)
                if current is None or current.plan_id != reservation.plan_id:
                    break
                self._take(current, notice)
            self._after_notices(reservation.key, now)
            self._open_gates(reservation.key)
        self.executor.places.reconcile()

    def _filled(self, reservation: Reservation) -> Reservation:
        """The reservation with the pods that have come for its vacant places."""
        gang = self.state.gang(reservation.key) if reservation.vacant else None
        if gang is None or reservation.state not in (State.RESERVED, State.AWAITING):
            return reservation
        now = time.monotonic()
        for index, member in fillings(reservation, gang):
            reservation = self.ledger.fill(reservation.key, index, member, now)
            self.executor.release_late(reservation, index)
        wrong = misfit(reservation, gang)
        if wrong:
            self.lose(reservation.key, wrong)
        return self.ledger.get(reservation.key) or reservation

    def _take(self, reservation: Reservation, notice: Notice) -> None:
        key = reservation.key
        match notice.sign:
            case Sign.BOUND:
                self.ledger.mark_seen(key, notice.uid)
                self.executor.barrier.answer(notice.uid)
            case Sign.UNBOUND if reservation.state is State.RESTARTING:
                self.ledger.vacate(key, notice.uid, time.monotonic())
            case Sign.UNBOUND:
                self.ledger.mark_unbound(key, notice.uid)
                self.lose(key, notice.cause)
            case Sign.NOMINATED:
                self.ledger.mark_nominated(key, notice.uid)
            case Sign.NOMINATE:
                self.ledger.mark_unnominated(key, notice.uid)
                self.metrics.renominated()
                self.executor.nominate(reservation, notice.uid)
            case Sign.LOST:
                self.lose(key, notice.cause, notice.node)
            case Sign.EXPIRED:
                self._expire(reservation)

    def _expire(self, reservation: Reservation) -> None:
        """Its controller waits for the leader, and we for its controller: give the places back and say so."""
        gang = self.state.gang(reservation.key)
        if reservation.state is State.RESTARTING:
            self.move(reservation.key, Trigger.EXPIRED, "its owner did not make it anew in time")
        elif gang is not None:
            reason = never_ready(gang, self.config.limits)
            self.ledger.avoidance.give_up(gang, reason)
            self.move(reservation.key, Trigger.EXPIRED, reason.message)
            self.replan()

    def _open_gates(self, key: str) -> None:
        reservation, gang = self.ledger.get(key), self.state.gang(key)
        if reservation is not None and gang is not None:
            self.executor.gates.open_others(reservation, gang)

    def _after_notices(self, key: str, now: float) -> None:
        reservation = self.ledger.get(key)
        if reservation is None:
            return
        gang = self.state.gang(key)
        if gang is None:
            # Pods that get new names may come back as other gangs, which look for places of their own.
            named = any(s.pod for s in reservation.vacant.values())
            anew = reservation.expects_all and named
            if not anew and reservation.state is not State.RESTARTING:
                self.move(key, Trigger.GANG_GONE, "the gang has no pods any more")
        elif reservation.is_of_another_life(gang):
            self.lose(key, "the gang was made anew by its owner")
        elif reservation.expects_all and gang.variant(reservation.assignment.flavor):
            self._recreate(reservation, now)
        else:
            self._go_on(reservation, gang, now)

    def _go_on(self, reservation: Reservation, gang: Gang, now: float) -> None:
        """The next step of a gang whose pods are those of the plan."""
        key = reservation.key
        if reservation.state is State.BOUND:
            if len(reservation.seen) == len(reservation.assignment.slots):
                self.move(key, Trigger.SETTLED)
        elif reservation.state in (State.ABORTING, State.DEGRADED):
            self._abort(reservation, gang, now)
        elif reservation.all_bound and self.ledger.can(key, Trigger.ALL_BOUND):
            self.move(key, Trigger.ALL_BOUND)
        elif reservation.first_bound and self.ledger.can(key, Trigger.FIRST_BOUND):
            self._await_others(key)

    def _recreate(self, reservation: Reservation, now: float) -> None:
        """The plan is for other pods than there are; asked for again in case that a request was lost."""
        if now - self._recreated.get(reservation.plan_id, -math.inf) > _RECREATE_SECONDS:
            live = {r.plan_id for r in self.ledger}
            self._recreated = {k: v for k, v in self._recreated.items() if k in live}
            self._recreated[reservation.plan_id] = now
            self.executor.recreate(reservation)

    def _await_others(self, key: str) -> None:
        """What exists is bound. Members that came early wait at the barrier for nobody any more."""
        self.move(key, Trigger.FIRST_BOUND, "members that come later are awaited")
        reservation = self.ledger.get(key)
        assert reservation is not None
        for uid in reservation.arrived - reservation.bound:
            self.executor.bind_late(reservation, uid)

    def _abort(self, reservation: Reservation, gang: Gang, now: float) -> None:
        if reservation.bound - reservation.seen:
            return  # the watch is behind: what runs is not known yet
        running = [member for podset in gang.podsets for member in podset.running]
        if whole(gang):
            self.move(reservation.key, Trigger.ALL_BOUND, "its minimum runs")
        elif not running or grown(gang, self.executor.started(gang)):
            # Nothing is left of it, or it is no worse off than before: the rest is simply planned again.
            self.move(reservation.key, Trigger.LOST, reservation.cause)
        elif reservation.state is State.ABORTING:
            since = reservation.partial_seconds or reservation.since_seconds
            if now - since > self.config.limits.abort_seconds:
                owned = all(self.state.pods[m.uid].evictable for m in running)
                served = reservation.degraded or self.executor.started(gang) is not None
                trigger = Trigger.ROLL_BACK if owned and not served else Trigger.KEEP
                self.move(reservation.key, trigger, reservation.cause)

    def lose(self, key: str, cause: str, node: str | None = None) -> None:
        """The reservation cannot be carried through; ``node`` is avoided for a while when given."""
        if node is not None:
            until = time.monotonic() + self.config.exclude_seconds
            self.ledger.avoidance.refuse(key, node, until)
        reservation = self.ledger.get(key)
        if reservation is not None and reservation.state is not State.BINDING:
            self._give_up(reservation, cause)
        # While Bindings are on their way their places must be held: ``bindings_done`` decides.

    def _give_up(self, reservation: Reservation, cause: str) -> None:
        key = reservation.key
        gang = self.state.gang(key)
        broken = bool(reservation.bound) or (
            gang is not None and partial(gang, self.executor.started(gang))
        )
        trigger = Trigger.BROKEN if broken else Trigger.LOST
        if self.ledger.can(key, trigger):
            log.info("reservation lost", gang=key, plan=reservation.plan_id, cause=cause)
            self.ledger.avoidance.failed(key, time.monotonic())
            self.metrics.lost(cause, aborted=trigger is Trigger.BROKEN)
            self.move(key, trigger, cause)
            self.replan()

    # -- what the executor tells -----------------------------------------------------------------

    def restarting(self, key: str) -> None:
        """The whole gang is about to end, and to be made anew by its owner."""
        if self.ledger.can(key, Trigger.RESTART):
            self.move(key, Trigger.RESTART, "its owner makes all of it anew")

    def ungated(self, reservation: Reservation) -> None:
        """All gates of the plan's members are removed: from now on arrivals are expected."""
        self.ledger.mark_ungated(reservation.key, time.monotonic())

    def all_arrived(self, key: str) -> None:
        """Every member is at the barrier: look at the nodes once more, then create the Bindings."""
        now = time.monotonic()
        reservation = self.ledger.get(key)
        assert reservation is not None
        notices = observe(reservation, self.state.pods, self.state.nodes, now, self.config.limits)
        lost = next((notice for notice in notices if notice.sign is Sign.LOST), None)
        if lost is not None:
            self.lose(key, lost.cause, lost.node)
        else:
            self.move(key, Trigger.ALL_ARRIVED)

    def bindings_done(self, reservation: Reservation, failure: str) -> None:
        """Every Binding was tried: the gang is bound whole, or it is aborted."""
        current = self.ledger.get(reservation.key)
        if current is None or current.plan_id != reservation.plan_id:
            return
        if current.all_bound:
            if self.ledger.can(reservation.key, Trigger.ALL_BOUND):  # else the watch was faster
                self.move(reservation.key, Trigger.ALL_BOUND)
        elif not current.first_bound or (failure and current.open_slots):
            self._give_up(current, failure or "a member was deleted while the gang was bound")
        elif self.ledger.can(reservation.key, Trigger.FIRST_BOUND):
            self._await_others(reservation.key)

    def move(self, key: str, trigger: Trigger, cause: str = "") -> None:
        """Move a reservation as the table says and do what it asks for."""
        for effect in self.ledger.handle(key, trigger, time.monotonic(), cause):
            self.executor.perform(effect)
        reservation = self.ledger.get(key)
        gang = self.state.gang(key)
        if trigger is Trigger.ALL_BOUND and reservation is not None and gang is not None:
            self.ledger.avoidance.succeeded(key)
            known = gang.created_seconds > 0
            self.metrics.bound(key, time.time() - gang.created_seconds if known else None)
        self.wake()
