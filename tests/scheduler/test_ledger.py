"""The ledger: its transition table and, as a rule-based state machine, what it conserves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from scheduler.ledger import InFlight, Ledger
from scheduler.model import GangAssignment, Slot
from scheduler.reservation import HOLDING, TRANSITIONS, Action, ImpossibleTransition, State, Trigger
from topology.resources import Resources

CARD = "cards"


def assignment(name: str, places: dict[str, str]) -> GangAssignment:
    """A gang with one 1-card member on each given node: pod uid -> node."""
    slots = tuple(
        Slot(pod=uid, uid=uid, role="main", rank=i, node=node, request=Resources({CARD: 1}))
        for i, (uid, node) in enumerate(places.items())
    )
    return GangAssignment(namespace="default", gang=name, slots=slots, placed=True)


def test_a_plan_becomes_bound_step_by_step() -> None:
    """The straight way: propose, commit, all arrive, all bound, seen, settled; places held until seen."""
    ledger = Ledger()
    effects = ledger.propose(assignment("a", {"u1": "n1", "u2": "n2"}), "p1", 0)
    assert [effect.action for effect in effects] == [Action.COMMIT]
    ledger.handle("default/a", Trigger.COMMITTED, 1)
    ledger.arrive("default/a", "u1")
    reservation = ledger.arrive("default/a", "u2")
    assert reservation.complete
    effects = ledger.handle("default/a", Trigger.ALL_ARRIVED, 2)
    assert Action.BIND in [effect.action for effect in effects]
    ledger.mark_bound("default/a", "u1")
    assert ledger.mark_bound("default/a", "u2").all_bound
    ledger.handle("default/a", Trigger.ALL_BOUND, 3)
    # The watch has not shown the pods yet: letting go now would give the places away twice.
    assert ledger.reserved_on("n1") == Resources({CARD: 1})
    ledger.mark_seen("default/a", "u1")
    assert ledger.reserved_on("n1") == Resources()
    ledger.mark_seen("default/a", "u2")
    ledger.handle("default/a", Trigger.SETTLED, 4)
    assert ledger.get("default/a") is None
    assert ledger.of_pod("u1") is None


def test_a_place_that_is_lost_frees_the_whole_gang() -> None:
    """All-or-nothing: before anything is bound one lost place releases every place of the gang."""
    ledger = Ledger()
    ledger.propose(assignment("a", {"u1": "n1", "u2": "n2"}), "p1", 0)
    ledger.handle("default/a", Trigger.COMMITTED, 1)
    effects = ledger.handle("default/a", Trigger.LOST, 2, "node n1 is cordoned")
    assert {Action.FAIL_HELD, Action.UNNOMINATE} <= {effect.action for effect in effects}
    assert effects[0].cause == "node n1 is cordoned"
    assert ledger.held() == ()


def test_cards_are_assumed_until_the_watch_shows_them_or_the_binding_failed() -> None:
    """Others may not have them in between, also while a gang that is bound in part is aborting."""
    ledger = Ledger()
    ledger.propose(assignment("a", {"u1": "n1", "u2": "n1"}), "p1", 0)
    ledger.handle("default/a", Trigger.COMMITTED, 1)
    ledger.assume_cards("default/a", "u1", (0, 1))
    ledger.assume_cards("default/a", "u2", (2,))
    assert {slot.uid: cards for slot, cards in ledger.cards_on("n1")} == {"u1": (0, 1), "u2": (2,)}
    assert ledger.cards_on("n2") == ()
    ledger.mark_bound("default/a", "u1")
    ledger.return_cards("default/a", "u2")
    ledger.handle("default/a", Trigger.BROKEN, 2)
    assert [(slot.uid, cards) for slot, cards in ledger.cards_on("n1")] == [("u1", (0, 1))]
    ledger.mark_seen("default/a", "u1")
    assert ledger.cards_on("n1") == ()


def test_an_aborting_gang_gives_up_open_places_and_keeps_its_clock() -> None:
    """A half-bound gang can be planned again elsewhere, but the time it may stay partial runs on."""
    ledger = Ledger()
    ledger.propose(assignment("a", {"u1": "n1", "u2": "n2"}), "p1", 0)
    ledger.handle("default/a", Trigger.COMMITTED, 1)
    ledger.mark_seen("default/a", "u1")
    ledger.handle("default/a", Trigger.BROKEN, 5)
    assert ledger.held() == ()
    ledger.propose(assignment("a", {"u2": "n3"}), "p2", 9)
    again = ledger.get("default/a")
    assert again is not None
    assert again.partial_seconds == 5
    assert ledger.reserved_nodes() == {"n3"}


def test_a_degraded_gang_keeps_its_missing_places() -> None:
    """Design section 7: bare members stay, the missing places stay reserved."""
    ledger = Ledger()
    ledger.propose(assignment("a", {"u1": "n1", "u2": "n2"}), "p1", 0)
    ledger.handle("default/a", Trigger.COMMITTED, 1)
    ledger.mark_seen("default/a", "u1")
    ledger.handle("default/a", Trigger.BROKEN, 5)
    ledger.handle("default/a", Trigger.KEEP, 25)
    assert ledger.reserved_nodes() == {"n2"}


def test_a_restarting_gang_keeps_the_places_of_those_that_have_ended() -> None:
    """They are for nobody but the next life, which begins without the clock of the broken one."""
    ledger = Ledger()
    ledger.propose(assignment("a", {"u1": "n1", "u2": "n2"}), "p1", 0)
    ledger.handle("default/a", Trigger.COMMITTED, 1)
    ledger.mark_seen("default/a", "u1")
    ledger.mark_seen("default/a", "u2")
    ledger.handle("default/a", Trigger.BROKEN, 5)
    ledger.handle("default/a", Trigger.KEEP, 25)
    ledger.handle("default/a", Trigger.RESTART, 30)
    assert not ledger.reserved_nodes(), "both run on"
    ending = ledger.vacate("default/a", "u2", 40)
    assert ledger.reserved_nodes() == {"n2"} and ending.since_seconds == 40
    assert ledger.of_pod("u2") is None
    assert [slot.pod for slot in ending.vacant.values()] == ["u2"]
    ledger.vacate("default/a", "u1", 41)
    ledger.propose(assignment("a", {"u3": "n1", "u4": "n2"}), "p2", 42)
    again = ledger.get("default/a")
    assert again is not None and again.state is State.PROPOSED
    assert again.partial_seconds is None and not again.degraded


def test_what_cannot_happen_is_a_bug_and_says_so() -> None:
    """An event without a row in the table is never guessed at."""
    ledger = Ledger()
    ledger.propose(assignment("a", {"u1": "n1"}), "p1", 0)
    with pytest.raises(ImpossibleTransition, match=r"default/a: 'all bound' in state Proposed"):
        ledger.handle("default/a", Trigger.ALL_BOUND, 1)


def test_plain_pods_on_their_way_count_until_settled() -> None:
    """Guarded: a pod let through may land on any of its nodes until its binding or refusal is seen."""
    ledger = Ledger()
    ledger.let_through(
        "x", InFlight(request=Resources({CARD: 2}), nodes=frozenset({"n1"}), since_seconds=0)
    )
    assert ledger.in_flight_on("n1") == Resources({CARD: 2})
    assert ledger.in_flight_on("n1", besides="x") == Resources()
    ledger.settle("x")
    assert ledger.in_flight_on("n1") == Resources()


@pytest.mark.parametrize("state", [s for s in State if s is not State.RELEASED])
def test_every_state_ends_when_the_gang_is_gone(state: State) -> None:
    """No reservation outlives its gang, whatever state it is in: nothing leaks."""
    assert TRANSITIONS[state, Trigger.GANG_GONE][0] is State.RELEASED


class LedgerMachine(RuleBasedStateMachine):
    """Random lives of gangs on four nodes of two cards: what runs and what is held never exceeds two."""

    NODES = ("n1", "n2", "n3", "n4")
    CARDS = 2
    gangs: Bundle[str] = Bundle("gangs")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.running: dict[str, str] = {}
        self.now = 0.0
        self.count = 0

    def _free(self, node: str) -> int:
        held = self.ledger.reserved_on(node)[CARD]
        return self.CARDS - held - sum(1 for where in self.running.values() if where == node)

    @rule(target=gangs, members=st.integers(1, 5))
    def propose(self, members: int) -> Any:
        """A new gang is planned where the ledger leaves room, or not at all."""
        free = [node for node in self.NODES for _ in range(self._free(node))]
        if len(free) < members:
            return multiple()
        self.count += 1
        name = f"g{self.count}"
        places = {f"{name}-{i}": free[i] for i in range(members)}
        self.ledger.propose(assignment(name, places), f"p{self.count}", self.now)
        return f"default/{name}"

    @rule(gang=gangs, ok=st.booleans())
    def commit(self, gang: str, ok: bool) -> None:
        """The write of the Gang object succeeds or not."""
        self._try(gang, Trigger.COMMITTED if ok else Trigger.COMMIT_FAILED)

    @rule(gang=gangs)
    def all_bind(self, gang: str) -> None:
        """Every member arrives; all Bindings are created."""
        if self._try(gang, Trigger.ALL_ARRIVED):
            reservation = self.ledger.get(gang)
            assert reservation is not None
            for slot in reservation.open_slots:
                self.ledger.mark_bound(gang, slot.uid)
            self._try(gang, Trigger.ALL_BOUND)

    @rule(gang=gangs)
    def first_binds_then_breaks(self, gang: str) -> None:
        """One Binding succeeds, another fails for good."""
        if self._try(gang, Trigger.ALL_ARRIVED):
            reservation = self.ledger.get(gang)
            assert reservation is not None
            self.ledger.mark_bound(gang, reservation.assignment.slots[0].uid)
            complete = len(reservation.assignment.slots) == 1
            self._try(gang, Trigger.ALL_BOUND if complete else Trigger.BROKEN)

    @rule(gang=gangs)
    def watch_shows(self, gang: str) -> None:
        """The watch shows every binding that the API server accepted: the pods run now."""
        reservation = self.ledger.get(gang)
        if reservation is None:
            return
        for slot in reservation.assignment.slots:
            if slot.uid in reservation.bound:
                self.running[slot.uid] = slot.node
                self.ledger.mark_seen(gang, slot.uid)
        current = self.ledger.get(gang)
        assert current is not None
        if current.state is State.BOUND:
            self._try(gang, Trigger.SETTLED)

    @rule(gang=gangs, trigger=st.sampled_from([Trigger.LOST, Trigger.KEEP, Trigger.ROLL_BACK]))
    def goes_wrong(self, gang: str, trigger: Trigger) -> None:
        """Lost before a Binding, or the end of an abort."""
        reservation = self.ledger.get(gang)
        if reservation is None or (trigger is Trigger.LOST and reservation.bound):
            return
        self.watch_shows(gang)
        self._try(gang, trigger)

    @rule(gang=gangs, ended=st.integers(0, 4))
    def restarts(self, gang: str, ended: int) -> None:
        """The members of a restarting gang end one by one; their places are kept."""
        self.watch_shows(gang)
        self._try(gang, Trigger.RESTART)
        reservation = self.ledger.get(gang)
        if reservation is not None and reservation.state is State.RESTARTING:
            for uid in sorted(reservation.seen)[:ended]:
                del self.running[uid]
                self.ledger.vacate(gang, uid, self.now)

    @rule(gang=gangs)
    def next_life(self, gang: str) -> None:
        """What is left of the old life has ended; the pods of the next one take the places over."""
        reservation = self.ledger.get(gang)
        if reservation is None or reservation.state is not State.RESTARTING or reservation.bound:
            return
        self.count += 1
        places = {
            f"{gang.partition('/')[2]}-{self.count}-{i}": s.node
            for i, s in enumerate(reservation.assignment.slots)
        }
        again = assignment(gang.partition("/")[2], places)
        self.ledger.propose(again, f"p{self.count}", self.now)

    @rule(gang=consumes(gangs))
    def gone(self, gang: str) -> None:
        """All pods of the gang are deleted."""
        reservation = self.ledger.get(gang)
        name = gang.partition("/")[2]
        if reservation is not None:
            self._try(gang, Trigger.GANG_GONE)
        for uid in [uid for uid in self.running if uid.startswith(f"{name}-")]:
            del self.running[uid]

    @precondition(lambda self: self.count)
    @rule()
    def time_passes(self) -> None:
        """A second passes."""
        self.now += 1

    def _try(self, gang: str, trigger: Trigger) -> bool:
        if not self.ledger.can(gang, trigger):
            return False
        self.ledger.handle(gang, trigger, self.now)
        return True

    @invariant()
    def never_over_committed(self) -> None:
        """Running + held never exceeds what a node has."""
        for node in self.NODES:
            assert self._free(node) >= 0

    @invariant()
    def index_is_true(self) -> None:
        """Every slot of a live reservation is found by its pod's uid, and held() is what is held."""
        held = 0
        for reservation in self.ledger:
            for slot in reservation.assignment.slots:
                assert not slot.uid or self.ledger.of_pod(slot.uid) == (reservation, slot)
            held += len(reservation.bound - reservation.seen)
            if reservation.state in HOLDING:
                held += len(reservation.assignment.slots) - len(reservation.bound)
        assert held == sum(len(a.slots) for a in self.ledger.held())


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase
