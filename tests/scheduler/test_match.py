"""Which nodes a pod may use: the same answers as kube-scheduler's in-tree filters."""

from __future__ import annotations

import pytest

from scheduler.match import (
    Cause,
    Fleet,
    cause,
    covers,
    holds,
    ports_clash,
    selects,
    tolerates,
    untolerated,
)
from scheduler.model import Constraints, NodeTerm, PodTerm, Requirement, Toleration
from scheduler.snapshot import NodeState
from topology.keys import HOSTNAME, MATCH_FIELD_NAME
from topology.model import Node, Taint
from topology.resources import Resources


def state(name: str = "n1", labels: dict[str, str] | None = None, **fields: object) -> NodeState:
    """A node without pods."""
    return NodeState(
        node=Node(name=name, labels=labels or {}, **fields),  # type: ignore[arg-type]
        free=Resources(),
    )


@pytest.mark.parametrize(
    ("operator", "values", "label", "answer"),
    [
        ("In", ("a", "b"), "b", True),
        ("In", ("a", "b"), "c", False),
        ("In", ("a",), None, False),
        ("NotIn", ("a",), "a", False),
        ("NotIn", ("a",), "b", True),
        ("NotIn", ("a",), None, True),
        ("Exists", (), "", True),
        ("Exists", (), None, False),
        ("DoesNotExist", (), None, True),
        ("DoesNotExist", (), "", False),
        ("Gt", ("7",), "8", True),
        ("Gt", ("8",), "8", False),
        ("Gt", ("8",), None, False),
        ("Gt", ("8",), "many", False),
        ("Gt", ("many",), "8", False),
        ("Gt", (), "8", False),
        ("Lt", ("8",), "7", True),
        ("Lt", ("-7",), "-8", True),
        ("in", ("a",), "a", False),
    ],
)
def test_requirements(
    operator: str, values: tuple[str, ...], label: str | None, answer: bool
) -> None:
    """Every operator, with the label present, absent and unreadable."""
    assert holds(Requirement(key="k", operator=operator, values=values), label) is answer


@pytest.mark.parametrize(
    ("toleration", "taint", "answer"),
    [
        (Toleration(key="k", operator="Exists"), Taint(key="k", value="v"), True),
        (Toleration(key="k", value="v"), Taint(key="k", value="v"), True),
        (Toleration(key="k", value="w"), Taint(key="k", value="v"), False),
        (Toleration(key="k", operator="", value="v"), Taint(key="k", value="v"), True),
        (Toleration(operator="Exists"), Taint(key="k", value="v", effect="NoExecute"), True),
        (Toleration(operator="Equal"), Taint(key="k"), False),
        (Toleration(key="other", operator="Exists"), Taint(key="k"), False),
        (Toleration(key="k", operator="Exists", effect="NoExecute"), Taint(key="k"), False),
        (Toleration(key="k", operator="Exists", effect="NoSchedule"), Taint(key="k"), True),
        (Toleration(key="k", operator="Has"), Taint(key="k"), False),
    ],
)
def test_tolerations(toleration: Toleration, taint: Taint, answer: bool) -> None:
    """Equal and Exists, with and without key and effect."""
    assert tolerates(toleration, taint) is answer


def test_only_hard_taints_keep_pods_away() -> None:
    """PreferNoSchedule is a wish; NoSchedule and NoExecute are not."""
    soft, hard, hardest = (
        Taint(key="k", effect=effect) for effect in ("PreferNoSchedule", "NoSchedule", "NoExecute")
    )
    assert untolerated((soft,), ()) is None
    assert untolerated((soft, hard), ()) == hard
    assert untolerated((hardest,), ()) == hardest
    assert untolerated((hard, hardest), (Toleration(operator="Exists"),)) is None


def in_(key: str, *values: str) -> Requirement:
    """The requirement that the label has one of these values."""
    return Requirement(key=key, operator="In", values=values)


