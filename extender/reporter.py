"""Gang objects and events: writes what the engine decided where users look for it.

The commit of a plan goes through ``commit`` (awaited, with a resourceVersion precondition); everything
else is brought up to date by ``run``, which writes only what differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from extender.config import Config
from extender.ports import ClusterWrites
from scheduler.advice import ScaleOut
from scheduler.gang_object import (
    Phase,
    Record,
    gang_manifest,
    gang_status,
    object_name,
    read_record,
    read_started,
    standing,
    to_come,
)
from scheduler.kube.writes import PodRef
from scheduler.ledger import Ledger
from scheduler.model import Code, Gang, GangAssignment, Minimum, Reason
from scheduler.progress import grown, whole
from scheduler.recovery import comes, partial
from scheduler.reservation import Reservation, State
from scheduler.restarts import started
from scheduler.scale_out import wanted
from scheduler.solve.reasons import clipped, explain
from scheduler.state import ClusterState

log = structlog.get_logger("muster.reporter")

_PHASE = {
    State.PROPOSED: Phase.PLANNED,
    State.RESERVED: Phase.PLANNED,
    State.BINDING: Phase.BINDING,
    State.AWAITING: Phase.BINDING,
    State.BOUND: Phase.BOUND,
    State.ABORTING: Phase.ABORTING,
    State.DEGRADED: Phase.DEGRADED,
    State.RESTARTING: Phase.RELEASING,
}
_NOT_WELL = (Phase.WAITING, Phase.INVALID, Phase.DEGRADED, Phase.ABORTING)
_EVENT_PODS = 64
"""Events go to at most this many members of a gang."""


class Reporter:
    """Keeps the Gang objects equal to what is known. One writer: the leading replica."""

    def __init__(
        self,
        config: Config,
        state: ClusterState,
        ledger: Ledger,
        writes: ClusterWrites,
        latest: Mapping[str, GangAssignment],
    ) -> None:
        self._config = config
        self._state = state
        self._ledger = ledger
        self._writes = writes
        self._latest = latest
        self._written: dict[str, Mapping[str, Any]] = {}
        self._writing: dict[str, asyncio.Task[Any]] = {}
        """Reports of gangs that are being written."""
        self._telling: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.leading: Callable[[], bool] = lambda: False
        self.advice: Callable[[str], tuple[ScaleOut, ...] | None] = lambda _: None
        """Which nodes would start the gang of a key; None while that is not worked out."""
        self.listeners: list[Callable[[str], None]] = []
        """Called with the key of each gang whose record was written or deleted."""

    def wake(self) -> None:
        """Something to report may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Bring Gang objects up to date until cancelled; at most ten rounds a second."""
        while True:
            try:
                async with asyncio.timeout(2):
                    await self._wake.wait()
            except TimeoutError:
                pass  # gangs disappear without a decision
            self._wake.clear()
            if self.leading():
                await self._round()
            await asyncio.sleep(0.1)

    def record(self, gang: Gang) -> Record:
        """What is to be said about ``gang`` now: the one source of status, event and ``explain``."""
        record = replace(self._record(gang), started=self.started(gang))
        return standing(record, gang) if record.phase is Phase.BOUND else record

    def started(self, gang: Gang) -> Minimum | None:
        """See ``scheduler.restarts.started``; None while nobody of it runs."""
        if not any(podset.running for podset in gang.podsets):
            return None
        return started(gang, read_started(self.known(gang.key) or {}))

    def _record(self, gang: Gang) -> Record:
        reservation = self._ledger.get(gang.key)
        running = sum(len(podset.running) for podset in gang.podsets)
        if reservation is not None:
            return self._reserved_record(gang, reservation, running)
        known = read_record(self.known(gang.key) or {})
        assignment = self._latest.get(gang.key)
        if running and known is not None and known.assignment.slots and not _pending(gang):
            return self._settled_record(gang, known, running)
        if assignment is None:
            assignment = GangAssignment(
                namespace=gang.namespace, gang=gang.name, reason=gang.blocked
            )
        assignment = to_come(assignment, gang)
        phase, message = self._phase(gang, running, assignment), explain(gang, assignment)
        if phase is Phase.BOUND and not assignment.placed:
            message = clipped(f"{running} of {gang.size} members run; {message}")
        return Record(
            phase=phase,
            plan_id=known.plan_id if known and running else "",
            assignment=assignment,
            message=message,
            bound=running,
            scale_out=self._scale_out(gang, assignment, known),
        )

    def _scale_out(
        self, gang: Gang, assignment: GangAssignment, known: Record | None
    ) -> tuple[ScaleOut, ...]:
        """After a restart the advice on record stands until there is a newer one."""
        if not wanted(assignment):
            return ()
        advice = self.advice(gang.key)
        return known.scale_out if advice is None and known else advice or ()

    def _reserved_record(self, gang: Gang, reservation: Reservation, running: int) -> Record:
        phase = _PHASE[reservation.state]
        unfinished = phase in (Phase.PLANNED, Phase.BINDING)
        if unfinished and partial(gang, self.started(gang)):
            phase = Phase.DEGRADED if reservation.degraded else Phase.BINDING
        elif phase is Phase.ABORTING and reservation.degraded:
            phase = Phase.DEGRADED
        assignment = reservation.assignment
        message = explain(gang, assignment)
        if reservation.state is State.AWAITING and reservation.vacant:
            held = len(reservation.vacant)
            message = f"{message}; {running} of {gang.size} members are bound, {held} places are held for "
            message += "members that their controller creates later"
        if phase is Phase.RELEASING:
            message = (
                f"{reservation.cause}; {len(reservation.vacant)} of its places are kept for that"
            )
            assignment = replace(assignment, reason=self._lacks(gang))
        if phase in (Phase.ABORTING, Phase.DEGRADED):
            bound = max(running, len(reservation.bound))
            message = f"{bound} of {gang.size} members are bound; {reservation.cause}"
            assignment = replace(assignment, reason=self._lacks(gang))
            if assignment.reason is not None:
                message = f"{message}; {assignment.reason.message}"
        return Record(
            phase=phase,
            plan_id=reservation.plan_id,
            assignment=assignment,
            message=message[:1000],
            bound=max(running, len(reservation.bound)),
        )

    def _lacks(self, gang: Gang) -> Reason | None:
        """Why the rest of a gang that is bound in part has no places."""
        newest = self._latest.get(gang.key)
        return gang.blocked or (newest.reason if newest is not None else None)

    def _settled_record(self, gang: Gang, known: Record, running: int) -> Record:
        """A gang whose reservation has ended: its places are on record, its members are counted."""
        phase = self._phase(gang, running, known.assignment)
        missing = gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
        message = known.message
        if missing and gang.blocked is not None:
            message = gang.blocked.message
        elif phase is Phase.BOUND:
            message = explain(gang, replace(known.assignment, placed=True))
        return Record(
            phase=phase,
            plan_id=known.plan_id,
            assignment=known.assignment,
            message=message,
            bound=running,
        )

    def _phase(self, gang: Gang, running: int, assignment: GangAssignment) -> Phase:
        """Of a gang without a reservation."""
        if running and (whole(gang) or grown(gang, self.started(gang))):
            return Phase.BOUND
        if running and not comes(gang, self.started(gang)):
            return Phase.DEGRADED
        reason = assignment.reason
        invalid = reason is not None and reason.code is Code.INVALID_REQUEST
        return Phase.INVALID if invalid else Phase.WAITING

    def known(self, key: str) -> Mapping[str, Any] | None:
        """The Gang object as last seen: by the watch, or written by us and not seen yet."""
        namespace, _, name = key.partition("/")
        stored = f"{namespace}/{object_name(name)}"
        seen, written = self._state.gang_objects.get(stored), self._written.get(stored)
        if seen is None or written is None:
            return seen or written
        return max(seen, written, key=_version)

    async def commit(self, reservation: Reservation) -> bool:
        """Write phase Planned with the members' places: the commit point of a plan."""
        report = self._writing.get(reservation.key)
        if report is not None:
            # Our own report of the gang would make the resourceVersion stale under the commit.
            await asyncio.wait([report])
        gang = self._state.gang(reservation.key)
        if gang is None:
            return False
        running = sum(len(podset.running) for podset in gang.podsets)
        record = self._reserved_record(gang, reservation, running)
        return await self._write(gang, replace(record, started=self.started(gang)))

    async def _round(self) -> None:
        gangs = {gang.key: gang for gang in self._state.gangs()}
        work: list[asyncio.Task[Any]] = []
        for gang in gangs.values():
            reservation = self._ledger.get(gang.key)
            if reservation is not None and reservation.state is State.PROPOSED:
                continue  # its commit is being written
            if reservation is None and gang.blocked is None and gang.key not in self._latest:
                continue  # nothing is decided yet
            record = self.record(gang)
            status = _status_of(self.known(gang.key))
            if _content(gang_status(record, gang)) != _content(status):
                self._writing[gang.key] = asyncio.create_task(self._write(gang, record))
                work.append(self._writing[gang.key])
        live = {f"{g.namespace}/{object_name(g.name)}" for g in gangs.values()}
        live |= {  # its members are about to be made anew: its record must outlive them
            f"{a.namespace}/{object_name(a.gang)}" for a in (r.assignment for r in self._ledger)
        }
        for stored, obj in {**self._written, **self._state.gang_objects}.items():
            if stored not in live:
                work.append(asyncio.create_task(self._delete(stored, obj)))
        results = await asyncio.gather(*work, return_exceptions=True)
        self._writing.clear()
        for result in results:
            if isinstance(result, Exception):
                log.warning("report failed, will be tried again", error=repr(result))
                self._wake.set()

    async def _write(self, gang: Gang, record: Record) -> bool:
        known = self.known(gang.key)
        before = _status_of(known)
        status = gang_status(record, gang)
        same_phase = before.get("phase") == status["phase"]
        status["phaseSince"] = before.get("phaseSince") if same_phase else _now()
        manifest = gang_manifest(gang)
        written = await self._writes.write_gang(manifest, status, known)
        if written is None:
            self._written.pop(f"{gang.namespace}/{object_name(gang.name)}", None)
            self._wake.set()
            return False
        self._written[f"{gang.namespace}/{object_name(gang.name)}"] = written
        for listener in self.listeners:
            listener(gang.key)
        if not same_phase or before.get("message") != record.message:
            reason = record.assignment.reason
            waiting = record.phase in _NOT_WELL or (reason and not record.assignment.placed)
            title = reason.code.value if waiting and reason else record.phase.value
            self.tell(gang, title, record.message, "Warning" if waiting else "Normal")
        return True

    def tell(self, gang: Gang, title: str, text: str, kind: str = "Normal") -> None:
        """Put an event on the Gang object and on members. Events are for people: nothing waits for them."""
        obj = self.known(gang.key)
        if obj is not None:
            task = asyncio.create_task(self._event(gang, obj, kind, title, text))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _event(
        self, gang: Gang, obj: Mapping[str, Any], kind: str, title: str, text: str
    ) -> None:
        members = [m for podset in gang.podsets for m in podset.members if m.uid]
        pods: list[PodRef | None] = [None]
        pods += [
            PodRef(namespace=gang.namespace, name=member.pod, uid=member.uid)
            for member in members[:_EVENT_PODS]
        ]
        await asyncio.gather(*(self._writes.event(pod, obj, kind, title, text) for pod in pods))

    async def _delete(self, stored: str, obj: Mapping[str, Any]) -> None:
        await self._writes.delete_gang(obj)
        self._written.pop(stored, None)
        record = read_record(obj)
        for listener in self.listeners:
            listener(record.assignment.key if record else stored)


def _pending(gang: Gang) -> bool:
    return any(podset.pending for podset in gang.podsets)


def _status_of(obj: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (obj or {}).get("status") or {}


def _content(status: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a status worth writing: everything but the times; empty and absent are the same."""
    return {key: value for key, value in status.items() if key != "phaseSince" and value}


def _version(obj: Mapping[str, Any]) -> int:
    text = str(obj.get("metadata", {}).get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
