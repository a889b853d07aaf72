"""All reservations and their life: the second of the two mutable objects.

A reservation holds the places of one gang from the moment a plan is accepted until kube-scheduler's own
cache counts the bound pods. Its life is the table ``TRANSITIONS`` in ``scheduler/reservation.py``. The ledger
has no clock and no I/O: ``handle`` takes what happened and returns what the shell must do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from scheduler.avoidance import Avoidance
from scheduler.model import GangAssignment, Member, Slot
from scheduler.reservation import (
    TRANSITIONS,
    Action,
    ImpossibleTransition,
    Reservation,
    State,
    Trigger,
)
from topology.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A plain pod that ``filter`` let through and whose binding or refusal was not seen yet (guarded)."""

    request: Resources
    nodes: frozenset[str]
    since_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing the shell must do, with the event that caused it."""

    action: Action
    reservation: Reservation
    cause: str


@dataclass(slots=True)
class Ledger:
    """Reservations by gang, with an index from pod uid. Not thread-safe: one task owns it."""

    avoidance: Avoidance = field(default_factory=Avoidance)
    """What is remembered of plans that failed."""
    _by_gang: dict[str, Reservation] = field(default_factory=dict)
    _gang_of: dict[str, str] = field(default_factory=dict)
    _in_flight: dict[str, InFlight] = field(default_factory=dict)

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
        """Assignments that hold capacity now, reduced to the slots that do; in key order."""
        return tuple(
            replace(reservation.assignment, slots=reservation.holds)
            for _, reservation in sorted(self._by_gang.items())
            if reservation.holds
        )

    def propose(
        self, assignment: GangAssignment, plan_id: str, now: float, incarnation: str = ""
    ) -> tuple[Effect, ...]:
        """Hold the places of an accepted assignment; replaces what is aborting, degraded or restarting."""
        old = self._by_gang.get(assignment.key)
        state, actions = self._row(old.state if old else None, Trigger.PROPOSED, assignment.key)
        if old is not None:
            self._forget(old)
        broken = None if old and old.state is State.RESTARTING else old  # the next life is not
        new = Reservation(
            plan_id=plan_id,
            assignment=assignment,
            state=state,
            since_seconds=now,
            incarnation=incarnation,
            partial_seconds=broken.partial_seconds if broken else None,
            degraded=broken is not None and (broken.degraded or broken.state is State.DEGRADED),
            cause=old.cause if old else "planned",
        )
        self._by_gang[new.key] = new
        self._gang_of.update((slot.uid, new.key) for slot in assignment.slots if slot.uid)
        return tuple(Effect(action=action, reservation=new, cause="planned") for action in actions)

    def fill(self, gang: str, index: int, member: Member, now: float) -> Reservation:
        """The pod that a vacant place was planned for exists now."""
        old = self._by_gang[gang]
        slots = list(old.assignment.slots)
        slots[index] = replace(slots[index], pod=member.pod, uid=member.uid)
        self._gang_of[member.uid] = gang
        return self._put(
            replace(
                old,
                assignment=replace(old.assignment, slots=tuple(slots)),
                filled_seconds={**old.filled_seconds, member.uid: now},
            )
        )

    def clear(self) -> None:
        """Forget everything: this replica does not lead any more."""
        self._by_gang.clear()
        self._gang_of.clear()
        self._in_flight.clear()

    def restore(self, reservation: Reservation) -> None:
        """Put back a reservation read from its Gang object after a restart."""
        self._by_gang[reservation.key] = reservation
        slots = reservation.assignment.slots
        self._gang_of.update((slot.uid, reservation.key) for slot in slots if slot.uid)

    def arrive(self, gang: str, uid: str) -> Reservation:
        """The bind call of a member waits at the barrier now."""
        return self._put(replace(old := self._by_gang[gang], arrived=old.arrived | {uid}))

    def leave(self, gang: str, uid: str) -> Reservation:
        """The bind call of a member was answered or given up."""
        return self._put(replace(old := self._by_gang[gang], arrived=old.arrived - {uid}))

    def mark_bound(self, gang: str, uid: str) -> Reservation:
        """The API server accepted the Binding of a member to its planned node."""
        old = self._by_gang[gang]
        return self._put(replace(old, bound=old.bound | {uid}, arrived=old.arrived - {uid}))

    def mark_seen(self, gang: str, uid: str) -> Reservation:
        """The watch shows a member bound to its planned node."""
        old = self.mark_bound(gang, uid)
        return self._put(replace(old, seen=old.seen | {uid}))

    def assume_cards(self, gang: str, uid: str, cards: tuple[int, ...]) -> Reservation:
        """Cards of its node were chosen for a member that is about to be bound."""
        old = self._by_gang[gang]
        return self._put(replace(old, cards={**old.cards, uid: cards}))

    def return_cards(self, gang: str, uid: str) -> Reservation:
        """The member was not bound: others may have the cards that were chosen for it."""
        old = self._by_gang[gang]
        return self._put(replace(old, cards={k: v for k, v in old.cards.items() if k != uid}))

    def cards_on(self, node: str) -> tuple[tuple[Slot, tuple[int, ...]], ...]:
        """Members for whose Bindings to ``node`` cards were chosen and that the watch has not shown yet."""
        return tuple(
            (slot, reservation.cards[slot.uid])
            for reservation in self._by_gang.values()
            for slot in reservation.assignment.slots
            if slot.node == node and slot.uid in reservation.cards.keys() - reservation.seen
        )

    def mark_unbound(self, gang: str, uid: str) -> Reservation:
        """A member that was bound is gone."""
        old = self._by_gang[gang]
        return self._put(replace(old, bound=old.bound - {uid}, seen=old.seen - {uid}))

    def vacate(self, gang: str, uid: str, now: float) -> Reservation:
        """A member of a restarting gang has ended: its place is kept for the pod of the next life."""
        old = self.mark_unbound(gang, uid)
        slots = (replace(s, uid="") if s.uid == uid else s for s in old.assignment.slots)
        self._gang_of.pop(uid, None)
        assignment = replace(old.assignment, slots=tuple(slots))
        return self._put(replace(old, assignment=assignment, since_seconds=now))

    def mark_nominated(self, gang: str, uid: str) -> Reservation:
        """The member's nomination was seen on the pod: from now on its absence means a failed attempt."""
        old = self._by_gang[gang]
        return self._put(replace(old, nominated=old.nominated | {uid}, granted=old.granted - {uid}))

    def mark_unnominated(self, gang: str, uid: str) -> Reservation:
        """The member's nomination was cleared and is to be set again."""
        return self._put(replace(old := self._by_gang[gang], nominated=old.nominated - {uid}))

    def mark_granted(self, gang: str, uid: str) -> Reservation:
        """``filter`` granted the member its planned node."""
        return self._put(replace(old := self._by_gang[gang], granted=old.granted | {uid}))

    def mark_ungated(self, gang: str, now: float) -> Reservation:
        """All gates of ours are removed from the gang's members."""
        return self._put(replace(self._by_gang[gang], ungated_seconds=now))

    def handle(
        self, gang: str, trigger: Trigger, now: float, cause: str = ""
    ) -> tuple[Effect, ...]:
        """Move the reservation of ``gang`` as the table says and return what is to be done.

        Raises ``ImpossibleTransition`` when the table has no such row: a bug of the caller.
        """
        old = self._by_gang[gang]
        state, actions = self._row(old.state, trigger, gang)
        partial = old.partial_seconds
        if trigger is Trigger.BROKEN:
            partial = partial or now
        elif trigger in (Trigger.FIRST_BOUND, Trigger.ALL_BOUND):
            partial = None
        new = replace(
            old,
            state=state,
            since_seconds=now,
            partial_seconds=partial,
            cause=cause or trigger.value,
        )
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

    def reserved_on(self, node: str) -> Resources:
        """What reservations hold on ``node``."""
        return Resources.sum(
            slot.request
            for reservation in self._by_gang.values()
            for slot in reservation.holds
            if slot.node == node
        )

    def reserved_nodes(self) -> frozenset[str]:
        """Nodes on which something is held."""
        return frozenset(
            slot.node for reservation in self._by_gang.values() for slot in reservation.holds
        )

    def let_through(self, uid: str, pod: InFlight) -> None:
        """Remember a plain pod that may land on any of ``pod.nodes``; replaces its earlier attempt."""
        self._in_flight[uid] = pod

    def settle(self, uid: str) -> None:
        """The plain pod was bound, refused or deleted."""
        self._in_flight.pop(uid, None)

    def expire_in_flight(self, before_seconds: float) -> None:
        """Forget plain pods let through before that time: kube-scheduler has given up on them."""
        for uid, pod in tuple(self._in_flight.items()):
            if pod.since_seconds < before_seconds:
                del self._in_flight[uid]

    def in_flight(self) -> Mapping[str, InFlight]:
        """Plain pods on their way, by uid."""
        return dict(self._in_flight)

    def in_flight_on(self, node: str, besides: str = "") -> Resources:
        """What plain pods on their way may take on ``node``, the pod ``besides`` left out."""
        return Resources.sum(
            pod.request
            for uid, pod in self._in_flight.items()
            if uid != besides and node in pod.nodes
        )

    def _row(
        self, state: State | None, trigger: Trigger, gang: str
    ) -> tuple[State, tuple[Action, ...]]:
        try:
            return TRANSITIONS[state, trigger]
        except KeyError:
            shown = state.value if state else "no reservation"
            raise ImpossibleTransition(f"gang {gang}: {trigger.value!r} in state {shown}") from None

    def _put(self, reservation: Reservation) -> Reservation:
        self._by_gang[reservation.key] = reservation
        return reservation

    def _forget(self, reservation: Reservation) -> None:
        del self._by_gang[reservation.key]
        for slot in reservation.assignment.slots:
            self._gang_of.pop(slot.uid, None)
