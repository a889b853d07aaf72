"""All reservations and their life: the second of the two mutable objects.

A reservation holds the places of one gang from the moment a plan is accepted until kube-scheduler's own
cache counts the bound pods. Its life is the table ``TRANSITIONS`` below; the diagram in
``ARCHITECTURE.md`` is generated from it. The ledger has no clock and no I/O: ``handle`` takes what
happened and returns what the shell must do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from scheduler.model import GangAssignment, Slot


class State(StrEnum):
    """Where a reservation stands."""

    PROPOSED = "Proposed"
    """Held in memory; its Gang object is being written."""
    RESERVED = "Reserved"
    """Committed: members are nominated, ungated and on their way through kube-scheduler."""
    BINDING = "Binding"
    """All members are at the barrier (or bound); Bindings are being created."""
    BOUND = "Bound"
    ABORTING = "Aborting"
    """Some members are bound and the rest cannot follow as planned: re-place it, or roll back."""
    DEGRADED = "Degraded"
    """Rolled back as far as the owner allows: bare members stay and keep the missing places."""
    RELEASED = "Released"


class Trigger(StrEnum):
    """What moves a reservation from one state to the next."""

    PROPOSED = "proposed"
    COMMITTED = "committed"
    COMMIT_FAILED = "commit failed"
    ALL_ARRIVED = "all arrived"
    ALL_BOUND = "all bound"
    LOST = "lost, nothing bound"
    BROKEN = "lost, some bound"
    ROLL_BACK = "abort timeout, owner recreates"
    KEEP = "abort timeout, bare pods"
    GANG_GONE = "gang gone"


class Action(StrEnum):
    """What the shell must do; each carries the reservation it is about."""

    COMMIT = "write the Gang object"
    RELEASE_MEMBERS = "nominate, then ungate"
    BIND = "create all Bindings"
    FAIL_HELD = "answer held binds with an error"
    UNNOMINATE = "clear nominations"
    EVICT = "evict bound members"
    REPORT = "report status"


TRANSITIONS: Mapping[tuple[State | None, Trigger], tuple[State, tuple[Action, ...]]] = {
    (None, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
    (State.PROPOSED, Trigger.COMMITTED): (State.RESERVED, (Action.RELEASE_MEMBERS,)),
    (State.PROPOSED, Trigger.COMMIT_FAILED): (State.RELEASED, ()),
    (State.PROPOSED, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.PROPOSED, Trigger.LOST): (State.RELEASED, ()),
    (State.PROPOSED, Trigger.BROKEN): (State.ABORTING, (Action.REPORT,)),
    (State.RESERVED, Trigger.ALL_ARRIVED): (State.BINDING, (Action.REPORT, Action.BIND)),
    (State.RESERVED, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.RESERVED, Trigger.LOST): (
        State.RELEASED,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.RESERVED, Trigger.BROKEN): (
        State.ABORTING,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.RESERVED, Trigger.GANG_GONE): (State.RELEASED, (Action.FAIL_HELD, Action.UNNOMINATE)),
    (State.BINDING, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.BINDING, Trigger.LOST): (
        State.RELEASED,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.BINDING, Trigger.BROKEN): (
        State.ABORTING,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.BINDING, Trigger.GANG_GONE): (State.RELEASED, (Action.FAIL_HELD,)),
    (State.ABORTING, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
    (State.ABORTING, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.ABORTING, Trigger.ROLL_BACK): (State.RELEASED, (Action.EVICT, Action.REPORT)),
    (State.ABORTING, Trigger.KEEP): (State.DEGRADED, (Action.REPORT,)),
    (State.ABORTING, Trigger.LOST): (State.RELEASED, (Action.REPORT,)),
    (State.ABORTING, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.DEGRADED, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
    (State.DEGRADED, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.DEGRADED, Trigger.LOST): (State.RELEASED, (Action.REPORT,)),
    (State.DEGRADED, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.BOUND, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.BOUND, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
}
"""A pair that is absent cannot happen; ``Ledger.handle`` raises ``ImpossibleTransition`` for it."""

HOLDING = frozenset({State.PROPOSED, State.RESERVED, State.BINDING, State.DEGRADED})
"""States in which unbound slots hold capacity. An aborting gang gives its places up to be planned again."""


class ImpossibleTransition(Exception):
    """A bug: the table has no row for what happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The places of one gang under one plan. Times are seconds of a monotonic clock of the shell."""

    plan_id: str
    assignment: GangAssignment
    state: State
    since_seconds: float
    """When it entered its state."""
    bound: frozenset[str] = frozenset()
    """Pod uids of slots that are bound."""
    arrived: frozenset[str] = frozenset()
    """Pod uids whose bind call waits at the barrier."""
    cause: str = ""
    """Why it was lost, for the report."""

    @property
    def key(self) -> str:
        """``namespace/name`` of the gang."""
        return self.assignment.key

    @property
    def complete(self) -> bool:
        """Whether every slot is at the barrier or bound."""
        return all(s.uid in self.bound or s.uid in self.arrived for s in self.assignment.slots)

    @property
    def all_bound(self) -> bool:
        """Whether every slot is bound."""
        return all(slot.uid in self.bound for slot in self.assignment.slots)

    @property
    def open_slots(self) -> tuple[Slot, ...]:
        """Slots that are not bound."""
        return tuple(slot for slot in self.assignment.slots if slot.uid not in self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing the shell must do, with the event that caused it."""

    action: Action
    reservation: Reservation
    cause: str


