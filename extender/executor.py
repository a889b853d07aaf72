"""Carries out what the engine decides: nominations, gates, Bindings, evictions. All API calls are here.

Work runs in tasks of the service's event loop; a task that belongs to a plan looks before each step
whether the plan is still the gang's present one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import structlog

from extender.barrier import Barrier
from extender.binder import Binder, written
from extender.cards import Cards
from extender.config import Config
from extender.gates import Gates
from extender.metrics import Metrics
from extender.places import Places
from extender.ports import ClusterWrites
from extender.reporter import Reporter
from scheduler.keys import GATE
from scheduler.kube.writes import PodRef
from scheduler.ledger import Effect, Ledger
from scheduler.model import Gang, Minimum, Slot
from scheduler.pods import Pod
from scheduler.reservation import Action, Reservation, State
from scheduler.restarts import Loss
from scheduler.state import ClusterState

log = structlog.get_logger("muster.executor")

RESTARTED = "Restarted"
"""Reason of the event that tells of a group that was made to restart as a whole."""
_CLEAR_SECONDS = 3.0
"""So long a plan waits for nominations of earlier ones to go; then it takes its chance."""


class Outcomes(Protocol):
    """Whom the executor tells what became of its work (the engine)."""

    def ungated(self, reservation: Reservation) -> None:
        """All gates of the plan's members are removed."""

    def bindings_done(self, reservation: Reservation, failure: str) -> None:
        """The Bindings that were asked for were tried; ``failure`` is empty when all of them exist."""

    def lose(self, key: str, cause: str, node: str | None = None) -> None:
        """The plan cannot be carried through."""

    def restarting(self, key: str) -> None:
        """The root of the whole gang is about to be evicted."""


