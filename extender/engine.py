"""The heart of the service: one asyncio task owns ClusterState and Ledger and follows the straight line

    watch -> apply -> snapshot -> solve -> check -> reserve -> commit -> nominate -> ungate -> bind

There are no locks: state is only touched between awaits of the event loop. Everything is level-triggered
(``scheduler.progress.observe``), so a restart in the middle of any step goes on from there.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import structlog

from extender import guard
from extender.config import Config
from extender.executor import Executor
from extender.metrics import Metrics
from scheduler.cycle import Decision, Solve, acceptable, checked
from scheduler.gang_object import read_record
from scheduler.ledger import Ledger
from scheduler.model import Gang, GangAssignment
from scheduler.progress import Notice, Sign, observe, whole
from scheduler.recovery import adopted, partial, restored
from scheduler.reservation import Reservation, State, Trigger
from scheduler.snapshot import Snapshot
from scheduler.state import ClusterState

log = structlog.get_logger("muster.engine")


class Engine:
    """Plans gangs and sees their reservations through. ``executor`` performs what it decides."""

    def __init__(
        self,
        config: Config,
        state: ClusterState,
        ledger: Ledger,
        executor: Executor,
        solve: Solve,
        metrics: Metrics,
        latest: dict[str, GangAssignment],
    ) -> None:
        self.config = config
        self.state = state
        self.ledger = ledger
        self.executor = executor
        self.metrics = metrics
        self.leading = False
        self.decisions: OrderedDict[str, Decision] = OrderedDict()
        self.latest = latest
        """The newest assignment of each gang, for reports: placed, waiting or reserved."""
        self.last_cycle_seconds = 0.0
        self.solve = solve
        self._dirty = asyncio.Event()
        self._planned_generation = -1
        self._planned_beside: tuple[GangAssignment, ...] = ()
        self._observed = asyncio.Event()

    # -- what comes in ---------------------------------------------------------------------------

    def apply(self, kind: str, verb: str, obj: Mapping[str, Any]) -> None:
        """Take one watch event."""
        self.state.apply(kind, verb, obj)
        if kind == "Pod":
            guard.settle(self.state, self.ledger, verb, obj)
        self.wake()

    def wake(self) -> None:
        """Something changed: look at reservations and plan again."""
        self._dirty.set()
        self._observed.set()

    def start_leading(self) -> None:
        """Rebuild reservations from the Gang objects and start to plan and bind."""
        now = time.monotonic()
        for obj in self.state.gang_objects.values():
            reservation = restored(obj, self.state.pods, now)
            if reservation is not None and self.state.gang(reservation.key) is not None:
                self.ledger.restore(reservation)
                self.latest[reservation.key] = reservation.assignment
        self.leading = True
        self.last_cycle_seconds = now
        self.wake()
        for reservation in self.ledger:
            if reservation.state is State.RESERVED and reservation.ungated_seconds is None:
                self.executor.release_members(reservation)
        log.info("leading", reservations=sum(1 for _ in self.ledger))

    def stop_leading(self) -> None:
        """Hold nothing and bind nothing any more; another replica goes on from the Gang objects."""
        self.leading = False
        for reservation in self.ledger:
            self.executor.fail_held(reservation, "muster: this replica does not lead any more")
        self.ledger.clear()

    def scheduler_restarted(self) -> None:
        """kube-scheduler's Lease changed hands: its memory of nominations is gone until pods are touched."""
        for reservation in self.ledger:
            if reservation.state is State.RESERVED:
                self.executor.touch(reservation)

    # -- the two loops ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._observe_loop())
            group.create_task(self._plan_loop())

    async def _observe_loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(0.25):
                    await self._observed.wait()
            except TimeoutError:
                pass  # timers of reservations run without events, too
            self._observed.clear()
            if self.leading:
                try:
                    self.observe_reservations()
                except Exception:  # a bug met by one reservation must not end the service
                    log.exception("observation failed")
            await asyncio.sleep(0.005)

    async def _plan_loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(1):
                    await self._dirty.wait()
            except TimeoutError:
                pass  # exclusions and aborts end without events, too
            await asyncio.sleep(self.config.debounce_seconds)
            self._dirty.clear()
            if not self.leading:
                continue
            started = time.monotonic()
            try:
                await self.plan_once()
            except Exception:  # a bug met by one snapshot must not end the service
                log.exception("cycle failed")
            self.last_cycle_seconds = time.monotonic()
            await asyncio.sleep(
                max(0.0, self.config.interval_seconds - (self.last_cycle_seconds - started))
            )

    # -- planning --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The picture for the next decision: what runs, what is held, what is on its way."""
        excluded = self.ledger.avoidance.refused(time.monotonic())
        return self.state.snapshot((*self._held(), *guard.on_their_way(self.ledger)), excluded)

    def _held(self) -> list[GangAssignment]:
        # A degraded gang with a new member is planned again: its own places must not stand in its way.
        again = {
            gang.key
            for gang in self.state.gangs()
            if gang.blocked is None and any(podset.pending for podset in gang.podsets)
        }
        degraded = {r.key for r in self.ledger if r.state is State.DEGRADED}
        return [a for a in self.ledger.held() if a.key not in degraded & again]

    async def plan_once(self) -> None:
        """One cycle: decide about every gang and commit what was placed."""
        self._adopt_partial()
        with self.metrics.stage("snapshot"):
            snapshot = self.snapshot()
        if self._nothing_new(snapshot):
            return
        with self.metrics.stage("solve"):
            plan = await asyncio.to_thread(self.solve, snapshot, self.config.policy)
        with self.metrics.stage("check"):
            decision = await asyncio.to_thread(checked, snapshot, plan)
        self._planned_generation, self._planned_beside = snapshot.generation, snapshot.reservations
        if decision.violations:
            log.error("plan refused by the checker", violations=decision.violations[:5])
            self.metrics.solver_status("refused")
            return
        self.metrics.solver_status(decision.plan.status.value)
        fresh = self.snapshot()
        accepted = acceptable(decision, fresh) if self.leading else ()
        self._remember(decision)
        reservations = [
            self._propose(assignment, decision)
            for assignment in accepted
            if self._may_propose(assignment.key)
        ]
        if reservations:
            log.info("cycle", summary=str(decision), accepted=len(reservations))
            await asyncio.gather(*(self._commit(reservation) for reservation in reservations))
        self.executor.report_changed()

    def _adopt_partial(self) -> None:
        """Gangs that are bound in part without a reservation come under the rules of a broken one."""
        now = time.monotonic()
        for gang in self.state.gangs():
            if self.ledger.get(gang.key) is None and partial(gang):
                known = read_record(self.executor.known(gang.key) or {})
                self.ledger.restore(adopted(gang, known, now))

    def _nothing_new(self, snapshot: Snapshot) -> bool:
        unchanged = (
            snapshot.generation == self._planned_generation
            # Held room comes back without an event when the time of a plain pod on its way is over.
            and snapshot.reservations == self._planned_beside
        )
        return (
            unchanged
            and not self.ledger.avoidance.active
            and not any(r.state is State.ABORTING for r in self.ledger)
        )

    def _may_propose(self, key: str) -> bool:
        """Not while its last plan is still being settled, nor right after one that failed."""
        known = self.ledger.get(key)
        if known is not None and not self.ledger.can(key, Trigger.PROPOSED):
            return False
        return self.ledger.avoidance.may_plan(key, time.monotonic())

    def _remember(self, decision: Decision) -> None:
        known = set()
        for assignment in decision.plan.assignments:
            known.add(assignment.key)
            reservation = self.ledger.get(assignment.key)
            if reservation is None or reservation.state is State.ABORTING:
                self.latest[assignment.key] = assignment
        for key in set(self.latest) - known:
            del self.latest[key]
        self.ledger.avoidance.keep_only(known)

    def _propose(self, assignment: GangAssignment, decision: Decision) -> Reservation:
        plan_id = uuid.uuid4().hex[:12]
        self.ledger.propose(assignment, plan_id, time.monotonic())
        self.latest[assignment.key] = assignment
        self.decisions[plan_id] = decision
        while len(self.decisions) > self.config.kept_decisions:
            self.decisions.popitem(last=False)
        reservation = self.ledger.get(assignment.key)
        assert reservation is not None
        return reservation

    async def _commit(self, reservation: Reservation) -> None:
        with self.metrics.stage("commit"):
            written = await self.executor.commit(reservation)
        current = self.ledger.get(reservation.key)
        if current is None or current.plan_id != reservation.plan_id:
            return
        trigger = Trigger.COMMITTED if written else Trigger.COMMIT_FAILED
        if not self.ledger.can(reservation.key, trigger):
            return  # a place was lost meanwhile
        self._move(reservation.key, trigger, "" if written else "the Gang object was not written")
        if written:
            self.metrics.planned()
        else:
            self._planned_generation = -1
            self._dirty.set()

    # -- following reservations ------------------------------------------------------------------

    def observe_reservations(self) -> None:
        """Compare every reservation with the cluster and act on what is noticed."""
        now = time.monotonic()
        nodes = self.state.nodes
        self.ledger.expire_in_flight(now - self.config.barrier_seconds)
        for reservation in self.ledger:
            notices = observe(reservation, self.state.pods, nodes, now, self.config.limits)
            for notice in notices:
                current = self.ledger.get(reservation.key)
                if current is None or current.plan_id != reservation.plan_id:
                    break
                self._take(current, notice)
            self._after_notices(reservation.key, now)

    def _take(self, reservation: Reservation, notice: Notice) -> None:
        key = reservation.key
        match notice.sign:
            case Sign.BOUND:
                self.ledger.mark_seen(key, notice.uid)
                self.executor.barrier.answer(notice.uid)
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

    def _after_notices(self, key: str, now: float) -> None:
        reservation = self.ledger.get(key)
        if reservation is None:
            return
        gang = self.state.gang(key)
        if gang is None:
            self._move(key, Trigger.GANG_GONE, "the gang has no pods any more")
        elif reservation.state is State.BOUND:
            if len(reservation.seen) == len(reservation.assignment.slots):
                self._move(key, Trigger.SETTLED)
        elif reservation.state in (State.ABORTING, State.DEGRADED):
            self._abort(reservation, gang, now)
        elif reservation.all_bound and self.ledger.can(key, Trigger.ALL_BOUND):
            self._move(key, Trigger.ALL_BOUND)

    def _abort(self, reservation: Reservation, gang: Gang, now: float) -> None:
        if reservation.bound - reservation.seen:
            return  # the watch is behind: what runs is not known yet
        running = [member for podset in gang.podsets for member in podset.running]
        if whole(gang):
            self._move(reservation.key, Trigger.ALL_BOUND, "its minimum runs")
        elif not running:
            self._move(reservation.key, Trigger.LOST, reservation.cause)
        elif reservation.state is State.ABORTING:
            since = reservation.partial_seconds or reservation.since_seconds
            if now - since > self.config.limits.abort_seconds:
                owned = all(self.state.pods[m.uid].evictable for m in running)
                trigger = Trigger.ROLL_BACK if owned else Trigger.KEEP
                self._move(reservation.key, trigger, reservation.cause)

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
        broken = bool(reservation.bound) or (gang is not None and partial(gang))
        trigger = Trigger.BROKEN if broken else Trigger.LOST
        if self.ledger.can(key, trigger):
            log.info("reservation lost", gang=key, plan=reservation.plan_id, cause=cause)
            self.ledger.avoidance.failed(key, time.monotonic())
            self.metrics.lost(cause, aborted=trigger is Trigger.BROKEN)
            self._move(key, trigger, cause)
            self._planned_generation = -1
            self._dirty.set()

    # -- what the executor tells -----------------------------------------------------------------

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
            self._move(key, Trigger.ALL_ARRIVED)

    def bindings_done(self, reservation: Reservation, failure: str) -> None:
        """Every Binding was tried: the gang is bound whole, or it is aborted."""
        current = self.ledger.get(reservation.key)
        if current is None or current.plan_id != reservation.plan_id:
            return
        if not current.all_bound:
            self._give_up(current, failure or "a member was deleted while the gang was bound")
        elif self.ledger.can(reservation.key, Trigger.ALL_BOUND):  # else the watch was faster
            self._move(reservation.key, Trigger.ALL_BOUND)

    def _move(self, key: str, trigger: Trigger, cause: str = "") -> None:
        for effect in self.ledger.handle(key, trigger, time.monotonic(), cause):
            self.executor.perform(effect)
        reservation = self.ledger.get(key)
        gang = self.state.gang(key)
        if trigger is Trigger.ALL_BOUND and reservation is not None and gang is not None:
            self.ledger.avoidance.succeeded(key)
            known = gang.created_seconds > 0
            self.metrics.bound(key, time.time() - gang.created_seconds if known else None)
        self.wake()