@dataclass(slots=True)
class Ledger:
    """Reservations by gang, with an index from pod uid. Not thread-safe: one task owns it."""

    _by_gang: dict[str, Reservation] = field(default_factory=dict)
    _gang_of: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Reservation]:
        return iter(tuple(self._by_gang.values()))

    def get(self, gang: str) -> Reservation | None:
        """The reservation of the gang ``namespace/name``."""
        return self._by_gang.get(gang)

    def of_pod(self, uid: str) -> tuple[Reservation, Slot] | None:
        """The reservation and slot of a pod: the O(1) look-up of the ``filter`` and ``bind`` verbs."""
        reservation = self._by_gang.get(self._gang_of.get(uid, ""))
        if reservation is None:
            return None
        for slot in reservation.assignment.slots:
            if slot.uid == uid:
                return reservation, slot
        return None

    def held(self) -> tuple[GangAssignment, ...]:
        """Assignments, reduced to slots that are not bound, that hold capacity now; in key order."""
        return tuple(
            replace(reservation.assignment, slots=reservation.open_slots)
            for _, reservation in sorted(self._by_gang.items())
            if reservation.state in HOLDING
        )

    def propose(self, assignment: GangAssignment, plan_id: str, now: float) -> tuple[Effect, ...]:
        """Hold the places of an accepted assignment; replaces an aborting, degraded or bound reservation."""
        old = self._by_gang.get(assignment.key)
        state, actions = self._row(old.state if old else None, Trigger.PROPOSED, assignment.key)
        if old is not None:
            self._forget(old)
        new = Reservation(
            plan_id=plan_id, assignment=assignment, state=state, since_seconds=now, cause="planned"
        )
        self._by_gang[new.key] = new
        self._gang_of.update((slot.uid, new.key) for slot in assignment.slots)
        return tuple(Effect(action=action, reservation=new, cause="planned") for action in actions)

    def restore(self, reservation: Reservation) -> None:
        """Put back a reservation read from its Gang object after a restart."""
        self._by_gang[reservation.key] = reservation
        self._gang_of.update((slot.uid, reservation.key) for slot in reservation.assignment.slots)

    def arrive(self, gang: str, uid: str) -> Reservation:
        """The bind call of a member waits at the barrier now."""
        return self._update(gang, arrived=self._by_gang[gang].arrived | {uid})

    def leave(self, gang: str, uid: str) -> Reservation:
        """The bind call of a member was answered or given up."""
        return self._update(gang, arrived=self._by_gang[gang].arrived - {uid})

    def mark_bound(self, gang: str, uid: str) -> Reservation:
        """A member of the gang is bound to its planned node."""
        reservation = self._by_gang[gang]
        return self._update(gang, bound=reservation.bound | {uid}, arrived=reservation.arrived - {uid})

    def handle(self, gang: str, trigger: Trigger, now: float, cause: str = "") -> tuple[Effect, ...]:
        """Move the reservation of ``gang`` as the table says and return what is to be done.

        Raises ``ImpossibleTransition`` when the table has no such row: a bug of the caller.
        """
        old = self._by_gang[gang]
        state, actions = self._row(old.state, trigger, gang)
        new = replace(old, state=state, since_seconds=now, cause=cause or trigger.value)
        if state is State.RELEASED:
            self._forget(old)
        else:
            self._by_gang[gang] = new
        # Effects see what waited at the barrier when the event came, also after a release.
        return tuple(Effect(action=action, reservation=new, cause=new.cause) for action in actions)

    def can(self, gang: str, trigger: Trigger) -> bool:
        """Whether the table has a row for ``trigger`` in the present state of ``gang``."""
        old = self._by_gang.get(gang)
        return old is not None and (old.state, trigger) in TRANSITIONS

    def _row(
        self, state: State | None, trigger: Trigger, gang: str
    ) -> tuple[State, tuple[Action, ...]]:
        try:
            return TRANSITIONS[state, trigger]
        except KeyError:
            shown = state.value if state else "no reservation"
            raise ImpossibleTransition(f"gang {gang}: {trigger.value!r} in state {shown}") from None

    def _update(
        self,
        gang: str,
        *,
        bound: frozenset[str] | None = None,
        arrived: frozenset[str] | None = None,
    ) -> Reservation:
        old = self._by_gang[gang]
        new = replace(
            old,
            bound=old.bound if bound is None else bound,
            arrived=old.arrived if arrived is None else arrived,
        )
        self._by_gang[gang] = new
        return new

    def _forget(self, reservation: Reservation) -> None:
        del self._by_gang[reservation.key]
        for slot in reservation.assignment.slots:
            self._gang_of.pop(slot.uid, None)
