"""One reservation: its places, what was seen of them, and the table of its life.

The diagram in ``ARCHITECTURE.md`` is generated from ``TRANSITIONS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.model import Gang, GangAssignment, Slot


class State(StrEnum):
    """Where a reservation stands."""

    PROPOSED = "Proposed"
    """Held in memory; its Gang object is being written."""
    RESERVED = "Reserved"
    """Committed: members are nominated, ungated and on their way through kube-scheduler."""
    BINDING = "Binding"
    """All members are at the barrier (or bound); Bindings are being created."""
    AWAITING = "Awaiting"
    """Its first members are bound; places are held for those that its controller creates later."""
    BOUND = "Bound"
    """Every slot is bound; places are held until the watch has shown all of them."""
    ABORTING = "Aborting"
    """Some members are bound and the rest cannot follow as planned: re-place it, or roll back."""
    DEGRADED = "Degraded"
    """Rolled back as far as the owner allows: bare members stay and keep the missing places."""
    RESTARTING = "Restarting"
    """Its owner makes all of it anew: the places of members that have ended are kept for the next life."""
    RELEASED = "Released"


class Trigger(StrEnum):
    """What moves a reservation from one state to the next."""

    PROPOSED = "proposed"
    COMMITTED = "committed"
    COMMIT_FAILED = "commit failed"
    ALL_ARRIVED = "all arrived"
    FIRST_BOUND = "all bound but those that come later"
    ALL_BOUND = "all bound"
    EXPIRED = "the others never came"
    LOST = "lost, nothing bound"
    BROKEN = "lost, some bound"
    ROLL_BACK = "abort timeout, owner recreates"
    KEEP = "abort timeout, bare pods"
    RESTART = "made to restart whole"
    SETTLED = "watch shows all bound"
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
    (State.RESERVED, Trigger.FIRST_BOUND): (State.AWAITING, (Action.REPORT,)),
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
    (State.BINDING, Trigger.FIRST_BOUND): (State.AWAITING, (Action.REPORT,)),
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
    (State.AWAITING, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.AWAITING, Trigger.EXPIRED): (
        State.RELEASED,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.AWAITING, Trigger.LOST): (
        State.RELEASED,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.AWAITING, Trigger.BROKEN): (
        State.ABORTING,
        (Action.FAIL_HELD, Action.UNNOMINATE, Action.REPORT),
    ),
    (State.AWAITING, Trigger.GANG_GONE): (State.RELEASED, (Action.FAIL_HELD, Action.UNNOMINATE)),
    (State.ABORTING, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
    (State.ABORTING, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.ABORTING, Trigger.ROLL_BACK): (State.RELEASED, (Action.EVICT, Action.REPORT)),
    (State.ABORTING, Trigger.KEEP): (State.DEGRADED, (Action.REPORT,)),
    (State.ABORTING, Trigger.LOST): (State.RELEASED, (Action.REPORT,)),
    (State.ABORTING, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.DEGRADED, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
    (State.DEGRADED, Trigger.ALL_BOUND): (State.BOUND, (Action.REPORT,)),
    (State.DEGRADED, Trigger.RESTART): (State.RESTARTING, (Action.REPORT,)),
    (State.DEGRADED, Trigger.LOST): (State.RELEASED, (Action.REPORT,)),
    (State.DEGRADED, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.RESTARTING, Trigger.PROPOSED): (State.PROPOSED, (Action.COMMIT,)),
    (State.RESTARTING, Trigger.EXPIRED): (State.RELEASED, (Action.REPORT,)),
    (State.RESTARTING, Trigger.GANG_GONE): (State.RELEASED, ()),
    (State.BOUND, Trigger.SETTLED): (State.RELEASED, ()),
    (State.BOUND, Trigger.LOST): (State.RELEASED, (Action.REPORT,)),
    (State.BOUND, Trigger.BROKEN): (State.RELEASED, (Action.REPORT,)),
    (State.BOUND, Trigger.GANG_GONE): (State.RELEASED, ()),
}
"""A pair that is absent cannot happen; ``Ledger.handle`` raises ``ImpossibleTransition`` for it."""

HOLDING = frozenset(
    {
        State.PROPOSED, State.RESERVED, State.BINDING, State.AWAITING, State.BOUND, State.DEGRADED,
        State.RESTARTING,
    }
)  # fmt: skip
"""States in which slots hold capacity until the watch shows them bound. An aborting gang gives its open
places up, so that it can be planned again elsewhere."""


_OF_ONE_LIFE = frozenset({State.PROPOSED, State.RESERVED, State.AWAITING, State.BOUND})
"""Of the others: Bindings that are on their way are awaited, and what is broken is judged by what runs."""


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
    """Pod uids of slots that are bound, by the API server's answer or by the watch."""
    seen: frozenset[str] = frozenset()
    """Pod uids of bound slots that the watch has shown; their capacity is counted with the running pods."""
    arrived: frozenset[str] = frozenset()
    """Pod uids whose bind call waits at the barrier."""
    nominated: frozenset[str] = frozenset()
    """Pod uids whose nomination was seen on the pod, so that its absence means a failed attempt."""
    granted: frozenset[str] = frozenset()
    """Pod uids for which ``filter`` granted the planned node since their last nomination."""
    cards: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Pod uid -> numbers of the cards that were chosen for its Binding; none where it is not known which."""
    filled_seconds: Mapping[str, float] = field(default_factory=dict)
    """Pod uid -> when the pod took over a place that was planned before it existed."""
    ungated_seconds: float | None = None
    """When the last gate of ours was removed; None before."""
    partial_seconds: float | None = None
    """Since when the gang has been bound in part; survives a new plan. None while it is not."""
    incarnation: str = ""
    """The life of the gang for which it was planned, as ``Gang.incarnation``: what is held for members to
    come is not for those of the next life. Empty where any life will do."""
    degraded: bool = False
    """Whether the gang was given up as Degraded before this plan: then it may stay partial."""
    cause: str = ""
    """Why it was lost, for the report."""

    @property
    def key(self) -> str:
        """``namespace/name`` of the gang."""
        return self.assignment.key

    def is_of_another_life(self, gang: Gang) -> bool:
        """Whether the owner has made the gang anew since, so that its places must be found anew."""
        lives = {self.incarnation, gang.incarnation}
        return self.state in _OF_ONE_LIFE and "" not in lives and len(lives) > 1

    @property
    def complete(self) -> bool:
        """Whether every slot is at the barrier or bound, but for those whose pods are created later."""
        return all(
            s.uid in self.bound or s.uid in self.arrived if s.uid else s.late
            for s in self.assignment.slots
        )

    @property
    def first_bound(self) -> bool:
        """Whether every slot is bound but for some whose pods are created later."""
        return not self.all_bound and all(
            slot.uid in self.bound or slot.late for slot in self.assignment.slots
        )

    @property
    def all_bound(self) -> bool:
        """Whether every slot is bound."""
        return all(slot.uid in self.bound for slot in self.assignment.slots)

    @property
    def expects_all(self) -> bool:
        """Whether its members are about to be made anew, so that for a moment there may be none."""
        return self.state is State.RESERVED and any(not s.late for s in self.vacant.values())

    @property
    def open_slots(self) -> tuple[Slot, ...]:
        """Slots that are not bound, of pods that exist."""
        return tuple(s for s in self.assignment.slots if s.uid and s.uid not in self.bound)

    @property
    def vacant(self) -> Mapping[int, Slot]:
        """Slots whose pods do not exist yet, by their index."""
        return {index: s for index, s in enumerate(self.assignment.slots) if not s.uid}

    @property
    def holds(self) -> tuple[Slot, ...]:
        """Slots whose capacity is held here: those the watch has not shown as bound.

        An aborting gang holds only what is bound already and not seen yet; it cannot be planned again
        before that.
        """
        unseen = (slot for slot in self.assignment.slots if slot.uid not in self.seen)
        if self.state in HOLDING:
            return tuple(unseen)
        return tuple(slot for slot in unseen if slot.uid in self.bound)
