"""The verbs as look-ups in a ledger: what is answered, and what a call tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender import verbs
from extender.verbs import Notice, PlainRequest, filter_member, filter_plain, preempt_plain
from extender.wire import FilterRequest, PreemptRequest
from scheduler.ledger import Ledger
from scheduler.model import GangAssignment, Slot
from scheduler.reservation import Trigger
from scheduler.snapshot import NodeState, RunningPod
from topology.model import Node
from topology.resources import Resources

CARD = "cards"


def request(uid: str, *nodes: str, nominated: str | None = None) -> FilterRequest:
    """kube-scheduler asks for a pod."""
    return FilterRequest(
        pod={},
        namespace="default",
        name=uid,
        uid=uid,
        nominated=nominated,
        node_names=nodes,
        nodes=None,
    )


def ledger(*triggers: Trigger, cards: int = 6) -> Ledger:
    """One member ``u`` with some cards on n1, as far as the triggers bring it."""
    slot = Slot(pod="u", uid="u", role="main", rank=0, node="n1", request=Resources({CARD: cards}))
    made = Ledger()
    made.propose(GangAssignment(namespace="default", gang="g", slots=(slot,), placed=True), "p", 0)
    for trigger in triggers:
        made.handle("default/g", trigger, 0)
    return made


def node(name: str, cards: int, *pods: RunningPod) -> NodeState:
    """A node of so many cards."""
    room = Resources({CARD: cards})
    used = Resources.sum(pod.request for pod in pods)
    return NodeState(node=Node(name=name, allocatable=room), free=room - used, pods=pods)


@pytest.mark.parametrize(
    ("asked", "nodes", "notice"),
    [
        (request("u", "n2", "n1"), ("n1",), Notice.GRANTED),
        (request("u", "n2", nominated="n1"), (), Notice.REFUSED_IN_TREE),
        (request("u", "n2"), (), Notice.NOT_NOMINATED),
        (request("u", "n2", nominated="n3"), (), Notice.NOT_NOMINATED),
        (request("x", "n1"), (), Notice.NOT_PLANNED),
    ],
)
def test_a_member_goes_to_its_planned_node_or_nowhere(
    asked: FilterRequest, nodes: tuple[str, ...], notice: Notice
) -> None:
    """The planned node if it is offered; else what is missing tells why."""
    answer, told = filter_member(ledger(Trigger.COMMITTED), asked)
    assert (answer.nodes, told) == (nodes, notice)
    assert bool(answer.refused) == (not nodes)


@pytest.mark.parametrize("triggers", [(), (Trigger.COMMITTED, Trigger.BROKEN)])
def test_a_plan_that_is_not_in_force_grants_nothing(triggers: tuple[Trigger, ...]) -> None:
    """Neither before the commit nor after it was given up."""
    answer, told = filter_member(ledger(*triggers), request("u", "n1"))
    assert (answer.nodes, told) == ((), Notice.NOT_PLANNED)


def test_a_veto_is_short_and_constant() -> None:
    """5,000 nodes get three reasons with one text: kube-scheduler reads every one of them."""
    names = tuple(f"n{index:04}" for index in range(5000))
    answer, _ = filter_member(Ledger(), request("u", *names))
    assert answer.refused == dict.fromkeys(names[:3], verbs.NOT_PLANNED)


def test_scores_point_to_the_planned_node() -> None:
    """A hint for members, nothing for others."""
    held = ledger(Trigger.COMMITTED)
    assert verbs.prioritize(held, request("u", "n1", "n2")) == (("n1", 10), ("n2", 0))
    assert verbs.prioritize(held, request("x", "n1")) == (("n1", 0),)


@given(st.lists(st.integers(1, 4), max_size=8), st.integers(0, 8))
def test_a_burst_of_plain_pods_never_exceeds_the_room(burst: list[int], held: int) -> None:
    """Guarded: all pods let onto a reserved node fit there together, beside the reservation."""
    book = ledger(Trigger.COMMITTED, cards=held)
    nodes = {"n1": node("n1", 8), "n2": node("n2", 8)}
    let = 0
    for index, cards in enumerate(burst):
        plain = PlainRequest(uid=f"p{index}", request=Resources({CARD: cards}))
        answer = filter_plain(book, nodes, plain, request(plain.uid, "n1", "n2"), 0)
        again = filter_plain(book, nodes, plain, request(plain.uid, "n1", "n2"), 0)
        assert answer == again, "a repeated call does not count twice"
        assert "n2" in answer.nodes, "a node without reservations is none of our business"
        let += cards if "n1" in answer.nodes else 0
    assert let + held <= 8


def test_preemption_spares_reserved_room() -> None:
    """Guarded: a candidate stays when its victims free enough without what is reserved."""
    victim = RunningPod(namespace="d", name="v", uid="v", request=Resources({CARD: 2}))
    nodes = {"n1": node("n1", 8, victim), "n2": node("n2", 8)}
    asked = PreemptRequest(
        pod={}, uid="x", victims={"n1": ("v",), "n2": ()}, pdb_violations={"n1": 0, "n2": 0}
    )
    for cards, kept in ((2, ("n1", "n2")), (3, ("n2",))):
        plain = PlainRequest(uid="x", request=Resources({CARD: cards}))
        assert preempt_plain(ledger(Trigger.COMMITTED), nodes, plain, asked) == kept
