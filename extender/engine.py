"""The heart of the service: one asyncio task owns ClusterState and Ledger and follows the straight line

    watch -> apply -> snapshot -> solve -> check -> reserve -> commit -> nominate -> ungate -> bind

Reservations are seen through by ``extender.follower``. There are no locks: state is only touched between
awaits of the event loop.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from extender import guard
from extender.config import Config
from extender.executor import Executor
from extender.follower import Follower
from extender.metrics import Metrics
from extender.restarts import Restarts
from scheduler.cycle import Decision, Solve, acceptable, checked
from scheduler.gang_object import read_record
from scheduler.ledger import Ledger
from scheduler.model import Code, GangAssignment
from scheduler.progress import never_ready
from scheduler.recovery import adopted, life, partial, restored
from scheduler.reservation import Reservation, State, Trigger
from scheduler.restarts import ending
from scheduler.snapshot import Snapshot
from scheduler.state import ClusterState

log = structlog.get_logger("muster.engine")

_BROKEN = (State.ABORTING, State.DEGRADED, State.RESTARTING)


class Engine:
    """Takes what comes in, and plans. ``executor`` performs what is decided, ``follower`` sees it through."""

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
        self.follower = Follower(config, state, ledger, executor, metrics, self.wake, self.replan)
        self.restarts = Restarts(config.limits, state, executor)
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
            self.executor.places.take(verb, obj)
        self.wake()

    def wake(self) -> None:
        """Something changed: look at reservations and plan again."""
        self._dirty.set()
        self._observed.set()

    def replan(self) -> None:
        """Decide again although nothing in the cluster has changed."""
        self._planned_generation = -1
        self.wake()

    def start_leading(self) -> None:
        """Rebuild reservations from the Gang objects and start to plan and bind."""
        now = time.monotonic()
        for obj in self.state.gang_objects.values():
            reservation = restored(obj, self.state.pods, now)
            if reservation is not None and (
                self.state.gang(reservation.key) is not None
                or reservation.state is State.RESTARTING
            ):
                self.ledger.restore(reservation)
                self.latest[reservation.key] = reservation.assignment
            self._restore_given_up(obj)
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
            if reservation.state in (State.RESERVED, State.AWAITING):
                self.executor.touch(reservation)
        self.executor.touch_places()

    def _restore_given_up(self, obj: Mapping[str, Any]) -> None:
        record = read_record(obj)
        if record is None or record.reason != Code.LEADER_NEVER_READY:
            return
        gang = self.state.gang(record.assignment.key)
        if gang is not None and gang.incarnation == record.incarnation:
            reason = never_ready(gang, self.config.limits)
            self.ledger.avoidance.give_up(gang, reason)

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
                    self.follower.observe()
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
        avoidance = self.ledger.avoidance
        found = self.state.snapshot(
            (*self._held(), *guard.on_their_way(self.ledger)),
            avoidance.refused(time.monotonic()),
            {
                **avoidance.given_up(self.state.gangs()),
                **self.restarts.reasons(),
                **ending(self.ledger, time.monotonic(), self.config.limits),
            },
            int(time.time()),
        )
        again = {r.key for r in self.ledger if r.state is State.RESTARTING}
        if not again:
            return found
        # They ran before those that wait: they do not queue up behind them.
        gangs = (replace(g, created_seconds=0) if g.key in again else g for g in found.gangs)
        return replace(found, gangs=tuple(gangs))

    def _held(self) -> list[GangAssignment]:
        # A degraded gang with a new member is planned again: its own places must not stand in its way.
        again = {
            gang.key
            for gang in self.state.gangs()
            if gang.blocked is None and any(podset.pending for podset in gang.podsets)
        }
        own = (State.DEGRADED, State.RESTARTING)
        degraded = {r.key for r in self.ledger if r.state in own}
        return [a for a in self.ledger.held() if a.key not in degraded & again]

    async def plan_once(self) -> None:
        """One cycle: decide about every gang and commit what was placed."""
        self._adopt_partial()
        self.restarts.act(time.monotonic())
        with self.metrics.stage("snapshot"):
            snapshot = self.snapshot()
        if self._nothing_new(snapshot):
            return
        with self.metrics.stage("solve"):
            plan = await asyncio.to_thread(self.solve, snapshot, self.config.policy)
        with self.metrics.stage("check"):
            decision = await asyncio.to_thread(checked, snapshot, plan, self.config.policy)
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
            if self.ledger.get(gang.key) is None and partial(gang, self.executor.started(gang)):
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
            if reservation is None or reservation.state in _BROKEN:
                self.latest[assignment.key] = assignment
        for key in set(self.latest) - known:
            del self.latest[key]
        self.ledger.avoidance.keep_only(known)

    def _propose(self, assignment: GangAssignment, decision: Decision) -> Reservation:
        plan_id = uuid.uuid4().hex[:12]
        gang = self.state.gang(assignment.key)
        incarnation = life(assignment, gang.incarnation) if gang is not None else ""
        self.ledger.propose(assignment, plan_id, time.monotonic(), incarnation)
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
        self.follower.move(
            reservation.key, trigger, "" if written else "the Gang object was not written"
        )
        if written:
            self.metrics.planned()
        else:
            self.replan()