class Executor:
    """Performs effects. ``outcomes`` is set once, by the composition root, before anything runs."""

    outcomes: Outcomes

    def __init__(
        self,
        config: Config,
        state: ClusterState,
        ledger: Ledger,
        writes: ClusterWrites,
        reporter: Reporter,
        metrics: Metrics,
    ) -> None:
        self.barrier = Barrier()
        cards = Cards(config, state, ledger, reporter)
        self._binder = Binder(config, ledger, writes, metrics, self.barrier, cards)
        self._config = config
        self._state = state
        self._ledger = ledger
        self._writes = writes
        self._reporter = reporter
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._touches = 0
        self._leaving: dict[str, str] = {}
        """Node by uid of members whose nominations are being cleared."""
        self.gates = Gates(state, writes, self._spawn)
        self.places = Places(
            namespace=config.namespace,
            enabled=not config.guarded,
            ledger=ledger,
            writes=writes,
            like=self._any_member,
            spawn=self._spawn,
        )

    def perform(self, effect: Effect) -> None:
        """Start what ``effect`` asks for. COMMIT is awaited by the planner itself (``commit``)."""
        reservation = effect.reservation
        match effect.action:
            case Action.RELEASE_MEMBERS:
                self.release_members(reservation)
            case Action.BIND:
                self._spawn(self._bind(reservation, reservation.open_slots))
            case Action.FAIL_HELD:
                self.fail_held(reservation, f"muster: plan given up: {effect.cause}")
            case Action.UNNOMINATE:
                self._leaving.update((slot.uid, slot.node) for slot in reservation.open_slots)
                self._spawn(self._unnominate(reservation))
            case Action.EVICT:
                self._spawn(self._evict(reservation))
            case Action.REPORT | Action.COMMIT:
                self.report_changed()

    def report_changed(self) -> None:
        """The Gang objects may need an update."""
        self._reporter.wake()

    def known(self, key: str) -> Mapping[str, Any] | None:
        """The Gang object of ``namespace/name`` as last seen or written."""
        return self._reporter.known(key)

    def started(self, gang: Gang) -> Minimum | None:
        """As ``Record.started``."""
        return self._reporter.started(gang)

    def fail_held(self, reservation: Reservation, error: str) -> None:
        """Answer the bind calls that wait at the barrier with an error."""
        self.barrier.fail([slot.uid for slot in reservation.open_slots], error)

    async def commit(self, reservation: Reservation) -> bool:
        """Write the Gang object as Planned; False when it was changed meanwhile, or got no answer.

        A commit that is on record although the answer was lost does no harm: no pod was touched for it.
        """
        try:
            return await self._reporter.commit(reservation)
        except Exception as error:  # noqa: BLE001 - an uncommitted plan must not hold places for ever
            log.warning("commit failed", gang=reservation.key, error=repr(error))
            return False

    def release_members(self, reservation: Reservation) -> None:
        """Nominate all members, then remove their gates."""
        self._spawn(self._release_or_lose(reservation))

    def release_late(self, reservation: Reservation, index: int) -> None:
        """A vacant place has its pod now: hand the place over to it and remove its gate."""
        self._spawn(self._hand_over(reservation, index))

    def recreate(self, reservation: Reservation) -> None:
        """Have the owner make the gang's pods anew, for the flavor of the plan."""
        self._spawn(self._recreate(reservation))

    def restart(self, gang: Gang, loss: Loss) -> None:
        """Evict a root, whose owner then makes all that belongs to it anew, and say so.

        Its pods may be gone before the eviction is answered: what is kept for the next life is settled first.
        """
        if set(gang.roots) == {loss.root.uid}:
            self.outcomes.restarting(gang.key)
        self._spawn(self._restart(gang, loss))

    def bind_late(self, reservation: Reservation, uid: str) -> None:
        """Bind one member whose siblings need not be waited for."""
        slot = next(slot for slot in reservation.assignment.slots if slot.uid == uid)
        self._spawn(self._bind(reservation, (slot,)))

    def nominate(self, reservation: Reservation, uid: str) -> None:
        """Set one member's nomination again."""
        slot = next(slot for slot in reservation.assignment.slots if slot.uid == uid)
        self._spawn(self._nominate_again(reservation, slot))

    def touch(self, reservation: Reservation) -> None:
        """Have kube-scheduler read the nominations of all open members again."""
        self._touches += 1
        token = f"{reservation.plan_id}.{self._touches}.{time.time_ns() // 10**6}"
        for slot in reservation.open_slots:
            self._spawn(self._touch(reservation, slot, token))

    def touch_places(self) -> None:
        """Have kube-scheduler read the nominations of all placeholders again."""
        self.places.touch(str(time.time_ns() // 10**6))

    async def drain(self) -> None:
        """Wait for the work in hand, at a graceful stop."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- steps -----------------------------------------------------------------------------------

    def _ref(self, reservation: Reservation, slot: Slot) -> PodRef:
        return PodRef(namespace=reservation.assignment.namespace, name=slot.pod, uid=slot.uid)

    def _current(self, reservation: Reservation) -> bool:
        now = self._ledger.get(reservation.key)
        waits = (State.RESERVED, State.AWAITING)
        return now is not None and now.plan_id == reservation.plan_id and now.state in waits

    def _any_member(self, reservation: Reservation) -> Pod | None:
        """A member of the gang that exists."""
        gang = self._state.gang(reservation.key)
        members = [] if gang is None else [m for podset in gang.podsets for m in podset.members]
        return next((pod for m in members if (pod := self._state.pods.get(m.uid))), None)

    async def _release_or_lose(self, reservation: Reservation) -> None:
        """Without an answer the members may stay gated: the places are given back and planned again."""
        try:
            await self._release(reservation)
        except Exception:
            if self._current(reservation):
                cause = "the API server did not take a nomination or the removal of a gate"
                self.outcomes.lose(reservation.key, cause)
            raise

    async def _release(self, reservation: Reservation) -> None:
        """Nominations come first, so that the places are held before anybody may enter the queue."""
        with self._metrics.stage("nominate"):
            await self.places.ensure(reservation)
            there = await asyncio.gather(
                *(
                    self._writes.nominate(self._ref(reservation, slot), slot.node)
                    for slot in reservation.open_slots
                )
            )
        if not all(there):
            self.outcomes.lose(reservation.key, "a member was deleted before it was nominated")
            return
        if self._config.ungate_delay_seconds:
            await self._hold(reservation)
        await self._cleared(reservation)
        if not self._current(reservation):
            return
        gated = [
            slot
            for slot in reservation.open_slots
            if (pod := self._state.pods.get(slot.uid)) is None
            or GATE in pod.gates
            or self._config.filter_only  # to say where it is planned now
        ]
        with self._metrics.stage("ungate"):
            await asyncio.gather(*(self._ungate(reservation, slot) for slot in gated))
        if self._current(reservation):
            self.outcomes.ungated(reservation)

    async def _cleared(self, reservation: Reservation) -> None:
        """Return when nothing of plans that were given up is nominated to these nodes any more.

        kube-scheduler would find no room beside it, and the node would count as refused.
        """
        nodes = {slot.node for slot in reservation.assignment.slots}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLEAR_SECONDS):
                while self._in_the_way(nodes) or self.places.in_the_way(nodes):  # noqa: ASYNC110 - what is waited for is data of the watch, not an event
                    await asyncio.sleep(0.02)

    def _in_the_way(self, nodes: Collection[str]) -> bool:
        for uid, node in tuple(self._leaving.items()):
            pod, found = self._state.pods.get(uid), self._ledger.of_pod(uid)
            if pod is None or pod.nominated != node or (found and found[1].node == node):
                del self._leaving[uid]
        return any(node in nodes for node in self._leaving.values())

    async def _hand_over(self, reservation: Reservation, index: int) -> None:
        """Nominate the member, let its placeholder give way, then ungate: the place is held all the time."""
        slot = reservation.assignment.slots[index]
        ref = self._ref(reservation, slot)
        if not await self._writes.nominate(ref, slot.node):
            return  # deleted meanwhile: the next observation sees it
        await self.places.give_way(reservation, index)
        if self._current(reservation):
            await self._ungate(reservation, slot)

    async def _ungate(self, reservation: Reservation, slot: Slot) -> None:
        """Where another extender binds, what the Binding would say of the place is said here."""
        annotations = written(reservation, slot) if self._config.filter_only else {}
        await self._writes.ungate(self._ref(reservation, slot), annotations)

    async def _bind(self, reservation: Reservation, slots: Sequence[Slot]) -> None:
        self.outcomes.bindings_done(reservation, await self._binder.bind(reservation, slots))

    async def _hold(self, reservation: Reservation) -> None:
        """The pause for tests: kube-scheduler takes a gated pod's nomination over with any later update."""
        await asyncio.sleep(min(0.3, self._config.ungate_delay_seconds))
        if self._current(reservation):
            self.touch(reservation)
        await asyncio.sleep(max(0.0, self._config.ungate_delay_seconds - 0.3))

    async def _nominate_again(self, reservation: Reservation, slot: Slot) -> None:
        if self._current(reservation):
            await self._writes.nominate(self._ref(reservation, slot), slot.node)

    async def _touch(self, reservation: Reservation, slot: Slot, token: str) -> None:
        await self._writes.touch(self._ref(reservation, slot), token)

    async def _unnominate(self, reservation: Reservation) -> None:
        """A new plan may have nominated the same pods meanwhile: it wins."""
        for slot in reservation.open_slots:
            found = self._ledger.of_pod(slot.uid)
            if found is None or found[0].plan_id == reservation.plan_id:
                await self._writes.nominate(self._ref(reservation, slot), None)

    async def _evict(self, reservation: Reservation) -> None:
        bound = [slot for slot in reservation.assignment.slots if slot.uid in reservation.bound]
        gang = self._state.gang(reservation.key)
        if gang is not None and gang.roots:
            await self._evict_roots(gang)
            return
        others = [] if gang is None else [m for p in gang.podsets for m in p.running]
        refs = {slot.uid: self._ref(reservation, slot) for slot in bound}
        for member in others:
            refs.setdefault(
                member.uid,
                PodRef(namespace=reservation.assignment.namespace, name=member.pod, uid=member.uid),
            )
        await asyncio.gather(*(self._writes.evict(ref) for ref in refs.values()))

    async def _evict_roots(self, gang: Gang) -> None:
        """The owner takes the whole gang down with these pods and makes it anew; without, each by itself."""
        names = {m.uid: m.pod for podset in gang.podsets for m in podset.members if m.uid}
        refs = [
            PodRef(namespace=gang.namespace, name=names[uid], uid=uid)
            for uid in gang.roots or names
            if uid in names
        ]
        await asyncio.gather(*(self._writes.evict(ref) for ref in refs))

    async def _restart(self, gang: Gang, loss: Loss) -> None:
        ref = PodRef(namespace=gang.namespace, name=loss.root.pod, uid=loss.root.uid)
        await self._writes.evict(ref)
        text = f"{loss.root.pod} was evicted: {loss.back} had come back alone, and {gang.workload} "
        self._reporter.tell(gang, RESTARTED, text + "did not restart the others with it")

    async def _recreate(self, reservation: Reservation) -> None:
        """The places are held first, so that nobody takes them while there are no pods."""
        await self.places.ensure(reservation)
        gang = self._state.gang(reservation.key)
        variant = gang.variant(reservation.assignment.flavor) if gang is not None else None
        if gang is None or variant is None or not self._current(reservation):
            return
        if variant.resize is not None:
            await self._writes.resize(gang.namespace, variant.resize)
        else:
            await self._evict_roots(gang)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """An API error ends one step only: the next observation starts it again."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - a step must not end the service; it is tried again
        log.warning("step failed", error=repr(error))