@pytest.mark.parametrize(
    ("constraints", "answer"),
    [
        (Constraints(), Cause.NONE),
        (Constraints(node_selector={"disk": "ssd"}), Cause.NONE),
        (Constraints(node_selector={"disk": "hdd"}), Cause.SELECTOR),
        (Constraints(node_affinity=(NodeTerm(labels=(in_("disk", "ssd"),)),)), Cause.NONE),
        (Constraints(node_affinity=(NodeTerm(labels=(in_("disk", "hdd"),)),)), Cause.AFFINITY),
        (
            Constraints(
                node_affinity=(
                    NodeTerm(labels=(in_("disk", "hdd"),)),
                    NodeTerm(labels=(in_("disk", "ssd"),)),
                )
            ),
            Cause.NONE,
        ),
        (
            Constraints(node_affinity=(NodeTerm(labels=(in_("disk", "ssd"), in_("zone", "a"))),)),
            Cause.AFFINITY,
        ),
        (Constraints(node_affinity=(NodeTerm(fields=(in_(MATCH_FIELD_NAME, "n1"),)),)), Cause.NONE),
        (Constraints(node_affinity=(NodeTerm(fields=(in_(MATCH_FIELD_NAME, "n2"),)),)), Cause.AFFINITY),
        (Constraints(node_affinity=(NodeTerm(fields=(in_("metadata.uid", "n1"),)),)), Cause.AFFINITY),
        (Constraints(node_affinity=(NodeTerm(),)), Cause.AFFINITY),
        (Constraints(node_affinity=()), Cause.AFFINITY),
    ],
)  # fmt: skip
def test_selectors_and_affinity(constraints: Constraints, answer: Cause) -> None:
    """Terms are alternatives, the requirements of a term are not; an empty term takes no node."""
    assert cause(constraints, state(labels={"disk": "ssd"})) == answer


@pytest.mark.parametrize(
    ("node", "answer"),
    [
        (state(ready=False, unschedulable=True), Cause.NOT_READY),
        (state(unschedulable=True), Cause.CORDONED),
        (state(quarantined=True), Cause.UNTRUSTED),
        (state(taints=(Taint(key="k"),)), Cause.TAINT),
    ],
)
def test_the_first_cause_is_named(node: NodeState, answer: Cause) -> None:
    """A node that several rules exclude counts once, under the rule that comes first."""
    assert cause(Constraints(node_selector={"no": "where"}), node) == answer


def test_all_nodes_at_once_and_one_by_one_agree() -> None:
    """The answer about a node does not depend on the nodes beside it."""
    states = [
        state("n1", {"disk": "ssd"}),
        state("n2", {"disk": "hdd"}, taints=(Taint(key="k"),)),
        state("n3", {}, ready=False),
        state("n4", {"disk": "ssd"}, taints=(Taint(key="k", effect="PreferNoSchedule"),)),
    ]
    constraints = Constraints(node_selector={"disk": "ssd"})
    at_once = Fleet(states).causes(constraints).tolist()
    assert at_once == [cause(constraints, one) for one in states]
    assert at_once == [Cause.NONE, Cause.TAINT, Cause.NOT_READY, Cause.NONE]


def test_label_selectors() -> None:
    """None selects nothing, an empty selector everything, requirements all have to hold."""
    labels = {"app": "x", "tier": "1"}
    assert not selects(None, labels)
    assert selects((), labels)
    assert selects((in_("app", "x"), in_("tier", "1")), labels)
    assert not selects((in_("app", "x"), in_("tier", "2")), labels)


def test_terms_look_into_their_namespaces() -> None:
    """A term without a namespace selector is about its own namespaces; ``*`` is about all."""
    term = PodTerm(topology_key=HOSTNAME, selector=(), namespaces=("a",))
    assert covers(term, "a", {})
    assert not covers(term, "b", {})
    assert covers(PodTerm(topology_key=HOSTNAME, selector=(), namespaces=("*",)), "b", {})


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("TCP/80", "TCP/80", True),
        ("TCP/80", "UDP/80", False),
        ("TCP/80", "TCP/81", False),
        ("10.0.0.1:TCP/80", "TCP/80", True),
        ("10.0.0.1:TCP/80", "10.0.0.1:TCP/80", True),
        ("10.0.0.1:TCP/80", "10.0.0.2:TCP/80", False),
        ("fd00::1:TCP/80", "fd00::1:TCP/80", True),
    ],
)
def test_host_ports(one: str, other: str, answer: bool) -> None:
    """Ports clash when protocol and number are equal and one address is the wildcard or both are equal."""
    assert ports_clash((one,), (other,)) is answer
    assert ports_clash((other,), (one,)) is answer


def test_zones_are_equal_values_of_a_label() -> None:
    """Nodes without the label are in no zone, not in one of their own."""
    states = [
        state("n1", {"z": "a"}),
        state("n2"),
        state("n3", {"z": "b"}),
        state("n4", {"z": "a"}),
    ]
    zones = Fleet(states).zones("z").tolist()
    assert zones[0] == zones[3] != zones[2]
    assert zones[1] == -1
    assert Fleet(states).zones("nobody has it").tolist() == [-1] * 4
